//! What helps to read the selected spectrum: the model spectrum of its answer, and what that answer rests on. Both are asked of
//! the engine for one spectrum at a time, and only while they are shown.

use std::sync::Arc;

use leptos::prelude::*;

use super::format;
use super::parameters::FlagChip;
use super::state::{Row, RowKey, State};
use crate::engine::Request;
use crate::engine::reading_message::{ReadingEvent, ReadingRequest};
use crate::plot::{FitCurves, SlopeCurves};
use crate::result::reading::{ModelFit, Saliency};
use crate::result::{Flag, Label, SpectrumView};

/// Something of one row, or why it cannot be had.
type Of<T> = RwSignal<Option<(RowKey, Result<Arc<T>, String>)>>;

/// Signals; a handle, copied freely. What is shown stays chosen from star to star.
#[derive(Clone, Copy)]
pub struct Reading {
    shows_fit: RwSignal<bool>,
    /// FWHM by which the drawn data are smoothed, pixels.
    smoothing: RwSignal<u32>,
    /// Whether a magnifier goes with the pointer.
    magnifies: RwSignal<bool>,
    /// Column name of the label whose slopes are shown; empty for none.
    target: RwSignal<String>,
    fit: Of<ModelFit>,
    saliency: Of<Saliency>,
    /// Bytes of the emulator so far and in all, while it arrives.
    loading: RwSignal<Option<(u64, u64)>>,
}

impl Reading {
    /// Nothing shown.
    pub fn new() -> Self {
        Self {
            shows_fit: RwSignal::new(false),
            smoothing: RwSignal::new(0),
            magnifies: RwSignal::new(false),
            target: RwSignal::new(String::new()),
            fit: RwSignal::new(None),
            saliency: RwSignal::new(None),
            loading: RwSignal::new(None),
        }
    }

    /// FWHM by which the drawn data are smoothed, pixels; 0 for not at all.
    pub fn smoothing(&self) -> RwSignal<u32> {
        self.smoothing
    }

    /// Whether a magnifier goes with the pointer.
    pub fn magnifies(&self) -> RwSignal<bool> {
        self.magnifies
    }

    fn fit_of(&self, key: RowKey) -> Option<Result<Arc<ModelFit>, String>> {
        self.fit.with(|fit| fit.as_ref().filter(|(of, _)| *of == key).map(|(_, fit)| fit.clone()))
    }

    fn saliency_of(&self, key: RowKey) -> Option<Result<Arc<Saliency>, String>> {
        let found = self.saliency.with(|s| s.as_ref().filter(|(of, _)| *of == key).map(|(_, s)| s.clone()))?;
        // That of the label chosen before is not shown under the name of the next one.
        Some(found).filter(|s| s.as_ref().map_or(true, |s| self.target.with(|target| s.target == *target)))
    }
}

impl State {
    /// Takes in what the engine of `epoch` said.
    pub fn receive_reading(&self, epoch: u32, event: ReadingEvent) {
        let key = |id| RowKey { epoch, id };
        match event {
            ReadingEvent::Loading { done, total } => self.reading.loading.set((done < total).then_some((done, total))),
            ReadingEvent::Fitted { spectrum, fit } => {
                self.reading.loading.set(None);
                self.reading.fit.set(Some((key(spectrum), fit.map(|fit| Arc::new(*fit)))));
            }
            ReadingEvent::Salient { spectrum, saliency } => {
                self.reading.saliency.set(Some((key(spectrum), saliency.map(|s| Arc::new(*s)))));
            }
        }
    }

    /// Asks for what is shown of a row that has an answer.
    pub fn ask_reading(&self, key: RowKey) {
        let is_answered =
            self.row(key).is_some_and(|row| row.answer.with_untracked(|answer| answer.prediction().is_some()));
        if !is_answered || !self.is_current(key) {
            return;
        }
        let ask = |request| self.send(Request::Reading(request), Vec::new());
        if self.reading.shows_fit.get_untracked() {
            ask(ReadingRequest::Fit { spectrum: key.id });
        }
        let target = self.reading.target.get_untracked();
        if !target.is_empty() {
            ask(ReadingRequest::Saliency { spectrum: key.id, target });
        }
    }

    /// Shows the model spectrum, or no longer.
    pub fn toggle_fit(&self) {
        self.reading.shows_fit.update(|shows| *shows = !*shows);
        if let Some(key) = self.selected.get_untracked() {
            self.ask_reading(key);
        }
    }

    /// The engine that was asked is gone.
    pub fn lose_reading(&self) {
        self.reading.loading.set(None);
    }
}

/// What is drawn beside a spectrum's own curves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curves {
    /// The model spectrum.
    pub fit: Option<Arc<FitCurves>>,
    /// What the answer rests on.
    pub slopes: Option<Arc<SlopeCurves>>,
}

/// What is there of it for a row.
pub fn curves(row: Row, view: Memo<Option<Arc<SpectrumView>>>) -> Memo<Curves> {
    let reading = expect_context::<State>().reading;
    let fit = Memo::new(move |_| {
        let fit = reading.fit_of(row.key).filter(|_| reading.shows_fit.get())?.ok()?;
        let fwhm_pixels = f64::from(reading.smoothing.get());
        view.with(|view| Some(Arc::new(FitCurves::of(view.as_ref()?, &fit, fwhm_pixels))))
    });
    let slopes = Memo::new(move |_| {
        let saliency = reading.saliency_of(row.key)?.ok()?;
        view.with(|view| {
            let view = view.as_ref()?;
            Some(Arc::new(SlopeCurves::of(&view.model_wave_vac_aa, &view.model_flux, &saliency)))
        })
    });
    Memo::new(move |_| Curves { fit: fit.get(), slopes: slopes.get() })
}

/// What is shown of it for a row now.
pub fn curves_now(state: State, row: Row, view: &SpectrumView) -> Curves {
    let reading = state.reading;
    untrack(|| {
        let fit = reading.fit_of(row.key).filter(|_| reading.shows_fit.get()).and_then(Result::ok);
        let slopes = reading.saliency_of(row.key).and_then(Result::ok);
        let fwhm_pixels = f64::from(reading.smoothing.get());
        let of_slopes = |s: Arc<Saliency>| SlopeCurves::of(&view.model_wave_vac_aa, &view.model_flux, &s);
        Curves {
            fit: fit.map(|fit| Arc::new(FitCurves::of(view, &fit, fwhm_pixels))),
            slopes: slopes.map(|s| Arc::new(of_slopes(s))),
        }
    })
}

/// Whether there is a place for the model spectrum of a row.
pub fn shows_fit(row: Row) -> Memo<bool> {
    let state = expect_context::<State>();
    Memo::new(move |_| state.is_current(row.key) && state.reading.shows_fit.get())
}

/// Whether there is a place for what its answer rests on.
pub fn shows_slopes(row: Row) -> Memo<bool> {
    let state = expect_context::<State>();
    Memo::new(move |_| state.is_current(row.key) && !state.reading.target.with(String::is_empty))
}

/// Of the slopes' curves, what they are.
pub fn slopes_key(row: Row) -> impl IntoView {
    let state = expect_context::<State>();
    let saliency = state.reading.saliency_of(row.key)?.ok()?;
    let name = name_of(&saliency.target);
    let before = saliency
        .before
        .as_ref()
        .map(|(by, _)| view! { <span class="key continuum">"by " {by.clone()} ", before teaching"</span> });
    Some(view! {
        <span class="key data">"change of " {name} " when the flux of a resolution element rises by 1 % of the continuum, by " {saliency.by.clone()}</span>
        {before}
    })
}

/// A label as people write it; one of the user's own as its column is named.
fn name_of(target: &str) -> String {
    Label::from_name(target).map_or(target, |label| label.symbol()).to_owned()
}

/// The labels that slopes can be asked of.
fn targets(row: Row) -> Vec<String> {
    row.answer.with(|answer| {
        let Some(prediction) = answer.prediction() else { return Vec::new() };
        // The velocity comes from another network, which sees the spectrum before it is brought to rest.
        let labels = prediction.estimates.iter().map(|e| e.label).filter(|label| *label != Label::Rv);
        let mut targets: Vec<String> = labels.map(|label| label.name().to_owned()).collect();
        targets.extend(prediction.taught.as_ref().map(|t| t.target.clone()).filter(|t| Label::from_name(t).is_none()));
        targets
    })
}

/// What to show, and the lines that an answer rests on.
#[component]
pub fn ReadingControls(row: Row, curves: Memo<Curves>) -> impl IntoView {
    let state = expect_context::<State>();
    let reading = state.reading;
    let choose = move |event| {
        reading.target.set(event_target_value(&event));
        state.ask_reading(row.key);
    };
    let options = move || {
        let option = |target: String| {
            let (name, value) = (name_of(&target), target.clone());
            view! { <option value=value selected=move || reading.target.with(|t| *t == target)>{name}</option> }
        };
        targets(row).into_iter().map(option).collect_view()
    };
    let says = move || {
        if let Some((done, total)) = reading.loading.get() {
            return format!("Fetching the emulator, {} of {}…", format::bytes(done), format::bytes(total));
        }
        let no_fit = reading.shows_fit.get().then(|| reading.fit_of(row.key)?.err()).flatten();
        let no_slopes = reading.saliency_of(row.key).and_then(Result::err).filter(|_| shows_slopes(row).get());
        no_fit.or(no_slopes).unwrap_or_default()
    };
    let strongest = move || {
        let slopes = curves.with(|curves| curves.slopes.clone())?;
        let feature = |f: &crate::plot::Feature| {
            // A line by where it lies at rest, whatever pixel of it weighs most.
            let (line, wave_aa) = f.line.map_or(("unnamed", f.wave_vac_aa), |line| (line.name, line.wave_vac_aa));
            view! { <li>{line} " " {format!("{wave_aa:.0} Å")} " " <span class="muted">{format::slope(f.slope, &slopes.unit)}</span></li> }
        };
        Some(view! {
            <div class="features" data-testid="features">
                <span>"Lines that weigh most, by slope × depth; beside each its slope, the change for 1 % more flux:"</span>
                <ol>{slopes.features.iter().map(feature).collect_view()}</ol>
            </div>
        })
    };
    state.is_current(row.key).then(|| {
        view! {
            <div class="reading" data-testid="reading">
                <label>
                    <input type="checkbox" data-testid="show-fit" prop:checked=move || reading.shows_fit.get() on:change=move |_| state.toggle_fit()/>
                    " Model spectrum at the answer"
                </label>
                <label>
                    "What the answer rests on: "
                    <select data-testid="rests-on" on:change=choose>
                        <option value="" selected=move || reading.target.with(String::is_empty)>"not shown"</option>
                        {options}
                    </select>
                </label>
                <output class="muted" data-testid="reading-says">{says}</output>
                {strongest}
            </div>
        }
    })
}

/// How the model spectrum of an answer fits, in words.
#[component]
pub fn FitLine(key: RowKey) -> impl IntoView {
    let reading = expect_context::<State>().reading;
    move || {
        let fit = reading.fit_of(key).filter(|_| reading.shows_fit.get())?.ok()?;
        // Of this star alone: what is exported does not depend on which stars were looked at.
        let poor = fit.is_poor.then(|| view! { <FlagChip flag=Flag::PoorFit explained=true/> " " });
        Some(view! { <p class="muted" role="status" data-testid="fit-line">{poor} {in_words(&fit)}</p> })
    }
}

fn in_words(fit: &ModelFit) -> String {
    let rms = 100.0 * fit.rms;
    let chi2 = match fit.chi2_red {
        Some(chi2) if chi2 < 10.0 => format!("reduced χ² {chi2:.1}"),
        Some(chi2) => format!("reduced χ² {chi2:.0}"),
        None => "no χ², for the file gives no errors,".into(),
    };
    let usual = format!(
        "Real stars with such lines usually differ from their model spectrum, too: with the noise taken out this one does {:.1} times as much.",
        fit.misfit
    );
    let edge = match fit.is_inside {
        true => "",
        false => " The answer lies outside of the emulator's grid; the spectrum is that of its nearest edge.",
    };
    format!(
        "Model spectrum by {}: it differs by {rms:.1} % of the continuum (rms), {chi2} over {} pixels. {usual}{edge}",
        fit.emulator, fit.pixels
    )
}
