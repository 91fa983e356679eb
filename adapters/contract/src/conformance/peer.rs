use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::trial::{TICK, Verdict, fail};
use crate::{Inbound, Incoming, Lane, Link, Outbound, Report, SyncError};

/// A link in the hands of a check: what it says and what it heard.
pub(super) struct Peer {
    pub(super) outbound: Box<dyn Outbound>,
    pub(super) ear: Ear,
    patience: Duration,
}

/// The receiving half of a link and all that came out of it.
pub(super) struct Ear {
    inbound: Inbound,
    speaker: String,
    pub(super) heard: Heard,
}

/// What a link heard. Warm-up messages are not among it.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) messages: Vec<(Lane, Bytes)>,
    pub(super) lost: u64,
    pub(super) end: Option<End>,
    /// By lane: whether a warm-up message of another link came in.
    warm: [bool; 2],
}

/// How an inbound stream ended.
#[derive(Debug)]
pub(super) enum End {
    Error(SyncError),
    Quiet,
}

impl Peer {
    pub(super) fn new(link: Link, speaker: String, patience: Duration) -> Self {
        let Link {
            outbound, inbound, ..
        } = link;
        let ear = Ear {
            inbound,
            speaker,
            heard: Heard::default(),
        };
        Self {
            outbound,
            ear,
            patience,
        }
    }

    /// Publishes, with no element refused.
    pub(super) async fn say(&mut self, lane: Lane, batch: &[Bytes]) -> Verdict {
        let report = self.publish(lane, batch).await?;
        if report.failed.is_empty() {
            return Ok(());
        }
        fail(format!(
            "a publish of {} was not taken whole: {report:?}",
            batch.len()
        ))
    }

    /// Publishes on a link that lives.
    pub(super) async fn publish(&mut self, lane: Lane, batch: &[Bytes]) -> Verdict<Report> {
        match self.try_publish(lane, batch).await? {
            Ok(report) => Ok(report),
            Err(error) => fail(format!("a publish on a living link fails: {error:?}")),
        }
    }

    /// Publishes on a link that may be over; only hanging is wrong.
    pub(super) async fn try_publish(
        &mut self,
        lane: Lane,
        batch: &[Bytes],
    ) -> Verdict<Result<Report, SyncError>> {
        match timeout(self.patience, self.outbound.publish(lane, batch)).await {
            Ok(outcome) => Ok(outcome),
            Err(_) => fail(format!("a publish takes longer than {:?}", self.patience)),
        }
    }

    /// Closes within what the check waits for.
    pub(super) async fn close(&mut self) -> Verdict<Result<(), SyncError>> {
        match timeout(self.patience, self.outbound.close()).await {
            Ok(outcome) => Ok(outcome),
            Err(_) => fail(format!("a close takes longer than {:?}", self.patience)),
        }
    }

    /// Waits until all of these were heard, in whatever order, on whatever lane, however often.
    pub(super) async fn hears(&mut self, due: &[Bytes]) -> Verdict {
        let mut missing: HashSet<Bytes> = due.iter().cloned().collect();
        let mut seen = 0;
        let is_complete = |heard: &Heard| {
            for (_, payload) in &heard.messages[seen..] {
                missing.remove(payload);
            }
            seen = heard.messages.len();
            missing.is_empty()
        };
        self.ear.until(self.patience, is_complete).await;
        if missing.is_empty() {
            return Ok(());
        }
        let example = missing.iter().next().map(short).unwrap_or_default();
        fail(format!(
            "{} of {} messages do not come, {example} for one; heard were {}",
            missing.len(),
            due.len(),
            self.ear.heard
        ))
    }

    /// Waits until the inbound stream has failed or ended, and returns how.
    pub(super) async fn is_over(&mut self, within: Duration) -> Verdict<&End> {
        self.ear.until(within, |heard| heard.end.is_some()).await;
        let heard = &self.ear.heard;
        match &heard.end {
            Some(end) => Ok(end),
            None => fail(format!(
                "`inbound` neither fails nor ends within {within:?}"
            )),
        }
    }

    /// The link must still be there.
    pub(super) async fn lives(&mut self) -> Verdict {
        self.ear.linger(TICK).await;
        match &self.ear.heard.end {
            None => Ok(()),
            Some(end) => fail(format!("the link is over: {end:?}")),
        }
    }
}

impl Ear {
    /// Reads until this holds, the link is over, or the time has passed.
    pub(super) async fn until(&mut self, within: Duration, mut holds: impl FnMut(&Heard) -> bool) {
        let deadline = Instant::now() + within;
        while !holds(&self.heard) && self.heard.end.is_none() {
            match timeout_at(deadline, self.inbound.next()).await {
                Ok(item) => self.note(item),
                Err(_) => return,
            }
        }
    }

    /// Reads for this long, for what should not come.
    pub(super) async fn linger(&mut self, during: Duration) {
        self.until(during, |_| false).await;
    }

    /// Reads what has arrived and forgets it.
    pub(super) fn skip(&mut self) {
        while let Some(item) = self.inbound.next().now_or_never() {
            self.note(item);
            if self.heard.end.is_some() {
                break;
            }
        }
        self.heard.messages.clear();
    }

    pub(super) fn is_warm(&self) -> bool {
        self.heard.warm == [true; 2]
    }

    /// Says what a link sends on a lane until all others have heard it.
    pub(super) fn warm_up(&self, lane: Lane) -> Bytes {
        Bytes::from(format!("{WARM_UP}{} {lane:?}", self.speaker))
    }

    fn note(&mut self, item: Option<Result<Incoming, SyncError>>) {
        match item {
            Some(Ok(Incoming::Message { payload, .. }))
                if payload.starts_with(WARM_UP.as_bytes()) =>
            {
                self.note_warm_up(&payload);
            }
            Some(Ok(Incoming::Message { lane, payload })) => {
                self.heard.messages.push((lane, payload));
            }
            Some(Ok(Incoming::Lost(n))) => self.heard.lost += n,
            Some(Err(error)) => self.heard.end = Some(End::Error(error)),
            None => self.heard.end = Some(End::Quiet),
        }
    }

    /// Goes by the lane in the text, because telling lanes apart is what one check is about, and not the others.
    fn note_warm_up(&mut self, payload: &Bytes) {
        for lane in [Lane::Events, Lane::Control] {
            let is_own = *payload == self.warm_up(lane);
            if !is_own && payload.ends_with(format!("{lane:?}").as_bytes()) {
                self.heard.warm[lane as usize] = true;
            }
        }
    }
}

impl Heard {
    /// The payloads that begin with this, in the order in which they came in.
    pub(super) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Bytes> {
        let payloads = self.messages.iter().map(|(_, payload)| payload);
        payloads.filter(move |payload| payload.starts_with(prefix.as_bytes()))
    }

    pub(super) fn count(&self, payload: &Bytes) -> usize {
        self.messages
            .iter()
            .filter(|(_, heard)| heard == payload)
            .count()
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages", self.messages.len())?;
        for (lane, payload) in self.messages.iter().rev().take(SHOWN).rev() {
            write!(f, ", {lane:?} {}", short(payload))?;
        }
        if self.lost > 0 {
            write!(f, ", {} lost", self.lost)?;
        }
        match &self.end {
            None => Ok(()),
            Some(end) => write!(f, ", then {end:?}"),
        }
    }
}

/// A payload for the eyes of whoever reads why a check failed.
pub(super) fn short(payload: &Bytes) -> String {
    let shown = &payload[..payload.len().min(40)];
    let text = String::from_utf8_lossy(shown).into_owned();
    if shown.len() == payload.len() {
        format!("{text:?}")
    } else {
        format!("{text:?}… ({} bytes)", payload.len())
    }
}

const WARM_UP: &str = "warm-up ";
const SHOWN: usize = 5;
