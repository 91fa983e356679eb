//! From a reply or an error to a response.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::error::Error;
use crate::json;
use crate::service::{Answer, Method, Outcome};

/// Renders what a call answers (§1.2).
pub(super) fn reply(method: &Method, mut answer: Answer) -> Response {
    let http = std::mem::take(&mut answer.http);
    let body = answer.into_body();
    let mut headers = http.headers;
    if let Some(location) = http.location {
        insert_location(&mut headers, &location);
    }
    let derived = || derived_status(method, headers.contains_key(header::LOCATION), &body);
    let status = http.status.unwrap_or_else(derived);
    respond(status, headers, &body)
}

/// Renders an error; hooks have no say in it.
pub(super) fn error(error: &Error, compat: bool) -> Response {
    let public = error.public(compat);
    let status = StatusCode::from_u16(public.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, HeaderMap::new(), &Outcome::Value(public.to_json()))
}

fn derived_status(method: &Method, has_location: bool, body: &Outcome) -> StatusCode {
    match method {
        _ if has_location => StatusCode::SEE_OTHER,
        _ if !body.is_truthy() => StatusCode::NO_CONTENT,
        Method::Create => StatusCode::CREATED,
        _ => StatusCode::OK,
    }
}

fn respond(status: StatusCode, mut headers: HeaderMap, body: &Outcome) -> Response {
    if is_bodiless(status) {
        return (status, headers).into_response();
    }
    let text = match body {
        Outcome::Value(value) => json::written(value, Bytes::copy_from_slice),
        Outcome::Text(json) => json.as_bytes().clone(),
    };
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json; charset=utf-8"));
    // The server's is right, a hook's own would be wrong.
    headers.remove(header::CONTENT_LENGTH);
    // Put together by hand: the tuple would copy each header into a map of its own.
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn is_bodiless(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    ) || status.is_informational()
}

fn insert_location(headers: &mut HeaderMap, location: &str) {
    if let Ok(value) = HeaderValue::try_from(encoded_url(location)) {
        headers.insert(header::LOCATION, value);
    }
}

/// Escapes what a URL can not hold and keeps what is escaped already.
fn encoded_url(url: &str) -> String {
    let mut pieces = url.split('%');
    let mut encoded = utf8_percent_encode(pieces.next().unwrap_or_default(), UNSAFE).to_string();
    for piece in pieces {
        encoded.push_str(if is_escape(piece) { "%" } else { "%25" });
        encoded.extend(utf8_percent_encode(piece, UNSAFE));
    }
    encoded
}

fn is_escape(behind_percent: &str) -> bool {
    let digits = behind_percent.as_bytes().get(..2);
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// What the Location of Express escapes, besides everything that is not ASCII.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}');

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(method: impl Into<Method>, body: &Value) -> u16 {
        let method = method.into();
        let value = derived_status(&method, false, &Outcome::Value(body.clone()));
        let text = derived_status(&method, false, &Outcome::Text(body.into()));
        assert_eq!(value, text, "{body}");
        value.as_u16()
    }

    #[test]
    fn falsy_results_are_204_also_for_create() {
        for falsy in [json!(null), json!(0), json!(0.0), json!(false), json!("")] {
            assert_eq!(status("create", &falsy), 204, "{falsy}");
            assert_eq!(status("get", &falsy), 204, "{falsy}");
        }
        for truthy in [json!(1), json!(true), json!("x"), json!([]), json!({})] {
            assert_eq!(status("create", &truthy), 201, "{truthy}");
            assert_eq!(status("ping", &truthy), 200, "{truthy}");
        }
    }

    #[test]
    fn urls_are_escaped_once() {
        assert_eq!(encoded_url("/a b/ü\"<"), "/a%20b/%C3%BC%22%3C");
        assert_eq!(encoded_url("/%C3%BC%zz%4"), "/%C3%BC%25zz%254");
        assert_eq!(
            encoded_url("/x\r\nSet-Cookie: a"),
            "/x%0D%0ASet-Cookie:%20a"
        );
    }
}
