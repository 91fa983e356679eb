//! The HTTP request with which a client begins (feathers.md §2.1).

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::upgrade::OnUpgrade;
use serde_json::{Map, Value, json};
use tungstenite::handshake::derive_accept_key;
use url::form_urlencoded;

use crate::app::Config;
use crate::transport::query;

/// What a request says of itself.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) transport: Transport,
    /// The session that is there already.
    pub(super) sid: Option<String>,
    is_version_4: bool,
    query: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Polling,
    Websocket,
}

/// A request with which a session begins.
#[derive(Debug)]
pub(super) struct Handshake {
    /// The headers, in memory of their own.
    pub(super) headers: HeaderMap,
    /// The query without Engine.IO's own parameters.
    pub(super) query: Map<String, Value>,
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownTransport,
    UnknownSession,
    /// The session is unknown here because another node has it.
    WrongNode,
    WrongMethod,
    BadRequest,
    ForeignOrigin,
    UnsupportedProtocol,
    Draining,
    Full,
}

impl Visit {
    /// Reads Engine.IO's own parameters.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Refusal> {
        let text = request.uri().query().unwrap_or_default();
        let [transport, sid, version] = ["transport", "sid", "EIO"].map(|name| own(text, name));
        let transport = match transport.as_deref() {
            Some("polling") => Transport::Polling,
            Some("websocket") => Transport::Websocket,
            _ => return Err(Refusal::UnknownTransport),
        };
        let mut query = query::parse(text);
        query.retain(|name, _| !OWN.contains(&name.as_str()));
        Ok(Self {
            transport,
            sid: sid.filter(|sid| !sid.is_empty()),
            is_version_4: version.as_deref() == Some("4"),
            query,
        })
    }

    /// Checks the first request of a session in the order in which Engine.IO does.
    pub(super) fn begin<B>(
        self,
        request: &Request<B>,
        config: &Config,
    ) -> Result<Handshake, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::WrongMethod);
        }
        if self.transport == Transport::Websocket && !is_websocket(request) {
            return Err(Refusal::BadRequest);
        }
        if is_foreign(request, &config.allowed_origins) {
            return Err(Refusal::ForeignOrigin);
        }
        if !self.is_version_4 {
            return Err(Refusal::UnsupportedProtocol);
        }
        Ok(Handshake {
            headers: owned(request.headers()),
            query: self.query,
        })
    }

    /// Checks a request that names a session.
    pub(super) fn resume<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let is_possible = self.transport == Transport::Polling || is_websocket(request);
        match is_possible && self.is_version_4 {
            true => Ok(()),
            false => Err(Refusal::BadRequest),
        }
    }
}

/// Reads one of Engine.IO's own parameters as Node's `URLSearchParams` do; the last one counts.
fn own(query: &str, name: &str) -> Option<String> {
    let named = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    named.last().map(|(_, value)| value.into_owned())
}

/// Makes the response that ends HTTP on this connection.
pub(super) fn accept(request: &HeaderMap) -> Response<Body> {
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
    headers.extend(subprotocol(request).map(|protocol| (header::SEC_WEBSOCKET_PROTOCOL, protocol)));
    response
}

/// Clients that offer subprotocols give up when none is chosen; Node's server takes the first.
fn subprotocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?;
    HeaderValue::from_str(offered.to_str().ok()?.split(',').next()?.trim()).ok()
}

impl Refusal {
    /// Makes the response that says why.
    pub(super) fn respond(self) -> Response<Body> {
        let (status, code, message) = match self {
            Self::UnknownTransport => (400, 0, "Transport unknown"),
            Self::UnknownSession | Self::WrongNode => (400, 1, "Session ID unknown"),
            Self::WrongMethod => (400, 2, "Bad handshake method"),
            Self::BadRequest => (400, 3, "Bad request"),
            Self::ForeignOrigin => (
                403,
                4,
                "Origin not allowed: a handshake with cookies comes from this host or an allowed origin",
            ),
            Self::UnsupportedProtocol => (400, 5, "Unsupported protocol version"),
            Self::Draining => (503, 4, "This node is shutting down"),
            Self::Full => (503, 4, "This node has no room for another session"),
        };
        let mut body = json!({ "code": code, "message": message });
        if self == Self::WrongNode {
            body["hint"] = WRONG_NODE.into();
        }
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if self == Self::BadRequest {
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
        }
        response
    }
}

/// What helps against requests that reach a node without their session.
pub(super) const WRONG_NODE: &str = "another node has this session, or had it before it was restarted: long-polling needs a balancer that \
     sends all requests of a client to one node (sticky sessions); clients with `transports: ['websocket']` do without";

/// Tells whether the request asks for a websocket (RFC 6455 §4.2.1) that the server below can give.
fn is_websocket<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    has_token(headers, &header::UPGRADE, "websocket")
        && has_token(headers, &header::CONNECTION, "upgrade")
        && headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version == "13")
        && headers.get(header::SEC_WEBSOCKET_KEY).is_some_and(is_key)
        && request.extensions().get::<OnUpgrade>().is_some()
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

/// Tells whether a page of another origin makes the browser send our cookies.
///
/// Browsers let any page open a websocket to any host and add that host's cookies, so nobody but the server can tell a
/// user's own page from a stranger's. A handshake without cookies carries nothing that could be stolen.
fn is_foreign<B>(request: &Request<B>, allowed: &[String]) -> bool {
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    if !headers.contains_key(header::COOKIE)
        || allowed.iter().any(|allowed| origin == allowed.as_str())
    {
        return false;
    }
    !origin
        .to_str()
        .is_ok_and(|origin| is_same_host(origin, host(request)))
}

fn host<B>(request: &Request<B>) -> &str {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    host.or_else(|| Some(request.uri().authority()?.as_str()))
        .unwrap_or_default()
}

/// Compares host and port. A proxy that ends TLS passes on a `Host` without port, which then means the origin's own default.
fn is_same_host(origin: &str, host: &str) -> bool {
    let (Ok(origin), Ok(host)) = (origin.parse::<Uri>(), host.parse::<Uri>()) else {
        return false;
    };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let place = |uri: &Uri| {
        let host = uri.host()?.to_ascii_lowercase();
        Some((host, uri.port_u16().unwrap_or(default_port)))
    };
    place(&origin).is_some() && place(&origin) == place(&host)
}

/// Copies headers into one piece of memory. Those of a request are parts of its whole read buffer, which would live as long
/// as the connection.
fn owned(headers: &HeaderMap) -> HeaderMap {
    let bytes: Bytes = headers
        .values()
        .flat_map(HeaderValue::as_bytes)
        .copied()
        .collect();
    let mut at = 0;
    let mut owned = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        let end = at + value.len();
        if let Ok(copy) = HeaderValue::from_maybe_shared(bytes.slice(at..end)) {
            owned.append(name, copy);
        }
        at = end;
    }
    owned
}

/// Engine.IO's own parameters; `t` keeps caches from answering.
const OWN: [&str; 4] = ["EIO", "sid", "t", "transport"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_parameter_that_comes_twice_the_last_one_counts() {
        let query = "EIO=3&EIO=%34&transport=websocket&transport=polling&sid=a&sid=&t=1&room=a%20b";
        let request = Request::get(format!("/socket.io/?{query}"));
        let visit = Visit::of(&request.body(()).unwrap()).unwrap();
        assert_eq!(visit.transport, Transport::Polling);
        assert!(visit.is_version_4);
        assert_eq!(visit.sid, None);
        assert_eq!(Value::from(visit.query), json!({ "room": "a b" }));
        for name in ["transport[]=polling", "transport=polling+", ""] {
            let request = Request::get(format!("/?{name}")).body(()).unwrap();
            assert_eq!(Visit::of(&request).unwrap_err(), Refusal::UnknownTransport);
        }
    }

    #[test]
    fn hosts_are_the_same_with_their_ports() {
        let table = [
            ("http://a.example", "a.example", true),
            ("https://A.Example", "a.example", true),
            ("http://a.example", "a.example:80", true),
            ("https://a.example", "a.example:443", true),
            ("https://a.example:443", "a.example", true),
            ("http://127.0.0.1:3030", "127.0.0.1:3030", true),
            ("http://[::1]:3030", "[::1]:3030", true),
            ("http://a.example", "a.example:443", false),
            ("http://a.example:8080", "a.example", false),
            ("http://b.example", "a.example", false),
            ("http://a.example.evil", "a.example", false),
            ("ftp://a.example", "a.example", false),
            ("a.example", "a.example", false),
            ("null", "null", false),
            ("null", "", false),
            ("", "", false),
            ("http://", "", false),
        ];
        for (origin, host, is_same) in table {
            assert_eq!(is_same_host(origin, host), is_same, "{origin} at {host}");
        }
    }

    #[test]
    fn copied_headers_are_the_same_in_memory_of_their_own() {
        let buffer = Bytes::from_static(b"onetwothree");
        let mut headers = HeaderMap::new();
        for (name, range) in [("a", 0..3), ("b", 3..6), ("a", 6..11), ("c", 0..0)] {
            let value = HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
            headers.append(name, value);
        }
        let copy = owned(&headers);
        assert_eq!(copy, headers);
        let outside =
            |value: &HeaderValue| !buffer.as_ptr_range().contains(&value.as_bytes().as_ptr());
        assert!(copy.values().all(outside));
    }
}
