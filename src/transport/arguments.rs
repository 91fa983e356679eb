//! From the arguments of a message to a call, by the rules of Feathers (feathers.md §2.2).

use serde_json::{Map, Value};

use crate::app::App;
use crate::connections::Connection;
use crate::error::{Error, Result};
use crate::event::Json;
use crate::hooks::HookContext;
use crate::json::elements::Elements;
use crate::service::{CallExtensions, Id, Method, Params, Route};
use crate::trace::TraceContext;

/// What the arguments say besides path and method.
pub(super) struct Inputs {
    id: Option<Id>,
    /// `None` for a method that takes none.
    data: Option<Json>,
    pub(super) query: Map<String, Value>,
}

/// Begins a call of a client that stays; the arguments begin with the path.
///
/// # Errors
/// What is wrong with the path, the method or the arguments.
pub(super) fn call(
    app: &App,
    connection: &Connection,
    method: &str,
    mut arguments: Elements<'_>,
) -> Result<Box<HookContext>> {
    let path = arguments.next_string();
    let path = path.ok_or_else(|| Error::not_found("Invalid service path"))?;
    let route = route(app, &path)?;
    if !route.entry.offers(method) {
        return Err(Error::method_not_allowed(format!(
            "Method '{method}' not allowed on service '{path}'"
        )));
    }
    let method = Method::from(method);
    let takes_text = route.entry.takes_text(&method);
    let inputs = inputs(&method, arguments, takes_text)?;
    let params = params(connection, route.params, inputs.query);
    let mut context = app.asked(route.entry, method, params);
    context.id = inputs.id;
    if let Some(data) = inputs.data {
        context.set_data(data);
    }
    Ok(context)
}

fn route<'a>(app: &'a App, path: &str) -> Result<Route<'a>> {
    let route = app.routes().lookup(path);
    route.ok_or_else(|| Error::not_found(format!("Service '{path}' not found")))
}

/// Reads what a method takes.
pub(super) fn inputs(
    method: &Method,
    mut arguments: Elements<'_>,
    takes_text: bool,
) -> Result<Inputs> {
    let (has_id, has_data) = match method {
        Method::Find => (false, false),
        Method::Get | Method::Remove => (true, false),
        Method::Create | Method::Custom(_) => (false, true),
        Method::Update | Method::Patch => (true, true),
    };
    if arguments.len() > usize::from(has_id) + usize::from(has_data) + 1 {
        return Err(Error::bad_request(format!(
            "Too many arguments for '{method}' method"
        )));
    }
    // `null` means all records; nobody is to mean those by leaving the id out.
    if has_id && arguments.len() == 0 {
        let message = format!("id for '{method}' can not be undefined");
        return Err(Error::bad_request(message));
    }
    let id = has_id.then(|| arguments.next()).flatten();
    let data = has_data.then(|| match takes_text {
        true => arguments.next_json().unwrap_or_default(),
        false => arguments.next().unwrap_or_default().into(),
    });
    Ok(Inputs {
        id: Id::from_json(id.unwrap_or_default())?,
        data,
        query: query(arguments.next().unwrap_or_default())?,
    })
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

fn params(connection: &Connection, route: Map<String, Value>, query: Map<String, Value>) -> Params {
    Params {
        query,
        route,
        provider: Some(connection.provider()),
        headers: connection.shared_headers(),
        trace: TraceContext::of(connection.headers()),
        properties: connection.properties(),
        connection: Some(connection.clone()),
        extensions: CallExtensions::of(connection),
    }
}

const MAX_NUMBERED: usize = 1_000;
