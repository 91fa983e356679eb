//! What a process has heard: every event must be the one that comes next.

use std::fmt;
use std::mem::take;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Outcome;

type Check = Box<dyn Fn(u64, &[u8]) -> bool + Send + Sync>;

/// Counts and checks the events that come in, and wakes the one task that waits for a number of them.
pub(crate) struct Heard {
    /// Tells whether bytes are the event with a number.
    check: Check,
    state: Mutex<State>,
    reached: Notify,
}

#[derive(Debug, Default)]
struct State {
    n: u64,
    /// The number that is waited for: waking somebody for each event would cost more than the event.
    wanted: Option<u64>,
    fault: Option<String>,
    /// When each event came, while that is noted.
    times: Option<Vec<u64>>,
}

impl Heard {
    pub(crate) fn new(check: impl Fn(u64, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self {
            check: Box::new(check),
            state: Mutex::default(),
            reached: Notify::new(),
        }
    }

    /// Takes an event in.
    pub(crate) fn take(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if !(self.check)(state.n, bytes) {
            let fault = fault(state.n, bytes);
            state.fault.get_or_insert(fault);
        }
        state.n += 1;
        state.times.iter_mut().for_each(|times| times.push(now()));
        let is_reached = state.wanted.is_some_and(|wanted| state.n >= wanted);
        if is_reached || state.fault.is_some() {
            state.wanted = None;
            self.reached.notify_one();
        }
    }

    /// Says that something went wrong besides.
    pub(crate) fn fail(&self, fault: String) {
        self.state.lock().fault.get_or_insert(fault);
        self.reached.notify_one();
    }

    /// Waits for events up to a number; fails when one was a wrong one, or they do not come.
    pub(crate) async fn until(&self, n: u64) -> Outcome<()> {
        let waiting = async {
            while !self.has(n)? {
                self.reached.notified().await;
            }
            Ok(())
        };
        match timeout(PATIENCE, waiting).await {
            Ok(done) => done,
            Err(_) => Err(format!("{} of {n} events came", self.n()).into()),
        }
    }

    pub(crate) fn n(&self) -> u64 {
        self.state.lock().n
    }

    /// Begins to note when events come.
    pub(crate) fn note_times(&self) {
        self.state.lock().times = Some(Vec::new());
    }

    /// Returns what was noted, in nanoseconds, and notes no more.
    pub(crate) fn times(&self) -> Vec<u64> {
        take(&mut self.state.lock().times).unwrap_or_default()
    }

    fn has(&self, n: u64) -> Outcome<bool> {
        let mut state = self.state.lock();
        if let Some(fault) = &state.fault {
            return Err(fault.clone().into());
        }
        state.wanted = (state.n < n).then_some(n);
        Ok(state.wanted.is_none())
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Returns the time in nanoseconds by the one clock that all processes share.
pub(crate) fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or_default())
}

fn fault(expected: u64, bytes: &[u8]) -> String {
    let start: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
    format!("instead of event {expected} came {start}")
}

/// How long a process waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
