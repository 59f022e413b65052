//! How look-alikes, translation and oddities hang in the session: what a person waits for goes before all jobs, embedding
//! spectra comes after them.

use std::collections::{BTreeSet, VecDeque};

use super::{Errand, Held, Model, Session};
use crate::engine::dropped::{Attachment, bytes_of};
use crate::engine::likes::{ForHost, Ready, State, time_search};
use crate::engine::likes_message::{LikesEvent, LikesRequest};
use crate::engine::{Event, SpectrumId};
use crate::result::catalogue::Modality;
use crate::result::likes::{LabelRule, Oddity, SearchOptions, Star, Thumbnail};
use crate::retrieve::index::Index;
use crate::retrieve::{oddity, thumbnail};
use crate::spectrum::{Meta, Spectrum};
use crate::task::likes::Kit;
use crate::task::likes::encode::{Encoded, prepare};
use crate::task::likes::labels;
use crate::task::likes::library::other;
use crate::task::likes::translate::{Partner, translation};

/// Spectra that are embedded in one step.
const AT_ONCE: usize = 4;

/// Oddities in one step.
const ODD_AT_ONCE: usize = 8;

impl<F: Attachment, E: FnMut(Event)> Session<F, E> {
    /// What the host shall do now, if anything.
    pub fn for_host(&mut self) -> Option<ForHost> {
        self.likes.for_host.pop_front()
    }

    /// The encoder pair and its index have arrived, or why they cannot be had.
    pub fn kit(&mut self, kit: Result<Kit, String>) {
        if !matches!(self.likes.state, State::Fetching) {
            return;
        }
        match kit {
            Ok(kit) => {
                self.likes.state = State::Ready(Box::new(Ready::new(kit)));
                if self.likes.is_asked {
                    self.likes.waiting = self.spectra.keys().copied().collect();
                }
                self.tell_card();
                let mut alone = std::mem::take(&mut self.likes.unanswered);
                for job in &mut self.jobs {
                    alone.retain(|id| !job.apart.contains(id));
                    job.waiting.extend(std::mem::take(&mut job.apart));
                }
                self.errands.extend(alone.into_iter().map(Errand::Predict));
            }
            Err(why) => {
                self.stop_likes();
                self.likes.state = State::Idle;
                self.leave_unanswered(&why);
                self.say_likes(LikesEvent::Failed(why));
            }
        }
    }

    pub(super) fn ask_likes(&mut self, request: LikesRequest, attachment: Option<F>) {
        let needs_kit =
            !matches!(request, LikesRequest::Stop | LikesRequest::ForgetIndices | LikesRequest::Time { .. });
        if needs_kit {
            if !std::mem::replace(&mut self.likes.is_asked, true) && self.likes.ready().is_some() {
                self.likes.waiting = self.spectra.keys().copied().collect();
            }
            self.likes.fetch();
        }
        match request {
            // What was stopped goes on.
            LikesRequest::Open => {
                self.likes.refused = 0;
                let missing = self.spectra.keys().copied().filter(|id| !self.likes.own.contains_key(id));
                self.likes.waiting = missing.collect();
            }
            LikesRequest::Search { queries, options } => self.likes.search = Some((queries, options)),
            LikesRequest::Translate { spectrum, partner } => self.likes.translate = Some((spectrum, partner)),
            LikesRequest::Oddities => self.likes.odd = Some((VecDeque::new(), Vec::new())),
            LikesRequest::ForgetIndices => {
                self.likes.forget_indices();
                self.tell_card();
            }
            LikesRequest::Stop => {
                if matches!(self.likes.state, State::Fetching) {
                    self.stop_fetching();
                    self.leave_unanswered("its model was not fetched to the end; drop the spectrum again");
                }
                self.stop_likes();
                self.say_likes(LikesEvent::Stopped);
            }
            other => self.likes.queue.push_back((other, attachment)),
        }
    }

    /// No answer comes for the Gaia XP spectra that wait.
    fn leave_unanswered(&mut self, why: &str) {
        for spectrum in std::mem::take(&mut self.likes.unanswered) {
            (self.emit)(Event::Refused { spectrum, why: why.into() });
        }
        for job in &mut self.jobs {
            job.spectra_done += std::mem::take(&mut job.apart).len() as u32;
        }
    }

    /// Those of a batch that wait for the encoder pair.
    pub(super) fn waiting_apart(&self, batch: &[SpectrumId]) -> Vec<SpectrumId> {
        batch.iter().copied().filter(|id| self.likes.unanswered.contains(id)).collect()
    }

    /// A cancelled job's Gaia XP spectra no longer wait for the encoder pair; if nobody else does, it is not fetched.
    pub(super) fn leave_apart(&mut self, apart: &BTreeSet<SpectrumId>) {
        self.likes.unanswered.retain(|id| !apart.contains(id));
        if !apart.is_empty() && self.likes.unanswered.is_empty() && !self.likes.is_asked {
            self.stop_fetching();
            self.say_likes(LikesEvent::Stopped);
        }
    }

    fn stop_fetching(&mut self) {
        if matches!(self.likes.state, State::Fetching) {
            self.likes.state = State::Idle;
            self.likes.for_host.push_back(ForHost::StopFetching);
        }
    }

    /// Answers for Gaia XP spectra, or waits with them for the encoder pair.
    pub(super) async fn answer_xp(&mut self, ids: Vec<SpectrumId>) {
        if self.likes.ready().is_none() && !matches!(self.model, Model::Unavailable(_)) {
            self.likes.unanswered.extend(ids);
            self.likes.fetch();
            return;
        }
        for (id, encoded) in self.encode(&ids).await {
            let answer = encoded.and_then(|(encoded, _)| {
                let spectrum = self.spectra.get(&id).and_then(Held::assumed).ok_or("it is not there any more")?;
                let ready = self.likes.ready().ok_or("the encoders are not there")?;
                let usual = ready.library.shelves().first().and_then(|shelf| shelf.index().usual.as_ref());
                Ok(labels::of_xp(&ready.encoders, &ready.library, usual, &spectrum, &encoded))
            });
            (self.emit)(match answer {
                Ok(prediction) => Event::Predicted { spectrum: id, prediction: Box::new(prediction) },
                Err(why) => Event::Refused { spectrum: id, why },
            });
        }
        self.keep(ids);
    }

    /// What waits is given up; what is there stays.
    fn stop_likes(&mut self) {
        let likes = &mut self.likes;
        (likes.search, likes.translate, likes.odd) = (None, None, None);
        likes.queue.clear();
        likes.waiting.clear();
    }

    fn say_likes(&mut self, event: LikesEvent) {
        (self.emit)(Event::Likes(event));
    }

    fn tell_card(&mut self) {
        if let Some(card) = self.likes.ready().map(|ready| ready.card()) {
            self.say_likes(LikesEvent::Ready(Box::new(card)));
        }
    }

    /// Does what a person waits for; false when there is nothing or it cannot be done yet.
    pub(super) async fn likes_errand(&mut self) -> bool {
        if let Some((LikesRequest::Time { entries, width, queries }, _)) = self.likes.queue.front() {
            let (entries, width, queries) = (*entries, *width, *queries);
            self.likes.queue.pop_front();
            let timed = time_search(&mut self.likes.timed, entries, width, queries);
            self.say_likes(LikesEvent::Timed(timed));
            return true;
        }
        if self.likes.ready().is_none() || matches!(self.model, Model::Loading) {
            return false;
        }
        if let Some((request, attachment)) = self.likes.queue.pop_front() {
            match request {
                LikesRequest::Map => {
                    let map = self.likes.ready().map(|r| r.library.map(|i, m, row| self.likes.star(i, m, row)));
                    self.say_likes(LikesEvent::Map(Box::new(map.unwrap_or_default())));
                }
                LikesRequest::AddIndex { name } => self.add_index(name, attachment).await,
                LikesRequest::Save => self.save(),
                // The others do not come here.
                _ => {}
            }
            return true;
        }
        if let Some((queries, options)) = self.likes.search.take() {
            let dropped = queries.iter().filter_map(|star| match star {
                Star::Dropped(id) => Some(*id),
                Star::Indexed { .. } => None,
            });
            if let Err(why) = self.embed_now(&dropped.collect::<Vec<_>>()).await {
                self.say_likes(LikesEvent::Failed(why));
                return true;
            }
            let event = self.search(queries, options).await.unwrap_or_else(LikesEvent::Failed);
            self.say_likes(event);
            return true;
        }
        if self.likes.translate.is_some() && !self.likes.waiting.is_empty() {
            // The same star may be among those that wait.
            self.embed_some().await;
            return true;
        }
        if let Some((spectrum, partner)) = self.likes.translate.take() {
            let event = self.translate(spectrum, partner).await.unwrap_or_else(LikesEvent::Failed);
            self.say_likes(event);
            return true;
        }
        false
    }

    /// Does what has time; false when there is nothing.
    pub(super) async fn likes_at_leisure(&mut self) -> bool {
        if self.likes.ready().is_none() || matches!(self.model, Model::Loading) {
            return false;
        }
        if !self.likes.waiting.is_empty() {
            self.embed_some().await;
            return true;
        }
        if let Some((waiting, oddities)) = self.likes.odd.take() {
            self.find_oddities(waiting, oddities).await;
            return true;
        }
        false
    }

    /// Embeds the next of those that wait.
    async fn embed_some(&mut self) {
        let n = AT_ONCE.min(self.likes.waiting.len());
        let ids: Vec<SpectrumId> = self.likes.waiting.drain(..n).collect();
        self.embed(&ids).await;
        let left = self.likes.waiting.len() as u32;
        let total = self.likes.own.len() as u32 + self.likes.refused + left;
        self.say_likes(LikesEvent::Embedding { done: total - left, total });
    }

    /// Embeds those of these spectra that are not yet; fails with the first that cannot be.
    async fn embed_now(&mut self, ids: &[SpectrumId]) -> Result<(), String> {
        for id in ids {
            let waits = self.likes.waiting.contains(id);
            if waits || !self.likes.own.contains_key(id) {
                self.likes.waiting.retain(|waiting| waiting != id);
                self.embed(&[*id]).await;
            }
            if !self.likes.own.contains_key(id) {
                return Err("the encoders cannot read this spectrum; it has no look-alikes".into());
            }
        }
        Ok(())
    }

    async fn embed(&mut self, ids: &[SpectrumId]) {
        for (spectrum, encoded) in self.encode(ids).await {
            let taken = encoded.and_then(|(encoded, meta)| self.likes.take_in(spectrum, &encoded, meta));
            if let Err(why) = taken {
                self.likes.refused += 1;
                self.likes.take_out(spectrum);
                self.say_likes(LikesEvent::Refused { spectrum, why });
            }
        }
    }

    /// What the encoders make of spectra; those that are gone are passed over.
    async fn encode(&mut self, ids: &[SpectrumId]) -> Vec<(SpectrumId, Result<(Encoded, Meta), String>)> {
        let (known, gone) = self.bring_all_back(ids).await;
        let mut done: Vec<_> = gone.into_iter().map(|(id, why)| (id, Err(why))).collect();
        let assumed = |id: &SpectrumId| Some((*id, self.spectra.get(id)?.assumed()?));
        let (known, spectra): (Vec<SpectrumId>, Vec<_>) = known.iter().filter_map(assumed).unzip();
        let (Some(ready), Model::Ready(predictor)) = (self.likes.ready(), &self.model) else {
            let why = match &self.model {
                Model::Unavailable(why) => why.clone(),
                _ => "the encoders are not there".into(),
            };
            done.extend(known.into_iter().map(|id| (id, Err(why.clone()))));
            return done;
        };
        let spectra: Vec<&Spectrum> = spectra.iter().map(AsRef::as_ref).collect();
        let prepared = prepare(predictor, &spectra).await;
        let mut seen = Vec::new();
        let mut good = Vec::new();
        for ((id, spectrum), prepared) in known.iter().zip(&spectra).zip(prepared) {
            match prepared {
                Ok(one) => {
                    seen.push(one);
                    good.push((*id, spectrum.meta.clone()));
                }
                Err(why) => done.push((*id, Err(why.to_string()))),
            }
        }
        match ready.encoders.encode(seen).await {
            Ok(encoded) => {
                done.extend(good.into_iter().zip(encoded).map(|((id, meta), encoded)| (id, Ok((encoded, meta)))));
            }
            Err(why) => done.extend(good.into_iter().map(|(id, _)| (id, Err(why.to_string())))),
        }
        done
    }

    async fn encode_one(&mut self, id: SpectrumId) -> Result<Encoded, String> {
        let gone = || Err("this spectrum is not there any more".to_string());
        self.encode(&[id]).await.pop().map_or_else(gone, |(_, encoded)| encoded.map(|(encoded, _)| encoded))
    }

    async fn search(&mut self, queries: Vec<Star>, options: SearchOptions) -> Result<LikesEvent, String> {
        let gone = "a star that was asked for is not there any more";
        let mut wanted = Vec::new();
        for star in &queries {
            wanted.push((*star, self.likes.wanted(*star).ok_or(gone)?));
        }
        let modality = wanted.first().map(|(_, (_, modality))| *modality).ok_or("no star was asked for")?;
        if wanted.iter().any(|(_, (_, other))| *other != modality) {
            return Err("an example set must be of one survey: take out the spectra of the other".into());
        }
        let wanted = wanted.into_iter().map(|(star, (wanted, _))| (star, wanted)).collect();
        let Some(ready) = self.likes.ready() else { return Err("the encoders are not there".into()) };
        if let Some(LabelRule::Within { label, .. } | LabelRule::Differs { label, .. }) = &options.rule
            && !ready.library.labels().iter().any(|known| known.name == *label)
        {
            return Err(format!("no index has the label {label}"));
        }
        let mut view = ready.library.view(wanted, modality, options, |i, m, row| self.likes.star(i, m, row));
        view.is_far = view.queries.iter().any(|star| self.likes.is_far(*star));
        if view.options.in_other
            && let Some(star) = view.queries.first().copied()
        {
            view.beside = self.in_other(star, modality).await;
        }
        Ok(LikesEvent::Found(Box::new(view)))
    }

    /// What a star looks like in the other survey: predicted from a dropped spectrum, of an index the row of the same name.
    async fn in_other(&mut self, star: Star, modality: Modality) -> Option<Thumbnail> {
        let there = other(modality);
        match star {
            Star::Dropped(id) => {
                let flux = self.encode_one(id).await.ok()?.across?;
                Some(Thumbnail { wave_vac_aa: thumbnail::wave_vac_aa(there), flux: thumbnail::of(there, &flux) })
            }
            Star::Indexed { index, row, .. } => {
                let library = &self.likes.ready()?.library;
                let shelf = library.shelves().get(index as usize)?;
                let id = shelf.index().rows(modality).id(row as usize)?;
                let row = shelf.index().rows(there).ids().iter().position(|other| other == id)?;
                Some(library.thumbnail(index as usize, there, row))
            }
        }
    }

    async fn translate(&mut self, spectrum: SpectrumId, named: Option<SpectrumId>) -> Result<LikesEvent, String> {
        self.embed_now(&[spectrum]).await?;
        let encoded = self.encode_one(spectrum).await?;
        let partner = self.likes.partner(spectrum, named);
        let seen = match partner {
            Some((id, _)) => Some(self.encode_one(id).await?),
            None => None,
        };
        let name = |id: SpectrumId| self.spectra.get(&id).map_or(String::new(), |held: &Held<F>| held.name.clone());
        let partner = partner.zip(seen.as_ref()).map(|((id, matched_by), encoded)| Partner {
            spectrum: id,
            id: name(id),
            matched_by,
            encoded,
        });
        let encoders = &self.likes.ready().ok_or("the encoders are not there")?.encoders;
        let translated = translation(encoders, spectrum, &name(spectrum), &encoded, partner);
        let translated =
            translated.ok_or_else(|| format!("{} has no decoders and cannot translate", encoders.title()))?;
        Ok(LikesEvent::Translated(Box::new(translated)))
    }

    async fn add_index(&mut self, name: String, file: Option<F>) {
        let bytes = match file {
            Some(file) => bytes_of(&file).await,
            None => Err("the page sent no content for this file; drop it again".into()),
        };
        let index = bytes.and_then(|bytes| Index::parse(&bytes).map_err(|e| e.to_string())).and_then(|mut index| {
            index.about.name.clone_from(&name);
            let Some(ready) = self.likes.ready() else { return Err("the encoders are not there".into()) };
            ready.encoders.must_fit(&index).map_err(|e| e.to_string())?;
            Ok(index)
        });
        match index {
            Ok(index) => {
                self.likes.add(index);
                self.tell_card();
            }
            Err(why) => self.say_likes(LikesEvent::Failed(format!("{name}: {why}"))),
        }
    }

    fn save(&mut self) {
        let Some(ready) = self.likes.ready() else { return };
        let Some(shelf) = ready.library.shelves().last() else { return };
        let event = match shelf.index().to_file() {
            Ok(file) => LikesEvent::Saved { file, spectra: shelf.index().len() as u32 },
            Err(why) => LikesEvent::Failed(why.to_string()),
        };
        self.say_likes(event);
    }

    /// Scores some more spectra; an empty list is the beginning.
    async fn find_oddities(&mut self, mut waiting: VecDeque<SpectrumId>, mut done: Vec<Oddity>) {
        if waiting.is_empty() && done.is_empty() {
            waiting = self.likes.own.keys().copied().collect();
        }
        for id in waiting.drain(..ODD_AT_ONCE.min(waiting.len())).collect::<Vec<_>>() {
            done.extend(self.oddity(id).await);
        }
        if waiting.is_empty() {
            oddity::rank(&mut done);
            return self.say_likes(LikesEvent::Oddities(done));
        }
        self.likes.odd = Some((waiting, done));
    }

    async fn oddity(&mut self, id: SpectrumId) -> Option<Oddity> {
        let mut cross_value = None;
        if let Some((partner, _)) = self.likes.partner(id, None)
            && let (Ok(a), Ok(b)) = (self.encode_one(id).await, self.encode_one(partner).await)
        {
            let usual = self.likes.ready()?.library.shelves().first()?.index().usual.as_ref();
            cross_value = usual.and_then(|usual| a.cross(&b, &usual.floors));
        }
        let (wanted, modality) = self.likes.wanted(Star::Dropped(id))?;
        let (own, library) = (self.likes.own.get(&id)?, &self.likes.ready()?.library);
        let usual = library.shelves().first()?.index().usual.as_ref();
        let cross = usual.zip(cross_value).map(|(usual, value)| usual.cross.score(value));
        let reconstruction =
            usual.zip(own.reconstruction).map(|(usual, value)| usual.reconstruction(modality).score(value));
        let neighbour = library.neighbour_score(modality, &wanted.embedding, &wanted.id);
        let overall = oddity::overall([cross, reconstruction, neighbour]);
        Some(Oddity { spectrum: id, id: wanted.id, modality, cross, reconstruction, neighbour, overall })
    }
}
