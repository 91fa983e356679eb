//! A Feathers client over a websocket.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::inbox::Heard;
use super::line::Line;
use super::{DEADLINE, TestError};
use crate::app::registered_path;
use crate::error::{Error, ErrorName, Result};
use crate::service::{Id, Method};
use crate::tasks::Tasks;

/// A Feathers client: it calls services over Socket.IO on a websocket, and keeps the events that it hears in order.
///
/// It speaks what an unmodified Feathers client speaks (feathers.md §2), so it also connects to a Feathers server. Any number
/// of calls may be in flight. Binary data is `{"$binary":"<base64>"}` both ways. Events wait until a test asks for them, up to
/// 100,000; dropping the client ends its connection.
///
/// ```
/// use serde_json::json;
/// use wingbeat::Memory;
/// use wingbeat::testing::Cluster;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = Cluster::start(1, |builder, _| builder.service("messages", Memory::new())).await?;
/// let client = cluster.client(0).await?;
/// let (one, two) = tokio::try_join!(
///     client.create("messages", json!({ "text": "one" })),
///     client.create("messages", json!({ "text": "two" })),
/// )?;
/// assert_ne!(one["id"], two["id"]);
/// let found = client.find("messages").query(json!({ "text": "two" })).await?;
/// assert_eq!(found, json!([two]));
/// client.close().await?;
/// # cluster.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    line: Arc<Line>,
    tasks: Tasks,
    deadline: Duration,
}

/// How a client connects; assign the fields that differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Headers of the handshake, as `authorization`, which calls see in their params; none by default.
    pub headers: HeaderMap,
    /// Time that connecting, a call and waiting for an event may take each; five seconds by default.
    pub deadline: Duration,
}

/// An event that a client heard.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClientEvent {
    /// The path of the service and the name of the event, as `messages created`.
    pub name: String,
    /// The data.
    pub data: Value,
}

impl Client {
    /// Connects to a node, as `http://127.0.0.1:3030`. A query in the URL becomes that of the connection; its path is not used.
    ///
    /// # Errors
    /// When nobody listens, or the server does not let the client in, or not in five seconds.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection.
    pub async fn connect(url: &str) -> Result<Self, TestError> {
        Self::connect_with(url, ClientOptions::default()).await
    }

    /// As [`connect`](Self::connect), with options.
    ///
    /// ```
    /// use wingbeat::Memory;
    /// use wingbeat::testing::{Client, ClientOptions, Cluster};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cluster = Cluster::start(1, |builder, _| builder.service("messages", Memory::new())).await?;
    /// let mut options = ClientOptions::default();
    /// options.headers.insert("authorization", "Bearer of-ada".parse()?);
    /// let ada = Client::connect_with(&format!("{}?room=1", cluster.url(0)), options).await?;
    /// # drop(ada);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection.
    pub async fn connect_with(url: &str, options: ClientOptions) -> Result<Self, TestError> {
        let ClientOptions { headers, deadline } = options;
        let tasks = Tasks::default();
        let opened = timeout(deadline, Line::open(url, headers, &tasks)).await;
        let late = |_| TestError::new(format!("{url} did not let the client in, in {deadline:?}"));
        Ok(Self {
            line: opened.map_err(late)??,
            tasks,
            deadline,
        })
    }

    /// Reads many.
    pub fn find(&self, path: &str) -> ClientCall {
        self.method(path, Method::Find)
    }

    /// Reads one.
    pub fn get(&self, path: &str, id: impl Into<Id>) -> ClientCall {
        self.method(path, Method::Get).id(id)
    }

    /// Makes one, or many from an array.
    pub fn create(&self, path: &str, data: Value) -> ClientCall {
        self.method(path, Method::Create).data(data)
    }

    /// Replaces one.
    pub fn update(&self, path: &str, id: impl Into<Id>, data: Value) -> ClientCall {
        self.method(path, Method::Update).id(id).data(data)
    }

    /// Merges into one.
    pub fn patch(&self, path: &str, id: impl Into<Id>, data: Value) -> ClientCall {
        self.method(path, Method::Patch).id(id).data(data)
    }

    /// Takes one away.
    pub fn remove(&self, path: &str, id: impl Into<Id>) -> ClientCall {
        self.method(path, Method::Remove).id(id)
    }

    /// Starts any call: a custom method, or `patch` and `remove` of all that match a query.
    pub fn method(&self, path: &str, method: impl Into<Method>) -> ClientCall {
        ClientCall {
            line: Arc::clone(&self.line),
            deadline: self.deadline,
            path: path.to_owned(),
            method: method.into(),
            id: None,
            data: Value::Null,
            query: Value::Object(Map::new()),
        }
    }

    /// Waits for an event of a service and returns its data: the first of that name that was not asked for yet. Events before
    /// it stay.
    ///
    /// # Errors
    /// When it does not come before the deadline, or the connection is over; with what was heard instead.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn event(&self, path: &str, event: &str) -> Result<Value, TestError> {
        let title = format!("{} {event}", registered_path(path));
        let heard = self.line.inbox.take(&title, self.deadline).await?;
        Ok(heard.data)
    }

    /// Waits for the next event, whatever it is.
    ///
    /// # Errors
    /// When none comes before the deadline, or the connection is over.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next_event(&self) -> Result<ClientEvent, TestError> {
        self.line.inbox.next(self.deadline).await
    }

    /// Waits for as long as it is told and wants to hear nothing. Events that came before and were not asked for count.
    ///
    /// # Errors
    /// With the first event that was heard, or when the connection is over.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn no_event(&self, within: Duration) -> Result<(), TestError> {
        self.line.inbox.nothing(within).await
    }

    /// Disconnects, and waits until the connection is over. One that is over already is no error.
    ///
    /// # Errors
    /// When the server does not end the connection before the deadline.
    ///
    /// # Cancel safety
    /// Dropping the future ends the connection.
    pub async fn close(self) -> Result<(), TestError> {
        let _ = timeout(self.deadline, self.line.leave()).await;
        if self.tasks.finished(self.deadline).await == 0 {
            return Ok(());
        }
        let late = format!(
            "the server did not end the connection in {:?}",
            self.deadline
        );
        Err(TestError::new(late))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// A call of a client that is made when it is awaited.
///
/// # Errors
/// Awaiting it gives the error that the server answered, as it was there; `Timeout` (408) when there is no answer before the
/// deadline, and `Unavailable` (503) when the connection is over.
///
/// # Cancel safety
/// Once it is sent, the call runs to its end on the server, also when the future is dropped.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct ClientCall {
    line: Arc<Line>,
    deadline: Duration,
    path: String,
    method: Method,
    id: Option<Id>,
    data: Value,
    query: Value,
}

impl ClientCall {
    /// Sets the record.
    pub fn id(mut self, id: impl Into<Id>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the data.
    pub fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }

    /// Sets the query, an object; `{}` by default, as the stock client has it.
    pub fn query(mut self, query: Value) -> Self {
        self.query = query;
        self
    }

    async fn answer(self) -> Result<Value> {
        let what = format!("{} of '{}'", self.method, self.path);
        let (line, deadline) = (Arc::clone(&self.line), self.deadline);
        let is_standard = self.method.is_standard();
        match timeout(deadline, line.call(self.arguments())).await {
            Ok(Ok(answer)) => result(answer),
            Ok(Err(why)) => Err(Error::new(
                ErrorName::Unavailable,
                format!("no answer to {what}: {why}"),
            )),
            Err(_) => Err(unanswered(&what, deadline, is_standard)),
        }
    }

    /// Lays the arguments out as Feathers has them (feathers.md §2.2).
    fn arguments(self) -> Vec<Value> {
        let id = json!(self.id);
        let inputs = match self.method {
            Method::Find => vec![],
            Method::Get | Method::Remove => vec![id],
            Method::Create | Method::Custom(_) => vec![self.data],
            Method::Update | Method::Patch => vec![id, self.data],
        };
        let call = [json!(self.method.as_str()), json!(self.path)];
        let call = call.into_iter().chain(inputs);
        call.chain([self.query]).collect()
    }
}

impl IntoFuture for ClientCall {
    type Output = Result<Value>;
    type IntoFuture = BoxFuture<'static, Result<Value>>;

    fn into_future(self) -> Self::IntoFuture {
        self.answer().boxed()
    }
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            deadline: DEADLINE,
        }
    }
}

impl ClientEvent {
    /// Takes the name and the payload of a packet.
    pub(super) fn new(arguments: Vec<Value>) -> Self {
        let mut arguments = arguments.into_iter();
        let name = arguments.next().unwrap_or_default();
        Self {
            name: name.as_str().unwrap_or_default().to_owned(),
            data: arguments.next().unwrap_or_default(),
        }
    }
}

impl Heard for ClientEvent {
    fn title(&self) -> String {
        self.name.clone()
    }

    fn text(&self) -> String {
        self.data.to_string()
    }
}

fn result(mut answer: Vec<Value>) -> Result<Value> {
    match answer.as_mut_slice() {
        [Value::Null, result] => Ok(result.take()),
        [error] => Err(Error::from_json(error.take())),
        _ => Err(Error::new(
            ErrorName::GeneralError,
            format!("the answer is not one of Feathers: {}", Value::from(answer)),
        )),
    }
}

fn unanswered(what: &str, deadline: Duration, is_standard: bool) -> Error {
    let hint = if is_standard {
        ""
    } else {
        "; a method that no service has is never answered (feathers.md §2.2)"
    };
    let message = format!("no answer to {what} in {deadline:?}{hint}");
    Error::new(ErrorName::Timeout, message)
}
