//! What a record has to fulfil, as a tree.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// What a record has to fulfil.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Filter {
    /// All of them; an empty list is fulfilled by every record.
    All(Vec<Self>),
    /// At least one of them: `$or`.
    Any(Vec<Self>),
    /// A test of one property.
    Field {
        /// The property, with dots between the names on the way to it; the way leads through all elements of arrays.
        path: String,
        /// What its value has to fulfil.
        test: Test,
    },
    /// A test of the record as a whole.
    Record(Test),
}

/// What one value has to fulfil; an array does so if one of its elements does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Test {
    /// The value is the same, by type and deep; `null` is the same as a missing one.
    Equal(Value),
    /// Neither the value nor an element of it is the same: `$ne`.
    NotEqual(Value),
    /// The value is the same as one of these: `$in`.
    In(Vec<Value>),
    /// Neither the value nor an element of it is the same as one of these: `$nin`.
    NotIn(Vec<Value>),
    /// The value is of the same type and stands so to this one: `$lt`, `$lte`, `$gt`, `$gte`.
    Compare(Relation, Value),
    /// What the store itself says of an operator or filter that its options allow.
    Custom {
        /// The name, with its `$`.
        operator: String,
        /// The value that the query has for it.
        wanted: Value,
    },
}

impl Filter {
    /// Tells whether every record fulfils it, whatever is in that.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::All(filters) if filters.is_empty())
    }
}

/// How a value stands to the one in the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `$lt`
    Less,
    /// `$lte`
    AtMost,
    /// `$gt`
    Greater,
    /// `$gte`
    AtLeast,
}

impl Filter {
    /// Reads one member of a query or of an element of `$or`.
    pub(super) fn member(key: &str, value: &Value) -> Result<Self> {
        match key {
            "$or" => group(key, value).map(Self::Any),
            "$and" => group(key, value).map(Self::All),
            key if key.starts_with('$') => Test::read(key, value).map(Self::Record),
            key => property(key, value),
        }
    }

    /// Reads an element of `$or`. JavaScript takes an array for an object, and compares anything else with the record.
    fn element(value: &Value) -> Result<Self> {
        let members: Result<Vec<Self>> = match value {
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| Self::member(key, value))
                .collect(),
            Value::Array(elements) => elements
                .iter()
                .enumerate()
                .map(|(index, value)| property(&index.to_string(), value))
                .collect(),
            other => return Ok(Self::Record(Test::Equal(other.clone()))),
        };
        members.map(Self::All)
    }
}

fn group(key: &str, value: &Value) -> Result<Vec<Filter>> {
    match value.as_array() {
        None => Err(Error::bad_request(format!(
            "{key} must be a nonempty array"
        ))),
        Some(elements) if elements.is_empty() => {
            Err(Error::bad_request("$and/$or/$nor must be a nonempty array"))
        }
        Some(elements) => elements.iter().map(Filter::element).collect(),
    }
}

/// An object with an operator in it has nothing else; one without is a value to be equal to.
fn property(path: &str, value: &Value) -> Result<Filter> {
    let field = |test| Filter::Field {
        path: path.to_owned(),
        test,
    };
    let operators = value.as_object().filter(|object| has_operator(object));
    let Some(operators) = operators else {
        return Ok(field(Test::Equal(value.clone())));
    };
    let tests = operators
        .iter()
        .map(|(key, value)| Test::read(key, value).map(field));
    tests.collect::<Result<_>>().map(Filter::All)
}

fn has_operator(object: &Map<String, Value>) -> bool {
    object.keys().any(|key| key.starts_with('$'))
}

impl Test {
    fn read(operator: &str, wanted: &Value) -> Result<Self> {
        let compare = |relation| Ok(Self::Compare(relation, wanted.clone()));
        match operator {
            "$ne" => Ok(Self::NotEqual(wanted.clone())),
            "$in" => values(operator, wanted).map(Self::In),
            "$nin" => values(operator, wanted).map(Self::NotIn),
            "$lt" => compare(Relation::Less),
            "$lte" => compare(Relation::AtMost),
            "$gt" => compare(Relation::Greater),
            "$gte" => compare(Relation::AtLeast),
            "$or" | "$and" => Err(Error::bad_request(format!(
                "Malformed query. {operator} cannot be matched against property."
            ))),
            custom if custom.starts_with('$') => Ok(Self::Custom {
                operator: custom.to_owned(),
                wanted: wanted.clone(),
            }),
            _ => Err(Error::bad_request(
                "Property queries must contain only operations, or exact objects.",
            )),
        }
    }

    /// Makes the test of being none of these values.
    pub fn none_of<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::NotIn(values.into_iter().map(Into::into).collect())
    }

    /// Makes the test of being one of these values.
    pub fn one_of<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::In(values.into_iter().map(Into::into).collect())
    }

    /// Makes the test of being another value.
    pub fn not(value: impl Into<Value>) -> Self {
        Self::NotEqual(value.into())
    }

    /// Makes the test of being below a value.
    pub fn less_than(value: impl Into<Value>) -> Self {
        Self::Compare(Relation::Less, value.into())
    }

    /// Makes the test of being a value or below it.
    pub fn at_most(value: impl Into<Value>) -> Self {
        Self::Compare(Relation::AtMost, value.into())
    }

    /// Makes the test of being above a value.
    pub fn greater_than(value: impl Into<Value>) -> Self {
        Self::Compare(Relation::Greater, value.into())
    }

    /// Makes the test of being a value or above it.
    pub fn at_least(value: impl Into<Value>) -> Self {
        Self::Compare(Relation::AtLeast, value.into())
    }
}

/// One value stands for a list of one.
fn values(operator: &str, wanted: &Value) -> Result<Vec<Value>> {
    let values = match wanted {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    };
    let nests = |value: &Value| value.as_object().is_some_and(has_operator);
    if values.iter().any(nests) {
        return Err(Error::bad_request(format!(
            "cannot nest $ under {operator}"
        )));
    }
    Ok(values)
}

impl Default for Filter {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}
