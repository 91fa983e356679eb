use std::sync::Arc;
use std::time::Duration;

use wingbeat_adapter::Lane;

use super::message::{Control, Wb};
use super::node::NodeId;
use super::stats::{Gap, Status};

/// The encoded body of an envelope, without its `wb`: cheap to clone.
pub(crate) trait Body: Clone {
    /// The place of its service in [`Config::services`](super::Config); `None` if it is of none of them.
    fn service(&self) -> Option<usize>;
}

/// Names one link; the shell counts up with every dial that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u64);

/// Names one batch of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(pub(crate) u64);

/// What happens to a core.
#[derive(Clone, Debug)]
pub(crate) enum Input<E, B> {
    /// This app emitted an event.
    Emit(Emit<E, B>),
    /// `connect` resolved: both lanes are subscribed.
    LinkUp { link: LinkId },
    /// `connect` failed.
    DialFailed,
    /// The link ended or erred.
    LinkDown { link: LinkId },
    /// A message came in, decoded by the shell.
    Received { link: LinkId, message: Message<B> },
    /// The adapter says that this many messages were dropped on their way to us.
    Lost { link: LinkId, n: u64 },
    /// A batch is done; `failed` names the elements that the broker did not take.
    Published {
        link: LinkId,
        batch: BatchId,
        failed: Vec<(usize, Failure)>,
    },
    /// Time passed. The shell hands in what is readable and the publish that is done *before* it ticks, because a starved
    /// node is not deaf.
    Tick,
    /// Go on under this id, as the answer to [`Output::Cloned`].
    Rename(NodeId),
    /// Take no more events; say goodbye when everything is settled.
    Close,
    /// The deadline of `Close` has passed.
    CloseNow,
}

/// One own event, in the order of the calls.
#[derive(Clone, Debug)]
pub(crate) struct Emit<E, B> {
    /// What own clients get.
    pub(crate) event: E,
    /// What the other nodes get; `None` if it stays here (`sync(false)`, too large, receive-only).
    pub(crate) sync: Option<Outgoing<B>>,
}

/// The envelope of an own event, without its `wb`.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing<B> {
    pub(crate) lane: Lane,
    pub(crate) body: B,
    /// Bytes that the body takes.
    pub(crate) size: usize,
}

/// Why the broker did not take an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It may take it later.
    Transient,
    /// It never will: too large, no permission.
    Permanent,
}

/// A message of either lane.
#[derive(Clone, Debug)]
pub(crate) enum Message<B> {
    /// An envelope; one without `wb` is foreign.
    Event {
        wb: Option<Wb>,
        body: B,
        size: usize,
    },
    /// An envelope of ours that came back, of which nothing else is needed.
    Echo {
        seq: u64,
    },
    /// An envelope that its origin repeats because somebody asked.
    Again {
        wb: Wb,
        body: B,
        size: usize,
    },
    Control(Control),
    /// The hello of a node that speaks another version.
    Stranger(NodeId),
}

/// What the shell has to do, in this order and under the lock that guards the core.
#[derive(Clone, Debug)]
pub(crate) enum Output<E, B> {
    /// Own clients hear an own event.
    Deliver(E),
    /// Own clients hear a peer's event.
    Release(Release<B>),
    /// Own clients hear an event of a peer that knows no sequence.
    Foreign { body: B },
    /// Publish this batch and report back with `Published`; there is no other one until then.
    Publish(Publish<B>),
    /// Dial after this time, and answer with `LinkUp` or `DialFailed`.
    Dial { after: Duration },
    /// Close the link. The core has already forgotten it, so no `LinkDown` is needed.
    DropLink { link: LinkId, reason: DropReason },
    /// The status changed.
    Status(Status),
    /// Events are gone for our clients.
    Gap(Gap),
    /// A message could not be used or sent.
    Quarantine(Quarantined<B>),
    /// Another node has our id. The shell answers with `Rename`.
    Cloned,
    /// The core is closed. Only `Emit` has an effect from here on.
    Closed,
}

/// A peer's event whose turn has come.
#[derive(Clone, Debug)]
pub(crate) struct Release<B> {
    pub(crate) from: NodeId,
    /// The peer's label.
    pub(crate) name: Arc<str>,
    /// How late the origin sent it; a client younger than that did not exist when it happened.
    pub(crate) age: Option<Duration>,
    pub(crate) body: B,
}

/// Elements for one lane of one link, in order.
#[derive(Clone, Debug)]
pub(crate) struct Publish<B> {
    pub(crate) link: LinkId,
    pub(crate) batch: BatchId,
    pub(crate) lane: Lane,
    pub(crate) items: Vec<Item<B>>,
}

/// One element of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Item<B> {
    Event { wb: Wb, body: B },
    Again { wb: Wb, body: B },
    Control(Control),
}

/// Why the core gives a link up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// The first own hello of the link did not come back.
    NoProof,
    /// A publish did not return.
    PublishHangs,
    /// An envelope that was sent on this link did not come back.
    NoEcho,
    /// Own hellos stopped coming back.
    HelloLost,
    /// We hear ourselves, but every peer says that it does not hear us.
    PeersDeaf,
    /// Another link took its place.
    Replaced,
    /// We go on under another id.
    Renamed,
    /// The core is closed.
    Closed,
}

/// A message that could not be used (`node` is its origin) or sent (`node` is ours).
#[derive(Clone, Debug)]
pub(crate) struct Quarantined<B> {
    pub(crate) reason: QuarantineReason,
    pub(crate) node: NodeId,
    pub(crate) seq: Option<u64>,
    pub(crate) body: Option<B>,
}

/// Why a message is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuarantineReason {
    /// A sequence or range that no log can reach.
    ImplausibleSeq,
    /// Our id on something that we did not send: two nodes share it.
    ClonedIdentity,
    /// A version of the protocol that we do not speak.
    Version,
    /// The peer encodes envelopes in a way that we do not read.
    Codec,
    /// The table of peers is full.
    TooManyPeers,
    /// The broker refused an own event for good.
    Refused,
}
