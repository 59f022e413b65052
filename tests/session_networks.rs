//! Published networks that are dropped on the page, in the engine's session: a whole folder, a checkpoint alone, and what is
//! neither.
#![cfg(feature = "cli")]

mod support;

use burn::tensor::Device;
use pollster::block_on;
use specola::engine::{Event, NetworksReport, Request};
use specola::model::published;
use specola::read::read;
use specola::result::catalogue::Measured;
use specola::task::published::{Input, System};
use support::bench::Bench;
use support::golden::bytes;
use support::published::unpacked;
use support::star_csv;

type Files = Vec<(String, Vec<u8>)>;

/// A session without a shipped model.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.session.model(Err("this test has no other model".into()));
    bench
}

fn drop_networks(bench: &mut Bench, files: Files) {
    let (paths, files) = files.into_iter().unzip();
    bench.session.request(Request::Networks { paths }, files);
}

/// Every file of a folder, below a name that a user may have given it.
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

fn answers(events: &[Event]) -> Vec<(u32, Result<Vec<Measured>, String>)> {
    let answer = |event: &Event| match event {
        Event::Measured { spectrum, values } => Some((*spectrum, values.clone())),
        _ => None,
    };
    events.iter().filter_map(answer).collect()
}

fn last_report(events: &[Event]) -> NetworksReport {
    let report = |event: &Event| match event {
        Event::Networks { report } => Some((**report).clone()),
        _ => None,
    };
    events.iter().rev().find_map(report).expect("a report")
}

#[test]
fn the_published_folder_answers_for_spectra_before_and_after_it() {
    let folder = unpacked("session-networks");
    let files = files_below(&folder.path().join("system"), "Downloads/SpecCLIP");
    let star = star_csv(3690.0, 9110.0);
    // The command line's way to the same numbers.
    let disk = published::Folder::new(&folder.path().join("system"));
    let mut system = System::open(disk, &[], &Device::flex()).expect("the published folder");
    let spectrum = read("a.csv", star.as_bytes()).expect("a spectrum").spectra.remove(0);
    let input = Input::of(&spectrum).expect("a spectrum that the published recipe takes");
    let wanted = block_on(system.measure(&[input])).expect("an answer").remove(0).values;
    assert_eq!(wanted.len(), 23);

    let mut bench = bench();
    bench.open(1, &[("a.csv", &star)]);
    bench.finish();
    drop_networks(&mut bench, files);
    let events = bench.finish();
    let report = last_report(&events);
    assert!(report.is_system && report.busy.is_none(), "{report:?}");
    assert_eq!((report.done, report.total), (1, 1));
    assert_eq!(answers(&events), [(0, Ok(wanted.clone()))]);

    bench.open(1, &[("b.csv", &star)]);
    assert_eq!(answers(&bench.finish()), [(1, Ok(wanted))]);
    // What the published recipe does not take is told, and nothing else is lost.
    bench.open(1, &[("short.csv", &star_csv(5000.0, 5700.0))]);
    assert!(matches!(answers(&bench.finish()).as_slice(), [(2, Err(why))] if why.contains("LAMOST")));
    bench.ask(Request::ForgetNetworks);
    bench.open(1, &[("c.csv", &star)]);
    assert_eq!(answers(&bench.finish()), []);
}

#[test]
fn a_checkpoint_alone_is_recognised_and_a_damaged_one_named() {
    let mut bench = bench();
    let whole = bytes("lrs_mt_tiny.ckpt");
    let cut = whole[..whole.len() / 2].to_vec();
    drop_networks(&mut bench, vec![("lrs_encoder.ckpt".into(), whole), ("cut.ckpt".into(), cut)]);
    let report = last_report(&bench.finish());
    assert!(!report.is_system && report.not_system.contains("specclip_model"), "{report:?}");
    let (kind, parameters, published) = report.networks[0].what.clone().expect("a network");
    assert_eq!((kind.as_str(), published), ("LRS masked transformer", 42_677_013));
    // The golden file's own keys, counted by hand from its list.
    assert!(parameters > 1000 && parameters < published, "{parameters}");
    assert_eq!(report.networks[1].path, "cut.ckpt");
    assert!(report.networks[1].what.is_err());
}
