//! From an event to those who hear it on this node.

use std::sync::Arc;

use super::{App, AppHandle};
use crate::event::{Event, Listener, Origin, Scope};
use crate::service::ServiceHandle;
use crate::sync::Gap;
use crate::trace;

impl App {
    /// Adds code that sees every event which goes to the other nodes. It runs in the task of the call: keep it short.
    pub fn on_sync_out(&self, tap: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.sync.taps().add_out(Arc::new(tap));
    }

    /// Adds code that sees every event of another node, before listeners and clients of this node do.
    pub fn on_sync_in(&self, tap: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.sync.taps().add_in(Arc::new(tap));
    }

    /// Adds code that hears of events which this node's clients will not get, so that the app can tell them to read anew.
    ///
    /// ```
    /// use wingbeat::sync::GapOrigin;
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://gaps").build()?;
    /// app.on_gap(|gap| {
    ///     if let GapOrigin::Node { name, .. } = &gap.origin {
    ///         println!("events of {name} are missing: {:?}, {:?}", gap.range, gap.reason);
    ///     }
    /// });
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_gap(&self, tap: impl Fn(&Gap) + Send + Sync + 'static) {
        self.0.sync.taps().add_gap(Arc::new(tap));
    }

    /// Hands an event to this node's listeners and clients.
    pub(super) fn hear(&self, event: &Event) {
        let span = trace::fan_out(event).entered();
        if *event.origin() != Origin::Local {
            self.0.sync.taps().incoming(event);
        }
        self.0.listeners.notify(event);
        let entry = self
            .0
            .routes
            .at(event.place())
            .filter(|entry| entry.publishes(event.name()));
        if let Some(entry) = entry {
            let publishers = &entry.publishers;
            let n_clients = publishers.publish(&self.0.publishers, event, &self.0.channels);
            span.record("clients", n_clients);
        }
    }

    /// Starts the task that empties the queue of events; it ends with the app.
    pub(super) fn start_hearing(&self) {
        let (handle, dispatch, tasks) = (
            self.downgrade(),
            self.0.dispatch.clone(),
            self.tasks().clone(),
        );
        self.tasks().spawn("dispatch", async move {
            tokio::select! {
                () = dispatch.run(|event| hear(&handle, event)) => {}
                () = tasks.cancelled() => {}
            }
        });
    }
}

impl ServiceHandle {
    /// Adds a listener for events that happen on this node.
    ///
    /// Listeners run in the order of events, one at a time, before clients get the event: what takes long belongs into a
    /// task. A panic is caught, logged and counted.
    pub fn on_local(&self, event: &str, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.listen(event, Scope::Local, untyped(listener));
    }

    /// Adds a listener for events of every node; [`Event::origin`] says which.
    ///
    /// ```
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).sync_uri("memory://listeners").build()?;
    /// app.service_at("messages").on_any("created", |event| {
    ///     println!("{} of {:?}: {:?}", event.name(), event.origin(), event.data());
    /// });
    /// # app.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_any(&self, event: &str, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.listen(event, Scope::Any, untyped(listener));
    }

    /// Adds a listener for events of this node, as [`on_local`](Self::on_local).
    pub fn on(&self, event: &str, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.on_local(event, listener);
    }
}

/// Every event fits a listener that reads it by itself.
fn untyped(listener: impl Fn(&Event) + Send + Sync + 'static) -> Listener {
    Arc::new(move |event| {
        listener(event);
        Ok(())
    })
}

fn hear(handle: &AppHandle, event: &Event) {
    if let Some(app) = handle.upgrade() {
        app.hear(event);
    }
}
