//! What travels between nodes, and how it is written.
//!
//! On the events lane every message is a Feathers envelope (feathers.md §9.2) with a member `wb` that Node processes
//! ignore: `{"event","path","data","context"?,"wb":{"v","node","seq","age"?,"early"?}}`. On the control lane travel the same
//! envelopes, `"again":true` in `wb` of repeated ones, and `{"wb":{"v","control":{…}}}`. Nodes that share a secret add a last
//! member `mac` to all of them: see `seal`.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wingbeat_adapter::Lane;

use super::delivery::{Control, Item, Message, NodeId, VERSION, Wb};
use super::quarantine::Reason;
use super::seal::{SEAL_SIZE, Seal};
use crate::app::registered_path;

/// An event on its way between nodes, without its `wb`: pieces of JSON text that nobody has looked into.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(super) path: Arc<str>,
    pub(super) event: Arc<str>,
    pub(super) data: Bytes,
    pub(super) context: Option<Bytes>,
}

impl Envelope {
    /// Returns an upper bound of the bytes that the envelope takes with its `wb` and, if it is sealed, its `mac`.
    pub(super) fn size(&self, is_sealed: bool) -> usize {
        let seal = if is_sealed { SEAL_SIZE } else { 0 };
        // A character of a name takes at most six bytes when it is escaped.
        let names = 6 * (self.path.len() + self.event.len());
        names + self.data.len() + self.context.as_ref().map_or(0, Bytes::len) + FRAME + seal
    }

    fn write(&self, wb: &Wb, is_again: bool) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.size(true));
        text.extend_from_slice(br#"{"event":"#);
        write_json(&mut text, &*self.event);
        text.extend_from_slice(br#","path":"#);
        write_json(&mut text, &*self.path);
        text.extend_from_slice(br#","data":"#);
        text.extend_from_slice(&self.data);
        if let Some(context) = &self.context {
            text.extend_from_slice(br#","context":"#);
            text.extend_from_slice(context);
        }
        text.extend_from_slice(br#","wb":"#);
        write_json(&mut text, wb);
        if is_again {
            text.pop();
            text.extend_from_slice(br#","again":true}"#);
        }
        text.push(b'}');
        text
    }
}

/// Writes one element of a batch for a lane; with a secret it is sealed.
pub(super) fn encode(item: &Item<Envelope>, lane: Lane, seal: Option<&Seal>) -> Bytes {
    let mut text = write(item);
    if let Some(seal) = seal {
        seal.close(lane, &mut text);
    }
    text.into()
}

fn write(item: &Item<Envelope>) -> Vec<u8> {
    match item {
        Item::Event { wb, body } => body.write(wb, false),
        Item::Again { wb, body } => body.write(wb, true),
        Item::Control(control) => {
            let mut text = format!(r#"{{"wb":{{"v":{VERSION},"control":"#).into_bytes();
            write_json(&mut text, control);
            text.extend_from_slice(b"}}");
            text
        }
    }
}

/// Reads a message of either lane; the pieces of the envelope share the memory of `payload`.
pub(super) fn decode(payload: &Bytes, limit: usize) -> Result<Message<Envelope>, Reason> {
    if payload.len() > limit {
        return Err(Reason::TooLarge);
    }
    if depth(payload) > MAX_DEPTH {
        return Err(Reason::TooDeep);
    }
    // Serde would take an array for the struct as well.
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    let wire = serde_json::from_slice(payload).ok().filter(|_| is_object);
    message(payload, &wire.ok_or(Reason::Malformed)?)
}

fn message(payload: &Bytes, wire: &Wire<'_>) -> Result<Message<Envelope>, Reason> {
    let size = payload.len();
    let Some(wb) = wire.wb.as_ref() else {
        return Ok(Message::Event {
            wb: None,
            body: envelope(payload, wire)?,
            size,
        });
    };
    if wb.v != u64::from(VERSION) {
        return Err(Reason::Version);
    }
    if let Some(control) = &wb.control {
        return Ok(Message::Control(control.clone()));
    }
    let (Some(node), Some(seq)) = (wb.node, wb.seq) else {
        return Err(Reason::Malformed);
    };
    let sealed = Wb {
        v: VERSION,
        node,
        seq,
        age: wb.age,
        early: wb.early,
    };
    let body = envelope(payload, wire)?;
    if wb.again {
        return Ok(Message::Again {
            wb: sealed,
            body,
            size,
        });
    }
    Ok(Message::Event {
        wb: Some(sealed),
        body,
        size,
    })
}

/// The members of a message, found without parsing what is in them.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(default)]
    wb: Option<WireWb>,
}

#[derive(Deserialize)]
struct WireWb {
    v: u64,
    node: Option<NodeId>,
    seq: Option<u64>,
    age: Option<u64>,
    #[serde(default)]
    early: bool,
    #[serde(default)]
    again: bool,
    control: Option<Control>,
}

fn envelope(payload: &Bytes, wire: &Wire<'_>) -> Result<Envelope, Reason> {
    let (Some(event), Some(path)) = (&wire.event, &wire.path) else {
        return Err(Reason::Malformed);
    };
    let piece = |raw: &RawValue| payload.slice_ref(raw.get().as_bytes());
    Ok(Envelope {
        path: registered_path(path).into(),
        event: (&**event).into(),
        data: wire.data.map_or(Bytes::from_static(b"null"), piece),
        context: wire.context.map(piece),
    })
}

/// Counts how deep arrays and objects nest, brackets in strings aside.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Appends a value as JSON; what is written here always can be.
fn write_json<T: Serialize + ?Sized>(text: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(&mut *text, value)
        .expect("strings, numbers and maps with text keys can be written as JSON");
}

/// Peers are not trusted with the stack.
const MAX_DEPTH: usize = 64;
/// Member names and the longest `wb`.
const FRAME: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            path: "messages".into(),
            event: "created".into(),
            data: Bytes::from_static(br#"{"text":"hi"}"#),
            context: Some(Bytes::from_static(br#"{"method":"create"}"#)),
        }
    }

    fn wb() -> Wb {
        Wb {
            v: VERSION,
            node: NodeId::from_bytes([7; 16]),
            seq: 3,
            age: Some(12),
            early: true,
        }
    }

    fn sent(item: &Item<Envelope>) -> Bytes {
        encode(item, Lane::Events, None)
    }

    fn refusal(text: &str) -> Reason {
        decode(&Bytes::copy_from_slice(text.as_bytes()), 1 << 20).unwrap_err()
    }

    #[test]
    fn an_envelope_comes_back_as_it_was_and_is_never_larger_than_its_size() {
        let text = sent(&Item::Event {
            wb: wb(),
            body: envelope(),
        });
        assert!(text.len() <= envelope().size(false));
        assert!(text.len() + SEAL_SIZE <= envelope().size(true));
        let Ok(Message::Event {
            wb: Some(read),
            body,
            ..
        }) = decode(&text, 1 << 20)
        else {
            panic!("not an event")
        };
        assert_eq!(read, wb());
        assert_eq!((&*body.path, &*body.event), ("messages", "created"));
        assert_eq!(
            (body.data, body.context),
            (envelope().data, envelope().context)
        );
    }

    #[test]
    fn the_events_lane_is_what_feathers_sync_writes_plus_wb() {
        let text = sent(&Item::Event {
            wb: Wb {
                age: None,
                early: false,
                ..wb()
            },
            body: envelope(),
        });
        let hex = "07".repeat(16);
        let wanted = format!(
            r#"{{"event":"created","path":"messages","data":{{"text":"hi"}},"context":{{"method":"create"}},"wb":{{"v":1,"node":"{hex}","seq":3}}}}"#
        );
        assert_eq!(text, wanted);
    }

    #[test]
    fn repeated_envelopes_say_so() {
        let text = sent(&Item::Again {
            wb: wb(),
            body: envelope(),
        });
        assert!(matches!(decode(&text, 1 << 20), Ok(Message::Again { .. })));
    }

    #[test]
    fn what_node_processes_send_is_foreign() {
        let text = Bytes::from_static(br#" {"event":"typing","path":"/messages/"}"#);
        let Ok(Message::Event { wb: None, body, .. }) = decode(&text, 1 << 20) else {
            panic!("not foreign")
        };
        assert_eq!((&*body.path, &body.data[..]), ("messages", &b"null"[..]));
    }

    #[test]
    fn hostile_messages_are_refused_with_a_reason() {
        for text in [
            "",
            "null",
            "[]",
            "\"x\"",
            "{",
            "{}",
            r#"["created","messages"]"#,
            "\u{feff}{}",
        ] {
            assert_eq!(refusal(text), Reason::Malformed, "{text}");
        }
        assert_eq!(refusal(r#"{"event":1,"path":"m"}"#), Reason::Malformed);
        assert_eq!(
            refusal(r#"{"event":"e","path":"m","wb":{"v":2}}"#),
            Reason::Version
        );
        assert_eq!(
            refusal(r#"{"event":"e","path":"m","wb":{"v":1,"seq":-1}}"#),
            Reason::Malformed
        );
        assert_eq!(refusal(&"[".repeat(65)), Reason::TooDeep);
        assert_eq!(refusal(&" ".repeat((1 << 20) + 1)), Reason::TooLarge);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[\"[[","b":[{}]}"#), 3);
    }
}
