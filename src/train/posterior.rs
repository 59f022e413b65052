//! Flow heads on embeddings: one for all labels together, one for each alone, and whether their densities are right.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::coverage::{WITHIN_ONE_SIGMA, distance_from_uniform, quantile};
use super::heads::HeadsPlan;
use super::lessons::posterior::Posterior;
use super::lessons::regression::Labelled;
use super::steps::{self, Progress, Schedule};
use crate::model::manifest::Figure;
use crate::nn::flow::{Flow, FlowConfig, FlowKind};

/// Draws of each posterior.
const DRAWS: usize = 200;

/// Held-out stars whose posteriors are drawn from.
const JUDGED: usize = 1000;

/// The flow of all labels together, and figures of it and of one flow a label. `seen` are the stars to judge by, held-out
/// simulated ones first, and what they are; a target that is not known is NaN.
pub(super) fn flows(
    plan: &HeadsPlan,
    labels: &[&str],
    known: &Labelled,
    seen: &[(&str, Labelled)],
    device: &Device,
    say: &mut dyn FnMut(&str),
) -> Result<(Flow, FlowConfig, Vec<Figure>)> {
    let together: Vec<usize> = (0..labels.len()).collect();
    let simulated = &seen.first().context("nothing to judge flows by")?.1;
    let (joint, config) = train(plan, "joint", known, simulated, &together, device)?;
    let mut figures = Vec::new();
    for (on, stars) in seen {
        figures.extend(judge(&joint, "joint flow", labels, on, &stars.columns(&together), device)?);
    }
    for (j, label) in labels.iter().enumerate() {
        let (single, _) = train(plan, label, known, simulated, &[j], device)?;
        for (on, stars) in seen {
            figures.extend(judge(&single, "flow of one label", &[label], on, &stars.columns(&[j]), device)?);
        }
    }
    for f in &figures {
        say(&format!("{}, {}: {:.4}", f.what, f.of, f.value));
    }
    Ok((joint, config, figures))
}

fn train(
    plan: &HeadsPlan,
    name: &str,
    known: &Labelled,
    seen: &Labelled,
    labels: &[usize],
    device: &Device,
) -> Result<(Flow, FlowConfig)> {
    let steps = plan.steps;
    let few: Vec<usize> = (0..seen.len().min(256)).collect();
    let lesson = Posterior {
        train: known.columns(labels),
        held_out: seen.columns(labels).rows(&few),
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
    let config = FlowConfig::new(FlowKind::Nsf, labels.len(), known.width);
    let recipe = format!("flow {name} {} {schedule:?}", known.len());
    let folder = plan.work.join("flows").join(name);
    let start = |device: &Device| Ok(lesson.start(&config, device));
    let flow = steps::run(&lesson, start, &schedule, &recipe, &folder, device, &mut |_: Progress<'_>| Ok(()))?;
    Ok((flow.valid(), config))
}

/// Probability integral transforms of held-out stars, which are uniform where the densities are right: their largest
/// distance from uniform (Kolmogorov–Smirnov; the ranks of simulation-based calibration are the same numbers), the shares in
/// the central 68 and 95 %, and the scatter of the medians.
fn judge(flow: &Flow, of: &str, labels: &[&str], on: &str, seen: &Labelled, device: &Device) -> Result<Vec<Figure>> {
    let n = seen.len().min(JUDGED);
    let (mut pit, mut off) = (vec![Vec::with_capacity(n); labels.len()], vec![Vec::with_capacity(n); labels.len()]);
    device.seed(1);
    for row in 0..n {
        let x = TensorData::new(seen.input(row).to_vec(), [1, seen.width]);
        let draws = flow.sample(Tensor::from_data(x, device), DRAWS).into_data().try_to_vec::<f32>();
        let draws = draws.ok().context("the device gave no answer")?;
        for j in 0..labels.len() {
            let truth = seen.targets[row * seen.labels + j];
            if truth.is_nan() {
                continue;
            }
            let column: Vec<f32> = draws.iter().skip(j).step_by(labels.len()).copied().collect();
            let below = column.iter().filter(|v| **v < truth).count();
            pit[j].push((below as f64 + 0.5) / (DRAWS as f64 + 1.0));
            off[j].push(quantile(column.iter().map(|v| f64::from(*v)).collect(), 0.5) - f64::from(truth));
        }
    }
    let mut figures = Vec::new();
    for (j, label) in labels.iter().enumerate() {
        let n = pit[j].len();
        let figure = |what: String, value: f64| Figure { what, of: of.into(), on: on.into(), n, value };
        let inside =
            |share: f64| pit[j].iter().filter(|p| (**p - 0.5).abs() <= share / 2.0).count() as f64 / n.max(1) as f64;
        let half = off[j].iter().map(|o| o.abs()).collect();
        figures
            .push(figure(format!("K–S distance of the PIT of {label} from uniform"), distance_from_uniform(&pit[j])));
        figures.push(figure(format!("share of {label} in the central 68.27 %"), inside(WITHIN_ONE_SIGMA)));
        figures.push(figure(format!("share of {label} in the central 95 %"), inside(0.95)));
        figures.push(figure(
            format!("68.27 % of medians of {label} are off by less than"),
            quantile(half, WITHIN_ONE_SIGMA),
        ));
    }
    Ok(figures)
}
