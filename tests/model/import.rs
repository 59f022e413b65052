//! Import of checkpoints in every container format (`tests/golden`), and of malicious files.

use std::io::{Cursor, Write};

use crate::support::Folder;
use crate::support::golden::{bytes, weights};
use proptest::test_runner::{Config, TestRunner};
use specola::model::import::{Checkpoint, ImportError, Imported, NetworkConfig};
use specola::nn::tokens::{SliceConfig, TokensConfig};

fn import(bytes: &[u8]) -> Result<Imported, ImportError> {
    Checkpoint::open(Cursor::new(bytes))?.import(|_| {})
}

/// Every tensor of a checkpoint equals the tensor in the safetensors file of the same network.
#[test]
fn checkpoints_hold_the_tensors_of_their_safetensors_files() {
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
        let reference = weights(name.split_once('.').expect("an ending").0);
        let mut names = 0;
        for tensor in reference.names() {
            let shape = reference.shape(tensor).expect("its shape");
            let got = file.read(tensor, shape).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(got, reference.get(tensor, shape).expect("its numbers"), "{name}: {tensor}");
            names += 1;
        }
        // A constant of the normal distribution that the safetensors file omits.
        let saved = file.shapes().filter(|(tensor, _)| *tensor != "net._distribution._log_z").count();
        assert_eq!(saved, names, "{name}");
        let imported = file.import(|_| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
        for spec in imported.network.array_specs() {
            assert_eq!(
                imported.tensors.get(&spec.name, &spec.shape).expect("imported"),
                reference.get(&spec.name, &spec.shape).expect("in the reference"),
                "{name}: {}",
                spec.name
            );
        }
    }
}

#[test]
fn hyperparameters_come_from_the_checkpoint() {
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
fn sbi_pickles_keep_the_mean_and_std_of_the_label() {
    let imported = import(&bytes("sbi_maf_0233.pkl")).expect("imported");
    for name in ["means", "stds"] {
        assert_eq!(imported.tensors.get(name, &[1]).expect(name).len(), 1);
    }
}

/// A network from a safetensors file survives a write to Specola's own file and back.
#[test]
fn written_weights_are_read_back() {
    let original = import(&bytes("mlp_bn_tiny.safetensors")).expect("imported");
    let reread = import(&original.tensors.to_f32_file().expect("a file")).expect("imported");
    assert_eq!(original.parameters, reread.parameters);
    for spec in original.network.array_specs() {
        let array = |imported: &Imported| imported.tensors.get(&spec.name, &spec.shape).expect("an array").to_vec();
        assert_eq!(array(&original), array(&reread));
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

/// The pickle of `{'state_dict': {name: tensor}}`; the tensor has the given shape and stride on a storage of `n`
/// numbers.
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
fn checkpoints_with_false_shapes_are_refused() {
    let numbers: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let open = |pickle: &[u8]| Checkpoint::open(Cursor::new(zip_of(pickle, &[("0", &numbers)])));
    let mut valid = open(&pickle_of("w", [2, 3], [3, 1], 6)).expect("a checkpoint");
    assert_eq!(valid.read("w", &[2, 3]).expect("numbers"), [0., 1., 2., 3., 4., 5.]);
    let mut transposed = open(&pickle_of("w", [3, 2], [1, 3], 6)).expect("a checkpoint");
    assert_eq!(transposed.read("w", &[3, 2]).expect("numbers"), [0., 3., 1., 4., 2., 5.]);
    let error = valid.read("v", &[7, 7]).expect_err("missing").to_string();
    assert!(error.contains("`v`") && error.contains("[7, 7]"), "{error}");
    let error = valid.read("w", &[7, 7]).expect_err("another shape").to_string();
    assert!(error.contains("`w`") && error.contains("[7, 7]") && error.contains("[2, 3]"), "{error}");
    for (shape, stride, n) in [
        ([2, 4], [4, 1], 6),                            // one row too long
        ([31_623, 31_623], [31_623, 1], 1_000_000_000), // 10⁹ numbers that the file lacks
        ([31_623, 31_623], [0, 0], 6),                  // one number 10⁹ times
        ([-1, 3], [3, 1], 6),
        ([2, 3], [i32::MAX, i32::MAX], 6),
        ([0, i32::MAX], [1, 1], 6),
    ] {
        let result = open(&pickle_of("w", shape, stride, n)).map(|f| f.shape("w").is_none());
        assert!(!matches!(result, Ok(false)), "{shape:?} {stride:?} {n}");
    }
}

#[test]
fn function_calls_in_a_pickle_are_not_run() {
    let folder = Folder::new("pickle-call");
    let victim = folder.write("victim", b"alive");
    let command = format!("rm {}", victim.display());
    let pickle = [b"\x80\x02cposix\nsystem\n".to_vec(), text(&command), b"\x85R.".to_vec()].concat();
    for file in [pickle.clone(), zip_of(&pickle, &[])] {
        assert!(matches!(import(&file), Err(ImportError::NoNetwork { .. })));
    }
    assert!(victim.exists());
}

#[test]
fn errors_name_the_array_and_its_shape() {
    let mut tensors = weights("lrs_mt_tiny");
    tensors.insert("blocks.1.attention.kv_proj.weight", &[5, 5], vec![0.0; 25]);
    let error = import(&tensors.to_f32_file().expect("a file")).expect_err("another shape").to_string();
    assert!(error.contains("blocks.1.attention.kv_proj.weight") && error.contains("[96, 48]"), "{error}");
    let whole = bytes("lrs_mt_tiny.ckpt");
    for part in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        assert!(import(&whole[..part]).is_err(), "{part} bytes");
    }
    let error = import(b"SIMPLE  =                    T").expect_err("a FITS file").to_string();
    assert!(error.contains(".ckpt"), "{error}");
}

/// Deep nesting and repeated references need no more memory than the file has bytes.
#[test]
fn deep_and_repeated_pickles_are_refused() {
    let deep = [b"\x80\x02".to_vec(), b"(".repeat(1 << 16), b"t".repeat(1 << 16), b".".to_vec()].concat();
    assert!(matches!(import(&deep), Err(ImportError::NoNetwork { .. })));
    // Each tuple holds the previous tuple twice: 2^100 values when expanded.
    let doubled = b"]q\x00h\x00h\x00\x86q\x00".repeat(100);
    let repeated = [b"\x80\x02".to_vec(), doubled, b".".to_vec()].concat();
    assert!(import(&repeated).is_err());
}

/// Import of randomly changed files ends in a network or an error, never in a panic.
#[test]
fn changed_checkpoints_do_not_panic() {
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
    let outcome = runner.run(&strategy, |(original, changes, length_fraction)| {
        let mut file = originals[original].clone();
        for (random, value) in changes {
            // The structure is at both ends of a zip and at the start of other files: most changes go there.
            let n = file.len();
            let position = match random % 4 {
                0 => random as usize / 4 % n,
                1 => n - 1 - random as usize / 4 % (n / 8),
                _ => random as usize / 4 % 6000.min(n),
            };
            file[position] = value;
        }
        if let Some(fraction) = length_fraction {
            file.truncate((file.len() as f64 * fraction) as usize);
        }
        let _ = import(&file);
        Ok(())
    });
    outcome.expect("no panic");
}
