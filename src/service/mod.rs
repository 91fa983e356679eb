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

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

pub use call::{Call, PendingCall, Reply, ServiceHandle};
pub use id::Id;
pub use method::Method;
pub use params::Params;
pub use registration::Registration;
pub(crate) use registration::{SyncContext, valid_event_name};
pub(crate) use routes::{Entry, Route, Routes, stripped};

use crate::app::AppHandle;
use crate::error::{Error, Result};

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

    /// Called once when the app is built, with a handle for services that emit events of their own.
    fn setup(&self, app: &AppHandle, path: &str) {
        let _ = (app, path);
    }

    /// Returns the records that match `params.query`.
    fn find(&self, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        let _ = params;
        not_supported("find")
    }

    /// Returns the record with an id.
    fn get(&self, id: Id, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        let _ = (id, params);
        not_supported("get")
    }

    /// Creates a record, or several when `data` is an array.
    fn create(&self, data: Value, params: &Params) -> impl Future<Output = Result<Value>> + Send {
        let _ = (data, params);
        not_supported("create")
    }

    /// Replaces a record.
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
    fn remove(
        &self,
        id: Option<Id>,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        let _ = (id, params);
        not_supported("remove")
    }

    /// Answers a custom method, one that [`METHODS`](Service::METHODS) names besides the standard six.
    fn custom(
        &self,
        method: &str,
        data: Value,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        let _ = (data, params);
        not_supported(method)
    }
}

/// Lets one service stand under several paths, or be reached besides its path.
impl<S: Service> Service for Arc<S> {
    const METHODS: &'static [&'static str] = S::METHODS;
    const EVENTS: &'static [&'static str] = S::EVENTS;

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
}

fn not_supported<T: Send>(method: &str) -> impl Future<Output = Result<T>> + Send + use<T> {
    std::future::ready(Err(unsupported(method)))
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

/// A service behind a pointer: one function that hands a call to the method it names.
pub(crate) trait AnyService: Send + Sync {
    fn setup(&self, app: &AppHandle, path: &str);
    fn invoke<'a>(&'a self, call: Invocation<'a>) -> BoxFuture<'a, Result<Value>>;
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
                None => {
                    std::future::ready(Err(Error::bad_request("id for 'get' can not be undefined")))
                        .boxed()
                }
            },
            Method::Create => self.create(data, params).boxed(),
            Method::Update => self.update(id, data, params).boxed(),
            Method::Patch => self.patch(id, data, params).boxed(),
            Method::Remove => self.remove(id, params).boxed(),
            Method::Custom(name) => self.custom(name, data, params).boxed(),
        }
    }
}
