//! An adapter of one's own, in one file: two nodes joined by PostgreSQL's `LISTEN` and `NOTIFY`.
//!
//! ```text
//! cargo run --example custom_adapter -- pg://user:password@127.0.0.1:5432/database
//! cargo test --example custom_adapter
//! ```
//!
//! The second line runs the conformance suite on a PostgreSQL that it starts itself; `adapters/README.md` goes through
//! this file in five steps.
//!
//! | | |
//! |---|---|
//! | Topic mapping | a topic is the notification channel of the same name, at most 63 bytes long, within one database |
//! | Connections | one per link: it listens, notifies and answers the heartbeat |
//! | Delivery guarantee | at most once per link; nothing is kept for links that are down |
//! | Order | `total`: PostgreSQL delivers in the order of commits |
//! | Payload limit | 5,994 bytes. A notification is less than 8,000 bytes of text and payloads are any bytes, so they travel as Base64. A table would carry more, and would need somebody to clean it up |
//! | Heartbeat | a question every 1.5 s, which has 1.5 s to be answered |

#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::fmt;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64_NOPAD;
use futures_util::{TryStreamExt, stream};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Notification, Socket};
use tokio_util::task::AbortOnDropHandle;
use wingbeat::event::Origin;
use wingbeat::sync::SyncOptions;
use wingbeat::{App, Memory};
use wingbeat_adapter::{
    BoxFuture, ErrorKind, InboxLimits, InboxSender, Lane, Link, LinkOptions, Outbound, Report,
    SyncAdapter, SyncError, inbox,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "say where: custom_adapter pg://user:password@host:port/database";
    let uri = env::args().nth(1).ok_or(usage)?;
    for line in two_nodes(&uri).await? {
        println!("{line}");
    }
    Ok(())
}

/// Joins two nodes, makes an event on each, and returns what each heard of the other.
async fn two_nodes(uri: &str) -> Result<[String; 2], Box<dyn Error>> {
    let (heard, mut hearing) = mpsc::channel(16);
    let nodes = [
        node("node-1", uri, heard.clone()).await?,
        node("node-2", uri, heard).await?,
    ];
    for app in &nodes {
        let greeting = json!({ "text": format!("hello from {}", app.name()) });
        app.service_at("messages").create(greeting).await?;
    }
    let mut lines = [String::new(), String::new()];
    for line in &mut lines {
        let next = timeout(PATIENCE, hearing.recv()).await?;
        *line = next.ok_or("a node is gone")?;
    }
    for app in &nodes {
        app.close().await;
    }
    lines.sort();
    Ok(lines)
}

async fn node(name: &str, uri: &str, heard: mpsc::Sender<String>) -> Result<App, Box<dyn Error>> {
    let mut options = SyncOptions::default();
    // What is longer reaches this node's own clients only, and is counted.
    options.max_payload = PAYLOAD_LIMIT;
    options.fail_fast = true;
    let app = App::builder()
        .name(name)
        .service("messages", Memory::new())
        .register_scheme("pg", &[], |uri| Ok(Arc::new(PgAdapter::from_uri(uri)?)))
        .sync_options(options)
        .sync_uri(uri)
        .build()?;
    let name = name.to_owned();
    app.service_at("messages").on_any("created", move |event| {
        if matches!(event.origin(), Origin::Node { .. }) {
            let text = &event.data().value()["text"];
            // It fails only when nobody asks any more.
            let _ = heard.try_send(format!("{name} heard {text}"));
        }
    });
    match timeout(PATIENCE, app.sync().ready()).await {
        Ok(Ok(())) => Ok(app),
        Ok(Err(_)) | Err(_) => {
            let why = app.sync().last_error().unwrap_or_default();
            Err(format!("no link to PostgreSQL: {why}").into())
        }
    }
}

/// Opens links over one PostgreSQL database.
#[derive(Clone, Debug)]
struct PgAdapter {
    /// The library's own type, whose `Debug` hides the password.
    config: Config,
}

impl PgAdapter {
    /// Takes `pg://user:password@host:port/database`.
    fn from_uri(uri: &str) -> Result<Self, SyncError> {
        let rest = uri.strip_prefix("pg://").unwrap_or(uri);
        match format!("postgres://{rest}").parse() {
            Ok(config) => Ok(Self { config }),
            // Without its cause: that could quote a password in the wrong place.
            Err(_) => Err(SyncError::new(
                ErrorKind::Config,
                "the pg:// URI cannot be read",
            )),
        }
    }

    async fn open(&self, options: &LinkOptions) -> Result<Link, SyncError> {
        options.check()?;
        let topics = Topics::new(options)?;
        timeout(options.connect_timeout, self.dial(options, topics))
            .await
            .unwrap_or_else(|_| Err(lost("PostgreSQL does not answer in time")))
    }

    async fn dial(&self, options: &LinkOptions, topics: Topics) -> Result<Link, SyncError> {
        let mut config = self.config.clone();
        config.application_name(&options.name);
        let (client, connection) = config.connect(NoTls).await.map_err(connect_failed)?;
        let client = Arc::new(client);
        let (sender, inbox) = inbox(InboxLimits::default());
        let ear = Ear {
            topics: topics.clone(),
            client: Arc::clone(&client),
            inbox: sender.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "the inbox owns the task")]
        let task = tokio::spawn(ear.listen(connection));
        // From here on, whatever ends the stream ends the connection, a dropped `connect` too.
        sender.hold(AbortOnDropHandle::new(task));
        // One transaction: both lanes start at the same place in the order of commits.
        let listen = topics.listen();
        client
            .batch_execute(&listen)
            .await
            .map_err(connect_failed)?;
        let outbound = PgOutbound {
            client: Some(client),
            topics,
            limit: options.max_payload.min(PAYLOAD_LIMIT),
            inbox: sender,
        };
        Ok(Link::new(Box::new(outbound), inbox.boxed()))
    }
}

impl SyncAdapter for PgAdapter {
    fn name(&self) -> &'static str {
        "pg"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(self.open(options))
    }
}

/// The notification channels of both lanes.
#[derive(Clone, Debug)]
struct Topics {
    events: String,
    control: String,
}

impl Topics {
    /// PostgreSQL cuts longer names off without an error, and then two topics are one.
    fn new(options: &LinkOptions) -> Result<Self, SyncError> {
        let topics = [&options.topic, &options.control_topic];
        if topics
            .iter()
            .any(|topic| topic.len() > NAME_LIMIT || topic.contains('\0'))
        {
            let context = format!("a topic is over {NAME_LIMIT} bytes or holds a zero");
            return Err(SyncError::new(ErrorKind::Config, context));
        }
        let [events, control] = topics.map(Clone::clone);
        Ok(Self { events, control })
    }

    fn listen(&self) -> String {
        let quoted = |topic: &str| topic.replace('"', "\"\"");
        let (events, control) = (quoted(&self.events), quoted(&self.control));
        format!("LISTEN \"{events}\"; LISTEN \"{control}\"")
    }

    fn of(&self, lane: Lane) -> &str {
        match lane {
            Lane::Events => &self.events,
            Lane::Control => &self.control,
        }
    }

    fn lane_of(&self, channel: &str) -> Option<Lane> {
        [Lane::Events, Lane::Control]
            .into_iter()
            .find(|lane| self.of(*lane) == channel)
    }
}

/// The task of a link: it moves the connection's bytes and feeds the inbox.
struct Ear {
    topics: Topics,
    client: Arc<Client>,
    inbox: InboxSender,
}

impl Ear {
    async fn listen(self, mut connection: Connection<Socket, NoTlsStream>) {
        let messages = stream::poll_fn(|cx| connection.poll_message(cx));
        let reading = messages.try_for_each(|message| {
            if let AsyncMessage::Notification(notification) = message {
                self.hear(&notification);
            }
            ready(Ok(()))
        });
        let error = tokio::select! {
            Err(error) = reading => lost("the connection to PostgreSQL is gone").caused_by(error),
            () = self.beat() => lost("PostgreSQL does not answer the heartbeat"),
            else => lost("PostgreSQL hung up"),
        };
        self.inbox.end(Some(error));
    }

    /// What cannot be read was published by somebody else, and was not delivered: that is said.
    fn hear(&self, notification: &Notification) {
        let lane = self.topics.lane_of(notification.channel());
        match lane.zip(decode(notification.payload())) {
            Some((lane, payload)) => self.inbox.send(lane, payload),
            None => self.inbox.lost(1),
        }
    }

    /// Returns when a question is not answered.
    async fn beat(&self) {
        loop {
            sleep(PULSE).await;
            let answered = timeout(ANSWER, self.client.check_connection()).await;
            if !matches!(answered, Ok(Ok(()))) {
                return;
            }
        }
    }
}

struct PgOutbound {
    /// None after `close`.
    client: Option<Arc<Client>>,
    topics: Topics,
    limit: usize,
    inbox: InboxSender,
}

impl PgOutbound {
    async fn send(&mut self, lane: Lane, batch: &[Bytes]) -> Result<Report, SyncError> {
        let Some(client) = &self.client else {
            return Err(SyncError::new(ErrorKind::Closed, "the link is closed"));
        };
        if self.inbox.is_ended() {
            return Err(lost("the link is over"));
        }
        let (fitting, mut report) = self.sort_out(batch);
        for chunk in fitting.chunks(CHUNK) {
            if let Err(error) = notify(client, self.topics.of(lane), batch, chunk).await {
                let Some(refusal) = refusal(&error) else {
                    let error = lost("a publish failed").caused_by(error);
                    self.inbox.end(Some(error.clone()));
                    return Err(error);
                };
                report
                    .failed
                    .extend(chunk.iter().map(|index| (*index, refusal.clone())));
            }
        }
        report.failed.sort_by_key(|(index, _)| *index);
        Ok(report)
    }

    /// Returns the elements that are short enough, by their index, and reports the others.
    fn sort_out(&self, batch: &[Bytes]) -> (Vec<usize>, Report) {
        let mut report = Report::default();
        let mut fitting = Vec::with_capacity(batch.len());
        for (index, payload) in batch.iter().enumerate() {
            let (length, limit) = (payload.len(), self.limit);
            if length <= limit {
                fitting.push(index);
                continue;
            }
            let context = format!("a payload of {length} bytes is over the limit of {limit}");
            let error = SyncError::new(ErrorKind::PayloadTooLarge, context);
            report.failed.push((index, error));
        }
        (fitting, report)
    }
}

impl Outbound for PgOutbound {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(self.send(lane, batch))
    }

    /// There is nothing to flush: a publish that returned is committed.
    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        self.client = None;
        self.inbox.end(None);
        Box::pin(ready(Ok(())))
    }
}

impl fmt::Debug for PgOutbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgOutbound")
            .field("topics", &self.topics)
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}

/// Publishes these elements of a batch in one statement, which is one transaction and one round trip.
async fn notify(
    client: &Client,
    topic: &str,
    batch: &[Bytes],
    elements: &[usize],
) -> Result<(), tokio_postgres::Error> {
    let texts: Vec<String> = elements
        .iter()
        .map(|index| BASE64_NOPAD.encode(&batch[*index]))
        .collect();
    // PostgreSQL drops a notification that equals another of its transaction, so each gets its number.
    let statement = "SELECT pg_notify($1, n || ':' || text) \
                     FROM unnest($2::text[]) WITH ORDINALITY AS batch(text, n) ORDER BY n";
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
        [(&topic, Type::TEXT), (&texts, Type::TEXT_ARRAY)];
    client.execute_typed(statement, &parameters).await.map(drop)
}

fn decode(text: &str) -> Option<Bytes> {
    let (_, text) = text.split_once(':')?;
    Some(Bytes::from(BASE64_NOPAD.decode(text.as_bytes()).ok()?))
}

/// An error of the database itself means that it did not take the statement; the connection lives on.
fn refusal(error: &tokio_postgres::Error) -> Option<SyncError> {
    let database = error.as_db_error()?;
    let context = format!("PostgreSQL did not take the batch: {}", database.message());
    Some(SyncError::new(kind(error), context))
}

fn connect_failed(error: tokio_postgres::Error) -> SyncError {
    SyncError::new(kind(&error), "cannot open a link to PostgreSQL").caused_by(error)
}

/// Class 28 is a wrong name or password, 3D no such database, 42501 a missing permission.
fn kind(error: &tokio_postgres::Error) -> ErrorKind {
    let is_network = || error.source().is_some_and(|cause| cause.is::<io::Error>());
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some(code) if code.starts_with("28") || code.starts_with("3D") => ErrorKind::Refused,
        Some("42501") => ErrorKind::Refused,
        Some(_) => ErrorKind::Unavailable,
        None if error.is_closed() || is_network() => ErrorKind::Unavailable,
        // What is left is said before anything is sent: no user, no password, a server that wants TLS.
        None => ErrorKind::Config,
    }
}

fn lost(context: &'static str) -> SyncError {
    SyncError::new(ErrorKind::Unavailable, context)
}

/// Base64 makes 7,992 characters of it, and the number before them has at most four.
const PAYLOAD_LIMIT: usize = 5_994;
const NAME_LIMIT: usize = 63;
const CHUNK: usize = 500;
const PULSE: Duration = Duration::from_millis(1_500);
const ANSWER: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
#[path = "../tests/it/support/postgres.rs"]
mod postgres;

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};

    use super::postgres::{DATABASE, PASSWORD, PostgresServer, USER};
    use super::*;

    struct Postgres(Mutex<PostgresServer>);

    impl Postgres {
        fn new() -> Self {
            Self(Mutex::new(PostgresServer::start()))
        }

        fn with<T>(&self, act: impl FnOnce(&mut PostgresServer) -> T) -> T {
            act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    impl Harness for Postgres {
        fn facts(&self) -> Facts {
            let mut facts = Facts::new();
            facts.port = Some(self.with(|server| server.port()));
            facts.password = Some(PASSWORD.to_owned());
            facts.payload_limit = PAYLOAD_LIMIT;
            facts.heartbeat = PULSE + ANSWER;
            facts.can_kill = true;
            facts.can_freeze = true;
            facts
        }

        fn adapter(&self, access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError> {
            let Access { port, password, .. } = access;
            let uri = format!("pg://{USER}:{password}@127.0.0.1:{port}/{DATABASE}");
            Ok(Arc::new(PgAdapter::from_uri(&uri)?))
        }

        /// Connections, without the one that asks.
        fn holdings(&self) -> BoxFuture<'_, usize> {
            let count =
                "SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'";
            Box::pin(async { self.with(|server| server.query(count).parse().expect("a number")) })
        }

        fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()> {
            Box::pin(async move {
                self.with(|server| match fault {
                    Fault::Kill => server.kill(),
                    Fault::Start => server.restart(),
                    Fault::Freeze => server.freeze(),
                    Fault::Thaw => server.thaw(),
                    other => unreachable!("{other:?} is not promised"),
                });
            })
        }
    }

    wingbeat_adapter::conformance!(Postgres::new());

    #[tokio::test]
    async fn two_nodes_hear_each_other() {
        let server = PostgresServer::start();
        let port = server.port();
        let uri = format!("pg://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}");
        let lines = two_nodes(&uri).await.unwrap();
        let due = [
            r#"node-1 heard "hello from node-2""#,
            r#"node-2 heard "hello from node-1""#,
        ];
        assert_eq!(lines, due);
    }
}
