//! MessagePack: the same messages, with binary data as such.

use bytes::Bytes;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::connections::WireFormat;
use crate::event::{Event, Json};
use crate::json::{self, binary};
use crate::transport::websocket::binary_frame;

/// Reads one value; `None` for what is none, is deeper than JSON may be, or has more behind it.
pub(super) fn read(mut bytes: &[u8]) -> Option<Value> {
    let mut deserializer = rmp_serde::Deserializer::new(&mut bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = json::read(&mut deserializer).ok()?;
    bytes.is_empty().then_some(value)
}

/// Writes a value as a finished frame.
pub(super) fn write(value: &Value) -> Bytes {
    frame(&Packed(value))
}

/// Writes events as `["<path> <event>",<payload>]`.
#[derive(Debug)]
pub(super) struct Events;

impl WireFormat for Events {
    fn name(&self) -> &'static str {
        "websocket-msgpack"
    }

    fn encode(&self, event: &Event, payload: &Json) -> Bytes {
        let name = format!("{} {}", event.path(), event.name());
        frame(&(name, Packed(payload.value())))
    }
}

fn frame(message: &impl Serialize) -> Bytes {
    let bytes = rmp_serde::to_vec(message);
    binary_frame(&bytes.expect("values of JSON can be written to memory"))
}

/// A value whose [binary data](binary) is written as bytes.
struct Packed<'a>(&'a Value);

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(elements) => {
                let mut array = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    array.serialize_element(&Self(element))?;
                }
                array.end()
            }
            Value::Object(members) => {
                if let Some(bytes) = binary::of_json(self.0) {
                    return serializer.serialize_bytes(&bytes);
                }
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, &Self(value))?;
                }
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

/// As deep as JSON may be.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn packed(value: &Value) -> Vec<u8> {
        rmp_serde::to_vec(&Packed(value)).unwrap()
    }

    #[test]
    fn values_come_back_as_they_were_and_bytes_are_bytes() {
        let value = json!({
            "a": [null, true, -1, u64::MAX, 1.5, "é"],
            "file": { "$binary": "AQID" },
            "not": { "$binary": "AQID", "more": 1 },
        });
        assert_eq!(read(&packed(&value)), Some(value));
        assert_eq!(packed(&json!({ "$binary": "AQID" })), [0xc4, 3, 1, 2, 3]);
        assert_eq!(&write(&json!([1, null]))[..], [0x82, 3, 0x92, 1, 0xc0]);
    }

    #[test]
    fn what_json_has_not_is_refused() {
        let table: [(&str, &[u8]); 7] = [
            ("nothing", &[]),
            ("two values", &[1, 1]),
            ("a number as name", &[0x81, 1, 1]),
            ("an extension", &[0xd4, 1, 0]),
            ("a cut text", &[0xa3, b'a']),
            ("the byte that is never used", &[0xc1]),
            (
                "a list that is longer than the message",
                &[0xdd, 0xff, 0xff, 0xff, 0xff],
            ),
        ];
        for (what, bytes) in table {
            assert_eq!(read(bytes), None, "{what}");
        }
        let deep = |n: usize| [vec![0x91; n], vec![1]].concat();
        assert!(read(&deep(100)).is_some());
        assert_eq!(read(&deep(200)), None);
        assert_eq!(read(&deep(1_000_000)), None);
        assert_eq!(
            read(b"\x81\xbe$serde_json::private::RawValue\xa11"),
            None,
            "a reserved key"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(value) = read(&bytes) {
                prop_assert_eq!(read(&packed(&value)), Some(value));
            }
        }
    }
}
