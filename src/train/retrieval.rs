//! Retrieval of the same star in the other survey by its embedding.

use rayon::prelude::*;

/// Retrieval scores. The partner of each query has the same index in the database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retrieval {
    /// Number of pairs.
    pub n: usize,
    /// Fraction of the queries with the partner in first place.
    pub recall_1: f64,
    /// Fraction of the queries with the partner in the first ten places.
    pub recall_10: f64,
    /// Mean cosine between query and partner.
    pub true_cosine: f64,
    /// Mean cosine between a query and all other entries.
    pub random_cosine: f64,
}

/// Compares every query with the whole database by cosine. A tie with the partner counts as a place before it.
pub fn retrieve(queries: &[Vec<f32>], database: &[Vec<f32>]) -> Retrieval {
    let (queries, database) = (unit(queries), unit(database));
    let n = queries.len().min(database.len());
    let ranked: Vec<(usize, f64, f64)> = (0..n)
        .into_par_iter()
        .map(|i| {
            let true_cosine = dot(&queries[i], &database[i]);
            let (mut before, mut cosines) = (0, 0.0);
            for (_, other) in database.iter().enumerate().filter(|(j, _)| *j != i) {
                let cosine = dot(&queries[i], other);
                before += usize::from(cosine >= true_cosine);
                cosines += f64::from(cosine);
            }
            (before, f64::from(true_cosine), cosines)
        })
        .collect();
    let recall = |rank: usize| ranked.iter().filter(|(before, ..)| *before < rank).count() as f64 / n.max(1) as f64;
    let other_count = (n.max(1) * (database.len().max(2) - 1)) as f64;
    Retrieval {
        n,
        recall_1: recall(1),
        recall_10: recall(10),
        true_cosine: ranked.iter().map(|r| r.1).sum::<f64>() / n.max(1) as f64,
        random_cosine: ranked.iter().map(|r| r.2).sum::<f64>() / other_count,
    }
}

fn unit(rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let one = |row: &Vec<f32>| {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        row.iter().map(|v| v / norm).collect()
    };
    rows.iter().map(one).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// Mean absolute difference, over the values with `mask` ≠ 0.
pub fn mean_absolute(predicted: &[Vec<f32>], expected: &[f32], mask: Option<&[f32]>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    for (i, (a, b)) in predicted.iter().flatten().zip(expected).enumerate() {
        let weight = mask.map_or(1.0, |t| f64::from(t[i]));
        sum += weight * f64::from((a - b).abs());
        n += weight;
    }
    sum / f64::max(n, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three pairs, calculated by hand. The first query finds its partner. One entry beats the partner of the second.
    /// The partner of the third ties with another entry.
    #[test]
    fn ranks_are_counted_by_hand() {
        let queries = vec![vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 3.0]];
        let database = vec![vec![2.0, 0.0], vec![1.0, 1.0], vec![0.0, 5.0]];
        let got = retrieve(&queries, &database);
        let root = 0.5f64.sqrt();
        // Cosines: 1, √½, 0; 0, √½, 1; √½, 1, √½. The partner of the third query is behind the second entry and ties
        // with the first.
        assert_eq!((got.n, got.recall_10), (3, 1.0));
        assert!((got.recall_1 - 1.0 / 3.0).abs() < 1e-12);
        assert!((got.true_cosine - (1.0 + root + root) / 3.0).abs() < 1e-6);
        assert!((got.random_cosine - (root + 0.0 + 0.0 + 1.0 + root + 1.0) / 6.0).abs() < 1e-6);
    }

    #[test]
    fn masked_pixels_do_not_count() {
        let got = vec![vec![1.0, 2.0], vec![3.0, 4.0]];
        assert!((mean_absolute(&got, &[0.0, 2.0, 3.0, 9.0], Some(&[1.0, 1.0, 1.0, 0.0])) - 1.0 / 3.0).abs() < 1e-12);
        assert!((mean_absolute(&got, &[0.0, 2.0, 3.0, 9.0], None) - 1.5).abs() < 1e-12);
    }
}
