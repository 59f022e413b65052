//! Experiments that choices rest on.

use std::fmt::Write;

use anyhow::Result;
use burn::tensor::Device;

use super::dataset::{Dataset, Purpose};
use super::fit::{fit, standardisation};
use super::grid::Grid;
use super::library::Labelled;
use super::pretrain::{
    Amount, HIDDEN, LABELS, TEFF_RANGE_K, grid_range, in_teff_range, predict_all, split_nodes, synthetic_fit,
};
use crate::model::regressor::Regressor;
use crate::task::metrics::Metrics;

/// Is one network with four outputs worse than four with one? Both learn from the same simulated spectra, as often and
/// in the same order, and answer for held-out nodes and for the stars of a library. Gives a Markdown table.
pub fn outputs(
    grid: &Grid,
    library: &Labelled,
    amount: Amount,
    seed: u64,
    say: &mut dyn FnMut(&str),
) -> Result<String> {
    let device = Device::flex();
    let (train, held_out) = split_nodes(grid.len(), seed);
    let data = Dataset::of_grid(grid, &train, amount.draws, Purpose::Labels, seed + 2);
    let nodes = Dataset::of_grid(grid, &held_out, 4, Purpose::Labels, seed + 3);
    let within: Vec<usize> =
        grid_range(&library.stars).into_iter().filter(|&s| in_teff_range(library.stars[s].labels[0])).collect();
    let stars = Dataset::of_library(&library.stars, &within, 4, Purpose::Labels, seed + 7);

    let train = |name: &str, data: &Dataset, say: &mut dyn FnMut(&str)| {
        let report = |epoch, loss| say(&format!("{name}: epoch {}/{}, loss {loss:.5}", epoch + 1, amount.epochs));
        fit(&standardisation(data, &HIDDEN, &device), data, &synthetic_fit(amount, seed), report)
    };
    let sigma = |network: &Regressor, column: usize, label: usize, on: &Dataset| -> Result<f64> {
        let answers = predict_all(network, on, &device)?;
        let known = (0..on.len()).filter(|row| on.weights[row * on.k + label] > 0.0);
        let pairs: Vec<_> =
            known.map(|row| (f64::from(on.targets[row * on.k + label]), answers[row][column])).collect();
        Ok(Metrics::of(&pairs).sigma)
    };
    let joint = train("all four", &data, say)?;
    let mut page = format!(
        "### One network for four labels, or one for each\n\n\
         Same simulated spectra ({} draws of each node), epochs ({}), order and widths; no real star. σ after 3 σ clipping on held-out \
         nodes and on MILES, {:.0}–{:.0} K, both with simulated noise (S/N 10–300) and partial coverage.\n\n\
         | label | nodes, four outputs | nodes, one output | MILES, four outputs | MILES, one output |\n|---|---|---|---|---|\n",
        amount.draws, amount.epochs, TEFF_RANGE_K.0, TEFF_RANGE_K.1,
    );
    for (j, label) in LABELS.into_iter().enumerate() {
        let alone = train(label.symbol(), &data.clone().column(j), say)?;
        let decimals = if j == 0 { 0 } else { 3 };
        let _ = write!(page, "| {} |", label.symbol());
        for (on, network, column) in
            [(&nodes, &joint, j), (&nodes, &alone, 0), (&stars, &joint, j), (&stars, &alone, 0)]
        {
            let _ = write!(page, " {:.decimals$} |", sigma(network, column, j, on)?);
        }
        page.push('\n');
    }
    Ok(page)
}
