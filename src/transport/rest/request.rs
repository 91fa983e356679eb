//! From the head of a request to a call.

use std::borrow::Cow;
use std::mem;

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::{Error, Result};
use crate::event::Json;
use crate::hooks::HookContext;
use crate::service::{Id, Method, Params};
use crate::trace::TraceContext;
use crate::transport::query;

/// Returns the method that `X-Service-Method` names; an empty value is none.
pub(super) fn named_method(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let name = headers.get(&SERVICE_METHOD)?;
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

/// Gives a call what its method takes: `create` and custom methods ignore an id, `find`, `get` and `remove` a body.
pub(super) fn fill(context: &mut HookContext, id: Option<Id>, data: Json) {
    let (takes_id, takes_data) = match context.method() {
        Method::Get | Method::Remove => (true, false),
        Method::Update | Method::Patch => (true, true),
        Method::Find => (false, false),
        Method::Create | Method::Custom(_) => (false, true),
    };
    context.id = id.filter(|_| takes_id);
    if takes_data {
        context.set_data(data);
    }
}

/// Makes the params of a call; the app's own code has the last word.
pub(super) fn params(app: &App, route: Map<String, Value>, mut parts: Parts) -> Params {
    let has_own_code = app.entrance().has_own_code();
    let kept = has_own_code.then(|| (parts.headers.clone(), parts.extensions.clone()));
    let (headers, extensions) = kept.unwrap_or_else(|| {
        (
            mem::take(&mut parts.headers),
            mem::take(&mut parts.extensions),
        )
    });
    let mut params = Params {
        query: query::parse(parts.uri.query().unwrap_or_default()),
        route,
        provider: Some("rest"),
        trace: TraceContext::of(&headers),
        headers: headers.into(),
        connection: None,
        properties: Map::new(),
        extensions: extensions.into(),
    };
    if has_own_code {
        app.entrance().complete(&parts, &mut params);
    }
    params
}

static SERVICE_METHOD: HeaderName = HeaderName::from_static("x-service-method");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::Memory;

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

    #[tokio::test]
    async fn what_a_method_does_not_take_is_left_out() {
        let app = App::builder().service("x", Memory::new()).build().unwrap();
        let made = |method| {
            let entry = app.routes().lookup("x").unwrap().entry;
            let mut context = app.asked(entry, method, Params::default());
            fill(&mut context, Some("7".into()), Value::Bool(true).into());
            let data = context.given_text(false);
            (context.id, data.into_value())
        };
        assert_eq!(made(Method::Create), (None, Value::Bool(true)));
        assert_eq!(made(Method::Remove), (Some("7".into()), Value::Null));
    }
}
