//! What comes from the broker, and sync URIs, for `fuzz/`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;
use serde_json::Value;
use wingbeat_adapter::Lane;

use super::delivery::{
    Config, Core, Emit, Input, Item, LinkId, Message, NodeId, Outgoing, Output, Publish, Time,
};
use super::envelope::{Envelope, decode, encode};
use super::inbound::Inbound;
use super::quarantine::Reason;
use super::seal::Gate;
use super::services::{Services, SharedService};
#[cfg(feature = "redis")]
use super::uri::Schemes;
use super::{SyncMode, SyncOptions};
use crate::json;

/// Reads a message as sync-in does, up to the event that is in it.
///
/// # Panics
/// When what is taken is too large, too deep or no JSON, or does not come back as it was.
pub fn envelope(bytes: &[u8]) {
    let payload = Bytes::copy_from_slice(bytes);
    let Ok(message) = decode(&payload, LIMIT, &services()) else {
        return;
    };
    assert!(payload.len() <= LIMIT);
    if let Some(value) = str::from_utf8(&payload).ok().and_then(json::parse) {
        assert!(depth(&value) <= DEPTH);
    }
    match message {
        Message::Event { wb, body, .. } => {
            let item = wb.map(|wb| Item::Event {
                wb,
                body: body.clone(),
            });
            item.iter().for_each(returns);
            becomes_an_event(body);
        }
        Message::Again { wb, body, .. } => returns(&Item::Again { wb, body }),
        Message::Echo { .. } | Message::Control(_) | Message::Stranger(_) => {}
    }
}

fn returns(item: &Item<Envelope>) {
    let text = encode(&mut BytesMut::new(), item, Lane::Events, None);
    match (item, decode(&text, usize::MAX, &services())) {
        (
            Item::Event { wb, body },
            Ok(Message::Event {
                wb: Some(read),
                body: other,
                ..
            }),
        )
        | (
            Item::Again { wb, body },
            Ok(Message::Again {
                wb: read,
                body: other,
                ..
            }),
        ) => {
            assert!(text.len() <= body.size(false));
            assert_eq!(read, *wb);
            assert_eq!((&other.path, &other.event), (&body.path, &body.event));
            assert_eq!((&other.data, &other.context), (&body.data, &body.context));
            assert_eq!(other.trace, body.trace);
        }
        (_, other) => panic!("{other:?} is another message"),
    }
}

fn becomes_an_event(mut body: Envelope) {
    (body.path, body.service) = services().find("messages");
    let event = Inbound::default().foreign(body);
    let event = event.expect("the service is known");
    for piece in [event.data(), event.public_data()] {
        let text = str::from_utf8(piece.as_bytes()).expect("JSON is UTF-8");
        serde_json::from_str::<IgnoredAny>(text).expect("what clients get is JSON");
        let _ = piece.value();
    }
    let _ = event.context().map(|context| context.fields().len());
}

/// Reads messages, one a line, as both gates do, and lets a node that is linked hear what the open one takes.
///
/// # Panics
/// When the gate with the secret believes what is not sealed, a sealed message does not come back, or what others say
/// takes an own event away or doubles it.
pub fn control(bytes: &[u8]) {
    let (open, sealed) = (gate(None), gate(Some("s3cret")));
    let mut node = Node::linked();
    for line in bytes.split(|byte| *byte == b'\n') {
        let payload = Bytes::copy_from_slice(line);
        assert!(matches!(
            sealed.decode(Lane::Control, &payload),
            Err(Reason::Unauthenticated | Reason::TooLarge)
        ));
        if let Ok(message) = sealed.decode(Lane::Events, &payload) {
            assert!(matches!(message, Message::Event { wb: None, .. }));
        }
        if let Ok(message) = open.decode(Lane::Control, &payload) {
            comes_through(&message, &sealed);
            node.hear(message);
        }
        node.pass(Duration::from_millis(100));
    }
    node.pass(Duration::from_secs(2));
    assert_eq!(node.delivered, [0, 1, 2]);
    assert!(node.core.peers().len() <= MAX_PEERS);
}

fn services() -> Services {
    Services::new([SharedService {
        path: "messages".into(),
        mode: SyncMode::Both,
        dates: Vec::new(),
    }])
}

fn gate(secret: Option<&str>) -> Gate {
    let options = SyncOptions {
        sync_secret: secret.map(str::to_owned),
        node_peers: vec!["messages".to_owned()],
        max_payload: 2_000,
        ..SyncOptions::default()
    };
    Gate::new(&options, Arc::new(services()), US)
}

fn comes_through(message: &Message<Envelope>, gate: &Gate) {
    let Message::Control(control) = message else {
        return;
    };
    let text = encode(
        &mut BytesMut::new(),
        &Item::Control(control.clone()),
        Lane::Control,
        gate.seal.as_ref(),
    );
    match gate.decode(Lane::Control, &text) {
        Ok(Message::Control(read)) => assert_eq!(read, *control),
        other => assert!(matches!(other, Err(Reason::TooLarge))),
    }
}

/// A core over a broker that hands everything back at once.
struct Node {
    core: Core<u32, Envelope>,
    now: Duration,
    link: LinkId,
    delivered: Vec<u32>,
}

impl Node {
    /// Has a link, and three events of its own in the log.
    fn linked() -> Self {
        let config = Config::new(US, "fuzzed");
        let mut node = Self {
            core: Core::new(config, Time::default()),
            now: Duration::ZERO,
            link: LinkId(0),
            delivered: Vec::new(),
        };
        node.handle(Input::LinkUp { link: node.link });
        (0..3).for_each(|event| node.handle(Input::Emit(emit(event))));
        node
    }

    fn hear(&mut self, message: Message<Envelope>) {
        self.handle(Input::Received {
            link: self.link,
            message,
        });
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        self.handle(Input::Tick);
    }

    fn handle(&mut self, input: Input<u32, Envelope>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.core.handle(Time::at(self.now), input) {
                match output {
                    Output::Deliver(event) => self.delivered.push(event),
                    Output::Publish(publish) => inputs.extend(echo(publish)),
                    Output::Dial { .. } => {
                        self.link.0 += 1;
                        inputs.push_back(Input::LinkUp { link: self.link });
                    }
                    _ => {}
                }
            }
        }
    }
}

fn emit(event: u32) -> Emit<u32, Envelope> {
    let body = Envelope {
        path: "messages".into(),
        service: None,
        event: "created".into(),
        data: Bytes::from_static(b"1"),
        context: None,
        typed: None,
        trace: None,
    };
    let size = body.size(false);
    let sync = Some(Outgoing {
        lane: Lane::Events,
        body,
        size,
    });
    Emit { event, sync }
}

fn echo(publish: Publish<Envelope>) -> impl Iterator<Item = Input<u32, Envelope>> {
    let Publish {
        link, batch, items, ..
    } = publish;
    let message = |item| match item {
        Item::Event { wb, body } => Message::Event {
            wb: Some(wb),
            body,
            size: 1,
        },
        Item::Again { wb, body } => Message::Again { wb, body, size: 1 },
        Item::Control(control) => Message::Control(control),
    };
    let heard = items.into_iter().map(move |item| Input::Received {
        link,
        message: message(item),
    });
    heard.chain([Input::Published {
        link,
        batch,
        failed: Vec::new(),
    }])
}

/// Opens a sync URI, and one in which the text is the middle of a password and what follows.
///
/// # Panics
/// When an error or a `Debug` form shows the password.
#[cfg(feature = "redis")]
pub fn uri(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = opened(&text);
    let (middle, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let scheme = wingbeat_redis::SCHEMES[bytes.len() % wingbeat_redis::SCHEMES.len()];
    let shown = opened(&format!("{scheme}://u:{SECRET}{middle}{SECRET}@{rest}"));
    let is_told = middle.contains(SECRET) || rest.contains(SECRET);
    assert!(is_told || !shown.contains(SECRET), "{shown}");
}

/// Says what everybody may see of a URI, up to the adapter's settings: with those it would read files.
#[cfg(feature = "redis")]
fn opened(uri: &str) -> String {
    let shown = Arc::new(parking_lot::Mutex::new(String::new()));
    let mut schemes = Schemes::default();
    for scheme in wingbeat_redis::SCHEMES {
        let shown = Arc::clone(&shown);
        schemes.register(scheme, wingbeat_redis::OPTIONS, move |uri| {
            *shown.lock() = format!("{:?}", wingbeat_redis::RedisConfig::from_uri(uri)?);
            Ok(Arc::new(wingbeat_adapter::MemoryBroker::new()))
        });
    }
    let error = schemes.open(uri, SyncOptions::default()).err();
    error.unwrap_or_else(|| shown.lock().clone())
}

/// Without Redis there is no URI of interest.
#[cfg(not(feature = "redis"))]
pub fn uri(_: &[u8]) {}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

const US: NodeId = NodeId::from_bytes([7; 16]);
const LIMIT: usize = 1 << 20;
const DEPTH: usize = 64;
const MAX_PEERS: usize = 256;
#[cfg(feature = "redis")]
const SECRET: &str = "hush";
