//! The HTTP request that becomes a websocket (RFC 6455 §4.2).

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use tungstenite::handshake::derive_accept_key;

/// Tells whether the request asks for a websocket (RFC 6455 §4.2.1) that the server below can give.
pub(in crate::transport) fn is_possible<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    has_token(headers, &header::UPGRADE, "websocket")
        && has_token(headers, &header::CONNECTION, "upgrade")
        && headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version == "13")
        && headers.get(header::SEC_WEBSOCKET_KEY).is_some_and(is_key)
        && request.extensions().get::<OnUpgrade>().is_some()
}

/// Makes the response that ends HTTP on this connection; the client is told of the subprotocol that was chosen.
pub(in crate::transport) fn accept(
    request: &HeaderMap,
    subprotocol: Option<HeaderValue>,
) -> Response<Body> {
    let key = request.get(header::SEC_WEBSOCKET_KEY);
    let accept = derive_accept_key(key.map(HeaderValue::as_bytes).unwrap_or_default());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.extend(
        HeaderValue::try_from(accept)
            .ok()
            .map(|accept| (header::SEC_WEBSOCKET_ACCEPT, accept)),
    );
    headers.extend(subprotocol.map(|chosen| (header::SEC_WEBSOCKET_PROTOCOL, chosen)));
    response
}

fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let mut values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value
            .split(',')
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    })
}

/// A key is sixteen bytes in base64; what they are matters to nobody.
fn is_key(key: &HeaderValue) -> bool {
    key.len() == 24 && key.as_bytes().ends_with(b"==")
}
