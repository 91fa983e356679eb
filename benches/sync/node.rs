//! Two wingbeat nodes, built on the public API: the system under test.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use wingbeat::error::Result;
use wingbeat::service::ServiceHandle;
use wingbeat::sync::GapOrigin;
use wingbeat::{App, AppBuilder, Params, Service};

use crate::Outcome;
use crate::bare::adapter;
use crate::frame::{PATH, event};
use crate::heard::Heard;
use crate::roles::{Source, WINDOW, receive, send};
use crate::tape::{Recorder, Recording};

/// Emits events and hears each when the broker returns it; what it publishes goes on a tape until that is written.
pub(crate) async fn sender(uri: &str, tape: &str) -> Outcome<()> {
    let (heard, recorder) = (Arc::new(heard()), Recorder::default());
    let recording = Recording::new(adapter(uri)?, &recorder);
    let app = app("a").sync(recording).build()?;
    let listener = Arc::clone(&heard);
    app.service_at(PATH)
        .on_local(EVENT, move |event| listener.take(event.data().as_bytes()));
    app.sync().ready().await?;
    let mut emitter = Emitter {
        service: app.service_at(PATH),
        seq: 0,
        recorder,
        tape: tape.into(),
    };
    emitter.recorder.start();
    send(&mut emitter, &heard).await?;
    app.close().await;
    Ok(())
}

/// Hears the events of the other node.
pub(crate) async fn receiver(uri: &str) -> Outcome<()> {
    let heard = Arc::new(heard());
    let app = app("b").sync_uri(uri).build()?;
    let listener = Arc::clone(&heard);
    app.service_at(PATH)
        .on_any(EVENT, move |event| listener.take(event.data().as_bytes()));
    let listener = Arc::clone(&heard);
    app.on_gap(move |gap| {
        // Whether Node processes said something before the link came, nobody can know.
        if gap.origin != GapOrigin::Foreign {
            listener.fail(format!("events are missing: {gap:?}"));
        }
    });
    app.sync().ready().await?;
    let received = receive(&heard).await;
    app.close().await;
    received
}

/// Emits by hand, so that no call is measured but what every call's event goes through.
struct Emitter {
    service: ServiceHandle,
    seq: u64,
    recorder: Recorder,
    tape: PathBuf,
}

impl Source for Emitter {
    async fn send(&mut self, n: u64) -> Outcome<u64> {
        let n = n.min(WINDOW / 2);
        for seq in self.seq..self.seq + n {
            self.service.emit(EVENT, event(seq))?;
        }
        self.seq += n;
        Ok(n)
    }

    fn batches(&mut self) -> u64 {
        self.recorder.batches()
    }

    fn write_tape(&mut self) -> Outcome<()> {
        self.recorder.stop().write(&self.tape)
    }
}

fn app(name: &str) -> AppBuilder {
    App::builder().name(name).service(PATH, Messages)
}

/// Compares with one event and the number in it: making each anew would cost more than hearing it.
fn heard() -> Heard {
    let pattern = event(0).to_string();
    let digits = digits(&pattern);
    Heard::new(move |seq, bytes| {
        let (start, end) = (
            &pattern.as_bytes()[..digits.start],
            &pattern.as_bytes()[digits.end..],
        );
        let number = bytes
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(end));
        number.is_some_and(|number| number.len() == digits.len() && decimal(number) == Some(seq))
    })
}

/// Finds where the number of an event stands.
fn digits(text: &str) -> Range<usize> {
    let is_digit = |c: char| c.is_ascii_digit();
    let from = text.find(is_digit).unwrap_or_default();
    from..text.rfind(is_digit).map_or(from, |last| last + 1)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// A service that has events and nothing else of use.
struct Messages;

impl Service for Messages {
    const METHODS: &'static [&'static str] = &["create"];

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Ok(data)
    }
}

const EVENT: &str = "created";
