//! The query language of Feathers' stores: read once, checked, then the same for every store (feathers.md §6).
//!
//! In comes the object behind [`Params::query`](crate::Params::query), whether it was a query string or JSON; out goes a
//! [`Query`] that says which records, in which order, which of them, and which of their fields.
//!
//! ```
//! use serde_json::json;
//! use wingbeat::service::query::{Direction, Query, QueryBuilder, QueryOptions, Test};
//!
//! # fn main() -> wingbeat::error::Result<()> {
//! let written = QueryBuilder::new()
//!     .test("age", Test::at_least(18))
//!     .any([QueryBuilder::new().equals("name", "Ada"), QueryBuilder::new().equals("name", "Grace")])
//!     .sort("age", Direction::Descending)
//!     .build();
//! let query = Query::parse(&written, &QueryOptions::default())?;
//! assert!(query.matches(&json!({ "name": "Ada", "age": 36 })));
//! assert!(!query.matches(&json!({ "name": "Ada", "age": "36" })));
//! # Ok(())
//! # }
//! ```
//!
//! Invariant: no query makes it panic, and each bad one is a `BadRequest` that names what is wrong.

mod builder;
mod filter;
mod found;
mod matching;
mod order;
mod page;
mod select;
#[cfg(test)]
mod tests;
mod validation;

use std::cmp::Ordering;

use serde_json::{Map, Value};

pub use builder::QueryBuilder;
pub use filter::{Filter, Relation, Test};
pub use found::{Found, Page};
pub use order::{Direction, Sort};
pub use page::{Paginate, Window};
pub use select::Select;

use crate::error::Result;

/// What a caller looks for in a store.
///
/// Stores that search by themselves call [`matches`](Self::matches) and [`compare`](Self::compare); others, as those on SQL,
/// translate `filter` and `sort`. [`window`](Self::window) and `select` are the same for both.
///
/// ```
/// use serde_json::json;
/// use wingbeat::service::query::{Direction, Query, QueryBuilder, QueryOptions, Test};
///
/// # fn main() -> wingbeat::error::Result<()> {
/// let asked = QueryBuilder::new().equals("room", "kitchen").test("n", Test::greater_than(1));
/// let asked = asked.sort("n", Direction::Descending).build();
/// let query = Query::parse(&asked, &QueryOptions::default())?;
/// assert!(query.matches(&json!({ "room": "kitchen", "n": 2 })));
/// assert!(!query.matches(&json!({ "room": "hall", "n": 2 })));
/// assert!(query.compare(&json!({ "n": 2 }), &json!({ "n": 3 })).is_gt());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Query {
    /// What a record has to fulfil.
    pub filter: Filter,
    /// How the records are ordered, the most important first.
    pub sort: Vec<Sort>,
    /// Which fields the caller wants; `None` is all.
    pub select: Option<Select>,
    limit: Option<page::Parsed>,
    skip: Option<page::Parsed>,
}

/// What a query may hold besides the standard language, and how much of it.
///
/// ```
/// # use serde_json::json;
/// # use wingbeat::service::query::{Query, QueryBuilder, QueryOptions, Test};
/// # fn main() -> wingbeat::error::Result<()> {
/// let like = Test::Custom { operator: "$like".to_owned(), wanted: json!("A%") };
/// let asked = QueryBuilder::new().test("name", like).build();
/// let mut options = QueryOptions::default();
/// assert_eq!(Query::parse(&asked, &options).unwrap_err().message(), "Invalid query parameter $like");
/// options.operators.push("$like".to_owned());
/// assert!(Query::parse(&asked, &options).is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueryOptions {
    /// Further names with a `$` that may stand at the top, as `$search`; they become a [`Test::Custom`] of the whole record.
    /// None by default.
    pub filters: Vec<String>,
    /// Further names with a `$` that may stand below a property, as `$like`; they become a [`Test::Custom`]. None by default.
    pub operators: Vec<String>,
    /// How deep objects and lists may nest; 32 by default. A query string nests at most 22 deep.
    pub max_depth: usize,
    /// How many values, objects and lists a query may have; 10,000 by default. A query is tried on every record, so this
    /// bounds what one call costs.
    pub max_values: usize,
}

/// What a store does with a query, in this order.
///
/// ```
/// # use serde_json::json;
/// # use wingbeat::service::query::{Direction, Query, QueryBuilder, QueryOptions, Test};
/// # fn main() -> wingbeat::error::Result<()> {
/// let asked = QueryBuilder::new().test("n", Test::at_least(2)).sort("n", Direction::Descending).limit(1).build();
/// let query = Query::parse(&asked, &QueryOptions::default())?;
/// let mut records = vec![json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3 })];
/// records.retain(|record| query.matches(record));
/// records.sort_by(|one, other| query.compare(one, other));
/// let window = query.window(None);
/// let total = records.len();
/// assert_eq!(window.answer(total, records[window.range(total)].to_vec()), json!([{ "n": 3 }]));
/// # Ok(())
/// # }
/// ```
impl Query {
    /// Reads and checks the query of a call, as `filterQuery` of `@feathersjs/adapter-commons` 5.0.50 does.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::service::query::{Query, QueryBuilder, QueryOptions};
    /// # fn main() -> wingbeat::error::Result<()> {
    /// let asked = QueryBuilder::new().equals("room", "kitchen").build();
    /// let query = Query::parse(&asked, &QueryOptions::default())?;
    /// assert!(query.matches(&json!({ "room": "kitchen" })));
    ///
    /// let asked = QueryBuilder::new().equals("$search", "kitchen").build();
    /// let error = Query::parse(&asked, &QueryOptions::default()).unwrap_err();
    /// assert_eq!(error.message(), "Invalid filter value $search");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `BadRequest` with Feathers' words: `Invalid filter value $foo` for a name at the top that is not known, `Invalid query
    /// parameter $foo` for one below, with the object that holds it as data.
    /// What makes Feathers itself fail with 500, as an empty `$or`, is a `BadRequest` with the same words.
    pub fn parse(query: &Map<String, Value>, options: &QueryOptions) -> Result<Self> {
        validation::check(query, options)?;
        let mut parsed = Self::default();
        let mut filters = Vec::new();
        for (key, value) in query {
            match key.as_str() {
                "$limit" => parsed.limit = Some(page::parse_int(value)),
                "$skip" => parsed.skip = Some(page::parse_int(value)),
                "$sort" => parsed.sort = order::read(value)?,
                "$select" => parsed.select = Select::parse(value)?,
                key => filters.push(Filter::member(key, value)?),
            }
        }
        parsed.filter = Filter::All(filters);
        Ok(parsed)
    }

    /// Tells whether a record fulfils the filter; a [`Test::Custom`] is never fulfilled.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::service::query::{Query, QueryBuilder, QueryOptions, Test};
    /// # fn main() -> wingbeat::error::Result<()> {
    /// let asked = QueryBuilder::new().test("tags", Test::one_of(["new", "hot"])).build();
    /// let query = Query::parse(&asked, &QueryOptions::default())?;
    /// assert!(query.matches(&json!({ "tags": ["hot", "spicy"] })));
    /// assert!(!query.matches(&json!({ "tags": [] })));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn matches(&self, record: &Value) -> bool {
        self.matches_with(record, &|_, _, _| false)
    }

    /// Tells whether a record fulfils the filter, with `custom` for each [`Test::Custom`]: it gets the operator's name, the
    /// value found, which is `null` for a missing one, and the value in the query.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::service::query::{Query, QueryBuilder, QueryOptions, Test};
    /// # fn main() -> wingbeat::error::Result<()> {
    /// let like = Test::Custom { operator: "$like".to_owned(), wanted: json!("A%") };
    /// let asked = QueryBuilder::new().test("name", like).build();
    /// let mut options = QueryOptions::default();
    /// options.operators.push("$like".to_owned());
    /// let query = Query::parse(&asked, &options)?;
    /// let starts = |_operator: &str, found: &serde_json::Value, wanted: &serde_json::Value| {
    ///     let start = wanted.as_str().map_or("", |wanted| wanted.trim_end_matches('%'));
    ///     found.as_str().is_some_and(|found| found.starts_with(start))
    /// };
    /// assert!(query.matches_with(&json!({ "name": "Ada" }), &starts));
    /// assert!(!query.matches_with(&json!({ "name": "Grace" }), &starts));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn matches_with(
        &self,
        record: &Value,
        custom: &dyn Fn(&str, &Value, &Value) -> bool,
    ) -> bool {
        matching::fulfils(&self.filter, record, custom)
    }

    /// Orders two records by `sort`; without one they are equal.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::service::query::{Direction, Query, QueryBuilder, QueryOptions};
    /// # fn main() -> wingbeat::error::Result<()> {
    /// let asked = QueryBuilder::new().sort("age", Direction::Descending).sort("name", Direction::Ascending).build();
    /// let query = Query::parse(&asked, &QueryOptions::default())?;
    /// let (ada, bob) = (json!({ "name": "Ada", "age": 36 }), json!({ "name": "Bob", "age": 36 }));
    /// assert!(query.compare(&ada, &bob).is_lt());
    /// assert!(query.compare(&ada, &json!({ "name": "Cy", "age": 40 })).is_gt());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn compare(&self, one: &Value, other: &Value) -> Ordering {
        let mut orders = self.sort.iter().map(|sort| sort.compare(one, other));
        orders
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Computes which of the records that match the caller gets, and in which form (feathers.md §6.2).
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::service::query::{Paginate, Query, QueryBuilder, QueryOptions};
    /// # fn main() -> wingbeat::error::Result<()> {
    /// let asked = QueryBuilder::new().skip(1).build();
    /// let window = Query::parse(&asked, &QueryOptions::default())?.window(Some(&Paginate::new(2, 10)));
    /// assert_eq!(window.range(5), 1..3);
    /// assert_eq!(
    ///     window.answer(5, vec![json!("b"), json!("c")]),
    ///     json!({ "total": 5, "limit": 2, "skip": 1, "data": ["b", "c"] })
    /// );
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn window(&self, paginate: Option<&Paginate>) -> Window {
        Window::new(self.limit, self.skip, paginate)
    }
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            operators: Vec::new(),
            max_depth: 32,
            max_values: 10_000,
        }
    }
}
