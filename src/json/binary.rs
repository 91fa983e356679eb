//! Binary data inside JSON: `{"$binary":"<base64>"}`, an object with that member and no other.

use data_encoding::BASE64;
use serde_json::{Value, json};

/// Writes bytes as JSON.
pub(crate) fn to_json(bytes: &[u8]) -> Value {
    json!({ BINARY: BASE64.encode(bytes) })
}

/// Tells whether JSON text may have binary data in it; most has none, and need not be parsed.
pub(crate) fn may_be_in(text: &[u8]) -> bool {
    // Nearly all has not even the first character.
    text.contains(&b'$') && std::str::from_utf8(text).is_ok_and(|text| text.contains(QUOTED))
}

/// Returns the bytes of what is binary data.
pub(crate) fn of_json(value: &Value) -> Option<Vec<u8>> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    BASE64.decode(object.get(BINARY)?.as_str()?.as_bytes()).ok()
}

const BINARY: &str = "$binary";
const QUOTED: &str = "\"$binary\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_the_member_is_not_looked_into() {
        assert!(may_be_in(br#"{"a":{ "$binary" : "" }}"#));
        assert!(!may_be_in(br#"{"a":"$binary"#) && !may_be_in(b"{}"));
    }
}
