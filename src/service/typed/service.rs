//! Services that are written with types.

use std::future::{Future, ready};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{MethodType, ServiceType};
use crate::app::AppHandle;
use crate::error::Result;
use crate::event::Json;
use crate::json::shape::{self, Misfit};
use crate::service::query::Found;
use crate::service::{
    Id, Method, Params, Service, TextCall, not_multiple, not_supported, replaces_many, unsupported,
};

/// Answers the calls of one path, with types in place of JSON; [`Typed`] makes a [`Service`] of it.
///
/// Implement the methods that the service has and name them in [`METHODS`](TypedService::METHODS). Data of a client that
/// does not fit its type never reaches a method: the answer is a `BadRequest` that names the place, in the form of
/// Feathers' schemas (feathers.md §6.1). `?` hides what other libraries fail with behind a log id.
///
/// ```
/// use std::sync::Mutex;
///
/// use serde::{Deserialize, Serialize};
/// use wingbeat::error::Result;
/// use wingbeat::service::Id;
/// use wingbeat::{App, Error, Params, ServiceType, Typed, TypedService};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Note {
///     id: usize,
///     text: String,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct NewNote {
///     text: String,
/// }
///
/// #[derive(Default)]
/// struct Notes(Mutex<Vec<Note>>);
///
/// impl ServiceType for Notes {
///     const PATH: &'static str = "notes";
///     type Record = Note;
///     type Data = NewNote;
///     type Patch = NewNote;
/// }
///
/// impl TypedService for Notes {
///     const METHODS: &'static [&'static str] = &["get", "create"];
///
///     async fn get(&self, id: Id, _params: &Params) -> Result<Note> {
///         let notes = self.0.lock().expect("no panic while it is locked");
///         let note = notes.iter().find(|note| note.id.to_string() == id.to_string());
///         note.cloned().ok_or_else(|| Error::not_found(format!("No record found for id '{id}'")))
///     }
///
///     async fn create(&self, data: NewNote, _params: &Params) -> Result<Note> {
///         let mut notes = self.0.lock().expect("no panic while it is locked");
///         let note = Note { id: notes.len(), text: data.text };
///         notes.push(note.clone());
///         Ok(note)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service(Notes::PATH, Typed(Notes::default())).build()?;
/// let note = app.service::<Notes>().create(&NewNote { text: "milk".to_owned() }).await?;
/// assert_eq!(app.service::<Notes>().get(0).await?.text, note.text);
///
/// let wrong = app.service_at("notes").create(serde_json::json!({ "text": 1 })).await.unwrap_err();
/// assert_eq!(wrong.message(), "validation failed: /text: invalid type: integer `1`, expected a string");
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// The app runs every call to its end in a task of its own, so a method is never dropped half-way because a client went.
pub trait TypedService: ServiceType + Send + Sync {
    /// The methods that clients may call: the standard ones that are implemented, and custom ones.
    const METHODS: &'static [&'static str] = &Method::STANDARD;

    /// The names of the service's custom events.
    const EVENTS: &'static [&'static str] = &[];

    /// Called once when the app is built, with a handle for services that emit events of their own.
    fn setup(&self, app: &AppHandle, path: &str) {
        let _ = (app, path);
    }

    /// Returns the records that match `params.query`.
    ///
    /// [`Query::window`](crate::service::query::Query::window) says which of them, and makes the answer.
    fn find(&self, params: &Params) -> impl Future<Output = Result<Found<Self::Record>>> + Send {
        let _ = params;
        not_supported("find")
    }

    /// Returns the record with an id.
    fn get(&self, id: Id, params: &Params) -> impl Future<Output = Result<Self::Record>> + Send {
        let _ = (id, params);
        not_supported("get")
    }

    /// Creates a record.
    fn create(
        &self,
        data: Self::Data,
        params: &Params,
    ) -> impl Future<Output = Result<Self::Record>> + Send {
        let _ = (data, params);
        not_supported("create")
    }

    /// Creates several records, when the data is a list; `MethodNotAllowed` (405) by default.
    fn create_many(
        &self,
        data: Vec<Self::Data>,
        params: &Params,
    ) -> impl Future<Output = Result<Vec<Self::Record>>> + Send {
        let _ = (data, params);
        ready(Err(not_multiple(&Method::Create)))
    }

    /// Replaces a record.
    fn update(
        &self,
        id: Id,
        data: Self::Data,
        params: &Params,
    ) -> impl Future<Output = Result<Self::Record>> + Send {
        let _ = (id, data, params);
        not_supported("update")
    }

    /// Merges data into a record.
    fn patch(
        &self,
        id: Id,
        data: Self::Patch,
        params: &Params,
    ) -> impl Future<Output = Result<Self::Record>> + Send {
        let _ = (id, data, params);
        not_supported("patch")
    }

    /// Merges data into all records that match the query, when there is no id; `MethodNotAllowed` (405) by default.
    fn patch_many(
        &self,
        data: Self::Patch,
        params: &Params,
    ) -> impl Future<Output = Result<Vec<Self::Record>>> + Send {
        let _ = (data, params);
        ready(Err(not_multiple(&Method::Patch)))
    }

    /// Removes a record.
    fn remove(&self, id: Id, params: &Params) -> impl Future<Output = Result<Self::Record>> + Send {
        let _ = (id, params);
        not_supported("remove")
    }

    /// Removes all records that match the query, when there is no id; `MethodNotAllowed` (405) by default.
    fn remove_many(
        &self,
        params: &Params,
    ) -> impl Future<Output = Result<Vec<Self::Record>>> + Send {
        let _ = params;
        ready(Err(not_multiple(&Method::Remove)))
    }

    /// Answers a custom method, one that [`METHODS`](TypedService::METHODS) names besides the standard six.
    fn custom(
        &self,
        call: CustomCall,
        params: &Params,
    ) -> impl Future<Output = Result<Value>> + Send {
        let _ = params;
        ready(call.unsupported())
    }
}

/// Makes a [`Service`] of a [`TypedService`].
///
/// An `Arc<Typed<S>>` is a service too, for what is to be reached besides its path.
///
/// ```
/// use std::sync::Arc;
///
/// use serde_json::Value;
/// use wingbeat::error::Result;
/// use wingbeat::service::Id;
/// use wingbeat::{App, Params, ServiceType, Typed, TypedService};
///
/// struct Squares;
///
/// impl ServiceType for Squares {
///     const PATH: &'static str = "squares";
///     type Record = f64;
///     type Data = Value;
///     type Patch = Value;
/// }
///
/// impl TypedService for Squares {
///     const METHODS: &'static [&'static str] = &["get"];
///
///     async fn get(&self, id: Id, _params: &Params) -> Result<f64> {
///         Ok(id.to_string().parse().map_or(f64::NAN, |root: f64| root * root))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let squares = Arc::new(Typed(Squares));
/// let app = App::builder().service(Squares::PATH, Arc::clone(&squares)).build()?;
/// assert_eq!(app.service::<Squares>().get(7).await?, 49.0);
/// assert_eq!(squares.0.get(Id::from(7), &Params::default()).await?, 49.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Typed<S>(
    /// The service.
    pub S,
);

/// The call of a custom method, whose data is not read yet.
///
/// ```
/// # use serde_json::{Value, json};
/// # use wingbeat::error::Result;
/// # use wingbeat::service::typed::{CustomCall, MethodType};
/// # use wingbeat::{App, Params, ServiceType, Typed, TypedService};
/// # struct Messages;
/// # impl ServiceType for Messages {
/// #     const PATH: &'static str = "messages";
/// #     type Record = String;
/// #     type Data = String;
/// #     type Patch = String;
/// # }
/// # impl Messages {
/// #     async fn archive(&self, _up_to: u64) -> Result<usize> {
/// #         Ok(3)
/// #     }
/// # }
/// struct Archive;
///
/// impl MethodType<Messages> for Archive {
///     const NAME: &'static str = "archive";
///     type Data = u64;
///     type Result = usize;
/// }
///
/// impl TypedService for Messages {
///     const METHODS: &'static [&'static str] = &[Archive::NAME];
///
///     async fn custom(&self, call: CustomCall, _params: &Params) -> Result<Value> {
///         match call.name() {
///             Archive::NAME => call.answer(Archive, |up_to| self.archive(up_to)).await,
///             _ => call.unsupported(),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service(Messages::PATH, Typed(Messages)).build()?;
/// assert_eq!(app.service::<Messages>().call(Archive, &7).await?, 3);
/// assert_eq!(app.service_at("messages").method("archive").data(json!("x")).await.unwrap_err().code(), 400);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CustomCall {
    name: String,
    data: Value,
}

impl CustomCall {
    /// Returns the name of the method.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the data, lets `answer` answer it, and writes the result.
    ///
    /// # Errors
    /// `BadRequest` for data of another type, and what `answer` fails with.
    ///
    /// # Cancel safety
    /// That of the future of `answer`.
    pub async fn answer<S, M, F>(
        self,
        _method: M,
        answer: impl FnOnce(M::Data) -> F,
    ) -> Result<Value>
    where
        S: ServiceType,
        M: MethodType<S>,
        F: Future<Output = Result<M::Result>>,
    {
        Written::of(&answer(read(self.data.into())?).await?)
    }

    /// Refuses a method that the service does not know.
    ///
    /// # Errors
    /// `MethodNotAllowed`, always.
    pub fn unsupported(&self) -> Result<Value> {
        Err(unsupported(&self.name))
    }
}

impl<S: TypedService> Service for Typed<S> {
    const METHODS: &'static [&'static str] = S::METHODS;
    const EVENTS: &'static [&'static str] = S::EVENTS;
    const TEXT_METHODS: &'static [&'static str] = &Method::STANDARD;

    fn setup(&self, app: &AppHandle, path: &str) {
        self.0.setup(app, path);
    }

    async fn find(&self, params: &Params) -> Result<Value> {
        self.found(params).await
    }

    async fn get(&self, id: Id, params: &Params) -> Result<Value> {
        self.got(id, params).await
    }

    async fn create(&self, data: Value, params: &Params) -> Result<Value> {
        self.created(data.into(), params).await
    }

    async fn update(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        self.updated(id, data.into(), params).await
    }

    async fn patch(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        self.patched(id, data.into(), params).await
    }

    async fn remove(&self, id: Option<Id>, params: &Params) -> Result<Value> {
        self.removed(id, params).await
    }

    async fn answer_text(&self, call: TextCall, params: &Params) -> Result<Json> {
        let TextCall { method, id, data } = call;
        match (method, id) {
            (Method::Find, _) => self.found(params).await,
            (Method::Get, Some(id)) => self.got(id, params).await,
            (Method::Create, _) => self.created(data, params).await,
            (Method::Update, id) => self.updated(id, data, params).await,
            (Method::Patch, id) => self.patched(id, data, params).await,
            (Method::Remove, id) => self.removed(id, params).await,
            (method, _) => Err(unsupported(method.as_str())),
        }
    }

    async fn custom(&self, method: &str, data: Value, params: &Params) -> Result<Value> {
        let name = method.to_owned();
        self.0.custom(CustomCall { name, data }, params).await
    }
}

/// Reads what a caller sent: straight from the text, if that is what there is. What is wrong with it is said of the value.
fn read<T: DeserializeOwned>(data: Json) -> Result<T> {
    let from_text = data
        .unparsed()
        .and_then(|text| serde_json::from_slice(text).ok());
    from_text.map_or_else(
        || shape::read(data.into_value()).map_err(Misfit::into_bad_request),
        Ok,
    )
}

/// What a result is written as.
trait Written: Sized {
    fn of(result: &impl Serialize) -> Result<Self>;
}

impl Written for Value {
    fn of(result: &impl Serialize) -> Result<Self> {
        Ok(serde_json::to_value(result)?)
    }
}

impl Written for Json {
    fn of(result: &impl Serialize) -> Result<Self> {
        Self::of(result)
    }
}

impl<S: TypedService> Typed<S> {
    async fn found<W: Written>(&self, params: &Params) -> Result<W> {
        W::of(&self.0.find(params).await?)
    }

    async fn got<W: Written>(&self, id: Id, params: &Params) -> Result<W> {
        W::of(&self.0.get(id, params).await?)
    }

    async fn created<W: Written>(&self, data: Json, params: &Params) -> Result<W> {
        if data.is_array() {
            W::of(&self.0.create_many(read(data)?, params).await?)
        } else {
            W::of(&self.0.create(read(data)?, params).await?)
        }
    }

    async fn updated<W: Written>(&self, id: Option<Id>, data: Json, params: &Params) -> Result<W> {
        let id = id.filter(|_| !data.is_array()).ok_or_else(replaces_many)?;
        W::of(&self.0.update(id, read(data)?, params).await?)
    }

    async fn patched<W: Written>(&self, id: Option<Id>, data: Json, params: &Params) -> Result<W> {
        match id {
            Some(id) => W::of(&self.0.patch(id, read(data)?, params).await?),
            None => W::of(&self.0.patch_many(read(data)?, params).await?),
        }
    }

    async fn removed<W: Written>(&self, id: Option<Id>, params: &Params) -> Result<W> {
        match id {
            Some(id) => W::of(&self.0.remove(id, params).await?),
            None => W::of(&self.0.remove_many(params).await?),
        }
    }
}
