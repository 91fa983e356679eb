//! One client.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Extensions, HeaderMap};
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{CloseReason, Headers, Held, Outbox, OutboxLimits, Piece, WireFormat};
use crate::event::Event;

/// One client that can be sent to; clones are the same client.
///
/// ```
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .service("messages", Memory::new())
///     .on_connection(|connection, app| {
///         let agent = connection.headers().get("user-agent").and_then(|agent| agent.to_str().ok());
///         // Its calls have this in `params.properties`.
///         connection.set_property("agent", agent.into());
///         app.channel("everybody").join(connection);
///     })
///     .on_disconnect(|connection, _app| println!("{:?} is gone", connection.property("agent")))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    id: u64,
    provider: &'static str,
    headers: Headers,
    query: Small,
    extensions: Extensions,
    format: &'static dyn WireFormat,
    interest: Option<Interest>,
    opened: Instant,
    properties: RwLock<Small>,
    outbox: Outbox,
    /// The names of its channels; `None` once it is gone.
    channels: Mutex<Option<HashSet<Arc<str>>>>,
}

/// What a transport knows of a client when it connects.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    pub(crate) provider: &'static str,
    pub(crate) headers: Headers,
    pub(crate) query: Map<String, Value>,
    pub(crate) properties: Map<String, Value>,
    pub(crate) extensions: Extensions,
    pub(crate) format: &'static dyn WireFormat,
    pub(crate) limits: OutboxLimits,
    /// The events that it asked for; `None` means all.
    pub(crate) interest: Option<Interest>,
}

/// A map that mostly has nothing in it.
type Small = Option<Box<Map<String, Value>>>;

fn small(map: Map<String, Value>) -> Small {
    (!map.is_empty()).then(|| Box::new(map))
}

/// Events by their path and their name; without a name, all of the path.
pub(crate) type Interest = Box<[(Arc<str>, Option<Arc<str>>)]>;

#[cfg(test)]
impl ConnectionInfo {
    /// Makes what a test knows of a client that said nothing.
    pub(crate) fn bare(format: &'static dyn WireFormat) -> Self {
        Self {
            provider: "plain",
            headers: Headers::default(),
            query: Map::new(),
            properties: Map::new(),
            extensions: Extensions::new(),
            format,
            limits: OutboxLimits::default(),
            interest: None,
        }
    }
}

impl Connection {
    pub(crate) fn new(id: u64, info: ConnectionInfo) -> Self {
        Self(Arc::new(Inner {
            id,
            provider: info.provider,
            headers: info.headers,
            query: small(info.query),
            extensions: info.extensions,
            format: info.format,
            interest: info.interest,
            opened: Instant::now(),
            properties: RwLock::new(small(info.properties)),
            outbox: Outbox::new(info.limits),
            channels: Mutex::new(Some(HashSet::new())),
        }))
    }

    /// Returns the number of this connection, unique within the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Returns the kind of transport: `"socketio"`, `"websocket"` or `"sse"`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.0.provider
    }

    /// Returns the headers of the handshake.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers.map()
    }

    pub(crate) fn shared_headers(&self) -> Arc<HeaderMap> {
        Arc::clone(self.0.headers.map())
    }

    /// Returns the query of the handshake.
    #[must_use]
    pub fn query(&self) -> &Map<String, Value> {
        static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.0.query.as_deref().unwrap_or(&EMPTY)
    }

    /// Returns the typed values that the host's own layers added to the request of the handshake, as its user; calls of this
    /// connection have them in [`Params::extensions`](crate::service::Params::extensions).
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// Returns a property that the app set.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<Value> {
        self.0.properties.read().as_ref()?.get(name).cloned()
    }

    /// Sets a property, as `user`; calls of this connection have it in
    /// [`Params::properties`](crate::service::Params::properties).
    pub fn set_property(&self, name: &str, value: Value) {
        let mut properties = self.0.properties.write();
        let properties = properties.get_or_insert_default();
        properties.insert(name.to_owned(), value);
    }

    /// Takes a property away.
    pub fn remove_property(&self, name: &str) {
        if let Some(properties) = self.0.properties.write().as_mut() {
            properties.shift_remove(name);
        }
    }

    /// Returns all properties.
    #[must_use]
    pub fn properties(&self) -> Map<String, Value> {
        let properties = self.0.properties.read();
        properties.as_deref().cloned().unwrap_or_default()
    }

    /// Closes the connection once what waits for it is written. From now on it gets no event, and none of its messages is read;
    /// calls that run go on.
    ///
    /// An app that takes a user's rights away ends their connections so:
    ///
    /// ```
    /// use wingbeat::App;
    /// use wingbeat::connections::CloseReason;
    ///
    /// fn revoke(app: &App, user: &str) {
    ///     for connection in app.channel(&format!("users/{user}")).connections() {
    ///         connection.close(CloseReason::Revoked);
    ///     }
    /// }
    /// ```
    pub fn close(&self, reason: CloseReason) {
        self.0.outbox.close(reason);
    }

    /// Queues a frame; false when the connection is closed or too slow.
    pub(crate) fn send(&self, frame: Bytes) -> bool {
        self.0.outbox.push(frame)
    }

    /// Keeps a piece until [`flush`](Self::flush) where that is possible, and queues it otherwise.
    pub(crate) fn hold(&self, piece: Piece) -> Held {
        self.0.outbox.hold(piece)
    }

    /// Writes a piece at once where that is possible, and queues it otherwise; false when the connection is closed or too slow.
    pub(crate) fn write(&self, piece: &Piece) -> bool {
        self.0.outbox.write(piece)
    }

    /// Writes what was held.
    pub(crate) fn flush(&self) {
        self.0.outbox.flush();
    }

    /// Tells whether the client gets every event of its channels.
    pub(crate) fn wants_all(&self) -> bool {
        self.0.interest.is_none()
    }

    /// Tells whether the client asked for an event, or for all.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        let is_it = |(path, name): &(Arc<str>, Option<Arc<str>>)| {
            **path == *event.path() && name.as_ref().is_none_or(|name| **name == *event.name())
        };
        let interest = self.0.interest.as_ref();
        interest.is_none_or(|interest| interest.iter().any(is_it))
    }

    pub(crate) fn format(&self) -> &'static dyn WireFormat {
        self.0.format
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn opened(&self) -> Instant {
        self.0.opened
    }

    /// Lets the names of its channels change, unless it is gone. Whoever joins it to a channel or takes it out does so in here:
    /// a leave that comes between the two halves of a join would be lost.
    pub(crate) fn with_channels(&self, change: impl FnOnce(&mut HashSet<Arc<str>>)) {
        self.0.channels.lock().as_mut().map(change);
    }

    /// Marks the connection as gone and returns its channels.
    pub(crate) fn close_channels(&self) -> HashSet<Arc<str>> {
        self.0.channels.lock().take().unwrap_or_default()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id())
            .field("provider", &self.provider())
            .finish_non_exhaustive()
    }
}
