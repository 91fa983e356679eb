use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::{MultiplexedConnection, SendError};
use redis::{AsyncConnectionConfig, Client, Pipeline, PushInfo, PushKind, RedisResult, Value};
use wingbeat_adapter::{
    BoxFuture, ErrorKind, InboxLimits, InboxSender, Lane, Link, LinkOptions, Outbound, Report,
    SyncError, inbox,
};

use crate::{RedisConfig, error};

/// Opens both connections of a link side by side and waits for both subscriptions.
pub(crate) async fn open(
    client: &Client,
    config: &RedisConfig,
    options: &LinkOptions,
) -> RedisResult<Link> {
    let topics = Arc::new(Topics::new(options, config.database));
    let (sender, inbox) = inbox(InboxLimits::default());
    let tap = |connection| Tap {
        connection,
        topics: Arc::clone(&topics),
        inbox: sender.clone(),
    };
    let (publisher, subscriber) = tokio::try_join!(
        dial(client, tap("publisher"), &options.name),
        subscribe(client, tap("subscriber"), &options.name),
    )?;
    // The subscription lives as long as somebody listens. Where it died since, the inbox has ended and keeps nothing.
    sender.hold(subscriber);
    let outbound = RedisOutbound {
        connection: Some(publisher),
        topics,
        options: options.clone(),
        inbox: sender,
        is_closed: false,
    };
    Ok(Link::new(Box::new(outbound), inbox.boxed()))
}

async fn subscribe(client: &Client, tap: Tap, name: &str) -> RedisResult<MultiplexedConnection> {
    let topics = Arc::clone(&tap.topics);
    let mut connection = dial(client, tap, name).await?;
    // One command for both lanes, so that both start at the same place in the broker's order.
    connection
        .subscribe(&[&topics.events, &topics.control])
        .await?;
    Ok(connection)
}

/// Opens one plain connection: no manager, so nothing reconnects behind our back.
async fn dial(client: &Client, tap: Tap, name: &str) -> RedisResult<MultiplexedConnection> {
    let settings = AsyncConnectionConfig::new()
        // The caller bounds opening as a whole.
        .set_connection_timeout(None)
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_push_sender(move |push| {
            tap.take(push);
            Ok::<(), SendError>(())
        });
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&settings)
        .await?;
    let mut set_name = redis::cmd("CLIENT");
    set_name.arg("SETNAME").arg(client_name(name));
    if let Err(error) = set_name.exec_async(&mut connection).await {
        // An ACL may forbid it, and the label is a courtesy to whoever reads CLIENT LIST.
        tracing::debug!(%error, "Redis did not take the client name");
    }
    Ok(connection)
}

/// Redis takes printable ASCII without spaces.
fn client_name(name: &str) -> String {
    let printable = |c: char| if c.is_ascii_graphic() { c } else { '-' };
    name.chars().map(printable).collect()
}

/// The channels of the two lanes.
#[derive(Debug)]
struct Topics {
    events: String,
    control: String,
}

/// The end of a connection that its task owns: it feeds the inbox, and going away it says that the connection is gone.
///
/// The publisher has one as well, so that an idle node notices when only that connection dies.
struct Tap {
    connection: &'static str,
    topics: Arc<Topics>,
    inbox: InboxSender,
}

struct RedisOutbound {
    /// None after a failure or after `close`.
    connection: Option<MultiplexedConnection>,
    topics: Arc<Topics>,
    options: LinkOptions,
    inbox: InboxSender,
    is_closed: bool,
}

/// A pipeline of `PUBLISH` and which elements of the batch are in it.
struct Chunk {
    pipeline: Pipeline,
    indices: Vec<usize>,
    bytes: usize,
}

impl Topics {
    fn new(options: &LinkOptions, database: u32) -> Self {
        let scoped = |topic: &str| match database {
            0 => topic.to_owned(),
            n => format!("{topic}:{n}"),
        };
        Self {
            events: scoped(&options.topic),
            control: scoped(&options.control_topic),
        }
    }

    fn of(&self, lane: Lane) -> &str {
        match lane {
            Lane::Events => &self.events,
            Lane::Control => &self.control,
        }
    }

    fn lane_of(&self, channel: &[u8]) -> Option<Lane> {
        [Lane::Events, Lane::Control]
            .into_iter()
            .find(|lane| self.of(*lane).as_bytes() == channel)
    }
}

impl Tap {
    fn take(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message => match self.message(push.data) {
                Some((lane, payload)) => self.inbox.send(lane, payload),
                // Nothing else was subscribed; whatever it is, it was not delivered, and that is said.
                None => self.inbox.lost(1),
            },
            PushKind::Disconnection | PushKind::Unsubscribe => self.gone(),
            // Confirmations come back as replies too, and the rest belongs to features that are not used.
            _ => {}
        }
    }

    fn message(&self, data: Vec<Value>) -> Option<(Lane, Bytes)> {
        let [Value::BulkString(channel), Value::BulkString(payload)] =
            <[Value; 2]>::try_from(data).ok()?
        else {
            return None;
        };
        Some((self.topics.lane_of(&channel)?, Bytes::from(payload)))
    }

    fn gone(&self) {
        let context = format!("the {} connection to Redis is gone", self.connection);
        self.inbox
            .end(Some(SyncError::new(ErrorKind::Unavailable, context)));
    }
}

/// Some failures end the connection's task without a word; its drop is the one sign that always comes.
impl Drop for Tap {
    fn drop(&mut self) {
        self.gone();
    }
}

impl RedisOutbound {
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
        let mut chunk = Chunk::new();
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
        chunk.judge(replies, report)?;
        chunk.clear();
        Ok(())
    }
}

impl Chunk {
    fn new() -> Self {
        Self {
            pipeline: Pipeline::with_capacity(CHUNK),
            indices: Vec::with_capacity(CHUNK),
            bytes: 0,
        }
    }

    fn add(&mut self, index: usize, topic: &str, payload: &Bytes) {
        self.pipeline
            .cmd("PUBLISH")
            .arg(topic)
            .arg(payload.as_ref());
        self.indices.push(index);
        self.bytes += payload.len();
    }

    fn is_full(&self) -> bool {
        self.indices.len() >= CHUNK || self.bytes >= CHUNK_BYTES
    }

    /// The reply to `PUBLISH` is how many heard it on this server, which proves nothing; only refusals count.
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
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const CHUNK: usize = 64;
const CHUNK_BYTES: usize = 1024 * 1024;
