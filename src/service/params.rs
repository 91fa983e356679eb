//! The inputs of a call besides its id and data.

use std::ops::{Deref, DerefMut};
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
    pub extensions: CallExtensions,
}

/// The typed values of a call. Those of a connection are shared by all its calls, until one changes what it has.
///
/// ```
/// use wingbeat::Params;
///
/// #[derive(Clone)]
/// struct Tenant(u32);
///
/// let mut params = Params::default();
/// params.extensions.insert(Tenant(7));
/// assert_eq!(params.extensions.get::<Tenant>().map(|tenant| tenant.0), Some(7));
/// ```
#[derive(Clone, Debug, Default)]
pub struct CallExtensions {
    own: Option<Extensions>,
    of: Option<Connection>,
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
            extensions: CallExtensions::default(),
        }
    }
}

impl CallExtensions {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self {
            own: None,
            of: Some(connection.clone()),
        }
    }
}

impl From<Extensions> for CallExtensions {
    fn from(extensions: Extensions) -> Self {
        Self {
            own: Some(extensions),
            of: None,
        }
    }
}

impl Deref for CallExtensions {
    type Target = Extensions;

    fn deref(&self) -> &Extensions {
        static NONE: LazyLock<Extensions> = LazyLock::new(Extensions::new);
        let of = || self.of.as_ref().map(Connection::extensions);
        self.own.as_ref().or_else(of).unwrap_or(&NONE)
    }
}

/// Copies what a connection has.
impl DerefMut for CallExtensions {
    fn deref_mut(&mut self) -> &mut Extensions {
        let of = self.of.as_ref().map(Connection::extensions);
        self.own
            .get_or_insert_with(|| of.cloned().unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::{ConnectionInfo, Plain};

    #[test]
    fn a_call_has_the_values_of_its_connection_until_it_changes_them() {
        let mut info = ConnectionInfo::bare(&Plain);
        info.extensions.insert("ada");
        let connection = Connection::new(1, info);
        let (one, mut other) = (
            CallExtensions::of(&connection),
            CallExtensions::of(&connection),
        );
        assert!(std::ptr::eq(&raw const *one, connection.extensions()));
        other.insert("bob");
        other.insert(7);
        assert_eq!(one.get(), Some(&"ada"));
        assert_eq!((other.get(), other.get()), (Some(&"bob"), Some(&7)));
        assert_eq!(connection.extensions().get::<i32>(), None);
    }
}
