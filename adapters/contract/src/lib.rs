//! The contract between wingbeat and a message broker.
//!
//! wingbeat brings a service event from the process where it happened to every other process that serves the
//! same app. Something has to carry it there: Redis, RabbitMQ, NATS, or a `Vec` in memory. This crate says what
//! that something must do, and nothing else, so that a binding to another broker needs this crate alone.
//!
//! # Mechanism here, policy above
//!
//! An adapter answers one question: *open a link*. A [`Link`] has two halves, an [`Outbound`] that hands bytes to
//! the broker and an [`Inbound`] stream of what the broker hands back, and it exists only while it is live. An
//! adapter does not reconnect, retry, keep a queue of what could not be sent, or publish a status; wingbeat's
//! supervisor does these for every broker, once. When a link is lost, the adapter's whole duty is to say so, by
//! ending the inbound stream, and to open another when it is asked.
//!
//! Whether client libraries like it or not, this means that their own reconnecting is switched off: two owners of
//! the truth "are we connected?" are one too many.
//!
//! # Two lanes, one link
//!
//! Each link speaks on two topics, its [lanes](Lane). *Events* carries envelopes that foreign peers can read;
//! *control* carries what only wingbeat nodes understand. Both are subscribed and confirmed before
//! [`connect`](SyncAdapter::connect) resolves, so "published before subscribed" cannot be written.
//!
//! # Bytes, not values
//!
//! Payloads are opaque. The codec lives above, so every adapter carries every serializer.
//!
//! # What a publish proves
//!
//! Nothing. A broker says OK to nobody listening, and a client library says OK to its own buffer. An event is
//! settled when the sender hears its own echo, which is why clause 1 of the
//! [contract](SyncAdapter#contract) includes the sender.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use futures_util::StreamExt;
//! use wingbeat_adapter::{Incoming, Lane, LinkOptions, MemoryBroker, SyncAdapter};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), wingbeat_adapter::SyncError> {
//! let broker = MemoryBroker::new();
//! let options = LinkOptions::new("feathers-sync");
//! let mut sender = broker.connect(&options).await?;
//! let mut peer = broker.connect(&options).await?;
//!
//! let report = sender.outbound.publish(Lane::Events, &[Bytes::from("hello")]).await?;
//! assert!(report.failed.is_empty());
//!
//! for link in [&mut sender, &mut peer] {
//!     let Some(Ok(Incoming::Message { lane, payload })) = link.inbound.next().await else {
//!         panic!("the link is over");
//!     };
//!     assert_eq!((lane, &payload[..]), (Lane::Events, &b"hello"[..]));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Write an adapter
//!
//! Implement [`SyncAdapter`] and [`Outbound`]; feed what the broker delivers into an [`inbox()`], whose reading
//! half is the inbound stream: bounded, ordered, and honest about what it had to drop. [`MemoryBroker`] is a
//! complete adapter in two hundred lines.
//!
//! With the feature `conformance`, the module of that name tries an adapter against every clause of the contract, with
//! faults: its author writes a harness for the broker and one line.

mod adapter;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod inbox;
mod memory;

pub use adapter::{
    BoxFuture, BoxStream, Inbound, Incoming, Lane, Link, LinkOptions, Order, Outbound, Report,
    SyncAdapter,
};
pub use error::{ErrorKind, SyncError};
pub use inbox::{Inbox, InboxLimits, InboxSender, inbox};
pub use memory::MemoryBroker;
