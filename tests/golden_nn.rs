//! Networks and figures of merit against PyTorch, astropy and NumPy (`tests/golden`).
#![cfg(any(feature = "cli", feature = "gpu"))]

#[cfg(not(target_family = "wasm"))]
mod support;

#[cfg(target_family = "wasm")]
use crate::support;
use burn::tensor::{Device, Tensor, TensorData};
use specola::model::weights::Tensors;
use specola::nn::MlpConfig;
use specola::read::npy::ArrayFile;
use specola::task::metrics::{Metrics, mean_and_std, sigma_clip};
use support::golden::{bytes, device, near};

fn numbers(files: &[ArrayFile], name: &str) -> Vec<f64> {
    let file = files.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no array {name}"));
    let array = file.array().expect("an array");
    array.numbers(0, array.shape.iter().product()).expect("numbers")
}

/// The network of the papers in small: 72 → 32 → 16 → 8 → 1.
#[cfg_attr(test, test)]
pub(crate) fn the_mlp_gives_what_pytorch_gives() {
    let io = specola::read::arrays(&bytes("mlp_tiny_io.npz")).expect("an npz");
    let x: Vec<f32> = numbers(&io, "x").iter().map(|v| *v as f32).collect();
    let device = device();
    let weights = Tensors::parse(&bytes("mlp_plain_tiny.safetensors")).expect("weights");
    let network = MlpConfig::new(vec![72, 32, 16, 8, 1]).load(&weights, "", &device).expect("the network");
    let x = Tensor::<2>::from_data(TensorData::new(x, [8, 72]), &device);
    let want = numbers(&io, "out_plain_f64");
    // However many are asked for at once: a GPU has different programs for a few and for many.
    for rows in [1, 5, 8] {
        near(network.forward(x.clone().narrow(0, 0, rows)), &want[..rows], 5e-6);
    }
    near(network.forward(x.repeat_dim(0, 3)), &want.repeat(3), 5e-6);
}

#[cfg_attr(test, test)]
pub(crate) fn weights_of_another_network_are_refused_in_words() {
    let weights = Tensors::parse(&bytes("mlp_plain_tiny.safetensors")).expect("weights");
    let error = MlpConfig::new(vec![72, 33, 16, 8, 1]).load(&weights, "", &Device::flex()).expect_err("another shape");
    assert!(error.to_string().contains("network.0.weight"), "{error}");
    assert!(Tensors::parse(b"not a safetensors file").is_err());
}

#[cfg_attr(test, test)]
pub(crate) fn the_figures_of_merit_are_astropys() {
    let files = specola::read::arrays(&bytes("metrics.npz")).expect("an npz");
    let want: serde_json::Value = serde_json::from_slice(&bytes("metrics.json")).expect("JSON");
    let pairs: Vec<(f64, f64)> = numbers(&files, "true").into_iter().zip(numbers(&files, "pred")).collect();
    let near = |got: f64, want: &serde_json::Value| {
        let want = want.as_f64().expect("a number");
        assert!((got - want).abs() < 1e-12, "{got} instead of {want}");
    };
    let metrics = Metrics::of(&pairs);
    near(metrics.r2, &want["r2"]);
    near(metrics.sigma, &want["sigma_clip_default"]["std_ddof0"]);
    near(metrics.bias, &want["sigma_clip_default"]["mean"]);
    let part =
        |poor: bool| Metrics::of(&pairs.iter().copied().filter(|(t, _)| (*t < -1.0) == poor).collect::<Vec<_>>());
    near(part(true).r2, &want["r2_metal_poor"]);
    near(part(false).r2, &want["r2_metal_rich"]);
    let residuals: Vec<f64> = pairs.iter().map(|(t, p)| p - t).collect();
    let kept = sigma_clip(&residuals, 3.0, 5);
    assert_eq!(kept.len() as u64, want["sigma_clip_default"]["n_kept"].as_u64().expect("a count"));
    near(mean_and_std(&sigma_clip(&residuals, 3.0, 100)).1, &want["sigma_clip_until_convergence"]["std_ddof0"]);
}
