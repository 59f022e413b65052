//! Label warnings, groups, cross-validation and its recommendation.

use specola::result::finetune::{Cell, LabelWarning, Settings, Strategy, SubsetCut, TrainingOutcome, TrainingRun};
use specola::task::finetune::cross_validation::{Plan, comparison, learning_curve};
use specola::task::finetune::labelled_set::{LabelCandidate, LabelledSet, LabelledSpectrum};
use specola::task::finetune::split::{Split, folds};
use specola::task::finetune::training::Training;
use specola::task::metrics::Metrics;

use crate::small_network::*;

#[test]
fn label_warnings_have_their_texts() {
    let stars = stars(30);
    let labelled_set = |target: &str, value: &dyn Fn(usize) -> Cell| {
        let candidates = stars.iter().enumerate().map(|(i, (input, _))| label_candidate(i, input, value(i))).collect();
        LabelledSet::new(target, candidates)
    };
    let number = |i: usize| Cell::Number(0.05 * i as f64 - 1.0);
    let texts = |warnings: &[LabelWarning]| warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // Fatal warnings.
    let three = labelled_set("feh", &|i| if i < 3 { number(i) } else { Cell::Missing }).expect_err("three rows");
    assert!(
        texts(&three).contains("only 3 spectra with a usable value of [Fe/H]; give 10 or more"),
        "{}",
        texts(&three)
    );
    let text = labelled_set("feh", &|_| Cell::parse("G2V")).expect_err("text");
    assert!(texts(&text).contains("text in place of a number (“G2V”)"), "{}", texts(&text));
    let nothing = labelled_set("feh", &|_| Cell::Number(f64::NAN)).expect_err("NaN");
    assert!(texts(&nothing).contains("30 spectra without a value"), "{}", texts(&nothing));
    let constant = labelled_set("feh", &|_| Cell::Number(-0.5)).expect_err("one class");
    assert!(texts(&constant).contains("all 30 values of [Fe/H] are -0.5"), "{}", texts(&constant));
    let kelvin = labelled_set("feh", &|i| Cell::Number(5000.0 + i as f64)).expect_err("Teff in the [Fe/H] column");
    assert!(texts(&kelvin).contains("The values are typical of Teff"), "{}", texts(&kelvin));
    let logarithm = labelled_set("teff", &|i| Cell::Number(3.7 + 0.001 * i as f64)).expect_err("log Teff");
    assert!(texts(&logarithm).contains("outside 2000 to 100000 K"), "{}", texts(&logarithm));
    let velocity = labelled_set("rv", &number).expect_err("not this network's");
    assert!(texts(&velocity).contains("cannot be fine-tuned"), "{}", texts(&velocity));
    let mut one: Vec<LabelCandidate> =
        stars.iter().enumerate().map(|(i, (s, _))| label_candidate(i, s, number(i))).collect();
    one.iter_mut().for_each(|e| e.group = "NGC 188".into());
    let one = LabelledSet::new("feh", one).expect_err("one group");
    assert!(texts(&one).contains("all spectra are of one group (NGC 188)"), "{}", texts(&one));
    // Warnings that are not fatal.
    let (used, warnings) =
        labelled_set("feh", &|i| if i == 4 { Cell::Number(5700.0) } else { number(i) }).expect("a labelled set");
    assert_eq!(used.len(), 29);
    assert!(texts(&warnings).contains("left out: star4"), "{}", texts(&warnings));
    let (_, warnings) =
        labelled_set("age", &|i| if i == 4 { Cell::Number(500.0) } else { number(i) }).expect("a labelled set");
    assert!(texts(&warnings).contains("star4. They are used; check them"), "{}", texts(&warnings));
    let mut duplicates: Vec<LabelCandidate> =
        stars.iter().enumerate().map(|(i, (s, _))| label_candidate(i / 2, s, number(i))).collect();
    duplicates[1].group = "elsewhere".into();
    let (duplicates, warnings) = LabelledSet::new("feh", duplicates).expect("a labelled set");
    assert!(texts(&warnings).contains("their values differ"), "{}", texts(&warnings));
    assert_eq!(duplicates.spectra[0].group, duplicates.spectra[1].group);
    let (_, warnings) =
        labelled_set("feh", &|i| if i < 12 { number(i) } else { Cell::Missing }).expect("a labelled set");
    assert!(texts(&warnings).contains("12 labels are few"), "{}", texts(&warnings));
}

#[test]
fn groups_stay_on_one_side() {
    let mut labelled_set = offset_set(90);
    labelled_set.spectra.iter_mut().enumerate().for_each(|(i, s)| s.group = format!("cluster {}", i / 7));
    let has_group = |rows: &[usize], name: &str| rows.iter().any(|i| labelled_set.spectra[*i].group == name);
    for seed in 0..20 {
        let fold = folds(&labelled_set, 5, seed);
        for f in 0..5 {
            let split = Split::of_fold(&labelled_set, &fold, Some(f), None, 0.2, seed);
            assert_eq!(split.n_labels() + split.test.len(), 90);
            assert!(
                !split.test.is_empty() && !split.validation.is_empty() && split.train.len() > split.validation.len()
            );
            for LabelledSpectrum { group, .. } in &labelled_set.spectra {
                let sides =
                    [&split.train, &split.validation, &split.test].into_iter().filter(|s| has_group(s, group)).count();
                assert_eq!(sides, 1, "{group} with seed {seed}");
            }
        }
        let split = Split::hold_out(&labelled_set, 0.3, Some(25), 0.2, seed);
        assert_eq!(split.n_labels(), 25);
        assert!(split.test.iter().all(|i| !has_group(&split.train, &labelled_set.spectra[*i].group)));
        assert!(split.validation.iter().all(|i| !has_group(&split.train, &labelled_set.spectra[*i].group)));
        let rest = Split::hold_out(&labelled_set, 0.0, Some(25), 0.2, seed);
        let used = [rest.train.clone(), rest.validation.clone()].concat();
        let free = (0..90).filter(|i| !has_group(&used, &labelled_set.spectra[*i].group)).collect::<Vec<_>>();
        assert_eq!((used.len(), rest.test), (25, free));
    }
}

/// Metrics of the cross-validation equal those of its predictions, and the recommendation follows from them.
#[test]
fn cross_validation_measures_and_recommends() {
    let labelled_set = offset_set(100).with_subset_cut(Some(SubsetCut { column: "age".into(), at: -0.5 }));
    let (below, above) = labelled_set.spectra.iter().filter_map(|s| s.cut).partition::<Vec<f64>, _>(|v| *v < -0.5);
    let cache = cache(labelled_set);
    let plan = Plan {
        strategies: vec![Strategy::ZeroShot, Strategy::Gp, Strategy::Scratch],
        seeds: vec![1, 2],
        ..Plan::default()
    };
    let settings = Settings { epochs: 10, ..quick() };
    let outcome = |task: &TrainingRun| {
        let split = plan.split(&cache.labelled_set, task, &settings);
        run(Training::new(cache.clone(), *task, split, &settings).expect("a training"))
    };
    let tasks = plan.tasks(&cache.labelled_set);
    assert_eq!(tasks.len(), 3 * 5 * 2);
    let outcomes: Vec<TrainingOutcome> = tasks.iter().map(outcome).collect();
    let report = comparison(&cache.labelled_set, &outcomes, &cache.labelled_set.subsets());
    let names: Vec<&str> = report.scores[0].subsets.iter().map(|r| r.subset.as_str()).collect();
    assert_eq!(names, ["all", "age < −0.5", "age ≥ −0.5"]);
    let counts: Vec<usize> = report.scores[0].subsets.iter().map(|r| r.n).collect();
    assert_eq!(counts[1..], [below.len(), above.len()]);
    for score in &report.scores {
        assert!(score.out_of_fold.iter().all(Option::is_some));
        let one_seed: Vec<(f64, f64)> = outcomes
            .iter()
            .filter(|o| o.task.strategy == score.strategy && o.task.seed == 1)
            .flat_map(|o| {
                o.rows.iter().zip(&o.values).map(|(r, v)| (cache.labelled_set.spectra[*r as usize].value, *v))
            })
            .collect();
        let of_one_seed = Metrics::of(&one_seed);
        let all = &score.subsets[0];
        assert_eq!(all.n, 100);
        assert!((all.sigma.value / of_one_seed.sigma - 1.0).abs() < 0.3 && all.sigma.error > 0.0);
    }
    let choice = report.recommendation.expect("a choice");
    assert_eq!(choice.strategy, Strategy::Gp, "{}", choice.reason);
    assert!(choice.reason.contains(" Zero-shot: "), "{}", choice.reason);

    let points = Plan::learning_curve(&cache.labelled_set, vec![Strategy::Gp], 5, vec![1]);
    assert_eq!(points.n_labels, [10, 25, 50, 80]);
    let settings = Settings { epochs: 0, ..settings };
    let outcomes: Vec<TrainingOutcome> = points
        .tasks(&cache.labelled_set)
        .iter()
        .map(|task| {
            run(Training::new(cache.clone(), *task, points.split(&cache.labelled_set, task, &settings), &settings)
                .expect("ok"))
        })
        .collect();
    let curve = learning_curve(&cache.labelled_set, &outcomes);
    assert_eq!(curve.iter().map(|p| p.n_labels).collect::<Vec<_>>(), [10, 25, 50, 80]);
    assert!(curve[3].sigma.value < curve[0].sigma.value, "{curve:?}");
}
