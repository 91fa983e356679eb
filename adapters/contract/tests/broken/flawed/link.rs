//! What the flaws do to the two halves of a link.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use wingbeat_adapter::{
    BoxFuture, ErrorKind, Inbound, Incoming, Lane, Link, LinkOptions, Outbound, Report, SyncError,
};

use super::Flaw;

/// What a link is opened on.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) flaw: Flaw,
    pub(super) adapter: u64,
    pub(super) options: LinkOptions,
    pub(super) all_closed: watch::Sender<bool>,
}

impl Terms {
    /// Puts the flaw between a link and its user.
    pub(super) fn wrap(self, link: Link, ghost: Option<Link>) -> Link {
        static SPEAKERS: AtomicU64 = AtomicU64::new(0);
        let speaker = SPEAKERS.fetch_add(1, Ordering::Relaxed);
        let Link {
            outbound, inbound, ..
        } = link;
        let (closed, is_closed) = watch::channel(false);
        let ear = FlawedEar {
            terms: self.clone(),
            speaker,
            opened: now(),
            seen: HashSet::new(),
        };
        let mouth = FlawedOutbound {
            terms: self,
            speaker,
            inner: Arc::new(Mutex::new(outbound)),
            ghost,
            closed,
        };
        Link::new(Box::new(mouth), ear.listen(inbound, is_closed))
    }
}

struct FlawedOutbound {
    terms: Terms,
    speaker: u64,
    inner: Arc<Mutex<Box<dyn Outbound>>>,
    /// Freed by `close` alone.
    ghost: Option<Link>,
    closed: watch::Sender<bool>,
}

struct FlawedEar {
    terms: Terms,
    speaker: u64,
    opened: u64,
    seen: HashSet<Bytes>,
}

/// What travels: who said it, when, on which topic, and the payload.
struct Frame {
    adapter: u64,
    speaker: u64,
    at: u64,
    topic: String,
    payload: Bytes,
}

impl FlawedOutbound {
    async fn send(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        if *self.closed.borrow() && self.terms.flaw != Flaw::OpenAfterClose {
            return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
        }
        let mut report = Report::default();
        let mut frames = self.frames(batch, &mut report);
        match self.terms.flaw {
            Flaw::Reorders => frames.reverse(),
            Flaw::SendsCancelledLater => return self.send_late(lane, frames, report).await,
            _ => {}
        }
        let sent = self.inner.lock().await.publish(lane, &frames).await;
        sent.map_err(|error| match self.terms.flaw {
            Flaw::CallsLostClosed => SyncError::new(ErrorKind::Closed, "it is over"),
            _ => error,
        })?;
        Ok(report)
    }

    fn frames(&self, batch: &[Bytes], report: &mut Report) -> Vec<Bytes> {
        let mut frames = Vec::new();
        for (index, payload) in batch.iter().enumerate() {
            match self.terms.options.check_payload(payload) {
                Err(error) if self.terms.flaw != Flaw::KnowsNoLimit => {
                    report.failed.push((index, error))
                }
                _ => frames.push(self.frame(payload)),
            }
        }
        if self.terms.flaw == Flaw::RefusesTheBatch && !report.failed.is_empty() {
            frames.clear();
        }
        frames
    }

    fn frame(&self, payload: &Bytes) -> Bytes {
        let frame = Frame {
            adapter: self.terms.adapter,
            speaker: self.speaker,
            at: now(),
            topic: self.terms.options.topic.clone(),
            payload: payload.clone(),
        };
        frame.encode()
    }

    async fn send_late(
        &mut self,
        lane: Lane,
        frames: Vec<Bytes>,
        report: Report,
    ) -> Result<Report, SyncError> {
        let mut late = Late {
            inner: Arc::clone(&self.inner),
            lane,
            frames,
        };
        sleep(Duration::from_millis(2)).await;
        let frames = std::mem::take(&mut late.frames);
        self.inner.lock().await.publish(lane, &frames).await?;
        Ok(report)
    }
}

/// Sends what is left when it is dropped, a while later.
struct Late {
    inner: Arc<Mutex<Box<dyn Outbound>>>,
    lane: Lane,
    frames: Vec<Bytes>,
}

impl Drop for Late {
    #[allow(clippy::disallowed_methods, reason = "it is a flaw")]
    fn drop(&mut self) {
        if self.frames.is_empty() {
            return;
        }
        let (inner, lane) = (Arc::clone(&self.inner), self.lane);
        let frames = std::mem::take(&mut self.frames);
        tokio::spawn(async move {
            sleep(Duration::from_millis(50)).await;
            let _ = inner.lock().await.publish(lane, &frames).await;
        });
    }
}

impl Outbound for FlawedOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(self.send(lane, batch))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async {
            let was_closed = self.closed.send_replace(true);
            match self.terms.flaw {
                Flaw::OpenAfterClose => return Ok(()),
                Flaw::FailsSecondClose if was_closed => {
                    return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
                }
                Flaw::ForgetsCancelledClose if was_closed => return Ok(()),
                Flaw::ForgetsCancelledClose => sleep(Duration::from_millis(2)).await,
                Flaw::ClosesAllLinks => drop(self.terms.all_closed.send_replace(true)),
                Flaw::LeaksOnDrop => self.ghost = None,
                _ => {}
            }
            self.inner.lock().await.close().await
        })
    }
}

impl Drop for FlawedOutbound {
    fn drop(&mut self) {
        std::mem::forget(self.ghost.take());
    }
}

impl fmt::Debug for FlawedOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlawedOutbound")
            .field("flaw", &self.terms.flaw)
            .finish_non_exhaustive()
    }
}

impl FlawedEar {
    fn listen(mut self, inner: Inbound, is_closed: watch::Receiver<bool>) -> Inbound {
        let Terms {
            flaw, all_closed, ..
        } = self.terms.clone();
        let items = inner.flat_map(move |item| stream::iter(self.hear(item)));
        match flaw {
            Flaw::Immortal => items
                .filter(|item| std::future::ready(item.is_ok()))
                .chain(stream::pending())
                .take_until(Box::pin(is_true(is_closed)))
                .boxed(),
            Flaw::ClosesAllLinks => items
                .take_until(Box::pin(is_true(all_closed.subscribe())))
                .boxed(),
            _ => items.boxed(),
        }
    }

    fn hear(&mut self, item: Result<Incoming, SyncError>) -> Vec<Result<Incoming, SyncError>> {
        match item {
            Ok(Incoming::Message { lane, payload }) => {
                let frame = Frame::decode(&payload);
                if !self.lets_through(&frame) {
                    return Vec::new();
                }
                let message = Incoming::Message {
                    lane: self.lane(lane),
                    payload: self.payload(frame.payload),
                };
                let times = if self.terms.flaw == Flaw::Doubles {
                    2
                } else {
                    1
                };
                vec![Ok(message); times]
            }
            Ok(Incoming::Lost(_)) if self.terms.flaw == Flaw::DropsInSilence => Vec::new(),
            other => vec![other],
        }
    }

    fn lets_through(&mut self, frame: &Frame) -> bool {
        if !self.is_subscribed_to(&frame.topic) {
            return false;
        }
        match self.terms.flaw {
            Flaw::HearsItsOwnAdapterOnly => frame.adapter == self.terms.adapter,
            Flaw::DeafToSelf => frame.speaker != self.speaker,
            Flaw::DropsEquals => self.seen.insert(frame.payload.clone()),
            Flaw::SubscribesLate => frame.at > self.opened + 100,
            Flaw::SwallowsEmpty => !frame.payload.is_empty(),
            _ => true,
        }
    }

    fn is_subscribed_to(&self, topic: &str) -> bool {
        match (self.terms.flaw, self.terms.options.topic.strip_suffix('*')) {
            (Flaw::LeaksTopics, _) => true,
            (Flaw::TakesPatterns, Some(prefix)) => topic.starts_with(prefix),
            _ => topic == self.terms.options.topic,
        }
    }

    fn lane(&self, lane: Lane) -> Lane {
        match (self.terms.flaw, lane) {
            (Flaw::SwapsLanes, Lane::Events) => Lane::Control,
            (Flaw::SwapsLanes, Lane::Control) => Lane::Events,
            _ => lane,
        }
    }

    fn payload(&self, payload: Bytes) -> Bytes {
        match self.terms.flaw {
            Flaw::Mangles => Bytes::from(String::from_utf8_lossy(&payload).into_owned()),
            _ => payload,
        }
    }
}

impl Frame {
    fn encode(&self) -> Bytes {
        let head = format!(
            "{} {} {} {}\n",
            self.adapter, self.speaker, self.at, self.topic
        );
        [head.as_bytes(), &self.payload].concat().into()
    }

    fn decode(bytes: &Bytes) -> Self {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut words = head.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        Self {
            adapter: word().parse().unwrap(),
            speaker: word().parse().unwrap(),
            at: word().parse().unwrap(),
            topic: word().to_owned(),
            payload: bytes.slice(end + 1..),
        }
    }
}

async fn is_true(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|is_true| *is_true).await;
}

/// Milliseconds since the first call.
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap()
}
