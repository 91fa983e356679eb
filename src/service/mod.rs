//! 2 · What a call means: services, their methods, and the paths under which they are found.
//!
//! In comes a [`Call`] from a transport or from this process; out goes a [`Reply`], and the call's events go to `event`.
//!
//! Invariant: a call that has begun runs to its end, whether or not its caller still waits.

mod call;
mod id;
mod method;
mod params;
pub mod query;
mod registration;
mod routes;
pub mod typed;

use std::future::{Future, ready};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

pub(crate) use call::{Answer, Asker, Outcome};
pub use call::{Call, PendingCall, Reply, ServiceHandle};
pub use id::Id;
pub use method::Method;
pub use params::{CallExtensions, Params};
pub use registration::Registration;
pub(crate) use registration::{SyncContext, valid_event_name};
pub(crate) use routes::{Entry, Route, Routes, stripped};

use crate::app::AppHandle;
use crate::error::{Error, Result};
use crate::event::Json;

/// Answers the calls of one path: a Feathers service.
///
/// Implement the methods that the service has and name them in [`METHODS`](Service::METHODS); the others answer
/// `MethodNotAllowed` (405). Data, ids and results are JSON; a [`TypedService`](typed::TypedService) has types in their
/// place. The events `created`, `updated`, `patched` and `removed` are sent by the app when a call has succeeded.
///
/// ```
/// use serde_json::{Value, json};
/// use wingbeat::{App, Error, Params, Service, error::Result, service::Id};
///
/// struct Greetings;
///
/// impl Service for Greetings {
///     const METHODS: &'static [&'static str] = &["get"];
///
///     async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
///         Ok(json!({ "text": format!("Hello {id}") }))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("greetings", Greetings).build()?;
/// assert_eq!(app.service_at("greetings").get("Ada").await?["text"], "Hello Ada");
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// The app runs every call to its end in a task of its own, so a method is never dropped half-way because a client went.
pub trait Service: Send + Sync + 'static {
    /// The methods that clients may call: the standard ones that are implemented, and custom ones.
    const METHODS: &'static [&'static str] = &Method::STANDARD;

    /// The names of the service's custom events; a [`Registration`] can replace them.
    const EVENTS: &'static [&'static str] = &[];

    /// The methods that [`answer_text`](Service::answer_text) answers; none by default.
    const TEXT_METHODS: &'static [&'static str] = &[];

    /// Called once when the app is built, with a handle for services that emit events of their own.
    ///
    /// ```
    /// # use std::sync::{Arc, OnceLock};
    /// # use serde_json::json;
    /// # use wingbeat::{App, AppHandle, Service};
    /// #[derive(Default)]
    /// struct Doorbell(OnceLock<AppHandle>);
    ///
    /// impl Service for Doorbell {
    ///     const METHODS: &'static [&'static str] = &[];
    ///     const EVENTS: &'static [&'static str] = &["rang"];
    ///
    ///     fn setup(&self, app: &AppHandle, _path: &str) {
    ///         let _ = self.0.set(app.clone());
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bell = Arc::new(Doorbell::default());
    /// let app = App::builder().service("doorbell", Arc::clone(&bell)).build()?;
    /// let handle = bell.0.get().and_then(AppHandle::upgrade).ok_or("the app is gone")?;
    /// handle.service_at("doorbell").emit("rang", json!({ "door": "front" }))?;
    /// # Ok(())
    /// # }
    /// ```
    fn setup(&self, app: &AppHandle, path: &str) {
        let _ = (app, path);
    }

    /// Returns the records that match `params.query`.
    ///
    /// ```
    /// # use serde_json::{Value, json};
    /// # use wingbeat::service::query::{Query, QueryBuilder, QueryOptions};
    /// # use wingbeat::{App, Params, Service, error::Result};
    /// struct Rooms;
    ///
    /// impl Service for Rooms {
    ///     const METHODS: &'static [&'static str] = &["find"];
    ///
    ///     async fn find(&self, params: &Params) -> Result<Value> {
    ///         let query = Query::parse(&params.query, &QueryOptions::default())?;
    ///         let rooms = [json!({ "name": "hall" }), json!({ "name": "kitchen" })];
    ///         Ok(rooms.into_iter().filter(|room| query.matches(room)).collect())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("rooms", Rooms).build()?;
    /// let kitchens = QueryBuilder::new().equals("name", "kitchen");
    /// assert_eq!(app.service_at("rooms").find().query(kitchens).await?, json!([{ "name": "kitchen" }]));
    /// # Ok(())
    /// # }
    /// ```
    fn find(&self, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        let _ = params;
        not_supported("find")
    }

    /// Returns the record with an id.
    ///
    /// ```
    /// # use serde_json::{Value, json};
    /// # use wingbeat::service::Id;
    /// # use wingbeat::{App, Error, Params, Service, error::Result};
    /// struct Rooms;
    ///
    /// impl Service for Rooms {
    ///     const METHODS: &'static [&'static str] = &["get"];
    ///
    ///     async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
    ///         match id.to_string().as_str() {
    ///             "hall" => Ok(json!({ "id": id, "seats": 80 })),
    ///             _ => Err(Error::not_found(format!("No record found for id '{id}'"))),
    ///         }
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("rooms", Rooms).build()?;
    /// assert_eq!(app.service_at("rooms").get("hall").await?["seats"], 80);
    /// assert_eq!(app.service_at("rooms").get("attic").await.unwrap_err().code(), 404);
    /// # Ok(())
    /// # }
    /// ```
    fn get(&self, id: Id, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        let _ = (id, params);
        not_supported("get")
    }

    /// Creates a record, or several when `data` is an array.
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicU64, Ordering};
    /// # use serde_json::{Value, json};
    /// # use wingbeat::{App, Params, Service, error::Result};
    /// struct Tickets(AtomicU64);
    ///
    /// impl Service for Tickets {
    ///     const METHODS: &'static [&'static str] = &["create"];
    ///
    ///     async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
    ///         Ok(json!({ "id": self.0.fetch_add(1, Ordering::Relaxed), "for": data["for"] }))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("tickets", Tickets(AtomicU64::new(7))).build()?;
    /// let ticket = app.service_at("tickets").create(json!({ "for": "Ada" })).await?;
    /// assert_eq!(ticket, json!({ "id": 7, "for": "Ada" }));
    /// # Ok(())
    /// # }
    /// ```
    fn create(&self, data: Value, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        let _ = (data, params);
        not_supported("create")
    }

    /// Replaces a record.
    ///
    /// ```
    /// # use serde_json::{Value, json};
    /// # use wingbeat::service::Id;
    /// # use wingbeat::{App, Error, Params, Service, error::Result};
    /// struct Lamps;
    ///
    /// impl Service for Lamps {
    ///     const METHODS: &'static [&'static str] = &["update"];
    ///
    ///     async fn update(&self, id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
    ///         let on = data["on"].as_bool().ok_or_else(|| Error::bad_request("a lamp is on or not"))?;
    ///         Ok(json!({ "id": id, "on": on }))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("lamps", Lamps).build()?;
    /// let lamp = app.service_at("lamps").update(3, json!({ "on": true, "color": "red" })).await?;
    /// assert_eq!(lamp, json!({ "id": 3, "on": true }));
    /// # Ok(())
    /// # }
    /// ```
    fn update(
        &self,
        id: Option<Id>,
        data: Value,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        let _ = (id, data, params);
        not_supported("update")
    }

    /// Merges data into a record, or into all that match the query when there is no id.
    ///
    /// ```
    /// # use serde_json::{Value, json};
    /// # use wingbeat::service::Id;
    /// # use wingbeat::{App, Method, Params, Service, error::Result};
    /// struct Lamps;
    ///
    /// impl Service for Lamps {
    ///     const METHODS: &'static [&'static str] = &["patch"];
    ///
    ///     async fn patch(&self, id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
    ///         let lamp = |id| json!({ "id": id, "color": "white", "on": data["on"] });
    ///         Ok(id.map_or_else(|| json!([lamp(Id::from(1)), lamp(Id::from(2))]), lamp))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("lamps", Lamps).build()?;
    /// let lamps = app.service_at("lamps");
    /// assert_eq!(lamps.patch(3, json!({ "on": true })).await?["color"], "white");
    /// let all = lamps.method(Method::Patch).data(json!({ "on": false })).await?;
    /// assert_eq!(all[1], json!({ "id": 2, "color": "white", "on": false }));
    /// # Ok(())
    /// # }
    /// ```
    fn patch(
        &self,
        id: Option<Id>,
        data: Value,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        let _ = (id, data, params);
        not_supported("patch")
    }

    /// Removes a record, or all that match the query when there is no id.
    ///
    /// ```
    /// # use std::{collections::HashSet, sync::Mutex};
    /// # use serde_json::{Value, json};
    /// # use wingbeat::service::Id;
    /// # use wingbeat::{App, Error, Params, Service, error::Result};
    /// struct Sessions(Mutex<HashSet<Id>>);
    ///
    /// impl Service for Sessions {
    ///     const METHODS: &'static [&'static str] = &["remove"];
    ///
    ///     async fn remove(&self, id: Option<Id>, _params: &Params) -> Result<Value> {
    ///         let id = id.ok_or_else(|| Error::method_not_allowed("one at a time"))?;
    ///         let was_there = self.0.lock().is_ok_and(|mut sessions| sessions.remove(&id));
    ///         was_there.then(|| json!({ "id": id })).ok_or_else(|| Error::not_found("no such session"))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("sessions", Sessions(Mutex::new(HashSet::from(["a".into()])))).build()?;
    /// let sessions = app.service_at("sessions");
    /// assert_eq!(sessions.remove("a").await?, json!({ "id": "a" }));
    /// assert_eq!(sessions.remove("a").await.unwrap_err().code(), 404);
    /// # Ok(())
    /// # }
    /// ```
    fn remove(
        &self,
        id: Option<Id>,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        let _ = (id, params);
        not_supported("remove")
    }

    /// Answers a custom method, one that [`METHODS`](Service::METHODS) names besides the standard six.
    ///
    /// ```
    /// # use serde_json::{Value, json};
    /// # use wingbeat::{App, Params, Service, error::Result};
    /// struct Messages;
    ///
    /// impl Service for Messages {
    ///     const METHODS: &'static [&'static str] = &["archive"];
    ///
    ///     async fn custom(&self, method: &str, data: Value, _params: &Params) -> Result<Value> {
    ///         Ok(json!({ "did": method, "up_to": data["id"] }))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Messages).build()?;
    /// let archived = app.service_at("messages").method("archive").data(json!({ "id": 7 })).await?;
    /// assert_eq!(archived, json!({ "did": "archive", "up_to": 7 }));
    /// # Ok(())
    /// # }
    /// ```
    fn custom(
        &self,
        method: &str,
        data: Value,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        let _ = (data, params);
        not_supported(method)
    }

    /// Answers a call of one of the [`TEXT_METHODS`](Service::TEXT_METHODS) in JSON text.
    ///
    /// It is asked in place of `find`, `create` and so on when a client calls and no hook looks at the result: there is no
    /// around and no after hook for the method, and nothing is [redacted](Registration::redact). A service whose records are
    /// text or Rust types already saves the way over JSON values by it: the text goes into the answer, and for a method
    /// with an event to the clients and the other nodes, as it is. A [`TypedService`](typed::TypedService) has this by itself.
    ///
    /// ```
    /// use serde_json::{Value, json};
    /// use wingbeat::event::Json;
    /// use wingbeat::service::TextCall;
    /// use wingbeat::{Params, Service, error::Result};
    ///
    /// struct Countries(Json);
    ///
    /// impl Service for Countries {
    ///     const METHODS: &'static [&'static str] = &["find"];
    ///     const TEXT_METHODS: &'static [&'static str] = &["find"];
    ///
    ///     async fn find(&self, _params: &Params) -> Result<Value> {
    ///         Ok(self.0.value().clone())
    ///     }
    ///
    ///     async fn answer_text(&self, _call: TextCall, _params: &Params) -> Result<Json> {
    ///         Ok(self.0.clone())
    ///     }
    /// }
    /// ```
    fn answer_text(
        &self,
        call: TextCall,
        params: &Params,
    ) -> impl Future<Output = Result<Json>> + Send {
        let _ = params;
        not_supported(call.method.as_str())
    }
}

/// Lets one service stand under several paths, or be reached besides its path.
impl<S: Service> Service for Arc<S> {
    const METHODS: &'static [&'static str] = S::METHODS;
    const EVENTS: &'static [&'static str] = S::EVENTS;
    const TEXT_METHODS: &'static [&'static str] = S::TEXT_METHODS;

    fn setup(&self, app: &AppHandle, path: &str) {
        (**self).setup(app, path);
    }

    fn find(&self, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        (**self).find(params)
    }

    fn get(&self, id: Id, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        (**self).get(id, params)
    }

    fn create(&self, data: Value, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        (**self).create(data, params)
    }

    fn update(
        &self,
        id: Option<Id>,
        data: Value,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        (**self).update(id, data, params)
    }

    fn patch(
        &self,
        id: Option<Id>,
        data: Value,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        (**self).patch(id, data, params)
    }

    fn remove(
        &self,
        id: Option<Id>,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        (**self).remove(id, params)
    }

    fn custom(
        &self,
        method: &str,
        data: Value,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        (**self).custom(method, data, params)
    }

    fn answer_text(
        &self,
        call: TextCall,
        params: &Params,
    ) -> impl Future<Output = Result<Json>> + Send {
        (**self).answer_text(call, params)
    }
}

fn not_supported<T: Send>(method: &str) -> impl Future<Output = Result<T>> + Send + use<T> {
    ready(Err(unsupported(method)))
}

/// The error of a method that a service does not offer (feathers.md §1.1).
pub(crate) fn unsupported(method: &str) -> Error {
    Error::method_not_allowed(format!(
        "Method `{method}` is not supported by this endpoint."
    ))
}

/// The error of a call that would touch several records where the service does not allow it (feathers.md §1.9).
pub(crate) fn not_multiple(method: &Method) -> Error {
    Error::method_not_allowed(format!("Can not {method} multiple entries"))
}

/// The error of an `update` without an id or with a list (feathers.md §1.9).
pub(crate) fn replaces_many() -> Error {
    Error::bad_request("You can not replace multiple instances. Did you mean 'patch'?")
}

/// A call that is answered in text.
///
/// ```
/// # use serde_json::json;
/// # use wingbeat::event::Json;
/// # use wingbeat::service::TextCall;
/// # use wingbeat::{Params, Service, error::Result};
/// struct Echo;
///
/// impl Service for Echo {
///     const METHODS: &'static [&'static str] = &["get", "create"];
///     const TEXT_METHODS: &'static [&'static str] = &["get", "create"];
///
///     async fn answer_text(&self, call: TextCall, _params: &Params) -> Result<Json> {
///         Json::of(&json!({ "did": call.method.as_str(), "id": call.id, "data": call.data.value() }))
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TextCall {
    /// The method, one of the service's [`TEXT_METHODS`](Service::TEXT_METHODS).
    pub method: Method,
    /// The record, for `get`, `update`, `patch` and `remove`; a `get` has one.
    pub id: Option<Id>,
    /// The data, for `create`, `update`, `patch` and custom methods: the text that the client sent, as long as nobody has parsed it.
    pub data: Json,
}

/// A service behind a pointer: one function that hands a call to the method it names.
pub(crate) trait AnyService: Send + Sync {
    fn setup(&self, app: &AppHandle, path: &str);
    fn invoke<'a>(&'a self, call: Invocation<'a>) -> BoxFuture<'a, Result<Value>>;
    /// Tells whether [`text`](AnyService::text) answers a method.
    fn has_text(&self, method: &str) -> bool;
    fn text<'a>(&'a self, call: TextCall, params: &'a Params) -> BoxFuture<'a, Result<Json>>;
}

/// What a method is given.
pub(crate) struct Invocation<'a> {
    pub(crate) method: &'a Method,
    pub(crate) id: Option<Id>,
    pub(crate) data: Value,
    pub(crate) params: &'a Params,
}

impl<S: Service> AnyService for S {
    fn setup(&self, app: &AppHandle, path: &str) {
        Service::setup(self, app, path);
    }

    fn invoke<'a>(&'a self, call: Invocation<'a>) -> BoxFuture<'a, Result<Value>> {
        let Invocation {
            method,
            id,
            data,
            params,
        } = call;
        match method {
            Method::Find => self.find(params).boxed(),
            Method::Get => match id {
                Some(id) => self.get(id, params).boxed(),
                None => ready(Err(get_without_id())).boxed(),
            },
            Method::Create => self.create(data, params).boxed(),
            Method::Update => self.update(id, data, params).boxed(),
            Method::Patch => self.patch(id, data, params).boxed(),
            Method::Remove => self.remove(id, params).boxed(),
            Method::Custom(name) => self.custom(name, data, params).boxed(),
        }
    }

    fn has_text(&self, method: &str) -> bool {
        S::TEXT_METHODS.contains(&method)
    }

    fn text<'a>(&'a self, call: TextCall, params: &'a Params) -> BoxFuture<'a, Result<Json>> {
        if call.method == Method::Get && call.id.is_none() {
            return ready(Err(get_without_id())).boxed();
        }
        self.answer_text(call, params).boxed()
    }
}

fn get_without_id() -> Error {
    Error::bad_request("id for 'get' can not be undefined")
}
