//! From the arguments of a message to a call, by the rules of Feathers (feathers.md §2.2).

use serde_json::{Map, Value};

use crate::app::App;
use crate::connections::Connection;
use crate::error::{Error, Result};
use crate::service::{Call, Id, Method, Params, Route};
use crate::trace::TraceContext;

type Arguments = std::vec::IntoIter<Value>;

/// Makes a call of a client that stays; the arguments begin with the path.
///
/// # Errors
/// What is wrong with the path, the method or the arguments.
pub(super) fn call(
    app: &App,
    connection: &Connection,
    method: &str,
    mut arguments: Arguments,
) -> Result<(Route, Call)> {
    let Some(Value::String(path)) = arguments.next() else {
        return Err(Error::not_found("Invalid service path"));
    };
    let route = route(app, &path)?;
    if !route.entry.offers(method) {
        return Err(Error::method_not_allowed(format!(
            "Method '{method}' not allowed on service '{path}'"
        )));
    }
    let mut call = Call::new(path, Method::from(method));
    let query = fill(&mut call, arguments)?;
    call.params = params(connection, query);
    Ok((route, call))
}

fn route(app: &App, path: &str) -> Result<Route> {
    let route = app.routes().lookup(path);
    route.ok_or_else(|| Error::not_found(format!("Service '{path}' not found")))
}

/// Takes id and data into the call and returns the query.
pub(super) fn fill(call: &mut Call, mut arguments: Arguments) -> Result<Map<String, Value>> {
    let (has_id, has_data) = match call.method {
        Method::Find => (false, false),
        Method::Get | Method::Remove => (true, false),
        Method::Create | Method::Custom(_) => (false, true),
        Method::Update | Method::Patch => (true, true),
    };
    if arguments.len() > usize::from(has_id) + usize::from(has_data) + 1 {
        return Err(Error::bad_request(format!(
            "Too many arguments for '{}' method",
            call.method
        )));
    }
    // `null` means all records; nobody is to mean those by leaving the id out.
    if has_id && arguments.len() == 0 {
        let message = format!("id for '{}' can not be undefined", call.method);
        return Err(Error::bad_request(message));
    }
    let mut next = |is_taken: bool| {
        is_taken
            .then(|| arguments.next())
            .flatten()
            .unwrap_or(Value::Null)
    };
    let (id, data, argument) = (next(has_id), next(has_data), next(true));
    call.id = Id::from_json(id)?;
    call.data = data;
    query(argument)
}

/// Copies an argument as `Object.assign({}, argument)` does. What is no object is bounded as parameters over REST are, since
/// each of its characters or elements takes a key of its own.
fn query(argument: Value) -> Result<Map<String, Value>> {
    match argument {
        Value::Object(mut query) => {
            // To `Object.assign` it is no property.
            query.shift_remove("__proto__");
            Ok(query)
        }
        Value::Array(elements) => numbered(elements.into_iter()),
        Value::String(text) => numbered(
            text.encode_utf16()
                .map(|unit| String::from_utf16_lossy(&[unit]).into()),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Map::new()),
    }
}

fn numbered(values: impl Iterator<Item = Value>) -> Result<Map<String, Value>> {
    let numbered: Map<String, Value> = values
        .take(MAX_NUMBERED + 1)
        .enumerate()
        .map(|(at, value)| (at.to_string(), value))
        .collect();
    if numbered.len() > MAX_NUMBERED {
        return Err(Error::bad_request("a query is an object"));
    }
    Ok(numbered)
}

fn params(connection: &Connection, query: Map<String, Value>) -> Params {
    Params {
        query,
        provider: Some(connection.provider()),
        headers: connection.shared_headers(),
        trace: TraceContext::of(connection.headers()),
        properties: connection.properties(),
        connection: Some(connection.clone()),
        extensions: connection.extensions().clone(),
        ..Params::default()
    }
}

const MAX_NUMBERED: usize = 1_000;
