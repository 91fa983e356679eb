//! The request with which a client connects, and the app's own code that looks at it.

use std::fmt;

use futures_util::future::BoxFuture;
use http::header;
use http::request::Parts;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::addresses::{self, Seat};
use super::caller::Caller;
use super::serve::HangUp;
use crate::app::App;
use crate::connections::{ConnectionInfo, Headers, Interest, WireFormat};
use crate::error::{Error, ErrorName, Result};

/// The request of a client that is about to connect, over Socket.IO, a plain websocket or server-sent events.
///
/// Code of [`on_handshake`](crate::AppBuilder::on_handshake) looks at its header, its cookies or a
/// [ticket](crate::transport::Tickets) and says who it is, or refuses it.
pub struct Handshake {
    app: App,
    provider: &'static str,
    parts: Parts,
    query: Map<String, Value>,
    properties: Map<String, Value>,
    seat: Option<Seat>,
}

/// Code of the app that lets a client in or refuses it.
pub(crate) type OnHandshake =
    dyn Fn(&mut Handshake) -> BoxFuture<'_, Result<()>> + Send + Sync + 'static;

impl Handshake {
    pub(super) fn new(
        app: &App,
        provider: &'static str,
        (parts, query): (Parts, Map<String, Value>),
    ) -> Self {
        Self {
            app: app.clone(),
            provider,
            parts,
            query,
            properties: Map::new(),
            seat: None,
        }
    }

    /// Makes a Socket.IO handshake that says nothing.
    #[cfg(any(test, feature = "__bench"))]
    pub(crate) fn bare(app: &App) -> Self {
        let parts = http::Request::new(()).into_parts().0;
        Self::new(app, "socketio", (parts, Map::new()))
    }

    /// Returns the app that is asked.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Returns the kind of transport: `"socketio"`, `"websocket"` or `"sse"`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// Returns the head of the request: its headers, its URI, and extensions such as
    /// [`ClientAddr`](crate::transport::ClientAddr).
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Returns the query, without what belongs to the transport.
    #[must_use]
    pub fn query(&self) -> &Map<String, Value> {
        &self.query
    }

    /// Returns the value of a cookie, as it was sent.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.parts.headers.get_all(header::COOKIE);
        let mut cookies = lines
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        cookies.find_map(|cookie| {
            let (known, value) = cookie.trim().split_once('=')?;
            (known == name).then_some(value)
        })
    }

    /// Redeems the ticket in the query, as `?ticket=…`, and returns what it was [issued](crate::transport::Tickets::issue)
    /// with. The connection's own query is without it.
    ///
    /// # Errors
    /// `NotAuthenticated` when there is none, and what [`Tickets::redeem`](crate::transport::Tickets::redeem) fails with.
    pub fn ticket(&mut self) -> Result<Value> {
        let Some(Value::String(ticket)) = self.query.shift_remove("ticket") else {
            return Err(Error::new(
                ErrorName::NotAuthenticated,
                "a ticket is missing",
            ));
        };
        self.app.tickets().redeem(&ticket)
    }

    /// Sets a property of the connection that is to be, as `user`; its calls have it in
    /// [`Params::properties`](crate::Params::properties).
    pub fn set_property(&mut self, name: &str, value: Value) {
        self.properties.insert(name.to_owned(), value);
    }

    /// Looks for a place and asks the app's own code; the first that refuses has the last word, and is counted.
    pub(super) async fn admitted(mut self) -> Result<Self> {
        let app = self.app.clone();
        self.take_seat()?;
        if app.entrance().handshakes().is_empty() {
            return Ok(self);
        }
        let asked = timeout(app.config().handshake_timeout, self.ask(&app)).await;
        let asked = asked.unwrap_or_else(|_| {
            app.counters().count_handshake_timeout();
            Err(too_late())
        });
        if asked.is_err() {
            app.counters().count_refused_handshake();
        }
        asked.map(|()| self)
    }

    /// Asks the app's own code, one after the other.
    async fn ask(&mut self, app: &App) -> Result<()> {
        for on_handshake in app.entrance().handshakes() {
            on_handshake(self).await?;
        }
        Ok(())
    }

    /// Takes a place among the clients of the same address, if these are limited.
    fn take_seat(&mut self) -> Result<()> {
        let config = self.app.config();
        let Some(limit) = config.max_connections_per_address else {
            return Ok(());
        };
        if let Some(address) = addresses::client(&self.parts, &config.trusted_proxies) {
            let seat = self.app.entrance().addresses().seat(address, limit);
            if seat.is_none() {
                self.app.counters().count_crowded_address(address);
                return Err(Error::new(
                    ErrorName::TooManyRequests,
                    "too many clients come from this address",
                ));
            }
            self.seat = seat;
        }
        Ok(())
    }

    /// Makes a client that is not connected yet. It hears the events in `interest`, or all. Its headers get memory of their own.
    pub(super) fn into_caller(
        mut self,
        format: &'static dyn WireFormat,
        interest: Option<Interest>,
    ) -> Caller {
        // It is for the request alone, and every call of the connection would copy it.
        self.parts.extensions.remove::<HangUp>();
        let info = ConnectionInfo {
            provider: self.provider,
            headers: Headers::from(&self.parts.headers),
            query: self.query,
            extensions: self.parts.extensions,
            properties: self.properties,
            format,
            limits: self.app.config().outbox,
            interest,
        };
        Caller::new(&self.app, info, self.seat)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("provider", &self.provider)
            .field("path", &self.parts.uri.path())
            .finish_non_exhaustive()
    }
}

fn too_late() -> Error {
    let message = "it took too long to find out who connects; try again";
    Error::new(ErrorName::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn cookies_are_found_by_their_whole_name() {
        let app = App::builder().build().unwrap();
        let mut request = http::Request::new(());
        for line in ["a=1; session=x=y", "aa=2;b"] {
            let line = HeaderValue::from_static(line);
            request.headers_mut().append(header::COOKIE, line);
        }
        let head = (request.into_parts().0, Map::new());
        let handshake = Handshake::new(&app, "sse", head);
        let table = [
            ("a", Some("1")),
            ("session", Some("x=y")),
            ("aa", Some("2")),
            ("b", None),
            ("sess", None),
        ];
        for (name, value) in table {
            assert_eq!(handshake.cookie(name), value, "{name}");
        }
        app.close().await;
    }
}
