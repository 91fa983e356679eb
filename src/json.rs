//! JSON that strangers wrote, as JavaScript writes it; and values written as JSON.

pub(crate) mod binary;
pub(crate) mod elements;
pub(crate) mod plain;
pub(crate) mod properties;
pub(crate) mod shape;

use std::cell::RefCell;
use std::fmt;

use bytes::BufMut;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses JSON as `serde_json` does, but for one key that nobody may use.
///
/// In an object with that first key `serde_json` parses the string behind it anew, with a new limit of depth: a few
/// kilobytes of strings in strings would nest until the stack ends, and with it the process.
///
/// # Errors
/// What `serde_json` says, with the place.
pub(crate) fn from_str(text: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Stranger.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads a value in another format that strangers wrote, with the same key that nobody may use. Bytes become binary data.
#[cfg(feature = "msgpack")]
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Stranger.deserialize(deserializer)
}

/// Parses JSON and forgives what JavaScript does; `None` for what is none.
///
/// A JavaScript string that was cut in the middle of an emoji has half of a surrogate pair, which `JSON.stringify` writes as
/// an escape that stands for no character. Such a half becomes U+FFFD, or one cut text would cost a client its connection.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let repaired = || from_str(&without_halves(text)).ok();
    from_str(text).ok().or_else(repaired)
}

/// Appends a value as `serde_json` would.
///
/// Strings without anything to escape, nearly all, are copied in one piece; looking at them byte by byte was a third of what
/// the sending of an event costs.
pub(crate) fn write(text: &mut impl BufMut, value: &Value) {
    match value {
        Value::String(string) => write_string(text, string),
        Value::Array(elements) => write_all(text, b"[]", elements, write),
        Value::Object(members) => write_all(text, b"{}", members, |text, (name, value)| {
            write_string(text, name);
            text.put_u8(b':');
            write(text, value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => write_by_library(text, value),
    }
}

/// Writes a value into memory that is warm, and lends its text.
pub(crate) fn written<T>(value: &Value, take: impl FnOnce(&[u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.shrink_to(SCRATCH_SIZE);
        write(scratch, value);
        take(scratch)
    })
}

/// Serializes a value into memory that is warm, and lends its text.
///
/// # Errors
/// What the value fails with.
pub(crate) fn serialized<V: Serialize + ?Sized, T>(
    value: &V,
    take: impl FnOnce(&[u8]) -> T,
) -> serde_json::Result<T> {
    // The value's own code may come here again.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let text = serde_json::to_writer(&mut scratch, value).map(|()| take(&scratch));
    scratch.shrink_to(SCRATCH_SIZE);
    SCRATCH.set(scratch);
    text
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn write_all<B: BufMut, T>(
    text: &mut B,
    [open, close]: &[u8; 2],
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut B, T),
) {
    text.put_u8(*open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.put_u8(b',');
        }
        write(text, item);
    }
    text.put_u8(*close);
}

pub(crate) fn write_string(text: &mut impl BufMut, string: &str) {
    if has_special(string.as_bytes()) {
        return write_by_library(text, string);
    }
    text.put_u8(b'"');
    text.put_slice(string.as_bytes());
    text.put_u8(b'"');
}

/// Tells whether JSON writes one of the bytes in another way.
fn has_special(bytes: &[u8]) -> bool {
    let (pieces, rest) = bytes.as_chunks::<32>();
    let (words, rest) = rest.as_chunks::<8>();
    pieces.iter().any(any_special) || words.iter().any(any_special) || rest.iter().any(is_special)
}

/// The compiler looks at all bytes of a piece at once if it knows how many there are.
fn any_special<const N: usize>(piece: &[u8; N]) -> bool {
    let special = piece.iter().map(|byte| u8::from(is_special(byte)));
    special.fold(0, |any, is_special| any | is_special) != 0
}

fn is_special(byte: &u8) -> bool {
    (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\')
}

fn write_by_library<T: Serialize + ?Sized>(text: &mut impl BufMut, value: &T) {
    serde_json::to_writer(text.writer(), value).expect("a value has text keys only");
}

/// Makes a value as `Value` does itself.
struct Stranger;

impl<'de> DeserializeSeed<'de> for Stranger {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Stranger {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    /// JSON has none.
    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(binary::to_json(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(Self)? {
            array.push(element);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == RESERVED {
                return Err(Error::custom(format_args!(
                    "the key {RESERVED} is reserved"
                )));
            }
            object.insert(name, members.next_value_seed(Self)?);
        }
        Ok(object.into())
    }
}

fn without_halves(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        let (escape, after) = rest[at..].split_at(escape_length(&rest[at..]));
        let is_half = escape.len() == UNIT && unit(escape).is_some_and(is_surrogate);
        whole.push_str(if is_half { REPLACEMENT } else { escape });
        rest = after;
    }
    whole + rest
}

/// Returns the length of the escape at the start; the two of a surrogate pair are one.
fn escape_length(text: &str) -> usize {
    let following = text.get(UNIT..).and_then(unit);
    match (unit(text), following) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * UNIT,
        (Some(_), _) => UNIT,
        (None, _) => text.chars().take(2).map(char::len_utf8).sum(),
    }
}

fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn is_surrogate(unit: u16) -> bool {
    (0xD800..=0xDFFF).contains(&unit)
}

/// What a thread keeps for the next text, in bytes.
const SCRATCH_SIZE: usize = 64 * 1024;
/// The length of `\uXXXX`.
const UNIT: usize = 6;
const REPLACEMENT: &str = "\\ufffd";
/// What `serde_json` calls raw text.
const RESERVED: &str = "$serde_json::private::RawValue";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_special_character_is_seen_wherever_it_stands() {
        for length in 0..100 {
            for at in 0..=length {
                for special in ["\"", "\\", "\n", "\u{1f}", "\u{7f}", "é", ""] {
                    let string =
                        ["x".repeat(at).as_str(), special, &"y".repeat(length - at)].concat();
                    let mut text = Vec::new();
                    write_string(&mut text, &string);
                    assert_eq!(text, serde_json::to_vec(&string).unwrap(), "{string:?}");
                }
            }
        }
    }

    #[test]
    fn halves_of_surrogate_pairs_are_replaced_and_pairs_stay() {
        let table = [
            (r#""\ud83d\ude00""#, json!("😀")),
            (r#""cut \ud83d""#, json!("cut \u{fffd}")),
            (r#""\ud83d\ud83d\ude00""#, json!("\u{fffd}😀")),
            (r#""\ude00\ud83d""#, json!("\u{fffd}\u{fffd}")),
            (r#""\\ud83d \ud83d""#, json!("\\ud83d \u{fffd}")),
            (
                r#"{"\udead":"\n\ud83d"}"#,
                json!({ "\u{fffd}": "\n\u{fffd}" }),
            ),
        ];
        for (text, value) in table {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in [
            "",
            "{",
            "[1,]",
            r#""\ud83"#,
            r#""\ud83""#,
            r#""\x""#,
            "\"\\é\"",
            "\"\\",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    /// Eight times a string within an array of 125: deeper than any stack of a test.
    #[test]
    fn strings_that_would_be_parsed_anew_are_refused() {
        let hidden = |text: String| {
            format!(
                r#"{}{{"{RESERVED}":{}}}{}"#,
                "[".repeat(125),
                Value::from(text),
                "]".repeat(125)
            )
        };
        let text = (0..8).fold("1".to_owned(), |text, _| hidden(text));
        assert!(text.len() < 4_000);
        for text in [
            text,
            r#"{"a":1,"\u0024serde_json::private::RawValue":"1"}"#.to_owned(),
        ] {
            let error = from_str(&text).unwrap_err().to_string();
            assert!(error.contains("is reserved"), "{error}");
            assert_eq!(parse(&text), None);
        }
    }

    #[test]
    fn all_other_values_are_those_of_the_library() {
        for text in [
            r#"{"b":[1,-1,1.5,1e3,18446744073709551615,-9223372036854775808,1e30],"a":{"":null,"x":true}}"#,
            r#" {"a":1,"b":2,"a":"\n\u00e9é"} "#,
            "1e999",
            "[1] 2",
            "[1,]",
            "{1:2}",
            &"[".repeat(200),
        ] {
            let said =
                |result: serde_json::Result<Value>| result.map_err(|error| error.to_string());
            assert_eq!(
                said(from_str(text)),
                said(serde_json::from_str(text)),
                "{text}"
            );
        }
    }

    pub(super) fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "(?s).{0,40}".prop_map(Value::from),
            r#"["\\\u{0}-\u{1f}\u{7f}é-]{0,4}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("(?s).{0,4}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_written_as_by_the_library(value in value()) {
            let mut text = Vec::new();
            write(&mut text, &value);
            prop_assert_eq!(String::from_utf8(text).unwrap(), value.to_string());
        }

        #[test]
        fn no_text_makes_it_panic(text in r#"["\\u0-9a-fé]{0,60}"#) {
            let _ = parse(&text);
            let _ = without_halves(&text);
        }
    }
}
