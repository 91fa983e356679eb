//! What lets pages of other origins read the answers to their polls.
//!
//! Browsers let any page open a websocket, but give it the answer to an HTTP request only if the server says so. It does for
//! the origins that the settings allow, with cookies: the same that may connect with cookies at all.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

/// Returns the origin of the page that asks, if it is an allowed one.
pub(super) fn allowed(headers: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let is_allowed = allowed.iter().any(|allowed| origin == allowed.as_str());
    is_allowed.then(|| origin.clone())
}

/// Answers a browser that asks before it sends; `None` for any other request.
pub(super) fn preflight<B>(request: &Request<B>) -> Option<Response> {
    let headers = request.headers();
    if request.method() != Method::OPTIONS
        || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answers = response.headers_mut();
    answers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET,POST"),
    );
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    answers.extend(wanted.map(|wanted| (header::ACCESS_CONTROL_ALLOW_HEADERS, wanted)));
    Some(response)
}

/// Lets a page of that origin read the response.
pub(super) fn allow(response: &mut Response, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}
