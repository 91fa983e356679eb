use std::collections::VecDeque;
use std::time::Duration;

use wingbeat_adapter::Lane;

use super::super::message::{Bye, Hello, LAST_SEQ, Void, Want};
use super::super::time::clock;
use super::super::{
    Body, Config, Control, Core, Emit, Failure, GapReason, Input, Item, LinkId, Message, NodeId,
    Outgoing, Output, Publish, Status, Time, VERSION, Wb,
};

/// One core with a broker that a test holds in its hands.
pub(super) struct Rig {
    pub(super) core: Core<u32, u32>,
    pub(super) now: Time,
    /// Everything that came out, until a test takes it.
    pub(super) seen: Vec<Output<u32, u32>>,
    pub(super) link: LinkId,
    /// Whether batches are reported on.
    pub(super) reports: bool,
    /// Whether own events come back.
    pub(super) echoes: bool,
    /// Whether own hellos come back.
    pub(super) echoes_hello: bool,
    /// What the next report says.
    pub(super) fails: Vec<(usize, Failure)>,
}

impl Rig {
    /// A core without a link.
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(US, "us");
        change(&mut config);
        Self {
            core: Core::new(config, Time::default()),
            now: Time::default(),
            seen: Vec::new(),
            link: LinkId(0),
            reports: true,
            echoes: true,
            echoes_hello: true,
            fails: Vec::new(),
        }
    }

    /// A core that is `Ready`.
    pub(super) fn ready() -> Self {
        Self::ready_with(|_| {})
    }

    pub(super) fn ready_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut rig = Self::with(change);
        rig.up();
        assert_eq!(rig.core.status, Status::Ready);
        rig.seen.clear();
        rig
    }

    pub(super) fn up(&mut self) {
        self.link = LinkId(self.link.0 + 1);
        self.feed(Input::LinkUp { link: self.link });
    }

    pub(super) fn down(&mut self) {
        self.feed(Input::LinkDown { link: self.link });
    }

    /// Hands the core an input and lets the broker answer as it is set.
    pub(super) fn feed(&mut self, input: Input<u32, u32>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let outputs: Vec<_> = self.core.handle(self.now, input).collect();
            for output in outputs {
                if let Output::Publish(batch) = &output {
                    inputs.extend(self.answer(batch));
                }
                self.seen.push(output);
            }
        }
    }

    /// Lets time pass up to `at` after the start, ticking whenever the core wants.
    pub(super) fn until(&mut self, at: Duration) {
        let end = Time::at(at);
        while let Some(due) = self.core.next_deadline().filter(|due| *due <= end) {
            assert!(
                due > self.now || self.core.ticked < self.now,
                "the core asks for the past: {due:?}"
            );
            self.now = self.now.max(due);
            self.feed(Input::Tick);
        }
        self.now = end;
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.until(self.now.since(Time::default()) + span);
    }

    pub(super) fn emit(&mut self, event: u32) {
        self.emit_on(event, Some(Lane::Events));
    }

    pub(super) fn emit_on(&mut self, event: u32, lane: Option<Lane>) {
        let sync = lane.map(|lane| Outgoing {
            lane,
            body: event,
            size: 100,
        });
        self.feed(Input::Emit(Emit { event, sync }));
    }

    pub(super) fn hear(&mut self, message: Message<u32>) {
        self.feed(Input::Received {
            link: self.link,
            message,
        });
    }

    /// An own event comes back.
    pub(super) fn echo(&mut self, seq: u64) {
        self.hear(Message::Event {
            wb: Some(wb(US, seq)),
            body: 0,
            size: 100,
        });
    }

    /// A peer's event whose body is its sequence.
    pub(super) fn event(&mut self, node: NodeId, seq: u64) {
        self.hear(Message::Event {
            wb: Some(wb(node, seq)),
            body: body(seq),
            size: 100,
        });
    }

    pub(super) fn again(&mut self, node: NodeId, seq: u64) {
        self.hear(Message::Again {
            wb: Wb {
                age: Some(77),
                ..wb(node, seq)
            },
            body: body(seq),
            size: 100,
        });
    }

    pub(super) fn hello(&mut self, hello: Hello) {
        self.hear(Message::Control(Control::Hello(hello)));
    }

    pub(super) fn void(&mut self, node: NodeId, to: Option<NodeId>, span: (u64, u64)) {
        self.hear(Message::Control(Control::Void(Void {
            node,
            to,
            asked: to.map(|_| clock(self.now)),
            seqs: vec![span],
        })));
    }

    pub(super) fn bye(&mut self, node: NodeId, sent: Option<u64>) {
        self.hear(Message::Control(Control::Bye(Bye { node, sent })));
    }

    pub(super) fn want(&mut self, from_node: NodeId, (from, to): (u64, u64), max_age: u64) {
        self.hear(Message::Control(Control::Want(Want {
            from_node,
            of_node: US,
            from,
            to,
            max_age,
            asked: clock(self.now),
        })));
    }

    /// What own clients were given of own events since the last time.
    pub(super) fn delivered(&mut self) -> Vec<u32> {
        self.drain(|output| {
            if let Output::Deliver(event) = output {
                Some(*event)
            } else {
                None
            }
        })
    }

    /// What own clients were given of peers' events since the last time.
    pub(super) fn released(&mut self) -> Vec<(NodeId, u64)> {
        self.drain(|output| {
            if let Output::Release(release) = output {
                Some((release.from, u64::from(release.body)))
            } else {
                None
            }
        })
    }

    /// The gaps of peers since the last time.
    pub(super) fn gaps(&mut self) -> Vec<(u64, u64, GapReason)> {
        self.drain(|output| match output {
            Output::Gap(gap) => gap.range.map(|(from, to)| (from, to, gap.reason)),
            _ => None,
        })
    }

    pub(super) fn batches(&mut self) -> Vec<Publish<u32>> {
        self.drain(|output| {
            if let Output::Publish(batch) = output {
                Some(batch.clone())
            } else {
                None
            }
        })
    }

    /// The elements published since the last time.
    pub(super) fn items(&mut self) -> Vec<Item<u32>> {
        self.batches()
            .into_iter()
            .flat_map(|batch| batch.items)
            .collect()
    }

    /// The own sequences published as events since the last time.
    pub(super) fn sent(&mut self) -> Vec<u64> {
        let seq = |item| {
            if let Item::Event { wb, .. } = item {
                Some(wb.seq)
            } else {
                None
            }
        };
        self.items().into_iter().filter_map(seq).collect()
    }

    /// The own sequences repeated to askers since the last time.
    pub(super) fn repeated(&mut self) -> Vec<u64> {
        let seq = |item| {
            if let Item::Again { wb, .. } = item {
                Some(wb.seq)
            } else {
                None
            }
        };
        self.items().into_iter().filter_map(seq).collect()
    }

    pub(super) fn wants(&mut self) -> Vec<Want> {
        let want = |item| {
            if let Item::Control(Control::Want(want)) = item {
                Some(want)
            } else {
                None
            }
        };
        self.items().into_iter().filter_map(want).collect()
    }

    pub(super) fn hellos(&mut self) -> Vec<Hello> {
        let hello = |item| {
            if let Item::Control(Control::Hello(hello)) = item {
                Some(hello)
            } else {
                None
            }
        };
        self.items().into_iter().filter_map(hello).collect()
    }

    pub(super) fn voids(&mut self) -> Vec<Void> {
        let void = |item| {
            if let Item::Control(Control::Void(void)) = item {
                Some(void)
            } else {
                None
            }
        };
        self.items().into_iter().filter_map(void).collect()
    }

    /// Takes what `pick` picks out of what came out.
    pub(super) fn drain<T>(&mut self, pick: impl Fn(&Output<u32, u32>) -> Option<T>) -> Vec<T> {
        let (picked, rest): (Vec<_>, Vec<_>) = self
            .seen
            .drain(..)
            .map(|output| (pick(&output), output))
            .partition(|(picked, _)| picked.is_some());
        self.seen = rest.into_iter().map(|(_, output)| output).collect();
        picked
            .into_iter()
            .filter_map(|(picked, _)| picked)
            .collect()
    }

    fn answer(&mut self, batch: &Publish<u32>) -> Vec<Input<u32, u32>> {
        let link = batch.link;
        let failed = if self.reports {
            std::mem::take(&mut self.fails)
        } else {
            Vec::new()
        };
        let mut inputs = Vec::new();
        for (place, item) in batch.items.iter().enumerate() {
            let message = match item {
                _ if failed.iter().any(|(failed, _)| *failed == place) => None,
                Item::Event { wb, body } if self.echoes => Some(Message::Event {
                    wb: Some(wb.clone()),
                    body: *body,
                    size: 100,
                }),
                Item::Again { wb, body } if self.echoes => Some(Message::Again {
                    wb: wb.clone(),
                    body: *body,
                    size: 100,
                }),
                Item::Control(control) if self.echoes_hello => {
                    Some(Message::Control(control.clone()))
                }
                _ => None,
            };
            inputs.extend(message.map(|message| Input::Received { link, message }));
        }
        if self.reports {
            inputs.push(Input::Published {
                link,
                batch: batch.batch,
                failed,
            });
        }
        inputs
    }
}

/// A hello of a peer that hears itself.
pub(super) fn hello(node: NodeId, low: u64, sent: Option<u64>) -> Hello {
    Hello {
        node,
        name: "peer".to_owned(),
        v: VERSION,
        codec: "json".to_owned(),
        nonce: 1,
        ear: Some(0),
        low,
        sent,
        assigned: sent,
        heard: None,
    }
}

pub(super) fn wb(node: NodeId, seq: u64) -> Wb {
    Wb {
        v: VERSION,
        node,
        seq,
        age: None,
        early: false,
    }
}

pub(super) fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

pub(super) fn node(n: u64) -> NodeId {
    let mut bytes = [0xee; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn body(seq: u64) -> u32 {
    u32::try_from(seq.min(LAST_SEQ) % 1_000_000).expect("small")
}

pub(super) const US: NodeId = NodeId::from_bytes([0; 16]);
pub(super) const A: NodeId = NodeId::from_bytes([0xaa; 16]);
pub(super) const B: NodeId = NodeId::from_bytes([0xbb; 16]);

/// The last digit names the service, so that a test can tell them apart.
impl Body for u32 {
    fn service(&self) -> Option<usize> {
        usize::try_from(self % 10).ok()
    }
}
