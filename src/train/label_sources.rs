//! Labels of real stars from several catalogues, brought to one scale.
//!
//! The scale is that of the Gaia benchmark stars and SPOCS II, here called the reference; for [α/Fe] it is Hypatia's.
//! Another catalogue gets an offset and a slope for each label, fitted to the stars that it shares with the reference,
//! and its noise is the scatter about that line. A star's label is then the mean of all catalogues, weighted by their
//! noise. Where they disagree by more than their noise, the error of the mean grows with the disagreement, so that a
//! suspect label counts less.

use std::path::Path;

use anyhow::Result;

use super::evaluate::{number, read_table, text};
use super::grid::Grid;
use crate::linalg::SymmetricMatrix;
use crate::read::LabelTable;
use crate::stats::{mean_and_std, median, sigma_clip};

/// Number of labels: Teff, log g, [Fe/H], [α/Fe].
const LABELS: usize = Grid::LABELS.len();

/// Errors of the reference: Teff in K, log g, [Fe/H] and, for Hypatia, [α/Fe] in dex.
const REFERENCE_ERRORS: [f64; LABELS] = [40.0, 0.08, 0.04, 0.05];

/// Position of [α/Fe] among the labels.
const ALPHA_FE: usize = 3;

/// Fewest shared stars for an offset, and for a slope.
const MIN_SHARED: usize = 5;
const MIN_SHARED_FOR_SLOPE: usize = 15;

/// Lowest log g from a parallax that is used. Masses of giants are uncertain, so are their gravities.
const MIN_PARALLAX_LOGG: f64 = 3.5;

/// Values of one catalogue, `[stars]`; NaN where unknown.
#[derive(Debug, Clone)]
struct Catalogue {
    name: &'static str,
    values: Vec<[f64; LABELS]>,
    /// The catalogue's own errors; 0 where it has none.
    errors: Vec<[f64; LABELS]>,
}

/// Labels of the same stars in several catalogues. The first is the reference.
#[derive(Debug, Clone)]
pub struct CatalogueLabels {
    catalogues: Vec<Catalogue>,
}

/// A catalogue's label as a function of the reference's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CatalogueScale {
    /// Name of the catalogue.
    pub catalogue: &'static str,
    /// Position of the label in [`Grid::LABELS`].
    pub label: usize,
    /// Number of shared stars.
    pub n: usize,
    /// catalogue − reference at `centre`, in the label's unit.
    pub offset: f64,
    /// Change of catalogue − reference per unit of the catalogue's label.
    pub slope: f64,
    /// Median of the catalogue's label over the shared stars.
    pub centre: f64,
    /// Lowest and highest of the catalogue's labels among the shared stars; the line is constant beyond.
    pub range: (f64, f64),
    /// Scatter about the line.
    pub sigma: f64,
}

impl CatalogueScale {
    /// The label on the reference's scale.
    fn corrected(&self, value: f64) -> f64 {
        value - self.offset - self.slope * (value.clamp(self.range.0, self.range.1) - self.centre)
    }
}

/// Labels of a star, and their errors; NaN where unknown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanLabels {
    /// Means over the catalogues, in the order of [`Grid::LABELS`].
    pub values: [f64; LABELS],
    /// Errors of the means.
    pub errors: [f64; LABELS],
}

impl CatalogueLabels {
    /// Reads the labels of `ids` from `miles_more_labels.csv`.
    pub fn read(path: &Path, ids: &[String]) -> Result<Self> {
        Ok(Self::of(&read_table(path)?, ids))
    }

    fn of(table: &LabelTable, ids: &[String]) -> Self {
        let rows: Vec<Option<usize>> = ids.iter().map(|id| table.id.iter().position(|i| i == id)).collect();
        let column = |name: &str, row: Option<usize>| row.and_then(|row| number(table, name, row)).unwrap_or(f64::NAN);
        let catalogue = |name, columns: [&str; LABELS], is_used: &dyn Fn(Option<usize>) -> bool| Catalogue {
            name,
            values: rows
                .iter()
                .map(|row| columns.map(|c| if is_used(*row) { column(c, *row) } else { f64::NAN }))
                .collect(),
            errors: vec![[0.0; LABELS]; rows.len()],
        };
        let is_reference = |row: Option<usize>| {
            row.is_some_and(|row| ["GBSv3", "SPOCSII"].contains(&text(table, "label_source", row)))
        };
        let always = |_| true;
        let mut reference = catalogue("GBS and SPOCS", ["teff", "logg", "feh", ""], &is_reference);
        let mut hypatia = catalogue("Hypatia", ["hyp_teff", "hyp_logg", "hyp_feh", "hyp_alpha_fe"], &always);
        for (reference, hypatia) in reference.values.iter_mut().zip(&mut hypatia.values) {
            reference[ALPHA_FE] = std::mem::replace(&mut hypatia[ALPHA_FE], f64::NAN);
        }
        let mut parallax = catalogue("parallaxes", ["", "logg_parallax", "", ""], &always);
        for ((values, errors), row) in parallax.values.iter_mut().zip(&mut parallax.errors).zip(&rows) {
            errors[1] = column("e_logg_parallax", *row);
            if !(values[1] >= MIN_PARALLAX_LOGG && errors[1].is_finite()) {
                values[1] = f64::NAN;
            }
        }
        let catalogues = vec![
            reference,
            catalogue("MILES", ["miles_teff", "miles_logg", "miles_feh", ""], &always),
            catalogue("CFLIB", ["cflib_teff", "cflib_logg", "cflib_feh", ""], &always),
            hypatia,
            catalogue("literature", ["", "", "", "alpha_fe"], &always),
            parallax,
        ];
        Self { catalogues }
    }

    /// Scales of all catalogues but the reference, fitted to the stars `chosen`.
    pub fn scales(&self, chosen: &[usize]) -> Vec<CatalogueScale> {
        let (reference, others) = self.catalogues.split_first().expect("there is a reference");
        let mut scales = Vec::new();
        for other in others {
            for label in 0..LABELS {
                let pairs = chosen.iter().map(|&star| (other.values[star][label], reference.values[star][label]));
                let pairs: Vec<(f64, f64)> = pairs.filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
                scales.extend(scale(other.name, label, &pairs));
            }
        }
        scales
    }

    /// Means over the catalogues on the reference's scale, one for each star.
    pub fn means(&self, scales: &[CatalogueScale]) -> Vec<MeanLabels> {
        let stars = self.catalogues.first().map_or(0, |c| c.values.len());
        (0..stars).map(|star| self.mean(star, scales)).collect()
    }

    fn mean(&self, star: usize, scales: &[CatalogueScale]) -> MeanLabels {
        let mut mean = MeanLabels { values: [f64::NAN; LABELS], errors: [f64::NAN; LABELS] };
        for (label, reference_error) in REFERENCE_ERRORS.into_iter().enumerate() {
            let on_scale = |(i, catalogue): (usize, &Catalogue)| {
                let value = catalogue.values[star][label];
                let of_label = |s: &&CatalogueScale| s.catalogue == catalogue.name && s.label == label;
                match i {
                    0 => Some((value, reference_error)),
                    _ => scales
                        .iter()
                        .find(of_label)
                        .map(|s| (s.corrected(value), s.sigma.hypot(catalogue.errors[star][label]))),
                }
                .filter(|(value, _)| value.is_finite())
            };
            let values: Vec<(f64, f64)> = self.catalogues.iter().enumerate().filter_map(on_scale).collect();
            let weight: f64 = values.iter().map(|(_, e)| e.powi(-2)).sum();
            if weight > 0.0 {
                let value = values.iter().map(|(v, e)| v / (e * e)).sum::<f64>() / weight;
                let chi_square: f64 = values.iter().map(|(v, e)| ((v - value) / e).powi(2)).sum();
                let per_degree = chi_square / (values.len().max(2) - 1) as f64;
                mean.values[label] = value;
                mean.errors[label] = (per_degree.max(1.0) / weight).sqrt();
            }
        }
        mean
    }
}

/// The line through (catalogue, reference) pairs, without pairs beyond 3 σ.
fn scale(catalogue: &'static str, label: usize, pairs: &[(f64, f64)]) -> Option<CatalogueScale> {
    if pairs.len() < MIN_SHARED {
        return None;
    }
    let centre = median(&mut pairs.iter().map(|p| p.0).collect())?;
    let mut kept = pairs.to_vec();
    let mut fitted = None;
    for _ in 0..5 {
        let n = kept.len() as f64;
        let (x, y) = (|p: &(f64, f64)| p.0 - centre, |p: &(f64, f64)| p.0 - p.1);
        let (mean_x, mean_y) = (kept.iter().map(x).sum::<f64>() / n, kept.iter().map(y).sum::<f64>() / n);
        let xx: f64 = kept.iter().map(|p| (x(p) - mean_x).powi(2)).sum();
        let xy: f64 = kept.iter().map(|p| (x(p) - mean_x) * (y(p) - mean_y)).sum();
        let slope = if kept.len() >= MIN_SHARED_FOR_SLOPE && xx > 0.0 { xy / xx } else { 0.0 };
        let offset = mean_y - slope * mean_x;
        let residual = |p: &(f64, f64)| y(p) - offset - slope * x(p);
        let (_, sigma) = mean_and_std(&sigma_clip(&kept.iter().map(residual).collect::<Vec<_>>(), 3.0, 5));
        fitted = Some((kept.len(), offset, slope, sigma));
        let inside: Vec<(f64, f64)> =
            kept.iter().copied().filter(|p| residual(p).abs() <= 3.0 * sigma.max(1e-9)).collect();
        if inside.len() == kept.len() {
            break;
        }
        kept = inside;
    }
    let (n, offset, slope, sigma) = fitted?;
    let low = kept.iter().map(|p| p.0).fold(f64::INFINITY, f64::min);
    let high = kept.iter().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
    Some(CatalogueScale { catalogue, label, n, offset, slope, centre, range: (low, high), sigma })
}

/// The scale of a survey's pipeline against a network: for each label, pipeline − network as a linear function of the
/// network's Teff, log g and [Fe/H].
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineScale {
    /// Offset, then the slopes with Teff / 1000 K, log g and [Fe/H], about [`PIPELINE_CENTRE`]; for Teff, log g, [Fe/H].
    pub coefficients: [[f64; 4]; 3],
    /// Scatter about the plane.
    pub sigma: [f64; 3],
    /// Number of stars.
    pub n: usize,
}

/// Teff in K, log g and [Fe/H] at which the offsets are stated.
pub const PIPELINE_CENTRE: [f64; 3] = [5800.0, 4.2, -0.2];

/// Teff range of the fit, K; hotter and cooler stars take the value at the limit.
const PIPELINE_TEFF_K: (f64, f64) = (4200.0, 7200.0);

impl PipelineScale {
    /// Fits the planes. `pairs` are the labels of the network and of the pipeline.
    pub fn fit(pairs: &[([f64; 3], [f64; 3])]) -> Option<Self> {
        let inside: Vec<&([f64; 3], [f64; 3])> =
            pairs.iter().filter(|(own, _)| (PIPELINE_TEFF_K.0..=PIPELINE_TEFF_K.1).contains(&own[0])).collect();
        let mut scale = Self { coefficients: [[0.0; 4]; 3], sigma: [0.0; 3], n: inside.len() };
        for label in 0..3 {
            let mut kept: Vec<([f64; 4], f64)> =
                inside.iter().map(|(own, other)| (terms(own), other[label] - own[label])).collect();
            for _ in 0..5 {
                let product = |i: usize, j: usize| kept.iter().map(|(x, _)| x[i] * x[j]).sum::<f64>();
                let right: Vec<f64> = (0..4).map(|i| kept.iter().map(|(x, y)| x[i] * y).sum()).collect();
                let solved = SymmetricMatrix::of(4, product).factor()?.solve(&right);
                scale.coefficients[label] = std::array::from_fn(|i| solved[i]);
                let residual = |(x, y): &([f64; 4], f64)| y - dot(x, &scale.coefficients[label]);
                let residuals: Vec<f64> = kept.iter().map(residual).collect();
                let (_, sigma) = mean_and_std(&sigma_clip(&residuals, 3.0, 5));
                scale.sigma[label] = sigma;
                kept.retain(|row| residual(row).abs() <= 3.0 * sigma);
            }
        }
        Some(scale)
    }

    /// pipeline − network at these labels of the network.
    pub fn difference(&self, own: &[f64; 3]) -> [f64; 3] {
        let x = terms(own);
        std::array::from_fn(|label| dot(&x, &self.coefficients[label]))
    }
}

impl std::fmt::Display for PipelineScale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [teff, logg, feh] = PIPELINE_CENTRE;
        let [t, g, z] = self.coefficients;
        write!(f, "{:+.0} K, {:+.3} and {:+.3} dex at {teff:.0} K, log g {logg}, [Fe/H] {feh}; ", t[0], g[0], z[0])?;
        write!(f, "per dex of log g {:+.0} K, {:+.3} and {:+.3} dex", t[2], g[2], z[2])
    }
}

fn terms(own: &[f64; 3]) -> [f64; 4] {
    let teff_k = own[0].clamp(PIPELINE_TEFF_K.0, PIPELINE_TEFF_K.1);
    [1.0, (teff_k - PIPELINE_CENTRE[0]) / 1000.0, own[1] - PIPELINE_CENTRE[1], own[2] - PIPELINE_CENTRE[2]]
}

fn dot(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(name: &'static str, teff: impl Fn(usize) -> f64) -> Catalogue {
        let values = (0..60).map(|i| [teff(i), f64::NAN, f64::NAN, f64::NAN]).collect();
        Catalogue { name, values, errors: vec![[0.0; LABELS]; 60] }
    }

    /// Teff of star i, and an error of ±1.
    fn truth(i: usize) -> f64 {
        4500.0 + 40.0 * i as f64
    }

    fn sign(i: usize) -> f64 {
        if (i * 7919 / 3).is_multiple_of(2) { 1.0 } else { -1.0 }
    }

    #[test]
    fn offset_and_slope_of_a_catalogue_are_removed() {
        // The catalogue is 60 K too hot at its centre and 3 % per K steeper, with errors of 80 K; one label is wrong.
        let other = |i: usize| truth(i) + 60.0 + 0.03 * (truth(i) - 5680.0) + 80.0 * sign(i);
        let labels = CatalogueLabels {
            catalogues: vec![
                catalogue("GBS and SPOCS", |i| if i < 40 { truth(i) } else { f64::NAN }),
                catalogue("other", |i| if i == 3 { 9000.0 } else { other(i) }),
            ],
        };
        let scales = labels.scales(&(0..60).collect::<Vec<usize>>());
        let [scale] = &scales[..] else { panic!("{scales:?}") };
        assert!(scale.n == 39 && (scale.sigma - 80.0).abs() < 5.0, "{scale:?}");
        let means = labels.means(&scales);
        for i in (0..60).filter(|i| *i != 3) {
            let error = means[i].values[0] - truth(i);
            // Beyond the shared stars only the catalogue is left, with its errors.
            let expected = if i < 40 { 80.0 * 0.2 } else { 80.0 };
            assert!((error - expected * sign(i)).abs() < 25.0, "star {i}: {error}");
        }
        assert!((means[50].errors[0] - scale.sigma).abs() < 1e-9);
        assert!(means[20].errors[0] < REFERENCE_ERRORS[0]);
        // The wrong label disagrees with the reference, so that the error of the mean is large.
        assert!(means[3].errors[0] > 1000.0, "{:?}", means[3]);
        assert!(means[0].values[1].is_nan());
    }

    #[test]
    fn the_scale_of_a_pipeline_is_a_plane() {
        let star = |i: usize| {
            let (t, g, z) =
                ((i * 37 % 100) as f64 / 100.0, (i * 53 % 100) as f64 / 100.0, (i * 71 % 100) as f64 / 100.0);
            [4300.0 + 2800.0 * t, 1.5 + 3.3 * g, -2.0 + 2.4 * z]
        };
        let pipeline = |own: &[f64; 3]| {
            [own[0] + 40.0 - 20.0 * (own[1] - 4.2), own[1] + 0.05 - 0.1 * (own[1] - 4.2), own[2] + 0.06]
        };
        let mut pairs: Vec<([f64; 3], [f64; 3])> = (0..300).map(|i| (star(i), pipeline(&star(i)))).collect();
        // A wrong label, and a hot star on a scale of its own.
        pairs[5].1[0] += 3000.0;
        pairs.push(([9000.0, 4.0, 0.0], [9900.0, 4.0, 0.0]));
        let scale = PipelineScale::fit(&pairs).expect("enough stars");
        for own in [[5000.0, 2.5, -0.5], [6500.0, 4.3, 0.2]] {
            let expected = pipeline(&own);
            for (j, difference) in scale.difference(&own).into_iter().enumerate() {
                assert!((difference - (expected[j] - own[j])).abs() < 1e-3, "{own:?}: {:?}", scale.difference(&own));
            }
        }
        // Beyond the range of the fit, Teff counts as its limit.
        assert_eq!(scale.difference(&[8000.0, 4.0, 0.0]), scale.difference(&[7200.0, 4.0, 0.0]));
        assert!(PipelineScale::fit(&pairs[..2]).is_none());
    }
}
