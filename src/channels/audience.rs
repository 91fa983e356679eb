//! Several channels as one.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::Channel;
use super::registry::sent_instead;
use crate::connections::Connection;
use crate::event::Json;

/// Several channels as one, of which a connection is part once: what hears an event, and what
/// [`Channels::combined`](super::Channels::combined) returns.
///
/// It is made from a channel, from lists of these and lists in lists, from an `Option`, and from `()`, which is nobody.
#[derive(Clone, Debug, Default)]
pub struct Audience(Vec<Channel>);

impl Audience {
    /// Adds a connection to all of the channels.
    pub fn join(&self, connection: &Connection) {
        self.0.iter().for_each(|channel| channel.join(connection));
    }

    /// Takes a connection out of all of the channels.
    pub fn leave(&self, connection: &Connection) {
        self.0.iter().for_each(|channel| channel.leave(connection));
    }

    /// Takes the connections for which `leaves` is true out of all of the channels; those that join meanwhile stay.
    pub fn leave_if(&self, leaves: impl Fn(&Connection) -> bool) {
        self.0.iter().for_each(|channel| channel.leave_if(&leaves));
    }

    /// Returns the connections in any of the channels, each once.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let members = self.members().into_iter();
        members.map(|(_, connection)| connection).collect()
    }

    /// Returns how many connections are in any of the channels.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0.as_slice() {
            [channel] => channel.len(),
            _ => self.members().len(),
        }
    }

    /// Tells whether no connection is in any of the channels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Channel::is_empty)
    }

    /// Returns the same channels, all with other data, as [`Channel::send`].
    #[must_use]
    pub fn send(self, data: Value) -> Self {
        let data = sent_instead(data);
        let sending = self.0.into_iter();
        sending
            .map(|channel| channel.sending(data.clone()))
            .collect()
    }

    /// Returns the same channels without the connections for which `keep` is false, as [`Channel::filter`].
    #[must_use]
    pub fn filter(self, keep: impl Fn(&Connection) -> bool + Send + Sync + 'static) -> Self {
        let keep = Arc::new(keep);
        let filtered = self.0.into_iter().map(|channel| {
            let keep = Arc::clone(&keep);
            channel.filter(move |connection| keep(connection))
        });
        filtered.collect()
    }

    /// Tells whether both are the same channels without a filter, so that they have the same connections.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && { pairs }.all(|(one, other)| one.is_same(other))
    }

    /// Returns the data that channels send instead of an event's.
    pub(super) fn data(&self) -> impl Iterator<Item = &Json> {
        self.0.iter().filter_map(Channel::data)
    }

    /// Returns what each channel sends instead of an event's data; nothing if none does.
    pub(super) fn sent(&self) -> Box<[Option<Json>]> {
        let has_data = self.data().next().is_some();
        let sent = self.0.iter().filter(|_| has_data);
        sent.map(|channel| channel.data().cloned()).collect()
    }

    /// Returns every connection once, with the place of the first channel that has it.
    pub(super) fn members(&self) -> Vec<(usize, Connection)> {
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        for (at, channel) in self.0.iter().enumerate() {
            channel.for_each(|connection| {
                if self.0.len() == 1 || seen.insert(connection.id()) {
                    members.push((at, connection.clone()));
                }
            });
        }
        members
    }
}

impl From<()> for Audience {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Channel> for Audience {
    fn from(channel: Channel) -> Self {
        Self(vec![channel])
    }
}

impl<A: Into<Self>> From<Option<A>> for Audience {
    fn from(audience: Option<A>) -> Self {
        audience.map_or_else(Self::default, Into::into)
    }
}

impl<A: Into<Self>> From<Vec<A>> for Audience {
    fn from(audiences: Vec<A>) -> Self {
        audiences.into_iter().collect()
    }
}

impl<A: Into<Self>, const N: usize> From<[A; N]> for Audience {
    fn from(audiences: [A; N]) -> Self {
        audiences.into_iter().collect()
    }
}

impl<A: Into<Self>> FromIterator<A> for Audience {
    fn from_iter<I: IntoIterator<Item = A>>(audiences: I) -> Self {
        let channels = audiences.into_iter().flat_map(|audience| audience.into().0);
        Self(channels.collect())
    }
}
