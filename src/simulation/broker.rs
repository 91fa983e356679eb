mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until};
use wingbeat_adapter::{
    BoxFuture, ErrorKind, InboxLimits, InboxSender, Lane, Link, LinkOptions, Outbound, Report,
    SyncAdapter, SyncError, inbox,
};

use super::plan::{Fault, millis};
use super::wire::{Wire, event_of};

/// A pub/sub broker that keeps nothing and breaks on demand: who is subscribed hears, once, in order per lane.
#[derive(Clone)]
pub(super) struct Broker(Arc<Shared>);

/// The way from one place to the broker.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) broker: Broker,
    pub(super) place: usize,
}

struct Shared {
    state: Mutex<State>,
    planned: Notify,
}

struct State {
    rng: SmallRng,
    /// What comes, by its moment and then in the order in which it was planned.
    coming: BTreeMap<(Instant, u64), Step>,
    n_planned: u64,
    conns: Vec<Conn>,
    broken: Broken,
    /// What a frozen broker does when it thaws.
    backlog: Vec<Step>,
    /// Publishes that never return.
    hanging: Vec<Reply>,
    wire: Wire,
}

/// Which faults there are now.
#[derive(Default)]
struct Broken {
    is_down: bool,
    is_frozen: bool,
    refuses: bool,
    lag: Option<(Lane, Duration)>,
    cut: BTreeSet<usize>,
    deaf: BTreeSet<usize>,
    mute: BTreeSet<usize>,
    alone: BTreeSet<usize>,
}

struct Conn {
    place: usize,
    inbox: InboxSender,
    /// The broker still sends to it.
    is_subscribed: bool,
    /// The node still publishes through it.
    is_open: bool,
    deaf: Option<Deaf>,
    mute: Option<Mute>,
    /// Messages that it is going to lose.
    loses: u64,
    /// When the last message of each lane arrives, which keeps a lane in order.
    last: [Instant; 2],
}

enum Deaf {
    /// What should have arrived waits for the end of the fault.
    Stalls(Vec<(Lane, Bytes)>),
    Drops,
}

#[derive(Clone, Copy)]
enum Mute {
    /// Every publish is fine and comes nowhere.
    Swallows,
    /// No publish ever returns.
    Hangs,
}

type Reply = oneshot::Sender<Result<Report, SyncError>>;

enum Step {
    Execute(usize, Lane, Vec<Bytes>, Reply),
    Answer(Reply, Report),
    Arrive(usize, Lane, Bytes),
    End(usize),
}

impl Broker {
    pub(super) fn new(seed: u64) -> Self {
        let state = State {
            rng: SmallRng::seed_from_u64(seed),
            coming: BTreeMap::new(),
            n_planned: 0,
            conns: Vec::new(),
            broken: Broken::default(),
            backlog: Vec::new(),
            hanging: Vec::new(),
            wire: Wire::default(),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            planned: Notify::new(),
        }))
    }

    /// Does what is planned, when it is time; never returns.
    pub(super) async fn run(self) {
        loop {
            let next = self.0.state.lock().run_until(Instant::now());
            tokio::select! {
                biased;
                () = self.0.planned.notified() => {}
                () = async { match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                } } => {}
            }
        }
    }

    pub(super) fn hurt(&self, fault: Fault) {
        self.0.state.lock().hurt(fault);
        self.0.planned.notify_one();
    }

    pub(super) fn heal(&self, fault: Fault) {
        self.0.state.lock().heal(fault);
        self.0.planned.notify_one();
    }

    /// Returns how many links nodes still hold.
    pub(super) fn links(&self) -> usize {
        let state = self.0.state.lock();
        let is_held = |conn: &&Conn| conn.is_open && !conn.inbox.is_ended();
        state.conns.iter().filter(is_held).count()
    }

    /// Returns what was heard on the topics.
    pub(super) fn wire<T>(&self, read: impl FnOnce(&Wire) -> T) -> T {
        read(&self.0.state.lock().wire)
    }

    async fn connect(&self, place: usize, options: &LinkOptions) -> Result<Link, SyncError> {
        let is_frozen = self.0.state.lock().broken.is_frozen;
        sleep(if is_frozen {
            options.connect_timeout
        } else {
            millis(2)
        })
        .await;
        let mut state = self.0.state.lock();
        let broken = &state.broken;
        if broken.is_down || broken.is_frozen || broken.cut.contains(&place) {
            return Err(gone());
        }
        let (sender, inbox) = inbox(InboxLimits::default());
        let conn = state.open(place, sender);
        let sending = Sending {
            broker: self.clone(),
            conn,
        };
        Ok(Link::new(Box::new(sending), inbox.boxed()))
    }
}

impl SyncAdapter for Way {
    fn name(&self) -> &'static str {
        "model"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(self.broker.connect(self.place, options))
    }
}

/// The sending half of a link.
struct Sending {
    broker: Broker,
    conn: usize,
}

impl Outbound for Sending {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        let shared = &self.broker.0;
        let answer = shared.state.lock().send(self.conn, lane, batch.to_vec());
        shared.planned.notify_one();
        Box::pin(async move { answer?.await.unwrap_or_else(|_| Err(gone())) })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        let mut state = self.broker.0.state.lock();
        let is_frozen = state.broken.is_frozen;
        let conn = &mut state.conns[self.conn];
        conn.is_open = false;
        conn.is_subscribed &= is_frozen;
        conn.inbox.end(None);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl State {
    /// Does what is due and returns when the next step is.
    fn run_until(&mut self, now: Instant) -> Option<Instant> {
        while let Some(entry) = self.coming.first_entry() {
            let at = entry.key().0;
            if at > now {
                return Some(at);
            }
            let step = entry.remove();
            self.step(step);
        }
        None
    }

    fn plan(&mut self, at: Instant, step: Step) {
        self.coming.insert((at, self.n_planned), step);
        self.n_planned += 1;
    }

    fn soon(&mut self) -> Instant {
        Instant::now() + Duration::from_micros(self.rng.random_range(200..5_000))
    }

    fn open(&mut self, place: usize, inbox: InboxSender) -> usize {
        let is_deaf = self.broken.deaf.contains(&place);
        let is_mute = self.broken.mute.contains(&place);
        let (deaf, mute) = (self.deafness(), self.muteness());
        self.conns.push(Conn {
            place,
            inbox,
            is_subscribed: true,
            is_open: true,
            deaf: is_deaf.then_some(deaf),
            mute: is_mute.then_some(mute),
            loses: 0,
            last: [Instant::now(); 2],
        });
        self.conns.len() - 1
    }

    fn deafness(&mut self) -> Deaf {
        if self.rng.random() {
            Deaf::Drops
        } else {
            Deaf::Stalls(Vec::new())
        }
    }

    fn muteness(&mut self) -> Mute {
        if self.rng.random() {
            Mute::Swallows
        } else {
            Mute::Hangs
        }
    }

    fn send(
        &mut self,
        conn: usize,
        lane: Lane,
        batch: Vec<Bytes>,
    ) -> Result<oneshot::Receiver<Result<Report, SyncError>>, SyncError> {
        if !self.conns[conn].is_open {
            return Err(gone());
        }
        let (reply, answer) = oneshot::channel();
        let at = self.soon();
        match self.conns[conn].mute {
            None => self.plan(at, Step::Execute(conn, lane, batch, reply)),
            Some(Mute::Swallows) => self.plan(at, Step::Answer(reply, Report::default())),
            Some(Mute::Hangs) => self.hanging.push(reply),
        }
        Ok(answer)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Execute(..) if self.broken.is_frozen => self.backlog.push(step),
            Step::Execute(conn, lane, batch, reply) => self.execute((conn, lane), batch, reply),
            // The node may have dropped the link, and with it the question.
            Step::Answer(reply, report) => _ = reply.send(Ok(report)),
            Step::Arrive(conn, lane, payload) => self.conns[conn].arrive(lane, payload),
            Step::End(conn) => {
                self.conns[conn].is_open = false;
                self.conns[conn].inbox.end(Some(gone()));
            }
        }
    }

    fn execute(&mut self, (conn, lane): (usize, Lane), batch: Vec<Bytes>, reply: Reply) {
        if self.broken.is_down || self.broken.cut.contains(&self.conns[conn].place) {
            return self.hanging.push(reply);
        }
        let mut report = Report::default();
        for (index, payload) in batch.into_iter().enumerate() {
            let refusal = self.refusal(&payload);
            // An element that failed for the moment may have been executed all the same.
            let is_executed = match &refusal {
                None => true,
                Some(error) => error.is_transient() && self.rng.random_bool(0.3),
            };
            report.failed.extend(refusal.map(|error| (index, error)));
            if is_executed {
                self.wire.note(lane, &payload);
                self.fan_out(conn, lane, &payload);
            }
        }
        let at = self.soon();
        self.plan(at, Step::Answer(reply, report));
    }

    fn refusal(&mut self, payload: &Bytes) -> Option<SyncError> {
        if !self.broken.refuses {
            return None;
        }
        let dice = self.rng.random_range(0..100);
        let event = event_of(payload);
        if let Some(event) = event.filter(|_| dice < 5) {
            self.wire.refused.insert(event);
            return Some(SyncError::new(ErrorKind::Refused, "the model refuses it"));
        }
        (5..25).contains(&dice).then(gone)
    }

    fn fan_out(&mut self, from: usize, lane: Lane, payload: &Bytes) {
        let origin = self.conns[from].place;
        let lag = self.broken.lag.filter(|(slow, _)| *slow == lane);
        for index in 0..self.conns.len() {
            let at = self.soon() + lag.map_or(Duration::ZERO, |(_, lag)| lag);
            let alone = &self.broken.alone;
            let conn = &mut self.conns[index];
            let is_apart =
                conn.place != origin && (alone.contains(&origin) || alone.contains(&conn.place));
            if !conn.is_subscribed || is_apart {
                continue;
            }
            let last = &mut conn.last[usize::from(lane == Lane::Control)];
            *last = at.max(*last);
            let at = *last;
            self.plan(at, Step::Arrive(index, lane, payload.clone()));
        }
    }
}

impl Conn {
    fn arrive(&mut self, lane: Lane, payload: Bytes) {
        match &mut self.deaf {
            Some(Deaf::Stalls(stalled)) => stalled.push((lane, payload)),
            Some(Deaf::Drops) => {}
            None if self.loses > 0 => {
                self.loses -= 1;
                self.inbox.lost(1);
            }
            None => self.inbox.send(lane, payload),
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").finish_non_exhaustive()
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

fn gone() -> SyncError {
    SyncError::new(ErrorKind::Unavailable, "the model broker is out of reach")
}
