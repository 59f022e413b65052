//! The synthetic grid of spectra for pretraining.
//!
//! Arrays of `spectra.npz`: `node` `[n]`, `labels` `[n, 7]` (teff, logg, feh, `alpha_fe`, `c_fe`, `n_fe`, vmic),
//! `wavelength_air_aa` `[6001]`, `normalised_flux_x10000` `[n, 6001]` (u16, R = 5000), `continuum_wavelength_aa`
//! `[361]`, `continuum` `[n, 361]`.
//!
//! Arrays of `sed.npz`, which has only a part of the nodes: `node` `[m]`, `wavelength_nm` `[700]`, `surface_flux` `[m,
//! 700]`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::arrays::Arrays;
use crate::model::emulator::resampled;
use crate::result::Label;
use crate::spectrum::air_vacuum::air_to_vacuum_aa;

/// Resolving power of the grid's spectra.
pub const GRID_RESOLVING_POWER: f64 = 5000.0;

/// Number of labels of a node: teff, logg, feh, `alpha_fe`, `c_fe`, `n_fe`, vmic.
pub const PARAMETERS: usize = 7;

/// The grid, in memory.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Labels of each node in the order of [`Grid::LABELS`].
    pub labels: Vec<[f64; 4]>,
    /// All labels of each node: the four of [`Grid::LABELS`], then `c_fe`, `n_fe` (dex) and vmic (km/s).
    pub parameters: Vec<[f64; PARAMETERS]>,
    /// log10 of the vacuum wavelengths in Å, `[6001]`.
    pub log10_vac: Vec<f64>,
    node: Vec<u32>,
    normalised: Vec<f32>,
    continuum_wave_aa: Vec<f64>,
    continuum: Vec<f32>,
    pixels: usize,
}

/// Arrays of a grid, as its file stores them.
#[derive(Debug, Clone, Default)]
pub struct GridArrays {
    /// Number of each node, `[n]`.
    pub node: Vec<u32>,
    /// Seven labels of each node, `[n]`.
    pub parameters: Vec<[f64; PARAMETERS]>,
    /// Wavelengths of the flux, air, Å; uniform.
    pub wave_air_aa: Vec<f64>,
    /// Flux over continuum, `[n][pixels]`.
    pub normalised: Vec<f32>,
    /// Wavelengths of the continuum, air, Å; uniform over the same range.
    pub continuum_wave_aa: Vec<f64>,
    /// Continuum flux, any unit, `[n][k]`.
    pub continuum: Vec<f32>,
}

impl Grid {
    /// Labels of the label network.
    pub const LABELS: [Label; 4] = [Label::Teff, Label::Logg, Label::Feh, Label::AlphaFe];

    /// Reads `spectra.npz`.
    pub fn read(path: &Path) -> Result<Self> {
        let arrays = Arrays::read(path)?;
        let (shape, labels) = arrays.get("labels")?;
        let Ok([n, PARAMETERS]) = <[usize; 2]>::try_from(shape.clone()) else {
            bail!("`labels` has shape {shape:?}, expected [n, 7]: teff, logg, feh, alpha_fe, c_fe, n_fe, vmic");
        };
        let node = match arrays.get("node") {
            Ok((_, node)) => node.iter().map(|v| *v as u32).collect(),
            Err(_) => (0..n as u32).collect(),
        };
        Self::new(GridArrays {
            node,
            parameters: labels.as_chunks().0.to_vec(),
            wave_air_aa: arrays.get("wavelength_air_aa")?.1,
            normalised: arrays.get("normalised_flux_x10000")?.1.iter().map(|v| (*v / 1e4) as f32).collect(),
            continuum_wave_aa: arrays.get("continuum_wavelength_aa")?.1,
            continuum: arrays.get("continuum")?.1.iter().map(|v| *v as f32).collect(),
        })
        .with_context(|| path.display().to_string())
    }

    /// A grid from its arrays. Fails if their lengths disagree.
    pub fn new(arrays: GridArrays) -> Result<Self> {
        let GridArrays { node, parameters, wave_air_aa: wave, normalised, continuum_wave_aa, continuum } = arrays;
        let n = parameters.len();
        ensure!(node.len() == n, "{} node numbers for {n} rows of labels", node.len());
        ensure!(wave.len() > 1 && continuum_wave_aa.len() > 1, "the grid has no wavelengths");
        ensure!(
            normalised.len() == n * wave.len(),
            "`normalised_flux_x10000` has another size than [nodes, wavelengths]"
        );
        ensure!(
            continuum.len() == n * continuum_wave_aa.len(),
            "`continuum` has another size than [nodes, continuum wavelengths]"
        );
        Ok(Self {
            labels: parameters.iter().map(|row| [row[0], row[1], row[2], row[3]]).collect(),
            parameters,
            log10_vac: wave.iter().map(|w| air_to_vacuum_aa(*w).log10()).collect(),
            node,
            normalised,
            continuum,
            continuum_wave_aa,
            pixels: wave.len(),
        })
    }

    /// Flux over continuum of a node, `[6001]`.
    pub fn normalised(&self, node: usize) -> &[f32] {
        &self.normalised[node * self.pixels..(node + 1) * self.pixels]
    }

    /// Continuum of a node at [`Grid::continuum_points`] wavelengths, any unit.
    pub fn continuum(&self, node: usize) -> &[f32] {
        let k = self.continuum_points();
        &self.continuum[node * k..(node + 1) * k]
    }

    /// Number of wavelengths of the continuum, uniform over the range of the spectrum.
    pub fn continuum_points(&self) -> usize {
        self.continuum_wave_aa.len()
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True without nodes.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Absolute flux of a node on the grid's pixels, scaled to a mean of 1.
    pub fn flux(&self, node: usize) -> Vec<f64> {
        let levels = self.continuum(node);
        let mean = levels.iter().map(|c| f64::from(*c)).sum::<f64>() / levels.len() as f64;
        let level = resampled(levels, self.pixels);
        self.normalised(node).iter().zip(level).map(|(line, level)| f64::from(*line) * level / mean).collect()
    }
}

/// Spectral energy distributions of a part of the nodes.
#[derive(Debug, Clone)]
pub struct Seds {
    /// Centres of the uniform bins, vacuum, nm.
    pub wave_nm: Vec<f64>,
    /// Row of each node that has a distribution.
    rows: BTreeMap<usize, usize>,
    flux: Vec<f32>,
}

impl Seds {
    /// Reads `sed.npz`; node numbers link its rows to the grid.
    pub fn read(path: &Path, grid: &Grid) -> Result<Self> {
        let arrays = Arrays::read(path)?;
        let node: Vec<u32> = arrays.get("node")?.1.iter().map(|v| *v as u32).collect();
        let flux = arrays.get("surface_flux")?.1.iter().map(|v| *v as f32).collect();
        Self::new(grid, &node, arrays.get("wavelength_nm")?.1, flux).with_context(|| path.display().to_string())
    }

    /// Distributions from arrays: `node` has the node numbers, `flux` is `[m][bins]`, any unit. Fails if the lengths
    /// disagree.
    pub fn new(grid: &Grid, node: &[u32], wave_nm: Vec<f64>, flux: Vec<f32>) -> Result<Self> {
        ensure!(flux.len() == node.len() * wave_nm.len(), "`surface_flux` has another size than [nodes, wavelengths]");
        let index: BTreeMap<u32, usize> = grid.node.iter().enumerate().map(|(i, n)| (*n, i)).collect();
        let rows = node.iter().enumerate().filter_map(|(row, n)| Some((*index.get(n)?, row))).collect();
        Ok(Self { wave_nm, rows, flux })
    }

    /// Energy distribution of the node at an index of the grid, `[700]`; `None` if it has none.
    pub fn get(&self, node: usize) -> Option<&[f32]> {
        let row = *self.rows.get(&node)?;
        self.flux.get(row * self.wave_nm.len()..(row + 1) * self.wave_nm.len())
    }
}
