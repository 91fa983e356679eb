//! JSON values read as types, and what is said of those that do not fit.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use serde_path_to_error::{Path, Segment};

use crate::error::Error;

/// Says where a value does not fit a type, and why.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// A JSON pointer (RFC 6901); empty for the whole value.
    pointer: String,
    reason: String,
}

/// Reads a value, owned or borrowed, as a `T`.
pub(crate) fn read<'de, T, D>(value: D) -> Result<T, Misfit>
where
    T: Deserialize<'de>,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(value).map_err(|error| Misfit {
        pointer: pointer(error.path()),
        reason: error.into_inner().to_string(),
    })
}

impl Misfit {
    /// Makes the answer to a caller whose data this is, in the form of Feathers' schemas (feathers.md §6.1).
    pub(crate) fn into_bad_request(self) -> Error {
        let message = format!("validation failed: {self}");
        let Self { pointer, reason } = self;
        let problem = json!({ "instancePath": pointer, "message": reason });
        Error::bad_request(message).with_data(Value::Array(vec![problem]))
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.reason),
            pointer => write!(f, "{pointer}: {}", self.reason),
        }
    }
}

impl std::error::Error for Misfit {}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Order {
        #[expect(dead_code, reason = "only read")]
        lines: Vec<BTreeMap<String, u8>>,
    }

    #[test]
    fn a_misfit_names_its_place() {
        let places = [
            (json!({ "lines": [{}, { "a/b~": "x" }] }), "/lines/1/a~1b~0"),
            (json!({ "lines": 1 }), "/lines"),
            (json!({}), ""),
        ];
        for (value, place) in places {
            assert_eq!(read::<Order, _>(&value).unwrap_err().pointer, place);
        }
    }

    #[test]
    fn the_answer_has_the_form_of_a_failed_schema() {
        let misfit = read::<Order, _>(json!({ "lines": 1 })).unwrap_err();
        let reason = "invalid type: integer `1`, expected a sequence";
        let expected = json!({
            "name": "BadRequest",
            "message": format!("validation failed: /lines: {reason}"),
            "code": 400,
            "className": "bad-request",
            "data": [{ "instancePath": "/lines", "message": reason }],
        });
        assert_eq!(misfit.into_bad_request().to_json(), expected);
    }
}
