use std::collections::BTreeMap;

use super::super::message::{Bye, Hello, Span, Void, Want};
use super::super::{Control, Message, NodeId, VERSION, Wb};
use super::world::Event;

/// A message of somebody who can publish and is none of the nodes.
#[derive(Clone, Debug)]
pub(super) struct Lie {
    pub(super) name: Name,
    pub(super) words: Words,
}

/// In whose name a lie is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Stranger(u8),
    Victim,
}

#[derive(Clone, Debug)]
pub(super) enum Words {
    /// An event; with an age, an answer to an asker.
    Envelope {
        seq: u64,
        size: usize,
        age: Option<u64>,
    },
    Claim(Claim),
}

#[derive(Clone, Debug)]
pub(super) enum Claim {
    Hello {
        v: u8,
        nonce: u64,
        ear: Option<u64>,
        low: u64,
        sent: u64,
        assigned: u64,
        /// How far it claims to have heard every node.
        heard: Option<u64>,
    },
    Want {
        of: usize,
        span: Span,
        max_age: u64,
    },
    Void {
        to: Option<usize>,
        span: Span,
        times: usize,
    },
    Bye {
        sent: u64,
    },
}

impl Lie {
    /// The message as it goes over the wire, among nodes with these ids; `victim` is one of them.
    pub(super) fn message(&self, ids: &[NodeId], victim: Option<usize>) -> Message<Event> {
        let node = match (self.name, victim) {
            (Name::Victim, Some(victim)) => ids[victim],
            (Name::Victim, None) => stranger(u8::MAX),
            (Name::Stranger(n), _) => stranger(n),
        };
        match &self.words {
            Words::Envelope { seq, size, age } => envelope(node, *seq, *size, *age),
            Words::Claim(claim) => Message::Control(claim.control(node, ids)),
        }
    }
}

impl Claim {
    fn control(&self, node: NodeId, ids: &[NodeId]) -> Control {
        match *self {
            Self::Hello {
                v,
                nonce,
                ear,
                low,
                sent,
                assigned,
                heard,
            } => Control::Hello(Hello {
                node,
                name: "somebody".to_owned(),
                v,
                codec: "json".to_owned(),
                nonce,
                ear,
                low,
                sent: Some(sent),
                assigned: Some(assigned),
                heard: Some(
                    ids.iter()
                        .map(|id| (*id, heard))
                        .collect::<BTreeMap<_, _>>(),
                ),
            }),
            Self::Want { of, span, max_age } => Control::Want(Want {
                from_node: node,
                of_node: ids[of],
                from: span.0,
                to: span.1,
                max_age,
                asked: 0,
            }),
            Self::Void { to, span, times } => Control::Void(Void {
                node,
                to: to.map(|place| ids[place]),
                // Whoever reads the topic can know a question that this would answer.
                asked: Some(u64::MAX),
                seqs: vec![span; times],
            }),
            Self::Bye { sent } => Control::Bye(Bye {
                node,
                sent: Some(sent),
            }),
        }
    }
}

fn envelope(node: NodeId, seq: u64, size: usize, age: Option<u64>) -> Message<Event> {
    let wb = Wb {
        v: VERSION,
        node,
        seq,
        age,
        early: false,
    };
    let body = Event::forged(seq);
    if age.is_some() {
        Message::Again { wb, body, size }
    } else {
        Message::Event {
            wb: Some(wb),
            body,
            size,
        }
    }
}

fn stranger(n: u8) -> NodeId {
    let mut bytes = [0xff; 16];
    bytes[15] = n;
    NodeId::from_bytes(bytes)
}
