//! 6 · Who should hear it: named sets of connections, and the functions that pick them for an event.
//!
//! In comes an [`Event`](crate::event::Event), in the order in which clients are to hear it; out go frames to connections.
//!
//! Invariant: `channels` does not know that `sync` exists; and a connection gets an event at most once, in however many of the
//! picked channels it is.

mod audience;
mod dispatch;
mod fan_out;
mod publisher;
mod registry;
mod unwritten;

pub use audience::Audience;
pub(crate) use dispatch::Dispatch;
pub(crate) use fan_out::Sending;
pub(crate) use publisher::Publishers;
pub use publisher::{NotSynced, Publication};
pub(crate) use registry::is_truthy;
pub use registry::{Channel, Channels};
