//! Join of a label table with spectra, by id or by file name.

use std::collections::HashMap;

use super::error::truncate;
use super::ids::{lost_digits, normalised};
use super::labels::LabelTable;
use super::stem;

/// The names of a spectrum that the join uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpectrumName<'a> {
    /// Its id ([`crate::spectrum::Meta::id`]).
    pub id: &'a str,
    /// Name of its file, with or without folders and extensions; empty if unknown.
    pub file: &'a str,
}

/// The criterion by which a row was matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKey {
    /// The id of the row equals the id of the spectrum, or is another spelling of it ([`normalised`]).
    Id,
    /// The id of the row or its column `file` equals the file name or id of the spectrum, without folders and
    /// extensions.
    File,
}

/// A spectrum and the row that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchedRow {
    /// Index into the spectra.
    pub spectrum: usize,
    /// Index into the rows of the table.
    pub row: usize,
    /// The criterion of the match.
    pub key: JoinKey,
}

/// A spectrum with several candidate rows; the join uses none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmbiguousMatch {
    /// Index into the spectra.
    pub spectrum: usize,
    /// The rows, in the table's order.
    pub rows: Vec<usize>,
}

/// Result of a join.
///
/// Every spectrum is in exactly one of `matched`, `ambiguous` and `spectra_without_row`. Every row is in
/// `rows_without_spectrum`, or once or more in `matched` and `ambiguous`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JoinResult {
    /// Spectra with exactly one row, in the order of the spectra. Several spectra of one star may share a row.
    pub matched: Vec<MatchedRow>,
    /// Spectra with several candidate rows.
    pub ambiguous: Vec<AmbiguousMatch>,
    /// Spectra without a row in the table.
    pub spectra_without_row: Vec<usize>,
    /// Rows that match no spectrum.
    pub rows_without_spectrum: Vec<usize>,
    /// Remark for the user: ids that lost digits, or that the ids of another column than the first were used.
    pub note: Option<String>,
}

/// Names of columns with file names.
const FILE_COLUMNS: [&str; 5] = ["file", "filename", "file_name", "path", "spectrum"];

/// The rows of each id of a column.
struct IdIndex<'t> {
    column: &'t str,
    exact: HashMap<&'t str, Vec<usize>>,
    normalised: HashMap<String, Vec<usize>>,
}

impl<'t> IdIndex<'t> {
    fn new(column: &'t str, ids: &'t [String]) -> Self {
        let mut index = Self { column, exact: HashMap::new(), normalised: HashMap::new() };
        for (row, id) in ids.iter().enumerate() {
            add_row(&mut index.exact, id.trim(), row);
            add_row(&mut index.normalised, normalised(id), row);
        }
        index
    }

    fn rows(&self, id: &str) -> Option<&Vec<usize>> {
        let id = id.trim();
        self.exact.get(id).or_else(|| self.normalised.get(&normalised(id))).filter(|_| !id.is_empty())
    }
}

/// Joins a label table to spectra: by id, else by file name without folders and extensions.
///
/// Of several columns of ids, the one that matches most spectra counts; the first of equals. Ids are compared as text,
/// so that all digits of a `source_id` count. A column of ids that lost digits is not used.
///
/// The name of a file with several spectra does not identify a single spectrum, so for such a file only the ids count.
pub fn join(table: &LabelTable, spectra: &[SpectrumName]) -> JoinResult {
    let columns = || {
        let others = table.other_ids.iter().map(|(name, ids)| (name.as_str(), ids));
        std::iter::once((table.id_column.as_str(), &table.id)).chain(others)
    };
    let (lost, usable): (Vec<_>, Vec<_>) = columns().partition(|(_, ids)| lost_digits(ids.iter().map(String::as_str)));
    let matches = |index: &IdIndex| spectra.iter().filter(|s| index.rows(s.id).is_some()).count();
    let indices = usable.iter().map(|(column, ids)| IdIndex::new(column, ids)).rev();
    // The first of equals is the last here, because `max_by_key` gives the last.
    let by_id = indices.max_by_key(matches);
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (_, ids) in usable.iter().take(1) {
        ids.iter().enumerate().for_each(|(row, id)| add_row(&mut by_name, stem(id.trim()), row));
    }
    let is_file = |name: &str| FILE_COLUMNS.iter().any(|f| name.trim().eq_ignore_ascii_case(f));
    for (_, files) in table.texts.iter().filter(|(name, _)| is_file(name)) {
        for (row, file) in files.iter().enumerate() {
            add_row(&mut by_name, stem(file.trim()), row);
        }
    }
    let mut spectra_in: HashMap<&str, usize> = HashMap::new();
    for spectrum in spectra {
        *spectra_in.entry(spectrum.file).or_default() += 1;
    }

    let mut joined = JoinResult::default();
    let mut row_is_used = vec![false; table.id.len()];
    let mut n_by_id = 0;
    for (i, spectrum) in spectra.iter().enumerate() {
        let from_file = || {
            let is_only_spectrum = spectra_in.get(spectrum.file) == Some(&1);
            let names = [spectrum.file, spectrum.id];
            names[usize::from(!is_only_spectrum)..].iter().find_map(|name| by_name.get(&stem(name)))
        };
        let found = by_id.as_ref().and_then(|index| index.rows(spectrum.id)).map(|rows| (rows, JoinKey::Id));
        n_by_id += usize::from(found.is_some());
        let found = found.or_else(|| from_file().map(|rows| (rows, JoinKey::File)));
        for row in found.iter().flat_map(|(rows, _)| rows.iter()) {
            row_is_used[*row] = true;
        }
        match found {
            None => joined.spectra_without_row.push(i),
            Some((rows, key)) => match rows.as_slice() {
                [row] => joined.matched.push(MatchedRow { spectrum: i, row: *row, key }),
                // A row that is written twice is one row.
                [row, others @ ..] if others.iter().all(|other| table.have_equal_values(*row, *other)) => {
                    joined.matched.push(MatchedRow { spectrum: i, row: *row, key });
                }
                rows => joined.ambiguous.push(AmbiguousMatch { spectrum: i, rows: rows.to_vec() }),
            },
        }
    }
    joined.rows_without_spectrum = (0..table.id.len()).filter(|row| !row_is_used[*row]).collect();
    joined.note = match (lost.first(), by_id) {
        (Some((column, ids)), _) if n_by_id == 0 => Some(format!(
            "the ids in {column}, such as {}, went through floating point and lost their last digits, so nothing is joined by them; export them as text, or as 64-bit integers",
            truncate(ids.first().map_or("", |id| id.trim()))
        )),
        (_, Some(index)) if n_by_id > 0 && columns().count() > 1 => {
            Some(format!("joined by the ids in {}", index.column))
        }
        _ => None,
    };
    joined
}

/// Adds a row to the list of a name, once. An empty name is ignored.
fn add_row<K: AsRef<str> + std::hash::Hash + Eq>(names: &mut HashMap<K, Vec<usize>>, name: K, row: usize) {
    if !name.as_ref().is_empty() {
        let rows = names.entry(name).or_default();
        if rows.last() != Some(&row) {
            rows.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(csv: &str) -> LabelTable {
        LabelTable::read(csv.as_bytes()).unwrap_or_default()
    }

    fn named<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<SpectrumName<'a>> {
        pairs.iter().map(|&(id, file)| SpectrumName { id, file }).collect()
    }

    #[test]
    fn by_id_then_by_file() {
        let table = table("id,teff\n5937083312263887616,5000\nspec-1.fits.gz,6000\n5937083312263887617,1\nnobody,2\n");
        let spectra = named(&[
            ("5937083312263887616", "x.fits"),
            ("701001", "night/spec-1.fits"),
            ("5937083312263887618", "y.fits"),
            ("5937083312263887616", "second/x.fits"),
        ]);
        let joined = join(&table, &spectra);
        let matched = |spectrum, row, key| MatchedRow { spectrum, row, key };
        assert_eq!(
            joined.matched,
            [matched(0, 0, JoinKey::Id), matched(1, 1, JoinKey::File), matched(3, 0, JoinKey::Id)]
        );
        assert_eq!((joined.spectra_without_row, joined.rows_without_spectrum), (vec![2], vec![2, 3]));
        assert!(joined.ambiguous.is_empty());
    }

    #[test]
    fn several_rows_of_one_name_are_listed_and_none_is_used() {
        let joined =
            join(&table("id,teff\na,1\na,2\nb/star.fits,3\nc/star.csv,4\n"), &named(&[("a", "q"), ("z", "star.txt")]));
        let ambiguous = |spectrum, rows: &[usize]| AmbiguousMatch { spectrum, rows: rows.to_vec() };
        assert_eq!(joined.ambiguous, [ambiguous(0, &[0, 1]), ambiguous(1, &[2, 3])]);
        assert!(joined.matched.is_empty() && joined.rows_without_spectrum.is_empty());
    }

    #[test]
    fn a_row_that_is_written_twice_is_one_row() {
        let joined = join(&table("id,teff\na,1\nb,2\na,1\n"), &named(&[("a", "q")]));
        assert_eq!(joined.matched, [MatchedRow { spectrum: 0, row: 0, key: JoinKey::Id }]);
        assert_eq!((joined.ambiguous.len(), joined.rows_without_spectrum), (0, vec![1]));
    }

    #[test]
    fn a_column_of_files_counts_and_a_file_of_many_spectra_does_not() {
        let table = table("id,File,teff\n1,data/m31.fits,5000\n2,bundle.npz,6000\n");
        let spectra =
            named(&[("x", "M31/m31.fits.gz"), ("p", "bundle.npz"), ("q", "bundle.npz"), ("2.fits", "bundle.npz")]);
        let joined = join(&table, &spectra);
        let matched = |spectrum, row| MatchedRow { spectrum, row, key: JoinKey::File };
        assert_eq!(joined.matched, [matched(0, 0), matched(3, 1)]);
        assert_eq!(joined.spectra_without_row, [1, 2]);
    }

    #[test]
    fn spellings_of_one_id_match() {
        let matched =
            |csv: &str, id: &str| join(&table(csv), &named(&[(id, "all.npz"), ("x", "all.npz")])).matched.len();
        for (csv, id) in [
            ("obsid,feh\n101001000.0,-1\n", "101001000"),
            ("plate,mjd,fiberid,feh\n266,51602,5,-1\n", "0266-51602-0005"),
            ("id,feh\n266-51602-5,-1\n", "0266-51602-0005"),
            ("id,feh\nGaia DR3 5937083312263887616,-1\n", "5937083312263887616"),
            ("lmjd,planid,spid,fiberid,feh\n55862,B6212,6,5,-1\n", "spec-55862-B6212_sp06-005"),
        ] {
            assert_eq!(matched(csv, id), 1, "{csv}");
        }
        assert_eq!(matched("id,feh\n123,-1\n", "00123"), 0);
    }

    #[test]
    fn the_column_of_ids_that_matches_is_used_and_named() {
        let csv = "id,source_id,plate,mjd,fiberid,feh\n1,77,266,51602,5,-1\n2,78,266,51602,6,-2\n";
        for (ids, column) in [
            (["1", "2"], "id"),
            (["77", "78"], "source_id"),
            (["0266-51602-0005", "0266-51602-0006"], "plate-mjd-fiberid"),
        ] {
            let joined = join(&table(csv), &named(&[(ids[0], "a.npz"), (ids[1], "a.npz")]));
            assert_eq!(joined.matched.len(), 2, "{column}");
            assert_eq!(joined.note, Some(format!("joined by the ids in {column}")));
        }
    }

    #[test]
    fn ids_that_lost_digits_join_nothing() {
        let csv = "source_id,feh\n5.937083312263888e+18,-1\n5937083312263887616,-2\n";
        let joined = join(&table(csv), &named(&[("5937083312263887616", "a.npz"), ("5937083312263887872", "a.npz")]));
        assert!(joined.matched.is_empty() && joined.ambiguous.is_empty());
        let note = joined.note.unwrap_or_default();
        assert!(note.contains("source_id") && note.contains("digits") && note.contains("as text"), "{note}");
        // Another column of ids that is complete is used.
        let csv = "source_id,obsid,feh\n5.937083312263888e+18,7,-1\n";
        assert_eq!(join(&table(csv), &named(&[("7", "a.npz"), ("8", "a.npz")])).matched.len(), 1);
    }

    #[test]
    fn empty_inputs_give_an_empty_result() {
        assert_eq!(join(&LabelTable::default(), &[]), JoinResult::default());
        let joined = join(&table("id,teff\n,5000\n"), &named(&[("", "")]));
        assert_eq!((joined.spectra_without_row, joined.rows_without_spectrum), (vec![0], vec![0]));
    }
}
