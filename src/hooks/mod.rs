//! 3 · Code around a call: around, before, after and error hooks, for the app and for each service.
//!
//! In comes a [`HookContext`] with the call's inputs; it comes out with a result or an error.
//!
//! Invariant: the order of hooks is fixed when the app is built (feathers.md §5.1) and the same for every call.

mod chain;
mod context;
mod convert;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

pub(crate) use chain::Chains;
pub use chain::Next;
pub use context::{HookContext, HookKind, Http};
pub use convert::convert_query;

use crate::error::Result;
use crate::service::Method;

/// Says for which methods a hook runs.
///
/// ```
/// use wingbeat::Method;
/// use wingbeat::hooks::{All, Select};
///
/// assert_eq!(Select::from(Method::Find), Select::Only(Method::Find));
/// assert_eq!(Select::from(All), Select::All);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Select {
    /// For every method.
    All,
    /// For one method.
    Only(Method),
}

/// Methods, custom ones as well, and [`All`] turn into it.
///
/// ```
/// use wingbeat::{Method, hooks::Select};
///
/// let select = Select::from(Method::from("archive"));
/// assert_eq!(select, Select::Only(Method::Custom("archive".into())));
/// ```
impl Select {
    fn has(&self, method: &Method) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == method,
        }
    }
}

/// For every method: `before(All, …)`.
///
/// ```
/// use wingbeat::hooks::{All, RegisterHooks};
/// use wingbeat::{App, Error, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .service("messages", Memory::new())
///     .before(All, |_context| Box::pin(async { Err(Error::forbidden("closed today")) }))
///     .build()?;
/// let messages = app.service_at("messages");
/// assert_eq!(messages.find().await.unwrap_err().code(), 403);
/// assert_eq!(messages.get(7).await.unwrap_err().code(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct All;

impl From<All> for Select {
    fn from(_: All) -> Self {
        Self::All
    }
}

impl From<Method> for Select {
    fn from(method: Method) -> Self {
        Self::Only(method)
    }
}

type Hook = Arc<dyn for<'a> Fn(&'a mut HookContext) -> BoxFuture<'a, Result<()>> + Send + Sync>;
type AroundHook =
    Arc<dyn for<'a> Fn(&'a mut HookContext, Next<'a>) -> BoxFuture<'a, Result<()>> + Send + Sync>;

/// The hooks of one level, the app's or a service's, in the order in which they were added.
///
/// ```
/// # use serde_json::json;
/// # use wingbeat::hooks::RegisterHooks;
/// # use wingbeat::{App, Memory, Method};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder()
///     .service("messages", Memory::new())
///     .before(Method::Create, |context| {
///         Box::pin(async move {
///             context.data = Some(json!({ "text": "of the first" }));
///             Ok(())
///         })
///     })
///     .before(Method::Create, |context| {
///         Box::pin(async move {
///             context.data = Some(json!({ "text": "of the second" }));
///             Ok(())
///         })
///     })
///     .build()?;
/// let message = app.service_at("messages").create(json!({ "text": "hi" })).await?;
/// assert_eq!(message["text"], "of the second");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Hooks {
    /// Those between the app's hooks and the service's own; an app has none.
    wrap: Vec<(Select, AroundHook)>,
    around: Vec<(Select, AroundHook)>,
    before: Vec<(Select, Hook)>,
    after: Vec<(Select, Hook)>,
    error: Vec<(Select, Hook)>,
}

/// Adds hooks: to an app they run for every service, to a [`Registration`](crate::service::Registration) for that one.
///
/// A hook is a function from the context to a boxed future:
///
/// ```
/// use wingbeat::{App, Error, Memory, Method, hooks::RegisterHooks};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), wingbeat::BuildError> {
/// let app = App::builder()
///     .service("messages", Memory::new())
///     .before(Method::Create, |context| {
///         Box::pin(async move {
///             let text = context.data.as_ref().and_then(|data| data["text"].as_str());
///             text.map(|_| ()).ok_or_else(|| Error::bad_request("a message needs a text"))
///         })
///     })
///     .build()?;
/// # Ok(())
/// # }
/// ```
pub trait RegisterHooks: Sized {
    /// Returns the hooks that the others add to.
    #[doc(hidden)]
    fn hooks_mut(&mut self) -> &mut Hooks;

    /// Adds a hook that runs around all others: it calls [`Next::run`] or answers itself.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::hooks::RegisterHooks;
    /// # use wingbeat::{App, Memory, Method};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .around(Method::Create, |context, next| {
    ///         Box::pin(async move {
    ///             next.run(context).await?;
    ///             if let Some(message) = &mut context.result {
    ///                 message["read"] = json!(false);
    ///             }
    ///             Ok(())
    ///         })
    ///     })
    ///     .build()?;
    /// let message = app.service_at("messages").create(json!({ "text": "hi" })).await?;
    /// assert_eq!(message, json!({ "text": "hi", "id": 0, "read": false }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    fn around<F>(mut self, select: impl Into<Select>, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut HookContext, Next<'a>) -> BoxFuture<'a, Result<()>>
            + Send
            + Sync
            + 'static,
    {
        self.hooks_mut()
            .around
            .push((select.into(), Arc::new(hook)));
        self
    }

    /// Adds a hook that runs before the method; one that sets `context.result` replaces the method.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::hooks::RegisterHooks;
    /// # use wingbeat::{App, Memory, Method};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("messages", Memory::new())
    ///     .before(Method::Get, |context| {
    ///         Box::pin(async move {
    ///             context.result = Some(json!({ "text": "from the cache" }));
    ///             Ok(())
    ///         })
    ///     })
    ///     .build()?;
    /// assert_eq!(app.service_at("messages").get(7).await?["text"], "from the cache");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    fn before<F>(mut self, select: impl Into<Select>, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut HookContext) -> BoxFuture<'a, Result<()>> + Send + Sync + 'static,
    {
        self.hooks_mut()
            .before
            .push((select.into(), Arc::new(hook)));
        self
    }

    /// Adds a hook that runs after the method has succeeded.
    ///
    /// ```
    /// # use serde_json::{Value, json};
    /// # use wingbeat::hooks::RegisterHooks;
    /// # use wingbeat::{App, Memory, Method};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("users", Memory::new())
    ///     .after(Method::Create, |context| {
    ///         Box::pin(async move {
    ///             if let Some(Value::Object(user)) = &mut context.result {
    ///                 user.remove("password");
    ///             }
    ///             Ok(())
    ///         })
    ///     })
    ///     .build()?;
    /// let user = app.service_at("users").create(json!({ "name": "Ada", "password": "secret" })).await?;
    /// assert_eq!(user, json!({ "name": "Ada", "id": 0 }));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    fn after<F>(mut self, select: impl Into<Select>, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut HookContext) -> BoxFuture<'a, Result<()>> + Send + Sync + 'static,
    {
        self.hooks_mut().after.push((select.into(), Arc::new(hook)));
        self
    }

    /// Adds a hook that runs when the method or a hook of this level or further in has failed; one that sets
    /// `context.result` ends the failure. One of a single method does not see the failure of a before hook for all methods.
    ///
    /// ```
    /// # use serde_json::json;
    /// # use wingbeat::hooks::RegisterHooks;
    /// # use wingbeat::{App, Memory, Method};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder()
    ///     .service("settings", Memory::new())
    ///     .on_error(Method::Get, |context| {
    ///         Box::pin(async move {
    ///             if context.error.as_ref().is_some_and(|error| error.code() == 404) {
    ///                 context.result = Some(json!({ "theme": "light" }));
    ///             }
    ///             Ok(())
    ///         })
    ///     })
    ///     .build()?;
    /// assert_eq!(app.service_at("settings").get("ada").await?["theme"], "light");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    fn on_error<F>(mut self, select: impl Into<Select>, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut HookContext) -> BoxFuture<'a, Result<()>> + Send + Sync + 'static,
    {
        self.hooks_mut().error.push((select.into(), Arc::new(hook)));
        self
    }
}

/// The app's lie around those of its services: its before hooks run first.
///
/// ```
/// # use serde_json::json;
/// # use wingbeat::hooks::RegisterHooks;
/// # use wingbeat::{App, Memory, Method, service::Registration};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let messages = Registration::new(Memory::new()).before(Method::Create, |context| {
///     Box::pin(async move {
///         context.data = Some(json!({ "text": "of the service" }));
///         Ok(())
///     })
/// });
/// let app = App::builder()
///     .service("messages", messages)
///     .before(Method::Create, |context| {
///         Box::pin(async move {
///             context.data = Some(json!({ "text": "of the app" }));
///             Ok(())
///         })
///     })
///     .build()?;
/// let message = app.service_at("messages").create(json!({ "text": "hi" })).await?;
/// assert_eq!(message["text"], "of the service");
/// # Ok(())
/// # }
/// ```
impl Hooks {
    pub(crate) fn wrap<F>(&mut self, select: Select, hook: F)
    where
        F: for<'a> Fn(&'a mut HookContext, Next<'a>) -> BoxFuture<'a, Result<()>>
            + Send
            + Sync
            + 'static,
    {
        self.wrap.push((select, Arc::new(hook)));
    }

    /// Returns every method that a hook names, so that the app can tell typing errors from methods.
    pub(crate) fn named_methods(&self) -> impl Iterator<Item = &Method> {
        let plain = [&self.before, &self.after, &self.error]
            .into_iter()
            .flatten()
            .map(|(select, _)| select);
        let around = [&self.wrap, &self.around].into_iter().flatten();
        let around = around.map(|(select, _)| select);
        plain.chain(around).filter_map(|select| match select {
            Select::All => None,
            Select::Only(method) => Some(method),
        })
    }

    /// Tells whether a hook runs when a method is done.
    fn look_behind(&self, method: &Method) -> bool {
        self.error.iter().any(|(select, _)| select.has(method)) || self.see_result(method)
    }

    /// Tells whether a hook runs when a method has succeeded.
    fn see_result(&self, method: &Method) -> bool {
        let mut around = self.wrap.iter().chain(&self.around);
        self.after.iter().any(|(select, _)| select.has(method))
            || around.any(|(select, _)| select.has(method))
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("wrap", &self.wrap.len())
            .field("around", &self.around.len())
            .field("before", &self.before.len())
            .field("after", &self.after.len())
            .field("error", &self.error.len())
            .finish()
    }
}
