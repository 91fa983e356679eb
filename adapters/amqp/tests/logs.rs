//! Clause 13, for what the client library logs on a thread of its own, where the conformance suite does not listen.
//!
//! Alone in its binary: it reads the log of the whole process.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../../../tests/it/support/rabbitmq.rs"]
mod rabbitmq;

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use rabbitmq::{PASSWORD, RabbitMq};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use wingbeat_adapter::{Lane, LinkOptions, SyncAdapter};
use wingbeat_amqp::AmqpAdapter;

/// Every line at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

#[tokio::test]
async fn the_library_logs_no_password_at_any_level_not_even_as_bytes() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let server = RabbitMq::start();
    let adapter = AmqpAdapter::from_uri(&server.uri()).unwrap();
    let mut link = adapter.connect(&LinkOptions::new("k")).await.unwrap();
    let batch = [Bytes::from("x")];
    link.outbound.publish(Lane::Events, &batch).await.unwrap();
    link.inbound.next().await.unwrap().unwrap();
    link.outbound.close().await.unwrap();
    let intruder = AmqpAdapter::from_uri(&server.uri().replace("guest:", "nobody:")).unwrap();
    assert!(intruder.connect(&LinkOptions::new("k")).await.is_err());

    let bytes = format!("{:?}", PASSWORD.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    let lines = log.0.lock().unwrap();
    assert!(!lines.is_empty(), "the library logs what it does elsewhere");
    let shows = |line: &&String| line.contains(PASSWORD) || line.contains(bytes);
    assert_eq!(lines.iter().find(shows), None);
}
