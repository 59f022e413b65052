//! Experiments behind design choices.

use std::fmt::Write;

use anyhow::Result;
use burn::tensor::Device;

use super::dataset::{Dataset, DatasetUse};
use super::grid::Grid;
use super::labelled_library::LabelledLibrary;
use super::pretrain::{
    HIDDEN, NETWORK_LABELS, TEFF_RANGE_K, TrainingAmount, grid_range, in_teff_range, predict_all, split_nodes,
    synthetic_config,
};
use super::train_regressor::{self, initial_network};
use crate::model::regressor::Regressor;
use crate::task::metrics::Metrics;

/// Compares one network of four outputs with four networks of one output. Both train on the same simulated spectra,
/// with the same number of epochs and in the same order. Both predict held-out nodes and the stars of a library.
/// Returns a section of Markdown.
pub fn outputs(
    grid: &Grid,
    library: &LabelledLibrary,
    amount: TrainingAmount,
    seed: u64,
    log: &mut dyn FnMut(&str),
) -> Result<String> {
    let device = Device::flex();
    let (train, held_out) = split_nodes(grid.len(), seed);
    let data = Dataset::of_grid(grid, &train, amount.draws, DatasetUse::Labels, seed + 2);
    let nodes = Dataset::of_grid(grid, &held_out, 4, DatasetUse::Labels, seed + 3);
    let within: Vec<usize> =
        grid_range(&library.stars).into_iter().filter(|&s| in_teff_range(library.stars[s].labels[0])).collect();
    let stars = Dataset::of_library(&library.stars, &within, 4, None, DatasetUse::Labels, seed + 7);

    let train_network = |name: &str, data: &Dataset, log: &mut dyn FnMut(&str)| {
        let report = |epoch, loss| log(&format!("{name}: epoch {}/{}, loss {loss:.5}", epoch + 1, amount.epochs));
        train_regressor::train(&initial_network(data, &HIDDEN, &device), data, &synthetic_config(amount, seed), report)
    };
    let sigma = |network: &Regressor, column: usize, label: usize, on: &Dataset| -> Result<f64> {
        let predictions = predict_all(network, on, &device)?;
        let labelled_rows = (0..on.len()).filter(|row| on.weights[row * on.k + label] > 0.0);
        let pairs: Vec<_> =
            labelled_rows.map(|row| (f64::from(on.targets[row * on.k + label]), predictions[row][column])).collect();
        Ok(Metrics::of(&pairs).sigma)
    };
    let joint = train_network("all four", &data, log)?;
    let mut page = format!(
        "## One network for four labels, or one for each\n\n\
         Both use the same simulated spectra ({} draws of each node), epochs ({}), order and layer widths, and no real star. σ after 3 σ \
         clipping on held-out nodes and on MILES, {:.0}–{:.0} K, both with simulated noise (S/N 10–300) and partial coverage.\n\n\
         | label | nodes, four outputs | nodes, one output | MILES, four outputs | MILES, one output |\n|---|---|---|---|---|\n",
        amount.draws, amount.epochs, TEFF_RANGE_K.0, TEFF_RANGE_K.1,
    );
    for (j, label) in NETWORK_LABELS.into_iter().enumerate() {
        let single = train_network(label.symbol(), &data.clone().with_single_target(j), log)?;
        let decimals = if j == 0 { 0 } else { 3 };
        let _ = write!(page, "| {} |", label.symbol());
        for (on, network, column) in
            [(&nodes, &joint, j), (&nodes, &single, 0), (&stars, &joint, j), (&stars, &single, 0)]
        {
            let _ = write!(page, " {:.decimals$} |", sigma(network, column, j, on)?);
        }
        page.push('\n');
    }
    Ok(page)
}
