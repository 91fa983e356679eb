//! From the head of a request to a call.

use std::borrow::Cow;

use http::HeaderMap;
use http::request::Parts;
use serde_json::Value;

use crate::app::App;
use crate::error::{Error, Result};
use crate::service::{Call, Id, Method, Params, Route};
use crate::trace::TraceContext;
use crate::transport::query;

/// Returns the method that `X-Service-Method` names; an empty value is none.
pub(super) fn named_method(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let name = headers.get("x-service-method")?;
    Some(String::from_utf8_lossy(name.as_bytes())).filter(|name| !name.is_empty())
}

/// Tells whether a name is one of the six that have a verb of their own: the header can not name those (§1.1).
pub(super) fn is_standard(name: &str) -> bool {
    Method::STANDARD.contains(&name)
}

/// Picks the method of a call; the header counts for `POST` alone (§1.1).
///
/// # Errors
/// `MethodNotAllowed` for verbs that stand for no method.
pub(super) fn method(verb: &http::Method, has_id: bool, named: Option<&str>) -> Result<Method> {
    Ok(match verb.as_str() {
        "GET" | "HEAD" if has_id => Method::Get,
        "GET" | "HEAD" => Method::Find,
        "POST" => named.map_or(Method::Create, Method::from),
        "PUT" => Method::Update,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Remove,
        verb => {
            let message = format!("Method {verb} not allowed");
            return Err(Error::method_not_allowed(message));
        }
    })
}

/// Makes the call, each method with what it takes: `create` and custom methods ignore an id, `find`, `get` and `remove` a
/// body.
pub(super) fn call(path: &str, method: Method, id: Option<Id>, data: Value) -> Call {
    let (takes_id, takes_data) = match method {
        Method::Get | Method::Remove => (true, false),
        Method::Update | Method::Patch => (true, true),
        Method::Find => (false, false),
        Method::Create | Method::Custom(_) => (false, true),
    };
    let mut call = Call::new(path, method);
    call.id = id.filter(|_| takes_id);
    if takes_data {
        call.data = data;
    }
    call
}

/// Collects the params of a call; the app's own code has the last word.
pub(super) fn params(app: &App, route: &Route, parts: &Parts) -> Params {
    let mut params = Params {
        query: query::parse(parts.uri.query().unwrap_or_default()),
        route: route.params.clone(),
        provider: Some("rest"),
        headers: parts.headers.clone().into(),
        trace: TraceContext::of(&parts.headers),
        extensions: parts.extensions.clone(),
        ..Params::default()
    };
    app.entrance().complete(parts, &mut params);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(verb: &str, has_id: bool, named: Option<&str>) -> String {
        let verb = http::Method::from_bytes(verb.as_bytes()).unwrap();
        method(&verb, has_id, named).map_or_else(
            |error| error.message().to_owned(),
            |method| method.to_string(),
        )
    }

    #[test]
    fn verbs_name_methods() {
        assert_eq!(name_of("GET", false, None), "find");
        assert_eq!(name_of("HEAD", true, None), "get");
        assert_eq!(name_of("POST", true, None), "create");
        assert_eq!(name_of("PUT", false, None), "update");
        assert_eq!(name_of("PATCH", false, None), "patch");
        assert_eq!(name_of("DELETE", true, None), "remove");
        assert_eq!(
            name_of("PROPFIND", true, None),
            "Method PROPFIND not allowed"
        );
        assert_eq!(name_of("get", true, None), "Method get not allowed");
    }

    #[test]
    fn the_header_counts_for_post_alone() {
        assert_eq!(name_of("POST", false, Some("ping")), "ping");
        assert_eq!(name_of("GET", false, Some("ping")), "find");
    }

    #[test]
    fn what_a_method_does_not_take_is_left_out() {
        let made = |method| call("x", method, Some("7".into()), Value::Bool(true));
        let create = made(Method::Create);
        assert_eq!((create.id, create.data), (None, Value::Bool(true)));
        let remove = made(Method::Remove);
        assert_eq!((remove.id, remove.data), (Some("7".into()), Value::Null));
    }
}
