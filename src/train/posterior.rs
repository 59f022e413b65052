//! Flow heads on embeddings: a flow for all labels together, a flow for each label, and the calibration of their
//! densities.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::error_calibration::{WITHIN_ONE_SIGMA, distance_from_uniform};
use super::heads::HeadsPlan;
use super::objectives::posterior::Posterior;
use super::objectives::regression::LabelledVectors;
use super::training_loop::{self, Progress, Schedule};
use crate::model::manifest::Measurement;
use crate::nn::flow::{Flow, FlowConfig, FlowKind};
use crate::stats::quantile;

/// Number of draws from each posterior.
const DRAWS: usize = 200;

/// Largest number of stars for the calibration.
const MAX_STARS: usize = 1000;

/// Trains the flow of all labels, and measures this flow and a flow of each single label. `evaluation_sets` has sets of
/// stars with their titles, for the calibration; held-out simulated stars are first. An unknown target is NaN.
pub(super) fn flows(
    plan: &HeadsPlan,
    labels: &[&str],
    train_set: &LabelledVectors,
    evaluation_sets: &[(&str, LabelledVectors)],
    device: &Device,
    log: &mut dyn FnMut(&str),
) -> Result<(Flow, FlowConfig, Vec<Measurement>)> {
    let all_labels: Vec<usize> = (0..labels.len()).collect();
    let simulated = &evaluation_sets.first().context("no stars for the calibration of the flows")?.1;
    let (joint, config) = train(plan, "joint", train_set, simulated, &all_labels, device)?;
    let mut measurements = Vec::new();
    for (on, stars) in evaluation_sets {
        measurements.extend(calibrate(&joint, "joint flow", labels, on, &stars.columns(&all_labels), device)?);
    }
    for (j, label) in labels.iter().enumerate() {
        let (single, _) = train(plan, label, train_set, simulated, &[j], device)?;
        for (on, stars) in evaluation_sets {
            measurements.extend(calibrate(&single, "flow of one label", &[label], on, &stars.columns(&[j]), device)?);
        }
    }
    for m in &measurements {
        log(&format!("{}, {}: {:.4}", m.quantity, m.subject, m.value));
    }
    Ok((joint, config, measurements))
}

fn train(
    plan: &HeadsPlan,
    name: &str,
    train_set: &LabelledVectors,
    check_set: &LabelledVectors,
    labels: &[usize],
    device: &Device,
) -> Result<(Flow, FlowConfig)> {
    let steps = plan.steps;
    let check_rows: Vec<usize> = (0..check_set.len().min(256)).collect();
    let objective = Posterior {
        train: train_set.columns(labels),
        held_out: check_set.columns(labels).rows(&check_rows),
        batch: 256,
        seed: plan.seed,
    };
    let schedule = Schedule {
        steps,
        warmup: steps / 20,
        rate: 1e-3,
        weight_decay: 1e-2,
        beta_2: 0.999,
        clip: Some(5.0),
        every: steps,
        seed: plan.seed,
    };
    let config = FlowConfig::new(FlowKind::Nsf, labels.len(), train_set.width);
    let recipe = format!("flow {name} {} {schedule:?}", train_set.len());
    let folder = plan.work.join("flows").join(name);
    let start = |device: &Device| Ok(objective.start(&config, device));
    let flow =
        training_loop::run(&objective, start, &schedule, &recipe, &folder, device, &mut |_: Progress<'_>| Ok(()))?;
    Ok((flow.valid(), config))
}

/// Calibration of a flow by the probability integral transform (PIT), which is uniform where the densities are right.
/// The PIT values are the same numbers as the ranks of simulation-based calibration.
///
/// The measurements of each label are the Kolmogorov–Smirnov distance of the PIT from uniform, the fractions of
/// stars in the central 68.27 % and 95 %, and the scatter of the posterior medians.
fn calibrate(
    flow: &Flow,
    subject: &str,
    labels: &[&str],
    on: &str,
    stars: &LabelledVectors,
    device: &Device,
) -> Result<Vec<Measurement>> {
    let n = stars.len().min(MAX_STARS);
    let (mut pit, mut residuals) =
        (vec![Vec::with_capacity(n); labels.len()], vec![Vec::with_capacity(n); labels.len()]);
    device.seed(1);
    for row in 0..n {
        let x = TensorData::new(stars.input(row).to_vec(), [1, stars.width]);
        let draws = flow.sample(Tensor::from_data(x, device), DRAWS).into_data().try_to_vec::<f32>();
        let draws = draws.ok().context("cannot read the result from the device")?;
        for j in 0..labels.len() {
            let truth = stars.targets[row * stars.labels + j];
            if truth.is_nan() {
                continue;
            }
            let column: Vec<f32> = draws.iter().skip(j).step_by(labels.len()).copied().collect();
            let below = column.iter().filter(|v| **v < truth).count();
            pit[j].push((below as f64 + 0.5) / (DRAWS as f64 + 1.0));
            residuals[j]
                .push(quantile(column.iter().map(|v| f64::from(*v)), 0.5).unwrap_or(f64::NAN) - f64::from(truth));
        }
    }
    let mut measurements = Vec::new();
    for (j, label) in labels.iter().enumerate() {
        let n = pit[j].len();
        let measurement = |quantity: String, value: f64| Measurement {
            quantity,
            subject: subject.into(),
            data_set: on.into(),
            n,
            value,
        };
        let inside = |fraction: f64| {
            pit[j].iter().filter(|p| (**p - 0.5).abs() <= fraction / 2.0).count() as f64 / n.max(1) as f64
        };
        let absolute_residuals = residuals[j].iter().map(|o| o.abs());
        measurements.push(measurement(
            format!("K–S distance of the PIT of {label} from uniform"),
            distance_from_uniform(&pit[j]),
        ));
        measurements.push(measurement(format!("share of {label} in the central 68.27 %"), inside(WITHIN_ONE_SIGMA)));
        measurements.push(measurement(format!("share of {label} in the central 95 %"), inside(0.95)));
        measurements.push(measurement(
            format!("68.27 % of medians of {label} are off by less than"),
            quantile(absolute_residuals, WITHIN_ONE_SIGMA).unwrap_or(f64::NAN),
        ));
    }
    Ok(measurements)
}
