//! A service as seen from inside the process, with its types.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{EventType, MethodType, ServiceType, TypedCall};
use crate::error::Result;
use crate::event::{Event, Scope};
use crate::json::shape;
use crate::service::query::Found;
use crate::service::{Id, Method, ServiceHandle};

/// A service as seen from inside the process, with its types; [`App::service`](crate::App::service) makes it.
///
/// Calls are made when they are awaited; their methods set the query and the like before.
///
/// ```
/// # use wingbeat::service::query::{Direction, QueryBuilder};
/// # use wingbeat::service::typed::Removed;
/// # use wingbeat::stores::Multi;
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
/// # let app = App::builder().service("messages", Memory::new().multi(Multi::All)).build()?;
/// let messages = app.service::<Messages>();
/// messages.on_local(Removed, |message, _event| println!("{} is gone", message.text));
///
/// let new = ["a", "b", "c"].map(|text| NewMessage { text: text.to_owned() });
/// messages.create_many(&new).await?;
/// let newest = QueryBuilder::new().sort("id", Direction::Descending).limit(1);
/// assert_eq!(messages.find().query(newest).await?[0].text, "c");
/// let removed = messages.remove_many().query(QueryBuilder::new().equals("text", "a")).await?;
/// assert_eq!(removed[0].id, 0);
/// # Ok(())
/// # }
/// ```
pub struct TypedHandle<S> {
    service: ServiceHandle,
    types: PhantomData<fn() -> S>,
}

impl<S: ServiceType> TypedHandle<S> {
    pub(crate) fn new(service: ServiceHandle) -> Self {
        Self {
            service,
            types: PhantomData,
        }
    }

    /// Returns the same service with JSON in place of types.
    #[must_use]
    pub fn untyped(&self) -> &ServiceHandle {
        &self.service
    }

    /// Reads many: a list, or a page of it.
    pub fn find(&self) -> TypedCall<Found<S::Record>> {
        TypedCall::new(self.service.find())
    }

    /// Reads one.
    pub fn get(&self, id: impl Into<Id>) -> TypedCall<S::Record> {
        TypedCall::new(self.service.get(id))
    }

    /// Makes one.
    pub fn create(&self, data: &S::Data) -> TypedCall<S::Record> {
        TypedCall::new(self.service.method(Method::Create)).data(data)
    }

    /// Makes many, if the service allows it.
    pub fn create_many(&self, data: &[S::Data]) -> TypedCall<Vec<S::Record>> {
        TypedCall::new(self.service.method(Method::Create)).data(data)
    }

    /// Replaces one.
    pub fn update(&self, id: impl Into<Id>, data: &S::Data) -> TypedCall<S::Record> {
        TypedCall::new(self.service.method(Method::Update).id(id)).data(data)
    }

    /// Merges into one.
    pub fn patch(&self, id: impl Into<Id>, data: &S::Patch) -> TypedCall<S::Record> {
        TypedCall::new(self.service.method(Method::Patch).id(id)).data(data)
    }

    /// Merges into all that match the query, if the service allows it; without a query these are all.
    pub fn patch_many(&self, data: &S::Patch) -> TypedCall<Vec<S::Record>> {
        TypedCall::new(self.service.method(Method::Patch)).data(data)
    }

    /// Takes one away.
    pub fn remove(&self, id: impl Into<Id>) -> TypedCall<S::Record> {
        TypedCall::new(self.service.remove(id))
    }

    /// Takes all away that match the query, if the service allows it; without a query these are all.
    pub fn remove_many(&self) -> TypedCall<Vec<S::Record>> {
        TypedCall::new(self.service.method(Method::Remove))
    }

    /// Calls a custom method.
    pub fn call<M: MethodType<S>>(&self, _method: M, data: &M::Data) -> TypedCall<M::Result> {
        TypedCall::new(self.service.method(M::NAME)).data(data)
    }

    /// Emits an event of this service by hand; it goes to listeners and clients of every node.
    ///
    /// # Errors
    /// `NotFound` if the service is not registered, `BadRequest` for the event name `error` or an empty one; a foreign
    /// error if the data can not be written as JSON.
    pub fn emit<E: EventType<S>>(&self, _event: E, data: &E::Data) -> Result<()> {
        self.service.emit(E::NAME, serde_json::to_value(data)?)
    }

    /// Adds a listener for events that happen on this node.
    ///
    /// Listeners run in the order of events, one at a time, before clients get the event: what takes long belongs into a
    /// task. A panic is caught, logged and counted. So is data that does not fit the type
    /// ([`listener_misfits`](crate::AppStats::listener_misfits)): this listener does not hear it, all others do.
    pub fn on_local<E: EventType<S>>(
        &self,
        _event: E,
        listener: impl Fn(&E::Data, &Event) + Send + Sync + 'static,
    ) {
        self.listen::<E>(Scope::Local, listener);
    }

    /// Adds a listener for events of every node, as [`on_local`](Self::on_local); [`Event::origin`] says which.
    ///
    /// What a service [redacts](crate::service::Registration::redact) and what a `dispatch` leaves out is missing in the
    /// events of other nodes.
    pub fn on_any<E: EventType<S>>(
        &self,
        _event: E,
        listener: impl Fn(&E::Data, &Event) + Send + Sync + 'static,
    ) {
        self.listen::<E>(Scope::Any, listener);
    }

    /// Adds a listener for events of this node, as [`on_local`](Self::on_local).
    pub fn on<E: EventType<S>>(
        &self,
        event: E,
        listener: impl Fn(&E::Data, &Event) + Send + Sync + 'static,
    ) {
        self.on_local(event, listener);
    }

    fn listen<E: EventType<S>>(
        &self,
        scope: Scope,
        listener: impl Fn(&E::Data, &Event) + Send + Sync + 'static,
    ) {
        let typed = move |event: &Event| {
            listener(&shape::read(event.data().value())?, event);
            Ok(())
        };
        self.service.listen(E::NAME, scope, Arc::new(typed));
    }
}

impl<S> Clone for TypedHandle<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            types: PhantomData,
        }
    }
}

impl<S> fmt::Debug for TypedHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedHandle").field(&self.service).finish()
    }
}
