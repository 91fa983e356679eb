//! When a record fulfils a filter: the rules of `sift` 17, which `@feathersjs/memory` calls (feathers.md §6.3).

use serde_json::Value;

use super::filter::{Filter, Relation, Test};
use super::order::{compare_numbers, compare_texts, equal, member};

/// What a store says of its own operators: from the name, the value found and the value in the query.
pub(super) type Custom<'a> = dyn Fn(&str, &Value, &Value) -> bool + 'a;

pub(super) fn fulfils(filter: &Filter, record: &Value, custom: &Custom<'_>) -> bool {
    let fulfils = |filter| fulfils(filter, record, custom);
    match filter {
        Filter::All(filters) => filters.iter().all(fulfils),
        Filter::Any(filters) => filters.iter().any(fulfils),
        Filter::Field { path, test } => {
            test.passes(&mut |visit| visit_path(record, path, visit), custom)
        }
        Filter::Record(test) => test.passes(&mut |visit| visit(Found::Value(record)), custom),
    }
}

/// What stands at a path.
#[derive(Clone, Copy)]
enum Found<'a> {
    Value(&'a Value),
    Nothing,
    /// The path names an element that an array does not have: it is `null` for `$ne`, `$in` and `$nin` only.
    NoElement,
}

impl<'a> Found<'a> {
    fn value(self) -> Option<&'a Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Nothing | Self::NoElement => None,
        }
    }

    fn is_element(self) -> bool {
        !matches!(self, Self::NoElement)
    }
}

/// Gets the values at a path one by one until it says `true`, and tells whether it did.
type Visit<'a, 'v> = &'v mut dyn FnMut(Found<'a>) -> bool;

impl Test {
    /// Tells whether one of the values passes, or for `$ne` and `$nin` that none is what it must not be.
    fn passes<'a>(
        &self,
        values: &mut dyn FnMut(Visit<'a, '_>) -> bool,
        custom: &Custom<'_>,
    ) -> bool {
        match self {
            Self::Equal(wanted) => {
                values(&mut |found| found.is_element() && equal(wanted, found.value()))
            }
            Self::NotEqual(wanted) => !values(&mut |found| equal(wanted, found.value())),
            Self::In(wanted) => values(&mut |found| is_one_of(wanted, found)),
            Self::NotIn(wanted) => !values(&mut |found| is_one_of(wanted, found)),
            Self::Compare(relation, wanted) => {
                values(&mut |found| found.is_element() && relation.holds(found.value(), wanted))
            }
            Self::Custom { operator, wanted } => values(&mut |found| {
                found.is_element()
                    && custom(operator, found.value().unwrap_or(&Value::Null), wanted)
            }),
        }
    }
}

impl Relation {
    /// Only values of one type stand to each other; `null` and what is missing are the same as `null`.
    fn holds(self, found: Option<&Value>, wanted: &Value) -> bool {
        let order = match (found.unwrap_or(&Value::Null), wanted) {
            (Value::Number(found), Value::Number(wanted)) => compare_numbers(found, wanted),
            (Value::String(found), Value::String(wanted)) => compare_texts(found, wanted),
            (Value::Bool(found), Value::Bool(wanted)) => found.cmp(wanted),
            (Value::Null, Value::Null) => return matches!(self, Self::AtMost | Self::AtLeast),
            _ => return false,
        };
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

fn is_one_of(wanted: &[Value], found: Found<'_>) -> bool {
    wanted.iter().any(|wanted| equal(wanted, found.value()))
}

/// Visits what stands at a path, through every element of the arrays on the way and at its end.
fn visit_path<'a>(value: &'a Value, path: &str, visit: Visit<'a, '_>) -> bool {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let found = match value {
        Value::Array(elements) if !is_number(name) => {
            return elements
                .iter()
                .any(|element| visit_path(element, path, visit));
        }
        Value::Null => Found::Nothing,
        Value::Array(_) => member(value, name).map_or(Found::NoElement, Found::Value),
        value => member(value, name).map_or(Found::Nothing, Found::Value),
    };
    match (found, rest) {
        (Found::Value(value), Some(rest)) => visit_path(value, rest, visit),
        (Found::Value(value), None) => visit_end(value, visit),
        (missing, _) => visit(missing),
    }
}

/// Visits the elements of an array, of arrays within it too, and then the array itself.
fn visit_end<'a>(value: &'a Value, visit: Visit<'a, '_>) -> bool {
    let elements = value.as_array().into_iter().flatten();
    elements
        .into_iter()
        .any(|element| visit_end(element, visit))
        || visit(Found::Value(value))
}

/// Tells whether JavaScript's `Number` makes a number of a name: such a name is an index of an array.
fn is_number(name: &str) -> bool {
    let name = name.trim();
    let has_digits = || name.bytes().all(|byte| b"0123456789+-.eE".contains(&byte));
    name.is_empty() || has_digits() && name.parse::<f64>().is_ok()
}
