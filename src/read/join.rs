//! Which row of a label table belongs to which spectrum.

use std::collections::HashMap;

use super::labels::LabelTable;
use super::stem;

/// A spectrum as far as a join needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its id ([`crate::spectrum::Meta::id`]).
    pub id: &'a str,
    /// The file it came from, with or without folders and endings; empty if unknown.
    pub file: &'a str,
}

/// How a row was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The row's id is the spectrum's, letter for letter.
    Id,
    /// The row's id or its column `file` names the spectrum's file, or they are equal without folders and endings.
    File,
}

/// A spectrum with its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Index into the spectra.
    pub spectrum: usize,
    /// Index into the rows of the table.
    pub row: usize,
    /// How it was found.
    pub by: By,
}

/// A spectrum to which several rows belong, so that none is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguous {
    /// Index into the spectra.
    pub spectrum: usize,
    /// The rows, in the table's order.
    pub rows: Vec<usize>,
}

/// What belongs to what. Every spectrum is in exactly one of `matched`, `ambiguous` and `spectra_without_row`; every row
/// is in `rows_without_spectrum` or in one or more of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// Spectra with one row, in the order of the spectra. Several spectra (of one star) may share a row.
    pub matched: Vec<Match>,
    /// Spectra to which several rows belong.
    pub ambiguous: Vec<Ambiguous>,
    /// Spectra that the table does not name.
    pub spectra_without_row: Vec<usize>,
    /// Rows that name none of the spectra.
    pub rows_without_spectrum: Vec<usize>,
}

/// Names of a column that holds file names beside a column of ids.
const FILE_COLUMNS: [&str; 5] = ["file", "filename", "file_name", "path", "spectrum"];

/// Joins a label table to spectra: by id, exactly; where no row has that id, by file name without folders and endings.
///
/// A file that gave several spectra names none of them, so only its spectra's ids count. Ids are compared as text, so a
/// `source_id` keeps every digit.
pub fn join(table: &LabelTable, spectra: &[Named]) -> Joined {
    let mut by_id: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (row, id) in table.id.iter().enumerate() {
        note(&mut by_id, id.trim(), row);
        note(&mut by_name, stem(id.trim()), row);
    }
    let is_file = |name: &str| FILE_COLUMNS.iter().any(|f| name.trim().eq_ignore_ascii_case(f));
    for (_, files) in table.texts.iter().filter(|(name, _)| is_file(name)) {
        for (row, file) in files.iter().enumerate() {
            note(&mut by_name, stem(file.trim()), row);
        }
    }
    let mut spectra_in: HashMap<&str, usize> = HashMap::new();
    for spectrum in spectra {
        *spectra_in.entry(spectrum.file).or_default() += 1;
    }

    let mut joined = Joined::default();
    let mut row_is_used = vec![false; table.id.len()];
    for (i, spectrum) in spectra.iter().enumerate() {
        let from_file = || {
            let alone = spectra_in.get(spectrum.file) == Some(&1);
            let names = [spectrum.file, spectrum.id];
            names[usize::from(!alone)..].iter().find_map(|name| by_name.get(&stem(name)))
        };
        let found = by_id.get(spectrum.id.trim()).filter(|_| !spectrum.id.is_empty()).map(|rows| (rows, By::Id));
        let found = found.or_else(|| from_file().map(|rows| (rows, By::File)));
        for row in found.iter().flat_map(|(rows, _)| rows.iter()) {
            row_is_used[*row] = true;
        }
        match found {
            None => joined.spectra_without_row.push(i),
            Some((rows, by)) => match rows.as_slice() {
                [row] => joined.matched.push(Match { spectrum: i, row: *row, by }),
                rows => joined.ambiguous.push(Ambiguous { spectrum: i, rows: rows.to_vec() }),
            },
        }
    }
    joined.rows_without_spectrum = (0..table.id.len()).filter(|row| !row_is_used[*row]).collect();
    joined
}

/// Enters a row under a name, once, and not under an empty one.
fn note<K: AsRef<str> + std::hash::Hash + Eq>(names: &mut HashMap<K, Vec<usize>>, name: K, row: usize) {
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

    fn named<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<Named<'a>> {
        pairs.iter().map(|&(id, file)| Named { id, file }).collect()
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
        let of = |spectrum, row, by| Match { spectrum, row, by };
        assert_eq!(joined.matched, [of(0, 0, By::Id), of(1, 1, By::File), of(3, 0, By::Id)]);
        assert_eq!((joined.spectra_without_row, joined.rows_without_spectrum), (vec![2], vec![2, 3]));
        assert!(joined.ambiguous.is_empty());
    }

    #[test]
    fn several_rows_of_one_name_are_listed_and_none_is_taken() {
        let joined =
            join(&table("id,teff\na,1\na,2\nb/star.fits,3\nc/star.csv,4\n"), &named(&[("a", "q"), ("z", "star.txt")]));
        let of = |spectrum, rows: &[usize]| Ambiguous { spectrum, rows: rows.to_vec() };
        assert_eq!(joined.ambiguous, [of(0, &[0, 1]), of(1, &[2, 3])]);
        assert!(joined.matched.is_empty() && joined.rows_without_spectrum.is_empty());
    }

    #[test]
    fn a_column_of_files_counts_and_a_file_of_many_spectra_does_not() {
        let table = table("id,File,teff\n1,data/m31.fits,5000\n2,bundle.npz,6000\n");
        let spectra =
            named(&[("x", "M31/m31.fits.gz"), ("p", "bundle.npz"), ("q", "bundle.npz"), ("2.fits", "bundle.npz")]);
        let joined = join(&table, &spectra);
        let of = |spectrum, row| Match { spectrum, row, by: By::File };
        assert_eq!(joined.matched, [of(0, 0), of(3, 1)]);
        assert_eq!(joined.spectra_without_row, [1, 2]);
    }

    #[test]
    fn nothing_joins_nothing() {
        assert_eq!(join(&LabelTable::default(), &[]), Joined::default());
        let joined = join(&table("id,teff\n,5000\n"), &named(&[("", "")]));
        assert_eq!((joined.spectra_without_row, joined.rows_without_spectrum), (vec![0], vec![0]));
    }
}
