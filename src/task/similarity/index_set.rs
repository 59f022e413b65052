//! Several indices as one: search, map, and distance from the reference set.

use crate::result::similarity::{
    IndexCard, LabelFilter, LabelInfo, MapPoints, Neighbour, Score, SearchOptions, SimilarityView, Spread, StarRef,
    Thumbnail,
};
use crate::result::specclip::Modality;
use crate::similarity::anomaly::NEIGHBOUR;
use crate::similarity::index::{Index, IndexError, Rows};
use crate::similarity::map::Plane;
use crate::similarity::search::{Hit, Norms, QueryVector, merge, nearest};
use crate::similarity::thumbnail;
use crate::stats::quantiles;

/// Largest number of neighbours from one search.
const MAX_NEIGHBOURS: u32 = 1000;

/// An index ready to be searched.
#[derive(Debug)]
pub struct SearchableIndex {
    index: Index,
    /// Norms of LRS and XP rows, for the whole embedding and for its shared part.
    norms: [[Norms; 2]; 2],
    /// Position of each label of the [`IndexSet`] among the labels of the index.
    columns: Vec<Option<usize>>,
}

impl SearchableIndex {
    fn new(index: Index, labels: &[String]) -> Self {
        let norms_of = |rows: &Rows| [Norms::of(rows, index.metadata.width), Norms::of(rows, index.metadata.shared)];
        let columns = labels.iter().map(|l| index.metadata.labels.iter().position(|label| label == l)).collect();
        Self { norms: [norms_of(&index.lrs), norms_of(&index.xp)], columns, index }
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Labels of a row in the order of the [`IndexSet`]; NaN where unknown.
    fn labels(&self, modality: Modality, row: usize) -> Vec<f32> {
        let labels = self.index.rows(modality).labels(row);
        self.columns.iter().map(|column| column.and_then(|c| labels.get(c)).copied().unwrap_or(f32::NAN)).collect()
    }

    fn nearest(
        &self,
        modality: Modality,
        compares_shared: bool,
        query: &QueryVector,
        top: usize,
        filter: impl Fn(usize) -> bool,
    ) -> Vec<Hit> {
        let norms = &self.norms[usize::from(modality == Modality::Xp)][usize::from(compares_shared)];
        nearest(self.index.rows(modality), norms, query, top, filter)
    }

    /// Adds an entry, or replaces `row`; returns the row of the entry.
    pub fn insert_or_replace(
        &mut self,
        row: Option<usize>,
        modality: Modality,
        id: &str,
        embedding: &[f32],
        labels: &[f32],
        flux: &[f32],
    ) -> Result<usize, IndexError> {
        let rows = self.index.rows_mut(modality);
        let row_of_entry = row.unwrap_or(rows.len());
        match row {
            Some(row) => rows.replace(row, id, embedding, labels, flux)?,
            None => rows.push(id, embedding, labels, flux)?,
        }
        for norms in &mut self.norms[usize::from(modality == Modality::Xp)] {
            norms.update(self.index.rows(modality), row_of_entry);
        }
        Ok(row_of_entry)
    }
}

/// Indices of one encoder pair. The last index holds the user's own spectra.
#[derive(Debug, Default)]
pub struct IndexSet {
    indices: Vec<SearchableIndex>,
    labels: Vec<String>,
    plane: Option<Plane>,
}

/// A query of a search: name and embedding of a star.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Index and row, if the star is an entry of an index.
    pub position: Option<(usize, usize)>,
    /// Name of the star.
    pub id: String,
    /// Embedding, `[width]`.
    pub embedding: Vec<f32>,
}

impl IndexSet {
    /// A set of indices that fit the encoder pair; the map uses the plane of the first index.
    pub fn new(indices: Vec<Index>) -> Self {
        let mut labels: Vec<String> = Vec::new();
        for label in indices.iter().flat_map(|index| &index.metadata.labels) {
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
        let plane = indices.first().and_then(Plane::of);
        let indices = indices.into_iter().map(|index| SearchableIndex::new(index, &labels)).collect();
        Self { indices, labels, plane }
    }

    /// The indices.
    pub fn indices(&self) -> &[SearchableIndex] {
        &self.indices
    }

    /// An index of the set, for additions.
    pub fn index_mut(&mut self, index: usize) -> Option<&mut SearchableIndex> {
        self.indices.get_mut(index)
    }

    /// The indices without their search data.
    pub fn into_indices(self) -> Vec<Index> {
        self.indices.into_iter().map(|searchable| searchable.index).collect()
    }

    /// Labels of the set, in order.
    pub fn labels(&self) -> Vec<LabelInfo> {
        self.labels.iter().map(|name| LabelInfo::of(name)).collect()
    }

    /// Description of each index.
    pub fn cards(&self) -> Vec<IndexCard> {
        let card = |searchable: &SearchableIndex| IndexCard {
            name: searchable.index.metadata.name.clone(),
            provenance: searchable.index.metadata.provenance.clone(),
            lrs: searchable.index.lrs.len() as u32,
            xp: searchable.index.xp.len() as u32,
        };
        self.indices.iter().map(card).collect()
    }

    /// The query for a row of an index.
    pub fn query(&self, index: usize, modality: Modality, row: usize) -> Option<Query> {
        let rows = self.indices.get(index)?.index.rows(modality);
        let id = rows.id(row)?.to_string();
        Some(Query { position: Some((index, row)), id, embedding: rows.unit(row) })
    }

    /// Labels of a row; `None` where unknown.
    pub fn labels_of(&self, index: usize, modality: Modality, row: usize) -> Vec<Option<f64>> {
        let labels = self.indices.get(index).map_or(Vec::new(), |searchable| searchable.labels(modality, row));
        labels.into_iter().map(|v| v.is_finite().then(|| f64::from(v))).collect()
    }

    /// Thumbnail of a row.
    pub fn thumbnail(&self, index: usize, modality: Modality, row: usize) -> Thumbnail {
        let flux =
            self.indices.get(index).map_or(Vec::new(), |searchable| searchable.index.rows(modality).thumbnail(row));
        Thumbnail { wave_vac_aa: thumbnail::wave_vac_aa(modality), flux }
    }

    /// The rows most similar to the queries, each with the number of its index. All queries are of one survey. The
    /// queries' own rows and, within their survey, entries with a query's name are excluded. `value` is the queries'
    /// value of the label in the label filter.
    pub fn search(
        &self,
        queries: &[Query],
        modality: Modality,
        options: &SearchOptions,
        value: Option<f64>,
    ) -> Vec<(usize, Hit)> {
        let top = options.n_results.min(MAX_NEIGHBOURS) as usize;
        let target = if options.in_other_survey { other(modality) } else { modality };
        let hits_of = |(number, searchable): (usize, &SearchableIndex)| {
            let metadata = &searchable.index.metadata;
            let width = if options.in_other_survey { metadata.shared } else { metadata.width };
            let query = QueryVector::new(queries.iter().map(|q| q.embedding.as_slice()), width);
            let rows = searchable.index.rows(target);
            let is_self = |row: usize| {
                let is_query = |q: &Query| q.position == Some((number, row)) || rows.id(row) == Some(q.id.as_str());
                !options.in_other_survey && queries.iter().any(is_query)
            };
            let matches = |row: usize| {
                options
                    .label_filter
                    .as_ref()
                    .is_none_or(|filter| self.matches(filter, value, &searchable.labels(target, row)))
            };
            searchable.nearest(target, options.in_other_survey, &query, top, |row| matches(row) && !is_self(row))
        };
        merge(self.indices.iter().enumerate().map(hits_of).collect(), top)
    }

    fn matches(&self, filter: &LabelFilter, value: Option<f64>, labels: &[f32]) -> bool {
        let label_value = |name: &String| {
            let column = self.labels.iter().position(|l| l == name)?;
            labels.get(column).map(|v| f64::from(*v)).filter(|v| v.is_finite())
        };
        match filter {
            LabelFilter::Within { label, low, high } => label_value(label).is_some_and(|v| v >= *low && v <= *high),
            LabelFilter::Differs { label, min_difference } => {
                label_value(label).zip(value).is_some_and(|(a, b)| (a - b).abs() >= *min_difference)
            }
        }
    }

    /// Result of a search for the page. In a search of the other survey, the caller adds the queries as predicted
    /// there. `star_of` gives the star of a row of an index.
    pub fn view(
        &self,
        queries: Vec<(StarRef, Query)>,
        modality: Modality,
        options: SearchOptions,
        star_of: impl Fn(usize, Modality, usize) -> StarRef,
    ) -> SimilarityView {
        let (stars, queries): (Vec<StarRef>, Vec<Query>) = queries.into_iter().unzip();
        let query_labels: Vec<Vec<Option<f64>>> = queries
            .iter()
            .map(|query| query.position.map_or(Vec::new(), |(index, row)| self.labels_of(index, modality, row)))
            .collect();
        let value = options.label_filter.as_ref().and_then(|filter| match filter {
            LabelFilter::Differs { label, .. } | LabelFilter::Within { label, .. } => {
                let column = self.labels.iter().position(|l| l == label)?;
                let values: Vec<f64> = query_labels.iter().filter_map(|labels| *labels.get(column)?).collect();
                (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
            }
        });
        let target = if options.in_other_survey { other(modality) } else { modality };
        let hits = self.search(&queries, modality, &options, value);
        let neighbours: Vec<Neighbour> = hits
            .into_iter()
            .map(|(index, hit)| Neighbour {
                star: star_of(index, target, hit.row),
                id: self.indices[index].index.rows(target).id(hit.row).unwrap_or_default().into(),
                modality: target,
                similarity: hit.similarity,
                labels: self.labels_of(index, target, hit.row),
                thumbnail: self.thumbnail(index, target, hit.row),
            })
            .collect();
        let first = queries.first().and_then(|query| query.position);
        let thumbnail = first.map_or(Thumbnail::default(), |(index, row)| self.thumbnail(index, modality, row));
        SimilarityView {
            queries: stars,
            ids: queries.into_iter().map(|query| query.id).collect(),
            modality,
            labels: query_labels.into_iter().next().unwrap_or_default(),
            query_thumbnail: (!options.in_other_survey).then(|| thumbnail.clone()),
            is_out_of_distribution: false,
            thumbnail,
            spreads: spreads(&neighbours, self.labels.len()),
            neighbours,
            searched: self.indices.iter().map(|s| s.index.rows(target).len() as u32).sum(),
            options,
        }
    }

    /// The map of all entries.
    pub fn map(&self, star_of: impl Fn(usize, Modality, usize) -> StarRef) -> MapPoints {
        let Some(plane) = &self.plane else { return MapPoints::default() };
        let mut points =
            MapPoints { labels: vec![Vec::new(); self.labels.len()], variance: plane.variance, ..MapPoints::default() };
        for (number, searchable) in self.indices.iter().enumerate() {
            for modality in [Modality::Lrs, Modality::Xp] {
                let rows = searchable.index.rows(modality);
                for row in 0..rows.len() {
                    let [x, y] = plane.project(modality, &rows.unit(row));
                    points.stars.push(star_of(number, modality, row));
                    points.ids.push(rows.id(row).unwrap_or_default().into());
                    points.modalities.push(modality);
                    points.x.push(x);
                    points.y.push(y);
                    points.labels.iter_mut().zip(searchable.labels(modality, row)).for_each(|(c, v)| c.push(v));
                }
            }
        }
        points
    }

    /// Distance of an embedding from the first index: 1 − cosine with the tenth nearest entry; entries named `id` do
    /// not count.
    pub fn knn_distance(&self, modality: Modality, embedding: &[f32], id: &str) -> Option<f64> {
        let searchable = self.indices.first()?;
        let (rows, query) =
            (searchable.index.rows(modality), QueryVector::new([embedding], searchable.index.metadata.width));
        let hits = searchable.nearest(modality, false, &query, NEIGHBOUR, |row| rows.id(row) != Some(id));
        hits.get(NEIGHBOUR - 1).map(|hit| (1.0 - hit.similarity).max(0.0))
    }

    /// Neighbour score; `None` if the first index has no reference statistics.
    pub fn neighbour_score(&self, modality: Modality, embedding: &[f32], id: &str) -> Option<Score> {
        let reference_stats = self.indices.first()?.index.reference_stats.as_ref()?;
        Some(reference_stats.neighbour(modality).score(self.knn_distance(modality, embedding, id)?))
    }
}

/// The other survey of the pair.
pub fn other(modality: Modality) -> Modality {
    match modality {
        Modality::Lrs => Modality::Xp,
        Modality::Xp => Modality::Lrs,
    }
}

fn spreads(neighbours: &[Neighbour], labels: usize) -> Vec<Option<Spread>> {
    let spread = |label: usize| {
        let values: Vec<f64> = neighbours.iter().filter_map(|n| *n.labels.get(label)?).collect();
        let [low, median, high] = quantiles(values.iter().copied(), [0.16, 0.5, 0.84])?;
        Some(Spread { n: values.len() as u32, median, half_width: 0.5 * (high - low) })
    };
    (0..labels).map(spread).collect()
}
