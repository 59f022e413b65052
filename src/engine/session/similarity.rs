//! Similar spectra, translation and anomaly scores in the session. Requests of the user run before all jobs; the
//! embedding of spectra runs after the jobs.

use std::collections::VecDeque;

use super::{Attachment, HostRequest, Session};
use crate::engine::EngineError;
use crate::engine::input_files::bytes_of;
use crate::engine::protocol::{Event, SimilarityEvent, SimilarityRequest, SpectrumId};
use crate::engine::similarity;
use crate::result::similarity::{AnomalyScores, LabelFilter, SearchOptions, StarRef, Thumbnail};
use crate::result::specclip::Modality;
use crate::similarity::index::Index;
use crate::similarity::{anomaly, thumbnail};
use crate::spectrum::{Meta, Spectrum};
use crate::task::similarity::EncoderBundle;
use crate::task::similarity::encoders::{EncodeError, Encoded};
use crate::task::similarity::index_set::other;
use crate::task::similarity::translation::{Partner, translation};

/// Spectra embedded in one step.
const EMBEDDING_BATCH: usize = 4;

/// Spectra scored in one step.
const SCORING_BATCH: usize = 8;

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// Sets the encoder pair and its index, or the reason why they are not available.
    pub fn set_encoders(&mut self, bundle: Result<EncoderBundle, EngineError>) {
        if !std::mem::take(&mut self.similarity.is_fetching) {
            return;
        }
        match bundle {
            Ok(bundle) => {
                self.models.set_encoders(similarity::with_user_index(bundle));
                if self.similarity.is_requested {
                    self.similarity.waiting = self.store.ids().collect();
                }
                self.send_card();
            }
            Err(why) => {
                self.similarity.stop();
                self.send(SimilarityEvent::Failed(why.to_string()));
            }
        }
    }

    pub(super) fn similarity_request(&mut self, request: SimilarityRequest, attachment: Option<F>) {
        if !matches!(request, SimilarityRequest::Stop | SimilarityRequest::RemoveIndices) {
            let is_first = !std::mem::replace(&mut self.similarity.is_requested, true);
            if is_first && self.models.encoders().is_some() {
                self.similarity.waiting = self.store.ids().collect();
            }
            self.fetch_encoders();
        }
        match request {
            // Also resumes requests that were stopped.
            SimilarityRequest::Start => {
                let state = &mut self.similarity;
                state.refused = 0;
                state.waiting = self.store.ids().filter(|id| !state.embedded.contains_key(id)).collect();
            }
            SimilarityRequest::Search { queries, options } => self.similarity.search = Some((queries, options)),
            SimilarityRequest::Translate { spectrum, partner } => {
                self.similarity.translation = Some((spectrum, partner));
            }
            SimilarityRequest::Anomalies => self.similarity.scoring = Some((VecDeque::new(), Vec::new())),
            SimilarityRequest::RemoveIndices => {
                self.models.encoders_mut().into_iter().for_each(similarity::remove_indices);
                self.send_card();
            }
            SimilarityRequest::Stop => {
                self.stop_fetching_encoders();
                self.similarity.stop();
                self.send(SimilarityEvent::Stopped);
            }
            other => self.similarity.queue.push_back((other, attachment)),
        }
    }

    /// Queues a spectrum that is new, or whose flux arrays changed.
    pub(super) fn queue_embedding(&mut self, id: SpectrumId) {
        if self.similarity.is_requested && self.models.encoders().is_some() {
            self.similarity.queue_embedding(id);
        }
    }

    fn fetch_encoders(&mut self) {
        if self.models.encoders().is_none() && !self.similarity.is_fetching {
            self.similarity.is_fetching = true;
            self.host_requests.push_back(HostRequest::FetchEncoders);
        }
    }

    fn stop_fetching_encoders(&mut self) {
        if std::mem::take(&mut self.similarity.is_fetching) {
            self.host_requests.push_back(HostRequest::StopFetchingEncoders);
        }
    }

    fn send_card(&mut self) {
        if let Some(card) = self.models.encoders().map(similarity::card) {
            self.send(SimilarityEvent::Ready(Box::new(card)));
        }
    }

    fn are_encoders_usable(&self) -> bool {
        self.models.encoders().is_some() && !self.models.is_loading()
    }

    /// Answers a request that the user waits for. Returns false when there is none, or when it waits for the model or
    /// the encoders.
    pub(super) async fn similarity_step(&mut self) -> bool {
        if !self.are_encoders_usable() {
            return false;
        }
        if let Some((request, attachment)) = self.similarity.queue.pop_front() {
            match request {
                SimilarityRequest::Map => self.send_map(),
                SimilarityRequest::AddIndex { name } => self.add_index(name, attachment).await,
                SimilarityRequest::SaveIndex => self.save_index(),
                // Other requests are not queued.
                _ => {}
            }
            return true;
        }
        if let Some((queries, options)) = self.similarity.search.take() {
            let event = self.search(queries, options).await;
            self.send(event.unwrap_or_else(|why| SimilarityEvent::Failed(why.to_string())));
            return true;
        }
        if self.similarity.translation.is_some() && !self.similarity.waiting.is_empty() {
            // The partner, a spectrum of the same star, may still wait for its embedding.
            self.embed_some().await;
            return true;
        }
        if let Some((spectrum, partner)) = self.similarity.translation.take() {
            let event = self.translate(spectrum, partner).await;
            self.send(event.unwrap_or_else(|why| SimilarityEvent::Failed(why.to_string())));
            return true;
        }
        false
    }

    /// Embeds or scores some spectra. Returns false when none waits.
    pub(super) async fn embedding_step(&mut self) -> bool {
        if !self.are_encoders_usable() {
            return false;
        }
        if !self.similarity.waiting.is_empty() {
            self.embed_some().await;
            return true;
        }
        if let Some((waiting, scores)) = self.similarity.scoring.take() {
            self.score_some(waiting, scores).await;
            return true;
        }
        false
    }

    /// Embeds the next waiting spectra.
    async fn embed_some(&mut self) {
        let waiting = &mut self.similarity.waiting;
        let ids: Vec<SpectrumId> = waiting.drain(..EMBEDDING_BATCH.min(waiting.len())).collect();
        self.embed(&ids).await;
        let remaining = self.similarity.waiting.len() as u32;
        let total = self.similarity.embedded.len() as u32 + self.similarity.refused + remaining;
        self.send(SimilarityEvent::Embedding { done: total - remaining, total });
    }

    /// Embeds the spectra that are not embedded yet. Fails at the first spectrum that cannot be embedded.
    async fn embed_now(&mut self, ids: &[SpectrumId]) -> Result<(), EngineError> {
        for id in ids {
            let waits = self.similarity.waiting.contains(id);
            if waits || !self.similarity.embedded.contains_key(id) {
                self.similarity.waiting.retain(|waiting| waiting != id);
                self.embed(&[*id]).await;
            }
            if !self.similarity.embedded.contains_key(id) {
                return Err(EngineError::NotEncodable);
            }
        }
        Ok(())
    }

    async fn embed(&mut self, ids: &[SpectrumId]) {
        for (spectrum, encoded) in self.encode(ids).await {
            let Some(set) = self.models.encoders_mut() else { return };
            let inserted = encoded.and_then(|(encoded, meta)| self.similarity.insert(set, spectrum, &encoded, meta));
            if let Err(why) = inserted {
                self.similarity.refused += 1;
                self.similarity.remove(set, spectrum);
                self.send(SimilarityEvent::Refused { spectrum, reason: why.to_string() });
            }
        }
    }

    /// Encodes spectra. Spectra that were removed are left out.
    async fn encode(&mut self, ids: &[SpectrumId]) -> Vec<(SpectrumId, Result<(Encoded, Meta), EngineError>)> {
        let (loaded, failures) = self.store.reload_all(ids).await;
        let mut results: Vec<_> = failures.into_iter().map(|(id, why)| (id, Err(why))).collect();
        let assumed = |id: &SpectrumId| Some((*id, self.store.get(*id)?.with_assumptions()?));
        let (loaded, spectra): (Vec<SpectrumId>, Vec<_>) = loaded.iter().filter_map(assumed).unzip();
        let (Some(set), Some(pipeline)) = (self.models.encoders(), self.models.pipeline()) else {
            let unavailable = |_| match self.models.unavailable() {
                Some(reason) => EngineError::Unavailable(reason.into()),
                None => EngineError::NoEncoders,
            };
            results.extend(loaded.into_iter().map(|id| (id, Err(unavailable(id)))));
            return results;
        };
        let spectra: Vec<&Spectrum> = spectra.iter().map(AsRef::as_ref).collect();
        let encoded = set.encode(pipeline.predictor(), &spectra).await;
        let with_meta =
            |(encoded, spectrum): (Result<Encoded, EncodeError>, &&Spectrum)| Ok((encoded?, spectrum.meta.clone()));
        results.extend(loaded.into_iter().zip(encoded.into_iter().zip(&spectra).map(with_meta)));
        results
    }

    async fn encode_one(&mut self, id: SpectrumId) -> Result<Encoded, EngineError> {
        let (_, encoded) = self.encode(&[id]).await.pop().ok_or(EngineError::NoSpectrum)?;
        Ok(encoded?.0)
    }

    fn send_map(&mut self) {
        let Some(set) = self.models.encoders() else { return };
        let map = set.indices().map(|i, modality, row| self.similarity.star(set, i, modality, row));
        self.send(SimilarityEvent::Map(Box::new(map)));
    }

    async fn search(&mut self, queries: Vec<StarRef>, options: SearchOptions) -> Result<SimilarityEvent, EngineError> {
        let user_ids = queries.iter().filter_map(|star| match star {
            StarRef::User(id) => Some(*id),
            StarRef::Indexed { .. } => None,
        });
        self.embed_now(&user_ids.collect::<Vec<_>>()).await?;
        let set = self.models.encoders().ok_or(EngineError::NoEncoders)?;
        let mut star_queries = Vec::new();
        for star in &queries {
            star_queries.push((*star, self.similarity.query(set, *star).ok_or(EngineError::NoSpectrum)?));
        }
        let modality = star_queries.first().map(|(_, (_, modality))| *modality).ok_or(EngineError::NoQuery)?;
        if star_queries.iter().any(|(_, (_, other))| *other != modality) {
            return Err(EngineError::MixedSurveys);
        }
        let star_queries = star_queries.into_iter().map(|(star, (query, _))| (star, query)).collect();
        if let Some(LabelFilter::Within { label, .. } | LabelFilter::Differs { label, .. }) = &options.label_filter
            && !set.indices().labels().iter().any(|info| info.name == *label)
        {
            return Err(EngineError::NoIndexLabel(label.clone()));
        }
        let star = |i, modality, row| self.similarity.star(set, i, modality, row);
        let mut view = set.indices().view(star_queries, modality, options, star);
        let is_outside = |star: &StarRef| self.similarity.is_out_of_distribution(set, *star);
        view.is_out_of_distribution = view.queries.iter().any(is_outside);
        if view.options.in_other_survey
            && let Some(star) = view.queries.first().copied()
        {
            view.query_thumbnail = self.counterpart(star, modality).await;
        }
        Ok(SimilarityEvent::SearchResult(Box::new(view)))
    }

    /// The star's spectrum in the other survey. For a spectrum of the user it is the predicted one, for an index entry
    /// the row of the same id.
    async fn counterpart(&mut self, star: StarRef, modality: Modality) -> Option<Thumbnail> {
        let target = other(modality);
        match star {
            StarRef::User(id) => {
                let flux = self.encode_one(id).await.ok()?.translated?;
                Some(Thumbnail { wave_vac_aa: thumbnail::wave_vac_aa(target), flux: thumbnail::of(target, &flux) })
            }
            StarRef::Indexed { index, row, .. } => {
                let indices = self.models.encoders()?.indices();
                let searchable = indices.indices().get(index as usize)?;
                let id = searchable.index().rows(modality).id(row as usize)?;
                let row = searchable.index().rows(target).ids().iter().position(|other| other == id)?;
                Some(indices.thumbnail(index as usize, target, row))
            }
        }
    }

    async fn translate(
        &mut self,
        spectrum: SpectrumId,
        named: Option<SpectrumId>,
    ) -> Result<SimilarityEvent, EngineError> {
        self.embed_now(&[spectrum]).await?;
        let encoded = self.encode_one(spectrum).await?;
        let partner = self.similarity.partner(spectrum, named);
        let encoded_partner = match partner {
            Some((id, _)) => Some(self.encode_one(id).await?),
            None => None,
        };
        let name = |id: SpectrumId| self.store.get(id).map_or(String::new(), |stored| stored.name.clone());
        let partner = partner.zip(encoded_partner.as_ref()).map(|((id, matched_by), encoded)| Partner {
            spectrum: id,
            id: name(id),
            matched_by,
            encoded,
        });
        let encoders = self.models.encoders().ok_or(EngineError::NoEncoders)?.encoders();
        let translated = translation(encoders, spectrum, &name(spectrum), &encoded, partner);
        let translated = translated.ok_or_else(|| EngineError::NoDecoders(encoders.title()))?;
        Ok(SimilarityEvent::Translated(Box::new(translated)))
    }

    async fn add_index(&mut self, name: String, file: Option<F>) {
        let bytes = match file {
            Some(file) => bytes_of(&file).await,
            None => Err(EngineError::NoContent),
        };
        let unavailable = |why: &dyn std::fmt::Display| EngineError::Unavailable(why.to_string());
        let added = bytes.and_then(|bytes| {
            let mut index = Index::parse(&bytes).map_err(|e| unavailable(&e))?;
            index.metadata.name.clone_from(&name);
            let set = self.models.encoders_mut().ok_or(EngineError::NoEncoders)?;
            set.encoders().check_index(&index).map_err(|e| unavailable(&e))?;
            similarity::add_index(set, index);
            Ok(())
        });
        match added {
            Ok(()) => self.send_card(),
            Err(why) => self.send(SimilarityEvent::Failed(format!("{name}: {why}"))),
        }
    }

    fn save_index(&mut self) {
        let Some(index) = self.models.encoders().and_then(|set| set.indices().indices().last()) else { return };
        let event = match index.index().to_file() {
            Ok(file) => SimilarityEvent::IndexSaved { file, spectra: index.index().len() as u32 },
            Err(why) => SimilarityEvent::Failed(why.to_string()),
        };
        self.send(event);
    }

    /// Scores some spectra. With an empty list of spectra, starts a new scoring.
    async fn score_some(&mut self, mut waiting: VecDeque<SpectrumId>, mut scores: Vec<AnomalyScores>) {
        if waiting.is_empty() && scores.is_empty() {
            waiting = self.similarity.embedded.keys().copied().collect();
        }
        for id in waiting.drain(..SCORING_BATCH.min(waiting.len())).collect::<Vec<_>>() {
            scores.extend(self.score(id).await);
        }
        if waiting.is_empty() {
            anomaly::rank(&mut scores);
            return self.send(SimilarityEvent::Anomalies(scores));
        }
        self.similarity.scoring = Some((waiting, scores));
    }

    async fn score(&mut self, id: SpectrumId) -> Option<AnomalyScores> {
        let mut cross_value = None;
        if let Some((partner, _)) = self.similarity.partner(id, None)
            && let (Ok(a), Ok(b)) = (self.encode_one(id).await, self.encode_one(partner).await)
        {
            let stats = self.models.encoders()?.reference_stats();
            cross_value = stats.and_then(|stats| a.cross(&b, &stats.noise_floors));
        }
        let set = self.models.encoders()?;
        let (query, modality) = self.similarity.query(set, StarRef::User(id))?;
        let user_spectrum = self.similarity.embedded.get(&id)?;
        let stats = set.reference_stats();
        let cross = stats.zip(cross_value).map(|(stats, value)| stats.cross.score(value));
        let reconstruction =
            stats.zip(user_spectrum.reconstruction).map(|(stats, value)| stats.reconstruction(modality).score(value));
        let neighbour = set.indices().neighbour_score(modality, &query.embedding, &query.id);
        let overall = anomaly::overall([cross, reconstruction, neighbour]);
        Some(AnomalyScores { spectrum: id, id: query.id, modality, cross, reconstruction, neighbour, overall })
    }
}
