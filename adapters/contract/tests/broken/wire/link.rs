//! The adapter's side of the line.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};
use wingbeat_adapter::{
    BoxFuture, ErrorKind, Inbound, InboxLimits, InboxSender, Lane, Link, LinkOptions, Outbound,
    Report, SyncError, inbox,
};

use super::frame::{self, Kind};
use super::{WireAdapter, WireFlaw};

pub(super) async fn open(adapter: &WireAdapter, options: &LinkOptions) -> Result<Link, SyncError> {
    match adapter.flaw {
        WireFlaw::IgnoresHalf => {
            let (ear, mouth) = (dial(adapter, options).await?, dial(adapter, options).await?);
            let outbound = Half {
                mouth: mouth.outbound,
                unread: mouth.inbound,
                ear: ear.outbound,
            };
            Ok(Link::new(Box::new(outbound), ear.inbound))
        }
        WireFlaw::LeaksDials => dial_aside(adapter.clone(), options.clone()).await,
        _ => dial(adapter, options).await,
    }
}

#[allow(clippy::disallowed_methods, reason = "it is a flaw")]
async fn dial_aside(adapter: WireAdapter, options: LinkOptions) -> Result<Link, SyncError> {
    let (result, is_there) = oneshot::channel();
    tokio::spawn(async move {
        // Nobody asks for it any more, and nobody throws it away.
        if let Err(unwanted) = result.send(dial(&adapter, &options).await) {
            std::mem::forget(unwanted);
        }
    });
    is_there
        .await
        .expect("the task lives as long as the runtime")
}

async fn dial(adapter: &WireAdapter, options: &LinkOptions) -> Result<Link, SyncError> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, adapter.port))
        .await
        .map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let password = adapter.password.as_bytes();
    frame::write(&mut to, Kind::Hello, password)
        .await
        .map_err(lost)?;
    if frame::read(&mut from).await.map_err(lost)?.0 == Kind::Go {
        return Err(SyncError::new(ErrorKind::Refused, "not let in"));
    }
    let topics = format!("{}\n{}", options.topic, options.control_topic);
    frame::write(&mut to, Kind::Subscribe, topics.as_bytes())
        .await
        .map_err(lost)?;
    if adapter.flaw != WireFlaw::ResolvesEarly {
        frame::read(&mut from).await.map_err(lost)?;
    }
    Ok(establish(from, to, adapter, options))
}

fn establish(
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    adapter: &WireAdapter,
    options: &LinkOptions,
) -> Link {
    let (sender, inbox) = inbox(InboxLimits::default());
    let depth = if adapter.flaw == WireFlaw::NewestFirst {
        64
    } else {
        1
    };
    let (jobs, waiting) = mpsc::channel(depth);
    let to = Arc::new(Mutex::new(to));
    let line = Line {
        adapter: adapter.clone(),
        options: options.clone(),
        inbox: sender.clone(),
        to: Arc::clone(&to),
        heard: watch::Sender::new(Instant::now()),
    };
    #[allow(clippy::disallowed_methods, reason = "the link owns its task")]
    sender.hold(Task(tokio::spawn(line.run(from, waiting))));
    let outbound = WireOutbound {
        flaw: adapter.flaw,
        options: options.clone(),
        inbox: sender,
        jobs,
        // Whoever keeps the writing half keeps the connection.
        to: (adapter.flaw == WireFlaw::TearsFrames).then_some(to),
        is_closed: false,
    };
    Link::new(Box::new(outbound), inbox.boxed())
}

/// Ends with whoever holds it.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A batch on its way, and who wants to know when it is gone.
type Job = (Vec<u8>, oneshot::Sender<()>);

struct Line {
    adapter: WireAdapter,
    options: LinkOptions,
    inbox: InboxSender,
    to: Arc<Mutex<OwnedWriteHalf>>,
    heard: watch::Sender<Instant>,
}

impl Line {
    /// The first of the three that ends, ends the link.
    async fn run(self, from: BufReader<OwnedReadHalf>, waiting: mpsc::Receiver<Job>) {
        let why = tokio::select! {
            read = self.read(from) => read.err(),
            written = self.write(waiting) => written.err(),
            () = self.watch() => Some(io::ErrorKind::TimedOut.into()),
        };
        // A broken pipe is what the owner's parting looks like from here.
        let is_loss = why.as_ref().map(io::Error::kind) != Some(io::ErrorKind::BrokenPipe);
        self.adapter.has_lost.fetch_or(is_loss, Ordering::SeqCst);
        match self.adapter.flaw {
            WireFlaw::NeverEnds => return std::future::pending().await,
            WireFlaw::RedialsForNobody => self.redial(),
            _ => {}
        }
        self.inbox.end(why.map(lost));
    }

    #[allow(clippy::disallowed_methods, reason = "it is a flaw")]
    fn redial(&self) {
        let (mut adapter, options) = (self.adapter.clone(), self.options.clone());
        adapter.flaw = WireFlaw::None;
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(20)).await;
                if let Ok(link) = dial(&adapter, &options).await {
                    std::mem::forget(link);
                    return;
                }
            }
        });
    }

    async fn read(&self, mut from: BufReader<OwnedReadHalf>) -> io::Result<()> {
        loop {
            let (kind, body) = frame::read(&mut from).await?;
            match (kind, kind.lane()) {
                (_, Some(lane)) => self.inbox.send(lane, body),
                (Kind::Pong, _) => drop(self.heard.send_replace(Instant::now())),
                (Kind::Lost, _) => self
                    .inbox
                    .lost(body[..].try_into().map_or(0, u64::from_be_bytes)),
                _ => {}
            }
        }
    }

    async fn write(&self, mut waiting: mpsc::Receiver<Job>) -> io::Result<()> {
        let mut pulse = interval(self.rhythm().0);
        let mut stack = Vec::new();
        loop {
            tokio::select! {
                job = waiting.recv() => {
                    let Some(job) = job else {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    };
                    stack.push(job);
                    self.write_all(&mut stack, &mut waiting).await?;
                }
                _ = pulse.tick() => frame::write(&mut *self.to.lock().await, Kind::Ping, b"").await?,
            }
        }
    }

    async fn write_all(
        &self,
        stack: &mut Vec<Job>,
        waiting: &mut mpsc::Receiver<Job>,
    ) -> io::Result<()> {
        while let Some((bytes, done)) = stack.pop() {
            self.to.lock().await.write_all(&bytes).await?;
            // Nobody waits for what was cancelled.
            let _ = done.send(());
            if self.adapter.flaw == WireFlaw::NewestFirst {
                while let Ok(job) = waiting.try_recv() {
                    stack.push(job);
                }
            }
        }
        Ok(())
    }

    /// Returns when nothing answered for too long.
    async fn watch(&self) {
        let mut heard = self.heard.subscribe();
        if self.adapter.flaw == WireFlaw::NoHeartbeat {
            std::future::pending::<()>().await;
        }
        while let Ok(Ok(())) = timeout(self.rhythm().1, heard.changed()).await {}
    }

    /// How often it asks, and how long it waits for any answer.
    fn rhythm(&self) -> (Duration, Duration) {
        let milliseconds = match self.adapter.flaw {
            WireFlaw::Impatient => (100, 250),
            _ => (300, 1_200),
        };
        (
            Duration::from_millis(milliseconds.0),
            Duration::from_millis(milliseconds.1),
        )
    }
}

struct WireOutbound {
    flaw: WireFlaw,
    options: LinkOptions,
    inbox: InboxSender,
    jobs: mpsc::Sender<Job>,
    /// For who writes without asking.
    to: Option<Arc<Mutex<OwnedWriteHalf>>>,
    is_closed: bool,
}

impl WireOutbound {
    async fn send(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        if self.is_closed {
            return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
        }
        let mut report = Report::default();
        let mut bytes = Vec::new();
        for (index, payload) in batch.iter().enumerate() {
            match self.options.check_payload(payload) {
                Ok(()) => frame::encode(Kind::of(lane), payload, &mut bytes),
                Err(error) => report.failed.push((index, error)),
            }
        }
        self.hand_over(bytes).await.map_err(lost)?;
        Ok(report)
    }

    async fn hand_over(&self, bytes: Vec<u8>) -> io::Result<()> {
        if let Some(to) = self.to.as_ref().filter(|_| !self.inbox.is_ended()) {
            return to.lock().await.write_all(&bytes).await;
        }
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let (done, is_done) = oneshot::channel();
        self.jobs.send((bytes, done)).await.map_err(|_| gone())?;
        if self.flaw == WireFlaw::NewestFirst {
            return Ok(());
        }
        is_done.await.map_err(|_| gone())
    }
}

impl Outbound for WireOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(self.send(lane, batch))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        self.is_closed = true;
        self.to = None;
        self.inbox.end(None);
        Box::pin(std::future::ready(Ok(())))
    }
}

impl fmt::Debug for WireOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireOutbound")
            .field("flaw", &self.flaw)
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}

/// Speaks over one connection and hears over another.
struct Half {
    mouth: Box<dyn Outbound>,
    #[allow(dead_code, reason = "it keeps the connection open")]
    unread: Inbound,
    ear: Box<dyn Outbound>,
}

impl Outbound for Half {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        self.mouth.publish(lane, batch)
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async {
            self.mouth.close().await?;
            self.ear.close().await
        })
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Half").finish_non_exhaustive()
    }
}

fn lost(error: io::Error) -> SyncError {
    SyncError::new(ErrorKind::Unavailable, "the line is gone").caused_by(error)
}
