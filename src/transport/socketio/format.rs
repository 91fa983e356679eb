//! What the server sends: events, answers, and replies to connecting, each a finished frame.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use super::binary;
use crate::connections::WireFormat;
use crate::error::Error;
use crate::event::{Event, Json};
use crate::json;
use crate::json::binary::may_be_in;
use crate::service::{Answer, Outcome};
use crate::transport::websocket::TextFrame;

/// Writes events as `42["<path> <event>",<payload>]` (feathers.md §3.4).
pub(super) static EVENTS: Events = Events;

#[derive(Debug)]
pub(super) struct Events;

impl WireFormat for Events {
    fn name(&self) -> &'static str {
        "socketio"
    }

    fn encode(&self, event: &Event, payload: &Json) -> Bytes {
        let name = format!("{} {}", event.path(), event.name());
        if let Some(frame) = with_attachments(&name, payload) {
            return frame;
        }
        let payload = payload.as_bytes();
        let mut frame = TextFrame::with_capacity(name.len() + payload.len() + ROOM);
        frame.push(b"42[");
        json::write_string(frame.text_mut(), &name);
        frame.push(b",");
        frame.push(payload);
        frame.push(b"]");
        frame.finish()
    }
}

/// Writes an event with binary data as `45<n>-["<path> <event>",<payload>]` and its attachments.
fn with_attachments(name: &str, payload: &Json) -> Option<Bytes> {
    if !may_be_in(payload.as_bytes()) {
        return None;
    }
    let mut value = payload.value().clone();
    let parts = binary::take_out(&mut value);
    if parts.is_empty() {
        return None;
    }
    let mut frame = TextFrame::with_capacity(name.len() + ANSWER);
    frame.push(format!("45{}-[", parts.len()).as_bytes());
    json::write_string(frame.text_mut(), name);
    frame.push(b",");
    json::write(frame.text_mut(), &value);
    frame.push(b"]");
    Some(frame.finish_with(&parts))
}

/// Answers a call that succeeded.
pub(super) fn result(ack: u64, answer: Answer) -> Bytes {
    let (result, parts) = without_binary(answer.into_message());
    let kind = match parts.len() {
        0 => "43".into(),
        n => Cow::from(format!("46{n}-")),
    };
    let mut digits = itoa::Buffer::new();
    result.written(|text| {
        let ack = digits.format(ack).as_bytes();
        let pieces = [kind.as_bytes(), ack, b"[null,", text, b"]"];
        TextFrame::joined(&pieces).finish_with(&parts)
    })
}

/// Takes out what leaves as attachments.
fn without_binary(result: Outcome) -> (Outcome, Vec<Vec<u8>>) {
    match result {
        Outcome::Text(text) if !may_be_in(text.as_bytes()) => (Outcome::Text(text), Vec::new()),
        result => {
            let mut value = result.into_value();
            let parts = binary::take_out(&mut value);
            (Outcome::Value(value), parts)
        }
    }
}

/// Answers a call that failed.
pub(super) fn error(ack: u64, error: &Error, compat: bool) -> Bytes {
    let mut frame = TextFrame::with_capacity(ANSWER);
    frame.push(format!("43{ack}[").as_bytes());
    json::write(frame.text_mut(), &error.to_ack(compat));
    frame.push(b"]");
    frame.finish()
}

/// Tells a client that it is in.
pub(super) fn connected(sid: &str) -> Bytes {
    TextFrame::of(&format!("40{}", json!({ "sid": sid })))
}

/// Tells a client that it is out, and is not to come back by itself.
pub(super) fn disconnected() -> Bytes {
    TextFrame::of("41")
}

/// Refuses a namespace.
pub(super) fn invalid_namespace(namespace: &str) -> Bytes {
    let refusal: Value = json!({ "message": "Invalid namespace" });
    TextFrame::of(&format!("44{namespace},{refusal}"))
}

/// Room for brackets, quotes and what has to be escaped in a name.
const ROOM: usize = 16;
const ANSWER: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Inner, Origin};
    use crate::hooks::Http;

    fn text(frame: &Bytes) -> &str {
        let header = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        std::str::from_utf8(&frame[header..]).unwrap()
    }

    fn reply(result: Value, dispatch: Option<Value>) -> Answer {
        Answer {
            result: Outcome::Value(result),
            dispatch,
            http: Http::default(),
        }
    }

    #[test]
    fn an_event_has_its_path_and_its_payload_as_it_is() {
        let payload = Json::from_valid_text(r#"{ "text": "hé" }"#.into());
        let event = Event::new(Inner {
            place: 0,
            path: r#"a"b/:id"#.into(),
            name: "created".into(),
            data: payload.clone(),
            public: payload.clone(),
            context: None,
            origin: Origin::Local,
            happened: None,
            trace: None,
        });
        let frame = EVENTS.encode(&event, &payload);
        assert_eq!(text(&frame), r#"42["a\"b/:id created",{ "text": "hé" }]"#);
    }

    #[test]
    fn binary_data_leaves_as_attachments() {
        let data = json!({ "file": { "$binary": "AQID" } });
        let answer = result(7, reply(data.clone(), None));
        let packet = r#"461-7[null,{"file":{"_placeholder":true,"num":0}}]"#;
        assert_eq!(&answer[2..2 + packet.len()], packet.as_bytes());
        assert_eq!(&answer[2 + packet.len()..], b"\x82\x03\x01\x02\x03");
        let event = with_attachments("a created", &Json::from(data)).unwrap();
        let packet = r#"451-["a created",{"file":{"_placeholder":true,"num":0}}]"#;
        assert_eq!(&event[2..2 + packet.len()], packet.as_bytes());
        assert_eq!(with_attachments("a created", &Json::from(json!({}))), None);
    }

    #[test]
    fn answers_have_the_dispatch_unless_it_is_falsy() {
        let table = [
            (json!({ "a": 1 }), None, r#"437[null,{"a":1}]"#),
            (Value::Null, None, "437[null,null]"),
            (json!(0), None, "437[null,0]"),
            (json!({ "a": 1 }), Some(json!({})), "437[null,{}]"),
            (json!("kept"), Some(json!(0)), r#"437[null,"kept"]"#),
            (json!("kept"), Some(Value::Null), r#"437[null,"kept"]"#),
            (json!("kept"), Some(json!("")), r#"437[null,"kept"]"#),
        ];
        for (result_value, dispatch, expected) in table {
            assert_eq!(text(&result(7, reply(result_value, dispatch))), expected);
        }
    }

    #[test]
    fn errors_and_replies_are_as_feathers_has_them() {
        let not_found = Error::not_found("No record found for id '9'");
        assert_eq!(
            text(&error(0, &not_found, false)),
            r#"430[{"name":"NotFound","message":"No record found for id '9'","code":404,"className":"not-found"}]"#
        );
        assert_eq!(
            text(&error(1, &Error::foreign("Plain failure"), true)),
            r#"431[{"message":"Plain failure"}]"#
        );
        assert_eq!(text(&connected("x")), r#"40{"sid":"x"}"#);
        assert_eq!(
            text(&invalid_namespace("/foo")),
            r#"44/foo,{"message":"Invalid namespace"}"#
        );
    }
}
