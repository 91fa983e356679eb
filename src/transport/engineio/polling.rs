//! A client that polls: the task that takes its posts, answers its polls, pings and ends it.
//!
//! Frames wait in the outbox until a poll fetches them, so a client that fetches too slowly is closed as any other.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::StatusCode;
use tokio::task::coop::poll_proceed;
use tokio::time::{Instant, Interval, interval, timeout, timeout_at};

use super::client::{Client, PING};
use super::mailbox::{Mailbox, Post};
use super::packet::Packet;
use super::payload;
use super::probe::{Failed, Probe};
use super::sessions::Place;
use super::socket;
use crate::app::App;
use crate::connections::CloseReason;
use crate::transport::caller::{self, Transport};
use crate::transport::socketio::Session;
use crate::transport::websocket::{self, Beat, LONGEST, Party, Payload, Socket};

/// Serves a client that polls until it goes or has to, also when it changes to a websocket.
pub(super) async fn serve(app: App, place: Place, session: Session) {
    let deadline = caller::connect_deadline(app.config());
    // Boxed, so that the task of a client that has changed over has no room for it.
    let socket = Box::pin(poll_and_change(&app, place, session, deadline)).await;
    if let Some(socket) = socket {
        websocket::run(app, socket, deadline).await;
    }
}

/// Returns the websocket to which the client has changed; `None` when it is gone.
async fn poll_and_change(
    app: &App,
    place: Place,
    session: Session,
    deadline: Instant,
) -> Option<Box<Socket<Client>>> {
    let mut polling = Polling {
        app: app.clone(),
        place,
        client: Client::new(app.config(), session),
        frames: Vec::new(),
        n_own: 0,
        unread: None,
        upgrade: Upgrade::None,
    };
    let end = caller::run(&mut polling, app, deadline).await;
    let reason = match end {
        End::Upgraded(probe) => return Some(Box::new(polling.into_socket(*probe))),
        End::Left => CloseReason::Gone,
        End::Closed(reason) => reason,
    };
    tracing::debug!(?reason, "a client that polls ends");
    app.counters().count_end(reason);
    polling.close(reason, matches!(end, End::Left)).await;
    None
}

/// One client that polls, with all that belongs to it.
struct Polling {
    app: App,
    place: Place,
    client: Client,
    /// What the next polls get; more comes from the outbox only when it is empty, or is our own.
    frames: Vec<Bytes>,
    n_own: usize,
    /// A post that is not worked through, because the client has as many open calls as it may.
    unread: Option<Unread>,
    upgrade: Upgrade,
}

struct Unread {
    post: Post,
    /// Where in the text the next packet begins.
    at: usize,
}

/// How far the client is on its way to a websocket.
enum Upgrade {
    None,
    Probing(Instant, Probing),
    /// The client waits for its last poll to end, which each tick makes possible.
    Changing(Interval, Probing),
}

type Probing = BoxFuture<'static, Result<Probe, Failed>>;

/// Why polling is over.
enum End {
    Upgraded(Box<Probe>),
    /// The client said that it goes.
    Left,
    Closed(CloseReason),
}

impl Polling {
    /// True when there may be more to do at once. As for a websocket, what has come is read before time is judged.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        self.place.mailbox.register(cx);
        self.client.caller_mut().poll_answers(cx);
        if let Poll::Ready(reason) = self.client.caller().poll_closed(cx) {
            return self.end(cx, reason).map(|()| false);
        }
        if let Some(reason) = self.place.mailbox.fault() {
            return Err(reason.into());
        }
        if self.read()? || self.beat(cx)? {
            return Ok(true);
        }
        let is_released = self.change(cx)?;
        let was_deaf = self.is_deaf();
        self.write(cx, is_released)?;
        Ok(was_deaf && !self.is_deaf())
    }

    /// Ends, but not under a revoked client that changes over: it polls no more, and is told on the other side.
    fn end(&mut self, cx: &mut Context<'_>, reason: CloseReason) -> Result<(), End> {
        if reason != CloseReason::Revoked || !self.is_changing() {
            return Err(reason.into());
        }
        let unread = self.unread.take().map(|unread| unread.post);
        for post in unread.into_iter().chain(self.place.mailbox.take_post()) {
            let _ = post.done.send(StatusCode::OK);
        }
        let is_released = self.poll_change(cx)?;
        if !self.is_changing() {
            return Err(reason.into());
        }
        self.write(cx, is_released)
    }

    /// True when a packet was read.
    fn read(&mut self) -> Result<bool, End> {
        if self.is_deaf() {
            return Ok(false);
        }
        let new = || {
            self.place
                .mailbox
                .take_post()
                .map(|post| Unread { post, at: 0 })
        };
        let Some(Unread { post, at }) = self.unread.take().or_else(new) else {
            return Ok(false);
        };
        let (packet, rest) = payload::next(&post.text[at..]);
        let n_new = if at == 0 { post.text.len() } else { 0 };
        let received = self.count(n_new).and_then(|()| self.receive(packet));
        match rest.map(str::len) {
            Some(left) if received.is_ok() => {
                let at = post.text.len() - left;
                self.unread = Some(Unread { post, at });
            }
            // The client may be gone by now, which its next request or the heartbeat finds.
            _ => drop(post.done.send(status(&received))),
        }
        received.map(|()| true)
    }

    /// Counts a packet, and the bytes that came with it.
    fn count(&mut self, n_bytes: usize) -> Result<(), End> {
        let caller = self.client.caller_mut();
        caller.count_bytes(n_bytes)?;
        Ok(caller.count_message()?)
    }

    fn receive(&mut self, packet: &str) -> Result<(), End> {
        if Packet::parse(packet) == Some(Packet::Close) {
            return Err(End::Left);
        }
        let reply = self.client.take(packet)?;
        reply.into_iter().for_each(|frame| self.push(frame));
        Ok(())
    }

    /// True when a ping was due.
    fn beat(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let is_deaf = self.is_deaf();
        match self.client.heartbeat.poll(cx, is_deaf) {
            Poll::Pending => Ok(false),
            Poll::Ready(Beat::Dead) => Err(CloseReason::Timeout.into()),
            Poll::Ready(Beat::Ping) => {
                self.push(Bytes::from_static(PING));
                Ok(true)
            }
        }
    }

    /// Adds a frame that is no event and no answer.
    fn push(&mut self, frame: Bytes) {
        self.frames.push(frame);
        self.n_own += 1;
    }

    /// Tells whether reading pauses, until a call is done or frames of our own are fetched.
    fn is_deaf(&self) -> bool {
        self.client.caller().is_busy() || self.n_own >= OWN_FRAMES
    }

    /// Answers the poll that waits, if there is something for it, or if it is to end.
    fn write(&mut self, cx: &mut Context<'_>, is_released: bool) -> Result<(), End> {
        let is_polled = self.place.mailbox.is_polled(cx);
        if !is_polled.ok_or(CloseReason::Gone)? {
            return Ok(());
        }
        if self.frames.is_empty() {
            let caller = self.client.caller_mut();
            let _ = caller.poll_frames(cx, &mut self.frames, &mut None);
        }
        let body = match self.frames.is_empty() {
            true if !is_released => return Ok(()),
            true => NOOP.to_vec(),
            false => payload::take(&mut self.frames, self.app.config().max_message),
        };
        if !self.place.mailbox.answer(body) {
            return Err(CloseReason::Gone.into());
        }
        if self.frames.is_empty() {
            self.n_own = 0;
        }
        Ok(())
    }

    /// Follows the client's way to a websocket; true when the poll that waits is to end for it.
    fn change(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        if let Some(upgrade) = self.place.mailbox.take_upgrade() {
            let deadline = Instant::now() + self.app.config().upgrade_timeout.min(LONGEST);
            let probing = Probe::begin(self.app.clone(), upgrade);
            self.upgrade = Upgrade::Probing(deadline, in_time(deadline, probing));
        }
        if let Upgrade::Probing(deadline, probing) = &mut self.upgrade {
            let (deadline, polled) = (*deadline, probing.as_mut().poll(cx));
            self.answer_probe(deadline, polled)?;
        }
        self.poll_change(cx)
    }

    fn is_changing(&self) -> bool {
        matches!(self.upgrade, Upgrade::Changing(..))
    }

    fn answer_probe(
        &mut self,
        deadline: Instant,
        polled: Poll<Result<Probe, Failed>>,
    ) -> Result<(), End> {
        match polled {
            Poll::Pending => {}
            Poll::Ready(Err(failed)) => self.stay(failed)?,
            Poll::Ready(Ok(probe)) => {
                let changing = in_time(deadline, probe.confirmed());
                self.upgrade = Upgrade::Changing(interval(RELEASE), changing);
            }
        }
        Ok(())
    }

    fn poll_change(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Upgrade::Changing(release, changing) = &mut self.upgrade else {
            return Ok(false);
        };
        let is_released = release.poll_tick(cx).is_ready();
        // What was posted before comes first.
        if self.unread.is_some() {
            return Ok(is_released);
        }
        match changing.as_mut().poll(cx) {
            Poll::Pending => Ok(is_released),
            Poll::Ready(Ok(probe)) => Err(End::Upgraded(Box::new(probe))),
            Poll::Ready(Err(failed)) => self.stay(failed).map(|()| false),
        }
    }

    /// Stays with polling, and the client may try again, unless what it did ends its session.
    fn stay(&mut self, failed: Failed) -> Result<(), End> {
        tracing::debug!("a client did not change to a websocket");
        self.place.mailbox.end_upgrade();
        self.upgrade = Upgrade::None;
        match failed {
            Failed::Again => Ok(()),
            Failed::Closed(reason) => Err(reason.into()),
        }
    }

    fn into_socket(self, probe: Probe) -> Socket<Client> {
        // None waits unless the client is another one than Engine.IO's own.
        self.place.mailbox.answer(NOOP.to_vec());
        socket::upgraded(probe, self.client, self.frames)
    }

    /// Says goodbye to the poll that waits, after the client is out of all channels. Unless the client went, the next poll is
    /// waited for, within a bound.
    async fn close(mut self, reason: CloseReason, has_left: bool) {
        let mailbox = &self.place.mailbox;
        let waiting = self.client.caller_mut().end(reason);
        self.frames.extend(waiting);
        match reason {
            CloseReason::Slow => self.frames.clear(),
            // A stock client that gets `1` along with `41` looks at `1` first, and connects again.
            CloseReason::Revoked => {
                polled(mailbox).await;
                let body = payload::take(&mut self.frames, usize::MAX);
                mailbox.answer(body);
            }
            _ => {}
        }
        if !matches!(reason, CloseReason::Gone | CloseReason::Timeout) {
            polled(mailbox).await;
        }
        let mut body = payload::take(&mut self.frames, usize::MAX);
        payload::push(
            &mut body,
            Payload::Text(if has_left { NOOP } else { CLOSE }),
        );
        mailbox.answer(body);
    }
}

impl Transport for Polling {
    type End = End;

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            // One body may have a great many packets, and others want to run as well.
            let turn = ready!(poll_proceed(cx));
            match self.turn(cx) {
                Ok(true) => turn.made_progress(),
                Ok(false) => return Poll::Pending,
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.client.caller().is_connected()
    }
}

impl From<CloseReason> for End {
    fn from(reason: CloseReason) -> Self {
        Self::Closed(reason)
    }
}

/// The answer to a post: as the stock server has it, what is wrong with its packets comes after that.
fn status(received: &Result<(), End>) -> StatusCode {
    match received {
        Err(End::Closed(CloseReason::TooManyMessages | CloseReason::TooManyBytes)) => {
            StatusCode::TOO_MANY_REQUESTS
        }
        _ => StatusCode::OK,
    }
}

/// Waits for a poll, within a bound; what is posted meanwhile nobody reads any more.
async fn polled(mailbox: &Mailbox) {
    let polled = poll_fn(|cx| {
        mailbox.register(cx);
        if let Some(post) = mailbox.take_post() {
            let _ = post.done.send(StatusCode::OK);
        }
        match mailbox.is_polled(cx) {
            Some(false) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    });
    let _ = timeout(GOODBYE, polled).await;
}

fn in_time(
    deadline: Instant,
    probing: impl Future<Output = Result<Probe, Failed>> + Send + 'static,
) -> Probing {
    let in_time = timeout_at(deadline, probing);
    Box::pin(async move { in_time.await.unwrap_or(Err(Failed::Again)) })
}

const NOOP: &[u8] = b"6";
const CLOSE: &[u8] = b"1";
/// Frames of our own that may wait, as for a websocket.
const OWN_FRAMES: usize = 16;
/// As Engine.IO has it: long enough for the client to see the answer to its probe in between.
const RELEASE: Duration = Duration::from_millis(100);
const GOODBYE: Duration = Duration::from_secs(2);
