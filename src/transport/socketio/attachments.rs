//! Binary attachments of a packet, put where the packet has placeholders for them.

use bytes::Bytes;
use serde_json::Value;

use super::binary::PLACEHOLDER;
use super::packet::Body;
use crate::connections::CloseReason;
use crate::json::binary::to_json;

/// A packet that waits for its attachments.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// The ack id and the arguments of an event; `None` for a packet that is none.
    event: Option<(Option<u64>, Vec<Value>)>,
    n_wanted: usize,
    parts: Vec<Option<Bytes>>,
    /// Bytes that the attachments may still have.
    room: usize,
}

impl Assembly {
    /// Begins to collect; all attachments together have at most `room` bytes.
    pub(crate) fn new(body: Body<'_>, n_wanted: usize, room: usize) -> Self {
        let event = match body {
            Body::Event { ack, arguments } => Some((ack, arguments.collect())),
            Body::Connect | Body::Disconnect | Body::Ack => None,
        };
        Self {
            event,
            n_wanted,
            parts: Vec::with_capacity(n_wanted),
            room,
        }
    }

    /// Adds an attachment; true when it was the last one.
    pub(crate) fn add(&mut self, part: Bytes) -> Result<bool, CloseReason> {
        self.room = self
            .room
            .checked_sub(part.len())
            .ok_or(CloseReason::TooLarge)?;
        self.parts.push(Some(part));
        Ok(self.parts.len() == self.n_wanted)
    }

    /// Returns the packet with its attachments in place.
    pub(crate) fn finish(mut self) -> Result<Body<'static>, CloseReason> {
        let Some((ack, mut arguments)) = self.event else {
            return Ok(Body::Ack);
        };
        for argument in &mut arguments {
            fill(argument, &mut self.parts).ok_or(CloseReason::Protocol)?;
        }
        let arguments = arguments.into();
        Ok(Body::Event { ack, arguments })
    }
}

/// Replaces placeholders; `None` when one names no attachment, or one that is in use: a small packet could otherwise ask for
/// thousands of copies of a large attachment.
fn fill(value: &mut Value, parts: &mut [Option<Bytes>]) -> Option<()> {
    match value {
        Value::Object(object) if object.get(PLACEHOLDER) == Some(&Value::Bool(true)) => {
            let at = usize::try_from(object.get("num")?.as_u64()?).ok()?;
            let part = parts.get_mut(at)?.take()?;
            *value = to_json(&part);
            Some(())
        }
        Value::Object(object) => object
            .values_mut()
            .try_for_each(|member| fill(member, parts)),
        Value::Array(elements) => elements
            .iter_mut()
            .try_for_each(|element| fill(element, parts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn assemble(arguments: Value, parts: &[&'static [u8]]) -> Result<Body<'static>, CloseReason> {
        let Value::Array(arguments) = arguments else {
            panic!("arguments are an array");
        };
        let mut assembly = Assembly::new(
            Body::Event {
                ack: None,
                arguments: arguments.into(),
            },
            parts.len(),
            10,
        );
        for (at, part) in parts.iter().enumerate() {
            assert_eq!(
                assembly.add(Bytes::from_static(part))?,
                at + 1 == parts.len()
            );
        }
        assembly.finish()
    }

    fn placeholder(num: impl Into<Value>) -> Value {
        json!({ "_placeholder": true, "num": num.into() })
    }

    #[test]
    fn attachments_are_put_where_their_placeholders_are() {
        let arguments =
            json!(["create", "files", { "a": placeholder(1), "b": [placeholder(0)] }, {}]);
        let expected = json!(["create", "files", { "a": { "$binary": "" }, "b": [{ "$binary": "AQID/w==" }] }, {}]);
        let body = assemble(arguments, &[&[1, 2, 3, 255], &[]]).unwrap();
        assert_eq!(
            body,
            Body::Event {
                ack: None,
                arguments: expected.as_array().unwrap().clone().into()
            }
        );
    }

    #[test]
    fn placeholders_that_name_nothing_or_the_same_twice_break_the_protocol() {
        for arguments in [
            json!(["x", placeholder(1)]),
            json!(["x", placeholder(-1)]),
            json!(["x", placeholder("0")]),
            json!(["x", { "_placeholder": true }]),
            json!(["x", placeholder(0), placeholder(0)]),
        ] {
            assert_eq!(assemble(arguments, &[b"1"]), Err(CloseReason::Protocol));
        }
    }

    #[test]
    fn all_attachments_together_are_bounded() {
        assert!(assemble(json!(["x"]), &[b"12345", b"67890"]).is_ok());
        assert_eq!(
            assemble(json!(["x"]), &[b"12345", b"678901"]),
            Err(CloseReason::TooLarge)
        );
    }
}
