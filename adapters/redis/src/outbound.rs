use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};
use wingbeat_adapter::{
    BoxFuture, ErrorKind, InboxSender, Lane, LinkOptions, Outbound, Report, SyncError,
};

use crate::error;
use crate::link::Line;
use crate::tap::Pulse;
use crate::topics::Topics;

/// The sending half of a link.
pub(crate) struct RedisOutbound {
    /// None after a failure or after `close`.
    connection: Option<MultiplexedConnection>,
    pulse: Pulse,
    topics: Arc<Topics>,
    options: LinkOptions,
    inbox: InboxSender,
    is_closed: bool,
}

/// A pipeline of publish commands and which elements of the batch are in it.
struct Chunk {
    command: &'static str,
    pipeline: Pipeline,
    indices: Vec<usize>,
    bytes: usize,
}

impl RedisOutbound {
    pub(crate) fn new(
        publisher: Line,
        topics: Arc<Topics>,
        options: LinkOptions,
        inbox: InboxSender,
    ) -> Self {
        Self {
            connection: Some(publisher.connection),
            pulse: publisher.pulse,
            topics,
            options,
            inbox,
            is_closed: false,
        }
    }

    async fn send(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        if self.is_closed {
            return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
        }
        let sent = self.send_all(lane, batch).await;
        if let Err(error) = &sent {
            self.connection = None;
            self.inbox.end(Some(error.clone()));
        }
        sent
    }

    async fn send_all(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        let mut report = Report::default();
        let mut chunk = Chunk::new(self.topics.pubsub.publish());
        for (index, payload) in batch.iter().enumerate() {
            match self.options.check_payload(payload) {
                Ok(()) => chunk.add(index, self.topics.of(lane), payload),
                Err(error) => report.failed.push((index, error)),
            }
            if chunk.is_full() {
                self.flush(&mut chunk, &mut report).await?;
            }
        }
        self.flush(&mut chunk, &mut report).await?;
        // Sizes are judged before replies come in.
        report.failed.sort_by_key(|(index, _)| *index);
        Ok(report)
    }

    async fn flush(&mut self, chunk: &mut Chunk, report: &mut Report) -> Result<(), SyncError> {
        let over = || SyncError::new(ErrorKind::Unavailable, "the link is over");
        // A link without its subscriber is no link, even if this half could go on.
        if self.inbox.is_ended() {
            return Err(over());
        }
        let connection = self.connection.as_mut().ok_or_else(over)?;
        if chunk.indices.is_empty() {
            return Ok(());
        }
        let replies = connection
            .send_packed_commands(&chunk.pipeline, 0, chunk.indices.len())
            .await
            .map_err(error::publish_failed)?;
        self.pulse.beat();
        chunk.judge(replies, report)?;
        chunk.clear();
        Ok(())
    }
}

impl Chunk {
    fn new(command: &'static str) -> Self {
        Self {
            command,
            pipeline: Pipeline::with_capacity(CHUNK),
            indices: Vec::with_capacity(CHUNK),
            bytes: 0,
        }
    }

    fn add(&mut self, index: usize, topic: &str, payload: &Bytes) {
        self.pipeline
            .cmd(self.command)
            .arg(topic)
            .arg(payload.as_ref());
        self.indices.push(index);
        self.bytes += payload.len();
    }

    fn is_full(&self) -> bool {
        self.indices.len() >= CHUNK || self.bytes >= CHUNK_BYTES
    }

    /// The reply is how many heard it on this server, which proves nothing; only refusals count.
    fn judge(&self, replies: Vec<Value>, report: &mut Report) -> Result<(), SyncError> {
        let astray = || SyncError::new(ErrorKind::Unavailable, "Redis sent an unexpected reply");
        if replies.len() != self.indices.len() {
            return Err(astray());
        }
        for (index, reply) in self.indices.iter().zip(replies) {
            match reply {
                Value::Int(_) => {}
                Value::ServerError(error) => {
                    report.failed.push((*index, error::element_refused(error)))
                }
                _ => return Err(astray()),
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.pipeline.clear();
        self.indices.clear();
        self.bytes = 0;
    }
}

impl Outbound for RedisOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(self.send(lane, batch))
    }

    /// There is nothing to flush: a publish that returned had its replies.
    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async move {
            self.is_closed = true;
            self.inbox.end(None);
            self.connection = None;
            Ok(())
        })
    }
}

/// The watchdog holds a clone of the connection, so the connection's own end would not come.
impl Drop for RedisOutbound {
    fn drop(&mut self) {
        let context = "the sending half of the link was dropped";
        self.inbox
            .end(Some(SyncError::new(ErrorKind::Unavailable, context)));
    }
}

impl fmt::Debug for RedisOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOutbound")
            .field("topics", &self.topics)
            .field("inbox", &self.inbox)
            .field("is_closed", &self.is_closed)
            .finish_non_exhaustive()
    }
}

/// Above the supervisor's own deadline for a publish, so that it decides first where there is one.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// As many as the node above puts into a batch: every further pipeline costs a round trip and its wake-ups.
const CHUNK: usize = 256;
const CHUNK_BYTES: usize = 1024 * 1024;
