//! What travels between nodes, and how it is written.
//!
//! On the events lane every message is a Feathers envelope (feathers.md §9.2) with a member `wb` that Node processes
//! ignore: `{"event","path","data","context"?,"wb":{"v","node","seq","age"?,"early"?,"trace"?}}`, where `trace` is the
//! `traceparent` of the call. On the control lane travel the same envelopes, `"again":true` in `wb` of repeated ones, and
//! `{"wb":{"v","control":{…}}}`. Nodes that share a secret add a last member `mac` to all of them: see `seal`.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wingbeat_adapter::Lane;

use super::delivery::{Body, Control, Item, LAST_SEQ, Message, NodeId, VERSION, Wb};
use super::quarantine::Reason;
use super::seal::{SEAL_SIZE, Seal};
use super::services::{Service, Services};
use crate::trace::TraceContext;

/// An event on its way between nodes, without its `wb`: pieces of JSON text that nobody has looked into.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(super) path: Arc<str>,
    /// The service, if it is one of this app's.
    pub(super) service: Option<Service>,
    pub(super) event: Arc<str>,
    pub(super) data: Bytes,
    pub(super) context: Option<Bytes>,
    pub(super) trace: Option<TraceContext>,
    /// The message as it came, if its codec has more types than JSON.
    pub(super) typed: Option<Bytes>,
}

impl Body for Envelope {
    /// Services whose events of peers nobody here hears can not diverge.
    fn service(&self) -> Option<usize> {
        self.service
            .filter(|service| service.mode.receives())
            .map(|service| service.place)
    }
}

impl Envelope {
    /// Returns an upper bound of the bytes that the envelope takes with its `wb` and, if it is sealed, its `mac`.
    pub(super) fn size(&self, is_sealed: bool) -> usize {
        let seal = if is_sealed { SEAL_SIZE } else { 0 };
        // A character of a name takes at most six bytes when it is escaped.
        let names = 6 * (self.path.len() + self.event.len());
        let trace = self
            .trace
            .map_or(0, |_| TRACE.len() + TraceContext::LENGTH + 1);
        names + self.data.len() + self.context.as_ref().map_or(0, Bytes::len) + trace + FRAME + seal
    }

    /// Writes it with the longest `wb` that there can be.
    pub(super) fn widest(&self) -> Vec<u8> {
        let wb = Wb {
            v: VERSION,
            node: NodeId::from_bytes([0; 16]),
            seq: LAST_SEQ,
            age: Some(LAST_SEQ),
            early: true,
        };
        self.write(&wb, true)
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
        text.pop();
        if let Some(trace) = &self.trace {
            text.extend_from_slice(TRACE);
            write_shown(&mut text, trace);
            text.push(b'"');
        }
        if is_again {
            text.extend_from_slice(br#","again":true"#);
        }
        text.extend_from_slice(b"}}");
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

pub(super) fn write(item: &Item<Envelope>) -> Vec<u8> {
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
pub(super) fn decode(
    payload: &Bytes,
    limit: usize,
    services: &Services,
) -> Result<Message<Envelope>, Reason> {
    if payload.len() > limit {
        return Err(Reason::TooLarge);
    }
    if n_openings(payload) > MAX_DEPTH && depth(payload) > MAX_DEPTH {
        return Err(Reason::TooDeep);
    }
    // Serde would take an array for the struct as well.
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    // Text that is known to be text is not looked at again, member by member.
    let text = str::from_utf8(payload).ok().filter(|_| is_object);
    let wire = text.and_then(|text| serde_json::from_str(text).ok());
    let read = wire.map_or(Err(Reason::Malformed), |wire| {
        message(payload, &wire, services)
    });
    read.or_else(|reason| other_version(payload).unwrap_or(Err(reason)))
}

/// How the `wb` of what a node writes itself begins, up to the sequence.
pub(super) fn own_mark(node: NodeId) -> Vec<u8> {
    format!(r#"{{"v":{VERSION},"node":"{node}","seq":"#).into_bytes()
}

/// Reads the sequence of an envelope that this node wrote itself; its other members are not looked at. `None` says only
/// that the message has to be read in full: it is of somebody else, or late.
pub(super) fn own_echo(payload: &[u8], own_mark: &[u8]) -> Option<u64> {
    let tail = &payload[payload.len().saturating_sub(own_mark.len() + LONGEST_TAIL)..];
    let open = tail.iter().rposition(|byte| *byte == b'{')?;
    let tail = tail[open..].strip_prefix(own_mark)?;
    let n_digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, end) = tail.split_at(n_digits);
    let is_usual = end == b"}}" || (end.starts_with(TRACE) && end.len() == TRACED);
    str::from_utf8(digits)
        .ok()
        .filter(|_| is_usual)?
        .parse()
        .ok()
}

/// Reads as much of another version as tells who speaks it; nothing else of it needs to have the shape that we know.
fn other_version(payload: &[u8]) -> Option<Result<Message<Envelope>, Reason>> {
    let Stranger { wb } = serde_json::from_slice(payload).ok()?;
    let hello = wb.control.and_then(|control| control.hello);
    (wb.v != u64::from(VERSION)).then(|| {
        hello.map_or(Err(Reason::Version), |hello| {
            Ok(Message::Stranger(hello.node))
        })
    })
}

fn message(
    payload: &Bytes,
    wire: &Wire<'_>,
    services: &Services,
) -> Result<Message<Envelope>, Reason> {
    let size = payload.len();
    let Some(wb) = wire.wb.as_ref() else {
        return Ok(Message::Event {
            wb: None,
            body: envelope(payload, wire, services)?,
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
    let body = envelope(payload, wire, services)?;
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
    #[serde(borrow, default)]
    wb: Option<WireWb<'a>>,
}

/// What every version of the protocol keeps.
#[derive(Deserialize)]
struct Stranger {
    wb: StrangerWb,
}

#[derive(Deserialize)]
struct StrangerWb {
    v: u64,
    control: Option<StrangerControl>,
}

#[derive(Deserialize)]
struct StrangerControl {
    hello: Option<StrangerHello>,
}

#[derive(Deserialize)]
struct StrangerHello {
    node: NodeId,
}

#[derive(Deserialize)]
struct WireWb<'a> {
    v: u64,
    node: Option<NodeId>,
    seq: Option<u64>,
    age: Option<u64>,
    #[serde(default)]
    early: bool,
    #[serde(default)]
    again: bool,
    control: Option<Control>,
    /// Whatever stands here, the event counts.
    #[serde(borrow, default)]
    trace: Option<&'a RawValue>,
}

fn envelope(payload: &Bytes, wire: &Wire<'_>, services: &Services) -> Result<Envelope, Reason> {
    let (Some(event), Some(path)) = (&wire.event, &wire.path) else {
        return Err(Reason::Malformed);
    };
    let piece = |raw: &RawValue| payload.slice_ref(raw.get().as_bytes());
    let (path, service) = services.find(path);
    Ok(Envelope {
        path,
        service,
        event: services.event(event),
        data: wire.data.map_or(Bytes::from_static(b"null"), piece),
        context: wire.context.map(piece),
        trace: wire.wb.as_ref().and_then(|wb| trace(wb.trace?)),
        typed: None,
    })
}

/// Counts opening brackets wherever they stand: what has few of them can not nest deeply, and this is quickly seen.
fn n_openings(text: &[u8]) -> usize {
    // Both differ in one bit. Sums of single bytes are made many at a time.
    let is_opening = |byte: &u8| u8::from(byte | 0x20 == b'{');
    let pieces = text.chunks(usize::from(u8::MAX));
    pieces
        .map(|piece| usize::from(piece.iter().map(is_opening).sum::<u8>()))
        .sum()
}

fn trace(raw: &RawValue) -> Option<TraceContext> {
    let text = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    text.parse().ok()
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

/// Appends what a value shows as; nothing in it needs an escape.
fn write_shown(text: &mut Vec<u8>, value: &impl fmt::Display) {
    write!(text, "{value}").expect("memory takes every byte");
}

/// What follows on a sequence if the envelope has a trace and nothing else.
const TRACED: usize = TRACE.len() + TraceContext::LENGTH + r#""}}"#.len();
const LONGEST_TAIL: usize = "9007199254740991".len() + TRACED;
/// Peers are not trusted with the stack.
const MAX_DEPTH: usize = 64;
/// Member names and the longest `wb`.
const FRAME: usize = 192;
const TRACE: &[u8] = br#","trace":""#;

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            path: "messages".into(),
            service: None,
            event: "created".into(),
            data: Bytes::from_static(br#"{"text":"hi"}"#),
            context: Some(Bytes::from_static(br#"{"method":"create"}"#)),
            trace: None,
            typed: None,
        }
    }

    fn traced() -> Envelope {
        Envelope {
            trace: TraceContext::new(u128::MAX, u64::MAX, 1),
            ..envelope()
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

    fn read(text: &Bytes) -> Result<Message<Envelope>, Reason> {
        decode(text, 1 << 20, &Services::new([]))
    }

    fn refusal(text: &str) -> Reason {
        read(&Bytes::copy_from_slice(text.as_bytes())).unwrap_err()
    }

    #[test]
    fn an_envelope_comes_back_as_it_was_and_is_never_larger_than_its_size() {
        let text = sent(&Item::Event {
            wb: wb(),
            body: traced(),
        });
        assert!(text.len() <= traced().size(false));
        assert!(text.len() + SEAL_SIZE <= traced().size(true));
        let Ok(Message::Event {
            wb: Some(read),
            body,
            ..
        }) = read(&text)
        else {
            panic!("not an event")
        };
        assert_eq!(read, wb());
        assert_eq!((&*body.path, &*body.event), ("messages", "created"));
        assert_eq!(body.trace, traced().trace);
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

    /// Its names are escaped, and every number of its `wb` has all its digits.
    #[test]
    fn the_longest_envelope_is_no_larger_than_its_size() {
        let body = Envelope {
            path: "\u{1}".repeat(9).into(),
            event: "\u{1}".into(),
            ..traced()
        };
        let wb = Wb {
            seq: u64::MAX,
            age: Some(u64::MAX),
            ..wb()
        };
        let size = body.size(false);
        assert!(sent(&Item::Again { wb, body }).len() <= size);
    }

    #[test]
    fn a_trace_is_one_more_member_of_wb_and_a_wrong_one_is_ignored() {
        let plain = sent(&Item::Again {
            wb: wb(),
            body: envelope(),
        });
        let text = sent(&Item::Again {
            wb: wb(),
            body: traced(),
        });
        let text = String::from_utf8_lossy(&text);
        let member = format!(r#","trace":"00-{}-{}-01""#, "f".repeat(32), "f".repeat(16));
        assert_eq!(text.replace(&member, ""), plain);
        for wrong in [r#""00-x""#, "7", r#"{"a":[]}"#, "null"] {
            let text = text.replace(&member, &format!(r#","trace":{wrong}"#));
            let Ok(Message::Again { body, .. }) = read(&text.into_bytes().into()) else {
                panic!("{wrong} costs the event")
            };
            assert_eq!(body.trace, None);
        }
    }

    #[test]
    fn repeated_envelopes_say_so() {
        let text = sent(&Item::Again {
            wb: wb(),
            body: envelope(),
        });
        assert!(matches!(read(&text), Ok(Message::Again { .. })));
    }

    #[test]
    fn what_node_processes_send_is_foreign() {
        let text = Bytes::from_static(br#" {"event":"typing","path":"/messages/"}"#);
        let Ok(Message::Event { wb: None, body, .. }) = read(&text) else {
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
        assert_eq!(
            refusal(r#"{"event":"e","path":"m","wb":{"v":2,"seq":"of another kind"}}"#),
            Reason::Version
        );
        assert_eq!(refusal(&"[".repeat(65)), Reason::TooDeep);
        assert_eq!(refusal(&" ".repeat((1 << 20) + 1)), Reason::TooLarge);
    }

    #[test]
    fn the_hello_of_another_version_tells_who_speaks_it() {
        let hex = "0b".repeat(16);
        let text =
            format!(r#"{{"wb":{{"v":2,"control":{{"hello":{{"node":"{hex}","news":1}}}}}}}}"#);
        let message = read(&Bytes::from(text)).unwrap();
        assert!(matches!(message, Message::Stranger(node) if node == NodeId::from_bytes([11; 16])));
    }

    #[test]
    fn an_own_echo_is_known_by_its_end() {
        let mark = own_mark(wb().node);
        let event = |wb| {
            sent(&Item::Event {
                wb,
                body: envelope(),
            })
        };
        let usual = Wb {
            age: None,
            early: false,
            ..wb()
        };
        assert_eq!(own_echo(&event(usual.clone()), &mark), Some(3));
        let traced = Item::Event {
            wb: usual,
            body: traced(),
        };
        assert_eq!(own_echo(&sent(&traced), &mark), Some(3));
        assert_eq!(own_echo(&event(wb()), &mark), None, "late");
        let node = NodeId::from_bytes([8; 16]);
        assert_eq!(own_echo(&event(Wb { node, ..wb() }), &mark), None);
        let again = Item::Again {
            wb: wb(),
            body: envelope(),
        };
        assert_eq!(own_echo(&sent(&again), &mark), None);
        let text = str::from_utf8(&mark).unwrap();
        let nested = format!(r#"{{"event":"e","path":"p","data":{{"wb":{text}7}}}}}}"#);
        assert_eq!(own_echo(nested.as_bytes(), &mark), None);
        assert_eq!(own_echo(b"", &mark), None);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(depth(br#"{"a":"[[[\"[[","b":[{}]}"#), 3);
    }
}
