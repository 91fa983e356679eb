//! BSON, as js-bson writes and reads it (feathers.md §9.4).
//!
//! Depth is limited while a message is read: what nests without end must not reach the end of the stack.

use std::sync::Arc;

use bson::raw::{RawArray, RawBsonRef, RawDocument};
use bson::{Bson, DateTime, Document};
use bytes::Bytes;
use serde_json::{Map, Number, Value};

use super::BoxError;
use crate::sync::quarantine::Reason;

/// Writes an envelope; strings under a name in `dates` that are dates become such.
pub(super) fn write(envelope: &Value, dates: &[Arc<str>]) -> Result<Vec<u8>, BoxError> {
    let Bson::Document(document) = from_json(envelope, dates) else {
        return Err("an envelope is an object".into());
    };
    Ok(document.to_vec()?)
}

/// Reads an envelope as JSON text.
pub(super) fn read(payload: &[u8]) -> Result<Bytes, Reason> {
    let document = RawDocument::from_bytes(payload).map_err(|_| Reason::Malformed)?;
    let envelope = object(document, MAX_DEPTH)?;
    let text = serde_json::to_vec(&envelope).map_err(|_| Reason::Malformed)?;
    Ok(text.into())
}

/// Reads the data of an envelope with its types.
pub(crate) fn data(payload: &[u8]) -> Option<Bson> {
    let document = RawDocument::from_bytes(payload).ok()?;
    let data = document.get("data").ok()??;
    Bson::try_from(data).ok()
}

/// Makes of a JSON value what js-bson makes of the same JavaScript value.
fn from_json(value: &Value, dates: &[Arc<str>]) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(is) => Bson::Boolean(*is),
        Value::Number(number) => from_number(number),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(elements) => elements
            .iter()
            .map(|element| from_json(element, dates))
            .collect::<Vec<_>>()
            .into(),
        Value::Object(members) => document(members, dates).into(),
    }
}

/// Makes a document of the members of an object.
fn document(members: &Map<String, Value>, dates: &[Arc<str>]) -> Document {
    let member = |(name, value): (&String, &Value)| {
        let date = value
            .as_str()
            .filter(|_| dates.iter().any(|date| **date == **name))
            .and_then(|text| DateTime::parse_rfc3339_str(text).ok());
        let value = date.map_or_else(|| from_json(value, dates), Bson::DateTime);
        (name.clone(), value)
    };
    members.iter().map(member).collect()
}

/// Whole numbers of 32 bits are integers, all others are doubles: JavaScript has no other ones.
fn from_number(number: &Number) -> Bson {
    let small = number
        .as_i64()
        .and_then(|number| i32::try_from(number).ok());
    small.map_or_else(
        || Bson::Double(number.as_f64().unwrap_or(f64::NAN)),
        Bson::Int32,
    )
}

/// Makes the value that `JSON.stringify` makes of what js-bson reads.
fn to_json(value: RawBsonRef<'_>, depth: usize) -> Result<Value, Reason> {
    let deeper = depth.checked_sub(1).ok_or(Reason::TooDeep);
    Ok(match value {
        RawBsonRef::Document(document) => object(document, deeper?)?,
        RawBsonRef::Array(array) => elements(array, deeper?)?,
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => text.into(),
        RawBsonRef::Boolean(is) => is.into(),
        RawBsonRef::Int32(number) => number.into(),
        RawBsonRef::Int64(number) => number.into(),
        RawBsonRef::Double(number) => from_double(number),
        RawBsonRef::DateTime(date) => iso(date).map_or(Value::Null, Value::from),
        RawBsonRef::ObjectId(id) => id.to_hex().into(),
        RawBsonRef::Binary(binary) => data_encoding::BASE64.encode(binary.bytes).into(),
        RawBsonRef::Null | RawBsonRef::Undefined => Value::Null,
        // What is left has no plain form in JavaScript either.
        other => Bson::try_from(other)
            .map_err(|_| Reason::Malformed)?
            .into_relaxed_extjson(),
    })
}

/// Makes an object of a document.
fn object(document: &RawDocument, depth: usize) -> Result<Value, Reason> {
    let mut members = Map::new();
    for member in document {
        let (name, value) = member.map_err(|_| Reason::Malformed)?;
        members.insert(name.to_string(), to_json(value, depth)?);
    }
    Ok(members.into())
}

fn elements(array: &RawArray, depth: usize) -> Result<Value, Reason> {
    let element = |element: Result<RawBsonRef<'_>, _>| {
        to_json(element.map_err(|_| Reason::Malformed)?, depth)
    };
    let elements: Result<Vec<Value>, Reason> = array.into_iter().map(element).collect();
    elements.map(Value::from)
}

/// JavaScript writes 1 for 1.0, and null for what is no number.
fn from_double(number: f64) -> Value {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "it is compared with what it was"
    )]
    let whole = number as i64;
    #[allow(clippy::cast_precision_loss, reason = "it is below 2^53")]
    let is_whole = number.abs() < 9_007_199_254_740_992.0 && whole as f64 == number;
    if is_whole {
        whole.into()
    } else {
        Number::from_f64(number).map_or(Value::Null, Value::Number)
    }
}

/// Writes a date as `toISOString` does: UTC, always with milliseconds.
fn iso(date: DateTime) -> Option<String> {
    let text = date.try_to_rfc3339_string().ok()?;
    let text = text.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    Some(format!("{seconds}.{fraction:0<3}Z"))
}

/// As deep as any other envelope.
const MAX_DEPTH: usize = 64;
