//! Runs the checks in turn, posts their results, and then posts the time of a similarity search.

use burn::tensor::Device;
use specola::similarity::synthetic_index::SyntheticIndex;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::spawn_local;
use web_sys::DedicatedWorkerGlobalScope;

use crate::support::golden::in_browser::check as run_check;

macro_rules! checks {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($((stringify!($name), crate::$module::$name as fn())),+),+]
    };
}

/// Name of a check, and its function.
type Check = (&'static str, fn());

/// All checks.
#[rustfmt::skip]
const ON_FLEX: &[Check] = checks! {
    mlp: mlp_matches_pytorch, weights_of_another_shape_are_refused, metrics_match_astropy;
    networks: lrs_transformer_matches_pytorch, attention_is_scaled_twice, lrs_spectrum_has_146_tokens_without_its_last_two_pixels, short_spectra_have_as_many_tokens_as_counted, xp_transformer_matches_pytorch, autoencoders_match_pytorch, base_model_matches_pytorch, pr_model_matches_pytorch, split_model_matches_pytorch, projections_are_packed_in_base_and_separate_in_split, networks_have_every_key_of_the_files, full_size_networks_have_the_published_parameter_counts, stored_weights_equal_the_loaded_weights;
    heads: heads_match_pytorch, slopes_match_pytorch, heads_have_the_published_parameter_counts, batch_norm_comes_before_relu_in_heads_and_after_gelu_in_decoders, batch_statistics_match_pytorch, residual_head_matches_pytorch, lora_matches_pytorch, lora_matches_burn, flows_match_pytorch, flow_samples_match_sbi, full_size_flows_have_the_published_parameter_counts, untrained_flow_is_a_normalised_density;
    training: plain_network_trains_as_in_pytorch, specclip_head_trains_as_in_pytorch, adapters_train_as_in_pytorch_with_a_fixed_base, ten_steps_match_pytorch_losses, adapter_base_has_no_dropout, merged_weights_equal_the_adapted_network, optimiser_moments_match_pytorch, learning_rate_matches_the_published_schedule, loss_landscape_matches_numpy, masked_training_matches_pytorch_loss_and_gradients;
};

/// Checks of whole networks, and of training. Other checks read intermediate numbers, which a GPU gives only
/// asynchronously.
#[rustfmt::skip]
const ON_WEBGPU: &[Check] = checks! {
    networks: lrs_transformer_matches_pytorch, xp_transformer_matches_pytorch, autoencoders_match_pytorch, base_model_matches_pytorch, pr_model_matches_pytorch, split_model_matches_pytorch;
    heads: heads_match_pytorch, residual_head_matches_pytorch, flows_match_pytorch;
    mlp: mlp_matches_pytorch;
    training: ten_steps_match_pytorch_losses;
};

/// Factor on the tolerances for a GPU. The README of the golden files allows 50 times the difference between single and
/// double precision for a GPU, and 10 times for another processor.
const WEBGPU_SLACK: f64 = 5.0;

pub fn start() {
    specola::engine::wasm_ctors::run();
    std::panic::set_hook(Box::new(|info| post(&format!("FAILED {info}"))));
    spawn_local(async {
        run("flex", ON_FLEX, &Device::flex(), 1.0).await;
        for entries in [1_000, 10_000, 82_057, 1_000_000] {
            post(&search(entries));
        }
        match Device::wgpu_options().init_async().await {
            Ok(device) => run("webgpu", ON_WEBGPU, &device, WEBGPU_SLACK).await,
            Err(why) => post(&format!("FAILED no WebGPU: {why}")),
        }
        post("done");
    });
}

/// Time of a search among synthetic entries of 768 8-bit numbers, in ms, on one thread. `specola experiment search`
/// measures the same on the command line.
fn search(entries: u32) -> String {
    let queries = (2_000_000 / entries).clamp(5, 200);
    let index = SyntheticIndex::new(entries, 768);
    let start_ms = js_sys::Date::now();
    std::hint::black_box(index.search(queries));
    let ms = (js_sys::Date::now() - start_ms) / f64::from(queries);
    format!("search {entries} entries, {:.1} MB: {ms:.2} ms a query", index.bytes() as f64 / 1e6)
}

async fn run(backend: &str, checks: &[Check], device: &Device, slack: f64) {
    for (name, check) in checks {
        post(&format!("begin {backend} {name}"));
        let failures = run_check(*check, device, slack).await;
        match failures.is_empty() {
            true => post(&format!("{backend} {name}")),
            false => post(&format!("OFF {backend} {name}: {}", failures.join("; "))),
        }
    }
}

fn post(message: &str) {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let _ = scope.post_message(&message.into());
}
