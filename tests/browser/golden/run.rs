//! Runs the checks in turn and posts what came of them, then how long a search takes.

use burn::tensor::Device;
use specola::engine::time_search;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::DedicatedWorkerGlobalScope;

use crate::support::golden::in_browser::check;

macro_rules! checks {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((stringify!($name), crate::$module::$name as fn())),+),+]
    };
}

/// A check by its name.
type Check = (&'static str, fn());

/// All of them.
#[rustfmt::skip]
const ON_FLEX: &[Check] = checks! {
    golden_nn: the_mlp_gives_what_pytorch_gives, weights_of_another_network_are_refused_in_words, the_figures_of_merit_are_astropys;
    golden_networks: the_lrs_transformer_gives_what_pytorch_gives, attention_is_scaled_twice, a_spectrum_is_146_tokens_and_the_last_two_pixels_are_in_none, a_spectrum_shorter_than_a_slice_is_the_special_token_alone, the_xp_transformer_gives_what_pytorch_gives, the_autoencoders_give_what_pytorch_gives, the_base_model_gives_what_pytorch_gives, the_pr_model_gives_what_pytorch_gives, the_split_model_gives_what_pytorch_gives, projections_are_packed_in_base_and_separate_in_split, every_key_of_the_files_is_known, full_size_networks_have_the_published_numbers_of_parameters, stored_weights_are_pytorchs_again;
    golden_heads: the_published_heads_give_what_pytorch_gives, slopes_are_those_of_pytorch, the_published_heads_have_the_published_numbers_of_parameters, batch_norm_comes_before_relu_in_heads_and_after_gelu_in_decoders, batch_norm_trains_on_pytorchs_statistics, the_residual_head_gives_what_pytorch_gives, the_adapters_give_what_pytorch_gives, the_adapters_agree_with_burns_own, the_flows_give_what_pytorch_gives, samples_are_distributed_as_sbis, full_size_flows_have_the_published_numbers_of_parameters, a_new_flow_is_a_density;
    golden_train: all_of_a_plain_network_learns_as_in_pytorch, all_of_a_published_head_learns_as_in_pytorch, adapters_learn_as_in_pytorch_and_their_base_stays, ten_steps_have_pytorchs_losses, nothing_is_dropped_under_an_adapter, merged_adapters_are_the_adapted_network, the_optimisers_moments_are_pytorchs, the_learning_rate_is_the_published_one, the_loss_around_the_weights_is_numpys, masked_training_has_pytorchs_loss_and_gradients;
};

/// Those of whole networks, and training: the others look into numbers in their middle, for which one would have to wait.
#[rustfmt::skip]
const ON_WEBGPU: &[Check] = checks! {
    golden_networks: the_lrs_transformer_gives_what_pytorch_gives, the_xp_transformer_gives_what_pytorch_gives, the_autoencoders_give_what_pytorch_gives, the_base_model_gives_what_pytorch_gives, the_pr_model_gives_what_pytorch_gives, the_split_model_gives_what_pytorch_gives;
    golden_heads: the_published_heads_give_what_pytorch_gives, the_residual_head_gives_what_pytorch_gives, the_flows_give_what_pytorch_gives;
    golden_nn: the_mlp_gives_what_pytorch_gives;
    golden_train: ten_steps_have_pytorchs_losses;
};

/// How much further off a GPU may be (the README of the golden files: 50 times the difference between single and double
/// precision, where another processor may be 10 times).
const WEBGPU_SLACK: f64 = 5.0;

pub fn start() {
    specola::engine::constructors::run();
    std::panic::set_hook(Box::new(|info| say(&format!("FAILED {info}"))));
    spawn_local(async {
        run("flex", ON_FLEX, &Device::flex(), 1.0).await;
        for entries in [1_000, 10_000, 82_057, 1_000_000] {
            say(&search(entries));
        }
        match Device::wgpu_options().init_async().await {
            Ok(device) => run("webgpu", ON_WEBGPU, &device, WEBGPU_SLACK).await,
            Err(why) => say(&format!("FAILED no WebGPU: {why}")),
        }
        say("done");
    });
}

/// Milliseconds of a search among made-up entries of 768 8-bit numbers, one thread: `specola experiment search` is the same
/// natively.
fn search(entries: u32) -> String {
    let queries = (2_000_000 / entries).clamp(5, 200);
    let mut kept = None;
    let made = time_search(&mut kept, entries, 768, 0);
    let began = js_sys::Date::now();
    time_search(&mut kept, entries, 768, queries);
    let ms = (js_sys::Date::now() - began) / f64::from(queries);
    format!("search {entries} entries, {:.1} MB: {ms:.2} ms a query", made.bytes as f64 / 1e6)
}

async fn run(place: &str, checks: &[Check], device: &Device, slack: f64) {
    for (name, body) in checks {
        say(&format!("begin {place} {name}"));
        let off = check(*body, device, slack).await;
        match off.is_empty() {
            true => say(&format!("{place} {name}")),
            false => say(&format!("OFF {place} {name}: {}", off.join("; "))),
        }
    }
}

fn say(what: &str) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let _ = scope.post_message(&what.into());
}
