//! A service that keeps its records in the process.

use std::fmt;
use std::marker::PhantomData;

use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::options::{MemoryOptions, Multi};
use crate::error::{Error, Result};
use crate::event::Json;
use crate::json::properties::Properties;
use crate::json::shape::{self, Misfit};
use crate::json::{self, plain};
use crate::service::query::{Paginate, Query, QueryOptions, Select, Window};
use crate::service::{Id, Method, Params, Service, TextCall, replaces_many, unsupported};

/// A service that keeps its records in the process, as `@feathersjs/memory` does.
///
/// `Memory<Value>` takes any JSON object. `Memory<T>` takes what a `T` can be read from and stores what it is written as,
/// so unknown fields fall away and wrong ones are a `BadRequest`. What callers look for is a
/// [`Query`]; [`MemoryOptions`] says what they may do.
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
/// let messages = app.service_at("messages");
/// assert_eq!(messages.create(json!({ "text": "hi" })).await?, json!({ "text": "hi", "id": 0 }));
/// assert_eq!(messages.create(json!({ "text": 1 })).await.unwrap_err().code(), 400);
/// # Ok(())
/// # }
/// ```
pub struct Memory<T = Value> {
    options: MemoryOptions,
    query_options: QueryOptions,
    state: RwLock<State>,
    /// Reads data through the type, and writes it as the type does; `None` for what takes any JSON.
    shape: Option<Shape>,
    of: PhantomData<fn() -> T>,
}

type Shape = fn(Value) -> Result<Value>;

/// The records, each with its text once a client has read it and its value once a query has asked for that, in the order in which JavaScript lists the properties of an object: it is that of `find` (feathers.md §6.3).
struct State {
    next_id: u64,
    records: Properties<Json>,
}

impl Memory<Value> {
    /// Makes an empty store of JSON objects with the ids 0, 1, 2 …
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(MemoryOptions::default())
    }

    /// Makes an empty store of JSON objects.
    #[must_use]
    pub fn with_options(options: MemoryOptions) -> Self {
        Self {
            shape: None,
            ..Self::typed_with(options)
        }
    }
}

impl<T: Serialize + DeserializeOwned> Memory<T> {
    /// Makes an empty store of `T`s with the ids 0, 1, 2 …
    #[must_use]
    pub fn typed() -> Self {
        Self::typed_with(MemoryOptions::default())
    }

    /// Makes an empty store of `T`s.
    #[must_use]
    pub fn typed_with(options: MemoryOptions) -> Self {
        let state = State {
            next_id: options.start_id,
            records: Properties::default(),
        };
        Self {
            query_options: options.query(),
            options,
            state: RwLock::new(state),
            shape: Some(shaped::<T>),
            of: PhantomData,
        }
    }

    /// Sets [`MemoryOptions::start_id`].
    #[must_use]
    pub fn start_id(self, id: u64) -> Self {
        self.state.write().next_id = id;
        self
    }

    /// Sets [`MemoryOptions::id`].
    #[must_use]
    pub fn id_property(mut self, name: &str) -> Self {
        name.clone_into(&mut self.options.id);
        self
    }

    /// Sets [`MemoryOptions::multi`].
    #[must_use]
    pub fn multi(mut self, multi: Multi) -> Self {
        self.options.multi = multi;
        self
    }

    /// Sets [`MemoryOptions::paginate`].
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
        state.records = Properties::default();
        state.next_id = 0;
        for record in read {
            self.insert(&mut state, record);
        }
        state.next_id = next_id;
        Ok(())
    }

    /// Reads a record through its type.
    fn read(&self, data: Value) -> Result<Map<String, Value>> {
        let id = data.get(&self.options.id).cloned();
        let written = match self.shape {
            Some(shape) => shape(data)?,
            None => data,
        };
        let Value::Object(mut record) = written else {
            return Err(Error::bad_request(format!(
                "a record is an object, not {written}"
            )));
        };
        // The type need not know the id; the record has one all the same.
        if let Some(id) = id {
            record.entry(&self.options.id).or_insert(id);
        }
        Ok(record)
    }

    fn insert(&self, state: &mut State, mut record: Map<String, Value>) -> Json {
        let given = record.get(&self.options.id).filter(|id| is_given(id));
        let id = given.cloned().unwrap_or_else(|| state.draw_id().into());
        record.insert(self.options.id.clone(), id.clone());
        let record = Json::from(Value::Object(record));
        state.records.insert(key(&id), record.clone());
        record
    }

    /// Inserts a record as the text that it came as, with an id if it has none; `None` if it has to be read.
    fn insert_text(&self, data: &Json) -> Option<Json> {
        let text = data.plain().filter(|_| self.shape.is_none())?;
        let Some(id) = plain::member(text, &self.options.id)? else {
            return Some(self.insert_without_id(text));
        };
        let key = given_key(id)?;
        // What is replaced is freed behind the lock, for which others wait.
        let _replaced = self.state.write().records.insert(key, data.clone());
        Some(data.clone())
    }

    fn insert_without_id(&self, text: &[u8]) -> Json {
        let mut state = self.state.write();
        let id = state.draw_id();
        let record = with_id(text, &self.options.id, id);
        state.records.insert(id.to_string(), record.clone());
        record
    }

    fn query(&self, params: &Params) -> Result<Query> {
        Query::parse(&params.query, &self.query_options)
    }

    fn matches(&self, query: &Query, record: &Json) -> bool {
        let custom =
            |name: &str, found: &Value, wanted: &Value| self.options.ask(name, found, wanted);
        query.filter.is_empty() || query.matches_with(record.value(), &custom)
    }

    fn matching<'a>(&self, state: &'a State, query: &Query) -> Vec<&'a Json> {
        let records = state.records.values();
        records
            .filter(|record| self.matches(query, record))
            .collect()
    }

    /// Hands the records of a page to `answer`, with how many there are on all pages.
    fn page<A>(
        &self,
        query: &Query,
        params: &Params,
        answer: impl FnOnce(Window, usize, &[&Json]) -> A,
    ) -> A {
        let state = self.state.read();
        let mut found = self.matching(&state, query);
        if !query.sort.is_empty() {
            found.sort_by(|one, other| query.compare(one.value(), other.value()));
        }
        let window = query.window(self.options.pages(params).as_ref());
        answer(window, found.len(), &found[window.range(found.len())])
    }

    /// Finds the record of an id, if it matches the query.
    fn lookup<'a>(&self, state: &'a State, id: &Id, query: &Query) -> Result<&'a Json> {
        let found = state.records.get(&key(&id.to_json()));
        found
            .filter(|record| self.matches(query, record))
            .ok_or_else(|| Error::not_found(format!("No record found for id '{id}'")))
    }

    /// Makes what the caller gets of a record.
    fn answer(&self, select: Option<&Select>, record: &Value) -> Value {
        select.map_or_else(
            || record.clone(),
            |select| select.pick(record, &self.options.id),
        )
    }

    /// Makes what the caller gets of a record that nobody else needs.
    fn answer_of(&self, select: Option<&Select>, record: Value) -> Value {
        match select {
            Some(select) => select.pick(&record, &self.options.id),
            None => record,
        }
    }

    fn answers(&self, query: &Query, records: Vec<Value>) -> Value {
        let answer = |record| self.answer_of(query.select.as_ref(), record);
        records.into_iter().map(answer).collect()
    }

    /// Makes a record of other data with the id of this one.
    fn replaced(&self, record: &Value, data: Value) -> Result<Value> {
        let mut replaced = self.read(data)?;
        replaced.insert(self.options.id.clone(), self.id_of(record));
        Ok(Value::Object(replaced))
    }

    /// Makes a record with data merged into it; its id stays.
    fn merged(&self, record: &Value, data: &Map<String, Value>) -> Result<Value> {
        let mut merged = record.as_object().cloned().unwrap_or_default();
        merged.extend(data.clone());
        self.replaced(record, Value::Object(merged))
    }

    fn id_of(&self, record: &Value) -> Value {
        record.get(&self.options.id).cloned().unwrap_or_default()
    }

    fn store(&self, state: &mut State, record: &Value) {
        state
            .records
            .insert(key(&self.id_of(record)), record.clone().into());
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Service for Memory<T> {
    const TEXT_METHODS: &'static [&'static str] = &["find", "get", "create"];

    async fn find(&self, params: &Params) -> Result<Value> {
        let query = self.query(params)?;
        let select = query.select.as_ref();
        Ok(self.page(&query, params, |window, total, records| {
            let records = records.iter();
            let data = records.map(|record| self.answer(select, record.value()));
            window.answer(total, data.collect())
        }))
    }

    async fn get(&self, id: Id, params: &Params) -> Result<Value> {
        let query = self.query(params)?;
        let state = self.state.read();
        let record = self.lookup(&state, &id, &query)?;
        Ok(self.answer(query.select.as_ref(), record.value()))
    }

    /// Of the query only `$select` counts.
    async fn create(&self, data: Value, params: &Params) -> Result<Value> {
        let select = params.query.get("$select").map(Select::parse).transpose()?;
        let select = select.flatten();
        let Value::Array(elements) = data else {
            let record = self.read(data)?;
            let mut state = self.state.write();
            let created = self.insert(&mut state, record);
            return Ok(self.answer(select.as_ref(), created.value()));
        };
        self.options.require_multi(&Method::Create, params)?;
        let records = elements
            .into_iter()
            .map(|element| self.read(element))
            .collect::<Result<Vec<_>>>()?;
        let mut state = self.state.write();
        let created = records
            .into_iter()
            .map(|record| self.answer(select.as_ref(), self.insert(&mut state, record).value()));
        Ok(created.collect())
    }

    async fn update(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        let query = self.query(params)?;
        let id = id.filter(|_| !data.is_array()).ok_or_else(replaces_many)?;
        let mut state = self.state.write();
        let replaced = self.replaced(self.lookup(&state, &id, &query)?.value(), data)?;
        self.store(&mut state, &replaced);
        Ok(self.answer_of(query.select.as_ref(), replaced))
    }

    async fn patch(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        let query = self.query(params)?;
        let Value::Object(data) = data else {
            return Err(Error::bad_request("a patch is an object"));
        };
        let mut state = self.state.write();
        if let Some(id) = id {
            let merged = self.merged(self.lookup(&state, &id, &query)?.value(), &data)?;
            self.store(&mut state, &merged);
            return Ok(self.answer_of(query.select.as_ref(), merged));
        }
        self.options.require_multi(&Method::Patch, params)?;
        let matching = self.matching(&state, &query).into_iter();
        // All or none: a record that is no `T` any more fails the call before one is written.
        let merged = matching.map(|record| self.merged(record.value(), &data));
        let merged = merged.collect::<Result<Vec<_>>>()?;
        merged
            .iter()
            .for_each(|record| self.store(&mut state, record));
        Ok(self.answers(&query, merged))
    }

    async fn remove(&self, id: Option<Id>, params: &Params) -> Result<Value> {
        let query = self.query(params)?;
        let mut state = self.state.write();
        if let Some(id) = id {
            let record = self.lookup(&state, &id, &query)?.value().clone();
            state.records.remove(&key(&id.to_json()));
            return Ok(self.answer_of(query.select.as_ref(), record));
        }
        self.options.require_multi(&Method::Remove, params)?;
        let matching = self.matching(&state, &query).into_iter();
        let removed: Vec<Value> = matching.map(|record| record.value().clone()).collect();
        for record in &removed {
            state.records.remove(&key(&self.id_of(record)));
        }
        Ok(self.answers(&query, removed))
    }

    async fn answer_text(&self, call: TextCall, params: &Params) -> Result<Json> {
        match (call.method, call.id) {
            (Method::Find, _) => self.found_text(params).await,
            (Method::Get, Some(id)) => self.got_text(id, params).await,
            (Method::Create, _) => self.created_text(call.data, params).await,
            (method, _) => Err(unsupported(method.as_str())),
        }
    }
}

/// The same answers in text.
impl<T: Serialize + DeserializeOwned + 'static> Memory<T> {
    async fn found_text(&self, params: &Params) -> Result<Json> {
        let query = self.query(params)?;
        if query.select.is_some() {
            return self.find(params).await.map(Json::from);
        }
        Ok(self.page(&query, params, |window, total, records| {
            let texts = records.iter().map(|record| &**record.as_bytes());
            window.answer_text(total, texts)
        }))
    }

    async fn got_text(&self, id: Id, params: &Params) -> Result<Json> {
        let query = self.query(params)?;
        if query.select.is_some() {
            return self.get(id, params).await.map(Json::from);
        }
        let state = self.state.read();
        Ok(self.lookup(&state, &id, &query)?.clone())
    }

    async fn created_text(&self, data: Json, params: &Params) -> Result<Json> {
        if data.is_array() || params.query.contains_key("$select") {
            let created = self.create(data.into_value(), params).await;
            return created.map(Json::from);
        }
        if let Some(created) = self.insert_text(&data) {
            return Ok(created);
        }
        let record = self.read(data.into_value())?;
        Ok(self.insert(&mut self.state.write(), record))
    }
}

impl State {
    fn draw_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
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
            .field("options", &self.options)
            .field("records", &self.state.read().records.len())
            .finish_non_exhaustive()
    }
}

fn shaped<T: Serialize + DeserializeOwned>(data: Value) -> Result<Value> {
    let record: T = shape::read(data).map_err(Misfit::into_bad_request)?;
    Ok(serde_json::to_value(record)?)
}

/// Writes an id behind the members of a plain object.
fn with_id(text: &[u8], name: &str, id: u64) -> Json {
    let members = text.strip_suffix(b"}").unwrap_or(text);
    let mut record = Vec::with_capacity(text.len() + name.len() + ROOM);
    record.extend_from_slice(members);
    record.extend_from_slice(if members == b"{" { b"" } else { b"," });
    json::write_string(&mut record, name);
    record.extend_from_slice(format!(":{id}}}").as_bytes());
    Json::from_valid_text(record.into())
}

/// Returns the key of an id that is plain text; `None` for one that counts as missing.
fn given_key(id: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(id).ok()?;
    let is_missing = matches!(id, "0" | "null" | "false" | r#""""#);
    (!is_missing).then(|| plain::string(id).unwrap_or(id))
}

/// Ids that JavaScript takes for missing get the next number.
fn is_given(id: &Value) -> bool {
    match id {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Array(_) | Value::Object(_) => true,
    }
}

/// The numbers 1 and 1.0 and the text "1" name the same record (feathers.md §6.4).
fn key(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number
            .as_f64()
            .map_or_else(String::new, |id| id.to_string()),
        id => id.to_string(),
    }
}

/// Quotes, a colon, a comma, and the digits of most ids.
const ROOM: usize = 16;

#[cfg(test)]
mod tests;
