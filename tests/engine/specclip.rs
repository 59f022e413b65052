//! Published `SpecCLIP` networks in a session of the engine: a complete folder, a single checkpoint, and a damaged file.

use crate::support::driver::SessionDriver;
use crate::support::golden::bytes;
use crate::support::published::unpacked;
use crate::support::star_csv;
use burn::tensor::Device;
use pollster::block_on;
use specola::engine::protocol::{Event, Request, SpecClipEvent, SpecClipReport, SpecClipRequest};
use specola::model::specclip;
use specola::read::read;
use specola::result::specclip::SpecClipValue;
use specola::task::specclip::{Input, SpecClip};

type Files = Vec<(String, Vec<u8>)>;

/// A session without a shipped model.
fn driver() -> SessionDriver {
    let mut driver = SessionDriver::new();
    driver.session.set_model(Err("this test has no other model".into()));
    driver
}

fn add_networks(driver: &mut SessionDriver, files: Files) {
    let (paths, files) = files.into_iter().unzip();
    driver.session.request(Request::SpecClip(SpecClipRequest::Add { paths }), files);
}

/// Every file of a folder, with paths below `name`.
fn files_below(folder: &std::path::Path, name: &str) -> Files {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            all.extend(files_below(&entry.path(), &name));
        } else {
            all.push((name, std::fs::read(entry.path()).expect("its bytes")));
        }
    }
    all
}

fn values_of(events: &[Event]) -> Vec<(u32, Result<Vec<SpecClipValue>, String>)> {
    let values = |event: &Event| match event {
        Event::SpecClip(SpecClipEvent::Values { spectrum, values }) => Some((*spectrum, values.clone())),
        _ => None,
    };
    events.iter().filter_map(values).collect()
}

fn last_report(events: &[Event]) -> SpecClipReport {
    let report = |event: &Event| match event {
        Event::SpecClip(SpecClipEvent::Status(report)) => Some((**report).clone()),
        _ => None,
    };
    events.iter().rev().find_map(report).expect("a report")
}

#[test]
fn the_published_folder_predicts_earlier_and_later_spectra() {
    let folder = unpacked("session-networks");
    let files = files_below(&folder.path().join("system"), "Downloads/SpecCLIP");
    let star = star_csv(3690.0, 9110.0);
    // The values of the command line.
    let files_on_disk = specclip::Folder::new(&folder.path().join("system"));
    let mut specclip_model = SpecClip::open(files_on_disk, &[], &Device::flex()).expect("the published folder");
    let spectrum = read("a.csv", star.as_bytes()).expect("a spectrum").spectra.remove(0);
    let input = Input::of(&spectrum).expect("a spectrum that the published recipe takes");
    let expected = block_on(specclip_model.measure(&[input])).expect("an answer").remove(0).values;
    assert_eq!(expected.len(), 23);

    let mut driver = driver();
    driver.open(1, &[("a.csv", &star)]);
    driver.finish();
    add_networks(&mut driver, files);
    let events = driver.finish();
    let report = last_report(&events);
    assert!(report.is_complete && report.busy.is_none(), "{report:?}");
    assert_eq!((report.done, report.total), (1, 1));
    assert_eq!(values_of(&events), [(0, Ok(expected.clone()))]);

    driver.open(1, &[("b.csv", &star)]);
    assert_eq!(values_of(&driver.finish()), [(1, Ok(expected))]);
    // A spectrum that the published preprocessing refuses has an error, and the others keep their values.
    driver.open(1, &[("short.csv", &star_csv(5000.0, 5700.0))]);
    assert!(matches!(values_of(&driver.finish()).as_slice(), [(2, Err(why))] if why.contains("LAMOST")));
    driver.ask(Request::SpecClip(SpecClipRequest::Remove));
    driver.open(1, &[("c.csv", &star)]);
    assert_eq!(values_of(&driver.finish()), []);
}

#[test]
fn a_single_checkpoint_is_recognised_and_a_damaged_file_named() {
    let mut driver = driver();
    let whole = bytes("lrs_mt_tiny.ckpt");
    let cut = whole[..whole.len() / 2].to_vec();
    add_networks(&mut driver, vec![("lrs_encoder.ckpt".into(), whole), ("cut.ckpt".into(), cut)]);
    let report = last_report(&driver.finish());
    assert!(!report.is_complete && report.missing.contains("specclip_model"), "{report:?}");
    let (kind, parameters, published) = report.networks[0].content.clone().expect("a network");
    assert_eq!((kind.as_str(), published), ("LRS masked transformer", 42_677_013));
    // The golden file has fewer parameters than the published network.
    assert!(parameters > 1000 && parameters < published, "{parameters}");
    assert_eq!(report.networks[1].path, "cut.ckpt");
    assert!(report.networks[1].content.is_err());
}
