//! Socket.IO v5 on the default namespace: packets, answers, and how Feathers clients call services (feathers.md §2).
//!
//! In come the texts and attachments of an Engine.IO connection; out go calls, and frames into the connection's outbox.
//!
//! Attachments: a call may carry up to ten binary attachments, together with the packet not larger than `max_message`. A
//! service sees each as a string, in base64 with padding. What goes to clients is JSON without attachments.
//!
//! Invariant: a malformed packet closes the transport; it never panics and is never half-way a call.

mod attachments;
mod call;
mod format;
mod packet;
mod session;

#[cfg(feature = "__fuzz")]
pub(super) use attachments::Assembly;
#[cfg(feature = "__fuzz")]
pub(super) use packet::{Body, Packet};
pub(crate) use session::Session;
