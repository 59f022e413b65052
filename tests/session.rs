//! The engine's session as a worker runs it, with real readers and a real (untrained) network.

mod support;

use pollster::block_on;
use specola::engine::{Assumptions, Event, ForHost, Request};
use specola::model::store::{Folder as ModelFolder, Store};
use specola::read::by_hand::{Columns, WaveUnit};
use specola::spectrum::{Frame, Medium, Source};
use specola::task::predict::Predictor;
use support::bench::Bench;
use support::{Folder, star_csv, write_untrained_model};

/// A session with an untrained model.
fn ready(test: &str) -> Bench {
    let mut bench = Bench::new();
    bench.session.model(Ok(untrained(test)));
    bench
}

fn untrained(test: &str) -> Predictor {
    let folder = Folder::new(test);
    let entry = write_untrained_model(folder.path());
    let store = Store::new(ModelFolder::new(folder.path()));
    let weights = block_on(store.weights(&entry, |_, _| {})).expect("the weights are there");
    Predictor::new(&entry, &weights, &burn::tensor::Device::flex()).expect("the model is whole")
}

/// Kinds of events in order, with the number of the spectrum where they have one; progress is left out.
fn kinds(events: &[Event]) -> Vec<String> {
    let kind = |event: &Event| match event {
        Event::Found { spectrum, .. } => Some(format!("found {spectrum}")),
        Event::Predicted { spectrum, .. } => Some(format!("predicted {spectrum}")),
        Event::Refused { spectrum, .. } => Some(format!("refused {spectrum}")),
        Event::Changed { spectrum, .. } => Some(format!("changed {spectrum}")),
        Event::View { spectrum, .. } => Some(format!("view {spectrum}")),
        Event::Skipped { what, .. } => Some(format!("skipped {what}")),
        Event::Done { job, cancelled } => Some(format!("done {job} {cancelled}")),
        _ => None,
    };
    events.iter().filter_map(kind).collect()
}

#[test]
fn the_first_answer_waits_for_no_other_file() {
    let mut bench = ready("first-answer");
    let star = star_csv(3900.0, 5700.0);
    bench.open(7, &[("a.csv", &star), ("b.csv", &star), ("c.csv", &star)]);
    let events = bench.finish();
    assert_eq!(
        kinds(&events),
        ["found 0", "predicted 0", "found 1", "found 2", "predicted 1", "predicted 2", "done 7 false"]
    );
    let Some(Event::Progress { job: 7, files_done: 3, files_total: 3, spectra_done: 3, spectra_total: 3 }) =
        events.iter().rev().find(|e| matches!(e, Event::Progress { .. }))
    else {
        panic!("the last progress is not of a finished job: {events:?}");
    };
    let Some(Event::Predicted { prediction, .. }) = events.iter().find(|e| matches!(e, Event::Predicted { .. })) else {
        panic!("nothing was predicted");
    };
    assert_eq!(prediction.model, "untrained 1");
    assert!(prediction.estimates.len() == 5 && prediction.estimates.iter().all(|e| e.value.is_finite()));
}

#[test]
fn a_bad_file_stops_no_other() {
    let mut bench = ready("bad-file");
    let star = star_csv(3900.0, 5700.0);
    bench.open(1, &[("bad.fits", "\u{89}PNG no spectrum"), ("good.csv", &star), ("empty.csv", ""), ("too.csv", &star)]);
    let events = bench.finish();
    assert_eq!(
        kinds(&events),
        ["skipped bad.fits", "found 0", "predicted 0", "skipped empty.csv", "found 1", "predicted 1", "done 1 false"]
    );
    assert!(events.iter().all(|e| !matches!(e, Event::Skipped { why, .. } if why.is_empty())));
}

#[test]
fn a_file_without_content_is_named() {
    let mut bench = ready("no-content");
    bench.ask(Request::Open { job: 1, paths: vec!["lost.fits".into()], columns: None });
    assert_eq!(kinds(&bench.finish()), ["skipped lost.fits", "done 1 false"]);
}

#[test]
fn rows_do_not_wait_for_the_model_and_answers_follow_it() {
    let mut bench = Bench::new();
    let star = star_csv(3900.0, 5700.0);
    bench.open(1, &[("a.csv", &star), ("b.csv", &star)]);
    bench.ask(Request::View { spectrum: 0 });
    assert_eq!(kinds(&bench.finish()), ["found 0", "found 1"]);
    bench.ask(Request::View { spectrum: 0 });
    assert_eq!(kinds(&bench.finish()), ["view 0"]);
    bench.session.model(Ok(untrained("late-model")));
    let events = bench.finish();
    assert_eq!(kinds(&events), ["view 0", "predicted 0", "predicted 1", "done 1 false"]);
    let Some(Event::View { view, .. }) = events.first() else { panic!("the view did not come again") };
    assert!(!view.model_flux.is_empty() && !view.ledger.is_empty());
}

#[test]
fn without_a_model_every_row_says_why() {
    let mut bench = Bench::new();
    bench.session.model(Err("the models are not there; reload".into()));
    bench.open(1, &[("a.csv", &star_csv(3900.0, 5700.0))]);
    let events = bench.finish();
    assert_eq!(kinds(&events), ["found 0", "refused 0", "done 1 false"]);
    assert!(events.contains(&Event::Refused { spectrum: 0, why: "the models are not there; reload".into() }));
}

#[test]
fn a_spectrum_beyond_the_models_range_is_refused_in_words() {
    let mut bench = ready("out-of-range");
    bench.open(1, &[("red.csv", &star_csv(6000.0, 8000.0))]);
    let events = bench.finish();
    assert_eq!(kinds(&events), ["found 0", "refused 0", "done 1 false"]);
    assert!(events.iter().any(|e| matches!(e, Event::Refused { why, .. } if why.contains("6000"))), "{events:?}");
}

#[test]
fn cancel_stops_a_job_and_keeps_what_it_found() {
    let mut bench = ready("cancel");
    let star = star_csv(3900.0, 5700.0);
    let names: Vec<String> = (0..40).map(|i| format!("{i}.csv")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), star.as_str())).collect();
    bench.open(1, &files);
    bench.open(2, &[("next.csv", &star)]);
    for _ in 0..7 {
        assert!(block_on(bench.session.step()));
    }
    let before = kinds(&bench.heard.take());
    let found = before.iter().filter(|k| k.starts_with("found")).count() as u32;
    assert!((1..40).contains(&found), "{before:?}");
    bench.ask(Request::Cancel { job: 1 });
    bench.ask(Request::View { spectrum: 0 });
    bench.ask(Request::Cancel { job: 99 });
    let next = found;
    let (refused, after): (Vec<String>, Vec<String>) =
        kinds(&bench.finish()).into_iter().partition(|k| k.starts_with("refused"));
    let unanswered = (0..found).filter(|i| !before.contains(&format!("predicted {i}")));
    assert_eq!(
        refused,
        unanswered.map(|i| format!("refused {i}")).collect::<Vec<_>>(),
        "each row tells that none comes"
    );
    assert_eq!(
        after,
        [
            "done 1 true".to_string(),
            "view 0".into(),
            format!("found {next}"),
            format!("predicted {next}"),
            "done 2 false".into()
        ]
    );
}

#[test]
fn what_the_user_says_of_a_spectrum_is_taken_and_taken_back() {
    let mut bench = ready("assume");
    bench.open(1, &[("a.csv", &star_csv(3900.0, 5700.0))]);
    let first = bench.finish();
    let Some(Event::Found { summary: as_read, .. }) = first.first() else { panic!("{first:?}") };

    let said = Assumptions {
        medium: Some(Medium::Air),
        frame: Some(Frame::Rest),
        resolving_power: Some(1500.0),
        columns: None,
    };
    bench.ask(Request::Assume { spectrum: 0, assumptions: said });
    let events = bench.finish();
    assert_eq!(kinds(&events), ["changed 0", "predicted 0"]);
    let Some(Event::Changed { summary, .. }) = events.first() else { panic!("{events:?}") };
    assert!((summary.wave_min_aa - as_read.wave_min_aa - 1.1).abs() < 0.1, "air to vacuum at 3900 Å is 1.1 Å");
    assert_eq!((summary.meta.medium.value, summary.meta.medium.source), (Medium::Air, Source::User));
    assert_eq!((summary.meta.frame.value, summary.meta.frame.source), (Frame::Rest, Source::User));
    assert_eq!(summary.meta.resolving_power.map(|r| (r.value, r.source)), Some((1500.0, Source::User)));

    bench.ask(Request::Assume { spectrum: 0, assumptions: Assumptions::default() });
    let events = bench.finish();
    let Some(Event::Changed { summary, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(summary.meta, as_read.meta);
    assert!((summary.wave_min_aa - as_read.wave_min_aa).abs() < 1e-4);
}

#[test]
fn after_clear_nothing_is_left() {
    let mut bench = ready("clear");
    bench.open(1, &[("a.csv", &star_csv(3900.0, 5700.0))]);
    bench.finish();
    bench.open(2, &[("b.csv", &star_csv(3900.0, 5700.0))]);
    bench.ask(Request::View { spectrum: 0 });
    bench.ask(Request::Clear);
    bench.ask(Request::View { spectrum: 0 });
    bench.ask(Request::Assume { spectrum: 0, assumptions: Assumptions::default() });
    assert_eq!(kinds(&bench.finish()), ["done 2 true"]);
}

#[test]
fn samples_that_were_let_go_are_read_again() {
    let mut bench = ready("let-go");
    let files: Vec<(String, String)> =
        (0..4).map(|i| (format!("{i}.csv"), star_csv(3900.0, 5700.0 + 12.0 * f64::from(i)))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, csv)| (name.as_str(), csv.as_str())).collect();
    let view_of = |bench: &mut Bench, spectrum| {
        bench.ask(Request::View { spectrum });
        match bench.finish().pop() {
            Some(Event::View { view, .. }) => view,
            other => panic!("no view: {other:?}"),
        }
    };
    bench.open(1, &files);
    bench.finish();
    let all_kept: Vec<_> = (0..4).map(|id| view_of(&mut bench, id)).collect();

    let mut bench = ready("let-go-again");
    bench.session = bench.session.keeping(50_000);
    bench.open(1, &files);
    bench.finish();
    // 1500 pixels of 25 bytes: one fits.
    assert!(bench.session.kept_bytes() <= 50_000, "{} bytes kept", bench.session.kept_bytes());
    for id in [0, 3, 1, 1] {
        assert_eq!(view_of(&mut bench, id), all_kept[id as usize]);
        assert!(bench.session.kept_bytes() <= 50_000);
    }
}

#[test]
fn files_of_a_zip_are_read_and_answered_one_by_one() {
    let star = star_csv(3900.0, 5700.0);
    let bytes =
        zipped(&[("night/a.csv", star.as_bytes()), ("notes.bin", &[0, 159, 146]), ("night/b.csv", star.as_bytes())]);
    let mut bench = ready("zip");
    bench.session = bench.session.keeping(0);
    bench.session.request(Request::Open { job: 1, paths: vec!["night.zip".into()], columns: None }, vec![bytes]);
    bench.ask(Request::View { spectrum: 1 });
    let events = bench.finish();
    assert_eq!(
        kinds(&events),
        ["found 0", "predicted 0", "skipped night.zip: notes.bin", "found 1", "predicted 1", "done 1 false"]
    );
    assert!(events.iter().any(|e| matches!(e, Event::Progress { files_done: 1, files_total: 3, .. })));
    // Only the newest stays: each of these is found in the zip again.
    bench.ask(Request::View { spectrum: 0 });
    bench.ask(Request::View { spectrum: 1 });
    bench.ask(Request::Assume { spectrum: 0, assumptions: Assumptions::default() });
    assert_eq!(kinds(&bench.finish()), ["view 0", "view 1", "changed 0", "predicted 0"]);
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("a new entry");
        zip.write_all(content).expect("memory takes it");
    }
    zip.finish().expect("memory takes it").into_inner()
}

/// A label's name and value, and whether its error is known.
type Said = (String, f64, bool);

#[test]
fn labels_find_their_spectra_whichever_comes_first() {
    let mut bench = ready("labels");
    let star = star_csv(3900.0, 5700.0);
    let table = "id,teff,e_teff,feh,cluster\na,5700,80,-0.4,\nb.csv,6000,,,M 67\nnobody,1,1,1,\nc,5,,,\nc,6,,,\n";
    bench.open(1, &[("labels.csv", table), ("night/a.csv", &star), ("night/b.csv", &star), ("x.csv", &star)]);
    let labelled = |events: &[Event]| -> Vec<(u32, Vec<Said>)> {
        let values = events.iter().filter_map(|e| match e {
            Event::Labelled { values } => Some(values.clone()),
            _ => None,
        });
        let plain = |e: &specola::result::Estimate| (e.label.name().to_string(), e.value, e.error.is_finite());
        values.flatten().map(|(id, all)| (id, all.iter().map(plain).collect())).collect()
    };
    let report = |events: &[Event]| {
        events.iter().rev().find_map(|e| match e {
            Event::Tables { tables } => Some(tables.clone()),
            _ => None,
        })
    };
    let events = bench.finish();
    assert_eq!(
        labelled(&events),
        [
            (0, vec![("teff".into(), 5700.0, true), ("feh".into(), -0.4, false)]),
            (1, vec![("teff".into(), 6000.0, false)])
        ]
    );
    let tables = report(&events).expect("the table is reported");
    let one = &tables[0];
    assert_eq!((one.name.as_str(), one.rows, one.matched, one.unnamed, one.unmatched), ("labels.csv", 5, 2, 1, 3));
    assert_eq!(one.unmatched_rows, ["nobody", "c", "c"]);

    // A spectrum that comes later finds its rows: two of them, so neither counts. Nothing is told twice.
    bench.open(2, &[("c.csv", &star)]);
    let events = bench.finish();
    assert_eq!(labelled(&events), []);
    assert_eq!(report(&events).expect("a new report")[0].ambiguous, ["c"]);

    // A later table counts before an earlier one; the same one again changes nothing.
    bench.open(3, &[("better.csv", "id,teff\na,5650\n"), ("labels.csv", table)]);
    let events = bench.finish();
    assert_eq!(labelled(&events), [(0, vec![("teff".into(), 5650.0, false)])]);
    assert_eq!(report(&events).expect("a new report").len(), 2);

    bench.ask(Request::Clear);
    bench.open(4, &[("night/a.csv", &star)]);
    assert_eq!(labelled(&bench.finish()), [], "forgotten with the spectra");
}

#[test]
fn columns_that_the_user_points_out_are_read() {
    // The flux stands before the wavelength, under names that say nothing; a remark keeps it from being read.
    let odd = |text: String| {
        let lines = text.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("HD 1,{},{}\n", cells[1], cells[0])
        });
        format!("star,p,q\n{}", lines.collect::<String>())
    };
    let text = odd(star_csv(3900.0, 5700.0));
    let columns = Columns { wave: 2, unit: WaveUnit::Angstrom, flux: 1, error: None };
    let mut bench = ready("columns");
    bench.open(1, &[("odd.csv", &text)]);
    assert_eq!(kinds(&bench.finish()), ["skipped odd.csv", "done 1 false"]);

    bench.session.request(Request::Preview { path: "odd.csv".into() }, vec![text.as_bytes().to_vec()]);
    match bench.finish().as_slice() {
        [Event::Preview { path, preview: Ok(preview) }] => {
            assert_eq!(
                (path.as_str(), &preview.names[..]),
                ("odd.csv", &["star".to_string(), "p".into(), "q".into()][..])
            );
        }
        other => panic!("{other:?}"),
    }
    let paths = vec!["odd.csv".to_string()];
    let open = Request::Open { job: 2, paths, columns: Some(columns) };
    bench.session.request(open, vec![text.as_bytes().to_vec()]);
    let events = bench.finish();
    assert_eq!(kinds(&events), ["found 0", "predicted 0", "done 2 false"]);
    let wave_min_aa = |events: &[Event]| {
        events.iter().find_map(|e| match e {
            Event::Found { summary, .. } | Event::Changed { summary, .. } => Some(summary.wave_min_aa),
            _ => None,
        })
    };
    assert_eq!(wave_min_aa(&events), Some(3900.0));

    // Another word about the same spectrum reads it anew, and taking it back too.
    let nanometres =
        Assumptions { columns: Some(Columns { unit: WaveUnit::Nanometre, ..columns }), ..Assumptions::default() };
    bench.ask(Request::Assume { spectrum: 0, assumptions: nanometres });
    assert_eq!(wave_min_aa(&bench.finish()), Some(39_000.0));
    bench.ask(Request::Assume { spectrum: 0, assumptions: Assumptions::default() });
    assert_eq!(kinds(&bench.finish()), ["refused 0"], "without help it cannot be read");
    bench.ask(Request::Assume {
        spectrum: 0,
        assumptions: Assumptions { columns: Some(columns), ..Assumptions::default() },
    });
    assert_eq!(wave_min_aa(&bench.finish()), Some(3900.0));
}

#[test]
fn wavelengths_in_a_file_beside_the_spectra_are_found() {
    // As GaiaXPy writes them: the fluxes in one file, the wavelengths in nm in another.
    let list = |of: &dyn Fn(usize) -> String| (0..100).map(of).collect::<Vec<_>>().join(", ");
    let spectra = format!(
        "source_id,flux,flux_error\n5937083312263887616,\"[{}]\",\"[{}]\"\n",
        list(&|i| format!("{}e-16", 2 + i % 3)),
        list(&|_| "1e-18".into())
    );
    let sampling = format!("pos\n\"({})\"\n", list(&|i| format!("{}", 336 + 2 * i)));
    let mut bench = ready("beside");
    bench.session = bench.session.keeping(0);
    bench.open(1, &[("xp/out_sampling.csv", &sampling), ("xp/out.csv", &spectra), ("lone_sampling.csv", &sampling)]);
    let events = bench.finish();
    let of_one = ["found 0", "skipped lone_sampling.csv"];
    assert_eq!(kinds(&events), of_one);
    assert_eq!(bench.session.for_host(), Some(ForHost::FetchKit), "the answer waits for the model that reads XP");
    let summary = events.iter().find_map(|e| match e {
        Event::Found { summary, .. } => Some(summary.clone()),
        _ => None,
    });
    let summary = summary.expect("the spectrum");
    assert_eq!((summary.wave_min_aa, summary.wave_max_aa), (3360.0, 5340.0));
    assert_eq!(summary.meta.id, "5937083312263887616");
    // Its samples were let go: both files are read again.
    bench.ask(Request::View { spectrum: 0 });
    assert_eq!(kinds(&bench.finish()), ["view 0"]);
}
