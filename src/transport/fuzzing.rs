//! What clients send, for `fuzz/`.

use std::mem::discriminant;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tungstenite::Error;
use tungstenite::protocol::Message;

use super::engineio;
pub use super::plain::fuzzing::plain;
use super::query::{parse, parse_form};
use super::socketio::{Assembly, Body, Packet};
use super::websocket::Reader;
use crate::json::parse as parse_json;
use crate::service::query::{Paginate, Query, QueryOptions};

/// Reads a query string, and the same as a form.
///
/// # Panics
/// When a leaf is no string, or the result is deeper than `query` says.
pub fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check_query(parse(&text), QUERY_DEPTH);
    if let Ok(form) = parse_form(&text) {
        check_query(form, FORM_DEPTH);
    }
}

fn check_query(query: Map<String, Value>, max_depth: usize) {
    let query = Value::Object(query);
    assert!(depth(&query) <= max_depth);
    assert!(holds(&query, &|value| {
        matches!(value, Value::String(_) | Value::Array(_) | Value::Object(_))
    }));
    assert!(holds(&query, &|value| value.get("__proto__").is_none()));
}

/// Reads what a store is asked for, as JSON or as a query string, and asks a few records.
///
/// # Panics
/// When a bad query is no `BadRequest`, two records stand before each other, or a window leaves its records.
pub fn filter(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let written = match parse_json(&text) {
        Some(Value::Object(query)) => query,
        _ => parse(&text),
    };
    let query = match Query::parse(&written, &QueryOptions::default()) {
        Ok(query) => query,
        Err(error) => return assert_eq!(error.code(), 400),
    };
    let records = [Value::Object(written), records()];
    let records: Vec<&Value> = records.iter().flat_map(children).chain(&records).collect();
    for record in &records {
        let _ = query.matches(record);
        for other in &records {
            let order = query.compare(record, other);
            assert_eq!(order, query.compare(other, record).reverse());
        }
    }
    for paginate in [None, Some(Paginate::default()), Some(Paginate::new(2, 3))] {
        let range = query.window(paginate.as_ref()).range(records.len());
        assert!(range.start <= range.end && range.end <= records.len());
    }
}

fn records() -> Value {
    json!([
        { "id": 1, "a": [1, "x", { "b": null }], "n": 9_007_199_254_740_993_i64 },
        { "id": "b", "a": { "b": [[], { "c": 1.5 }] }, "n": 9_007_199_254_740_992.0 },
        { "id": 3, "a": true, "n": "1" },
    ])
}

/// Reads a packet, the first line, and its attachments, the other lines.
///
/// # Panics
/// When an event does not come back as it was, or one that is complete is far larger than what was sent.
pub fn packet(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let text = String::from_utf8_lossy(lines.next().unwrap_or_default());
    match engineio::Packet::parse(&text) {
        Some(engineio::Packet::Message(text)) => message(text, lines.collect()),
        Some(engineio::Packet::Binary(part)) => assert!(part.len() <= text.len()),
        _ => {}
    }
}

fn message(text: &str, parts: Vec<&[u8]>) {
    let Some(packet) = Packet::parse(text) else {
        return;
    };
    if packet.n_attachments > 0 {
        assemble(packet, (text.len(), parts));
    } else if let Body::Event { ack, arguments } = packet.body {
        returns(ack, &arguments.collect::<Vec<_>>());
    }
}

fn returns(ack: Option<u64>, arguments: &[Value]) {
    let id = ack.map(|ack| ack.to_string()).unwrap_or_default();
    let payload = match arguments.len() {
        0 => String::new(),
        _ => Value::from(arguments).to_string(),
    };
    let text = format!("2{id}{payload}");
    let Some(Body::Event {
        ack: read,
        arguments: others,
    }) = Packet::parse(&text).map(|packet| packet.body)
    else {
        panic!("{text} is no event any more");
    };
    assert_eq!(read, ack);
    // The last digit of a fraction may be another one.
    let has_fraction = !holds(&Value::from(arguments), &|value| !value.is_f64());
    assert!(has_fraction || others.eq(arguments.iter().cloned()));
}

fn assemble(packet: Packet<'_>, (text, parts): (usize, Vec<&[u8]>)) {
    let mut assembly = Assembly::new(packet.body, packet.n_attachments, ROOM);
    for part in parts {
        match assembly.add(Bytes::copy_from_slice(part)) {
            Ok(false) => {}
            Ok(true) => return complete(assembly, text),
            Err(_) => return,
        }
    }
}

fn complete(assembly: Assembly, text: usize) {
    if let Ok(Body::Event { arguments, .. }) = assembly.finish() {
        let size = arguments.collect::<Value>().to_string().len();
        // Numbers may grow a little, and so do attachments.
        assert!(size <= 8 * text + 2 * ROOM);
    }
}

/// Reads websocket frames; the first byte says how they are cut.
///
/// # Panics
/// When the messages and replies depend on the cuts, or one is larger than it may be.
pub fn websocket(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = read(bytes, bytes.len().max(1));
    let pieces = read(bytes, usize::from(*cut).max(1));
    assert_eq!(whole.messages, pieces.messages);
    assert_eq!(whole.replies, pieces.replies);
    let ends = [&whole, &pieces].map(|run| run.error.as_ref().map(discriminant));
    assert_eq!(ends[0], ends[1]);
    assert!(
        whole
            .messages
            .iter()
            .all(|message| message.len() <= MAX_MESSAGE)
    );
}

#[derive(Default)]
struct Run {
    messages: Vec<Message>,
    replies: Vec<u8>,
    error: Option<Error>,
}

/// Reads until the input, or the connection, ends.
fn read(bytes: &[u8], cut: usize) -> Run {
    let (mut reader, mut run) = (Reader::new(MAX_MESSAGE), Run::default());
    for mut piece in bytes.chunks(cut) {
        loop {
            match reader.next(&mut piece, &mut run.replies) {
                Ok(None) => break,
                Ok(Some(message)) => run.messages.push(message),
                Err(error) => run.error = Some(error),
            }
            let is_closed = run.messages.last().is_some_and(Message::is_close);
            if is_closed || run.error.is_some() {
                return run;
            }
        }
    }
    run
}

pub(super) fn depth(value: &Value) -> usize {
    children(value)
        .map(|child| depth(child) + 1)
        .max()
        .unwrap_or(0)
}

pub(super) fn holds(value: &Value, rule: &dyn Fn(&Value) -> bool) -> bool {
    rule(value) && children(value).all(|child| holds(child, rule))
}

fn children(value: &Value) -> impl Iterator<Item = &Value> {
    let elements = value.as_array().into_iter().flatten();
    let members = value
        .as_object()
        .into_iter()
        .flat_map(|object| object.values());
    elements.chain(members)
}

const QUERY_DEPTH: usize = 22;
const FORM_DEPTH: usize = 100;
/// Attachments of a packet may have so many bytes.
const ROOM: usize = 1_000;
/// Small enough that a fuzzer gets there.
const MAX_MESSAGE: usize = 1_000;
