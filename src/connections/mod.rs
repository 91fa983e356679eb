//! 7 · Who is there: the clients of this node, the frames they share and the queues that lead to them.
//!
//! In comes an event with the connections that are to hear it; out go bytes.
//!
//! Invariant: `connections` knows no protocol; a frame is encoded once per event, wire format and payload, and shared by all
//! who get it. A slow client never delays others.

mod connection;
mod frames;
mod headers;
mod outbox;
mod registry;
mod sender;

pub use connection::Connection;
pub(crate) use connection::{ConnectionInfo, Interest};
#[cfg(test)]
pub(crate) use frames::Plain;
pub(crate) use frames::{Frames, WireFormat};
pub(crate) use headers::Headers;
pub use outbox::{CloseReason, OutboxLimits, SlowPolicy};
pub(crate) use outbox::{Drained, Held, Outbox, Piece};
pub(crate) use registry::Connections;
pub(crate) use sender::Sender;
