//! From an event to those who hear it on this node.

use std::sync::Arc;

use tracing::Instrument;

use super::{App, AppHandle};
use crate::channels::{Audience, Sending};
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

    /// Hands events to this node's listeners and clients.
    async fn hear(&self, batch: Vec<Event>) {
        let mut sending = Sending::new(self.tasks());
        for event in batch {
            let span = trace::fan_out(&event);
            // Code that hears this event may change who is in the channels of those before.
            if self.is_listened_to(&event) {
                sending.go_on().await;
            }
            span.in_scope(|| self.notify(&event));
            let Some(audience) = span.in_scope(|| self.audience(&event)) else {
                continue;
            };
            sending.add(audience, event).await;
            if !span.is_disabled() {
                let n_clients = sending.end().instrument(span.clone()).await;
                span.record("clients", n_clients);
            }
        }
        sending.end().await;
    }

    /// Tells whether code of the app hears an event.
    fn is_listened_to(&self, event: &Event) -> bool {
        let is_foreign = *event.origin() != Origin::Local;
        self.0.listeners.hear(event.place(), event.name())
            || is_foreign && self.0.sync.taps().hear_incoming()
    }

    fn notify(&self, event: &Event) {
        if *event.origin() != Origin::Local {
            self.0.sync.taps().incoming(event);
        }
        self.0.listeners.notify(event);
    }

    fn audience(&self, event: &Event) -> Option<Audience> {
        let entry = self.0.routes.at(event.place());
        let entry = entry.filter(|entry| entry.publishes(event.name()))?;
        let (own, outer) = (&entry.publishers, &self.0.publishers);
        own.audience(outer, event, &self.0.channels)
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
                () = dispatch.run(|batch| hear(&handle, batch)) => {}
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

async fn hear(handle: &AppHandle, batch: Vec<Event>) {
    if let Some(app) = handle.upgrade() {
        app.hear(batch).await;
    }
}
