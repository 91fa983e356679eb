//! The channels of a node.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indexmap::IndexMap;
use parking_lot::RwLock;
use serde_json::Value;

use super::Audience;
use crate::connections::Connection;
use crate::event::Json;

/// The channels of a node by name; clones share them.
#[derive(Clone, Default)]
pub struct Channels(Arc<Table>);

#[derive(Default)]
struct Table {
    by_name: RwLock<HashMap<Arc<str>, Arc<Members>>>,
    filter_panics: AtomicU64,
}

type Members = RwLock<IndexMap<u64, Connection>>;
type Filter = Arc<dyn Fn(&Connection) -> bool + Send + Sync>;

/// A named set of connections.
///
/// A channel comes to be with its first member and goes with its last one.
///
/// ```
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .service("messages", Memory::new())
///     .on_connection(|connection, app| app.channel("everybody").join(connection))
///     .on_login(|connection, app| app.channel("members").join(connection))
///     // Who is in both gets what the first one sends.
///     .publish(|event, channels| {
///         let teaser = serde_json::json!({ "id": event.data()["id"] });
///         [channels.channel("members"), channels.channel("everybody").send(teaser)]
///     })
///     .build()?;
/// assert!(app.channel("everybody").is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Channel {
    channels: Channels,
    name: Arc<str>,
    data: Option<Json>,
    filter: Option<Filter>,
}

impl Channels {
    /// Returns the channel of a name.
    #[must_use]
    pub fn channel(&self, name: &str) -> Channel {
        Channel {
            channels: self.clone(),
            name: name.into(),
            data: None,
            filter: None,
        }
    }

    /// Returns the channels of several names as one: joining and leaving go to all of them, and a connection that is in more
    /// than one counts once.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .on_connection(|connection, app| app.channels().combined(["everybody", "guests"]).join(connection))
    ///     .publish(|_, channels| channels.combined(["members", "guests"]))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn combined<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Audience {
        names.into_iter().map(|name| self.channel(name)).collect()
    }

    /// Returns the names of all channels that have a member, in no order.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        self.0.by_name.read().keys().cloned().collect()
    }

    /// Takes a connection out of all its channels; it may join again.
    pub fn leave_all(&self, connection: &Connection) {
        connection.with_channels(|own| {
            for name in own.drain() {
                self.remove(&name, connection);
            }
        });
    }

    /// Takes a connection out of all its channels for good: later joins do nothing.
    pub(crate) fn disconnect(&self, connection: &Connection) {
        for name in connection.close_channels() {
            self.remove(&name, connection);
        }
    }

    /// Returns how often a filter panicked.
    pub(crate) fn filter_panics(&self) -> u64 {
        self.0.filter_panics.load(Ordering::Relaxed)
    }

    fn count_filter_panic(&self, channel: &str) {
        let count = self.0.filter_panics.fetch_add(1, Ordering::Relaxed);
        if count.is_multiple_of(1_000) {
            tracing::error!(channel, "a filter panicked: it leaves the connection out");
        }
    }

    fn members(&self, name: &str) -> Option<Arc<Members>> {
        self.0.by_name.read().get(name).cloned()
    }

    /// Adds a member while the table is locked, so that a channel which empties at the same time is not lost.
    fn insert(&self, name: &Arc<str>, connection: &Connection) {
        let add =
            |members: &Arc<Members>| members.write().insert(connection.id(), connection.clone());
        if self.0.by_name.read().get(name).map(add).is_none() {
            add(self.0.by_name.write().entry(Arc::clone(name)).or_default());
        }
    }

    fn remove(&self, name: &str, connection: &Connection) {
        let Some(members) = self.members(name) else {
            return;
        };
        members.write().swap_remove(&connection.id());
        if members.read().is_empty() {
            let mut channels = self.0.by_name.write();
            if channels
                .get(name)
                .is_some_and(|members| members.read().is_empty())
            {
                channels.remove(name);
            }
        }
    }
}

impl Channel {
    /// Returns the channel's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a connection; one that is closed or already in stays as it is.
    pub fn join(&self, connection: &Connection) {
        connection.with_channels(|own| {
            if own.insert(Arc::clone(&self.name)) {
                self.channels.insert(&self.name, connection);
            }
        });
    }

    /// Takes a connection out.
    pub fn leave(&self, connection: &Connection) {
        connection.with_channels(|own| {
            if own.remove(&self.name) {
                self.channels.remove(&self.name, connection);
            }
        });
    }

    /// Takes out the connections for which `leaves` is true; those that join meanwhile stay.
    pub fn leave_if(&self, leaves: impl Fn(&Connection) -> bool) {
        let leaving = self.connections().into_iter().filter(leaves);
        leaving.for_each(|connection| self.leave(&connection));
    }

    /// Returns the connections in the channel, without those that a filter leaves out.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let mut connections = Vec::new();
        self.for_each(|connection| connections.push(connection.clone()));
        connections
    }

    /// Returns how many connections are in the channel, without those that a filter leaves out.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.filter.is_none() {
            let members = self.channels.members(&self.name);
            return members.map_or(0, |members| members.read().len());
        }
        let mut n = 0;
        self.for_each(|_| n += 1);
        n
    }

    /// Tells whether no connection is in the channel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the same channel with other data: its connections get this instead of the event's. `null`, `false`, `0` and
    /// `""` change nothing (feathers.md §3.5).
    #[must_use]
    pub fn send(self, data: Value) -> Self {
        self.sending(sent_instead(data))
    }

    /// Returns the same channel without the connections for which `keep` is false; of several filters all have to agree. A
    /// panic in one is caught, logged and counted, and leaves the connection out.
    ///
    /// Joins and leaves wait while `keep` runs: it may look at the connection, but not at channels.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     // Everybody but the author.
    ///     .publish(|event, channels| {
    ///         let author = event.data()["author"].clone();
    ///         channels.channel("everybody").filter(move |connection| connection.property("user").as_ref() != Some(&author))
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn filter(mut self, keep: impl Fn(&Connection) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(match self.filter.take() {
            Some(before) => Arc::new(move |connection| before(connection) && keep(connection)),
            None => Arc::new(keep),
        });
        self
    }

    pub(super) fn sending(self, data: Option<Json>) -> Self {
        Self { data, ..self }
    }

    pub(super) fn data(&self) -> Option<&Json> {
        self.data.as_ref()
    }

    /// Tells whether both are the same channel without a filter.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.filter.is_none() && other.filter.is_none() && self.name == other.name
    }

    /// Calls `visit` for every member while joins and leaves wait; `visit` must not block.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&Connection)) {
        let Some(members) = self.channels.members(&self.name) else {
            return;
        };
        for connection in members.read().values() {
            if self.keeps(connection) {
                visit(connection);
            }
        }
    }

    /// Asks the filter. One that panics must not end the task that serves all clients.
    fn keeps(&self, connection: &Connection) -> bool {
        let Some(keep) = &self.filter else {
            return true;
        };
        let kept = catch_unwind(AssertUnwindSafe(|| keep(connection)));
        kept.unwrap_or_else(|_| {
            self.channels.count_filter_panic(&self.name);
            false
        })
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("name", &self.name)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Returns the data that goes out instead of an event's; `None` when what was asked for changes nothing.
pub(super) fn sent_instead(data: Value) -> Option<Json> {
    is_truthy(&data).then(|| data.into())
}

/// Tells whether JavaScript takes a value for true.
pub(crate) fn is_truthy(data: &Value) -> bool {
    match data {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::connections::{ConnectionInfo, Plain};

    fn connection(id: u64) -> Connection {
        let info = ConnectionInfo::bare(&Plain);
        Connection::new(id, info)
    }

    /// Whoever looked into a channel of others would wait for its lock, which is held until the end.
    #[test]
    fn leaving_looks_into_no_channel_of_others() {
        let channels = Channels::default();
        let [leaving, staying] = [1, 2].map(connection);
        for name in ["left", "own", "shared"] {
            channels.channel(name).join(&leaving);
        }
        channels.channel("shared").join(&staying);
        let others: Vec<String> = (0..100).map(|at| format!("other-{at}")).collect();
        for name in &others {
            channels.channel(name).join(&staying);
        }
        let others = others.iter().filter_map(|name| channels.members(name));
        let others: Vec<_> = others.collect();
        let held: Vec<_> = others.iter().map(|members| members.write()).collect();

        let (done, is_done) = mpsc::channel();
        let own = channels.clone();
        thread::spawn(move || {
            own.channel("left").leave(&leaving);
            own.disconnect(&leaving);
            done.send(own.names().len())
        });
        let names = is_done.recv_timeout(Duration::from_secs(10));
        assert_eq!(names, Ok(1 + held.len()), "it is in none of its channels");
        assert_eq!(channels.channel("shared").len(), 1);
    }

    /// A leave that found a half-done join would leave a member behind for ever.
    #[test]
    fn joins_and_leaves_at_once_leave_nobody_behind() {
        let channels = Channels::default();
        for id in 0..200 {
            let connection = connection(id);
            let [joining, leaving] = ["a", "a"].map(|name| channels.channel(name));
            thread::scope(|scope| {
                // Both come to the table before either gets it.
                let table = channels.0.by_name.write();
                scope.spawn(|| joining.join(&connection));
                scope.spawn(|| leaving.leave(&connection));
                (0..100).for_each(|_| thread::yield_now());
                drop(table);
            });
            channels.disconnect(&connection);
            assert!(channels.names().is_empty(), "after {id}");
        }
    }
}
