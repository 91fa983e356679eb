use std::fmt;

use data_encoding::HEXLOWER;
use serde::de::{Unexpected, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Identifies one built app among all that share a topic: 16 random bytes, written as 32 lower-case hex characters.
///
/// It is new with every build, so a restarted process is another origin and nothing of the old one is compared with it.
/// The configured name is a label only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId([u8; 16]);

impl NodeId {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the id as it is written.
    pub(crate) fn hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        HEXLOWER.encode_mut(&self.0, &mut text);
        text
    }

    fn from_hex(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 16];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: byte by byte it would cost more than the rest of an envelope.
        f.pad(str::from_utf8(&self.hex()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(str::from_utf8(&self.hex()).map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Hex)
    }
}

/// Reads the text in place: every envelope carries an id, and none of them is worth an allocation.
struct Hex;

impl Visitor<'_> for Hex {
    type Value = NodeId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("32 lower-case hex characters")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<NodeId, E> {
        NodeId::from_hex(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let id = NodeId::from_bytes(*b"\x00\x01\x9a\xff4567890abcde");
        assert_eq!(id.to_string(), "00019aff343536373839306162636465");
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<NodeId>(&json).unwrap(), id);
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = [
            "",
            "0",
            "00019AFF343536373839306162636465",
            "00019aff34353637383930616263646",
            "é0019aff3435363738393061626364",
        ];
        for text in texts {
            assert!(NodeId::from_hex(text).is_none(), "{text}");
        }
    }
}
