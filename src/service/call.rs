//! One invocation of a method, and the handle that makes invocations inside the process.

use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Id, Method, Params};
use crate::app::App;
use crate::error::Result;
use crate::event::{Event, Scope};
use crate::hooks::Http;

/// One invocation of a service method.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// The path as the caller wrote it.
    pub path: String,
    /// The method.
    pub method: Method,
    /// The record, for `get`, `update`, `patch` and `remove`.
    pub id: Option<Id>,
    /// The data, for `create`, `update`, `patch` and custom methods.
    pub data: Value,
    /// All other inputs.
    pub params: Params,
    /// Whether the call's events go to other nodes; `false` keeps them with this node's own clients.
    pub sync: bool,
}

/// What a call answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// What callers inside the process get.
    pub result: Value,
    /// What clients get instead, if a hook said so.
    pub dispatch: Option<Value>,
    /// What hooks want of an HTTP response.
    pub http: Http,
}

impl Call {
    /// Makes a call with neither id nor data.
    pub fn new(path: impl Into<String>, method: Method) -> Self {
        Self {
            path: path.into(),
            method,
            id: None,
            data: Value::Null,
            params: Params::default(),
            sync: true,
        }
    }
}

/// A service as seen from inside the process.
#[derive(Clone, Debug)]
pub struct ServiceHandle {
    app: App,
    path: String,
}

impl ServiceHandle {
    pub(crate) fn new(app: App, path: &str) -> Self {
        Self {
            app,
            path: path.to_owned(),
        }
    }

    /// Reads many.
    pub fn find(&self) -> PendingCall {
        self.method(Method::Find)
    }

    /// Reads one.
    pub fn get(&self, id: impl Into<Id>) -> PendingCall {
        self.method(Method::Get).id(id)
    }

    /// Makes one, or many from an array.
    pub fn create(&self, data: Value) -> PendingCall {
        self.method(Method::Create).data(data)
    }

    /// Replaces one.
    pub fn update(&self, id: impl Into<Id>, data: Value) -> PendingCall {
        self.method(Method::Update).id(id).data(data)
    }

    /// Merges into one.
    pub fn patch(&self, id: impl Into<Id>, data: Value) -> PendingCall {
        self.method(Method::Patch).id(id).data(data)
    }

    /// Takes one away.
    pub fn remove(&self, id: impl Into<Id>) -> PendingCall {
        self.method(Method::Remove).id(id)
    }

    /// Starts any call: a custom method, or `patch` and `remove` of all that match a query.
    pub fn method(&self, method: impl Into<Method>) -> PendingCall {
        PendingCall {
            app: self.app.clone(),
            call: Call::new(self.path.clone(), method.into()),
        }
    }

    /// Emits an event of this service by hand, as Feathers' `service.emit` does: it goes to listeners and clients of
    /// every node.
    ///
    /// # Errors
    /// `NotFound` for a path without service, `BadRequest` for the event name `error` or an empty one.
    pub fn emit(&self, event: &str, data: Value) -> Result<()> {
        self.app.emit(&self.path, event, data)
    }

    pub(crate) fn listen(
        &self,
        event: &str,
        scope: Scope,
        listener: Arc<dyn Fn(&Event) + Send + Sync>,
    ) {
        self.app.listen(&self.path, event, scope, listener);
    }
}

/// A call that is made when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct PendingCall {
    app: App,
    call: Call,
}

impl PendingCall {
    /// Sets the record.
    pub fn id(mut self, id: impl Into<Id>) -> Self {
        self.call.id = Some(id.into());
        self
    }

    /// Sets the data.
    pub fn data(mut self, data: Value) -> Self {
        self.call.data = data;
        self
    }

    /// Sets the query.
    pub fn query(mut self, query: Map<String, Value>) -> Self {
        self.call.params.query = query;
        self
    }

    /// Sets all params.
    pub fn params(mut self, params: Params) -> Self {
        self.call.params = params;
        self
    }

    /// Keeps the call's events with this node's own clients when `false`.
    pub fn sync(mut self, sync: bool) -> Self {
        self.call.sync = sync;
        self
    }
}

impl IntoFuture for PendingCall {
    type Output = Result<Value>;
    type IntoFuture = BoxFuture<'static, Result<Value>>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.app.call(self.call).await.map(|reply| reply.result) }.boxed()
    }
}
