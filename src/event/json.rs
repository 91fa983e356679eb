//! JSON that is parsed, or written, when somebody looks.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use smallvec::{SmallVec, smallvec};

use crate::error::{Error, Result};
use crate::json;

/// One JSON value, kept as the text that goes into envelopes and frames, or as a value until somebody wants the text.
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

/// Of text and value one is there from the start.
struct Inner {
    text: OnceLock<Bytes>,
    value: OnceLock<Value>,
    /// The message of a peer whose data this is, if its codec has more types.
    #[cfg_attr(
        not(feature = "bson"),
        allow(dead_code, reason = "BSON is the one codec that has more")
    )]
    typed: Option<Bytes>,
    /// Whether the text is known to be [plain](json::plain).
    is_plain: bool,
}

impl Json {
    /// Wraps text that a JSON parser has already accepted.
    pub(crate) fn from_valid_text(text: Bytes) -> Self {
        Self::of_peer(text, None)
    }

    /// Wraps text that is [plain](json::plain).
    pub(crate) fn from_plain_text(text: Bytes) -> Self {
        Self(Arc::new(Inner {
            is_plain: true,
            ..Inner::of_text(text)
        }))
    }

    /// Wraps the data of a peer's message.
    pub(crate) fn of_peer(text: Bytes, typed: Option<Bytes>) -> Self {
        Self(Arc::new(Inner {
            typed,
            ..Inner::of_text(text)
        }))
    }

    /// Writes a value as JSON.
    ///
    /// ```
    /// use wingbeat::event::Json;
    ///
    /// # fn main() -> wingbeat::error::Result<()> {
    /// assert_eq!(&Json::of(&["a", "b"])?.as_bytes()[..], br#"["a","b"]"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the value's `Serialize` fails with, behind a log id.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let text = json::serialized(value, Bytes::copy_from_slice)?;
        Ok(Self::from_valid_text(text))
    }

    /// Returns the elements of an array, each with its text, or else the value itself; and whether it is an array.
    pub(crate) fn elements(&self) -> (SmallVec<[Self; 1]>, bool) {
        let text = self.as_bytes().trim_ascii_start();
        let is_array = text.starts_with(b"[");
        let elements = is_array.then(|| serde_json::from_slice::<Vec<&RawValue>>(text));
        let Some(Ok(elements)) = elements else {
            return (smallvec![self.clone()], is_array);
        };
        let own = |raw: &&RawValue| Bytes::copy_from_slice(raw.get().as_bytes());
        let elements = elements.iter().map(own).map(Self::from_valid_text);
        (elements.collect(), true)
    }

    /// Returns the JSON text; the first look at that of a value writes it.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        self.0.text()
    }

    /// Returns the value; the first look at that of a text parses it.
    #[must_use]
    pub fn value(&self) -> &Value {
        self.0.value()
    }

    /// Returns the text, as long as nobody has parsed it.
    pub(crate) fn unparsed(&self) -> Option<&Bytes> {
        let text = self.0.text.get();
        text.filter(|_| self.0.value.get().is_none())
    }

    /// Returns the text if it is known to be [plain](json::plain).
    pub(crate) fn plain(&self) -> Option<&Bytes> {
        self.0.text.get().filter(|_| self.0.is_plain)
    }

    /// Tells whether the value is an array.
    pub(crate) fn is_array(&self) -> bool {
        match (self.0.value.get(), self.0.text.get()) {
            (Some(value), _) => value.is_array(),
            (None, text) => text.is_some_and(|text| text.trim_ascii_start().starts_with(b"[")),
        }
    }

    /// Returns the value itself, which is copied only if somebody else has it as well.
    ///
    /// ```
    /// use wingbeat::event::Json;
    ///
    /// let json = Json::from(serde_json::json!({ "text": "hi" }));
    /// assert_eq!(json.into_value(), serde_json::json!({ "text": "hi" }));
    /// ```
    #[must_use]
    pub fn into_value(self) -> Value {
        let inner = match Arc::try_unwrap(self.0) {
            Ok(inner) => inner,
            Err(shared) => return shared.value().clone(),
        };
        let _ = inner.value();
        inner.value.into_inner().unwrap_or_default()
    }

    /// Reads the value as a `T`.
    ///
    /// # Errors
    /// `BadRequest` with the place and reason when the value has another shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let parsed = serde_json::from_slice(self.as_bytes());
        parsed.map_err(|error| Error::bad_request(error.to_string()))
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

impl Inner {
    fn of_text(text: Bytes) -> Self {
        Self {
            text: OnceLock::from(text),
            value: OnceLock::new(),
            typed: None,
            is_plain: false,
        }
    }

    fn text(&self) -> &Bytes {
        self.text
            .get_or_init(|| self.value.get().map(text).unwrap_or_default())
    }

    fn value(&self) -> &Value {
        let parsed = || self.text.get().and_then(|text| parsed(text));
        self.value.get_or_init(|| parsed().unwrap_or_default())
    }
}

/// `null`, which all that have it share.
impl Default for Json {
    fn default() -> Self {
        NULL.clone()
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
            text: OnceLock::new(),
            value: OnceLock::from(value),
            typed: None,
            is_plain: false,
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
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

static NULL: LazyLock<Json> = LazyLock::new(|| Json::from(Value::Null));

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_array_is_cut_into_its_elements() {
        for (text, elements) in [
            ("[]", vec![]),
            (
                r#" [1, {"a" : [2]},"é"]"#,
                vec![json!(1), json!({ "a": [2] }), json!("é")],
            ),
            (r#"{"a":[1]}"#, vec![json!({ "a": [1] })]),
            ("7", vec![json!(7)]),
        ] {
            let (cut, is_array) = Json::from_valid_text(text.into()).elements();
            let values: Vec<Value> = cut.iter().map(|element| element.value().clone()).collect();
            assert_eq!(
                (values, is_array),
                (elements, text.contains("[1,") || text == "[]")
            );
        }
    }

    #[test]
    fn a_value_may_write_others_while_it_is_written() {
        struct Nested(u8);

        impl Serialize for Nested {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                let inner = (self.0 > 0).then(|| Json::of(&Self(self.0 - 1)).unwrap());
                serializer.collect_seq(inner.map(|json| format!("{json:?}")))
            }
        }

        assert_eq!(
            format!("{:?}", Json::of(&Nested(2)).unwrap()),
            r#"["[\"[]\"]"]"#
        );
    }
}
