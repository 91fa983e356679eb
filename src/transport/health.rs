//! What operators ask: whether the process lives, whether it should get traffic, and what it has counted.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::app::App;
use crate::sync::Status;

/// Answers `GET` of `/live`, `/ready` and, with the feature `metrics`, `/metrics`, unless a service is registered under that name.
pub(super) fn answer(app: &App, verb: &Method, path: &str) -> Option<Response> {
    probe(app, verb, path).map(|probe| probe(app))
}

/// Finds what answers.
pub(super) fn probe(app: &App, verb: &Method, path: &str) -> Option<Probe> {
    if *verb != Method::GET && *verb != Method::HEAD {
        return None;
    }
    let probe: Probe = match path {
        "/live" => |_| respond(true, &json!({ "live": true })),
        "/ready" => ready,
        #[cfg(feature = "metrics")]
        "/metrics" => super::metrics::respond,
        _ => return None,
    };
    let is_free = app.routes().registered(&path[1..]).is_none();
    is_free.then_some(probe)
}

type Probe = fn(&App) -> Response;

/// Readiness is not the broker's mood: after the first link only draining takes a node out, unless the settings are strict.
fn ready(app: &App) -> Response {
    let status = app.sync().status();
    let is_synced = if app.config().strict_readiness {
        matches!(status, Status::Ready | Status::Off)
    } else {
        app.sync().was_ready()
    };
    let is_draining = app.is_draining();
    let is_ready = is_synced && !is_draining;
    respond(
        is_ready,
        &json!({ "ready": is_ready, "draining": is_draining, "sync": status.to_string() }),
    )
}

fn respond(is_good: bool, body: &Value) -> Response {
    let status = if is_good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body.to_string()).into_response()
}
