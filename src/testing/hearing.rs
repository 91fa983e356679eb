//! Waiting for an event inside the process.

use std::collections::BTreeSet;
use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::inbox::{Heard, Inbox};
use super::{DEADLINE, TestError};
use crate::app::{App, registered_path};
use crate::event::{Event, Scope};
use crate::service::{Entry, Method};
use crate::words::nearest;

/// Listens from now on for an event of a service, here or on another node; await it after what is to lead to the event.
///
/// It hears what listeners of the app's own code hear: the first event of that name that comes after this call, at most five
/// seconds after it is awaited, or [as long as it is told](WaitForEvent::within). Several may wait at once.
///
/// ```
/// use serde_json::json;
/// use wingbeat::testing::wait_for_event;
/// use wingbeat::{App, Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::builder().service("messages", Memory::new()).build()?;
/// let heard = wait_for_event(&app, "messages", "created");
/// app.service_at("messages").create(json!({ "text": "hi" })).await?;
/// assert_eq!(heard.await?.data().value()["text"], "hi");
/// # app.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the event does not come, with the events of all services that did, or when there is no such service.
///
/// # Cancel safety
/// Dropping the future ends the waiting, and nothing else.
pub fn wait_for_event(app: &App, path: &str, event: &str) -> WaitForEvent {
    let path = registered_path(path);
    let inbox = Arc::new(Inbox::default());
    if app.routes().registered(path).is_some() {
        for entry in app.routes().entries() {
            let asked = (*entry.path == *path).then_some(event);
            listen(app, &inbox, entry, asked);
        }
    } else {
        inbox.end(no_service(app, path));
    }
    WaitForEvent {
        inbox,
        title: format!("{path} {event}"),
        deadline: DEADLINE,
    }
}

/// An event that is listened for; it is a future of the [`Event`].
#[must_use = "whether the event came is known when this is awaited"]
pub struct WaitForEvent {
    inbox: Arc<Inbox<Event>>,
    title: String,
    deadline: Duration,
}

impl WaitForEvent {
    /// Sets how long to wait once this is awaited; five seconds by default.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl IntoFuture for WaitForEvent {
    type Output = Result<Event, TestError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move { self.inbox.take(&self.title, self.deadline).await }.boxed()
    }
}

impl Heard for Event {
    fn title(&self) -> String {
        format!("{} {}", self.path(), self.name())
    }

    fn text(&self) -> String {
        format!("{:?}", self.data())
    }
}

impl fmt::Debug for WaitForEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitForEvent")
            .field("title", &self.title)
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}

/// Hears the events of a service that are known by name, and the one that is asked for, for as long as somebody waits.
fn listen(app: &App, inbox: &Arc<Inbox<Event>>, entry: &Entry, asked: Option<&str>) {
    let custom = entry.custom_events.iter().chain(&entry.published_events);
    let known = custom.map(|name| &**name).chain(Method::EVENTS);
    let names: BTreeSet<&str> = known.chain(asked).collect();
    for name in names {
        let inbox = Arc::downgrade(inbox);
        let note = move |event: &Event| {
            if let Some(inbox) = inbox.upgrade() {
                inbox.push(event.clone());
            }
            Ok(())
        };
        app.listen(&entry.path, name, Scope::Any, Arc::new(note));
    }
}

fn no_service(app: &App, path: &str) -> String {
    let known = app.routes().entries().map(|entry| &*entry.path);
    let hint = nearest(path, known).map(|path| format!(", did you mean '{path}'?"));
    format!("there is no service '{path}'{}", hint.unwrap_or_default())
}
