//! Binary data on its way out of JSON and into attachments.
//!
//! An attachment of a client is [binary data](crate::json::binary) wherever a service, a store or another node sees it, and
//! binary data in what goes to a client becomes an attachment again.

use serde_json::{Value, json};

use super::packet::MAX_ATTACHMENTS;
use crate::json::binary::of_json;

/// Takes the binary data out of a value and leaves placeholders, as `socket.io-parser` does.
///
/// Nothing is taken when there is more than a client takes with one packet, or when the value has placeholders of its own,
/// with which somebody could make a client's parser fail: then all stays JSON.
pub(super) fn take_out(value: &mut Value) -> Vec<Vec<u8>> {
    let mut n_binary = 0;
    let is_plain = survey(value, &mut n_binary);
    let mut parts = Vec::new();
    if is_plain && (1..=MAX_ATTACHMENTS).contains(&n_binary) {
        take(value, &mut parts);
    }
    parts
}

/// Counts the binary data; false when there are placeholders.
fn survey(value: &Value, n_binary: &mut usize) -> bool {
    match value {
        Value::Object(object) if object.contains_key(PLACEHOLDER) => false,
        Value::Object(object) => {
            *n_binary += usize::from(of_json(value).is_some());
            object.values().all(|member| survey(member, n_binary))
        }
        Value::Array(elements) => elements.iter().all(|element| survey(element, n_binary)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn take(value: &mut Value, parts: &mut Vec<Vec<u8>>) {
    if let Some(part) = of_json(value) {
        *value = json!({ PLACEHOLDER: true, "num": parts.len() });
        parts.push(part);
        return;
    }
    match value {
        Value::Object(object) => object.values_mut().for_each(|member| take(member, parts)),
        Value::Array(elements) => elements.iter_mut().for_each(|element| take(element, parts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What stands for an attachment in a packet.
pub(super) const PLACEHOLDER: &str = "_placeholder";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::binary::to_json;

    #[test]
    fn binary_data_is_taken_out_in_order() {
        let mut value = json!({ "a": to_json(&[1, 2, 3]), "b": [to_json(b""), "x"], "c": 1 });
        assert_eq!(take_out(&mut value), [vec![1, 2, 3], vec![]]);
        let placeholder = |num: usize| json!({ "_placeholder": true, "num": num });
        let expected = json!({ "a": placeholder(0), "b": [placeholder(1), "x"], "c": 1 });
        assert_eq!(value, expected);
        let mut whole = to_json(b"x");
        assert_eq!(take_out(&mut whole), [b"x"]);
        assert_eq!(whole, placeholder(0));
    }

    #[test]
    fn what_only_looks_like_it_stays() {
        for mut value in [
            json!({ "$binary": "AQID", "more": 1 }),
            json!({ "$binary": "?" }),
            json!({ "$binary": 1 }),
            json!({ "a": to_json(b"x"), "b": { "_placeholder": true, "num": 7 } }),
            json!(vec![to_json(b"x"); 11]),
        ] {
            let before = value.clone();
            assert_eq!((take_out(&mut value), &value), (vec![], &before));
        }
        assert_eq!(take_out(&mut json!(vec![to_json(b"x"); 10])).len(), 10);
    }
}
