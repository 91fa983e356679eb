//! The inputs of a call besides its id and data.

use std::sync::{Arc, LazyLock};

use http::{Extensions, HeaderMap};
use serde_json::{Map, Value, json};

use crate::connections::Connection;
use crate::trace::TraceContext;

/// The inputs of a call besides its id and data.
///
/// `Params::default()` is what a call inside the process has: no provider, an empty query.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Params {
    /// What the caller looks for, as it was sent; stores read it as a [`Query`](super::query::Query). Over REST every value is a
    /// string, unless [`convert_query`](crate::hooks::convert_query) runs before.
    pub query: Map<String, Value>,
    /// The values of the placeholders in the service's path.
    pub route: Map<String, Value>,
    /// Who calls: `"rest"`, `"socketio"`, `"websocket"`, or `None` inside the process.
    pub provider: Option<&'static str>,
    /// The headers of the request, or of the connection's handshake, which all its calls share; a hook changes its own copy by
    /// [`Arc::make_mut`].
    pub headers: Arc<HeaderMap>,
    /// The connection of a socket call.
    pub connection: Option<Connection>,
    /// Where the call stands in a trace: what came as `traceparent`, and the call's own span once it runs, if somebody
    /// wants [its spans](crate::trace). Its events carry what stands here when the last hook is done.
    pub trace: Option<TraceContext>,
    /// What the app's own code added to the request or the connection, as `user` or `tenant`.
    pub properties: Map<String, Value>,
    /// Typed values for hooks and services, first of all those that layers of the host added to the request or to the
    /// connection's handshake; they are never sent anywhere.
    pub extensions: Extensions,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            query: Map::new(),
            route: Map::new(),
            provider: None,
            headers: Arc::clone(&NO_HEADERS),
            connection: None,
            trace: None,
            properties: Map::new(),
            extensions: Extensions::new(),
        }
    }
}

impl Params {
    /// Makes params with a query.
    #[must_use]
    pub fn with_query(query: Map<String, Value>) -> Self {
        Self {
            query,
            ..Self::default()
        }
    }

    /// Renders what JSON can hold, in the key order of Feathers: `query`, `headers`, `route`, `provider`, then properties.
    /// Headers are read as Latin-1, as Node does.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let headers: Map<String, Value> = self.headers.iter().map(header_entry).collect();
        let mut json = json!({ "query": self.query, "headers": headers, "route": self.route });
        if let Some(provider) = self.provider {
            json["provider"] = provider.into();
        }
        for (name, value) in &self.properties {
            json[name] = value.clone();
        }
        json
    }
}

fn header_entry((name, value): (&http::HeaderName, &http::HeaderValue)) -> (String, Value) {
    let text: String = value.as_bytes().iter().copied().map(char::from).collect();
    (name.as_str().to_owned(), text.into())
}

static NO_HEADERS: LazyLock<Arc<HeaderMap>> = LazyLock::new(Arc::default);
