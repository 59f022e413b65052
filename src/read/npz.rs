//! `.npz` bundles (`numpy.savez`) of many spectra on one wavelength axis, read in parts of a few rows.
//!
//! Arrays: an axis whose name states medium, scale and unit (`wavelength_air_aa`, `log10_wavelength_vac_aa`,
//! `loglam_vac`, `wave_vac_nm` …); `flux` `[n, pixels]` or `[pixels]`; optional `ivar` or `sigma` of the same shape;
//! optional `id` or `name` `[n]`. The survey is recognised from the axis and the form of the ids.

mod origin;

use std::io::{self, Read, Seek};
use std::sync::Arc;

use super::axis::{Axis, Role, Scale, role};
use super::container::Zip;
use super::error::{ReadError, truncate};
use super::member::Member;
use super::npy::{ArrayHeader, MAX_HEADER_BYTES};
use super::samples::{Errors, Samples};
use super::{Contents, MAX_PIXELS, rows_per_part};
use crate::spectrum::{self, MIN_PIXELS};
use origin::Grid;

/// Names of the array of ids, in order of preference.
const ID_NAMES: [&str; 10] =
    ["id", "ids", "obsid", "source_id", "targetid", "name", "names", "object", "star", "designation"];

/// A bundle. Its arrays stay in the file until their rows are read.
pub(crate) struct Bundle<R> {
    file: R,
    layout: Arc<Layout>,
    flux: StoredArray,
    errors: Option<StoredArray>,
    ids: Option<StoredArray>,
}

/// What all spectra of a bundle have in common.
struct Layout {
    /// Id of spectra without an id; a number follows if there are several.
    stem: String,
    /// Number of spectra.
    rows: usize,
    axis: Axis,
    wave_aa: Vec<f64>,
    wave_is_f32: bool,
    /// The note about the wavelengths.
    note: Option<String>,
    grid: Grid,
    /// Names and types of the arrays.
    flux: (String, ArrayHeader),
    errors: Option<(String, ArrayHeader)>,
    ids: Option<(String, ArrayHeader)>,
}

/// An array in the file.
struct StoredArray {
    name: String,
    header: ArrayHeader,
    member: Member,
    is_checked: bool,
}

impl StoredArray {
    fn open(file: &mut (impl Read + Seek), name: String, mut member: Member) -> Result<Self, ReadError> {
        let head_bytes = member.size().min(MAX_HEADER_BYTES as u64) as usize;
        let head = member.read(file, 0, head_bytes).map_err(|e| damaged(&name, &e))?;
        let header = ArrayHeader::parse(&name, &head)?;
        header.check_size(&name, member.size())?;
        Ok(Self { name, header, member, is_checked: false })
    }

    /// The bytes of `count` elements from index `start`.
    fn elements(&mut self, file: &mut (impl Read + Seek), start: usize, count: usize) -> Result<Vec<u8>, ReadError> {
        let width = self.header.width();
        let position = (self.header.header_bytes as u64).saturating_add((start as u64).saturating_mul(width as u64));
        self.member.read(file, position, count.saturating_mul(width)).map_err(|e| damaged(&self.name, &e))
    }

    fn check(&mut self, file: &mut (impl Read + Seek)) -> Result<bool, ReadError> {
        if !self.is_checked {
            self.is_checked = self.member.check(file).map_err(|e| damaged(&self.name, &e))?;
        }
        Ok(self.is_checked)
    }

    fn description(&self) -> (String, ArrayHeader) {
        (self.name.clone(), self.header.clone())
    }
}

fn damaged(array: &str, error: &io::Error) -> ReadError {
    let problem = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_string(),
        _ => error.to_string(),
    };
    ReadError::Unpack { part: format!("array {array}"), problem }
}

fn bundle_error(array: &str, problem: impl Into<String>) -> ReadError {
    ReadError::Bundle { array: array.into(), problem: problem.into() }
}

impl<R: Read + Seek> Bundle<R> {
    /// Opens a bundle. `stem` is the id of spectra without an id.
    ///
    /// # Errors
    ///
    /// If wavelengths or fluxes are missing, or if the arrays do not fit together.
    pub(crate) fn open(mut zip: Zip<R>, stem: &str) -> Result<Self, ReadError> {
        let files: Vec<(usize, String, String)> = zip
            .files()
            .into_iter()
            .map(|(index, file)| (index, file.trim_end_matches(".npy").to_string(), file))
            .collect();
        if zip.n_hidden() > 0 {
            let problem = "two arrays have the same name; save it again with numpy.savez".into();
            return Err(ReadError::Layout { place: "the bundle".into(), problem });
        }
        let find = |wanted: &dyn Fn(&str) -> bool| files.iter().find(|(_, name, _)| wanted(name));
        let Some((axis_entry, axis)) = files.iter().find_map(|entry| match role(&entry.1, "") {
            Some(Role::Wavelength(axis)) => Some((entry, axis)),
            _ => None,
        }) else {
            let names: Vec<String> = files.iter().take(12).map(|(_, name, _)| truncate(name)).collect();
            let problem = format!(
                "it is missing, and none of the arrays {} is a wavelength axis by its name; name the axis wavelength_vac_aa, wavelength_air_aa or loglam_vac",
                names.join(", ")
            );
            return Err(bundle_error("wavelength_vac_aa", problem));
        };
        let with_role = |wanted: Role| find(&|name| role(name, "") == Some(wanted));
        let flux_entry =
            with_role(Role::Flux).ok_or_else(|| bundle_error("flux", "it is missing; add flux [n, pixels]"))?;
        let error_entry = with_role(Role::Ivar).or_else(|| with_role(Role::Sigma));
        let id_entry = ID_NAMES.iter().find_map(|id| find(&|name| name.eq_ignore_ascii_case(id)));
        let mut member = |entry: &(usize, String, String)| Ok((entry.1.clone(), zip.member(entry.0, &entry.2)?));
        let axis_member = member(axis_entry)?;
        let flux_member = member(flux_entry)?;
        let error_member = error_entry.map(&mut member).transpose()?;
        let id_member = id_entry.map(&mut member).transpose()?;
        let mut file = zip.into_source();
        let mut array = |(name, member): (String, Member)| StoredArray::open(&mut file, name, member);
        let (mut axis_array, flux) = (array(axis_member)?, array(flux_member)?);
        let errors = error_member.map(&mut array).transpose()?;
        let ids = id_member.map(&mut array).transpose()?;

        let pixels = axis_array.header.elements();
        let rows = number_of_rows(&flux, &axis_array.name, pixels)?;
        if let Some(errors) = errors.as_ref().filter(|e| e.header.shape != flux.header.shape) {
            return Err(bundle_error(&errors.name, "its shape differs from the shape of the flux; save it again"));
        }
        if let Some(ids) = ids.as_ref().filter(|ids| ids.header.elements() != rows || ids.header.shape.len() > 1) {
            return Err(not_ids(&ids.name, rows));
        }
        while !axis_array.check(&mut file)? {}
        let stored = axis_array.elements(&mut file, 0, pixels)?;
        let stored = axis_array.header.list(&stored).numbers(0, pixels);
        let (wave_aa, note) =
            axis.to_aa(stored.ok_or_else(|| bundle_error(&axis_array.name, "it does not hold numbers"))?);
        let layout = Layout {
            stem: stem.to_string(),
            rows,
            axis,
            grid: Grid::of(&wave_aa, axis),
            wave_aa,
            wave_is_f32: axis_array.header.is_f32() && axis.scale != Some(Scale::Log10),
            note,
            flux: flux.description(),
            errors: errors.as_ref().map(StoredArray::description),
            ids: ids.as_ref().map(StoredArray::description),
        };
        let mut bundle = Self { file, layout: Arc::new(layout), flux, errors, ids };
        // An array of the wrong type is an error of the whole bundle.
        bundle.load(0, 1)?.read()?;
        Ok(bundle)
    }

    /// Number of spectra.
    pub(crate) fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Number of spectra in each part but the last.
    pub(crate) fn rows_per_part(&self) -> usize {
        rows_per_part(self.layout.wave_aa.len())
    }

    /// Compares the next piece of the arrays with their checksums. Returns true after the last.
    ///
    /// # Errors
    ///
    /// If an array is damaged.
    pub(crate) fn check(&mut self) -> Result<bool, ReadError> {
        for array in [Some(&mut self.flux), self.errors.as_mut(), self.ids.as_mut()].into_iter().flatten() {
            if !array.check(&mut self.file)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Loads `count` rows from row `first`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub(crate) fn load(&mut self, first: usize, count: usize) -> Result<BundleRows, ReadError> {
        let pixels = self.layout.wave_aa.len();
        let count = count.min(self.layout.rows.saturating_sub(first));
        let mut of = |array: &mut StoredArray, width: usize| {
            array.elements(&mut self.file, first.saturating_mul(width), count.saturating_mul(width))
        };
        Ok(BundleRows {
            flux: of(&mut self.flux, pixels)?,
            errors: self.errors.as_mut().map(|errors| of(errors, pixels)).transpose()?,
            ids: self.ids.as_mut().map(|ids| of(ids, 1)).transpose()?,
            layout: self.layout.clone(),
            first,
            count,
        })
    }

    /// All spectra.
    ///
    /// # Errors
    ///
    /// If the arrays are damaged, or have too many pixels to be in memory together.
    pub(crate) fn read(mut self) -> Result<Contents, ReadError> {
        if self.rows().saturating_mul(self.layout.wave_aa.len()) > MAX_PIXELS {
            return Err(bundle_error(&self.flux.name, "it has more than 40 million pixels; split the bundle"));
        }
        while !self.check()? {}
        self.load(0, self.rows())?.read()
    }
}

/// Number of spectra in the array of fluxes.
fn number_of_rows(flux: &StoredArray, axis: &str, pixels: usize) -> Result<usize, ReadError> {
    let rows = match flux.header.shape.as_slice() {
        [p] if *p == pixels => 1,
        [n, p] if *p == pixels && pixels > 0 => *n,
        shape => {
            let problem =
                format!("its shape is {shape:?}, but the wavelength axis requires [n, {pixels}]; save it again");
            return Err(bundle_error(&flux.name, problem));
        }
    };
    if rows == 0 {
        return Err(bundle_error(&flux.name, "it has no rows; save the bundle again"));
    }
    if rows > 1 && pixels < MIN_PIXELS {
        let problem = format!("it has {pixels} values; a spectrum needs at least {MIN_PIXELS} pixels");
        return Err(bundle_error(axis, problem));
    }
    if pixels > spectrum::MAX_PIXELS {
        let problem = format!("it has {pixels} values, more than the longest spectrum that is read; cut it into parts");
        return Err(bundle_error(axis, problem));
    }
    Ok(rows)
}

fn not_ids(array: &str, rows: usize) -> ReadError {
    let problem = format!("it is not a list of {rows} strings or integers, one for each row of flux; save it again");
    bundle_error(array, problem)
}

/// Rows of a bundle, loaded but not decoded.
pub(crate) struct BundleRows {
    layout: Arc<Layout>,
    first: usize,
    count: usize,
    flux: Vec<u8>,
    errors: Option<Vec<u8>>,
    ids: Option<Vec<u8>>,
}

impl BundleRows {
    /// The spectra. Invalid ones are skipped and listed by id.
    ///
    /// # Errors
    ///
    /// If an array does not hold what its name says.
    pub(crate) fn read(&self) -> Result<Contents, ReadError> {
        let layout = &*self.layout;
        let pixels = layout.wave_aa.len();
        let numbers = |bytes: &[u8], (name, header): &(String, ArrayHeader), row: usize| {
            let numbers = header.list(bytes).numbers(row * pixels, pixels);
            numbers.ok_or_else(|| bundle_error(name, "it does not hold numbers; save it as floats"))
        };
        let mut contents = Contents::default();
        for (row, id) in self.ids()?.into_iter().enumerate() {
            let errors = match (&self.errors, &layout.errors) {
                (Some(bytes), Some(array)) => Errors::of(role(&array.0, ""), numbers(bytes, array, row)?),
                _ => None,
            };
            let mut meta = origin::meta(&id, layout.grid, layout.axis);
            meta.wave_is_f32 = layout.wave_is_f32;
            meta.notes.extend(layout.note.clone());
            let flux = numbers(&self.flux, &layout.flux, row)?;
            let samples = Samples { wave_aa: layout.wave_aa.clone(), flux, errors, mask: None };
            match samples.into_spectrum(meta) {
                Ok(spectrum) => contents.spectra.push(spectrum),
                Err(error) => {
                    let place = format!("row {} of the bundle", self.first + row);
                    contents.skip(|| id, ReadError::samples(place)(error));
                }
            }
        }
        Ok(contents)
    }

    /// The ids in the bundle; else the stem, with a number if there are several spectra.
    fn ids(&self) -> Result<Vec<String>, ReadError> {
        let (Some(bytes), Some((name, header))) = (&self.ids, &self.layout.ids) else {
            let stem = &self.layout.stem;
            let numbers = self.first..self.first + self.count;
            return Ok(match self.layout.rows {
                1 => vec![stem.clone()],
                _ => numbers.map(|i| format!("{stem}-{i}")).collect(),
            });
        };
        header.list(bytes).words().ok_or_else(|| not_ids(name, self.layout.rows))
    }

    /// Size in memory, bytes.
    pub(crate) fn size(&self) -> usize {
        self.flux.len() + self.errors.as_ref().map_or(0, Vec::len) + self.ids.as_ref().map_or(0, Vec::len)
    }
}
