//! The part of a call that leaves its node with the event.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use super::Json;
use crate::service::Method;

/// What listeners and publishers on every node see of the call behind an event.
///
/// Headers, cookies, authentication, the connection and the query are not part of it. A service adds fields by
/// [`Registration::sync_context`](crate::service::Registration::sync_context).
#[derive(Clone, Debug)]
pub struct EventContext(Arc<Source>);

#[derive(Debug)]
enum Source {
    Local(Map<String, Value>),
    Peer {
        text: Json,
        fields: OnceLock<Map<String, Value>>,
    },
}

impl EventContext {
    /// Makes the context of a call on this node; `extra` is what the service lets out besides.
    pub(crate) fn local(method: &Method, id: Option<Value>, extra: Map<String, Value>) -> Self {
        let mut fields = Map::new();
        fields.insert("method".to_owned(), method.as_str().into());
        fields.extend(id.map(|id| ("id".to_owned(), id)));
        fields.insert("params".to_owned(), json!({ "query": {} }));
        fields.extend(extra);
        Self(Arc::new(Source::Local(fields)))
    }

    /// Wraps the context that came with a peer's envelope; it is parsed when somebody looks.
    pub(crate) fn peer(text: Json) -> Self {
        Self(Arc::new(Source::Peer {
            text,
            fields: OnceLock::new(),
        }))
    }

    /// Returns the method of the call.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.field("method")?.as_str()
    }

    /// Returns the id that the call named.
    #[must_use]
    pub fn id(&self) -> Option<&Value> {
        self.field("id")
    }

    /// Returns a field by its name, also one that the service added.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields().get(name)
    }

    pub(crate) fn fields(&self) -> &Map<String, Value> {
        match &*self.0 {
            Source::Local(fields) => fields,
            Source::Peer { text, fields } => {
                fields.get_or_init(|| text.value().as_object().cloned().unwrap_or_default())
            }
        }
    }
}
