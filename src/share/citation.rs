//! Citations for a table of results: BibTeX of the papers, and the acknowledgements that surveys request.
//!
//! Each entry has its DOI or arXiv number, so that it can be checked.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Record;
use crate::spectrum::Survey;

/// A paper. `fields` are its further BibTeX fields, besides author, title and year.
struct Paper {
    key: &'static str,
    author: &'static str,
    title: &'static str,
    year: u16,
    fields: &'static [(&'static str, &'static str)],
}

/// A survey: its papers and the acknowledgement that it requests.
struct Source {
    name: &'static str,
    papers: &'static [Paper],
    /// Text of the acknowledgement, or the place of the text if it depends on the release.
    acknowledgement: &'static str,
}

/// Papers about the method.
const METHOD: [Paper; 2] = [
    Paper {
        key: "Zhao2025SpecCLIP",
        author: "Zhao, Xiaosheng and Huang, Yang and Xue, Guirong and Kong, Xiao and Liu, Jifeng and Tang, Xiaoyu and Beers, Timothy C. and Ting, Yuan-Sen and Luo, A-Li",
        title: "SpecCLIP: Aligning and Translating Spectroscopic Measurements for Stars",
        year: 2025,
        fields: &[("eprint", "2507.01939"), ("archiveprefix", "arXiv")],
    },
    Paper {
        key: "Zhao2026Generalization",
        author: "Zhao, Xiaosheng and Ting, Yuan-Sen and Wyse, Rosemary F. G. and Szalay, Alexander S. and Huang, Yang and Dobos, L{\\'a}szl{\\'o} and Budav{\\'a}ri, Tam{\\'a}s and Wei, Viska",
        title: "Generalization from Low- to Moderate-Resolution Spectra with Neural Networks for Stellar Parameter Estimation: A Case Study with DESI",
        year: 2026,
        fields: &[("eprint", "2602.15021"), ("archiveprefix", "arXiv")],
    },
];

const LAMOST: Source = Source {
    name: "LAMOST",
    papers: &[
        Paper {
            key: "Cui2012",
            author: "Cui, Xiang-Qun and others",
            title: "The Large Sky Area Multi-Object Fiber Spectroscopic Telescope (LAMOST)",
            year: 2012,
            fields: &[
                ("journal", "Research in Astronomy and Astrophysics"),
                ("volume", "12"),
                ("pages", "1197"),
                ("doi", "10.1088/1674-4527/12/9/003"),
            ],
        },
        Paper {
            key: "Zhao2012",
            author: "Zhao, Gang and others",
            title: "LAMOST spectral survey --- An overview",
            year: 2012,
            fields: &[
                ("journal", "Research in Astronomy and Astrophysics"),
                ("volume", "12"),
                ("pages", "723"),
                ("doi", "10.1088/1674-4527/12/7/002"),
            ],
        },
    ],
    acknowledgement: "Guoshoujing Telescope (the Large Sky Area Multi-Object Fiber Spectroscopic Telescope LAMOST) is a National Major Scientific Project built by the Chinese Academy of Sciences. Funding for the project has been provided by the National Development and Reform Commission. LAMOST is operated and managed by the National Astronomical Observatories, Chinese Academy of Sciences.",
};

const SDSS: Source = Source {
    name: "SDSS",
    papers: &[
        Paper {
            key: "York2000",
            author: "York, Donald G. and others",
            title: "The Sloan Digital Sky Survey: Technical Summary",
            year: 2000,
            fields: &[
                ("journal", "The Astronomical Journal"),
                ("volume", "120"),
                ("pages", "1579"),
                ("doi", "10.1086/301513"),
            ],
        },
        Paper {
            key: "Smee2013",
            author: "Smee, Stephen A. and others",
            title: "The Multi-object, Fiber-fed Spectrographs for the Sloan Digital Sky Survey and the Baryon Oscillation Spectroscopic Survey",
            year: 2013,
            fields: &[
                ("journal", "The Astronomical Journal"),
                ("volume", "146"),
                ("pages", "32"),
                ("doi", "10.1088/0004-6256/146/2/32"),
            ],
        },
    ],
    acknowledgement: "The text depends on the data release: https://www.sdss.org/collaboration/citing-sdss/",
};

const MILES: Source = Source {
    name: "MILES",
    papers: &[
        Paper {
            key: "SanchezBlazquez2006",
            author: "S{\\'a}nchez-Bl{\\'a}zquez, P. and others",
            title: "Medium-resolution Isaac Newton Telescope library of empirical spectra",
            year: 2006,
            fields: &[
                ("journal", "Monthly Notices of the Royal Astronomical Society"),
                ("volume", "371"),
                ("pages", "703--718"),
                ("doi", "10.1111/j.1365-2966.2006.10699.x"),
            ],
        },
        Paper {
            key: "FalconBarroso2011",
            author: "Falc{\\'o}n-Barroso, J. and others",
            title: "An updated MILES stellar library and stellar population models",
            year: 2011,
            fields: &[
                ("journal", "Astronomy and Astrophysics"),
                ("volume", "532"),
                ("pages", "A95"),
                ("doi", "10.1051/0004-6361/201116842"),
            ],
        },
    ],
    acknowledgement: "",
};

const DESI: Source = Source {
    name: "DESI",
    papers: &[
        Paper {
            key: "DESI2022",
            author: "{DESI Collaboration} and others",
            title: "Overview of the Instrumentation for the Dark Energy Spectroscopic Instrument",
            year: 2022,
            fields: &[
                ("journal", "The Astronomical Journal"),
                ("volume", "164"),
                ("pages", "207"),
                ("doi", "10.3847/1538-3881/ac882b"),
            ],
        },
        Paper {
            key: "Cooper2023",
            author: "Cooper, Andrew P. and others",
            title: "Overview of the DESI Milky Way Survey",
            year: 2023,
            fields: &[
                ("journal", "The Astrophysical Journal"),
                ("volume", "947"),
                ("pages", "37"),
                ("doi", "10.3847/1538-4357/acb3c0"),
            ],
        },
    ],
    acknowledgement: "The text depends on the data release: https://data.desi.lbl.gov/doc/acknowledgments/",
};

const GAIA: Source = Source {
    name: "Gaia",
    papers: &[
        Paper {
            key: "GaiaMission2016",
            author: "{Gaia Collaboration} and Prusti, T. and others",
            title: "The Gaia mission",
            year: 2016,
            fields: &[
                ("journal", "Astronomy and Astrophysics"),
                ("volume", "595"),
                ("pages", "A1"),
                ("doi", "10.1051/0004-6361/201629272"),
            ],
        },
        Paper {
            key: "GaiaDR3",
            author: "{Gaia Collaboration} and Vallenari, A. and others",
            title: "Gaia Data Release 3. Summary of the content and survey properties",
            year: 2023,
            fields: &[
                ("journal", "Astronomy and Astrophysics"),
                ("volume", "674"),
                ("pages", "A1"),
                ("doi", "10.1051/0004-6361/202243940"),
            ],
        },
        Paper {
            key: "DeAngeli2023",
            author: "De Angeli, F. and others",
            title: "Gaia Data Release 3. Processing and validation of BP/RP low-resolution spectral data",
            year: 2023,
            fields: &[
                ("journal", "Astronomy and Astrophysics"),
                ("volume", "674"),
                ("pages", "A2"),
                ("doi", "10.1051/0004-6361/202243680"),
            ],
        },
    ],
    acknowledgement: "This work has made use of data from the European Space Agency (ESA) mission Gaia (https://www.cosmos.esa.int/gaia), processed by the Gaia Data Processing and Analysis Consortium (DPAC, https://www.cosmos.esa.int/web/gaia/dpac/consortium). Funding for the DPAC has been provided by national institutions, in particular the institutions participating in the Gaia Multilateral Agreement.",
};

/// Papers and acknowledgement of a survey; `None` for a spectrum of unknown origin.
fn source(survey: Survey) -> Option<&'static Source> {
    match survey {
        Survey::LamostLrs => Some(&LAMOST),
        Survey::Sdss => Some(&SDSS),
        Survey::Miles => Some(&MILES),
        Survey::Desi => Some(&DESI),
        Survey::GaiaXp => Some(&GAIA),
        Survey::Other => None,
    }
}

/// Papers to cite, and the results that need them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// BibTeX. Before the papers of each survey, its acknowledgement stands as a comment.
    pub text: String,
    /// Number of papers and programs in it.
    pub entries: usize,
    /// Names of the surveys whose papers are in it.
    pub surveys: Vec<&'static str>,
    /// Number of spectra of no known survey.
    pub n_unknown_survey: usize,
}

/// Citations for results of a model. `trained_on` describes the model's training data.
pub fn citation(records: &[Record], trained_on: &str) -> Citation {
    let present: BTreeSet<usize> = records
        .iter()
        .filter_map(|record| Survey::ALL.iter().position(|survey| *survey == record.summary.meta.survey))
        .collect();
    let sources = present.iter().filter_map(|i| source(Survey::ALL[*i])).collect();
    let n_unknown_survey = records.iter().filter(|r| source(r.summary.meta.survey).is_none()).count();
    write(sources, trained_on, n_unknown_survey)
}

fn write(sources: Vec<&'static Source>, trained_on: &str, n_unknown_survey: usize) -> Citation {
    let mut text = String::from("% The method\n");
    METHOD.iter().for_each(|paper| entry(&mut text, paper));
    let mut entries = METHOD.len() + 1;
    let version = env!("CARGO_PKG_VERSION");
    let _ = write!(
        text,
        "\n% The program\n@software{{Specola,\n  author = {{{{The Specola authors}}}},\n  title = {{{{Specola}}}},\n  version = {{{version}}},\n  url = {{{}}}\n}}\n",
        env!("CARGO_PKG_REPOSITORY")
    );
    for source in &sources {
        let _ = writeln!(text, "\n% {} spectra", source.name);
        if !source.acknowledgement.is_empty() {
            let _ = writeln!(text, "% Acknowledgement: {}", source.acknowledgement);
        }
        source.papers.iter().for_each(|paper| entry(&mut text, paper));
        entries += source.papers.len();
    }
    // The shipped network was trained on these stars, so cite them for spectra of every survey.
    if trained_on.contains("MILES") && !sources.iter().any(|s| s.name == MILES.name) {
        text.push_str("\n% The network's own training: the MILES library\n");
        MILES.papers.iter().for_each(|paper| entry(&mut text, paper));
        entries += MILES.papers.len();
    }
    Citation { text, entries, surveys: sources.iter().map(|s| s.name).collect(), n_unknown_survey }
}

fn entry(text: &mut String, paper: &Paper) {
    let kind = if paper.fields.iter().any(|(name, _)| *name == "journal") { "article" } else { "misc" };
    let Paper { key, author, title, year, fields } = paper;
    let _ = write!(text, "@{kind}{{{key},\n  author = {{{author}}},\n  title = {{{{{title}}}}},\n  year = {{{year}}}");
    for (name, value) in *fields {
        let _ = write!(text, ",\n  {name} = {{{value}}}");
    }
    text.push_str("\n}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Source; 5] = [&LAMOST, &SDSS, &MILES, &DESI, &GAIA];

    fn keys(text: &str) -> Vec<&str> {
        let heads = text.lines().filter_map(|line| line.strip_prefix('@')?.split_once('{'));
        heads.map(|(_, key)| key.trim_end_matches(',')).collect()
    }

    #[test]
    fn only_the_surveys_present_are_cited_and_the_networks_own_stars() {
        let one = write(vec![&LAMOST], "a grid, then 456 labelled stars of the MILES library", 3);
        let expected = [
            "Zhao2025SpecCLIP",
            "Zhao2026Generalization",
            "Specola",
            "Cui2012",
            "Zhao2012",
            "SanchezBlazquez2006",
            "FalconBarroso2011",
        ];
        assert_eq!(keys(&one.text), expected);
        assert_eq!((one.entries, one.surveys, one.n_unknown_survey), (7, vec!["LAMOST"], 3));
        assert!(one.text.contains("% Acknowledgement: Guoshoujing Telescope"));
        assert!(one.text.contains("  doi = {10.1088/1674-4527/12/9/003}\n}"), "{}", one.text);
        let none = write(Vec::new(), "no real star", 0);
        assert_eq!(keys(&none.text), expected[..3]);
        let miles = write(vec![&MILES], "MILES", 0);
        assert_eq!(keys(&miles.text).len(), 5, "once");
    }

    #[test]
    fn every_entry_is_complete() {
        let all = write(ALL.to_vec(), "", 0);
        let mut all_keys = keys(&all.text);
        assert_eq!(all_keys.len(), all.entries);
        all_keys.sort_unstable();
        all_keys.dedup();
        assert_eq!(all_keys.len(), all.entries, "no key twice");
        assert_eq!(all.text.matches('{').count(), all.text.matches('}').count());
        for paper in METHOD.iter().chain(ALL.iter().flat_map(|s| s.papers)) {
            let get = |name: &str| paper.fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
            let has_doi = get("doi").is_some_and(|doi| doi.starts_with("10.") && doi.contains('/'));
            assert!(has_doi || get("eprint").is_some(), "{} has no DOI or arXiv number", paper.key);
        }
        // Every survey that a file can be assigned to has papers.
        assert!(Survey::ALL.into_iter().all(|s| (s == Survey::Other) == source(s).is_none()));
    }
}
