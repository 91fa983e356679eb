//! A service that keeps its records in the process.

use std::fmt;
use std::marker::PhantomData;

use indexmap::IndexMap;
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::selection::Selection;
use crate::error::{Error, Result};
use crate::service::{Id, Params, Service};

type Record = Map<String, Value>;

/// A service that keeps its records in the process, as `@feathersjs/memory` does.
///
/// `Memory<Value>` takes any JSON object. `Memory<T>` takes what a `T` can be read from and stores what it is written as,
/// so unknown fields fall away and wrong ones are a `BadRequest`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use serde_json::json;
/// use wingbeat::{App, Memory};
///
/// #[derive(Serialize, Deserialize)]
/// struct Message {
///     text: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("messages", Memory::<Message>::typed()).build()?;
/// let messages = app.service("messages");
/// assert_eq!(messages.create(json!({ "text": "hi" })).await?, json!({ "text": "hi", "id": 0 }));
/// assert_eq!(messages.create(json!({ "text": 1 })).await.unwrap_err().code(), 400);
/// # Ok(())
/// # }
/// ```
pub struct Memory<T = Value> {
    options: Options,
    state: RwLock<State>,
    shape: PhantomData<fn() -> T>,
}

/// For which methods one call may touch several records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Multi {
    /// For none: `MethodNotAllowed` (405) otherwise.
    #[default]
    None,
    /// For `create`, `patch` and `remove`.
    All,
}

/// How `find` is cut into pages of `{ total, limit, skip, data }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Paginate {
    /// Records on a page when the query has no `$limit`.
    pub default: i64,
    /// The most records that a `$limit` gets; `None` is no bound.
    pub max: Option<i64>,
}

#[derive(Debug)]
struct Options {
    id: &'static str,
    multi: Multi,
    paginate: Option<Paginate>,
}

struct State {
    next_id: u64,
    records: IndexMap<String, Record>,
}

impl Paginate {
    /// Makes pages of `default` records, or as many as `$limit` says up to `max`.
    #[must_use]
    pub fn new(default: i64, max: i64) -> Self {
        Self {
            default,
            max: Some(max),
        }
    }
}

impl Memory<Value> {
    /// Makes an empty store of JSON objects with the ids 0, 1, 2 …
    #[must_use]
    pub fn new() -> Self {
        Self::typed()
    }
}

impl<T: Serialize + DeserializeOwned> Memory<T> {
    /// Makes an empty store of `T`s with the ids 0, 1, 2 …
    #[must_use]
    pub fn typed() -> Self {
        let options = Options {
            id: "id",
            multi: Multi::None,
            paginate: None,
        };
        let state = RwLock::new(State {
            next_id: 0,
            records: IndexMap::new(),
        });
        Self {
            options,
            state,
            shape: PhantomData,
        }
    }

    /// Sets the first id; 0 by default.
    #[must_use]
    pub fn start_id(self, id: u64) -> Self {
        self.state.write().next_id = id;
        self
    }

    /// Sets the name of the id's property; `id` by default.
    #[must_use]
    pub fn id_property(mut self, name: &'static str) -> Self {
        self.options.id = name;
        self
    }

    /// Sets whether one call may touch several records; not, by default.
    #[must_use]
    pub fn multi(mut self, multi: Multi) -> Self {
        self.options.multi = multi;
        self
    }

    /// Sets pages for `find`; none by default: it answers an array.
    #[must_use]
    pub fn paginate(mut self, paginate: Paginate) -> Self {
        self.options.paginate = Some(paginate);
        self
    }

    /// Replaces all records and the next id.
    ///
    /// # Errors
    /// `BadRequest` for a record that is no `T`.
    pub fn reset(&self, records: impl IntoIterator<Item = Value>, next_id: u64) -> Result<()> {
        let read = records
            .into_iter()
            .map(|record| self.read(record))
            .collect::<Result<Vec<_>>>()?;
        let mut state = self.state.write();
        state.records.clear();
        state.next_id = 0;
        for record in read {
            self.insert(&mut state, record);
        }
        state.next_id = next_id;
        Ok(())
    }

    /// Reads a record through its type.
    fn read(&self, data: Value) -> Result<Record> {
        let id = data.get(self.options.id).cloned();
        let record: T =
            serde_json::from_value(data).map_err(|error| Error::bad_request(error.to_string()))?;
        let written = serde_json::to_value(record).map_err(Error::foreign)?;
        let Value::Object(mut record) = written else {
            return Err(Error::bad_request(format!(
                "a record is an object, not {written}"
            )));
        };
        // The type need not know the id; the record has one all the same.
        if let Some(id) = id {
            record.entry(self.options.id.to_owned()).or_insert(id);
        }
        Ok(record)
    }

    fn insert(&self, state: &mut State, mut record: Record) -> Value {
        let given = record
            .get(self.options.id)
            .filter(|id| is_given(id))
            .cloned();
        let id = given.unwrap_or_else(|| {
            state.next_id += 1;
            json!(state.next_id - 1)
        });
        record.insert(self.options.id.to_owned(), id.clone());
        state.records.insert(key(&id), record.clone());
        Value::Object(record)
    }

    /// Finds the record of an id, if it matches the query.
    fn lookup<'a>(&self, state: &'a mut State, id: &Id, query: &Record) -> Result<&'a mut Record> {
        let selection = Selection::new(query)?;
        let found = state
            .records
            .get_mut(&id.to_string())
            .filter(|record| selection.matches(record));
        found.ok_or_else(|| Error::not_found(format!("No record found for id '{id}'")))
    }

    fn require_multi(&self, method: &str) -> Result<()> {
        if self.options.multi == Multi::All {
            return Ok(());
        }
        Err(Error::method_not_allowed(format!(
            "Can not {method} multiple entries"
        )))
    }

    /// Merges data into a record; its id stays.
    fn merge(&self, record: &mut Record, data: &Record) -> Result<Value> {
        let mut merged = record.clone();
        merged.extend(
            data.iter()
                .filter(|(name, _)| *name != self.options.id)
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        *record = self.read(Value::Object(merged))?;
        Ok(Value::Object(record.clone()))
    }

    fn page(&self, found: Vec<&Record>, selection: &Selection) -> Value {
        let total = found.len();
        let limit = self.limit(selection);
        let cut = found
            .into_iter()
            .skip(count(selection.skip))
            .take(limit.map_or(usize::MAX, count));
        let data: Vec<Value> = cut.map(|record| Value::Object(record.clone())).collect();
        match self.options.paginate {
            None => data.into(),
            Some(_) => {
                json!({ "total": total, "limit": limit, "skip": selection.skip, "data": data })
            }
        }
    }

    /// Computes the limit of a page (feathers.md §6.2); a negative one without pages is none.
    fn limit(&self, selection: &Selection) -> Option<i64> {
        let asked = selection.limit.filter(|limit| *limit >= 0);
        let Some(paginate) = self.options.paginate else {
            return asked;
        };
        let wanted = asked.unwrap_or(paginate.default);
        Some(paginate.max.map_or(wanted, |max| wanted.min(max)))
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Service for Memory<T> {
    async fn find(&self, params: &Params) -> Result<Value> {
        let selection = Selection::new(&params.query)?;
        let state = self.state.read();
        let mut found: Vec<&Record> = state
            .records
            .values()
            .filter(|record| selection.matches(record))
            .collect();
        found.sort_by_key(|record| {
            record
                .get(self.options.id)
                .and_then(integer_like)
                .map_or(u64::MAX, |id| id)
        });
        selection.sort(&mut found);
        Ok(self.page(found, &selection))
    }

    async fn get(&self, id: Id, params: &Params) -> Result<Value> {
        let mut state = self.state.write();
        self.lookup(&mut state, &id, &params.query)
            .map(|record| Value::Object(record.clone()))
    }

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        let Value::Array(elements) = data else {
            let record = self.read(data)?;
            return Ok(self.insert(&mut self.state.write(), record));
        };
        self.require_multi("create")?;
        let records = elements
            .into_iter()
            .map(|element| self.read(element))
            .collect::<Result<Vec<_>>>()?;
        let mut state = self.state.write();
        Ok(records
            .into_iter()
            .map(|record| self.insert(&mut state, record))
            .collect())
    }

    async fn update(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        let Some(id) = id.filter(|_| !data.is_array()) else {
            return Err(Error::bad_request(
                "You can not replace multiple instances. Did you mean 'patch'?",
            ));
        };
        let mut state = self.state.write();
        let record = self.lookup(&mut state, &id, &params.query)?;
        let kept = record.get(self.options.id).cloned();
        let mut replaced = self.read(data)?;
        replaced.extend(kept.map(|id| (self.options.id.to_owned(), id)));
        *record = replaced;
        Ok(Value::Object(record.clone()))
    }

    async fn patch(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        let Value::Object(data) = data else {
            return Err(Error::bad_request("a patch is an object"));
        };
        let mut state = self.state.write();
        if let Some(id) = id {
            return self.merge(self.lookup(&mut state, &id, &params.query)?, &data);
        }
        self.require_multi("patch")?;
        let selection = Selection::new(&params.query)?;
        let matching = state
            .records
            .values_mut()
            .filter(|record| selection.matches(record));
        matching.map(|record| self.merge(record, &data)).collect()
    }

    async fn remove(&self, id: Option<Id>, params: &Params) -> Result<Value> {
        let mut state = self.state.write();
        if let Some(id) = id {
            let record = self.lookup(&mut state, &id, &params.query)?.clone();
            state.records.shift_remove(&id.to_string());
            return Ok(Value::Object(record));
        }
        self.require_multi("remove")?;
        let selection = Selection::new(&params.query)?;
        let removed = state
            .records
            .extract_if(.., |_, record| selection.matches(record));
        Ok(removed.map(|(_, record)| Value::Object(record)).collect())
    }
}

impl Default for Memory<Value> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("records", &self.state.read().records.len())
            .finish_non_exhaustive()
    }
}

/// Ids that JavaScript takes for missing get the next number.
fn is_given(id: &Value) -> bool {
    !id.is_null() && *id != json!(0) && *id != json!("") && *id != json!(false)
}

/// The number 1 and the text "1" name the same record (feathers.md §6.4).
fn key(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// Records with integer ids come first, by number (§6.3).
fn integer_like(id: &Value) -> Option<u64> {
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

fn count(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}
