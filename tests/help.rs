//! Somebody else runs the session's networks, and stops in the middle: no answer is lost, and none changes.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use burn::tensor::Device;
use pollster::block_on;
use specola::engine::session::Session;
use specola::engine::{Event, Request};
use specola::model::store::{Folder as ModelFolder, Store};
use specola::result::Prediction;
use specola::task::predict::{Batch, Helper, Outputs, Predictor};
use support::{Folder, star_csv, write_untrained_model};

/// A helper with a model of its own.
struct Elsewhere {
    predictor: Predictor,
    /// Batches until it says nothing more.
    left: Cell<u32>,
    /// Spectra of each batch that came.
    asked: RefCell<Vec<usize>>,
    /// What it does to what it answers.
    spoil: fn(&mut Vec<f32>),
}

impl Helper for Elsewhere {
    fn run<'a>(&'a self, batch: &'a Batch) -> Outputs<'a> {
        Box::pin(async move {
            self.asked.borrow_mut().push(batch.rows);
            self.left.set(self.left.get().checked_sub(1)?);
            let mut outputs = self.predictor.run(batch.clone()).await?;
            (self.spoil)(&mut outputs);
            Some(outputs)
        })
    }
}

/// The predictor of an untrained model, as often as it is wanted.
struct Untrained(Folder);

impl Untrained {
    fn predictor(&self) -> Predictor {
        let entry = write_untrained_model(self.0.path());
        let store = Store::new(ModelFolder::new(self.0.path()));
        let weights = block_on(store.weights(&entry, |_, _| {})).expect("the weights are there");
        Predictor::new(&entry, &weights, &Device::flex()).expect("the model is whole")
    }

    fn helper(&self, left: u32, spoil: fn(&mut Vec<f32>)) -> Rc<Elsewhere> {
        let asked = RefCell::default();
        Rc::new(Elsewhere { predictor: self.predictor(), left: Cell::new(left), asked, spoil })
    }

    /// What a session says of ten stars.
    fn answers(&self, helper: Option<Rc<Elsewhere>>) -> Vec<Prediction> {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let sink = heard.clone();
        let mut session: Session<Vec<u8>, _> = Session::new(move |event| sink.borrow_mut().push(event));
        if let Some(helper) = helper {
            session = session.helped_by(helper);
        }
        session.model(Ok(self.predictor()));
        let paths = (0..10).map(|i| format!("{i}.csv")).collect();
        let stars = (0..10).map(|_| star_csv(3900.0, 5700.0).into_bytes()).collect();
        session.request(Request::Open { job: 1, paths, columns: None }, stars);
        while block_on(session.step()) {}
        let answer = |event| match event {
            Event::Predicted { prediction, .. } => Some(*prediction),
            _ => None,
        };
        heard.take().into_iter().filter_map(answer).collect()
    }
}

#[test]
fn a_helper_answers_every_batch_and_changes_no_number() {
    let model = Untrained(Folder::new("help-all"));
    let helper = model.helper(u32::MAX, |_| {});
    let alone = model.answers(None);
    assert_eq!(alone.len(), 10);
    assert_eq!(model.answers(Some(helper.clone())), alone);
    // Both networks of every batch: 1, 2, 4 and the last 3 stars.
    assert_eq!(*helper.asked.borrow(), [1, 1, 2, 2, 4, 4, 3, 3]);
}

#[test]
fn a_helper_that_is_lost_in_the_middle_of_a_batch_loses_no_answer() {
    let model = Untrained(Folder::new("help-lost"));
    let alone = model.answers(None);
    for left in [0, 1, 2, 5] {
        let helper = model.helper(left, |_| {});
        assert_eq!(model.answers(Some(helper)), alone, "lost after {left} networks");
    }
}

#[test]
fn outputs_of_another_size_are_not_taken() {
    let model = Untrained(Folder::new("help-size"));
    let helper = model.helper(u32::MAX, |outputs| {
        outputs.pop();
    });
    assert_eq!(model.answers(Some(helper)), model.answers(None));
}
