//! Runs the published `SpecCLIP` system: its preprocessing, its two models, its heads (docs/model-spec.md §1, §3).
//!
//! A label whose file is missing or damaged is left out with a warning. All other labels are given, as in the published
//! code.

use std::io;

use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

use crate::model::import::Checkpoint;
use crate::model::specclip::{Embedding, Files, Head, HeadRoute, Layout, LayoutError, ROUTES, Tower, Warning};
use crate::preprocess::reference::{self, ReferenceError};
use crate::preprocess::xp::{self, XpError};
use crate::result::specclip::{Method, Modality, Parameter, SpecClipValue};
use crate::spectrum::{Spectrum, Survey};

/// Spectra per batch of the encoders: a larger batch would only take more memory.
const BATCH: usize = 8;
/// Largest file of means and standard deviations that is read, bytes; the published files have some 30 kB.
const MAX_STATS: u64 = 4 << 20;
/// Largest mean pixel width of a spectrum that is not from Gaia XP, Å. XP pixels are 20 or 10 Å wide, pixels of
/// spectrographs near 1 Å.
const XP_PIXEL_AA: f64 = 4.0;

/// Why the published preprocessing refuses a spectrum.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs, reason = "the error text of each variant explains it")]
pub enum SpecClipInputError {
    #[error("as a LAMOST spectrum: {0}")]
    Lrs(#[from] ReferenceError),
    #[error("as a Gaia XP spectrum: {0}")]
    Xp(#[from] XpError),
}

/// Input of the published networks: a normalised spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    modality: Modality,
    values: Vec<f32>,
}

impl Input {
    /// Input from normalised flux: LRS divided by its continuum, `[1462]`, or XP divided by its flux at 550 nm,
    /// `[343]`.
    pub fn normalised(modality: Modality, values: Vec<f32>) -> Self {
        Self { modality, values }
    }

    /// Input from a LAMOST spectrum, normalised as published. Wavelengths are in Å, in vacuum; for `wave_is_f32` see
    /// [`reference::normalise`].
    pub fn lrs(wave_vac_aa: &[f64], flux: &[f64], wave_is_f32: bool) -> Result<Self, SpecClipInputError> {
        let norm = reference::normalise(wave_vac_aa, flux, wave_is_f32)?.norm;
        Ok(Self::normalised(Modality::Lrs, norm.into_iter().map(|v| v as f32).collect()))
    }

    /// Input from a sampled Gaia XP spectrum, normalised as published. Wavelengths are in nm.
    pub fn xp(wave_nm: &[f64], flux: &[f64]) -> Result<Self, SpecClipInputError> {
        let norm = xp::normalise(wave_nm, flux)?;
        Ok(Self::normalised(Modality::Xp, norm.into_iter().map(|v| v as f32).collect()))
    }

    /// Input from any spectrum: as Gaia XP where [`is_xp`] is true, else as LAMOST. The sampling decides where a file
    /// does not name its survey, for example the published sample of two rows of text.
    pub fn of(spectrum: &Spectrum) -> Result<Self, SpecClipInputError> {
        let (wave, flux) = (spectrum.wave_vac_aa(), spectrum.flux());
        if is_xp(spectrum) {
            let wave_nm: Vec<f64> = wave.iter().map(|w| w / 10.0).collect();
            return Self::xp(&wave_nm, flux);
        }
        Self::lrs(wave, flux, spectrum.meta.wave_is_f32)
    }

    /// Survey type of the spectrum.
    pub fn modality(&self) -> Modality {
        self.modality
    }
}

/// True for a Gaia XP spectrum: its file says so, or its sampling is as coarse over the whole range of XP.
pub fn is_xp(spectrum: &Spectrum) -> bool {
    spectrum.meta.survey == Survey::GaiaXp || is_sampled_as_xp(spectrum.wave_vac_aa())
}

fn is_sampled_as_xp(wave_aa: &[f64]) -> bool {
    let (Some(first), Some(last)) = (wave_aa.first(), wave_aa.last()) else { return false };
    *first <= 3360.0 && *last >= 10_200.0 && last - first > XP_PIXEL_AA * wave_aa.len() as f64
}

/// Values of one spectrum, in the order of the catalogue or of the request, and the labels without a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurements {
    /// Values from the heads.
    pub values: Vec<SpecClipValue>,
    /// Labels whose head gave no finite number, or whose model takes spectra of another length.
    pub failed: Vec<Parameter>,
}

/// The published system. It reads the networks of a survey with the first spectrum of that survey.
#[derive(Debug)]
pub struct SpecClip<F> {
    files: F,
    layout: Layout,
    parameters: Vec<Parameter>,
    device: Device,
    lrs: Option<SurveyNetworks>,
    xp: Option<SurveyNetworks>,
    warnings: Vec<Warning>,
}

/// The networks of one survey.
#[derive(Debug, Default)]
struct SurveyNetworks {
    pr: Option<Tower>,
    split: Option<Tower>,
    heads: Vec<(HeadRoute, Head)>,
}

impl<F: Files> SpecClip<F> {
    /// Opens the published folder. `parameters` selects labels and their order. If it is empty, all labels are given,
    /// in the order of the catalogue.
    pub fn open(files: F, parameters: &[Parameter], device: &Device) -> Result<Self, LayoutError> {
        let mut layout = Layout::find(&files)?;
        let warnings = std::mem::take(&mut layout.warnings);
        Ok(Self {
            files,
            layout,
            parameters: parameters.to_vec(),
            device: device.clone(),
            lrs: None,
            xp: None,
            warnings,
        })
    }

    /// Warnings since the last call: for example, a label that is left out, and the reason.
    pub fn warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Labels available for spectra of a survey; the first call reads the survey's networks.
    pub fn labels(&mut self, modality: Modality) -> Vec<Parameter> {
        self.networks(modality).heads.iter().map(|(route, _)| route.parameter).collect()
    }

    /// Measurements of each spectrum, in the same order. `None` when the device returns no data.
    pub async fn measure(&mut self, inputs: &[Input]) -> Option<Vec<Measurements>> {
        let mut measurements = vec![Measurements::default(); inputs.len()];
        for modality in [Modality::Lrs, Modality::Xp] {
            let rows: Vec<usize> = (0..inputs.len()).filter(|i| inputs[*i].modality == modality).collect();
            for rows in rows.chunk_by(|a, b| inputs[*a].values.len() == inputs[*b].values.len()) {
                for rows in rows.chunks(BATCH) {
                    let x: Vec<&[f32]> = rows.iter().map(|i| inputs[*i].values.as_slice()).collect();
                    let device = self.device.clone();
                    let measured = self.networks(modality).measure(&x, &device).await?;
                    rows.iter().zip(measured).for_each(|(i, m)| measurements[*i] = m);
                }
            }
        }
        Some(measurements)
    }

    /// The networks of a survey; the first call reads them.
    fn networks(&mut self, modality: Modality) -> &SurveyNetworks {
        let is_loaded = match modality {
            Modality::Lrs => self.lrs.is_some(),
            Modality::Xp => self.xp.is_some(),
        };
        let loaded = (!is_loaded).then(|| self.read(modality));
        let slot = match modality {
            Modality::Lrs => &mut self.lrs,
            Modality::Xp => &mut self.xp,
        };
        slot.get_or_insert_with(|| loaded.unwrap_or_default())
    }

    fn read(&mut self, modality: Modality) -> SurveyNetworks {
        let is_selected = |r: &&HeadRoute| {
            r.modality == modality && (self.parameters.is_empty() || self.parameters.contains(&r.parameter))
        };
        let mut routes: Vec<HeadRoute> = ROUTES.iter().filter(is_selected).copied().collect();
        routes.sort_by_key(|route| self.parameters.iter().position(|parameter| *parameter == route.parameter));
        let mut networks = SurveyNetworks::default();
        for embedding in [Embedding::Pr, Embedding::Split] {
            let routes: Vec<&HeadRoute> = routes.iter().filter(|r| r.embedding == embedding).collect();
            if routes.is_empty() {
                continue;
            }
            let path = self.layout.clip(embedding);
            match self.tower(&path, modality, networks.pr.as_ref()) {
                Ok(tower) if embedding == Embedding::Pr => networks.pr = Some(tower),
                Ok(tower) => networks.split = Some(tower),
                Err(problem) => {
                    let names: Vec<&str> = routes.iter().map(|r| r.parameter.name()).collect();
                    let labels = names.join(", ");
                    self.warnings.push(Warning::new(path, format!("{problem}; labels not predicted: {labels}")));
                }
            }
        }
        for route in routes {
            let Some(width) = networks.tower(route.embedding).map(Tower::width) else { continue };
            if let Some(head) = self.head(&route, width) {
                networks.heads.push((route, head));
            }
        }
        networks
    }

    fn tower(&self, path: &str, modality: Modality, shared: Option<&Tower>) -> Result<Tower, String> {
        let file = self.files.open(path).map_err(|e| open_error(&e))?;
        let mut checkpoint = Checkpoint::open(file).map_err(|e| e.to_string())?;
        Tower::load(&mut checkpoint, modality, shared, &self.device).map_err(|e| e.to_string())
    }

    /// The head of a label; `None` with a warning if it cannot be loaded.
    fn head(&mut self, route: &HeadRoute, width: usize) -> Option<Head> {
        let stats = match route.method {
            Method::Mlp => self.stats(route),
            Method::Sbi => Ok(None),
        };
        let path = self.layout.head(route);
        let head = stats.and_then(|stats| {
            let file = self.files.open(&path).map_err(|e| Warning::new(&path, open_error(&e)))?;
            Head::load(file, stats.as_deref(), route.method, width, &self.device)
                .map_err(|e| Warning::new(&path, e.to_string()))
        });
        match head {
            Ok((head, notes)) => {
                self.warnings.extend(notes.into_iter().map(|note| Warning::new(&path, note)));
                Some(head)
            }
            Err(Warning { subject, problem }) => {
                let (name, survey) = (route.parameter.name(), route.modality.name());
                self.warnings.push(Warning::new(subject, format!("{problem}; {name} is left out ({survey})")));
                None
            }
        }
    }

    /// Statistics of an MLP's inputs. Without them the published code does not standardise the inputs, and neither does
    /// Specola.
    fn stats(&mut self, route: &HeadRoute) -> Result<Option<Vec<u8>>, Warning> {
        let paths = self.layout.stats(route);
        for path in &paths {
            match self.files.read(path, MAX_STATS) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Warning::new(path, open_error(&e))),
            }
        }
        let (name, survey) = (route.parameter.name(), route.modality.name());
        let problem = format!(
            "the file is missing. As in the published code, the embedding is not standardised, so {name} ({survey}) is \
             most likely wrong. Download the file again"
        );
        self.warnings.push(Warning::new(paths.join(" or "), problem));
        Ok(None)
    }
}

fn open_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "the file is missing; download it again".into(),
        _ => format!("it cannot be read ({error}); download it again"),
    }
}

impl SurveyNetworks {
    fn tower(&self, embedding: Embedding) -> Option<&Tower> {
        match embedding {
            Embedding::Pr => self.pr.as_ref(),
            Embedding::Split => self.split.as_ref(),
        }
    }

    async fn measure(&self, inputs: &[&[f32]], device: &Device) -> Option<Vec<Measurements>> {
        let mut measurements = vec![Measurements::default(); inputs.len()];
        let pixels = inputs.first().map_or(0, |x| x.len());
        let x = || Tensor::<2>::from_data(TensorData::new(inputs.concat(), [inputs.len(), pixels]), device);
        let (pr, split) = (self.pr.as_ref(), self.split.as_ref());
        let [pr, split] = [pr, split].map(|tower| tower.filter(|tower| tower.takes(pixels)));
        let encoded = pr.map(|tower| tower.encode(x()));
        let pr_embeddings = match (pr, &encoded) {
            (Some(tower), Some(encoded)) => Some(rows(tower.project(encoded.clone())).await?),
            _ => None,
        };
        let split_embeddings = match split {
            Some(tower) => {
                let is_shared = pr.is_some_and(|pr| pr.shares_encoder(tower));
                let encoded = encoded.filter(|_| is_shared).unwrap_or_else(|| tower.encode(x()));
                Some(rows(tower.project(encoded)).await?)
            }
            None => None,
        };
        for (route, head) in &self.heads {
            let embeddings = if route.embedding == Embedding::Pr { &pr_embeddings } else { &split_embeddings };
            let head_values = match embeddings {
                Some(embeddings) => head.predict(embeddings).await?,
                None => vec![None; inputs.len()],
            };
            for (measured, head_value) in measurements.iter_mut().zip(head_values) {
                let HeadRoute { parameter, method, .. } = *route;
                match head_value {
                    Some((value, error)) => measured.values.push(SpecClipValue { parameter, value, error, method }),
                    None => measured.failed.push(parameter),
                }
            }
        }
        Some(measurements)
    }
}

/// The rows of a matrix, read from the device.
async fn rows(tensor: Tensor<2>) -> Option<Vec<Vec<f32>>> {
    let width = tensor.dims()[1].max(1);
    let values: Vec<f32> = tensor.into_data_async().await.ok()?.try_to_vec().ok()?;
    Some(values.chunks(width).map(<[f32]>::to_vec).collect())
}
