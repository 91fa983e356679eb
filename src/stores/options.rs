//! What a store allows and how it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::error::Result;
use crate::service::query::{Paginate, QueryOptions};
use crate::service::{Method, Params, not_multiple};

/// Tells whether a value that a record has passes the value that the query has.
pub type Operator = Arc<dyn Fn(&Value, &Value) -> bool + Send + Sync>;

/// What a [`Memory`](super::Memory) allows and how it answers.
///
/// ```
/// use std::sync::Arc;
///
/// use serde_json::json;
/// use wingbeat::service::query::{Paginate, QueryBuilder};
/// use wingbeat::stores::{MemoryOptions, Multi};
/// use wingbeat::{App, Memory, Method};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut options = MemoryOptions::default();
/// options.id = "uuid".to_owned();
/// options.multi = Multi::Only(vec![Method::Create]);
/// options.paginate = Some(Paginate::new(10, 50));
/// options.operators.insert("$like".to_owned(), Arc::new(|found, wanted| {
///     let texts = found.as_str().zip(wanted.as_str());
///     texts.is_some_and(|(found, wanted)| found.contains(wanted))
/// }));
///
/// let app = App::builder().service("people", Memory::with_options(options)).build()?;
/// let people = app.service_at("people");
/// people.create(json!([{ "uuid": "a", "name": "Ada" }, { "uuid": "g", "name": "Grace" }])).await?;
/// let query = QueryBuilder::new().set("name", json!({ "$like": "rac" })).build();
/// let page = json!({ "total": 1, "limit": 10, "skip": 0, "data": [{ "uuid": "g", "name": "Grace" }] });
/// assert_eq!(people.find().query(query).await?, page);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct MemoryOptions {
    /// The property that holds a record's id; `id` by default.
    pub id: String,
    /// The id of the first record that has none; 0 by default.
    pub start_id: u64,
    /// For which methods one call may touch several records; none by default.
    pub multi: Multi,
    /// How `find` is cut into pages; by default it is not and answers an array.
    pub paginate: Option<Paginate>,
    /// Operators below a property, as `$like`, besides the standard ones; each is asked for the value and, in an array, for its
    /// elements. None by default.
    pub operators: BTreeMap<String, Operator>,
    /// Filters at the top of a query, as `$search`, besides the standard ones; each is asked with the whole record. None by
    /// default.
    pub filters: BTreeMap<String, Operator>,
    /// How deep a query may nest; 32 by default.
    pub max_query_depth: usize,
    /// How many values a query may have; 10,000 by default.
    pub max_query_values: usize,
}

/// For which methods one call may touch several records; `MethodNotAllowed` (405) otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Multi {
    /// For none.
    #[default]
    None,
    /// For `create`, `patch` and `remove`.
    All,
    /// For those of the three that are named.
    Only(Vec<Method>),
}

/// What one call changes of the options of a store: hooks put it into [`Params::extensions`], so clients can not.
///
/// ```
/// use serde_json::json;
/// use wingbeat::stores::{Overrides, Paginate};
/// use wingbeat::{App, Memory, Params};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Memory::new().paginate(Paginate::new(10, 50));
/// let app = App::builder().service("messages", store).build()?;
/// let mut all = Params::default();
/// all.extensions.insert(Overrides { paginate: Some(None), ..Overrides::default() });
/// assert_eq!(app.service_at("messages").find().params(all).await?, json!([]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Replaces [`MemoryOptions::multi`].
    pub multi: Option<Multi>,
    /// Replaces [`MemoryOptions::paginate`]; `Some(None)` answers an array.
    pub paginate: Option<Option<Paginate>>,
}

impl MemoryOptions {
    /// Returns what a query may hold.
    pub(super) fn query(&self) -> QueryOptions {
        QueryOptions {
            filters: self.filters.keys().cloned().collect(),
            operators: self.operators.keys().cloned().collect(),
            max_depth: self.max_query_depth,
            max_values: self.max_query_values,
        }
    }

    /// Asks an operator or a filter; the query was read with their names, so it is known.
    pub(super) fn ask(&self, name: &str, found: &Value, wanted: &Value) -> bool {
        let operator = self.operators.get(name).or_else(|| self.filters.get(name));
        operator.is_some_and(|operator| operator(found, wanted))
    }

    pub(super) fn pages(&self, params: &Params) -> Option<Paginate> {
        let overrides = params.extensions.get::<Overrides>();
        overrides
            .and_then(|overrides| overrides.paginate)
            .unwrap_or(self.paginate)
    }

    /// Fails unless one call of the method may touch several records.
    pub(super) fn require_multi(&self, method: &Method, params: &Params) -> Result<()> {
        let overrides = params.extensions.get::<Overrides>();
        let multi = overrides
            .and_then(|overrides| overrides.multi.as_ref())
            .unwrap_or(&self.multi);
        if multi.allows(method) {
            return Ok(());
        }
        Err(not_multiple(method))
    }
}

impl Multi {
    /// Tells whether one call of the method may touch several records.
    #[must_use]
    pub fn allows(&self, method: &Method) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(methods) => methods.contains(method),
        }
    }
}

impl Default for MemoryOptions {
    fn default() -> Self {
        let query = QueryOptions::default();
        Self {
            id: "id".to_owned(),
            start_id: 0,
            multi: Multi::None,
            paginate: None,
            operators: BTreeMap::new(),
            filters: BTreeMap::new(),
            max_query_depth: query.max_depth,
            max_query_values: query.max_values,
        }
    }
}

impl fmt::Debug for MemoryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOptions")
            .field("id", &self.id)
            .field("multi", &self.multi)
            .field("paginate", &self.paginate)
            .field("operators", &self.operators.keys())
            .field("filters", &self.filters.keys())
            .finish_non_exhaustive()
    }
}
