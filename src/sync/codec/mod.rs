//! How envelopes are encoded: the same on every adapter, and the same on every node of a topic.
//!
//! An envelope is JSON text inside this process. A codec translates it on its way out and in, so nothing else knows of it.
//! Control messages are JSON with every codec: nodes that do not read each other's envelopes still know of each other.

#[cfg(feature = "bson")]
mod bson;

#[cfg(feature = "bson")]
pub(crate) use bson::data;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::options::unknown;
use super::quarantine::Reason;

/// The encoding of envelopes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Codec {
    /// JSON, as Node processes use it by default.
    #[default]
    Json,
    /// BSON, as Node processes write and read it with `bson.serialize` and `bson.deserialize` of js-bson; with the feature
    /// `bson`.
    ///
    /// What comes in has [typed values](crate::event::Json::bson) for listeners, and for clients what `JSON.stringify` makes
    /// of them: a date is its ISO string, an ObjectId its hex digits, a binary its base64. What goes out has dates where the
    /// service [names them](crate::service::Registration::dates).
    #[cfg(feature = "bson")]
    Bson,
    /// MessagePack, with text keys; with the feature `msgpack`. Values that JSON does not have are refused.
    #[cfg(feature = "msgpack")]
    MessagePack,
    /// One of the app's own.
    Custom(Arc<dyn Serializer>),
}

/// Writes and reads envelopes in an encoding of the app's own; all nodes of the topic need the same.
///
/// ```
/// use serde_json::Value;
/// use wingbeat::sync::{BoxError, Serializer};
///
/// /// JSON upside down.
/// #[derive(Debug)]
/// struct Reversed;
///
/// impl Serializer for Reversed {
///     fn name(&self) -> &str {
///         "reversed"
///     }
///
///     fn serialize(&self, envelope: &Value) -> Result<Vec<u8>, BoxError> {
///         let mut bytes = serde_json::to_vec(envelope)?;
///         bytes.reverse();
///         Ok(bytes)
///     }
///
///     fn deserialize(&self, payload: &[u8]) -> Result<Value, BoxError> {
///         let bytes: Vec<u8> = payload.iter().rev().copied().collect();
///         Ok(serde_json::from_slice(&bytes)?)
///     }
/// }
/// ```
pub trait Serializer: fmt::Debug + Send + Sync + 'static {
    /// Returns the stable lower-case name, by which nodes know whether they read each other.
    fn name(&self) -> &str;

    /// Writes one envelope, which is an object. What it writes must not begin with `{"wb":`, as control messages do.
    ///
    /// # Errors
    /// An event that can not be written stays on this node and is counted.
    fn serialize(&self, envelope: &Value) -> Result<Vec<u8>, BoxError>;

    /// Reads one envelope, which anybody who reaches the broker may have written.
    ///
    /// # Errors
    /// What can not be read is put into quarantine.
    fn deserialize(&self, payload: &[u8]) -> Result<Value, BoxError>;
}

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Codec {
    /// Returns the name, by which nodes know whether they read each other.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Json => "json",
            #[cfg(feature = "bson")]
            Self::Bson => "bson",
            #[cfg(feature = "msgpack")]
            Self::MessagePack => "msgpack",
            Self::Custom(serializer) => serializer.name(),
        }
    }

    pub(crate) const fn is_json(&self) -> bool {
        matches!(self, Self::Json)
    }

    /// Whether what comes in has more types than JSON, so that the message is worth keeping.
    pub(super) const fn has_types(&self) -> bool {
        match self {
            #[cfg(feature = "bson")]
            Self::Bson => true,
            _ => false,
        }
    }

    /// Translates the JSON text of an envelope; `dates` names the properties that are dates.
    pub(super) fn write(&self, text: &[u8], dates: &[Arc<str>]) -> Result<Vec<u8>, BoxError> {
        let _ = dates;
        match self {
            Self::Json => Ok(text.to_vec()),
            #[cfg(feature = "bson")]
            Self::Bson => bson::write(&serde_json::from_slice(text)?, dates),
            #[cfg(feature = "msgpack")]
            Self::MessagePack => Ok(rmp_serde::to_vec_named(&value(text)?)?),
            Self::Custom(serializer) => serializer.serialize(&value(text)?),
        }
    }

    /// Translates an envelope into JSON text.
    pub(super) fn read(&self, payload: &Bytes) -> Result<Bytes, Reason> {
        let read = match self {
            Self::Json => return Ok(payload.clone()),
            #[cfg(feature = "bson")]
            Self::Bson => return bson::read(payload),
            #[cfg(feature = "msgpack")]
            Self::MessagePack => from_message_pack(payload),
            Self::Custom(serializer) => serializer.deserialize(payload),
        };
        let text = read.and_then(|value| Ok(serde_json::to_vec(&value)?));
        text.map(Bytes::from).map_err(|_| Reason::Malformed)
    }
}

#[cfg(feature = "msgpack")]
fn from_message_pack(mut payload: &[u8]) -> Result<Value, BoxError> {
    let value = rmp_serde::from_read(&mut payload)?;
    if payload.is_empty() {
        Ok(value)
    } else {
        Err("something follows on the envelope".into())
    }
}

fn value(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text)
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            #[cfg(feature = "bson")]
            "bson" => Ok(Self::Bson),
            #[cfg(feature = "msgpack")]
            "msgpack" => Ok(Self::MessagePack),
            #[cfg(not(all(feature = "bson", feature = "msgpack")))]
            "bson" | "msgpack" => Err(format!(
                "the codec '{text}' needs the feature '{text}' of wingbeat"
            )),
            _ => Err(unknown("codec", text, &["json", "bson", "msgpack"])),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
