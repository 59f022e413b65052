//! Spectra in a session of the engine, with the readers and an untrained network.

use crate::support::driver::SessionDriver;
use crate::support::{Folder, star_csv, write_untrained_model};
use pollster::block_on;
use specola::engine::HostRequest;
use specola::engine::protocol::{Assumptions, Event, Request, SpectraEvent, SpectraRequest};
use specola::model::store::{Folder as ModelFolder, Store};
use specola::read::column_mapping::{ColumnMapping, WaveUnit};
use specola::spectrum::{Frame, Medium, Source};
use specola::task::predict::Predictor;

/// A session with an untrained model.
fn session_with_model(test: &str) -> SessionDriver {
    let mut driver = SessionDriver::new();
    driver.session.set_model(Ok(untrained_model(test)));
    driver
}

fn untrained_model(test: &str) -> Predictor {
    let folder = Folder::new(test);
    let entry = write_untrained_model(folder.path());
    let store = Store::new(ModelFolder::new(folder.path()));
    let weights = block_on(store.weights(&entry, |_, _| {})).expect("the weights are there");
    Predictor::new(&entry, &weights, &burn::tensor::Device::flex()).expect("the model is whole")
}

/// Kinds of the events in order, with the number of the spectrum if there is one. Progress events are omitted.
fn kinds(events: &[Event]) -> Vec<String> {
    let kind = |event: &Event| match event {
        Event::Spectra(SpectraEvent::Added { spectrum, .. }) => Some(format!("found {spectrum}")),
        Event::Spectra(SpectraEvent::Predicted { spectrum, .. }) => Some(format!("predicted {spectrum}")),
        Event::Spectra(SpectraEvent::NotPredicted { spectrum, .. }) => Some(format!("refused {spectrum}")),
        Event::Spectra(SpectraEvent::Updated { spectrum, .. }) => Some(format!("changed {spectrum}")),
        Event::Spectra(SpectraEvent::View { spectrum, .. }) => Some(format!("view {spectrum}")),
        Event::Spectra(SpectraEvent::Skipped { item: what, .. }) => Some(format!("skipped {what}")),
        Event::Spectra(SpectraEvent::Done { job, cancelled }) => Some(format!("done {job} {cancelled}")),
        _ => None,
    };
    events.iter().filter_map(kind).collect()
}

#[test]
fn first_prediction_waits_for_no_other_file() {
    let mut driver = session_with_model("first-answer");
    let star = star_csv(3900.0, 5700.0);
    driver.open(7, &[("a.csv", &star), ("b.csv", &star), ("c.csv", &star)]);
    let events = driver.finish();
    assert_eq!(
        kinds(&events),
        ["found 0", "predicted 0", "found 1", "found 2", "predicted 1", "predicted 2", "done 7 false"]
    );
    let Some(Event::Spectra(SpectraEvent::Progress {
        job: 7,
        files_done: 3,
        files_total: 3,
        spectra_done: 3,
        spectra_total: 3,
    })) = events.iter().rev().find(|e| matches!(e, Event::Spectra(SpectraEvent::Progress { .. })))
    else {
        panic!("the last progress is not of a finished job: {events:?}");
    };
    let Some(Event::Spectra(SpectraEvent::Predicted { prediction, .. })) =
        events.iter().find(|e| matches!(e, Event::Spectra(SpectraEvent::Predicted { .. })))
    else {
        panic!("nothing was predicted");
    };
    assert_eq!(prediction.model, "untrained 1");
    assert!(prediction.estimates.len() == 5 && prediction.estimates.iter().all(|e| e.value.is_finite()));
}

#[test]
fn unreadable_files_do_not_stop_a_job() {
    let mut driver = session_with_model("bad-file");
    let star = star_csv(3900.0, 5700.0);
    driver
        .open(1, &[("bad.fits", "\u{89}PNG no spectrum"), ("good.csv", &star), ("empty.csv", ""), ("too.csv", &star)]);
    let events = driver.finish();
    assert_eq!(
        kinds(&events),
        ["skipped bad.fits", "found 0", "predicted 0", "skipped empty.csv", "found 1", "predicted 1", "done 1 false"]
    );
    assert!(
        events
            .iter()
            .all(|e| !matches!(e, Event::Spectra(SpectraEvent::Skipped { reason: why, .. }) if why.is_empty()))
    );
}

#[test]
fn files_without_content_are_named() {
    let mut driver = session_with_model("no-content");
    driver.ask(Request::Spectra(SpectraRequest::Open { job: 1, paths: vec!["lost.fits".into()], columns: None }));
    assert_eq!(kinds(&driver.finish()), ["skipped lost.fits", "done 1 false"]);
}

#[test]
fn spectra_appear_before_the_model_and_predictions_after_it() {
    let mut driver = SessionDriver::new();
    let star = star_csv(3900.0, 5700.0);
    driver.open(1, &[("a.csv", &star), ("b.csv", &star)]);
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 0 }));
    assert_eq!(kinds(&driver.finish()), ["found 0", "found 1"]);
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 0 }));
    assert_eq!(kinds(&driver.finish()), ["view 0"]);
    driver.session.set_model(Ok(untrained_model("late-model")));
    let events = driver.finish();
    assert_eq!(kinds(&events), ["view 0", "predicted 0", "predicted 1", "done 1 false"]);
    let Some(Event::Spectra(SpectraEvent::View { view, .. })) = events.first() else { panic!("no new view") };
    assert!(!view.model_flux.is_empty() && !view.processing_history.is_empty());
}

#[test]
fn without_a_model_every_spectrum_has_a_reason() {
    let mut driver = SessionDriver::new();
    driver.session.set_model(Err("the models are not there; reload".into()));
    driver.open(1, &[("a.csv", &star_csv(3900.0, 5700.0))]);
    let events = driver.finish();
    assert_eq!(kinds(&events), ["found 0", "refused 0", "done 1 false"]);
    assert!(events.contains(&Event::Spectra(SpectraEvent::NotPredicted {
        spectrum: 0,
        reason: "the models are not there; reload".into()
    })));
}

#[test]
fn spectra_outside_the_model_range_are_refused() {
    let mut driver = session_with_model("out-of-range");
    driver.open(1, &[("red.csv", &star_csv(6000.0, 8000.0))]);
    let events = driver.finish();
    assert_eq!(kinds(&events), ["found 0", "refused 0", "done 1 false"]);
    assert!(
        events.iter().any(
            |e| matches!(e, Event::Spectra(SpectraEvent::NotPredicted { reason: why, .. }) if why.contains("6000"))
        ),
        "{events:?}"
    );
}

#[test]
fn cancel_stops_a_job_and_keeps_its_spectra() {
    let mut driver = session_with_model("cancel");
    let star = star_csv(3900.0, 5700.0);
    let names: Vec<String> = (0..40).map(|i| format!("{i}.csv")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), star.as_str())).collect();
    driver.open(1, &files);
    driver.open(2, &[("next.csv", &star)]);
    for _ in 0..7 {
        assert!(block_on(driver.session.step()));
    }
    let before = kinds(&driver.events.take());
    let found = before.iter().filter(|k| k.starts_with("found")).count() as u32;
    assert!((1..40).contains(&found), "{before:?}");
    driver.ask(Request::Spectra(SpectraRequest::Cancel { job: 1 }));
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 0 }));
    driver.ask(Request::Spectra(SpectraRequest::Cancel { job: 99 }));
    let next = found;
    let (refused, after): (Vec<String>, Vec<String>) =
        kinds(&driver.finish()).into_iter().partition(|k| k.starts_with("refused"));
    let unanswered = (0..found).filter(|i| !before.contains(&format!("predicted {i}")));
    assert_eq!(
        refused,
        unanswered.map(|i| format!("refused {i}")).collect::<Vec<_>>(),
        "each spectrum without a prediction is refused"
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
fn assumptions_are_set_and_reset() {
    let mut driver = session_with_model("assume");
    driver.open(1, &[("a.csv", &star_csv(3900.0, 5700.0))]);
    let first = driver.finish();
    let Some(Event::Spectra(SpectraEvent::Added { summary: as_read, .. })) = first.get(1) else { panic!("{first:?}") };

    let assumptions = Assumptions {
        medium: Some(Medium::Air),
        frame: Some(Frame::Rest),
        resolving_power: Some(1500.0),
        columns: None,
    };
    driver.ask(Request::Spectra(SpectraRequest::SetAssumptions { spectrum: 0, assumptions }));
    let events = driver.finish();
    assert_eq!(kinds(&events), ["changed 0", "predicted 0"]);
    let Some(Event::Spectra(SpectraEvent::Updated { summary, .. })) = events.first() else { panic!("{events:?}") };
    assert!((summary.wave_min_aa - as_read.wave_min_aa - 1.1).abs() < 0.1, "air to vacuum at 3900 Å is 1.1 Å");
    assert_eq!((summary.meta.medium.value, summary.meta.medium.source), (Medium::Air, Source::User));
    assert_eq!((summary.meta.frame.value, summary.meta.frame.source), (Frame::Rest, Source::User));
    assert_eq!(summary.meta.resolving_power.map(|r| (r.value, r.source)), Some((1500.0, Source::User)));

    driver.ask(Request::Spectra(SpectraRequest::SetAssumptions { spectrum: 0, assumptions: Assumptions::default() }));
    let events = driver.finish();
    let Some(Event::Spectra(SpectraEvent::Updated { summary, .. })) = events.first() else { panic!("{events:?}") };
    assert_eq!(summary.meta, as_read.meta);
    assert!((summary.wave_min_aa - as_read.wave_min_aa).abs() < 1e-4);
}

#[test]
fn clear_removes_all_spectra() {
    let mut driver = session_with_model("clear");
    driver.open(1, &[("a.csv", &star_csv(3900.0, 5700.0))]);
    driver.finish();
    driver.open(2, &[("b.csv", &star_csv(3900.0, 5700.0))]);
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 0 }));
    driver.ask(Request::Spectra(SpectraRequest::Clear));
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 0 }));
    driver.ask(Request::Spectra(SpectraRequest::SetAssumptions { spectrum: 0, assumptions: Assumptions::default() }));
    assert_eq!(kinds(&driver.finish()), ["done 2 true"]);
}

#[test]
fn evicted_spectra_are_reloaded() {
    let mut driver = session_with_model("let-go");
    let files: Vec<(String, String)> =
        (0..4).map(|i| (format!("{i}.csv"), star_csv(3900.0, 5700.0 + 12.0 * f64::from(i)))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, csv)| (name.as_str(), csv.as_str())).collect();
    let view_of = |driver: &mut SessionDriver, spectrum| {
        driver.ask(Request::Spectra(SpectraRequest::View { spectrum }));
        match driver.finish().pop() {
            Some(Event::Spectra(SpectraEvent::View { view, .. })) => view,
            other => panic!("no view: {other:?}"),
        }
    };
    driver.open(1, &files);
    driver.finish();
    let expected: Vec<_> = (0..4).map(|id| view_of(&mut driver, id)).collect();

    let mut driver = session_with_model("let-go-again");
    driver.session = driver.session.with_memory_limit(50_000);
    driver.open(1, &files);
    driver.finish();
    // 1500 pixels of 25 bytes: one fits.
    assert!(driver.session.bytes_in_memory() <= 50_000, "{} bytes in memory", driver.session.bytes_in_memory());
    for id in [0, 3, 1, 1] {
        assert_eq!(view_of(&mut driver, id), expected[id as usize]);
        assert!(driver.session.bytes_in_memory() <= 50_000);
    }
}

#[test]
fn files_of_a_zip_are_read_one_by_one() {
    let star = star_csv(3900.0, 5700.0);
    let bytes =
        zipped(&[("night/a.csv", star.as_bytes()), ("notes.bin", &[0, 159, 146]), ("night/b.csv", star.as_bytes())]);
    let mut driver = session_with_model("zip");
    driver.session = driver.session.with_memory_limit(0);
    driver.session.request(
        Request::Spectra(SpectraRequest::Open { job: 1, paths: vec!["night.zip".into()], columns: None }),
        vec![bytes],
    );
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 1 }));
    let events = driver.finish();
    assert_eq!(
        kinds(&events),
        ["found 0", "predicted 0", "skipped night.zip: notes.bin", "found 1", "predicted 1", "done 1 false"]
    );
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Spectra(SpectraEvent::Progress { files_done: 1, files_total: 3, .. })))
    );
    // Only the newest spectrum stays in memory. The others are read from the zip again.
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 0 }));
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 1 }));
    driver.ask(Request::Spectra(SpectraRequest::SetAssumptions { spectrum: 0, assumptions: Assumptions::default() }));
    assert_eq!(kinds(&driver.finish()), ["view 0", "view 1", "changed 0", "predicted 0"]);
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
type LabelValue = (String, f64, bool);

#[test]
fn labels_match_spectra_in_any_order() {
    let mut driver = session_with_model("labels");
    let star = star_csv(3900.0, 5700.0);
    let table = "id,teff,e_teff,feh,cluster\na,5700,80,-0.4,\nb.csv,6000,,,M 67\nnobody,1,1,1,\nc,5,,,\nc,6,,,\n";
    driver.open(1, &[("labels.csv", table), ("night/a.csv", &star), ("night/b.csv", &star), ("x.csv", &star)]);
    let labelled = |events: &[Event]| -> Vec<(u32, Vec<LabelValue>)> {
        let values = events.iter().filter_map(|e| match e {
            Event::Spectra(SpectraEvent::Labels { values }) => Some(values.clone()),
            _ => None,
        });
        let plain = |e: &specola::result::Estimate| (e.label.name().to_string(), e.value, e.error.is_finite());
        values.flatten().map(|(id, all)| (id, all.iter().map(plain).collect())).collect()
    };
    let report = |events: &[Event]| {
        events.iter().rev().find_map(|e| match e {
            Event::Spectra(SpectraEvent::LabelTables { tables }) => Some(tables.clone()),
            _ => None,
        })
    };
    let events = driver.finish();
    assert_eq!(
        labelled(&events),
        [
            (0, vec![("teff".into(), 5700.0, true), ("feh".into(), -0.4, false)]),
            (1, vec![("teff".into(), 6000.0, false)])
        ]
    );
    let tables = report(&events).expect("the table is reported");
    let one = &tables[0];
    assert_eq!(
        (one.name.as_str(), one.rows, one.matched, one.spectra_without_row, one.rows_without_spectrum),
        ("labels.csv", 5, 2, 1, 3)
    );
    assert_eq!(one.unmatched_ids, ["nobody", "c", "c"]);

    // A later spectrum matches two rows, so that neither is used. No label is sent twice.
    driver.open(2, &[("c.csv", &star)]);
    let events = driver.finish();
    assert_eq!(labelled(&events), []);
    assert_eq!(report(&events).expect("a new report")[0].ambiguous, ["c"]);

    // A later table has priority over an earlier table. The same table again changes nothing.
    driver.open(3, &[("better.csv", "id,teff\na,5650\n"), ("labels.csv", table)]);
    let events = driver.finish();
    assert_eq!(labelled(&events), [(0, vec![("teff".into(), 5650.0, false)])]);
    assert_eq!(report(&events).expect("a new report").len(), 2);

    driver.ask(Request::Spectra(SpectraRequest::Clear));
    driver.open(4, &[("night/a.csv", &star)]);
    assert_eq!(labelled(&driver.finish()), [], "cleared with the spectra");
}

#[test]
fn column_mappings_of_the_user_are_used() {
    // The flux is before the wavelength, the names have no meaning, and a column of text stops the reader.
    let reorder = |text: String| {
        let lines = text.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("HD 1,{},{}\n", cells[1], cells[0])
        });
        format!("star,p,q\n{}", lines.collect::<String>())
    };
    let text = reorder(star_csv(3900.0, 5700.0));
    let columns = ColumnMapping { wave: 2, unit: WaveUnit::Angstrom, flux: 1, error: None };
    let mut driver = session_with_model("columns");
    driver.open(1, &[("odd.csv", &text)]);
    assert_eq!(kinds(&driver.finish()), ["skipped odd.csv", "done 1 false"]);

    driver
        .session
        .request(Request::Spectra(SpectraRequest::Preview { path: "odd.csv".into() }), vec![text.as_bytes().to_vec()]);
    match driver.finish().as_slice() {
        [Event::Spectra(SpectraEvent::Preview { path, preview: Ok(preview) })] => {
            assert_eq!(
                (path.as_str(), &preview.names[..]),
                ("odd.csv", &["star".to_string(), "p".into(), "q".into()][..])
            );
        }
        other => panic!("{other:?}"),
    }
    let paths = vec!["odd.csv".to_string()];
    let open = Request::Spectra(SpectraRequest::Open { job: 2, paths, columns: Some(columns) });
    driver.session.request(open, vec![text.as_bytes().to_vec()]);
    let events = driver.finish();
    assert_eq!(kinds(&events), ["found 0", "predicted 0", "done 2 false"]);
    let wave_min_aa = |events: &[Event]| {
        events.iter().find_map(|e| match e {
            Event::Spectra(SpectraEvent::Added { summary, .. })
            | Event::Spectra(SpectraEvent::Updated { summary, .. }) => Some(summary.wave_min_aa),
            _ => None,
        })
    };
    assert_eq!(wave_min_aa(&events), Some(3900.0));

    // Another assumption reads the spectrum again, and so does its reset.
    let nanometres =
        Assumptions { columns: Some(ColumnMapping { unit: WaveUnit::Nanometre, ..columns }), ..Assumptions::default() };
    driver.ask(Request::Spectra(SpectraRequest::SetAssumptions { spectrum: 0, assumptions: nanometres }));
    assert_eq!(wave_min_aa(&driver.finish()), Some(39_000.0));
    driver.ask(Request::Spectra(SpectraRequest::SetAssumptions { spectrum: 0, assumptions: Assumptions::default() }));
    assert_eq!(kinds(&driver.finish()), ["refused 0"], "without a column mapping it cannot be read");
    driver.ask(Request::Spectra(SpectraRequest::SetAssumptions {
        spectrum: 0,
        assumptions: Assumptions { columns: Some(columns), ..Assumptions::default() },
    }));
    assert_eq!(wave_min_aa(&driver.finish()), Some(3900.0));
}

#[test]
fn wavelengths_in_a_separate_file_are_found() {
    // As GaiaXPy writes them: the fluxes in one file, the wavelengths in nm in another.
    let list = |of: &dyn Fn(usize) -> String| (0..100).map(of).collect::<Vec<_>>().join(", ");
    let spectra = format!(
        "source_id,flux,flux_error\n5937083312263887616,\"[{}]\",\"[{}]\"\n",
        list(&|i| format!("{}e-16", 2 + i % 3)),
        list(&|_| "1e-18".into())
    );
    let sampling = format!("pos\n\"({})\"\n", list(&|i| format!("{}", 336 + 2 * i)));
    let mut driver = session_with_model("beside");
    driver.session = driver.session.with_memory_limit(0);
    driver.open(1, &[("xp/out_sampling.csv", &sampling), ("xp/out.csv", &spectra), ("lone_sampling.csv", &sampling)]);
    let events = driver.finish();
    let expected_kinds = ["found 0", "skipped lone_sampling.csv"];
    assert_eq!(kinds(&events), expected_kinds);
    assert_eq!(
        driver.session.host_request(),
        Some(HostRequest::FetchXpModel),
        "the prediction waits for the model that reads XP"
    );
    let summary = events.iter().find_map(|e| match e {
        Event::Spectra(SpectraEvent::Added { summary, .. }) => Some(summary.clone()),
        _ => None,
    });
    let summary = summary.expect("the spectrum");
    assert_eq!((summary.wave_min_aa, summary.wave_max_aa), (3360.0, 5340.0));
    assert_eq!(summary.meta.id, "5937083312263887616");
    // The spectrum was evicted: both files are read again.
    driver.ask(Request::Spectra(SpectraRequest::View { spectrum: 0 }));
    assert_eq!(kinds(&driver.finish()), ["view 0"]);
}
