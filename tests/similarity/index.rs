//! Search, map and index files, compared with `NumPy` (`tests/fixtures/make_retrieval.py`), and damaged index files.

use crate::support::golden::bytes;
use proptest::prelude::*;
use serde_json::Value;
use specola::result::specclip::Modality;
use specola::similarity::anomaly::{NoiseFloors, Quantiles, ReferenceStats};
use specola::similarity::index::{Bits, Index, IndexMetadata};
use specola::similarity::map::Plane;
use specola::similarity::search::{Hit, Norms, QueryVector, merge, nearest};

/// The pseudo-random numbers of the script.
fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let number = |i: usize| {
        let mut z = seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(number).collect()
}

fn rows(seed: u64, n: usize, width: usize) -> Vec<Vec<f32>> {
    let mut rows: Vec<Vec<f32>> = numbers(seed, n * width).chunks_exact(width).map(<[f32]>::to_vec).collect();
    rows.iter_mut().for_each(|row| row.iter_mut().step_by(3).for_each(|v| *v += 0.25));
    if n > 6000 {
        for i in 0..40 {
            rows[5000 + i] = rows[40 + i].clone();
        }
    }
    rows
}

fn index(lrs: &[Vec<f32>], xp: &[Vec<f32>], shared: usize, bits: Bits) -> Index {
    let metadata = IndexMetadata {
        name: "test".into(),
        model: "pair 1".into(),
        model_sha256: "abcdef0123".into(),
        width: lrs[0].len(),
        shared,
        labels: vec!["teff".into(), "feh".into()],
        ..IndexMetadata::default()
    };
    let mut index = Index::new(metadata, bits);
    for (modality, rows) in [(Modality::Lrs, lrs), (Modality::Xp, xp)] {
        for (i, row) in rows.iter().enumerate() {
            let labels = [5000.0 + i as f32, if i % 3 == 0 { f32::NAN } else { -0.5 }];
            index.rows_mut(modality).push(&format!("star {i}"), row, &labels, &[1.0, 0.5, 0.7]).expect("an entry");
        }
    }
    index
}

fn numpy_results() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/retrieval.json");
    serde_json::from_slice(&std::fs::read(path).expect("the fixture")).expect("JSON")
}

#[track_caller]
fn assert_agrees(hits: &[Hit], expected: &Value, tolerance: f64) {
    let got: Vec<u64> = hits.iter().map(|hit| hit.row as u64).collect();
    let rows: Vec<u64> = expected["rows"].as_array().expect("rows").iter().filter_map(Value::as_u64).collect();
    assert_eq!(got, rows, "query {}", expected["query"]);
    for (hit, score) in hits.iter().zip(expected["scores"].as_array().expect("scores")) {
        let score = score.as_f64().expect("a score");
        assert!((hit.similarity - score).abs() < tolerance, "query {}: {} {score}", expected["query"], hit.similarity);
    }
}

#[test]
fn search_results_match_numpy() {
    let expected = numpy_results();
    let size = |name: &str| expected[name].as_u64().expect("a number") as usize;
    let (n, width, shared, top) = (size("n"), size("width"), size("shared"), size("top"));
    let (lrs, xp) = (rows(1, n, width), rows(2, n, width));
    let index_16 = index(&lrs, &xp, shared, Bits::Sixteen);
    let index_8 = index(&lrs, &xp, shared, Bits::Eight);
    let queries = |name: &str| expected[name].as_array().expect("queries").clone();
    assert!(queries("within").len() >= 8 && queries("across").len() >= 8 && queries("sets").len() >= 2);

    let norms = Norms::of(&index_16.lrs, width);
    for case in queries("within") {
        let row = case["query"].as_u64().expect("a row") as usize;
        let query = QueryVector::new([lrs[row].as_slice()], width);
        assert_agrees(&nearest(&index_16.lrs, &norms, &query, top, |other| other != row), &case, 5e-5);
    }
    for case in queries("sets") {
        let members: Vec<usize> =
            case["query"].as_array().expect("rows").iter().filter_map(Value::as_u64).map(|q| q as usize).collect();
        let query = QueryVector::new(members.iter().map(|q| lrs[*q].as_slice()), width);
        assert_agrees(&nearest(&index_16.lrs, &norms, &query, top, |row| !members.contains(&row)), &case, 5e-5);
    }
    for (index, name, tolerance) in [(&index_16, "across", 5e-5), (&index_8, "across_eight", 5e-5)] {
        let norms = Norms::of(&index.xp, shared);
        for case in queries(name) {
            let row = case["query"].as_u64().expect("a row") as usize;
            let query = QueryVector::new([lrs[row].as_slice()], shared);
            assert_agrees(&nearest(&index.xp, &norms, &query, top, |_| true), &case, tolerance);
        }
    }
}

#[test]
fn equal_similarities_keep_the_order_of_sets_and_rows() {
    let lrs = vec![vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 0.0], vec![0.0, 0.0]];
    for bits in [Bits::Eight, Bits::Sixteen] {
        let index = index(&lrs, &lrs, 2, bits);
        let norms = Norms::of(&index.lrs, 2);
        let hits = nearest(&index.lrs, &norms, &QueryVector::new([[5.0f32, 0.0].as_slice()], 2), 9, |_| true);
        let got: Vec<(usize, f64)> = hits.iter().map(|hit| (hit.row, hit.similarity)).collect();
        assert_eq!(got, [(0, 1.0), (2, 1.0), (1, 0.0), (3, 0.0)], "a vector without a direction is like none");
        let merged = merge(vec![hits.clone(), hits], 3);
        assert_eq!(merged.iter().map(|(set, hit)| (*set, hit.row)).collect::<Vec<_>>(), [(0, 0), (0, 2), (1, 0)]);
    }
}

/// Compares the ranks of `PyTorch`'s embeddings by the small networks.
#[test]
fn ranks_of_golden_embeddings_match_numpy() {
    for (name, parts) in
        [("pr", [vec!["gaia"], vec!["lamost"]]), ("split", [vec!["gaia_shared"], vec!["lamost_shared"]])]
    {
        let io = specola::read::arrays(&bytes(&format!("clip_{name}_tiny_io.npz"))).expect("an npz");
        let array = |name: &str| {
            let array = io.iter().find(|f| f.name == name).expect("an array").array().expect("an array");
            let numbers = array.numbers(0, array.shape.iter().product()).expect("numbers");
            let rows: Vec<Vec<f32>> =
                numbers.chunks_exact(array.shape[1]).map(|row| row.iter().map(|v| *v as f32).collect()).collect();
            rows
        };
        let (gaia, lamost) = (array(parts[0][0]), array(parts[1][0]));
        let (cosines, ranks) = (array("cosine_gaia_lamost"), array("rank_lamost_for_gaia"));
        let width = gaia[0].len();
        let index = index(&lamost, &gaia, width, Bits::Sixteen);
        let norms = Norms::of(&index.lrs, width);
        for (i, query) in gaia.iter().enumerate() {
            let hits = nearest(&index.lrs, &norms, &QueryVector::new([query.as_slice()], width), 4, |_| true);
            let got: Vec<f32> = hits.iter().map(|hit| hit.row as f32).collect();
            assert_eq!(got, ranks[i], "{name}, query {i}");
            for hit in hits {
                assert!((hit.similarity - f64::from(cosines[i][hit.row])).abs() < 3e-5, "{name}, query {i}");
            }
        }
    }
}

#[test]
fn map_matches_numpy() {
    let expected = &numpy_results()["map"];
    let (mut lrs, mut xp) = (rows(3, 500, 64), rows(4, 300, 64));
    for row in lrs.iter_mut().chain(&mut xp) {
        row[5] *= 3.0;
        row[11] *= 2.0;
    }
    let index = index(&lrs, &xp, 48, Bits::Sixteen);
    let plane = Plane::of(&index).expect("a plane");
    for (name, modality, rows) in [("lrs", Modality::Lrs, &lrs), ("xp", Modality::Xp, &xp)] {
        for (i, point) in expected[name].as_array().expect("points").iter().enumerate() {
            let got = plane.project(modality, &rows[i]);
            for (k, got) in got.iter().enumerate() {
                let expected = point[k].as_f64().expect("a number");
                assert!((f64::from(*got) - expected).abs() < 2e-4, "{name} {i}: {got} {expected}");
            }
        }
    }
    for (k, got) in plane.variance.iter().enumerate() {
        assert!((got - expected["variance"][k].as_f64().expect("a number")).abs() < 1e-5);
    }
    assert!(Plane::of(&self::index(&lrs[..1], &xp[..1], 48, Bits::Eight)).is_none(), "two points have no plane");
}

fn index_with_reference_stats() -> Index {
    let mut index = index(&rows(5, 7, 16), &rows(6, 3, 16), 12, Bits::Eight);
    let quantiles = Quantiles::of(&[1.0, 2.0, 5.0]).expect("quantiles");
    let floor = |n: usize| vec![0.5; n];
    index.reference_stats = Some(ReferenceStats {
        noise_floors: NoiseFloors {
            lrs_reconstruction: floor(1462),
            xp_reconstruction: floor(343),
            lrs_from_xp: floor(1462),
            xp_from_lrs: floor(343),
        },
        cross: quantiles.clone(),
        reconstruction: [quantiles.clone(), quantiles.clone()],
        neighbour: [quantiles.clone(), quantiles],
    });
    index
}

#[test]
fn index_files_are_read_back_unchanged() {
    for index in [index_with_reference_stats(), index(&rows(5, 4, 16), &rows(6, 9, 16), 16, Bits::Sixteen)] {
        let file = index.to_file().expect("a file");
        assert!(Index::is_index(&file));
        let reread = Index::parse(&file).expect("an index");
        assert!(
            reread.metadata == index.metadata
                && reread.reference_stats == index.reference_stats
                && reread.lrs.ids() == index.lrs.ids()
        );
        for modality in [Modality::Lrs, Modality::Xp] {
            let (a, b) = (index.rows(modality), reread.rows(modality));
            for row in 0..a.len() {
                assert_eq!(a.unit(row), b.unit(row));
                assert_eq!(a.labels(row).map(f32::to_bits), b.labels(row).map(f32::to_bits));
                assert_eq!(a.thumbnail(row)[0], b.thumbnail(row)[0]);
            }
        }
    }
    let other = index_with_reference_stats().check_model("pair 2", "ffff0000").expect_err("another model").to_string();
    assert!(other.contains("pair 1 (abcdef01)") && other.contains("pair 2 (ffff0000)"), "{other}");
    assert!(!Index::is_index(b"abc") && Index::parse(b"abc").is_err());
    let weights = bytes("mlp_plain_tiny.safetensors");
    let refused = Index::parse(&weights).expect_err("weights are no index").to_string();
    assert!(refused.contains("specola embed"), "{refused}");
}

trait Bitwise {
    fn map(&self, f: impl Fn(f32) -> u32) -> Vec<u32>;
}

impl Bitwise for &[f32] {
    fn map(&self, f: impl Fn(f32) -> u32) -> Vec<u32> {
        self.iter().copied().map(f).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// A damaged file is refused, or gives an index that can be searched, shown and written. Nothing panics.
    #[test]
    fn damaged_files_are_refused_or_usable(
        changes in prop::collection::vec((0.0..1.0f64, any::<u8>()), 1..6),
        in_header in any::<bool>(),
        length_fraction in prop::option::weighted(0.2, 0.0..1.0f64),
    ) {
        let mut file = FILE.with(Clone::clone);
        let header = 8 + u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
        let end = if in_header { header } else { file.len() };
        for (fraction, byte) in changes {
            let at = (fraction * end as f64) as usize;
            file[at] = byte;
        }
        if let Some(fraction) = length_fraction {
            file.truncate((fraction * file.len() as f64) as usize);
        }
        let Ok(index) = Index::parse(&file) else { return Ok(()) };
        for rows in [&index.lrs, &index.xp] {
            let compared = index.metadata.shared;
            let query = QueryVector::new((0..rows.len().min(1)).map(|_| [0.3f32; 16].as_slice()), compared);
            let found = nearest(rows, &Norms::of(rows, compared), &query, 3, |_| true);
            prop_assert!(found.iter().all(|hit| hit.similarity.abs() <= 1.0 + 1e-6));
            (0..rows.len()).for_each(|row| drop((rows.thumbnail(row), rows.labels(row).len(), rows.id(row))));
        }
        Plane::of(&index);
        prop_assert!(index.to_file().is_ok());
    }
}

thread_local! {
    static FILE: Vec<u8> = index_with_reference_stats().to_file().expect("a file");
}
