//! One invocation of a method, and the handle that makes invocations inside the process.

use std::future::IntoFuture;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::typed::{ServiceType, TypedHandle};
use super::{Id, Method, Params};
use crate::app::{App, ByHand};
use crate::channels::is_truthy;
use crate::error::Result;
use crate::event::{Json, Listener, Scope};
use crate::hooks::{HookContext, Http};
use crate::json;

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

/// What a call answers to a client, whose transport takes it as it is.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: Outcome,
    pub(crate) dispatch: Option<Value>,
    pub(crate) http: Http,
}

/// What a method answered.
#[derive(Debug)]
pub(crate) enum Outcome {
    Value(Value),
    /// What no hook looked at.
    Text(Json),
}

/// Who is to get what a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Code of this process.
    Process,
    /// A client, to whom an answer goes as text anyway.
    Client,
}

impl Outcome {
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Text(json) => json.value().clone(),
        }
    }

    /// Lends the JSON text.
    pub(crate) fn written<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Value(value) => json::written(value, take),
            Self::Text(json) => take(json.as_bytes()),
        }
    }

    /// Tells whether JavaScript takes it for true.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Value(value) => is_truthy(value),
            Self::Text(json) if matches!(**json.as_bytes(), [b'{' | b'[', ..]) => true,
            Self::Text(json) => is_truthy(json.value()),
        }
    }
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Value(Value::Null)
    }
}

impl Answer {
    /// Returns what clients get over HTTP: the `dispatch`, if there is one (feathers.md §1.2).
    pub(crate) fn into_body(self) -> Outcome {
        self.dispatch.map_or(self.result, Outcome::Value)
    }

    /// Returns what clients get over a socket: a falsy `dispatch` gives way to the result (feathers.md §2.2).
    pub(crate) fn into_message(self) -> Outcome {
        let dispatch = self.dispatch.filter(is_truthy);
        dispatch.map_or(self.result, Outcome::Value)
    }
}

impl From<Box<HookContext>> for Answer {
    fn from(context: Box<HookContext>) -> Self {
        let HookContext {
            result,
            text,
            dispatch,
            http,
            ..
        } = *context;
        let text = text.map(Outcome::Text);
        Self {
            result: result.map(Outcome::Value).or(text).unwrap_or_default(),
            dispatch,
            http,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            result: answer.result.into_value(),
            dispatch: answer.dispatch,
            http: answer.http,
        }
    }
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
    /// `NotFound` for a path without service, unless [those are open](crate::AppBuilder::open_paths); `BadRequest` for the
    /// event name `error` or an empty one.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "data is handed over, as to every method"
    )]
    pub fn emit(&self, event: &str, data: Value) -> Result<()> {
        let by_hand = ByHand::new(&self.path, event);
        self.app.emit_by_hand(&by_hand, std::slice::from_ref(&data))
    }

    /// Returns the service with its types, as [`App::service`] does; this one may stand at any path, as `org/7/items` for
    /// a service at `org/:orgId/items`.
    ///
    /// ```
    /// # use wingbeat::{App, Memory, ServiceType};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Message { id: u64, text: String }
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct NewMessage { text: String }
    /// # struct Messages;
    /// # impl ServiceType for Messages {
    /// #     const PATH: &'static str = "org/:orgId/messages";
    /// #     type Record = Message;
    /// #     type Data = NewMessage;
    /// #     type Patch = NewMessage;
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service(Messages::PATH, Memory::new()).build()?;
    /// let of_seven = app.service_at("org/7/messages").typed::<Messages>();
    /// let message = of_seven.create(&NewMessage { text: "hi".to_owned() }).await?;
    /// assert_eq!(message.text, "hi");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn typed<S: ServiceType>(self) -> TypedHandle<S> {
        TypedHandle::new(self)
    }

    pub(crate) fn listen(&self, event: &str, scope: Scope, listener: Listener) {
        self.app.listen(&self.path, event, scope, listener);
    }
}

/// A call that is made when it is awaited.
///
/// ```
/// use serde_json::json;
/// use wingbeat::service::query::{QueryBuilder, Test};
/// use wingbeat::{App, Memory, stores::Multi};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("messages", Memory::new().multi(Multi::All)).build()?;
/// let messages = app.service_at("messages");
/// messages.create(json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])).await?;
/// let query = QueryBuilder::new().test("n", Test::greater_than(1));
/// assert_eq!(messages.find().query(query).await?, json!([{ "n": 2, "id": 1 }, { "n": 3, "id": 2 }]));
/// # Ok(())
/// # }
/// ```
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

    /// Sets the query: a JSON object, or a [`QueryBuilder`](super::query::QueryBuilder).
    pub fn query(mut self, query: impl Into<Map<String, Value>>) -> Self {
        self.call.params.query = query.into();
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

    /// Returns what is called, for messages.
    pub(super) fn name(&self) -> String {
        format!("'{}' of '{}'", self.call.method, self.call.path)
    }
}

impl IntoFuture for PendingCall {
    type Output = Result<Value>;
    type IntoFuture = BoxFuture<'static, Result<Value>>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.app.call(self.call).await.map(|reply| reply.result) }.boxed()
    }
}
