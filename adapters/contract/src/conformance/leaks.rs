use std::fmt::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Reads every log line of a run, at every level, and keeps those that show a password.
///
/// It hears what goes through `tracing`; a library that logs through something else is not heard.
#[derive(Clone, Debug)]
pub(super) struct Leaks {
    secrets: Arc<[String]>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Leaks {
    pub(super) fn new(secrets: Vec<String>) -> Self {
        Self {
            secrets: secrets.into(),
            lines: Arc::default(),
        }
    }

    pub(super) fn dispatch(&self) -> Dispatch {
        Dispatch::new(self.clone())
    }

    /// The log lines that show a password, the first few of them.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Tells whether a text shows a password.
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret))
    }

    fn read(&self, record: impl FnOnce(&mut Line)) {
        let mut line = Line(String::new());
        record(&mut line);
        let mut lines = self.lines.lock();
        if lines.len() < KEPT && self.are_in(&line.0) {
            lines.push(line.0);
        }
    }
}

impl Subscriber for Leaks {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.read(|line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.read(|line| values.record(line));
    }

    fn event(&self, event: &Event<'_>) {
        self.read(|line| event.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = write!(self.0, " {field}={value:?}");
    }
}

const KEPT: usize = 8;
