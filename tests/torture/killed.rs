//! Kills at any moment, and manifests cut anywhere: the earlier file or the complete new one is there, nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use specola::model::manifest::Manifest;
use specola::model::publish::publish;
use specola::model::store::MANIFEST;

use crate::attack::{names, print_row, run, sized, specola};
use crate::support::{Folder, star_csv, write_untrained_model};

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    names(folder)
        .into_iter()
        .map(|name| (name.clone(), fs::read(folder.join(&name)).expect("it can be read")))
        .collect()
}

#[test]
fn a_killed_run_leaves_the_earlier_file_or_the_new_one() {
    let folder = Folder::new("killed");
    for i in 0..12 {
        folder.write(&format!("stars/{i}.csv"), star_csv(3900.0 + i as f64, 5700.0));
    }
    let begin = Instant::now();
    let (mut earlier, mut new) = (0, 0);
    for command in ["predict stars -o out", "embed stars -o out"] {
        let whole = run(&folder, command);
        assert_eq!(whole.status.code(), Some(0), "{}", whole.stderr);
        let complete = fs::read(folder.path().join("out")).expect("the output");
        let (kills, length) = (sized(6, 60), whole.seconds * 1.2);
        for i in 0..kills {
            fs::write(folder.path().join("out"), "earlier").expect("it can be written");
            let mut child = specola(&folder)
                .args(command.split_whitespace())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            std::thread::sleep(Duration::from_secs_f64(length * (i as f64 + 0.5) / kills as f64));
            let _ = child.kill();
            let _ = child.wait();
            let found = fs::read(folder.path().join("out")).expect("a file is there");
            let is_earlier = found == b"earlier";
            assert!(is_earlier || found == complete, "{command}: {} bytes after kill {i}", found.len());
            *(if is_earlier { &mut earlier } else { &mut new }) += 1;
        }
        // The next run removes what the killed ones left.
        assert_eq!(run(&folder, command).status.code(), Some(0));
        assert!(names(folder.path()).iter().all(|name| !name.ends_with(".part")), "{:?}", names(folder.path()));
    }
    let result = format!("{earlier} times the earlier file, {new} times the new one, never another");
    print_row(
        &format!("kill -9 at {} moments of predict and embed", earlier + new),
        &result,
        None,
        begin.elapsed().as_secs_f64(),
    );
}

#[test]
fn a_cut_manifest_costs_no_file() {
    let folder = Folder::new("manifest");
    let entry = write_untrained_model(folder.path());
    folder.write("foreign.bin", "somebody's");
    let whole = fs::read(folder.path().join(MANIFEST)).expect("the manifest");
    let begin = Instant::now();
    let step = whole.len().div_ceil(sized(40, 2000)).max(1);
    let (mut refused, mut n) = (0, 0);
    for cut in (0..whole.len()).step_by(step) {
        fs::write(folder.path().join(MANIFEST), &whole[..cut]).expect("it can be written");
        let before = contents(folder.path());
        n += 1;
        refused += usize::from(publish(folder.path(), b"new weights", entry.clone(), "").is_err());
        assert_eq!(contents(folder.path()), before, "cut at {cut}");
    }
    assert_eq!(refused, n);
    // A file that another process half replaced is never seen: whole again, it is used.
    fs::write(folder.path().join(MANIFEST), &whole).expect("it can be written");
    publish(folder.path(), b"new weights", entry, "").expect("it is published");
    let manifest = fs::read(folder.path().join(MANIFEST)).expect("the manifest");
    assert!(Manifest::parse(&manifest).is_ok() && folder.path().join("foreign.bin").exists());
    print_row(
        &format!("publishing beside a manifest cut at {n} places"),
        "refused each time; no file changed",
        None,
        begin.elapsed().as_secs_f64(),
    );
}
