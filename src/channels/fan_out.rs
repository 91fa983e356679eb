//! From events and their channels to frames in outboxes.

use super::Audience;
use super::unwritten::{Deliveries, Unwritten};
use crate::connections::{Connection, Frames};
use crate::event::{Event, Json};
use crate::tasks::{self, Tasks};

/// Sends events in their order, those that follow each other to the same channels together.
#[derive(Debug)]
pub(crate) struct Sending<'a> {
    waiting: Option<FanOut>,
    unwritten: Unwritten<'a>,
}

/// Events that go together.
///
/// Under load they are many: a client gets them as one piece of memory, which all clients share.
#[derive(Debug)]
struct FanOut {
    audience: Audience,
    events: Vec<Event>,
    /// What the channels send instead of each event's own data.
    sent: Vec<Sent>,
    size: usize,
}

/// What each of an event's channels sends instead of its data; empty if they all send that.
type Sent = Box<[Option<Json>]>;

impl<'a> Sending<'a> {
    /// Sends with tasks of an owner, where it needs some.
    pub(crate) fn new(tasks: &'a Tasks) -> Self {
        Self {
            waiting: None,
            unwritten: Unwritten::new(tasks),
        }
    }

    /// Adds an event; what can not go with it is sent before.
    pub(crate) async fn add(&mut self, audience: Audience, event: Event) {
        let apart = match &mut self.waiting {
            Some(waiting) => waiting.join(audience, event).err(),
            None => Some(FanOut::new(audience, event)),
        };
        if apart.is_some() {
            self.go_on().await;
            self.waiting = apart;
        }
    }

    /// Sends what waits, with more to come: clients may get it together with that.
    pub(crate) async fn go_on(&mut self) {
        let deliveries = self.deliveries().await;
        self.unwritten.go_on(deliveries).await;
    }

    /// Sends what waits, as the last; returns how many connections got it.
    pub(crate) async fn end(&mut self) -> usize {
        let deliveries = self.deliveries().await;
        self.unwritten.end(deliveries).await
    }

    async fn deliveries(&mut self) -> Deliveries {
        match self.waiting.take() {
            Some(waiting) => waiting.deliveries().await,
            None => Deliveries::default(),
        }
    }
}

impl FanOut {
    fn new(audience: Audience, event: Event) -> Self {
        Self {
            size: size(&audience, &event),
            sent: vec![audience.sent()],
            events: vec![event],
            audience,
        }
    }

    /// Adds an event if it can go along with those that are there, and gives it back otherwise.
    ///
    /// A late one goes alone: connections that are younger do not get it.
    fn join(&mut self, audience: Audience, event: Event) -> Result<(), Self> {
        let size = self.size + size(&audience, &event);
        let is_apart = is_late(&event) || self.events.iter().any(is_late);
        if is_apart || size > MAX_SIZE || !self.audience.is_same(&audience) {
            return Err(Self::new(audience, event));
        }
        self.size = size;
        self.events.push(event);
        self.sent.push(audience.sent());
        Ok(())
    }

    /// Says who gets what: the connections of the channels, with the data of the first channel that has the connection
    /// (feathers.md §4.3).
    ///
    /// Joins and leaves do not wait for it, and others run meanwhile.
    async fn deliveries(&self) -> Deliveries {
        let n_events = self.events.len();
        let is_late = self.events.iter().any(is_late);
        let variants = self.variants();
        let mut frames = Frames::new(&self.events, |event, channel| self.payload(event, channel));
        let (mut to, mut has_several) = (Vec::new(), false);
        for (count, (channel, connection)) in (1..).zip(self.audience.members()) {
            let variant = variants.get(channel).map_or(0, |first| *first);
            let mut place = |range| frames.place(connection.format(), range, variant);
            if connection.wants_all() && !is_late {
                let all = place(0..n_events);
                to.push((connection, all));
            } else {
                has_several |= n_events > 1;
                let meant = (0..n_events).filter(|at| is_meant(&self.events[*at], &connection));
                to.extend(meant.map(|at| (connection.clone(), place(at..at + 1))));
            }
            if count % CHUNK == 0 {
                tasks::give_way().await;
            }
        }
        Deliveries {
            pieces: frames.into_pieces(),
            to,
            has_several,
            bytes: self.size,
        }
    }

    /// Returns for each channel the first one that sends the same of all events; nothing when they all do.
    fn variants(&self) -> Vec<usize> {
        let n_channels = self.sent.iter().map(|sent| sent.len()).max();
        let mut distinct: Vec<usize> = Vec::new();
        let first = |channel| {
            let known = { &distinct }
                .iter()
                .find(|known| self.sends_same(**known, channel));
            known.copied().unwrap_or_else(|| {
                distinct.push(channel);
                channel
            })
        };
        (0..n_channels.unwrap_or(0)).map(first).collect()
    }

    fn sends_same(&self, one: usize, other: usize) -> bool {
        let is_same = |event| self.payload(event, one).same(self.payload(event, other));
        (0..self.events.len()).all(is_same)
    }

    fn payload(&self, event: usize, channel: usize) -> &Json {
        let sent = self.sent[event].get(channel).and_then(Option::as_ref);
        sent.unwrap_or(self.events[event].public_data())
    }
}

/// Returns how many bytes of data a connection gets at most.
fn size(audience: &Audience, event: &Event) -> usize {
    let data = audience.data().chain([event.public_data()]);
    data.map(|data| data.as_bytes().len()).max().unwrap_or(0)
}

fn is_late(event: &Event) -> bool {
    event.happened().is_some()
}

fn is_meant(event: &Event, connection: &Connection) -> bool {
    let happened = event.happened();
    let is_too_young = happened.is_some_and(|happened| connection.opened() > happened);
    !is_too_young && connection.wants(event)
}

/// Bytes of data that go as one piece, which a slow client keeps or loses as a whole.
const MAX_SIZE: usize = 64 << 10;
/// Connections until something else may run.
const CHUNK: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::task::Context;
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::task::noop_waker_ref;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::channels::Channels;
    use crate::connections::{ConnectionInfo, Interest, Plain};
    use crate::event::{Inner, Origin};

    fn connection(id: u64, interest: Option<Interest>) -> Connection {
        let info = ConnectionInfo {
            interest,
            ..ConnectionInfo::bare(&Plain)
        };
        Connection::new(id, info)
    }

    fn event(name: &str, data: Value, happened: Option<Instant>) -> Event {
        let data = Json::from(data);
        Event::new(Inner {
            place: 0,
            path: "p".into(),
            name: name.into(),
            public: data.clone(),
            data,
            context: None,
            origin: Origin::Local,
            happened,
            trace: None,
        })
    }

    /// The pieces that wait for a client.
    fn waiting(connection: &Connection) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut cx = Context::from_waker(noop_waker_ref());
        let _ = connection.outbox().poll_drain(&mut cx, &mut pieces);
        pieces
    }

    async fn send(events: impl IntoIterator<Item = (Audience, Event)>) -> usize {
        let tasks = Tasks::default();
        let mut sending = Sending::new(&tasks);
        for (audience, event) in events {
            sending.add(audience, event).await;
        }
        sending.end().await
    }

    #[tokio::test]
    async fn events_that_follow_each_other_to_the_same_channels_are_one_piece() {
        let channels = Channels::default();
        let [one, both] = [1, 2].map(|id| connection(id, None));
        channels.combined(["a"]).join(&one);
        channels.combined(["a", "b"]).join(&both);
        let to = |names: &[&str], n: i32| {
            let audience = channels.combined(names.iter().copied());
            (audience, event("x", n.into(), None))
        };
        let events = [
            to(&["a"], 1),
            to(&["a"], 2),
            to(&["b"], 3),
            to(&["a"], 4),
            to(&["a", "b"], 5),
            to(&["a", "b"], 6),
        ];
        assert_eq!(send(events).await, 2);
        assert_eq!(waiting(&one), ["12", "4", "56"]);
        assert_eq!(waiting(&both), ["12", "3", "4", "56"]);
    }

    #[tokio::test]
    async fn what_a_channel_does_to_events_it_does_to_each() {
        let channels = Channels::default();
        let client = connection(1, None);
        channels.channel("a").join(&client);
        let a = || channels.channel("a");
        let number = |n: i32| event("x", n.into(), None);
        let events = [
            (a().send(json!("s")).into(), number(1)),
            (a().send(json!("t")).into(), number(2)),
            (a().filter(|_| false).into(), number(3)),
            (a().filter(|_| true).into(), number(4)),
            (a().into(), number(5)),
            (a().into(), event("x", json!("x".repeat(MAX_SIZE)), None)),
        ];
        send(events).await;
        let pieces = waiting(&client);
        assert_eq!(pieces[..3], ["\"s\"\"t\"", "4", "5"]);
        assert_eq!(pieces[3..].len(), 1);
    }

    #[tokio::test]
    async fn who_gets_the_same_data_shares_the_piece() {
        let channels = Channels::default();
        let clients = [1, 2, 3, 4].map(|id| connection(id, None));
        for (name, client) in ["a", "b", "c", "c"].iter().zip(&clients) {
            channels.channel(name).join(client);
        }
        let to = |a: Value, c: Value, n: i32| {
            let channel = |name| channels.channel(name);
            let audience = [channel("a").send(a), channel("b"), channel("c").send(c)];
            (audience.into(), event("x", n.into(), None))
        };
        send([
            to(10.into(), Value::Null, 1),
            to(20.into(), 30.into(), 2),
            to(Value::Null, Value::Null, 3),
        ])
        .await;
        let [a, b, c, d] = clients.each_ref().map(waiting);
        assert_eq!([a, b, c.clone()].concat(), ["10203", "123", "1303"]);
        assert_eq!(c[0].as_ptr(), d[0].as_ptr());
    }

    #[tokio::test]
    async fn a_client_that_wants_some_gets_those_of_a_piece() {
        let channels = Channels::default();
        let all = connection(1, None);
        let some = connection(2, Some([("p".into(), Some("y".into()))].into()));
        for client in [&all, &some] {
            channels.channel("a").join(client);
        }
        let a = || Audience::from(channels.channel("a"));
        let named = |name, n: i32| (a(), event(name, n.into(), None));
        send([named("x", 1), named("y", 2), named("x", 3), named("y", 4)]).await;
        assert_eq!(waiting(&all), ["1234"]);
        assert_eq!(waiting(&some), ["2", "4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_event_goes_alone_and_not_to_younger_clients() {
        let channels = Channels::default();
        let old = connection(1, None);
        channels.channel("a").join(&old);
        tokio::time::advance(Duration::from_secs(1)).await;
        let happened = Some(Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        let young = connection(2, None);
        channels.channel("a").join(&young);
        let a = || Audience::from(channels.channel("a"));
        let events = [
            (a(), event("x", 1.into(), None)),
            (a(), event("x", 2.into(), happened)),
            (a(), event("x", 3.into(), None)),
        ];
        send(events).await;
        assert_eq!(waiting(&old), ["1", "2", "3"]);
        assert_eq!(waiting(&young), ["1", "3"]);
    }
}
