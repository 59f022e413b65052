//! Several indices as one: what is searched, drawn on the map, and compared with.

use crate::result::catalogue::Modality;
use crate::result::likes::{
    IndexCard, LabelInfo, LabelRule, LikesView, MapPoints, Neighbour, Score, SearchOptions, Spread, Star, Thumbnail,
};
use crate::retrieve::index::{Index, IndexError, Rows};
use crate::retrieve::map::Plane;
use crate::retrieve::oddity::NEIGHBOUR;
use crate::retrieve::search::{Hit, Norms, Query, merge, nearest};
use crate::retrieve::thumbnail;

/// Most neighbours that one search gives.
const MOST: u32 = 1000;

/// An index ready to be searched.
#[derive(Debug)]
pub struct Shelf {
    index: Index,
    /// Of LRS and XP rows: of the whole and of the shared part.
    norms: [[Norms; 2]; 2],
    /// Where each of the library's labels stands among the index's.
    columns: Vec<Option<usize>>,
}

impl Shelf {
    fn new(index: Index, labels: &[String]) -> Self {
        let both = |rows: &Rows| [Norms::of(rows, index.about.width), Norms::of(rows, index.about.shared)];
        let columns = labels.iter().map(|l| index.about.labels.iter().position(|own| own == l)).collect();
        Self { norms: [both(&index.lrs), both(&index.xp)], columns, index }
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// A row's labels in the library's order, NaN where unknown.
    fn labels(&self, modality: Modality, row: usize) -> Vec<f32> {
        let own = self.index.rows(modality).labels(row);
        self.columns.iter().map(|column| column.and_then(|c| own.get(c)).copied().unwrap_or(f32::NAN)).collect()
    }

    fn nearest(
        &self,
        in_: Modality,
        is_across: bool,
        query: &Query,
        top: usize,
        wanted: impl Fn(usize) -> bool,
    ) -> Vec<Hit> {
        let norms = &self.norms[usize::from(in_ == Modality::Xp)][usize::from(is_across)];
        nearest(self.index.rows(in_), norms, query, top, wanted)
    }

    /// Adds an entry, or puts it in the place of `row`, and gives its row.
    pub fn put(
        &mut self,
        row: Option<usize>,
        modality: Modality,
        id: &str,
        embedding: &[f32],
        labels: &[f32],
        flux: &[f32],
    ) -> Result<usize, IndexError> {
        let rows = self.index.rows_mut(modality);
        let at = row.unwrap_or(rows.len());
        match row {
            Some(row) => rows.replace(row, id, embedding, labels, flux)?,
            None => rows.push(id, embedding, labels, flux)?,
        }
        for norms in &mut self.norms[usize::from(modality == Modality::Xp)] {
            norms.update(self.index.rows(modality), at);
        }
        Ok(at)
    }
}

/// Indices of one encoder pair; the last one is that of the dropped spectra.
#[derive(Debug)]
pub struct Library {
    shelves: Vec<Shelf>,
    labels: Vec<String>,
    plane: Option<Plane>,
}

/// What stands for a star in a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Index and row, where it is in one.
    pub place: Option<(usize, usize)>,
    /// Its name.
    pub id: String,
    /// `[width]`.
    pub embedding: Vec<f32>,
}

impl Library {
    /// Of indices that are known to fit; the map is that of the first.
    pub fn new(indices: Vec<Index>) -> Self {
        let mut labels: Vec<String> = Vec::new();
        for label in indices.iter().flat_map(|index| &index.about.labels) {
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
        let plane = indices.first().and_then(Plane::of);
        let shelves = indices.into_iter().map(|index| Shelf::new(index, &labels)).collect();
        Self { shelves, labels, plane }
    }

    /// The indices.
    pub fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// One of them, to add to.
    pub fn shelf_mut(&mut self, index: usize) -> Option<&mut Shelf> {
        self.shelves.get_mut(index)
    }

    /// Takes the indices out again.
    pub fn into_indices(self) -> Vec<Index> {
        self.shelves.into_iter().map(|shelf| shelf.index).collect()
    }

    /// What its labels are, in order.
    pub fn labels(&self) -> Vec<LabelInfo> {
        self.labels.iter().map(|name| LabelInfo::of(name)).collect()
    }

    /// What each index is.
    pub fn cards(&self) -> Vec<IndexCard> {
        let card = |shelf: &Shelf| IndexCard {
            name: shelf.index.about.name.clone(),
            made_from: shelf.index.about.made_from.clone(),
            lrs: shelf.index.lrs.len() as u32,
            xp: shelf.index.xp.len() as u32,
        };
        self.shelves.iter().map(card).collect()
    }

    /// A row as something to search for.
    pub fn wanted(&self, index: usize, modality: Modality, row: usize) -> Option<Wanted> {
        let rows = self.shelves.get(index)?.index.rows(modality);
        let id = rows.id(row)?.to_string();
        Some(Wanted { place: Some((index, row)), id, embedding: rows.unit(row) })
    }

    /// A row's labels, `None` where unknown.
    pub fn labels_of(&self, index: usize, modality: Modality, row: usize) -> Vec<Option<f64>> {
        let labels = self.shelves.get(index).map_or(Vec::new(), |shelf| shelf.labels(modality, row));
        labels.into_iter().map(|v| v.is_finite().then(|| f64::from(v))).collect()
    }

    /// A row's thumbnail.
    pub fn thumbnail(&self, index: usize, modality: Modality, row: usize) -> Thumbnail {
        let flux = self.shelves.get(index).map_or(Vec::new(), |shelf| shelf.index.rows(modality).thumbnail(row));
        Thumbnail { wave_vac_aa: thumbnail::wave_vac_aa(modality), flux }
    }

    /// The rows most like the queries, which are all of one survey: index and hit. A query is not found itself, and within its
    /// survey no entry of its name. `value` is the queries' own value of the label that a rule speaks of.
    pub fn search(
        &self,
        queries: &[Wanted],
        modality: Modality,
        options: &SearchOptions,
        value: Option<f64>,
    ) -> Vec<(usize, Hit)> {
        let top = options.top.min(MOST) as usize;
        let sought = if options.in_other { other(modality) } else { modality };
        let searched = |(number, shelf): (usize, &Shelf)| {
            let about = &shelf.index.about;
            let compared = if options.in_other { about.shared } else { about.width };
            let query = Query::new(queries.iter().map(|q| q.embedding.as_slice()), compared);
            let rows = shelf.index.rows(sought);
            let is_self = |row: usize| {
                let same = |q: &Wanted| q.place == Some((number, row)) || rows.id(row) == Some(q.id.as_str());
                !options.in_other && queries.iter().any(same)
            };
            let obeys = |row: usize| {
                options.rule.as_ref().is_none_or(|rule| self.obeys(rule, value, &shelf.labels(sought, row)))
            };
            shelf.nearest(sought, options.in_other, &query, top, |row| obeys(row) && !is_self(row))
        };
        merge(self.shelves.iter().enumerate().map(searched).collect(), top)
    }

    fn obeys(&self, rule: &LabelRule, value: Option<f64>, labels: &[f32]) -> bool {
        let own = |name: &String| {
            let at = self.labels.iter().position(|l| l == name)?;
            labels.get(at).map(|v| f64::from(*v)).filter(|v| v.is_finite())
        };
        match rule {
            LabelRule::Within { label, low, high } => own(label).is_some_and(|v| v >= *low && v <= *high),
            LabelRule::Differs { label, by } => {
                own(label).zip(value).is_some_and(|(own, value)| (own - value).abs() >= *by)
            }
        }
    }

    /// What the page shows of a search, but for what the queries look like in the other survey. `place` says what star a row
    /// of an index is.
    pub fn view(
        &self,
        queries: Vec<(Star, Wanted)>,
        modality: Modality,
        options: SearchOptions,
        place: impl Fn(usize, Modality, usize) -> Star,
    ) -> LikesView {
        let (stars, wanted): (Vec<Star>, Vec<Wanted>) = queries.into_iter().unzip();
        let own: Vec<Vec<Option<f64>>> = wanted
            .iter()
            .map(|w| w.place.map_or(Vec::new(), |(index, row)| self.labels_of(index, modality, row)))
            .collect();
        let value = options.rule.as_ref().and_then(|rule| match rule {
            LabelRule::Differs { label, .. } | LabelRule::Within { label, .. } => {
                let at = self.labels.iter().position(|l| l == label)?;
                let known: Vec<f64> = own.iter().filter_map(|labels| *labels.get(at)?).collect();
                (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
            }
        });
        let sought = if options.in_other { other(modality) } else { modality };
        let hits = self.search(&wanted, modality, &options, value);
        let neighbours: Vec<Neighbour> = hits
            .into_iter()
            .map(|(index, hit)| Neighbour {
                star: place(index, sought, hit.row),
                id: self.shelves[index].index.rows(sought).id(hit.row).unwrap_or_default().into(),
                modality: sought,
                similarity: hit.similarity,
                labels: self.labels_of(index, sought, hit.row),
                thumbnail: self.thumbnail(index, sought, hit.row),
            })
            .collect();
        let first = wanted.first().and_then(|w| w.place);
        let shown = first.map_or(Thumbnail::default(), |(index, row)| self.thumbnail(index, modality, row));
        LikesView {
            queries: stars,
            ids: wanted.into_iter().map(|w| w.id).collect(),
            modality,
            labels: own.into_iter().next().unwrap_or_default(),
            beside: (!options.in_other).then(|| shown.clone()),
            is_far: false,
            thumbnail: shown,
            spreads: spreads(&neighbours, self.labels.len()),
            neighbours,
            searched: self.shelves.iter().map(|s| s.index.rows(sought).len() as u32).sum(),
            options,
        }
    }

    /// The map of all entries.
    pub fn map(&self, place: impl Fn(usize, Modality, usize) -> Star) -> MapPoints {
        let Some(plane) = &self.plane else { return MapPoints::default() };
        let mut points =
            MapPoints { labels: vec![Vec::new(); self.labels.len()], variance: plane.variance, ..MapPoints::default() };
        for (number, shelf) in self.shelves.iter().enumerate() {
            for modality in [Modality::Lrs, Modality::Xp] {
                let rows = shelf.index.rows(modality);
                for row in 0..rows.len() {
                    let [x, y] = plane.project(modality, &rows.unit(row));
                    points.stars.push(place(number, modality, row));
                    points.ids.push(rows.id(row).unwrap_or_default().into());
                    points.modalities.push(modality);
                    points.x.push(x);
                    points.y.push(y);
                    points.labels.iter_mut().zip(shelf.labels(modality, row)).for_each(|(c, v)| c.push(v));
                }
            }
        }
        points
    }

    /// How far an embedding is from the first index's entries: 1 − cosine with the tenth nearest, which is not `id`.
    pub fn loneliness(&self, modality: Modality, embedding: &[f32], id: &str) -> Option<f64> {
        let shelf = self.shelves.first()?;
        let (rows, query) = (shelf.index.rows(modality), Query::new([embedding], shelf.index.about.width));
        let hits = shelf.nearest(modality, false, &query, NEIGHBOUR, |row| rows.id(row) != Some(id));
        hits.get(NEIGHBOUR - 1).map(|hit| (1.0 - hit.similarity).max(0.0))
    }

    /// The neighbour score, where the first index says what is usual.
    pub fn neighbour_score(&self, modality: Modality, embedding: &[f32], id: &str) -> Option<Score> {
        let usual = self.shelves.first()?.index.usual.as_ref()?;
        Some(usual.neighbour(modality).score(self.loneliness(modality, embedding, id)?))
    }
}

/// The other survey.
pub fn other(modality: Modality) -> Modality {
    match modality {
        Modality::Lrs => Modality::Xp,
        Modality::Xp => Modality::Lrs,
    }
}

fn spreads(neighbours: &[Neighbour], labels: usize) -> Vec<Option<Spread>> {
    let spread = |label: usize| {
        let mut values: Vec<f64> = neighbours.iter().filter_map(|n| *n.labels.get(label)?).collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let quantile = |part: f64| {
            let at = part * last as f64;
            let (low, rest) = (at.floor() as usize, at.fract());
            values[low] + rest * (values[(low + 1).min(last)] - values[low])
        };
        let half_width = 0.5 * (quantile(0.84) - quantile(0.16));
        Some(Spread { n: values.len() as u32, median: quantile(0.5), half_width })
    };
    (0..labels).map(spread).collect()
}
