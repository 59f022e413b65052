//! Drives a session of the engine, as a worker does.

use std::cell::RefCell;
use std::rc::Rc;

use pollster::block_on;
use specola::engine::protocol::{Event, Request, SpectraRequest};
use specola::engine::session::Session;

/// A session and its events since the last [`SessionDriver::finish`].
pub(crate) struct SessionDriver {
    pub session: Session<Vec<u8>, Box<dyn FnMut(Event)>>,
    pub events: Rc<RefCell<Vec<Event>>>,
}

impl SessionDriver {
    /// A session without a model.
    pub(crate) fn new() -> Self {
        let events = Rc::new(RefCell::new(Vec::new()));
        let sink = events.clone();
        let session = Session::new(Box::new(move |event| sink.borrow_mut().push(event)) as Box<dyn FnMut(Event)>);
        Self { session, events }
    }

    pub(crate) fn open(&mut self, job: u32, files: &[(&str, &str)]) {
        let paths = files.iter().map(|(path, _)| (*path).to_string()).collect();
        let attachments = files.iter().map(|(_, content)| content.as_bytes().to_vec()).collect();
        self.session.request(Request::Spectra(SpectraRequest::Open { job, paths, columns: None }), attachments);
    }

    pub(crate) fn ask(&mut self, request: Request) {
        self.session.request(request, Vec::new());
    }

    /// Runs the session until it has no more work, and returns its events.
    pub(crate) fn finish(&mut self) -> Vec<Event> {
        while block_on(self.session.step()) {}
        self.events.take()
    }
}
