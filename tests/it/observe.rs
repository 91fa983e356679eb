//! Routes of the host whose answers become events.

mod losses;
mod nodes;

use std::sync::Arc;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, patch, post, put};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::service::Registration;
use wingbeat::{
    App, AppBuilder, AppStats, EventLayer, Events, Memory, ObservedRoute, SkipEvent, SkipSync,
};

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::{Answer, Request};
use crate::support::socket::SocketClient;

/// An app without services, whose clients hear everything.
fn builder() -> AppBuilder {
    App::builder()
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
}

async fn serve(app: &App, router: Router, events: EventLayer) -> Host {
    Host::axum(app, router.layer(events).layer(app.layer())).await
}

/// A host whose route `/things` answers as it is told to, and a client that hears of it.
async fn things(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Things {
    let app = builder().build().unwrap();
    let answering = move || {
        let response = answer();
        async move { response }
    };
    let router = Router::new()
        .route("/things", any(answering.clone()))
        .route("/things/{id}", any(answering))
        .route("/mark", post(mark));
    let events = EventLayer::new(&app).resource("/things", "things");
    let host = serve(&app, router, events.route("/mark", "mark")).await;
    let client = SocketClient::connect(host.addr).await;
    Things { host, client }
}

struct Things {
    host: Host,
    client: SocketClient,
}

async fn mark() -> Json<Value> {
    Json(json!("mark"))
}

fn send(verb: &str, path: &str) -> Request {
    Request::new(verb, path).header("content-length", "0")
}

impl Things {
    async fn send(&self, verb: &str, path: &str) -> Answer {
        self.host.send(send(verb, path)).await
    }

    /// Returns the events of a request: those that come before that of another request.
    async fn events_of(&mut self, verb: &str, path: &str) -> Vec<(String, Value)> {
        self.send(verb, path).await;
        self.events().await
    }

    async fn events(&mut self) -> Vec<(String, Value)> {
        self.send("POST", "/mark").await;
        let mut events = Vec::new();
        loop {
            match self.client.event().await {
                (name, _) if name == "mark created" => return events,
                event => events.push(event),
            }
        }
    }

    fn stats(&self) -> AppStats {
        self.host.app.stats()
    }
}

fn event(name: &str, data: Value) -> Vec<(String, Value)> {
    vec![(name.to_owned(), data)]
}

#[tokio::test]
async fn each_verb_has_its_event_and_the_others_have_none() {
    let mut things = things(|| Json(json!({ "id": 7, "b": 1.0, "a": [] })).into_response()).await;
    let table = [
        ("POST", "things created"),
        ("PUT", "things updated"),
        ("PATCH", "things patched"),
        ("DELETE", "things removed"),
    ];
    for (verb, name) in table {
        let events = things.events_of(verb, "/things/7").await;
        assert_eq!(events, event(name, json!({ "id": 7, "b": 1.0, "a": [] })));
    }
    for verb in ["GET", "HEAD", "OPTIONS", "PROPFIND"] {
        assert_eq!(things.events_of(verb, "/things/7").await, [], "{verb}");
    }
    assert_eq!(things.events_of("POST", "/thing").await, []);
    assert_eq!(things.events_of("POST", "/things/7/8").await, []);
    // Four of the things, and a mark for each of the ten requests.
    assert_eq!(things.stats().observed, 14);
}

#[tokio::test]
async fn what_is_no_success_has_no_event() {
    let status = Arc::new(Mutex::new(StatusCode::OK));
    let answered = Arc::clone(&status);
    let answer = move || match *answered.lock() {
        // Has no body on the wire.
        StatusCode::NOT_MODIFIED => StatusCode::NOT_MODIFIED.into_response(),
        status => (status, Json(json!({ "id": 1 }))).into_response(),
    };
    let mut things = things(answer).await;
    for code in [200, 201, 202, 299] {
        *status.lock() = StatusCode::from_u16(code).unwrap();
        assert_eq!(things.events_of("POST", "/things").await.len(), 1, "{code}");
    }
    for code in [300, 301, 302, 303, 304, 307, 400, 404, 409, 422, 500, 503] {
        *status.lock() = StatusCode::from_u16(code).unwrap();
        assert_eq!(things.events_of("POST", "/things").await, [], "{code}");
    }
    let stats = things.stats();
    assert_eq!((stats.observed_unreadable, stats.observed_cut_off), (0, 0));
}

#[tokio::test]
async fn a_removal_without_a_body_names_the_record() {
    let mut things = things(|| StatusCode::NO_CONTENT.into_response()).await;
    for (path, id) in [
        ("/things/17", json!(17)),
        ("/things/a%20b", json!("a b")),
        ("/things/007", json!("007")),
    ] {
        let events = things.events_of("DELETE", path).await;
        assert_eq!(events, event("things removed", json!({ "id": id })));
    }
    assert_eq!(things.events_of("DELETE", "/things").await, []);
    assert_eq!(things.events_of("PUT", "/things/17").await, []);
    assert_eq!(things.stats().observed_unreadable, 2);
}

#[tokio::test]
async fn the_elements_of_an_array_have_an_event_each() {
    let mut things = things(|| Json(json!([{ "id": 1 }, { "id": 2 }])).into_response()).await;
    let events = things.events_of("POST", "/things").await;
    let created = |id: u64| ("things created".to_owned(), json!({ "id": id }));
    assert_eq!(events, [created(1), created(2)]);
}

#[tokio::test]
async fn handlers_opt_out() {
    let mut skipped = things(|| (SkipEvent, Json(json!({ "id": 1 }))).into_response()).await;
    assert_eq!(skipped.events_of("POST", "/things").await, []);
    assert_eq!(skipped.stats().observed, 1);
    let mut kept = things(|| (SkipSync, Json(json!({ "id": 1 }))).into_response()).await;
    let events = kept.events_of("POST", "/things").await;
    assert_eq!(events, event("things created", json!({ "id": 1 })));
}

#[tokio::test]
async fn routes_say_where_id_and_data_are() {
    let app = builder().build().unwrap();
    let wrapped = async || Json(json!({ "data": { "id": "7" }, "took": 3 }));
    let removed = async || StatusCode::NO_CONTENT;
    let router = Router::new()
        .route("/users/{name}", put(wrapped).delete(removed))
        .route("/orgs/{org}/items/{item}/parts/{part}", delete(removed))
        .route("/files/{*path}", delete(removed));
    let events = EventLayer::new(&app)
        .route(
            "/users/{name}",
            ObservedRoute::new("users").data_at("/data").text_id(),
        )
        .route("/files/{*path}", "files")
        .route(
            "/orgs/{org}/items/{item}/parts/{part}",
            ObservedRoute::new("items").id_param("item"),
        );
    let host = serve(&app, router, events).await;
    let mut client = SocketClient::connect(host.addr).await;
    let table = [
        ("PUT", "/users/7", "users updated", json!({ "id": "7" })),
        ("DELETE", "/users/7", "users removed", json!({ "id": "7" })),
        (
            "DELETE",
            "/orgs/1/items/2/parts/3",
            "items removed",
            json!({ "id": 2 }),
        ),
        (
            "DELETE",
            "/files/a/b.txt",
            "files removed",
            json!({ "id": "a/b.txt" }),
        ),
    ];
    for (verb, path, name, data) in table {
        host.send(send(verb, path)).await;
        assert_eq!(client.event().await, (name.to_owned(), data));
    }
}

#[tokio::test]
async fn closures_make_events_of_odd_bodies() {
    let app = builder().build().unwrap();
    let answer = async |Path(id): Path<u64>| match id {
        1 => (StatusCode::ACCEPTED, "later".to_owned()),
        2 => (StatusCode::OK, "panic".to_owned()),
        3 => (StatusCode::BAD_REQUEST, "no".to_owned()),
        id => (StatusCode::OK, format!("order {id} is closed")),
    };
    let router = Router::new().route("/orders/{id}/close", any(answer));
    let events = EventLayer::new(&app).route_with("/orders/{id}/close", "orders", |exchange| {
        assert!(exchange.status().is_success());
        if exchange.status() == StatusCode::ACCEPTED {
            return None;
        }
        let text = std::str::from_utf8(exchange.body()).unwrap();
        assert_ne!(text, "panic", "on purpose");
        let (verb, raw) = (exchange.method().as_str(), exchange.param("id"));
        assert_eq!((exchange.json(), exchange.param("nothing")), (None, None));
        Some(("closed", json!([exchange.id(), text, verb, raw])))
    });
    let host = serve(&app, router, events).await;
    let mut client = SocketClient::connect(host.addr).await;
    for path in [
        "/orders/1/close",
        "/orders/2/close",
        "/orders/3/close",
        "/orders/4/close",
    ] {
        host.send(send("GET", path)).await;
        host.send(send("POST", path)).await;
    }
    let closed = json!([4, "order 4 is closed", "POST", "4"]);
    assert_eq!(client.event().await, ("orders closed".to_owned(), closed));
    host.send(send("PURGE", "/orders/5/close")).await;
    assert_eq!(client.event().await.1[2], "PURGE");
    let stats = app.stats();
    assert_eq!((stats.observed, stats.observed_panics), (2, 1));
}

async fn pay(events: Events, Json(data): Json<Value>) -> wingbeat::error::Result<StatusCode> {
    let event = data["event"].as_str().unwrap_or("paid");
    events.emit("orders", event, &data).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[tokio::test]
async fn handlers_emit_by_hand() {
    let app = builder().build().unwrap();
    let router = Router::new().route("/payments", post(pay));
    let host = serve(&app, router, EventLayer::new(&app)).await;
    let mut client = SocketClient::connect(host.addr).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let note = move |event: &wingbeat::Event| hears.lock().push(event.path().to_owned());
    app.service_at("orders").on("paid", note.clone());
    app.service_at("other").on("paid", note);
    let data = json!([{ "id": 1 }, { "id": 2 }]);
    let paid = host
        .send(Request::new("POST", "/payments").json(&data))
        .await;
    assert_eq!(paid.status, 204);
    assert_eq!(client.event().await, ("orders paid".to_owned(), data));
    assert_eq!(*heard.lock(), ["orders"]);
    let wrong = Request::new("POST", "/payments").json(&json!({ "event": "error" }));
    assert_eq!(host.send(wrong).await.status, 400);
}

#[tokio::test]
async fn without_the_layer_a_handler_is_told_what_is_missing() {
    let app = builder().build().unwrap();
    let router = Router::new()
        .route("/payments", post(pay))
        .layer(app.layer());
    let host = Host::axum(&app, router).await;
    let payment = Request::new("POST", "/payments").json(&json!({}));
    let (status, error) = host.send(payment).await.pair();
    let message = error["message"].as_str().unwrap();
    assert_eq!(status, 500);
    assert!(message.contains("EventLayer"), "{message}");
}

/// Rules of a service hold for events of a route under its path as well.
#[tokio::test]
async fn events_under_a_services_path_are_the_services() {
    let secretive = Registration::new(Memory::new())
        .redact(["password"])
        .publish(|event, channels| {
            let is_known = event.method() == Some("patch") && event.field("id").unwrap() == 7;
            is_known.then(|| channels.channel("everybody"))
        });
    let app = builder().service("users", secretive).build().unwrap();
    let answer = async || Json(json!({ "name": "Ada", "password": "secret" }));
    let router = Router::new().route("/members/{id}", patch(answer));
    let events = EventLayer::new(&app).route("/members/{id}", "users");
    let host = serve(&app, router, events).await;
    let mut client = SocketClient::connect(host.addr).await;
    let answer = host.send(send("PATCH", "/members/7")).await;
    assert!(answer.text().contains("secret"));
    let event = ("users patched".to_owned(), json!({ "name": "Ada" }));
    assert_eq!(client.event().await, event);
}

#[tokio::test]
async fn a_nested_router_has_the_layer_with_its_own_paths() {
    let app = builder().build().unwrap();
    let answer = async || Json(json!({ "id": 1 }));
    let nested = Router::new().route("/todos", post(answer));
    let nested = nested.layer(EventLayer::new(&app).resource("/todos", "todos"));
    let router = Router::new().nest("/api", nested).layer(app.layer());
    let host = Host::axum(&app, router).await;
    let mut client = SocketClient::connect(host.addr).await;
    host.send(send("POST", "/api/todos")).await;
    let event = ("todos created".to_owned(), json!({ "id": 1 }));
    assert_eq!(client.event().await, event);
}

#[tokio::test]
#[should_panic(expected = "the route '/todos/{x}' can not be described")]
async fn a_route_that_stands_twice_panics_as_in_axum() {
    let app = builder().build().unwrap();
    let _ = EventLayer::new(&app)
        .resource("/todos", "todos")
        .route("/todos/{x}", "todos");
}

/// What is said of compression holds for a layer that compresses inside.
fn compressed() -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    (headers, Json(json!({ "id": 1 }))).into_response()
}

async fn counted(things: &Things, what: &str, count: impl Fn(&AppStats) -> u64, n: u64) {
    eventually(what, || count(&things.stats()) == n).await;
}
