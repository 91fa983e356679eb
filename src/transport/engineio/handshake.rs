//! The HTTP request with which a client begins (feathers.md §2.1).

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::app::Config;
use crate::transport::{origin, query, websocket};

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
        // Collected, for a map that only shrank keeps its memory.
        let query = query::parse(text).into_iter();
        let query = query.filter(|(name, _)| !OWN.contains(&name.as_str()));
        Ok(Self {
            transport,
            sid: sid.filter(|sid| !sid.is_empty()),
            is_version_4: version.as_deref() == Some("4"),
            query: query.collect(),
        })
    }

    /// Checks the first request of a session in the order in which Engine.IO does; returns the query of the app.
    pub(super) fn begin<B>(
        self,
        request: &Request<B>,
        config: &Config,
    ) -> Result<Map<String, Value>, Refusal> {
        if request.method() != Method::GET {
            return Err(Refusal::WrongMethod);
        }
        if self.transport == Transport::Websocket && !websocket::is_possible(request) {
            return Err(Refusal::BadRequest);
        }
        if origin::is_foreign(request, &config.allowed_origins) {
            return Err(Refusal::ForeignOrigin);
        }
        if !self.is_version_4 {
            return Err(Refusal::UnsupportedProtocol);
        }
        Ok(self.query)
    }

    /// Checks a request that names a session.
    pub(super) fn resume<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let is_possible = self.transport == Transport::Polling || websocket::is_possible(request);
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

/// Clients that offer subprotocols give up when none is chosen; Node's server takes the first.
pub(super) fn subprotocol(headers: &HeaderMap) -> Option<HeaderValue> {
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
            Self::ForeignOrigin => (403, 4, origin::FOREIGN),
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
pub(in crate::transport) const WRONG_NODE: &str = "another node has this session, or had it before it was restarted: long-polling needs a balancer that \
     sends all requests of a client to one node (sticky sessions); clients with `transports: ['websocket']` do without";

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
}
