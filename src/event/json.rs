//! JSON text that is parsed when somebody looks.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::json;

/// One JSON value, kept as the text that goes into envelopes and frames.
///
/// ```
/// use wingbeat::event::Json;
///
/// let json = Json::from(serde_json::json!({ "text": "hi" }));
/// assert_eq!(&json.as_bytes()[..], br#"{"text":"hi"}"#);
/// assert_eq!(json.value()["text"], "hi");
/// ```
#[derive(Clone)]
pub struct Json(Arc<Inner>);

struct Inner {
    text: Bytes,
    value: OnceLock<Value>,
    /// The message of a peer whose data this is, if its codec has more types.
    #[cfg_attr(
        not(feature = "bson"),
        allow(dead_code, reason = "BSON is the one codec that has more")
    )]
    typed: Option<Bytes>,
}

impl Json {
    /// Wraps text that a JSON parser has already accepted.
    pub(crate) fn from_valid_text(text: Bytes) -> Self {
        Self::of_peer(text, None)
    }

    /// Wraps the data of a peer's message.
    pub(crate) fn of_peer(text: Bytes, typed: Option<Bytes>) -> Self {
        Self(Arc::new(Inner {
            text,
            value: OnceLock::new(),
            typed,
        }))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0.text
    }

    /// Returns the value; the first look parses it.
    #[must_use]
    pub fn value(&self) -> &Value {
        self.0
            .value
            .get_or_init(|| parsed(&self.0.text).unwrap_or(Value::Null))
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// `BadRequest` with the place and reason when the value has another shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.0.text).map_err(|error| Error::bad_request(error.to_string()))
    }

    /// Returns the value with its types, as dates and ids, if it is the data of an event that came as BSON.
    ///
    /// Every call reads it anew.
    #[cfg(feature = "bson")]
    #[must_use]
    pub fn bson(&self) -> Option<bson::Bson> {
        crate::sync::codec::data(self.0.typed.as_ref()?)
    }

    /// Tells whether both are the same piece of text in memory, so that one frame serves both.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        Self::from_valid_text(text(value))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self(Arc::new(Inner {
            text: text(&value),
            value: OnceLock::from(value),
            typed: None,
        }))
    }
}

/// Takes as much memory as the text needs: it may be kept for minutes.
fn text(value: &Value) -> Bytes {
    json::written(value, Bytes::copy_from_slice)
}

fn parsed(text: &[u8]) -> Option<Value> {
    json::parse(std::str::from_utf8(text).ok()?)
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0.text))
    }
}
