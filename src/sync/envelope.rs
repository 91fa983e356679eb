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

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wingbeat_adapter::Lane;

use super::delivery::{Body, Control, Item, LAST_SEQ, Message, NodeId, VERSION, Wb};
use super::quarantine::Reason;
use super::seal::{SEAL_SIZE, Seal};
use super::services::{Service, Services};
use crate::json;
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
    pub(super) fn widest(&self) -> BytesMut {
        let wb = Wb {
            v: VERSION,
            node: NodeId::from_bytes([0; 16]),
            seq: LAST_SEQ,
            age: Some(LAST_SEQ),
            early: true,
        };
        let mut text = BytesMut::new();
        self.write(&mut text, &wb, true);
        text
    }

    fn write(&self, text: &mut BytesMut, wb: &Wb, is_again: bool) {
        text.reserve(self.size(true));
        text.extend_from_slice(br#"{"event":"#);
        json::write_string(text, &self.event);
        text.extend_from_slice(br#","path":"#);
        json::write_string(text, &self.path);
        text.extend_from_slice(br#","data":"#);
        text.extend_from_slice(&self.data);
        if let Some(context) = &self.context {
            text.extend_from_slice(br#","context":"#);
            text.extend_from_slice(context);
        }
        text.put_u8(b',');
        write_wb(text, wb);
        if let Some(trace) = &self.trace {
            text.extend_from_slice(TRACE);
            write_shown(text, trace);
            text.put_u8(b'"');
        }
        if is_again {
            text.extend_from_slice(br#","again":true"#);
        }
        text.extend_from_slice(b"}}");
    }
}

/// Writes one element of a batch for a lane; with a secret it is sealed. What is written is all that `text` has.
pub(super) fn encode(
    text: &mut BytesMut,
    item: &Item<Envelope>,
    lane: Lane,
    seal: Option<&Seal>,
) -> Bytes {
    write(text, item);
    if let Some(seal) = seal {
        seal.close(lane, text);
    }
    text.split().freeze()
}

pub(super) fn write(text: &mut BytesMut, item: &Item<Envelope>) {
    match item {
        Item::Event { wb, body } => body.write(text, wb, false),
        Item::Again { wb, body } => body.write(text, wb, true),
        Item::Control(control) => {
            text.extend_from_slice(br#"{"wb":{"v":"#);
            write_json(text, &VERSION);
            text.extend_from_slice(br#","control":"#);
            write_json(text, control);
            text.extend_from_slice(b"}}");
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
///
/// The member's name is part of it: data that looks like a `wb` ends a message of Node processes with its own two braces.
pub(super) fn own_mark(node: NodeId) -> Bytes {
    let mut mark = BytesMut::new();
    write_mark(&mut mark, VERSION, node);
    mark.freeze()
}

/// Reads the sequence of an envelope that this node wrote itself; its other members are not looked at. `None` says only
/// that the message has to be read in full: it is of somebody else, or late.
pub(super) fn own_echo(payload: &[u8], own_mark: &[u8]) -> Option<u64> {
    let (front, traced) = payload.split_at(payload.len().saturating_sub(TRACED));
    let front = if traced.starts_with(TRACE) {
        front
    } else {
        payload.strip_suffix(b"}}")?
    };
    let is_other = |byte: &u8| !byte.is_ascii_digit();
    let digits = front.rsplit(is_other).next()?;
    let head = &front[..front.len() - digits.len()];
    head.ends_with(own_mark)
        .then(|| str::from_utf8(digits).ok()?.parse().ok())?
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
        return Ok(Message::Control(Control::clone(control)));
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
    event: Option<Text<'a>>,
    #[serde(borrow, default)]
    path: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
    #[serde(borrow, default)]
    wb: Option<WireWb<'a>>,
}

/// A string that is copied only if it has escapes, which serde does not see to inside an `Option`.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

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
    control: Option<Box<Control>>,
    /// Whatever stands here, the event counts.
    #[serde(borrow, default)]
    trace: Option<&'a RawValue>,
}

fn envelope(payload: &Bytes, wire: &Wire<'_>, services: &Services) -> Result<Envelope, Reason> {
    let (Some(event), Some(path)) = (&wire.event, &wire.path) else {
        return Err(Reason::Malformed);
    };
    let piece = |raw: &RawValue| payload.slice_ref(raw.get().as_bytes());
    let (path, service) = services.find(&path.0);
    Ok(Envelope {
        path,
        service,
        event: services.event(&event.0),
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

/// Appends the member `wb`, open at its end. Serde would take three times as long, and every envelope has one.
fn write_wb(text: &mut BytesMut, wb: &Wb) {
    write_mark(text, wb.v, wb.node);
    write_json(text, &wb.seq);
    if let Some(age) = &wb.age {
        text.extend_from_slice(br#","age":"#);
        write_json(text, age);
    }
    if wb.early {
        text.extend_from_slice(br#","early":true"#);
    }
}

fn write_mark(text: &mut BytesMut, version: u8, node: NodeId) {
    text.extend_from_slice(br#""wb":{"v":"#);
    write_json(text, &version);
    text.extend_from_slice(br#","node":""#);
    text.extend_from_slice(&node.hex());
    text.extend_from_slice(br#"","seq":"#);
}

/// Appends a value as JSON; what is written here always can be.
fn write_json<T: Serialize + ?Sized>(text: &mut BytesMut, value: &T) {
    serde_json::to_writer(text.writer(), value)
        .expect("strings, numbers and maps with text keys can be written as JSON");
}

/// Appends what a value shows as; nothing in it needs an escape.
fn write_shown(text: &mut BytesMut, value: &impl fmt::Display) {
    write!(text.writer(), "{value}").expect("memory takes every byte");
}

/// What follows on a sequence if the envelope has a trace and nothing else.
const TRACED: usize = TRACE.len() + TraceContext::LENGTH + r#""}}"#.len();
/// Peers are not trusted with the stack.
const MAX_DEPTH: usize = 64;
/// Member names and the longest `wb`.
const FRAME: usize = 192;
const TRACE: &[u8] = br#","trace":""#;

#[cfg(test)]
mod tests;
