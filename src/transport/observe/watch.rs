//! From the head of a response to its event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Map, Value};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::body::ObservedBody;
use super::counters::Fate;
use super::events::{SkipEvent, SkipSync};
use super::exchange::Exchange;
use super::route::{ObservedRoute, Outcome};
use crate::app::{App, ByHand};
use crate::event::EventContext;

/// A request to a described route, until its answer is known.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) app: App,
    pub(super) route: Arc<ObservedRoute>,
    pub(super) method: Method,
    pub(super) params: Vec<(String, String)>,
    pub(super) max_body: usize,
}

/// An answer that is to become an event, until its body is known.
#[derive(Debug)]
pub(super) struct Pending {
    watch: Watch,
    status: StatusCode,
    is_synced: bool,
    in_progress: InProgress,
}

/// Makes a shutdown wait; `None` when it is done.
pub(super) type InProgress = Option<TaskTrackerToken>;

impl Watch {
    /// Passes a response on, and what is to become an event with an eye on its body.
    pub(super) fn follow(self, response: Response, in_progress: InProgress) -> Response {
        let extensions = response.extensions();
        if !response.status().is_success() || extensions.get::<SkipEvent>().is_some() {
            return response;
        }
        let pending = Pending {
            status: response.status(),
            is_synced: extensions.get::<SkipSync>().is_none(),
            watch: self,
            in_progress,
        };
        let size = response.body().size_hint();
        if size.lower() > pending.max_body() as u64 {
            pending.lost(Fate::TooLarge);
            return response;
        }
        let is_empty = size.exact() == Some(0);
        if !is_empty && !pending.can_read(response.headers()) {
            pending.lost(Fate::Unreadable);
            return response;
        }
        response.map(|body| Body::new(ObservedBody::new(body, pending)))
    }
}

impl Pending {
    pub(super) fn max_body(&self) -> usize {
        self.watch.max_body
    }

    /// Tells whether a body may be what the route makes events of. One without a type has to be tried.
    fn can_read(&self, headers: &HeaderMap) -> bool {
        let is_plain = !headers.contains_key(header::CONTENT_ENCODING);
        let content_type = headers.get(header::CONTENT_TYPE);
        let is_json = || content_type.is_none_or(|kind| is_json(kind.as_bytes()));
        is_plain && (self.watch.route.reads_anything() || is_json())
    }

    /// Says why no event comes of the response.
    pub(super) fn lost(self, fate: Fate) {
        let Watch {
            app, route, method, ..
        } = &self.watch;
        app.observed().count(fate);
        let path = &*route.path;
        tracing::warn!(path, %method, why = fate.reason(), "a response became no event");
    }

    /// Emits the event of a body that is whole.
    pub(super) fn ended(self, body: Bytes) {
        if self.in_progress.is_none() {
            return self.lost(Fate::CutOff);
        }
        let Watch {
            route,
            method,
            params,
            ..
        } = &self.watch;
        let exchange = Exchange {
            method: method.clone(),
            id: route.id(params),
            params: params.clone(),
            status: self.status,
            body,
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| route.outcome(&exchange)));
        match outcome {
            Ok(Outcome::Nothing) => {}
            Ok(Outcome::Events(name, data)) => self.emit(&name, exchange.id, &data),
            Ok(Outcome::Unreadable) => self.lost(Fate::Unreadable),
            Err(_) => self.lost(Fate::Panicked),
        }
    }

    fn emit(self, name: &str, id: Option<Value>, data: &[Value]) {
        let context = method_of(name).map(|method| {
            let method = method.into();
            EventContext::local(&method, id, Map::new())
        });
        let by_hand = ByHand {
            context,
            is_synced: self.is_synced,
            ..ByHand::new(&self.watch.route.path, name)
        };
        let app = &self.watch.app;
        match app.emit_by_hand(&by_hand, data) {
            Ok(()) => app.observed().count(Fate::Event),
            Err(error) => {
                tracing::error!(%error, "an event of a response can not be emitted");
                self.lost(Fate::Unreadable);
            }
        }
    }
}

/// Returns the method of a service that has an event.
fn method_of(event: &str) -> Option<&'static str> {
    match event {
        "created" => Some("create"),
        "updated" => Some("update"),
        "patched" => Some("patch"),
        "removed" => Some("remove"),
        _ => None,
    }
}

/// Tells whether a content type is JSON, as `application/json; charset=utf-8` or `application/problem+json`.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
        || essence.to_ascii_lowercase().ends_with(b"+json")
}
