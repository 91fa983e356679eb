//! How records are ordered, and when two values are the same (feathers.md §6.3).

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::page::parse_int;
use crate::error::{Error, Result};
use crate::json::properties::array_index;

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sort {
    /// The property, with dots between the names on the way to it.
    pub path: String,
    /// Which end comes first.
    pub direction: Direction,
}

/// Which end of an order comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Small values first: `1`.
    Ascending,
    /// Large values first: `-1`.
    Descending,
}

impl Sort {
    pub(super) fn compare(&self, one: &Value, other: &Value) -> Ordering {
        let order = compare(self.key(one), self.key(other));
        match self.direction {
            Direction::Ascending => order,
            Direction::Descending => order.reverse(),
        }
    }

    /// Returns the value that the order looks at. A missing parent is `null`, where Feathers fails.
    fn key<'a>(&self, record: &'a Value) -> &'a Value {
        self.path
            .split('.')
            .try_fold(record, member)
            .unwrap_or(&Value::Null)
    }
}

/// Reads `$sort`. What is no object orders nothing, nor does a direction that is no number, or what stands behind it.
pub(super) fn read(sort: &Value) -> Result<Vec<Sort>> {
    match sort {
        Value::Object(directions) => Ok(keys(directions)),
        Value::Null => Err(Error::bad_request("$sort must be an object")),
        _ => Ok(Vec::new()),
    }
}

fn keys(directions: &Map<String, Value>) -> Vec<Sort> {
    let numbers = directions
        .iter()
        .map_while(|(path, direction)| Some((path, scalar(direction).and_then(parse_int)?)));
    let known = numbers.filter(|(_, number)| *number != 0);
    known
        .map(|(path, number)| Sort {
            path: path.clone(),
            direction: if number < 0 {
                Direction::Descending
            } else {
                Direction::Ascending
            },
        })
        .collect()
}

fn scalar(value: &Value) -> Option<&Value> {
    (!value.is_object() && !value.is_array()).then_some(value)
}

/// Takes one step of a path, into an object or an array.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(name),
        Value::Array(elements) => elements.get(usize::try_from(array_index(name)?).ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Orders values by type first: null, numbers, strings by UTF-16 code units, booleans, arrays, objects.
pub(super) fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare_numbers(one, other),
        (Value::String(one), Value::String(other)) => compare_texts(one, other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Array(one), Value::Array(other)) => compare_all(one, other),
        (Value::Object(one), Value::Object(other)) => {
            compare_all(values_by_key(one), values_by_key(other))
        }
        (one, other) => rank(one).cmp(&rank(other)),
    }
}

/// Orders lists by their first difference, else the shorter one goes first.
fn compare_all<'a>(
    one: impl IntoIterator<Item = &'a Value>,
    other: impl IntoIterator<Item = &'a Value>,
) -> Ordering {
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    loop {
        match (one.next(), other.next()) {
            (Some(one), Some(other)) => match compare(one, other) {
                Ordering::Equal => {}
                order => return order,
            },
            (one, other) => return one.is_some().cmp(&other.is_some()),
        }
    }
}

/// The values of an object, by the order of their keys; the keys themselves do not count.
fn values_by_key(object: &Map<String, Value>) -> Vec<&Value> {
    let mut entries: Vec<(&String, &Value)> = object.iter().collect();
    entries.sort_by(|(one, _), (other, _)| compare_texts(one, other));
    entries.into_iter().map(|(_, value)| value).collect()
}

pub(super) fn compare_texts(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

/// Compares whole numbers exactly and others as doubles, which is one order for all: sorting needs that.
pub(super) fn compare_numbers(one: &Number, other: &Number) -> Ordering {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => one
            .as_f64()
            .partial_cmp(&other.as_f64())
            .unwrap_or(Ordering::Equal),
    }
}

fn whole(number: &Number) -> Option<i128> {
    let integer = number.as_i128();
    integer.or_else(|| {
        let double = number.as_f64()?;
        let is_whole = double.fract() == 0.0 && double.abs() < WHOLE_BELOW;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "it is whole and within the range"
        )]
        is_whole.then_some(double as i128)
    })
}

/// Tells whether two values are the same: by type, deep, and with `null` for what is missing.
pub(super) fn equal(wanted: &Value, found: Option<&Value>) -> bool {
    match (wanted, found.unwrap_or(&Value::Null)) {
        (Value::Number(wanted), Value::Number(found)) => compare_numbers(wanted, found).is_eq(),
        (Value::Array(wanted), Value::Array(found)) => {
            let all_equal = || {
                let pairs = wanted.iter().zip(found);
                pairs
                    .into_iter()
                    .all(|(one, other)| equal(one, Some(other)))
            };
            wanted.len() == found.len() && all_equal()
        }
        (Value::Object(wanted), Value::Object(found)) => {
            let all_equal = || wanted.iter().all(|(name, one)| equal(one, found.get(name)));
            wanted.len() == found.len() && all_equal()
        }
        (wanted, found) => wanted == found,
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Bool(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// No JSON integer is beyond, and an `i128` holds all that is below.
const WHOLE_BELOW: f64 = 1e30;
