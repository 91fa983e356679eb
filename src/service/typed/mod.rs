//! Services, calls, events and listeners with types in place of JSON.
//!
//! A [`ServiceType`] names a service and its types. [`App::service`](crate::App::service) makes a [`TypedHandle`] from it,
//! whatever the service is; one of your own can be written with these types as a [`TypedService`]. Custom events and
//! methods are an [`EventType`] and a [`MethodType`].
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use wingbeat::service::query::QueryBuilder;
//! use wingbeat::service::typed::{Created, EventType};
//! use wingbeat::service::Registration;
//! use wingbeat::{App, Memory, ServiceType};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Message {
//!     id: u64,
//!     text: String,
//!     #[serde(default)]
//!     read: bool,
//! }
//!
//! /// What `create` and `update` take.
//! #[derive(Serialize, Deserialize)]
//! struct NewMessage {
//!     text: String,
//! }
//!
//! /// What `patch` takes: what is `None` stays as it is.
//! #[derive(Default, Serialize, Deserialize)]
//! struct MessagePatch {
//!     #[serde(skip_serializing_if = "Option::is_none")]
//!     read: Option<bool>,
//! }
//!
//! struct Messages;
//!
//! impl ServiceType for Messages {
//!     const PATH: &'static str = "messages";
//!     type Record = Message;
//!     type Data = NewMessage;
//!     type Patch = MessagePatch;
//! }
//!
//! /// Somebody writes.
//! struct Typing;
//!
//! impl EventType<Messages> for Typing {
//!     const NAME: &'static str = "typing";
//!     type Data = String;
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Registration::new(Memory::new()).events([Typing::NAME]);
//! let app = App::builder().service(Messages::PATH, store).build()?;
//! let messages = app.service::<Messages>();
//! messages.on_any(Created, |message, _event| println!("{}", message.text));
//! messages.on_any(Typing, |name, _event| println!("{name} writes"));
//!
//! messages.emit(Typing, &"Ada".to_owned())?;
//! let message = messages.create(&NewMessage { text: "hi".to_owned() }).await?;
//! let patched = messages.patch(message.id, &MessagePatch { read: Some(true) }).await?;
//! assert!(patched.read);
//! let unread = messages.find().query(QueryBuilder::new().equals("read", false)).await?;
//! assert!(unread.is_empty());
//! # Ok(())
//! # }
//! ```

mod call;
mod handle;
mod service;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use call::TypedCall;
pub use handle::TypedHandle;
pub use service::{CustomCall, Typed, TypedService};

/// Names a service and the types of what it holds and takes.
///
/// It says nothing about who answers the calls: a [`Memory`](crate::Memory), a [`TypedService`], a service on JSON. Types
/// and service meet when a call is made; what does not fit then is an error, never a panic. The [module](self) shows one.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use wingbeat::{App, Memory, ServiceType};
///
/// #[derive(Serialize, Deserialize)]
/// struct Room {
///     id: u64,
///     name: String,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct NewRoom {
///     name: String,
/// }
///
/// struct Rooms;
///
/// impl ServiceType for Rooms {
///     const PATH: &'static str = "rooms";
///     type Record = Room;
///     type Data = NewRoom;
///     type Patch = NewRoom;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service(Rooms::PATH, Memory::new()).build()?;
/// let room = app.service::<Rooms>().create(&NewRoom { name: "hall".to_owned() }).await?;
/// assert_eq!((room.id, room.name.as_str()), (0, "hall"));
/// # Ok(())
/// # }
/// ```
pub trait ServiceType: 'static {
    /// Where the service is registered, as `messages`.
    const PATH: &'static str;
    /// What the service holds, answers and sends with its automatic events.
    type Record: Serialize + DeserializeOwned + Send + 'static;
    /// What `create` and `update` take.
    type Data: Serialize + DeserializeOwned + Send + 'static;
    /// What `patch` takes. Fields that are to stay as they are have to be left out of its JSON, as with
    /// `#[serde(skip_serializing_if = "Option::is_none")]`: `null` is a value.
    type Patch: Serialize + DeserializeOwned + Send + 'static;
}

/// Names an event of a service and the type of its data: [`Created`] and its like, or a custom one.
///
/// The service has to name a custom event as well ([`Service::EVENTS`](crate::Service::EVENTS) or
/// [`Registration::events`](crate::service::Registration::events)); otherwise only listeners of this node hear it.
///
/// ```
/// # use wingbeat::service::Registration;
/// # use wingbeat::service::typed::EventType;
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
/// struct Typing;
///
/// impl EventType<Messages> for Typing {
///     const NAME: &'static str = "typing";
///     type Data = String;
/// }
///
/// let store = Registration::new(Memory::new()).events([Typing::NAME]);
/// let app = App::builder().service(Messages::PATH, store).build()?;
/// let messages = app.service::<Messages>();
/// messages.on_any(Typing, |name, _event| println!("{name} writes"));
/// messages.emit(Typing, &"Ada".to_owned())?;
/// # Ok(())
/// # }
/// ```
pub trait EventType<S: ServiceType> {
    /// The name, as clients spell it.
    const NAME: &'static str;
    /// What the event carries.
    type Data: Serialize + DeserializeOwned;
}

/// Names a custom method of a service, the type of its data and that of its result.
///
/// ```
/// use wingbeat::ServiceType;
/// use wingbeat::service::typed::MethodType;
/// # struct Messages;
/// # impl ServiceType for Messages {
/// #     const PATH: &'static str = "messages";
/// #     type Record = String;
/// #     type Data = String;
/// #     type Patch = String;
/// # }
///
/// /// Forgets the messages up to one, and says how many they were.
/// struct Archive;
///
/// impl MethodType<Messages> for Archive {
///     const NAME: &'static str = "archive";
///     type Data = u64;
///     type Result = usize;
/// }
/// # let _ = Archive;
/// ```
pub trait MethodType<S: ServiceType> {
    /// The name, as clients spell it.
    const NAME: &'static str;
    /// What the method takes.
    type Data: Serialize + DeserializeOwned;
    /// What it answers.
    type Result: Serialize + DeserializeOwned + Send + 'static;
}

macro_rules! automatic_events {
    ($($(#[$doc:meta])* $event:ident = $name:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $event;

        impl<S: ServiceType> EventType<S> for $event {
            const NAME: &'static str = $name;
            type Data = S::Record;
        }
    )* };
}

automatic_events! {
    /// The event of `create`, with the record.
    ///
    /// ```
    /// # use wingbeat::service::typed::Created;
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
    /// # let app = App::builder().service(Messages::PATH, Memory::new()).build()?;
    /// let messages = app.service::<Messages>();
    /// let (heard, mut texts) = tokio::sync::mpsc::channel(1);
    /// messages.on_local(Created, move |message, _event| drop(heard.try_send(message.text.clone())));
    /// messages.create(&NewMessage { text: "hi".to_owned() }).await?;
    /// assert_eq!(texts.recv().await.as_deref(), Some("hi"));
    /// # Ok(())
    /// # }
    /// ```
    Created = "created";
    /// The event of `update`, with the record.
    ///
    /// ```
    /// # use wingbeat::service::typed::Updated;
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
    /// # let app = App::builder().service(Messages::PATH, Memory::new()).build()?;
    /// let messages = app.service::<Messages>();
    /// let (heard, mut texts) = tokio::sync::mpsc::channel(1);
    /// messages.on_local(Updated, move |message, _event| drop(heard.try_send(message.text.clone())));
    /// let message = messages.create(&NewMessage { text: "hi".to_owned() }).await?;
    /// messages.update(message.id, &NewMessage { text: "hello".to_owned() }).await?;
    /// assert_eq!(texts.recv().await.as_deref(), Some("hello"));
    /// # Ok(())
    /// # }
    /// ```
    Updated = "updated";
    /// The event of `patch`, with the record.
    ///
    /// ```
    /// # use wingbeat::service::typed::Patched;
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
    /// # let app = App::builder().service(Messages::PATH, Memory::new()).build()?;
    /// let messages = app.service::<Messages>();
    /// let (heard, mut texts) = tokio::sync::mpsc::channel(1);
    /// messages.on_local(Patched, move |message, _event| drop(heard.try_send(message.text.clone())));
    /// let message = messages.create(&NewMessage { text: "hi".to_owned() }).await?;
    /// messages.patch(message.id, &NewMessage { text: "hello".to_owned() }).await?;
    /// assert_eq!(texts.recv().await.as_deref(), Some("hello"));
    /// # Ok(())
    /// # }
    /// ```
    Patched = "patched";
    /// The event of `remove`, with the record that was.
    ///
    /// ```
    /// # use wingbeat::service::typed::Removed;
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
    /// # let app = App::builder().service(Messages::PATH, Memory::new()).build()?;
    /// let messages = app.service::<Messages>();
    /// let (heard, mut texts) = tokio::sync::mpsc::channel(1);
    /// messages.on_local(Removed, move |message, _event| drop(heard.try_send(message.text.clone())));
    /// let message = messages.create(&NewMessage { text: "hi".to_owned() }).await?;
    /// messages.remove(message.id).await?;
    /// assert_eq!(texts.recv().await.as_deref(), Some("hi"));
    /// # Ok(())
    /// # }
    /// ```
    Removed = "removed";
}

#[cfg(test)]
mod tests;
