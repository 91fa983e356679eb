//! The websocket layer below Engine.IO: reading by a library, writing frames that are shared.
//!
//! `permessage-deflate` is never offered: a compressed frame belongs to one connection and could not be shared.

mod frame;
mod reader;
mod writer;

pub(crate) use frame::{Payload, TextFrame, close_frame, payloads};
pub(crate) use reader::Reader;
pub(super) use writer::Writer;
