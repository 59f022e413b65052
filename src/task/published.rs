//! The published SpecCLIP system on spectra: its preprocessing, both its models, all its heads (MODEL_SPEC §1, §3).
//!
//! A label whose file is missing or damaged is left out with a warning, and all others are given, as in the published code.

use std::io;

use burn::tensor::{Device, Tensor, TensorData};
use thiserror::Error;

use crate::model::import::Checkpoint;
use crate::model::published::{Embedding, Files, Head, Layout, NotPublished, ROUTES, Route, Tower, Warning};
use crate::preprocess::reference::{self, ReferenceError};
use crate::preprocess::xp::{self, XpError};
use crate::result::catalogue::{Measured, Method, Modality, Parameter};
use crate::spectrum::{Spectrum, Survey};

/// Spectra that are encoded at once: more would only take more memory.
const BATCH: usize = 8;
/// Largest file of means and deviations that is read; the published ones have some 30 kB.
const MAX_STATS: u64 = 4 << 20;
/// Widest mean pixel of a spectrum that is not from XP, Å. XP's are 20 or 10 Å wide, those of spectrographs near 1 Å.
const XP_PIXEL_AA: f64 = 4.0;

/// Why the published recipe refuses a spectrum.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)]
pub enum Refused {
    #[error("as a LAMOST spectrum: {0}")]
    Lrs(#[from] ReferenceError),
    #[error("as a Gaia XP spectrum: {0}")]
    Xp(#[from] XpError),
}

/// A spectrum as the published networks take it.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    modality: Modality,
    values: Vec<f32>,
}

impl Input {
    /// Flux that was normalised before: of LRS over its continuum, `[1462]`; of XP over that at 550 nm, `[343]`.
    pub fn normalised(modality: Modality, values: Vec<f32>) -> Self {
        Self { modality, values }
    }

    /// A LAMOST spectrum, normalised as published. Of `wave_is_f32` see [`reference::normalise`].
    pub fn lrs(wave_vac_aa: &[f64], flux: &[f64], wave_is_f32: bool) -> Result<Self, Refused> {
        let norm = reference::normalise(wave_vac_aa, flux, wave_is_f32)?.norm;
        Ok(Self::normalised(Modality::Lrs, norm.into_iter().map(|v| v as f32).collect()))
    }

    /// A sampled Gaia XP spectrum, normalised as published.
    pub fn xp(wave_nm: &[f64], flux: &[f64]) -> Result<Self, Refused> {
        let norm = xp::normalise(wave_nm, flux)?;
        Ok(Self::normalised(Modality::Xp, norm.into_iter().map(|v| v as f32).collect()))
    }

    /// Any spectrum. What is sampled as coarsely as XP over all of XP's range is XP also where its file does not say so, like
    /// the published sample of two rows of text. All else is taken as LAMOST.
    pub fn of(spectrum: &Spectrum) -> Result<Self, Refused> {
        let (wave, flux) = (spectrum.wave_vac_aa(), spectrum.flux());
        if is_xp(spectrum) {
            let wave_nm: Vec<f64> = wave.iter().map(|w| w / 10.0).collect();
            return Self::xp(&wave_nm, flux);
        }
        Self::lrs(wave, flux, spectrum.meta.wave_is_f32)
    }

    /// From which survey's kind of spectrum.
    pub fn modality(&self) -> Modality {
        self.modality
    }
}

/// Whether a spectrum is Gaia XP's: its file says so, or it is sampled as coarsely over all of XP's range.
pub fn is_xp(spectrum: &Spectrum) -> bool {
    spectrum.meta.survey == Survey::GaiaXp || is_sampled_as_xp(spectrum.wave_vac_aa())
}

fn is_sampled_as_xp(wave_aa: &[f64]) -> bool {
    let (Some(first), Some(last)) = (wave_aa.first(), wave_aa.last()) else { return false };
    *first <= 3360.0 && *last >= 10_200.0 && last - first > XP_PIXEL_AA * wave_aa.len() as f64
}

/// The values of one spectrum, in the order of the catalogue or as they were asked for, and the labels that came to nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurements {
    /// What the heads gave.
    pub values: Vec<Measured>,
    /// Which heads gave no finite number, or cannot have any because their model takes spectra of another length.
    pub failed: Vec<Parameter>,
}

/// The published system; each survey's networks are read when its first spectrum comes.
#[derive(Debug)]
pub struct System<F> {
    files: F,
    layout: Layout,
    wanted: Vec<Parameter>,
    device: Device,
    lrs: Option<Side>,
    xp: Option<Side>,
    warnings: Vec<Warning>,
}

/// The networks of one survey.
#[derive(Debug, Default)]
struct Side {
    pr: Option<Tower>,
    split: Option<Tower>,
    heads: Vec<(Route, Head)>,
}

impl<F: Files> System<F> {
    /// Recognises the published folder. Of its labels those in `wanted` are given, in that order; all of them, in the
    /// catalogue's, if it is empty.
    pub fn open(files: F, wanted: &[Parameter], device: &Device) -> Result<Self, NotPublished> {
        let mut layout = Layout::find(&files)?;
        let warnings = std::mem::take(&mut layout.warnings);
        Ok(Self { files, layout, wanted: wanted.to_vec(), device: device.clone(), lrs: None, xp: None, warnings })
    }

    /// What was left out since the last call, and why.
    pub fn warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// The labels that can be given for spectra of a survey; reads its networks the first time.
    pub fn labels(&mut self, modality: Modality) -> Vec<Parameter> {
        self.side(modality).heads.iter().map(|(route, _)| route.parameter).collect()
    }

    /// One answer a spectrum, in the same order. `None` when the device gives nothing back.
    pub async fn measure(&mut self, inputs: &[Input]) -> Option<Vec<Measurements>> {
        let mut answers = vec![Measurements::default(); inputs.len()];
        for modality in [Modality::Lrs, Modality::Xp] {
            let rows: Vec<usize> = (0..inputs.len()).filter(|i| inputs[*i].modality == modality).collect();
            for rows in rows.chunk_by(|a, b| inputs[*a].values.len() == inputs[*b].values.len()) {
                for rows in rows.chunks(BATCH) {
                    let x: Vec<&[f32]> = rows.iter().map(|i| inputs[*i].values.as_slice()).collect();
                    let device = self.device.clone();
                    let measured = self.side(modality).measure(&x, &device).await?;
                    rows.iter().zip(measured).for_each(|(i, m)| answers[*i] = m);
                }
            }
        }
        Some(answers)
    }

    /// The networks of a survey.
    fn side(&mut self, modality: Modality) -> &Side {
        let is_read = match modality {
            Modality::Lrs => self.lrs.is_some(),
            Modality::Xp => self.xp.is_some(),
        };
        let read = (!is_read).then(|| self.read(modality));
        let place = match modality {
            Modality::Lrs => &mut self.lrs,
            Modality::Xp => &mut self.xp,
        };
        place.get_or_insert_with(|| read.unwrap_or_default())
    }

    fn read(&mut self, modality: Modality) -> Side {
        let is_wanted =
            |r: &&Route| r.modality == modality && (self.wanted.is_empty() || self.wanted.contains(&r.parameter));
        let mut routes: Vec<Route> = ROUTES.iter().filter(is_wanted).copied().collect();
        routes.sort_by_key(|route| self.wanted.iter().position(|wanted| *wanted == route.parameter));
        let mut side = Side::default();
        for embedding in [Embedding::Pr, Embedding::Split] {
            let routes: Vec<&Route> = routes.iter().filter(|r| r.embedding == embedding).collect();
            if routes.is_empty() {
                continue;
            }
            let path = self.layout.clip(embedding);
            match self.tower(&path, modality, side.pr.as_ref()) {
                Ok(tower) if embedding == Embedding::Pr => side.pr = Some(tower),
                Ok(tower) => side.split = Some(tower),
                Err(problem) => {
                    let names: Vec<&str> = routes.iter().map(|r| r.parameter.name()).collect();
                    let labels = names.join(", ");
                    self.warnings.push(Warning::new(path, format!("{problem}; left out for it: {labels}")));
                }
            }
        }
        for route in routes {
            let Some(width) = side.tower(route.embedding).map(Tower::width) else { continue };
            if let Some(head) = self.head(&route, width) {
                side.heads.push((route, head));
            }
        }
        side
    }

    fn tower(&self, path: &str, modality: Modality, first: Option<&Tower>) -> Result<Tower, String> {
        let file = self.files.open(path).map_err(|e| unread(&e))?;
        let mut checkpoint = Checkpoint::open(file).map_err(|e| e.to_string())?;
        Tower::load(&mut checkpoint, modality, first, &self.device).map_err(|e| e.to_string())
    }

    /// A head, or a warning in its place.
    fn head(&mut self, route: &Route, width: usize) -> Option<Head> {
        let stats = match route.method {
            Method::Mlp => self.stats(route),
            Method::Sbi => Ok(None),
        };
        let path = self.layout.head(route);
        let head = stats.and_then(|stats| {
            let file = self.files.open(&path).map_err(|e| Warning::new(&path, unread(&e)))?;
            Head::load(file, stats.as_deref(), route.method, width, &self.device)
                .map_err(|e| Warning::new(&path, e.to_string()))
        });
        match head {
            Ok((head, remarks)) => {
                self.warnings.extend(remarks.into_iter().map(|remark| Warning::new(&path, remark)));
                Some(head)
            }
            Err(Warning { about, problem }) => {
                let (name, survey) = (route.parameter.name(), route.modality.name());
                self.warnings.push(Warning::new(about, format!("{problem}; {name} is left out ({survey})")));
                None
            }
        }
    }

    /// The statistics of an MLP's inputs. Without them the published code does not standardise, and neither does this.
    fn stats(&mut self, route: &Route) -> Result<Option<Vec<u8>>, Warning> {
        let paths = self.layout.stats(route);
        for path in &paths {
            match self.files.read(path, MAX_STATS) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Warning::new(path, unread(&e))),
            }
        }
        let (name, survey) = (route.parameter.name(), route.modality.name());
        let problem = format!(
            "it is missing; as in the published code, {name} ({survey}) comes from an embedding that is not standardised \
             and is most likely wrong; download the file again"
        );
        self.warnings.push(Warning::new(paths.join(" or "), problem));
        Ok(None)
    }
}

fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is missing; download it again".into(),
        _ => format!("it cannot be read ({error}); download it again"),
    }
}

impl Side {
    fn tower(&self, embedding: Embedding) -> Option<&Tower> {
        match embedding {
            Embedding::Pr => self.pr.as_ref(),
            Embedding::Split => self.split.as_ref(),
        }
    }

    async fn measure(&self, inputs: &[&[f32]], device: &Device) -> Option<Vec<Measurements>> {
        let mut answers = vec![Measurements::default(); inputs.len()];
        let pixels = inputs.first().map_or(0, |x| x.len());
        let x = || Tensor::<2>::from_data(TensorData::new(inputs.concat(), [inputs.len(), pixels]), device);
        let (pr, split) = (self.pr.as_ref(), self.split.as_ref());
        let [pr, split] = [pr, split].map(|tower| tower.filter(|tower| tower.takes(pixels)));
        let encoded = pr.map(|tower| tower.encode(x()));
        let of_pr = match (pr, &encoded) {
            (Some(tower), Some(encoded)) => Some(rows(tower.project(encoded.clone())).await?),
            _ => None,
        };
        let of_split = match split {
            Some(tower) => {
                let is_shared = pr.is_some_and(|pr| pr.shares_encoder(tower));
                let encoded = encoded.filter(|_| is_shared).unwrap_or_else(|| tower.encode(x()));
                Some(rows(tower.project(encoded)).await?)
            }
            None => None,
        };
        for (route, head) in &self.heads {
            let embeddings = if route.embedding == Embedding::Pr { &of_pr } else { &of_split };
            let got = match embeddings {
                Some(embeddings) => head.answer(embeddings).await?,
                None => vec![None; inputs.len()],
            };
            for (answer, got) in answers.iter_mut().zip(got) {
                let Route { parameter, method, .. } = *route;
                match got {
                    Some((value, error)) => answer.values.push(Measured { parameter, value, error, method }),
                    None => answer.failed.push(parameter),
                }
            }
        }
        Some(answers)
    }
}

/// A matrix as rows.
async fn rows(tensor: Tensor<2>) -> Option<Vec<Vec<f32>>> {
    let width = tensor.dims()[1].max(1);
    let values: Vec<f32> = tensor.into_data_async().await.ok()?.try_to_vec().ok()?;
    Some(values.chunks(width).map(<[f32]>::to_vec).collect())
}
