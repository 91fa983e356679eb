//! The part of the query that picks and orders records (feathers.md §6).

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// A query, split into what a record must equal and how the list is cut.
#[derive(Debug, Default)]
pub(super) struct Selection {
    equal: Vec<(String, Value)>,
    sort: Vec<(String, Direction)>,
    pub(super) limit: Option<i64>,
    pub(super) skip: i64,
}

type Direction = i64;

impl Selection {
    pub(super) fn new(query: &Map<String, Value>) -> Result<Self> {
        let mut selection = Self::default();
        for (key, value) in query {
            selection.add(key, value)?;
        }
        Ok(selection)
    }

    fn add(&mut self, key: &str, value: &Value) -> Result<()> {
        match key {
            "$limit" => self.limit = integer(value),
            "$skip" => self.skip = integer(value).unwrap_or(0),
            "$sort" => self.sort = directions(value),
            key if key.starts_with('$') => {
                return Err(Error::bad_request(format!("Invalid filter value {key}")));
            }
            key => {
                check_operators(value)?;
                self.equal.push((key.to_owned(), value.clone()));
            }
        }
        Ok(())
    }

    /// Tells whether a record has every value that is asked for; a missing one equals `null`, and an array field also
    /// equals each of its elements (§6.3).
    pub(super) fn matches(&self, record: &Map<String, Value>) -> bool {
        self.equal
            .iter()
            .all(|(key, wanted)| match record.get(key) {
                None => wanted.is_null(),
                Some(Value::Array(elements)) if elements.contains(wanted) => true,
                Some(value) => value == wanted,
            })
    }

    pub(super) fn sort(&self, records: &mut [&Map<String, Value>]) {
        if !self.sort.is_empty() {
            records.sort_by(|one, other| self.compare(one, other));
        }
    }

    fn compare(&self, one: &Map<String, Value>, other: &Map<String, Value>) -> Ordering {
        let by_key = |(key, direction): &(String, Direction)| {
            let ordering = order(one.get(key), other.get(key));
            if *direction < 0 {
                ordering.reverse()
            } else {
                ordering
            }
        };
        self.sort
            .iter()
            .map(by_key)
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// Nested operators are not known here yet: an error is better than records that the caller did not ask for.
fn check_operators(value: &Value) -> Result<()> {
    match value {
        Value::Object(object) => {
            if let Some(operator) = object.keys().find(|key| key.starts_with('$')) {
                let error = Error::bad_request(format!("Invalid query parameter {operator}"));
                return Err(error.with_data(value.clone()));
            }
            object.values().try_for_each(check_operators)
        }
        Value::Array(elements) => elements.iter().try_for_each(check_operators),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Reads a number as JavaScript's `parseInt(value, 10)` does.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| parse_int(&number.to_string())),
        Value::String(text) => parse_int(text),
        Value::Array(elements) => elements.first().and_then(integer),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

fn parse_int(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + digits].parse().ok()
}

fn directions(sort: &Value) -> Vec<(String, Direction)> {
    let Some(keys) = sort.as_object() else {
        return Vec::new();
    };
    let direction = |(key, value): (&String, &Value)| {
        Some((key.clone(), integer(value).filter(|way| *way != 0)?))
    };
    keys.iter().filter_map(direction).collect()
}

/// Orders by type first: null or missing, numbers, strings by UTF-16 code units, booleans, arrays, objects (§6.3).
fn order(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    let null = json!(null);
    match (one.unwrap_or(&null), other.unwrap_or(&null)) {
        (Value::Number(one), Value::Number(other)) => one
            .as_f64()
            .partial_cmp(&other.as_f64())
            .unwrap_or(Ordering::Equal),
        (Value::String(one), Value::String(other)) => one.encode_utf16().cmp(other.encode_utf16()),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (one, other) => rank(one).cmp(&rank(other)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_javascript_reads_them() {
        let read = [
            json!("2"),
            json!(1.9),
            json!("1e3"),
            json!([1]),
            json!("-5x"),
            json!("abc"),
            json!(null),
        ];
        let wanted = [Some(2), Some(1), Some(1), Some(1), Some(-5), None, None];
        assert_eq!(read.iter().map(integer).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn types_sort_in_the_order_of_the_memory_adapter() {
        let mut values = [
            json!([]),
            json!(true),
            json!("a"),
            json!(2),
            json!(null),
            json!({}),
            json!(1),
        ];
        values.sort_by(|one, other| order(Some(one), Some(other)));
        assert_eq!(
            values,
            [
                json!(null),
                json!(1),
                json!(2),
                json!("a"),
                json!(true),
                json!([]),
                json!({})
            ]
        );
    }
}
