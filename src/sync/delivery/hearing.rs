use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::Core;
use super::divergence::{Hearing, Source};
use super::hold::Held;
use super::io::{Body, LinkId, Message, Output, QuarantineReason, Quarantined, Release};
use super::link::Link;
use super::message::{Bye, Control, Hello, VERSION, Void, Want, Wb, end_of};
use super::node::NodeId;
use super::peer::{Arrival, Freed, Reach, Verdict};
use super::peers::{Admission, FreedOf};
use super::stats::{Gap, GapReason, Origin, Status};
use super::time::{Time, clock, millis};

/// An envelope with its `wb`.
struct Envelope<B> {
    wb: Wb,
    body: B,
    size: usize,
    is_repeated: bool,
}

/// What comes in on a link.
impl<E, B: Body> Core<E, B> {
    pub(super) fn received(&mut self, now: Time, link: LinkId, message: Message<B>) {
        if self.link.as_ref().is_none_or(|current| current.id != link) {
            self.stats.stale += 1;
            return;
        }
        match message {
            Message::Event {
                wb: Some(wb),
                body,
                size,
            } => {
                self.envelope(
                    now,
                    Envelope {
                        wb,
                        body,
                        size,
                        is_repeated: false,
                    },
                );
            }
            Message::Event { wb: None, body, .. } => self.foreign(now, body),
            Message::Echo { seq } => self.own_echo(now, seq),
            Message::Again { wb, body, size } => {
                self.envelope(
                    now,
                    Envelope {
                        wb,
                        body,
                        size,
                        is_repeated: true,
                    },
                );
            }
            Message::Control(Control::Hello(hello)) => self.hello(now, &hello),
            Message::Control(Control::Want(want)) => self.want(now, &want),
            Message::Control(Control::Void(void)) => self.void_of(now, &void),
            Message::Control(Control::Bye(bye)) => self.bye_of(now, &bye),
            Message::Stranger(node) => self.stranger(now, node, QuarantineReason::Version),
        }
    }

    /// The adapter lost messages: hellos show what is missing of wingbeat nodes, nothing shows what is missing of others.
    pub(super) fn lost(&mut self, now: Time, link: LinkId, n: u64) {
        if self.link.as_ref().is_some_and(|current| current.id == link) {
            self.stats.lost += n;
            self.hello_soon(now);
            self.gap(Gap::new(Origin::Foreign, None, GapReason::Lost));
        }
    }

    pub(super) fn give(&mut self, (node, name, freed): FreedOf<B>) {
        for freed in freed {
            match freed {
                Freed::Release(held) => self.release(node, Arc::clone(&name), held),
                Freed::Gap { range, reason } => {
                    let name = Arc::clone(&name);
                    let origin = Origin::Node { node, name };
                    self.gap(Gap::new(origin, Some(range), reason));
                }
            }
        }
    }

    fn release(&mut self, node: NodeId, name: Arc<str>, held: Held<B>) {
        let waited = self.now.since(held.arrived);
        let Held {
            body, age, early, ..
        } = held;
        let age = age
            .map(|age| age + waited)
            .or_else(|| (!waited.is_zero()).then_some(waited));
        self.stats.released += 1;
        if let Some(service) = body.service() {
            let hearing = Hearing {
                service,
                source: Source::Peer(node),
                age,
                early,
            };
            self.divergence.hear(self.now, hearing, &self.config);
        }
        self.output(Output::Release(Release {
            from: node,
            name,
            age,
            body,
        }));
    }

    fn foreign(&mut self, now: Time, body: B) {
        self.stats.foreign += 1;
        if let Some(service) = body.service() {
            let hearing = Hearing {
                service,
                source: Source::Foreign,
                age: None,
                early: false,
            };
            self.divergence.hear(now, hearing, &self.config);
        }
        self.output(Output::Foreign { body });
    }

    fn envelope(&mut self, now: Time, envelope: Envelope<B>) {
        let (node, seq) = (envelope.wb.node, envelope.wb.seq);
        if envelope.wb.v != VERSION {
            self.refuse(
                QuarantineReason::Version,
                node,
                Some(seq),
                Some(envelope.body),
            );
        } else if node != self.config.node {
            self.peer_envelope(now, envelope);
        } else if !envelope.is_repeated {
            // An own `Again` settles nothing: those who listen on the events lane only have not heard it.
            self.own_echo(now, seq);
        }
    }

    fn peer_envelope(&mut self, now: Time, envelope: Envelope<B>) {
        let (node, seq) = (envelope.wb.node, envelope.wb.seq);
        let admission = self.admit(now, node, Some(seq));
        let peer = self.peers.get_mut(node);
        let is_plausible = peer.is_some_and(|peer| peer.is_plausible(seq, &self.config));
        let reason = match admission {
            Admission::Known if is_plausible => return self.take(now, envelope),
            Admission::Known => QuarantineReason::ImplausibleSeq,
            Admission::Past => return self.stats.duplicates += 1,
            Admission::Full => QuarantineReason::TooManyPeers,
        };
        self.refuse(reason, node, Some(seq), Some(envelope.body));
    }

    fn take(&mut self, now: Time, envelope: Envelope<B>) {
        let Envelope {
            wb,
            body,
            size,
            is_repeated,
        } = envelope;
        if self.is_hold_full(wb.node, wb.seq, size) {
            self.stats.hold_refused += 1;
            return;
        }
        let Some(peer) = self.peers.get_mut(wb.node) else {
            return;
        };
        let age = wb.age.map(Duration::from_millis);
        let arrival = Arrival {
            seq: wb.seq,
            held: Held {
                body,
                size,
                age,
                early: wb.early,
                arrived: now,
            },
            is_repeated,
        };
        match peer.take(now, arrival, &self.config) {
            Verdict::Taken => self.stats.repaired += u64::from(is_repeated),
            Verdict::Duplicate => self.stats.duplicates += 1,
            Verdict::Late => self.stats.late += 1,
            Verdict::NoRoom => self.stats.hold_refused += 1,
        }
        self.give_freed(wb.node);
    }

    /// Whether an envelope would have to wait where all peers together have no more room.
    fn is_hold_full(&self, node: NodeId, seq: u64, size: usize) -> bool {
        let waits = self.peers.get(node).is_some_and(|peer| peer.next() < seq);
        waits && self.peers.held_bytes().saturating_add(size) > self.config.limits.hold_total
    }

    fn hello(&mut self, now: Time, hello: &Hello) {
        if hello.node == self.config.node {
            self.own_hello(now, hello.nonce);
        } else if hello.v != VERSION {
            self.stranger(now, hello.node, QuarantineReason::Version);
        } else if hello.codec != self.config.codec {
            self.stranger(now, hello.node, QuarantineReason::Codec);
        } else if self.admit(now, hello.node, None) == Admission::Full {
            self.refuse(QuarantineReason::TooManyPeers, hello.node, None, None);
        } else {
            self.peer_hello(now, hello);
        }
    }

    /// An own hello came back. Only the nonce of the present link proves it: a frozen broker may execute an old one late.
    fn own_hello(&mut self, now: Time, nonce: u64) {
        let Some(link) = self.link.as_mut().filter(|link| link.nonce == nonce) else {
            self.stats.stale_hellos += 1;
            if !self.nonces.contains(nonce) {
                self.cloned_identity(now, None);
            }
            return;
        };
        link.hello.echoed(now);
        if link.proven.is_none() {
            link.proven = Some(now);
            link.cursor = self.log.unsettled();
            self.mark = self.log.end();
            self.peers.link_proven(now, &self.config);
            self.set_status(Status::Replaying);
            self.judge_strangers(now);
        }
    }

    fn peer_hello(&mut self, now: Time, hello: &Hello) {
        let is_new = self.note_link(now, hello);
        self.note_ear(now, hello);
        let reach = Reach {
            low: hello.low,
            sent: end_of(hello.sent),
            assigned: end_of(hello.assigned),
        };
        let Some(peer) = self.peers.get_mut(hello.node) else {
            return;
        };
        let is_plausible = peer.announce(now, reach, &self.config);
        self.give_freed(hello.node);
        self.judge_strangers(now);
        if !is_plausible {
            let reason = QuarantineReason::ImplausibleSeq;
            self.refuse(reason, hello.node, hello.sent, None);
        }
        if is_new {
            // It cannot know us, or not what we sent meanwhile; two seconds would be long.
            let jitter = self
                .rng
                .random_range(Duration::ZERO..=self.config.timing.want_after);
            self.hello_soon(now + jitter);
        }
    }

    /// Notes who the peer is and whether its link is new.
    fn note_link(&mut self, now: Time, hello: &Hello) -> bool {
        let Some(peer) = self.peers.get_mut(hello.node) else {
            return false;
        };
        if *peer.name != *hello.name {
            peer.name = hello.name.chars().take(MAX_NAME).collect::<String>().into();
        }
        let is_new = peer.is_new_link(hello.nonce);
        if is_new {
            peer.restart_hole(now, &self.config.timing);
        }
        is_new
    }

    /// Notes what the peer says about hearing: itself, so that it can answer, and us.
    fn note_ear(&mut self, now: Time, hello: &Hello) {
        let due = self.heard_by_now(now);
        let patience = self.peers.patience(&self.config);
        let echoed = self.link.as_ref().and_then(Link::echoed);
        let Some(peer) = self.peers.get_mut(hello.node) else {
            return;
        };
        if let Some((ear, echoed)) = hello.ear.zip(echoed) {
            peer.vouch(echoed.min(now.back(Duration::from_millis(ear))), patience);
        }
        if let Some((heard, due)) = hello.heard.as_ref().zip(due) {
            let ours = heard.get(&self.config.node);
            peer.listen(now, ours.map(|last| end_of(*last)), due);
        }
    }

    fn want(&mut self, now: Time, want: &Want) {
        self.touch(now, want.from_node);
        if want.of_node == self.config.node && want.from_node != self.config.node {
            self.stats.wants_heard += 1;
            let is_taken = self.repair.ask(now, want, &self.config);
            self.stats.wants_ignored += u64::from(!is_taken);
        }
    }

    fn void_of(&mut self, now: Time, void: &Void) {
        self.touch(now, void.node);
        let is_ours = void.to.is_none_or(|to| to == self.config.node);
        if !is_ours || self.is_stale_answer(now, void) {
            return;
        }
        let Some(peer) = self.peers.get_mut(void.node) else {
            return;
        };
        let is_plausible = peer.void(now, &void.seqs, void.to.is_some(), &self.config);
        self.give_freed(void.node);
        if !is_plausible {
            self.refuse(QuarantineReason::ImplausibleSeq, void.node, None, None);
        }
    }

    /// Whether the question was on its way for so long that the owner of the log took our clients for younger than they
    /// are.
    fn is_stale_answer(&self, now: Time, void: &Void) -> bool {
        let way = |asked| clock(now).saturating_sub(asked);
        void.to.is_some()
            && void
                .asked
                .is_none_or(|asked| way(asked) >= millis(self.config.timing.service_slack))
    }

    fn bye_of(&mut self, now: Time, bye: &Bye) {
        self.touch(now, bye.node);
        if let Some(peer) = self.peers.get_mut(bye.node) {
            peer.leave(
                now + self.config.timing.bye_grace,
                end_of(bye.sent),
                &self.config,
            );
        }
    }

    fn admit(&mut self, now: Time, node: NodeId, seq: Option<u64>) -> Admission {
        let admission = self.peers.admit(now, node, seq, &self.config);
        self.touch(now, node);
        admission
    }

    fn touch(&mut self, now: Time, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.heard(now);
        }
    }

    fn give_freed(&mut self, node: NodeId) {
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        let freed = (node, Arc::clone(&peer.name), peer.freed());
        self.give(freed);
    }

    pub(super) fn refuse(
        &mut self,
        reason: QuarantineReason,
        node: NodeId,
        seq: Option<u64>,
        body: Option<B>,
    ) {
        self.quarantine(Quarantined {
            reason,
            node,
            seq,
            body,
        });
    }
}

/// Characters of a label; the rest of what a peer calls itself is cut.
const MAX_NAME: usize = 64;
