//! Services that show what they were called with.

use serde_json::{Map, Value, json};
use wingbeat::error::Result;
use wingbeat::service::Id;
use wingbeat::{Params, Service};

/// Answers what it was called with.
#[derive(Debug)]
pub(crate) struct Echo;

/// Answers the value that the id, `query.v` or `data.v` is JSON text of.
#[derive(Debug)]
pub(crate) struct Returns;

impl Service for Echo {
    const METHODS: &'static [&'static str] = &[
        "find", "get", "create", "update", "patch", "remove", "custom",
    ];

    async fn find(&self, params: &Params) -> Result<Value> {
        Ok(seen("find", None, None, params))
    }

    async fn get(&self, id: Id, params: &Params) -> Result<Value> {
        Ok(seen("get", Some(Some(id)), None, params))
    }

    async fn create(&self, data: Value, params: &Params) -> Result<Value> {
        Ok(seen("create", None, Some(data), params))
    }

    async fn update(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        Ok(seen("update", Some(id), Some(data), params))
    }

    async fn patch(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        Ok(seen("patch", Some(id), Some(data), params))
    }

    async fn remove(&self, id: Option<Id>, params: &Params) -> Result<Value> {
        Ok(seen("remove", Some(id), None, params))
    }

    async fn custom(&self, method: &str, data: Value, params: &Params) -> Result<Value> {
        Ok(seen(method, None, Some(data), params))
    }
}

impl Service for Returns {
    const METHODS: &'static [&'static str] = Echo::METHODS;

    async fn find(&self, params: &Params) -> Result<Value> {
        Ok(named(params.query.get("v")))
    }

    async fn get(&self, id: Id, _: &Params) -> Result<Value> {
        Ok(named(Some(&id.to_json())))
    }

    async fn create(&self, data: Value, _: &Params) -> Result<Value> {
        Ok(named(data.get("v")))
    }

    async fn update(&self, _: Option<Id>, data: Value, _: &Params) -> Result<Value> {
        Ok(named(data.get("v")))
    }

    async fn patch(&self, _: Option<Id>, data: Value, _: &Params) -> Result<Value> {
        Ok(named(data.get("v")))
    }

    async fn remove(&self, _: Option<Id>, params: &Params) -> Result<Value> {
        Ok(named(params.query.get("v")))
    }

    async fn custom(&self, _: &str, data: Value, _: &Params) -> Result<Value> {
        Ok(named(data.get("v")))
    }
}

fn seen(method: &str, id: Option<Option<Id>>, data: Option<Value>, params: &Params) -> Value {
    let mut seen = Map::new();
    seen.insert("method".to_owned(), method.into());
    if let Some(id) = id {
        seen.insert(
            "id".to_owned(),
            id.map_or(Value::Null, |id: Id| id.to_json()),
        );
    }
    seen.extend(data.map(|data| ("data".to_owned(), data)));
    seen.insert("query".to_owned(), json!(params.query));
    seen.insert("route".to_owned(), json!(params.route));
    seen.insert("provider".to_owned(), json!(params.provider));
    Value::Object(seen)
}

fn named(text: Option<&Value>) -> Value {
    let text = text.and_then(Value::as_str).expect("JSON text in `v`");
    serde_json::from_str(text).expect("JSON text in `v`")
}
