//! Which fields the caller gets (feathers.md §6.3).

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Which fields of a record the caller gets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Select {
    /// These, and behind them the id.
    Fields(Vec<String>),
    /// A text instead of a list, as `?$select=text`. Feathers takes it, and the name of the id, for lists of letters.
    Text(String),
}

impl Select {
    /// Reads `$select`; what is falsy in JavaScript selects everything.
    ///
    /// # Errors
    /// `BadRequest` for a value that is neither list nor text.
    pub fn parse(select: &Value) -> Result<Option<Self>> {
        Ok(match select {
            Value::Array(names) => Some(Self::Fields(names.iter().map(name).collect())),
            Value::String(text) if !text.is_empty() => Some(Self::Text(text.clone())),
            Value::Null | Value::Bool(false) | Value::String(_) => None,
            Value::Number(number) if number.as_f64() == Some(0.0) => None,
            _ => return Err(Error::bad_request("$select must be a list of properties")),
        })
    }

    /// Returns the names of the fields in the order of the answer; a name may stand several times.
    #[must_use]
    pub fn names(&self, id: &str) -> Vec<String> {
        match self {
            Self::Fields(names) => names.iter().cloned().chain([id.to_owned()]).collect(),
            Self::Text(text) => text.chars().chain(id.chars()).map(String::from).collect(),
        }
    }

    /// Returns the selected fields of a record that it has, the id last unless it is named before.
    #[must_use]
    pub fn pick(&self, record: &Value, id: &str) -> Value {
        let names = self.names(id).into_iter();
        let fields = names.filter_map(|name| Some((record.get(&name)?.clone(), name)));
        Value::Object(
            fields
                .map(|(value, name)| (name, value))
                .collect::<Map<_, _>>(),
        )
    }
}

fn name(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
