//! The shell's task: it dials, pumps one link in both directions, ticks the core, and closes.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::time::{sleep_until, timeout};
use wingbeat_adapter::{
    ErrorKind, Inbound, Incoming, Lane, Link, LinkOptions, Order, Outbound, Report, SyncAdapter,
    SyncError,
};

use super::delivery::{Failure, Gap, Input, Item, LinkId, Publish};
use super::envelope::Envelope;
use super::shell::{Orders, Shell};

/// One node's way to the broker: the only one that dials.
pub(super) struct Supervisor {
    pub(super) shell: Arc<Shell>,
    pub(super) adapter: Arc<dyn SyncAdapter>,
    pub(super) options: LinkOptions,
    pub(super) fail_fast: bool,
    pub(super) on_gap: Box<dyn Fn(&Gap) + Send + Sync>,
    /// Why the last link ended or did not come to be.
    pub(super) last_error: Arc<Mutex<Option<String>>>,
    /// The order of the last link.
    pub(super) order: Arc<Mutex<Option<Order>>>,
}

impl Supervisor {
    /// Keeps a link open until the core is closed.
    pub(super) async fn run(self) {
        let mut last = LinkId(0);
        while let Some(link) = self.dial().await {
            last = LinkId(last.0 + 1);
            self.pump(last, link).await;
        }
    }

    /// Dials whenever the core says so; `None` when it is closed.
    async fn dial(&self) -> Option<Link> {
        loop {
            self.until_dial().await?;
            match self.unless_closed(self.connect()).await? {
                Ok(link) => return Some(link),
                Err(error) => self.dial_failed(&error),
            }
        }
    }

    async fn connect(&self) -> Result<Link, SyncError> {
        // The adapter keeps its own deadline; this one is for an adapter that does not.
        let connect = self.adapter.connect(&self.options);
        let late = || {
            SyncError::new(
                ErrorKind::Unavailable,
                "the adapter did not connect in time",
            )
        };
        timeout(self.options.connect_timeout + GRACE, connect)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    fn dial_failed(&self, error: &SyncError) {
        tracing::warn!(adapter = self.adapter.name(), %error, "the broker can not be reached");
        *self.last_error.lock() = Some(describe(error));
        if self.fail_fast && !error.is_transient() && !self.shell.was_ready() {
            self.shell.handle(Input::CloseNow);
        }
        self.shell.handle(Input::DialFailed);
    }

    /// Waits for the next dial; `None` when the core is closed.
    async fn until_dial(&self) -> Option<()> {
        loop {
            self.report_gaps();
            let (is_closed, dial_at) = self
                .shell
                .order(|orders| Some((orders.is_closed, orders.dial_at)))?;
            if is_closed {
                return None;
            }
            tokio::select! {
                () = until(dial_at) => {
                    self.shell.order(|orders| orders.dial_at.take());
                    return Some(());
                }
                () = self.shell.ordered.notified() => {}
                () = until(self.shell.next_tick()) => self.shell.handle(Input::Tick),
            }
        }
    }

    /// Runs `work` and ticks meanwhile; `None` when the core is closed first.
    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                () = self.shell.ordered.notified() => {}
                () = until(self.shell.next_tick()) => self.shell.handle(Input::Tick),
            }
            if self
                .shell
                .order(|orders| orders.is_closed.then_some(()))
                .is_some()
            {
                return None;
            }
        }
    }

    /// Moves messages in both directions until the link ends, or the core drops it.
    async fn pump(&self, id: LinkId, link: Link) {
        let Link {
            mut outbound,
            inbound,
            order,
            max_payload,
            ..
        } = link;
        let limit = self.options.max_payload;
        self.shell
            .outbound
            .limit(limit.min(max_payload.unwrap_or(limit)));
        *self.order.lock() = Some(order);
        self.shell.order(|orders| orders.drop.take());
        self.shell.handle(Input::LinkUp { link: id });
        let end = self.pump_both(id, outbound.as_mut(), inbound).await;
        if let Some(error) = end {
            tracing::warn!(adapter = self.adapter.name(), %error, "the link to the broker is lost");
            *self.last_error.lock() = Some(describe(&error));
        }
        self.shell.handle(Input::LinkDown { link: id });
        self.shell.order(|orders| orders.publish.take());
        let _ = timeout(GRACE, outbound.close()).await;
    }

    /// Polls both directions side by side: a stalled write never stops reading, and the reverse.
    ///
    /// What is readable goes before time: a starved node is not deaf. Even so, the core is ticked after a while, because
    /// an endless flood must not stop its clock.
    async fn pump_both(
        &self,
        id: LinkId,
        outbound: &mut dyn Outbound,
        mut inbound: Inbound,
    ) -> Option<SyncError> {
        let mut sending = pin!(self.send_batches(id, outbound));
        let mut n_read = 0;
        loop {
            self.report_gaps();
            if self.is_over(id) {
                return None;
            }
            let has_room = self.shell.dispatch.has_room();
            tokio::select! {
                biased;
                item = inbound.next(), if has_room && n_read < MAX_READS => {
                    match self.take_ready(id, item, &mut inbound) {
                        Ok(n_taken) => n_read += n_taken,
                        Err(error) => return Some(error),
                    }
                }
                error = &mut sending => return Some(error),
                // Not while reading pauses: own echoes that are left unread are no sign of a deaf link.
                () = until(self.shell.next_tick()), if has_room => { n_read = 0; self.shell.handle(Input::Tick); }
                () = self.shell.ordered.notified() => {}
                () = self.shell.dispatch.room(), if !has_room => {}
                () = std::future::ready(()), if n_read >= MAX_READS => n_read = 0,
            }
        }
    }

    fn is_over(&self, id: LinkId) -> bool {
        let over =
            |orders: &mut Orders| (orders.drop == Some(id) || orders.is_closed).then_some(());
        self.shell.order(over).is_some()
    }

    /// Takes in an item and some of what is there already, before anything else is looked at; returns how many.
    fn take_ready(
        &self,
        id: LinkId,
        item: Option<Result<Incoming, SyncError>>,
        inbound: &mut Inbound,
    ) -> Result<usize, SyncError> {
        let mut next = Some(item);
        let mut n_taken = 0;
        while let Some(item) = next {
            let ended = || SyncError::new(ErrorKind::Unavailable, "the broker ended the stream");
            self.take_in(id, item.ok_or_else(ended)??);
            n_taken += 1;
            let may_go_on =
                n_taken < MAX_READY && self.shell.dispatch.has_room() && !self.is_over(id);
            next = may_go_on.then(|| inbound.next().now_or_never()).flatten();
        }
        Ok(n_taken)
    }

    fn take_in(&self, link: LinkId, incoming: Incoming) {
        match incoming {
            Incoming::Message { lane, payload } => match self.shell.gate.decode(lane, &payload) {
                Ok(message) => self.shell.handle(Input::Received { link, message }),
                Err(reason) => self.shell.inbound.quarantine.put(
                    reason,
                    format_args!("{} bytes", payload.len()),
                    &payload,
                ),
            },
            Incoming::Lost(n) => self.shell.handle(Input::Lost { link, n }),
            other => tracing::warn!(?other, "the adapter yields what this version does not know"),
        }
    }

    /// Publishes batch after batch, as the core orders them; returns when that fails.
    async fn send_batches(&self, link: LinkId, outbound: &mut dyn Outbound) -> SyncError {
        let batches_ordered = &self.shell.batch_ordered;
        loop {
            let Some(publish) = self
                .shell
                .order(|orders| orders.publish.take_if(|publish| publish.link == link))
            else {
                batches_ordered.notified().await;
                continue;
            };
            let Publish {
                batch, lane, items, ..
            } = publish;
            let mut written = self.write(lane, &items);
            match outbound.publish(lane, &written.payloads).await {
                Ok(report) => written.note(&report),
                Err(error) => return error,
            }
            self.shell.handle(Input::Published {
                link,
                batch,
                failed: written.failed,
            });
        }
    }

    fn write(&self, lane: Lane, items: &[Item<Envelope>]) -> Written {
        let mut written = Written::default();
        let mut text = BytesMut::with_capacity((items.len() * USUAL).min(BLOCK));
        for (place, item) in items.iter().enumerate() {
            match self.shell.gate.encode(&mut text, lane, item) {
                Ok(payload) => {
                    written.places.push(place);
                    written.payloads.push(payload);
                }
                Err(error) => {
                    tracing::warn!(%error, "an event could be written once, and now it can not");
                    written.failed.push((place, Failure::Permanent));
                }
            }
        }
        written
    }

    fn report_gaps(&self) {
        while let Some(gap) = self.shell.order(|orders| orders.gaps.pop_front()) {
            (self.on_gap)(&gap);
        }
    }
}

/// A batch as it goes out.
#[derive(Debug, Default)]
struct Written {
    payloads: Vec<Bytes>,
    /// Where in the batch each payload stands.
    places: Vec<usize>,
    failed: Vec<(usize, Failure)>,
}

impl Written {
    /// Notes what the broker did not take.
    fn note(&mut self, report: &Report) {
        for (at, error) in &report.failed {
            let failure = if error.is_transient() {
                Failure::Transient
            } else {
                Failure::Permanent
            };
            self.failed
                .extend(self.places.get(*at).map(|place| (*place, failure)));
        }
    }
}

/// Waits for a point in time; for none, forever.
async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Writes an error with its causes.
fn describe(error: &SyncError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What an adapter may take beyond its own deadlines.
const GRACE: Duration = Duration::from_secs(1);
/// What most envelopes take, in bytes.
const USUAL: usize = 512;
/// Envelopes of a batch share blocks of memory of at most this size.
const BLOCK: usize = 64 * 1024;
/// Messages that are read in a row before anything else is looked at.
const MAX_READY: usize = 64;
/// Messages that are read in a row before the clock is looked at.
const MAX_READS: usize = 1_024;
