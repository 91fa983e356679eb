//! What clients of plain websockets send, for `fuzz/`.

use serde_json::{Value, json};
use tungstenite::Message;

use super::encoding::Encoding;
use super::session::Request;
use crate::service::Method;
use crate::transport::arguments;
use crate::transport::fuzzing::{depth, holds};
use crate::transport::websocket::{Payload, payloads};

/// Reads a message in each encoding, takes the call in it apart and writes an answer with its arguments.
///
/// # Panics
/// When what is read is deeper or far larger than what was sent, a call is filled with what it may not have, or an answer
/// does not come back as it was.
pub fn plain(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        message(Encoding::Json, &Message::text(text));
    }
    #[cfg(feature = "msgpack")]
    message(Encoding::MessagePack, &Message::binary(bytes.to_vec()));
}

fn message(encoding: Encoding, message: &Message) {
    let Ok(elements) = encoding.read(message) else {
        return;
    };
    let value: Value = elements.clone().collect();
    assert!(depth(&value) <= DEPTH);
    assert!(value.to_string().len() <= GROWTH * (message.len() + 1));
    if let Some(request) = Request::of(elements) {
        returns(encoding, &request);
        fills(request);
    }
}

fn returns(encoding: Encoding, request: &Request<'_>) {
    let arguments: Value = request.arguments.clone().collect();
    let answer = json!([request.id, null, arguments]);
    let frame = encoding.write(&answer);
    let read = payloads(&frame).next().map(|payload| match payload {
        Payload::Text(text) => Message::text(str::from_utf8(text).expect("JSON is UTF-8")),
        Payload::Binary(bytes) => Message::binary(bytes.to_vec()),
    });
    let read = read.expect("an answer is one frame");
    // With the answer around them the arguments may be too deep, with something innermost or with an empty list there; and the
    // last digit of a fraction may be another one.
    let Ok(read) = encoding.read(&read) else {
        return assert!(depth(&answer) >= DEPTH - 1);
    };
    let read: Value = read.collect();
    let has_fraction = !holds(&answer, &|value| !value.is_f64());
    assert!(has_fraction || read == answer);
}

fn fills(request: Request<'_>) {
    let mut arguments = request.arguments;
    if arguments.next_string().is_none() {
        return;
    }
    match arguments::inputs(&Method::from(&*request.method), arguments, true) {
        Ok(inputs) => assert!(!inputs.query.contains_key("__proto__")),
        Err(error) => assert_eq!(error.code(), 400),
    }
}

/// As deep as JSON may be.
const DEPTH: usize = 128;
/// No byte becomes more: that of an empty binary, two of MessagePack and 14 of JSON, or an escaped one.
const GROWTH: usize = 9;
