//! An engine's session as a worker drives it, for tests.

use std::cell::RefCell;
use std::rc::Rc;

use pollster::block_on;
use specola::engine::session::Session;
use specola::engine::{Event, Request};

/// A session and what it has said so far.
pub struct Bench {
    pub session: Session<Vec<u8>, Box<dyn FnMut(Event)>>,
    pub heard: Rc<RefCell<Vec<Event>>>,
}

impl Bench {
    /// A session that still waits for its model.
    pub fn new() -> Self {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let sink = heard.clone();
        let session = Session::new(Box::new(move |event| sink.borrow_mut().push(event)) as Box<dyn FnMut(Event)>);
        Self { session, heard }
    }

    pub fn open(&mut self, job: u32, files: &[(&str, &str)]) {
        let paths = files.iter().map(|(path, _)| (*path).to_string()).collect();
        let attachments = files.iter().map(|(_, content)| content.as_bytes().to_vec()).collect();
        self.session.request(Request::Open { job, paths, columns: None }, attachments);
    }

    pub fn ask(&mut self, request: Request) {
        self.session.request(request, Vec::new());
    }

    /// Works until nothing is left, and gives what was said meanwhile.
    pub fn finish(&mut self) -> Vec<Event> {
        while block_on(self.session.step()) {}
        self.heard.take()
    }
}
