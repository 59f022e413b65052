//! The multi-layer perceptron compared with `PyTorch`, and the metrics with astropy and `NumPy` (`tests/golden`).

use crate::support::golden::{assert_near, bytes, device};
use burn::tensor::{Device, Tensor, TensorData};
use specola::nn::MlpConfig;
use specola::nn::weights::Tensors;
use specola::read::npy::ArrayFile;
use specola::stats::{mean_and_std, sigma_clip};
use specola::task::metrics::Metrics;

fn numbers(files: &[ArrayFile], name: &str) -> Vec<f64> {
    let file = files.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no array {name}"));
    let array = file.array().expect("an array");
    array.numbers(0, array.shape.iter().product()).expect("numbers")
}

/// A small version of the published network: 72 → 32 → 16 → 8 → 1.
#[cfg_attr(test, test)]
pub(crate) fn mlp_matches_pytorch() {
    let io = specola::read::arrays(&bytes("mlp_tiny_io.npz")).expect("an npz");
    let x: Vec<f32> = numbers(&io, "x").iter().map(|v| *v as f32).collect();
    let device = device();
    let weights = Tensors::parse(&bytes("mlp_plain_tiny.safetensors")).expect("weights");
    let network = MlpConfig::new(vec![72, 32, 16, 8, 1]).load(&weights, "", &device).expect("the network");
    let x = Tensor::<2>::from_data(TensorData::new(x, [8, 72]), &device);
    let expected = numbers(&io, "out_plain_f64");
    // Batches of several sizes: a GPU has different programs for small and large batches.
    for rows in [1, 5, 8] {
        assert_near(network.forward(x.clone().narrow(0, 0, rows)), &expected[..rows], 5e-6);
    }
    assert_near(network.forward(x.repeat_dim(0, 3)), &expected.repeat(3), 5e-6);
}

#[cfg_attr(test, test)]
pub(crate) fn weights_of_another_shape_are_refused() {
    let weights = Tensors::parse(&bytes("mlp_plain_tiny.safetensors")).expect("weights");
    let error = MlpConfig::new(vec![72, 33, 16, 8, 1]).load(&weights, "", &Device::flex()).expect_err("another shape");
    assert!(error.to_string().contains("network.0.weight"), "{error}");
    assert!(Tensors::parse(b"not a safetensors file").is_err());
}

#[cfg_attr(test, test)]
pub(crate) fn metrics_match_astropy() {
    let files = specola::read::arrays(&bytes("metrics.npz")).expect("an npz");
    let expected: serde_json::Value = serde_json::from_slice(&bytes("metrics.json")).expect("JSON");
    let pairs: Vec<(f64, f64)> = numbers(&files, "true").into_iter().zip(numbers(&files, "pred")).collect();
    let assert_near = |got: f64, expected: &serde_json::Value| {
        let expected = expected.as_f64().expect("a number");
        assert!((got - expected).abs() < 1e-12, "{got} instead of {expected}");
    };
    let metrics = Metrics::of(&pairs);
    assert_near(metrics.r2, &expected["r2"]);
    assert_near(metrics.sigma, &expected["sigma_clip_default"]["std_ddof0"]);
    assert_near(metrics.bias, &expected["sigma_clip_default"]["mean"]);
    let subset = |is_metal_poor: bool| {
        Metrics::of(&pairs.iter().copied().filter(|(t, _)| (*t < -1.0) == is_metal_poor).collect::<Vec<_>>())
    };
    assert_near(subset(true).r2, &expected["r2_metal_poor"]);
    assert_near(subset(false).r2, &expected["r2_metal_rich"]);
    let residuals: Vec<f64> = pairs.iter().map(|(t, p)| p - t).collect();
    let clipped = sigma_clip(&residuals, 3.0, 5);
    assert_eq!(clipped.len() as u64, expected["sigma_clip_default"]["n_kept"].as_u64().expect("a count"));
    assert_near(
        mean_and_std(&sigma_clip(&residuals, 3.0, 100)).1,
        &expected["sigma_clip_until_convergence"]["std_ddof0"],
    );
}
