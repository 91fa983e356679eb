//! The websocket layer below Engine.IO and the plain websocket: reading by a library, writing frames that are shared.
//!
//! `permessage-deflate` is never offered: a compressed frame belongs to one connection and could not be shared.
//!
//! Invariant: whatever a client sends or does not read, memory for it is bounded: one message, its open calls, the outbox,
//! and sixteen frames of the writer's own.

mod accept;
mod frame;
mod goodbye;
mod heartbeat;
mod io;
mod reader;
mod socket;
mod writer;

pub(super) use accept::{accept, is_possible};
pub(super) use frame::TextFrame;
#[cfg(feature = "msgpack")]
pub(super) use frame::binary_frame;
pub(super) use frame::{Payload, close_frame, packet_length, payloads};
pub(super) use goodbye::{GOODBYE, goodbye};
pub(super) use heartbeat::{Beat, Heartbeat, LONGEST, beats};
pub(super) use io::Io;
pub(super) use reader::Reader;
pub(super) use socket::{Closing, Party, Socket, UNREAD, run, serve};
pub(super) use writer::Writer;
