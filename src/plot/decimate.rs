//! Thinning a curve to what a row of pixel columns can show.

/// Indices of the points of a curve to draw on `n_columns` columns of equal width between `low` and `high`.
///
/// Every column keeps its first, lowest, highest and last point, in the curve's own order, so that no spike is lost and
/// the line enters and leaves each column where it should. The neighbours just outside the range are kept too: the
/// line must reach the frame. `wave` increases; points with a value that is not finite are kept as they are (they break
/// the line). With few points all are kept.
pub fn columns(wave: &[f32], value: &[f32], low: f64, high: f64, n_columns: usize) -> Vec<usize> {
    let n = wave.len().min(value.len());
    let from = wave[..n].partition_point(|w| f64::from(*w) < low).saturating_sub(1);
    let to = (wave[..n].partition_point(|w| f64::from(*w) <= high) + 1).min(n);
    if n_columns == 0 || from >= to {
        return Vec::new();
    }
    if to - from <= 3 * n_columns {
        return (from..to).collect();
    }
    let per_column = n_columns as f64 / (high - low);
    let column_of = |i: usize| ((f64::from(wave[i]) - low) * per_column).floor() as i64;
    let mut kept = Vec::with_capacity(4 * n_columns + 2);
    let mut start = from;
    while start < to {
        let column = column_of(start);
        let mut end = start + 1;
        let (mut lowest, mut highest) = (start, start);
        while end < to && column_of(end) == column {
            // A point that is not a number gives way to any that is.
            if value[end] < value[lowest] || !value[lowest].is_finite() {
                lowest = end;
            }
            if value[end] > value[highest] || !value[highest].is_finite() {
                highest = end;
            }
            end += 1;
        }
        let mut chosen = [start, lowest, highest, end - 1];
        chosen.sort_unstable();
        for i in chosen {
            if kept.last() != Some(&i) {
                kept.push(i);
            }
        }
        start = end;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_spike() {
        let wave: Vec<f32> = (0..100_000).map(|i| 4000.0 + i as f32 * 0.05).collect();
        let mut value = vec![1.0f32; wave.len()];
        value[31_415] = 9.0;
        value[77_777] = -9.0;
        let kept = columns(&wave, &value, 4000.0, 9000.0, 800);
        assert!(kept.len() <= 4 * 801);
        assert!(kept.contains(&31_415) && kept.contains(&77_777));
        assert!(kept.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn keeps_all_of_few_and_the_neighbours_outside() {
        let wave = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(columns(&wave, &[0.0; 5], 2.5, 3.5, 10), [1, 2, 3]);
        assert!(columns(&wave, &[0.0; 5], 2.5, 3.5, 0).is_empty());
        assert!(columns(&[], &[], 2.5, 3.5, 10).is_empty());
    }
}
