//! From events and their channels to frames in outboxes.

use super::{Audience, Channel};
use crate::connections::{Connection, Frames};
use crate::event::{Event, Json};

/// Sends events in their order, those that follow each other to the same channels together.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    waiting: Option<FanOut>,
    way: Way,
}

/// Events that go together.
///
/// Under load they are many: a client gets them as one piece of memory, which all clients share, with one system call.
#[derive(Debug)]
struct FanOut {
    audience: Audience,
    events: Vec<Event>,
    size: usize,
}

/// How frames go to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// Into the sockets of those for whom nothing waits: for the last ones that are there.
    #[default]
    Straight,
    /// By the outboxes: more come behind them, which a client's task then writes together.
    Queued,
}

impl Way {
    /// Returns how many connections get their frames before something else may run: about half a millisecond. Clients' tasks that
    /// ran between queued events would write each of them by itself.
    const fn chunk(self) -> usize {
        match self {
            Self::Straight => 128,
            Self::Queued => 4_096,
        }
    }
}

impl Sending {
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

    /// Sends what waits, with more to come.
    pub(crate) async fn go_on(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.way = Way::Queued;
            waiting.send(self.way).await;
        }
    }

    /// Sends what waits, as the last; returns how many connections got it.
    pub(crate) async fn end(&mut self) -> usize {
        match self.waiting.take() {
            Some(waiting) => waiting.send(self.way).await,
            None => 0,
        }
    }
}

impl FanOut {
    fn new(audience: Audience, event: Event) -> Self {
        Self {
            audience,
            size: event.public_data().as_bytes().len(),
            events: vec![event],
        }
    }

    /// Adds an event if it can go along with those that are there, and gives it back otherwise.
    ///
    /// A late one goes alone: connections that are younger do not get it.
    fn join(&mut self, audience: Audience, event: Event) -> Result<(), Self> {
        let size = self.size + event.public_data().as_bytes().len();
        let is_late = |event: &Event| event.happened().is_some();
        let is_apart = is_late(&event) || self.events.iter().any(is_late);
        if is_apart || size > MAX_SIZE || !self.audience.is_same(&audience) {
            return Err(Self::new(audience, event));
        }
        self.size = size;
        self.events.push(event);
        Ok(())
    }

    /// Sends the events to the connections of their channels, with the data of the first channel that has the connection
    /// (feathers.md §4.3). Returns how many connections got the last one.
    ///
    /// Joins and leaves do not wait for it, and others run between its pieces.
    async fn send(&self, way: Way) -> usize {
        let mut frames = Frames::new(&self.events);
        let mut sent = 0;
        let chunk = way.chunk();
        for members in self.audience.members().chunks(chunk) {
            for (at, connection) in members {
                let data = self.audience.channel(*at).and_then(Channel::data);
                sent += usize::from(self.deliver(&mut frames, data, connection, way));
            }
            if members.len() == chunk {
                tokio::task::yield_now().await;
            }
        }
        sent
    }

    fn deliver(
        &self,
        frames: &mut Frames<'_>,
        data: Option<&Json>,
        connection: &Connection,
        way: Way,
    ) -> bool {
        let mut send = |range| {
            let piece = frames.piece(connection.format(), range, data);
            match way {
                Way::Straight => connection.write(piece),
                Way::Queued => connection.send_piece(piece.clone()),
            }
        };
        if connection.wants_all() && self.events.len() > 1 {
            return send(0..self.events.len());
        }
        let meant = self.events.iter().enumerate();
        let meant = meant.filter(|(_, event)| is_meant(event, connection));
        meant.fold(false, |_, (at, _)| send(at..at + 1))
    }
}

fn is_meant(event: &Event, connection: &Connection) -> bool {
    let happened = event.happened();
    let is_too_young = happened.is_some_and(|happened| connection.opened() > happened);
    !is_too_young && connection.wants(event)
}

/// Bytes of data that go as one piece, which a slow client keeps or loses as a whole.
const MAX_SIZE: usize = 64 << 10;

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
    use crate::connections::{ConnectionInfo, Interest, WireFormat};
    use crate::event::{Inner, Origin};

    #[derive(Debug)]
    struct Plain;

    impl WireFormat for Plain {
        fn name(&self) -> &'static str {
            "plain"
        }

        fn encode(&self, _event: &Event, payload: &Json) -> Bytes {
            payload.as_bytes().clone()
        }
    }

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
        let mut sending = Sending::default();
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
        assert_eq!(pieces[..4], ["\"s\"", "\"t\"", "4", "5"]);
        assert_eq!(pieces[4..].len(), 1);
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
