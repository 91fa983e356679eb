//! What hooks read and change.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::{Error, Result};
use crate::event::Json;
use crate::json::shape::{self, Misfit};
use crate::service::{Asker, Entry, Id, Method, Params, SyncContext};

/// One call on its way through the hooks.
///
/// Hooks read and assign the public fields; what is in them when the last hook is done is what the caller and the
/// clients get.
///
/// ```
/// use serde_json::{Value, json};
/// use wingbeat::hooks::RegisterHooks;
/// use wingbeat::{App, Memory, Method};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .service("users", Memory::new())
///     .before(Method::Create, |context| {
///         Box::pin(async move {
///             if let Some(Value::Object(user)) = &mut context.data {
///                 user.insert("isNew".to_owned(), json!(true));
///             }
///             Ok(())
///         })
///     })
///     .after(Method::Create, |context| {
///         Box::pin(async move {
///             // Clients, and other nodes, get the name alone.
///             context.dispatch = context.result.as_ref().map(|user| json!({ "name": user["name"] }));
///             Ok(())
///         })
///     })
///     .build()?;
/// let user = app.service_at("users").create(json!({ "name": "Ada" })).await?;
/// assert_eq!(user["isNew"], true);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct HookContext {
    /// The record, for `get`, `update`, `patch` and `remove`.
    pub id: Option<Id>,
    /// The data, for `create`, `update`, `patch` and custom methods.
    pub data: Option<Value>,
    /// All other inputs.
    pub params: Params,
    /// The result; set before the method runs, it replaces the method.
    pub result: Option<Value>,
    /// What clients get instead of the result: in the answer, and as the data of events on every node.
    pub dispatch: Option<Value>,
    /// Why the call failed, while error hooks run.
    pub error: Option<Error>,
    /// The event that the call leads to; `None` suppresses it.
    pub event: Option<Arc<str>>,
    /// What an HTTP response gets; sockets ignore it.
    pub http: Http,
    pub(super) kind: HookKind,
    pub(super) method: Method,
    asker: Asker,
    /// What is there in place of data that no hook looks at.
    data_text: Option<Json>,
    /// What is there in place of a result that no hook looks at.
    pub(crate) text: Option<Json>,
    app: App,
    /// Where its service is.
    place: usize,
    sync: bool,
}

/// Which kind of hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookKind {
    /// An around hook, or none.
    Around,
    /// A before hook.
    Before,
    /// An after hook.
    After,
    /// An error hook.
    Error,
}

/// What hooks want of an HTTP response.
///
/// ```
/// use http::{HeaderValue, StatusCode};
/// use wingbeat::hooks::RegisterHooks;
/// use wingbeat::{App, Memory, Method};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .service("jobs", Memory::new())
///     .after(Method::Create, |context| {
///         Box::pin(async move {
///             context.http.status = Some(StatusCode::ACCEPTED);
///             context.http.headers.insert("retry-after", HeaderValue::from_static("5"));
///             Ok(())
///         })
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Http {
    /// The status, instead of the one that follows from method and result.
    pub status: Option<StatusCode>,
    /// Further headers; a name may stand several times.
    pub headers: HeaderMap,
    /// The `Location` header; without a status the response becomes a 303.
    pub location: Option<String>,
}

impl HookContext {
    /// Begins a call without id and data.
    pub(crate) fn new(
        app: App,
        entry: &Entry,
        method: Method,
        params: Params,
        asker: Asker,
    ) -> Self {
        Self {
            event: method.event().map(|event| entry.event_name(event)),
            id: None,
            data: None,
            params,
            result: None,
            dispatch: None,
            error: None,
            http: Http::default(),
            kind: HookKind::Around,
            asker,
            data_text: None,
            text: None,
            sync: true,
            method,
            app,
            place: entry.place,
        }
    }

    /// Reads the data as a `T`; what a hook changed of it counts.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use wingbeat::hooks::RegisterHooks;
    /// use wingbeat::{App, Error, Memory, Method};
    ///
    /// #[derive(Deserialize)]
    /// struct NewMessage {
    ///     text: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), wingbeat::BuildError> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .before(Method::Create, |context| {
    ///         Box::pin(async move {
    ///             let message: NewMessage = context.data_as()?;
    ///             let is_empty = message.text.trim().is_empty();
    ///             if is_empty { Err(Error::bad_request("a message needs a text")) } else { Ok(()) }
    ///         })
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `BadRequest` that names the place, for data of another type and for none.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T> {
        let data = self.data.as_ref().unwrap_or(&Value::Null);
        shape::read(data).map_err(Misfit::into_bad_request)
    }

    /// Returns the app.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Returns the path of the service, as it was registered.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.entry().path
    }

    /// Returns the method of the call.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Tells which kind of hook runs.
    #[must_use]
    pub fn kind(&self) -> HookKind {
        self.kind
    }

    /// Keeps the call's events with this node's own clients when `false`.
    ///
    /// ```
    /// use wingbeat::hooks::RegisterHooks;
    /// use wingbeat::{App, Memory, Method};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .before(Method::Create, |context| {
    ///         Box::pin(async move {
    ///             let is_draft = context.data.as_ref().is_some_and(|message| message["draft"] == true);
    ///             context.sync(!is_draft);
    ///             Ok(())
    ///         })
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sync(&mut self, sync: bool) {
        self.sync = sync;
    }

    /// Tells whether the call's events go to other nodes.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.sync
    }

    /// Takes the data of a client, as it is where no hook looks at it, or else as a value.
    pub(crate) fn set_data(&mut self, data: Json) {
        if self.entry().takes_text(&self.method) {
            self.data_text = Some(data);
        } else {
            self.data = Some(data.into_value());
        }
    }

    /// Returns the data for the method; hooks that run later find it only if it is kept.
    pub(super) fn given_data(&mut self, keeps_data: bool) -> Option<Value> {
        if keeps_data || self.entry().sync_context.is_some() {
            self.data.clone()
        } else {
            self.data.take()
        }
    }

    /// Returns the data for a method that takes it as text.
    pub(crate) fn given_text(&mut self, keeps_data: bool) -> Json {
        let text = self.data_text.take();
        text.or_else(|| self.given_data(keeps_data).map(Json::from))
            .unwrap_or_default()
    }

    /// Tells whether the result may be text: a client gets it, and what goes to other nodes has no need of the value.
    pub(super) fn takes_text(&self) -> bool {
        self.asker == Asker::Client && self.entry().needs_no_values()
    }

    pub(crate) fn entry(&self) -> &Entry {
        self.app.routes().entry(self.place)
    }

    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// Returns the fields that the service lets out besides the standard ones.
    pub(crate) fn extra_fields(&self) -> Map<String, Value> {
        self.entry()
            .sync_context
            .as_ref()
            .map(|fields: &SyncContext| fields(self))
            .unwrap_or_default()
    }
}
