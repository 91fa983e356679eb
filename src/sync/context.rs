//! The allow-list of context that may leave the process.
//!
//! Node listeners get `type, event, path, method, id, params, result`, with an empty `params.query`, and the fields that
//! the service names by `sync_context`. Headers, cookies, authentication, the connection and the query never leave.

use bytes::Bytes;
use serde_json::Value;

use crate::event::Event;

/// Writes the context of an event as JSON text; custom events have none.
///
/// Nodes that know sequences take what clients get from the envelope's `data`; only Node processes need it again as
/// `result` (feathers.md §9.6), so `with_result` is for the lane that they listen to.
pub(super) fn shared_context(event: &Event, with_result: bool) -> Option<Bytes> {
    let fields = event.context()?.fields();
    let mut text = Vec::with_capacity(
        128 + if with_result {
            event.public_data().as_bytes().len()
        } else {
            0
        },
    );
    text.extend_from_slice(br#"{"type":"around""#);
    member(&mut text, "event", &Value::from(event.name()));
    member(&mut text, "path", &Value::from(event.path()));
    for (name, value) in fields {
        member(&mut text, name, value);
    }
    if with_result {
        text.extend_from_slice(br#","result":"#);
        text.extend_from_slice(event.public_data().as_bytes());
    }
    text.push(b'}');
    Some(text.into())
}

fn member(text: &mut Vec<u8>, name: &str, value: &Value) {
    text.push(b',');
    text.extend_from_slice(Value::from(name).to_string().as_bytes());
    text.push(b':');
    text.extend_from_slice(value.to_string().as_bytes());
}
