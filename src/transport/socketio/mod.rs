//! Socket.IO v5 on the default namespace: packets, answers, and how Feathers clients call services (feathers.md §2).
//!
//! In come the texts and attachments of an Engine.IO connection; out go calls, and frames into the connection's outbox.
//!
//! Attachments: a call may carry up to ten binary attachments, together with the packet not larger than `max_message`. A
//! service sees each as `{"$binary":"<base64>"}`, padded, and what it returns or emits in that form reaches clients as
//! attachments, up to ten with one packet; with more of them all stay JSON. Over REST and between nodes it is plain JSON.
//!
//! Invariant: a malformed packet closes the transport; it never panics and is never half-way a call.

mod attachments;
mod binary;
mod call;
mod format;
mod packet;
mod session;

#[cfg(feature = "__fuzz")]
pub(super) use attachments::Assembly;
#[cfg(feature = "__fuzz")]
pub(super) use packet::{Body, Packet};
pub(crate) use session::Session;
