//! Decimation of a curve to the resolution of the screen's pixel columns.

/// Indices of the points of a curve to draw on `n_columns` columns of equal width between `low` and `high`.
///
/// Every column keeps its first, lowest, highest and last point, in the order of the curve. No spike is lost, and the
/// line enters and leaves each column at the correct value. The neighbours just outside the range are also kept, since
/// the line must reach the frame. `wave` increases. Points with a value that is not finite are kept; they break the
/// line. A curve with few points is not decimated.
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
    let mut selected = Vec::with_capacity(4 * n_columns + 2);
    let mut start = from;
    while start < to {
        let column = column_of(start);
        let mut end = start + 1;
        let (mut lowest, mut highest) = (start, start);
        while end < to && column_of(end) == column {
            // A finite value replaces a value that is not finite.
            if value[end] < value[lowest] || !value[lowest].is_finite() {
                lowest = end;
            }
            if value[end] > value[highest] || !value[highest].is_finite() {
                highest = end;
            }
            end += 1;
        }
        let mut extremes = [start, lowest, highest, end - 1];
        extremes.sort_unstable();
        for i in extremes {
            if selected.last() != Some(&i) {
                selected.push(i);
            }
        }
        start = end;
    }
    selected
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
        let selected = columns(&wave, &value, 4000.0, 9000.0, 800);
        assert!(selected.len() <= 4 * 801);
        assert!(selected.contains(&31_415) && selected.contains(&77_777));
        assert!(selected.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn keeps_all_of_few_and_the_neighbours_outside() {
        let wave = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(columns(&wave, &[0.0; 5], 2.5, 3.5, 10), [1, 2, 3]);
        assert!(columns(&wave, &[0.0; 5], 2.5, 3.5, 0).is_empty());
        assert!(columns(&[], &[], 2.5, 3.5, 10).is_empty());
    }
}
