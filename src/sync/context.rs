//! The allow-list of context that may leave the process.
//!
//! Node listeners get `type, event, path, method, id, params, result`, with an empty `params.query`, and the fields that
//! the service names by `sync_context`. Headers, cookies, authentication, the connection and the query never leave.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use crate::event::Event;
use crate::json;

/// Writes the context of an event as JSON text, in the space of `text`, which is empty; custom events have none.
///
/// Nodes that know sequences take what clients get from the envelope's `data`; only Node processes need it again as
/// `result` (feathers.md §9.6), so `with_result` is for the lane that they listen to.
pub(super) fn shared_context(
    text: &mut BytesMut,
    event: &Event,
    with_result: bool,
) -> Option<Bytes> {
    let fields = event.context()?.fields();
    text.extend_from_slice(br#"{"type":"around""#);
    text.extend_from_slice(br#","event":"#);
    json::write_string(text, event.name());
    text.extend_from_slice(br#","path":"#);
    json::write_string(text, event.path());
    for (name, value) in fields {
        member(text, name, value);
    }
    if with_result {
        text.extend_from_slice(br#","result":"#);
        text.extend_from_slice(event.public_data().as_bytes());
    }
    text.put_u8(b'}');
    Some(text.split().freeze())
}

fn member(text: &mut BytesMut, name: &str, value: &Value) {
    text.put_u8(b',');
    json::write_string(text, name);
    text.put_u8(b':');
    json::write(text, value);
}
