//! Which names with a `$` may stand where, in the order in which Feathers looks (feathers.md §6.1).

use serde_json::{Map, Value};

use super::QueryOptions;
use crate::error::{Error, Result};

pub(super) fn check(query: &Map<String, Value>, options: &QueryOptions) -> Result<()> {
    check_size(query, options)?;
    for key in CHECKED_FILTERS {
        if let Some(value) = query.get(key) {
            check_filter(key, value, options)?;
        }
    }
    for (key, value) in query {
        if !key.starts_with('$') {
            check_operators(value, options)?;
        } else if !FILTERS.contains(&key.as_str()) && !options.filters.contains(key) {
            return Err(Error::bad_request(format!("Invalid filter value {key}")));
        }
    }
    Ok(())
}

/// Names right in `$sort` are properties; what stands in a list of `$select` becomes text.
fn check_filter(key: &str, value: &Value, options: &QueryOptions) -> Result<()> {
    match (key, value) {
        ("$sort", Value::Object(directions)) => directions
            .values()
            .try_for_each(|direction| check_operators(direction, options)),
        ("$sort" | "$select", Value::Array(_)) => Ok(()),
        _ => check_operators(value, options),
    }
}

/// Every name with a `$` below the top is an operator; the data of the error is the object that holds it.
fn check_operators(value: &Value, options: &QueryOptions) -> Result<()> {
    match value {
        Value::Object(object) => object.iter().try_for_each(|(key, value)| {
            if key.starts_with('$') && !is_operator(key, options) {
                let error = Error::bad_request(format!("Invalid query parameter {key}"));
                return Err(error.with_data(Value::Object(object.clone())));
            }
            check_operators(value, options)
        }),
        Value::Array(elements) => elements
            .iter()
            .try_for_each(|element| check_operators(element, options)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn is_operator(key: &str, options: &QueryOptions) -> bool {
    OPERATORS.contains(&key) || options.operators.iter().any(|operator| operator == key)
}

fn check_size(query: &Map<String, Value>, options: &QueryOptions) -> Result<()> {
    let mut left = options.max_values;
    query
        .values()
        .try_for_each(|value| count(value, options.max_depth, &mut left))
        .map_err(|excess| match excess {
            Excess::Depth => format!(
                "A query can not nest deeper than {} levels",
                options.max_depth
            ),
            Excess::Values => format!(
                "A query can not have more than {} values",
                options.max_values
            ),
        })
        .map_err(Error::bad_request)
}

enum Excess {
    Depth,
    Values,
}

/// Goes no deeper than `depth`, so the stack holds.
fn count(value: &Value, depth: usize, left: &mut usize) -> Result<(), Excess> {
    let depth = depth.checked_sub(1).ok_or(Excess::Depth)?;
    *left = left.checked_sub(1).ok_or(Excess::Values)?;
    match value {
        Value::Object(object) => object
            .values()
            .try_for_each(|value| count(value, depth, left)),
        Value::Array(elements) => elements
            .iter()
            .try_for_each(|element| count(element, depth, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

const FILTERS: [&str; 6] = ["$skip", "$sort", "$limit", "$select", "$or", "$and"];
const OPERATORS: [&str; 8] = ["$in", "$nin", "$lt", "$lte", "$gt", "$gte", "$ne", "$or"];
const CHECKED_FILTERS: [&str; 4] = ["$sort", "$select", "$or", "$and"];
