//! What a server sends (feathers.md §2.1, §2.2).
//!
//! The server's own parser is not used: a client that shares its mistakes would not see them.

use data_encoding::BASE64;
use serde_json::{Value, json};

/// An Engine.IO packet, read as far as a client of the default namespace needs it.
#[derive(Debug)]
pub(super) enum Packet {
    /// The transport is open.
    Open,
    /// Wants `3`.
    Ping,
    /// Does nothing.
    Noop,
    /// The namespace is connected.
    Connected,
    /// The namespace is refused, with why.
    Refused(String),
    /// The server ends the namespace for good.
    Disconnected,
    /// An event or an answer, with the number of binary messages that follow.
    Message { body: Body, n_attachments: usize },
}

/// What a message says.
#[derive(Debug)]
pub(super) struct Body {
    /// The number of the call that is answered; `None` for an event.
    pub(super) ack: Option<u64>,
    /// Name and payload of an event; `[null, result]` or `[error]` of an answer.
    pub(super) arguments: Vec<Value>,
}

impl Packet {
    /// Reads a text; `None` for what no server sends.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_at_checked(2).unwrap_or((text, "")) {
            ("2", "") => Some(Self::Ping),
            ("6", "") => Some(Self::Noop),
            ("40", _) => Some(Self::Connected),
            ("41", "") => Some(Self::Disconnected),
            ("42", text) => Self::event(0, text),
            ("43", text) => Self::answer(0, text),
            ("44", why) => Some(Self::Refused(why.to_owned())),
            ("45", text) => counted(text).and_then(|(n, text)| Self::event(n, text)),
            ("46", text) => counted(text).and_then(|(n, text)| Self::answer(n, text)),
            (open, _) => open.starts_with('0').then_some(Self::Open),
        }
    }

    fn event(n_attachments: usize, text: &str) -> Option<Self> {
        let arguments: Vec<Value> = serde_json::from_str(text).ok()?;
        arguments.first()?.as_str()?;
        let body = Body {
            ack: None,
            arguments,
        };
        Some(Self::Message {
            body,
            n_attachments,
        })
    }

    fn answer(n_attachments: usize, text: &str) -> Option<Self> {
        let (ack, arguments) = text.split_at(text.find('[')?);
        let body = Body {
            ack: Some(ack.parse().ok()?),
            arguments: serde_json::from_str(arguments).ok()?,
        };
        Some(Self::Message {
            body,
            n_attachments,
        })
    }
}

impl Body {
    /// Puts attachments where their placeholders are, as `{"$binary":"<base64>"}`.
    pub(super) fn with(mut self, attachments: &[Vec<u8>]) -> Self {
        for argument in &mut self.arguments {
            fill(argument, attachments);
        }
        self
    }
}

/// Reads the `<n>-` of a packet with attachments.
fn counted(text: &str) -> Option<(usize, &str)> {
    let (n, text) = text.split_once('-')?;
    Some((n.parse().ok()?, text))
}

fn fill(value: &mut Value, attachments: &[Vec<u8>]) {
    if let Some(bytes) = placed(value).and_then(|at| attachments.get(at)) {
        *value = json!({ "$binary": BASE64.encode(bytes) });
        return;
    }
    match value {
        Value::Object(object) => object
            .values_mut()
            .for_each(|member| fill(member, attachments)),
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|element| fill(element, attachments)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the number in a placeholder.
fn placed(value: &Value) -> Option<usize> {
    let is_placeholder = value.get("_placeholder")? == true;
    let number = value.get("num")?.as_u64().filter(|_| is_placeholder)?;
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_server_sends_is_none() {
        let broken = [
            "",
            "4",
            "é",
            "é2",
            "2probe",
            "411",
            "42",
            "42{}",
            "42[]",
            "42[1]",
            "43[null,1]",
            "43x[1]",
            "431",
            "45[]",
            "451[]",
            "45x-[\"a b\",1]",
            "461-[1]",
            "5",
            "7",
        ];
        for text in broken {
            let packet = Packet::parse(text);
            assert!(packet.is_none(), "{text}: {packet:?}");
        }
    }

    #[test]
    fn attachments_go_where_their_placeholders_are() {
        let text = r#"462-7[null,{"a":{"_placeholder":true,"num":1},"b":[{"_placeholder":true,"num":0}],"num":0}]"#;
        let Some(Packet::Message {
            body,
            n_attachments,
        }) = Packet::parse(text)
        else {
            panic!("an answer");
        };
        assert_eq!((n_attachments, body.ack), (2, Some(7)));
        let filled = body.with(&[vec![1, 2, 3], vec![]]).arguments;
        let result = json!({ "a": { "$binary": "" }, "b": [{ "$binary": "AQID" }], "num": 0 });
        assert_eq!(filled, [Value::Null, result]);
    }
}
