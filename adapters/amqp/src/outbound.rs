use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::maybe_done;
use futures_util::poll;
use lapin::options::BasicPublishOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;
use wingbeat_adapter::{BoxFuture, ErrorKind, InboxSender, Lane, Outbound, Report, SyncError};

use crate::error;
use crate::link::Line;
use crate::topics::Topics;

/// The sending half of a link.
pub(crate) struct AmqpOutbound {
    /// None after a failure or after `close`.
    line: Option<Line>,
    topics: Arc<Topics>,
    /// The longest payload, in bytes.
    limit: usize,
    inbox: InboxSender,
    /// Whether a publish was begun and not seen to its end.
    is_under_way: bool,
    is_closed: bool,
}

/// Some payloads of a batch, each with its place there.
#[derive(Default)]
struct Chunk<'a> {
    elements: Vec<(usize, &'a Bytes)>,
    bytes: usize,
}

impl AmqpOutbound {
    pub(crate) fn new(line: Line, topics: Arc<Topics>, limit: usize, inbox: InboxSender) -> Self {
        Self {
            line: Some(line),
            topics,
            limit,
            inbox,
            is_under_way: false,
            is_closed: false,
        }
    }

    async fn send(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        if self.is_closed {
            return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
        }
        let sent = self.send_all(lane, batch).await;
        if let Err(error) = &sent {
            self.inbox.end(Some(error.clone()));
            self.line = None;
        }
        sent
    }

    async fn send_all(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        let mut report = Report::default();
        let mut chunk = Chunk::default();
        for (index, payload) in batch.iter().enumerate() {
            match self.check(payload) {
                Ok(()) => chunk.add(index, payload),
                Err(error) => report.failed.push((index, error)),
            }
            if chunk.is_full() {
                self.flush(lane, &mut chunk, &mut report).await?;
            }
        }
        self.flush(lane, &mut chunk, &mut report).await?;
        // Sizes are judged before confirms come in.
        report.failed.sort_by_key(|(index, _)| *index);
        Ok(report)
    }

    fn check(&self, payload: &Bytes) -> Result<(), SyncError> {
        let (length, limit) = (payload.len(), self.limit);
        if length <= limit {
            return Ok(());
        }
        let context = format!("a payload of {length} bytes is over the limit of {limit}");
        Err(SyncError::new(ErrorKind::PayloadTooLarge, context))
    }

    async fn flush(
        &mut self,
        lane: Lane,
        chunk: &mut Chunk<'_>,
        report: &mut Report,
    ) -> Result<(), SyncError> {
        let over = || error::unavailable("the link is over");
        let line = self.line.as_ref().ok_or_else(over)?;
        // A link without its subscription is no link, even if this half could go on.
        if self.inbox.is_ended() {
            return Err(over());
        }
        if std::mem::replace(&mut self.is_under_way, true) {
            // The last one was cancelled. Without this, who cancels again and again would pile up what waits in the library.
            in_time(line.channel.wait_for_confirms()).await?;
        }
        let taken = in_time(chunk.send(&line.channel, self.topics.of(lane))).await?;
        let refused = chunk
            .elements
            .drain(..)
            .zip(taken)
            .filter(|(_, taken)| !taken);
        let failed = refused.map(|((index, _), _)| (index, error::element_refused()));
        report.failed.extend(failed);
        chunk.bytes = 0;
        self.is_under_way = false;
        Ok(())
    }
}

impl<'a> Chunk<'a> {
    fn add(&mut self, index: usize, payload: &'a Bytes) {
        self.elements.push((index, payload));
        self.bytes += payload.len();
    }

    fn is_full(&self) -> bool {
        self.elements.len() >= CHUNK || self.bytes >= CHUNK_BYTES
    }

    /// Puts all into the library's queue, in order, and then waits for the broker's word on each: whether it took it.
    async fn send(&self, channel: &Channel, exchange: &ShortString) -> lapin::Result<Vec<bool>> {
        let mut sending = Vec::with_capacity(self.elements.len());
        for (_, payload) in &self.elements {
            let mut publish = Box::pin(maybe_done(publish(channel, exchange, payload)));
            let _ = poll!(publish.as_mut());
            sending.push(publish);
        }
        let mut taken = Vec::with_capacity(sending.len());
        for mut publish in sending {
            publish.as_mut().await;
            let sent = publish.as_mut().take_output();
            let confirm = sent.ok_or(lapin::ErrorKind::FutureCompleted)??;
            taken.push(match confirm.await? {
                Confirmation::Ack(_) => true,
                Confirmation::Nack(_) | Confirmation::NotRequested => false,
            });
        }
        Ok(taken)
    }
}

/// As a Node process publishes: no properties but an empty table of headers.
fn publish<'a>(
    channel: &'a Channel,
    exchange: &ShortString,
    payload: &'a Bytes,
) -> impl Future<Output = lapin::Result<lapin::PublisherConfirm>> + 'a {
    let properties = BasicProperties::default().with_headers(FieldTable::default());
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange.clone(), "".into(), options, payload, properties)
}

async fn in_time<T>(asking: impl Future<Output = lapin::Result<T>>) -> Result<T, SyncError> {
    match timeout(CONFIRM_TIMEOUT, asking).await {
        Ok(answer) => answer.map_err(error::line_failed),
        Err(_) => Err(error::unavailable(
            "RabbitMQ does not confirm a publish in time",
        )),
    }
}

impl Outbound for AmqpOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(self.send(lane, batch))
    }

    /// There is nothing to flush: a publish that returned had its confirms.
    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async move {
            self.is_closed = true;
            let was_over = self.inbox.is_ended();
            if let Some(line) = &self.line {
                line.hangup.part();
            }
            self.inbox.end(None);
            let Some(line) = &self.line else {
                return Ok(());
            };
            let goodbye = line.connection.close(REPLY_SUCCESS, "OK".into());
            let parted = timeout(PARTING, goodbye).await;
            line.hangup.now();
            self.line = None;
            match parted {
                Ok(Ok(())) => Ok(()),
                _ if was_over => Ok(()),
                Ok(Err(error)) => Err(error::line_failed(error)),
                Err(_) => Err(error::unavailable(
                    "RabbitMQ does not answer a goodbye in time",
                )),
            }
        })
    }
}

impl Drop for AmqpOutbound {
    fn drop(&mut self) {
        let context = "the sending half of the link was dropped";
        self.inbox.end(Some(error::unavailable(context)));
        // Where a goodbye was cancelled, the end alone does not.
        if let Some(line) = &self.line {
            line.hangup.now();
        }
    }
}

impl fmt::Debug for AmqpOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpOutbound")
            .field("topics", &self.topics)
            .field("inbox", &self.inbox)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

/// Above the supervisor's own deadline for a publish, so that it decides first where there is one.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a goodbye may take. The broker frees everything without one as well; it only complains in its log.
const PARTING: Duration = Duration::from_secs(1);
const REPLY_SUCCESS: u16 = 200;
const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;
