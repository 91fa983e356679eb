//! From an event to those who hear it on this node.

use std::sync::Arc;

use super::{App, AppHandle};
use crate::event::{Event, Scope};
use crate::service::ServiceHandle;

impl App {
    /// Hands an event to this node's listeners and clients.
    pub(super) fn hear(&self, event: &Event) {
        self.0.listeners.notify(event);
        let entry = self
            .0
            .routes
            .registered(event.path())
            .filter(|entry| entry.publishes(event.name()));
        if let Some(entry) = entry {
            entry
                .publishers
                .publish(&self.0.publishers, event, &self.0.channels);
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
        self.listen(event, Scope::Local, Arc::new(listener));
    }

    /// Adds a listener for events of every node; [`Event::origin`] says which.
    pub fn on_any(&self, event: &str, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.listen(event, Scope::Any, Arc::new(listener));
    }

    /// Adds a listener for events of this node, as [`on_local`](Self::on_local).
    pub fn on(&self, event: &str, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.on_local(event, listener);
    }
}

fn hear(handle: &AppHandle, event: &Event) {
    if let Some(app) = handle.upgrade() {
        app.hear(event);
    }
}
