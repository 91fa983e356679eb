//! REST: verb, path, query and body become a call, its reply or error becomes a response (feathers.md §1, as on Express).
//!
//! Other than Express: no `ETag`, `Vary` and `X-Powered-By`; errors are always JSON and `Accept` is not looked at; `OPTIONS`
//! is 405 unless the host handles CORS; and what the client got wrong in a body is its own error (400, 408, 413), while Feathers
//! answers 500, as `feathers_compat` does.

mod body;
mod coding;
mod json;
mod request;
mod response;

pub(super) use body::receive;

use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt;
use http::{Request, Uri};
use serde_json::json;

use crate::app::{self, App};
use crate::error::{Error, Result};
use crate::service::{Route, unsupported};

/// Answers a request whose path belongs to a service.
pub(super) fn answer(
    app: &App,
    route: Route<'_>,
    request: Request<Body>,
) -> impl Future<Output = Response> + Send {
    let compat = app.config().feathers_compat;
    let answered = call(app, route, request);
    answered.map(move |answered| answered.unwrap_or_else(|error| response::error(&error, compat)))
}

/// Answers a request whose path nobody knows. In Feathers a bad body comes first, also here.
pub(super) async fn not_found(app: &App, request: Request<Body>) -> Response {
    let compat = app.config().feathers_compat;
    let (parts, body) = request.into_parts();
    if compat && let Err(error) = body::read(&parts.headers, body, app.config(), true).await {
        return response::error(&error, compat);
    }
    unknown_url(app, &parts.uri)
}

/// Answers a client that is not let in.
pub(super) fn refuse(app: &App, error: &Error) -> Response {
    response::error(error, app.config().feathers_compat)
}

/// Says that nobody knows a URL.
pub(super) fn unknown_url(app: &App, uri: &Uri) -> Response {
    let url = uri.path_and_query().map_or("", |url| url.as_str());
    let error = Error::not_found("Page not found").with_data(json!({ "url": url }));
    response::error(&error, app.config().feathers_compat)
}

/// Express reads the body before it looks at the verb, so a bad body is the first thing that can be wrong.
async fn call(app: &App, mut route: Route<'_>, request: Request<Body>) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let id = route.take_id();
    let named = request::named_method(&parts.headers);
    let method = request::method(&parts.method, id.is_some(), named.as_deref());
    let takes_text = |method| route.entry.takes_text(method);
    let takes_text = method.as_ref().is_ok_and(takes_text);
    let data = body::read(&parts.headers, body, app.config(), takes_text).await?;
    let method = method?;
    let is_standard_by_name = named.is_some_and(|name| request::is_standard(&name));
    if is_standard_by_name || !route.entry.offers(method.as_str()) {
        return Err(unsupported(method.as_str()));
    }
    let params = request::params(app, route.params, parts);
    let mut context = app.asked(route.entry, method.clone(), params);
    request::fill(&mut context, id, data);
    let answer = app::answer(app.run(context).end().await)?;
    Ok(response::reply(&method, answer))
}
