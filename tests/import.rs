//! Checkpoints in their real containers, and hostile ones (`tests/golden`).
#![cfg(feature = "cli")]

mod support;

use std::io::{Cursor, Write};

use proptest::test_runner::{Config, TestRunner};
use specola::model::import::{Checkpoint, ImportError, Imported, NetworkConfig};
use specola::nn::tokens::{SliceConfig, TokensConfig};
use support::golden::{bytes, weights};

fn import(bytes: &[u8]) -> Result<Imported, ImportError> {
    Checkpoint::open(Cursor::new(bytes))?.import(|_| {})
}

/// Every tensor of a checkpoint is that of its safetensors twin.
#[test]
fn checkpoints_hold_their_twins_tensors() {
    for name in [
        "lrs_mt_tiny.ckpt",
        "xp_mt_tiny.ckpt",
        "xp_oae_tiny.ckpt",
        "clip_base_tiny.ckpt",
        "clip_pr_tiny.ckpt",
        "clip_split_tiny.ckpt",
        "mlp_bn_tiny.pt",
        "maf1d_tiny.ckpt",
        "maf3d_tiny.ckpt",
        "nsf1d_tiny.ckpt",
        "nsf3d_tiny.ckpt",
        "sbi_maf_0233.pkl",
        "sbi_nsf_0233.pkl",
    ] {
        let mut file = Checkpoint::open(Cursor::new(bytes(name))).unwrap_or_else(|e| panic!("{name}: {e}"));
        let twin = weights(name.split_once('.').expect("an ending").0);
        let mut names = 0;
        for tensor in twin.names() {
            let shape = twin.shape(tensor).expect("its shape");
            let got = file.read(tensor, shape).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(got, twin.get(tensor, shape).expect("its numbers"), "{name}: {tensor}");
            names += 1;
        }
        // A constant of the normal distribution, which PyTorch does not save with the rest.
        let saved = file.shapes().filter(|(tensor, _)| *tensor != "net._distribution._log_z").count();
        assert_eq!(saved, names, "{name}");
        let imported = file.import(|_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
        for slot in imported.network.slots() {
            assert_eq!(
                imported.tensors.get(&slot.name, &slot.shape).expect("imported"),
                twin.get(&slot.name, &slot.shape).expect("in the twin"),
                "{name}: {}",
                slot.name
            );
        }
    }
}

#[test]
fn hyper_parameters_come_from_the_checkpoint() {
    let NetworkConfig::MaskedTransformer(lrs) = import(&bytes("lrs_mt_tiny.ckpt")).expect("imported").network else {
        panic!("another network")
    };
    assert_eq!((lrs.embed_dim, lrs.num_layers, lrs.num_heads, lrs.max_len), (48, 2, 3, 150));
    assert_eq!(lrs.tokens, TokensConfig::Slices(SliceConfig::new()));
    let NetworkConfig::Clip(clip) = import(&bytes("clip_split_tiny.ckpt")).expect("imported").network else {
        panic!("another network")
    };
    assert_eq!((clip.lrs.num_heads, clip.lrs_head.heads, clip.lrs_head.widths), (2, vec![4, 2], vec![12, 4]));
    assert_eq!(clip.xp_head.inner_width, 24);
    let decoders = clip.decoders.expect("decoders");
    assert_eq!((decoders.xp_hidden, decoders.lrs_pixels), (vec![48, 24, 12], 52));
}

#[test]
fn the_labels_of_an_sbi_pickle_keep_their_units() {
    let imported = import(&bytes("sbi_maf_0233.pkl")).expect("imported");
    for name in ["means", "stds"] {
        assert_eq!(imported.tensors.get(name, &[1]).expect(name).len(), 1);
    }
}

/// The same network through safetensors, and our own file again.
#[test]
fn what_is_written_is_read_again() {
    let first = import(&bytes("mlp_bn_tiny.safetensors")).expect("imported");
    let again = import(&first.tensors.to_f32_file().expect("a file")).expect("imported");
    assert_eq!(first.parameters, again.parameters);
    for slot in first.network.slots() {
        let of = |i: &Imported| i.tensors.get(&slot.name, &slot.shape).expect("an array").to_vec();
        assert_eq!(of(&first), of(&again));
    }
}

fn zip_of(pickle: &[u8], data: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", options).expect("a file");
    zip.write_all(pickle).expect("written");
    for (name, bytes) in data {
        zip.start_file(format!("archive/data/{name}"), options).expect("a file");
        zip.write_all(bytes).expect("written");
    }
    zip.finish().expect("a zip").into_inner()
}

fn text(s: &str) -> Vec<u8> {
    [b"X".as_slice(), &(s.len() as u32).to_le_bytes(), s.as_bytes()].concat()
}

/// {'state_dict': {name: tensor of this shape on `n` numbers}}.
fn pickle_of(name: &str, shape: [i32; 2], stride: [i32; 2], n: i32) -> Vec<u8> {
    let int = |i: i32| [b"J".as_slice(), &i.to_le_bytes()].concat();
    let parts: Vec<Vec<u8>> = vec![
        b"\x80\x02}".to_vec(),
        text("state_dict"),
        b"}".to_vec(),
        text(name),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        int(n),
        b"tQ".to_vec(),
        int(0),
        int(shape[0]),
        int(shape[1]),
        b"\x86".to_vec(),
        int(stride[0]),
        int(stride[1]),
        b"\x86\x89}tRss.".to_vec(),
    ];
    parts.concat()
}

#[test]
fn a_handmade_checkpoint_reads_and_its_lies_do_not() {
    let numbers: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let open = |pickle: &[u8]| Checkpoint::open(Cursor::new(zip_of(pickle, &[("0", &numbers)])));
    let mut honest = open(&pickle_of("w", [2, 3], [3, 1], 6)).expect("a checkpoint");
    assert_eq!(honest.read("w", &[2, 3]).expect("numbers"), [0., 1., 2., 3., 4., 5.]);
    let mut turned = open(&pickle_of("w", [3, 2], [1, 3], 6)).expect("a checkpoint");
    assert_eq!(turned.read("w", &[3, 2]).expect("numbers"), [0., 3., 1., 4., 2., 5.]);
    let error = honest.read("v", &[7, 7]).expect_err("missing").to_string();
    assert!(error.contains("`v`") && error.contains("[7, 7]"), "{error}");
    let error = honest.read("w", &[7, 7]).expect_err("another shape").to_string();
    assert!(error.contains("`w`") && error.contains("[7, 7]") && error.contains("[2, 3]"), "{error}");
    for (shape, stride, n) in [
        ([2, 4], [4, 1], 6),                            // one row too long
        ([31_623, 31_623], [31_623, 1], 1_000_000_000), // a thousand million numbers that are not there
        ([31_623, 31_623], [0, 0], 6),                  // the same number a thousand million times
        ([-1, 3], [3, 1], 6),
        ([2, 3], [i32::MAX, i32::MAX], 6),
        ([0, i32::MAX], [1, 1], 6),
    ] {
        let result = open(&pickle_of("w", shape, stride, n)).map(|f| f.shape("w").is_none());
        assert!(!matches!(result, Ok(false)), "{shape:?} {stride:?} {n}");
    }
}

#[test]
fn a_call_in_a_pickle_is_not_made() {
    let folder = support::Folder::new("pickle-call");
    let victim = folder.write("victim", b"alive");
    let command = format!("rm {}", victim.display());
    let pickle = [b"\x80\x02cposix\nsystem\n".to_vec(), text(&command), b"\x85R.".to_vec()].concat();
    for file in [pickle.clone(), zip_of(&pickle, &[])] {
        assert!(matches!(import(&file), Err(ImportError::NoNetwork { .. })));
    }
    assert!(victim.exists());
}

#[test]
fn errors_name_the_key_and_the_shape() {
    let mut twin = weights("lrs_mt_tiny");
    twin.insert("blocks.1.attention.kv_proj.weight", &[5, 5], vec![0.0; 25]);
    let error = import(&twin.to_f32_file().expect("a file")).expect_err("another shape").to_string();
    assert!(error.contains("blocks.1.attention.kv_proj.weight") && error.contains("[96, 48]"), "{error}");
    let whole = bytes("lrs_mt_tiny.ckpt");
    for part in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        assert!(import(&whole[..part]).is_err(), "{part} bytes");
    }
    let error = import(b"SIMPLE  =                    T").expect_err("a FITS file").to_string();
    assert!(error.contains(".ckpt"), "{error}");
}

/// A small memo and a deep nest cost no more than their bytes.
#[test]
fn nests_and_repetitions_stay_small() {
    let deep = [b"\x80\x02".to_vec(), b"(".repeat(1 << 16), b"t".repeat(1 << 16), b".".to_vec()].concat();
    assert!(matches!(import(&deep), Err(ImportError::NoNetwork { .. })));
    // Each list holds the one before it twice: 2^100 values if followed.
    let doubled = b"]q\x00h\x00h\x00\x86q\x00".repeat(100);
    let billion = [b"\x80\x02".to_vec(), doubled, b".".to_vec()].concat();
    assert!(import(&billion).is_err());
}

/// Mutations of real files end in an answer or an error, never in a panic.
#[test]
fn mutated_checkpoints_do_not_panic() {
    let originals: Vec<Vec<u8>> = [
        "mlp_bn_tiny.pt",
        "nsf1d_tiny.ckpt",
        "maf3d_tiny.ckpt",
        "sbi_nsf_0233.pkl",
        "xp_mt_tiny.ckpt",
        "clip_split_tiny.ckpt",
        "mlp_bn_tiny.safetensors",
    ]
    .map(bytes)
    .into();
    let mut runner = TestRunner::new(Config { cases: 6000, failure_persistence: None, ..Config::default() });
    let strategy = (
        0..originals.len(),
        proptest::collection::vec((proptest::num::u32::ANY, proptest::num::u8::ANY), 1..12),
        proptest::option::weighted(0.2, 0.0..1.0f64),
    );
    let outcome = runner.run(&strategy, |(which, changes, cut)| {
        let mut file = originals[which].clone();
        for (at, value) in changes {
            // The structure is at both ends of a zip and at the start of the others: most changes go there.
            let n = file.len();
            let at = match at % 4 {
                0 => at as usize / 4 % n,
                1 => n - 1 - at as usize / 4 % (n / 8),
                _ => at as usize / 4 % 6000.min(n),
            };
            file[at] = value;
        }
        if let Some(cut) = cut {
            file.truncate((file.len() as f64 * cut) as usize);
        }
        let _ = import(&file);
        Ok(())
    });
    outcome.expect("no panic");
}
