//! Another worker runs the networks of a session, and stops during a batch. Predictions are complete and do not change.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::support::{Folder, star_csv, write_untrained_model};
use burn::tensor::Device;
use pollster::block_on;
use specola::engine::protocol::{Event, Request, SpectraEvent, SpectraRequest};
use specola::engine::session::Session;
use specola::model::store::{Folder as ModelFolder, Store};
use specola::result::Prediction;
use specola::task::predict::{Batch, InferenceBackend, Outputs, Predictor};

/// A backend with its own copy of the model.
struct TestBackend {
    predictor: Predictor,
    /// Number of batches until it stops.
    batches_left: Cell<u32>,
    /// Number of spectra in each received batch.
    batch_sizes: RefCell<Vec<usize>>,
    /// Changes the outputs.
    change: fn(&mut Vec<f32>),
}

impl InferenceBackend for TestBackend {
    fn run<'a>(&'a self, batch: &'a Batch) -> Outputs<'a> {
        Box::pin(async move {
            self.batch_sizes.borrow_mut().push(batch.rows);
            self.batches_left.set(self.batches_left.get().checked_sub(1)?);
            let mut outputs = self.predictor.run(batch.clone()).await?;
            (self.change)(&mut outputs);
            Some(outputs)
        })
    }
}

/// The folder of an untrained model.
struct UntrainedModel(Folder);

impl UntrainedModel {
    fn predictor(&self) -> Predictor {
        let entry = write_untrained_model(self.0.path());
        let store = Store::new(ModelFolder::new(self.0.path()));
        let weights = block_on(store.weights(&entry, |_, _| {})).expect("the weights are there");
        Predictor::new(&entry, &weights, &Device::flex()).expect("the model is whole")
    }

    fn backend(&self, batches_left: u32, change: fn(&mut Vec<f32>)) -> Rc<TestBackend> {
        let batch_sizes = RefCell::default();
        Rc::new(TestBackend { predictor: self.predictor(), batches_left: Cell::new(batches_left), batch_sizes, change })
    }

    /// Predictions of a session for ten stars.
    fn predictions(&self, backend: Option<Rc<TestBackend>>) -> Vec<Prediction> {
        let events = Rc::new(RefCell::new(Vec::new()));
        let sink = events.clone();
        let mut session: Session<Vec<u8>, _> = Session::new(move |event| sink.borrow_mut().push(event));
        if let Some(backend) = backend {
            session = session.with_backend(backend);
        }
        session.set_model(Ok(self.predictor()));
        let paths = (0..10).map(|i| format!("{i}.csv")).collect();
        let stars = (0..10).map(|_| star_csv(3900.0, 5700.0).into_bytes()).collect();
        session.request(Request::Spectra(SpectraRequest::Open { job: 1, paths, columns: None }), stars);
        while block_on(session.step()) {}
        let prediction_of = |event| match event {
            Event::Spectra(SpectraEvent::Predicted { prediction, .. }) => Some(*prediction),
            _ => None,
        };
        events.take().into_iter().filter_map(prediction_of).collect()
    }
}

#[test]
fn backend_runs_every_batch_with_the_same_results() {
    let model = UntrainedModel(Folder::new("help-all"));
    let backend = model.backend(u32::MAX, |_| {});
    let expected = model.predictions(None);
    assert_eq!(expected.len(), 10);
    assert_eq!(model.predictions(Some(backend.clone())), expected);
    // Two networks per batch; batches of 1, 2, 4 and 3 stars.
    assert_eq!(*backend.batch_sizes.borrow(), [1, 1, 2, 2, 4, 4, 3, 3]);
}

#[test]
fn predictions_are_complete_when_the_backend_stops() {
    let model = UntrainedModel(Folder::new("help-lost"));
    let expected = model.predictions(None);
    for batches_left in [0, 1, 2, 5] {
        let backend = model.backend(batches_left, |_| {});
        assert_eq!(model.predictions(Some(backend)), expected, "lost after {batches_left} networks");
    }
}

#[test]
fn outputs_of_wrong_size_are_not_used() {
    let model = UntrainedModel(Folder::new("help-size"));
    let backend = model.backend(u32::MAX, |outputs| {
        outputs.pop();
    });
    assert_eq!(model.predictions(Some(backend)), model.predictions(None));
}
