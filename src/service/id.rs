//! The id of a record.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::error::{Error, Result};

/// The id of a record: a JSON number or string.
///
/// Ids over REST are always strings, over sockets they keep their type (feathers.md §0.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
}

impl Id {
    /// Reads an id from JSON; `null` is no id.
    ///
    /// # Errors
    /// `BadRequest` for values that are neither number nor string.
    pub fn from_json(value: Value) -> Result<Option<Self>> {
        match value {
            Value::Null => Ok(None),
            Value::Number(number) => Ok(Some(Self::Number(number))),
            Value::String(text) => Ok(Some(Self::Text(text))),
            other => Err(Error::bad_request(format!(
                "an id is a number or a string, not {other}"
            ))),
        }
    }

    /// Returns the id as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => { $(
        impl From<$integer> for Id {
            fn from(number: $integer) -> Self {
                Self::Number(number.into())
            }
        }
    )* };
}

from_integer!(i32, i64, u32, u64);
