//! A call whose result has a type.

use std::future::IntoFuture;
use std::marker::PhantomData;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json::shape::{self, Misfit};
use crate::service::{Params, PendingCall};

/// A call that is made when it is awaited, and whose result is a `T`.
///
/// ```
/// # use wingbeat::service::query::QueryBuilder;
/// # use wingbeat::{App, Memory, ServiceType};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Message { id: u64, text: String }
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct NewMessage { text: String }
/// # struct Messages;
/// # impl ServiceType for Messages {
/// #     const PATH: &'static str = "messages";
/// #     type Record = Message;
/// #     type Data = NewMessage;
/// #     type Patch = NewMessage;
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let app = App::builder().service("messages", Memory::new()).build()?;
/// let message = NewMessage { text: "a draft".to_owned() };
/// app.service::<Messages>().create(&message).sync(false).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What the call fails with. Data that can not be written as JSON and a result that is no `T` are a foreign error: its
/// `source` says what does not fit.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct TypedCall<T> {
    call: Result<PendingCall>,
    result: PhantomData<fn() -> T>,
}

impl<T> TypedCall<T> {
    pub(super) fn new(call: PendingCall) -> Self {
        Self {
            call: Ok(call),
            result: PhantomData,
        }
    }

    /// Sets the data.
    pub(super) fn data(self, data: &(impl Serialize + ?Sized)) -> Self {
        let call = || Ok(self.call?.data(serde_json::to_value(data)?));
        Self {
            call: call(),
            result: PhantomData,
        }
    }

    /// Sets the query: a [`QueryBuilder`](crate::service::query::QueryBuilder), or a JSON object.
    pub fn query(self, query: impl Into<Map<String, Value>>) -> Self {
        self.map(|call| call.query(query))
    }

    /// Sets all params.
    pub fn params(self, params: Params) -> Self {
        self.map(|call| call.params(params))
    }

    /// Keeps the call's events with this node's own clients when `false`.
    pub fn sync(self, sync: bool) -> Self {
        self.map(|call| call.sync(sync))
    }

    /// Reads the result as something else: records that a `$select` left parts of, or `Value`.
    ///
    /// ```
    /// # use serde_json::{Value, json};
    /// # use wingbeat::service::query::{Found, QueryBuilder};
    /// # use wingbeat::{App, Memory, ServiceType};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Message { text: String, room: String }
    /// # struct Messages;
    /// # impl ServiceType for Messages {
    /// #     const PATH: &'static str = "messages";
    /// #     type Record = Message;
    /// #     type Data = Message;
    /// #     type Patch = Value;
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().service("messages", Memory::new()).build()?;
    /// # let messages = app.service::<Messages>();
    /// # messages.create(&Message { text: "hi".to_owned(), room: "hall".to_owned() }).await?;
    /// #[derive(serde::Deserialize)]
    /// struct Text {
    ///     text: String,
    /// }
    ///
    /// let only_text = QueryBuilder::new().select(["text"]);
    /// let found = messages.find().query(only_text).reads::<Found<Text>>().await?;
    /// assert_eq!(found[0].text, "hi");
    /// # Ok(())
    /// # }
    /// ```
    pub fn reads<U>(self) -> TypedCall<U> {
        TypedCall {
            call: self.call,
            result: PhantomData,
        }
    }

    fn map(self, change: impl FnOnce(PendingCall) -> PendingCall) -> Self {
        Self {
            call: self.call.map(change),
            result: PhantomData,
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for TypedCall<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let call = self.call?;
            let name = call.name();
            shape::read(call.await?).map_err(|misfit| other_type(&name, &misfit))
        }
        .boxed()
    }
}

fn other_type(call: &str, misfit: &Misfit) -> Error {
    Error::foreign(format!(
        "{call} answers something of another type: {misfit}"
    ))
}
