//! How well an embedding finds the same star in the other survey.

use rayon::prelude::*;

/// Of queries whose true partner stands at the same place in the database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retrieval {
    /// Pairs.
    pub n: usize,
    /// Part of the queries whose partner comes first.
    pub recall_1: f64,
    /// Part of the queries whose partner is among the first ten.
    pub recall_10: f64,
    /// Mean cosine with the partner.
    pub true_cosine: f64,
    /// Mean cosine with all others.
    pub random_cosine: f64,
}

/// Every query against the whole database, by cosine. What is as similar as the partner counts as before it.
pub fn retrieve(queries: &[Vec<f32>], database: &[Vec<f32>]) -> Retrieval {
    let (queries, database) = (unit(queries), unit(database));
    let n = queries.len().min(database.len());
    let ranked: Vec<(usize, f64, f64)> = (0..n)
        .into_par_iter()
        .map(|i| {
            let own = dot(&queries[i], &database[i]);
            let (mut before, mut others) = (0, 0.0);
            for (_, other) in database.iter().enumerate().filter(|(j, _)| *j != i) {
                let cosine = dot(&queries[i], other);
                before += usize::from(cosine >= own);
                others += f64::from(cosine);
            }
            (before, f64::from(own), others)
        })
        .collect();
    let share = |first: usize| ranked.iter().filter(|(before, ..)| *before < first).count() as f64 / n.max(1) as f64;
    let others = (n.max(1) * (database.len().max(2) - 1)) as f64;
    Retrieval {
        n,
        recall_1: share(1),
        recall_10: share(10),
        true_cosine: ranked.iter().map(|r| r.1).sum::<f64>() / n.max(1) as f64,
        random_cosine: ranked.iter().map(|r| r.2).sum::<f64>() / others,
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

/// Mean absolute difference where `there` is not 0.
pub fn mean_absolute(got: &[Vec<f32>], want: &[f32], there: Option<&[f32]>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    for (i, (a, b)) in got.iter().flatten().zip(want).enumerate() {
        let weight = there.map_or(1.0, |t| f64::from(t[i]));
        sum += weight * f64::from((a - b).abs());
        n += weight;
    }
    sum / f64::max(n, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three pairs worked out by hand: the first finds its partner, the second's is beaten by one, the third ties with another.
    #[test]
    fn ranks_are_counted_by_hand() {
        let queries = vec![vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 3.0]];
        let database = vec![vec![2.0, 0.0], vec![1.0, 1.0], vec![0.0, 5.0]];
        let got = retrieve(&queries, &database);
        let root = 0.5f64.sqrt();
        // Cosines: 1, √½, 0; 0, √½, 1; √½, 1, √½. The third query's partner is behind the second and level with the first.
        assert_eq!((got.n, got.recall_10), (3, 1.0));
        assert!((got.recall_1 - 1.0 / 3.0).abs() < 1e-12);
        assert!((got.true_cosine - (1.0 + root + root) / 3.0).abs() < 1e-6);
        assert!((got.random_cosine - (root + 0.0 + 0.0 + 1.0 + root + 1.0) / 6.0).abs() < 1e-6);
    }

    #[test]
    fn pixels_that_are_not_there_do_not_count() {
        let got = vec![vec![1.0, 2.0], vec![3.0, 4.0]];
        assert!((mean_absolute(&got, &[0.0, 2.0, 3.0, 9.0], Some(&[1.0, 1.0, 1.0, 0.0])) - 1.0 / 3.0).abs() < 1e-12);
        assert!((mean_absolute(&got, &[0.0, 2.0, 3.0, 9.0], None) - 1.5).abs() < 1e-12);
    }
}
