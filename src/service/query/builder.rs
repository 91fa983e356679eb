//! Queries written in Rust.

use serde_json::{Map, Value};

use super::filter::{Relation, Test};
use super::order::Direction;

/// Writes a query in the form that calls and clients send.
///
/// ```
/// use serde_json::json;
/// use wingbeat::service::query::{Direction, QueryBuilder, Test};
///
/// let query = QueryBuilder::new()
///     .equals("room", "kitchen")
///     .test("n", Test::greater_than(1))
///     .test("n", Test::at_most(5))
///     .sort("n", Direction::Descending)
///     .limit(10)
///     .select(["text"])
///     .build();
/// let expected = json!({ "room": "kitchen", "n": { "$gt": 1, "$lte": 5 }, "$sort": { "n": -1 }, "$limit": 10, "$select": ["text"] });
/// assert_eq!(serde_json::Value::Object(query), expected);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a query does nothing until a call has it"]
pub struct QueryBuilder(Map<String, Value>);

impl QueryBuilder {
    /// Makes the query that every record fulfils.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants a property to have a value; dots lead into objects and arrays.
    pub fn equals(self, path: impl Into<String>, value: impl Into<Value>) -> Self {
        self.add(path.into(), value.into())
    }

    /// Wants a property to pass a test.
    pub fn test(mut self, path: impl Into<String>, test: Test) -> Self {
        let path = path.into();
        let (operator, wanted) = match test {
            Test::Equal(value) => return self.add(path, value),
            Test::NotEqual(value) => ("$ne".to_owned(), value),
            Test::In(values) => ("$in".to_owned(), values.into()),
            Test::NotIn(values) => ("$nin".to_owned(), values.into()),
            Test::Compare(relation, value) => (relation.operator().to_owned(), value),
            Test::Custom { operator, wanted } => (operator, wanted),
        };
        match self.0.get_mut(&path) {
            Some(Value::Object(operators)) if has_room(operators, &operator) => {
                operators.insert(operator, wanted);
                self
            }
            _ => self.add(path, Map::from_iter([(operator, wanted)]).into()),
        }
    }

    /// Wants at least one of these to be fulfilled.
    pub fn any(self, queries: impl IntoIterator<Item = Self>) -> Self {
        self.add("$or".to_owned(), values(queries).into())
    }

    /// Wants all of these to be fulfilled. Stores take it at the top only.
    pub fn all(mut self, queries: impl IntoIterator<Item = Self>) -> Self {
        self.demand(values(queries));
        self
    }

    /// Adds a key to the order; the first one is the most important.
    pub fn sort(mut self, path: impl Into<String>, direction: Direction) -> Self {
        let number = match direction {
            Direction::Ascending => 1,
            Direction::Descending => -1,
        };
        match self.0.get_mut("$sort") {
            Some(Value::Object(keys)) => {
                keys.insert(path.into(), number.into());
                self
            }
            _ => self.set("$sort", Map::from_iter([(path.into(), number.into())])),
        }
    }

    /// Wants so many records at most.
    pub fn limit(self, limit: u64) -> Self {
        self.set("$limit", limit)
    }

    /// Leaves out so many records.
    pub fn skip(self, skip: u64) -> Self {
        self.set("$skip", skip)
    }

    /// Wants these fields only; the id comes always.
    pub fn select<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<Value> = names.into_iter().map(|name| name.into().into()).collect();
        self.set("$select", names)
    }

    /// Sets a filter of the store's own, as `$search`, in place of an earlier value.
    pub fn set(mut self, filter: &str, value: impl Into<Value>) -> Self {
        self.0.insert(filter.to_owned(), value.into());
        self
    }

    /// Returns the query for [`PendingCall::query`](crate::service::PendingCall::query) or
    /// [`Params::with_query`](crate::Params::with_query).
    #[must_use]
    pub fn build(self) -> Map<String, Value> {
        self.0
    }

    /// What stands in the way of a second condition goes into `$and` with it.
    fn add(mut self, name: String, value: Value) -> Self {
        if self.0.contains_key(&name) {
            self.demand(vec![Map::from_iter([(name, value)]).into()]);
        } else {
            self.0.insert(name, value);
        }
        self
    }

    fn demand(&mut self, mut conditions: Vec<Value>) {
        match self.0.get_mut("$and") {
            Some(Value::Array(known)) => known.append(&mut conditions),
            _ => {
                self.0.insert("$and".to_owned(), conditions.into());
            }
        }
    }
}

/// So that calls take a builder as it is.
impl From<QueryBuilder> for Map<String, Value> {
    fn from(query: QueryBuilder) -> Self {
        query.0
    }
}

impl Relation {
    fn operator(self) -> &'static str {
        match self {
            Self::Less => "$lt",
            Self::AtMost => "$lte",
            Self::Greater => "$gt",
            Self::AtLeast => "$gte",
        }
    }
}

fn has_room(operators: &Map<String, Value>, operator: &str) -> bool {
    !operators.contains_key(operator) && operators.keys().any(|key| key.starts_with('$'))
}

fn values(queries: impl IntoIterator<Item = QueryBuilder>) -> Vec<Value> {
    let queries = queries.into_iter().map(|query| Value::Object(query.0));
    queries.collect()
}
