//! Routes of axum whose answers become live events, without a service. It needs no broker.
//!
//! ```text
//! cargo run --example event_layer
//! PORT=4000 cargo run --example event_layer
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wingbeat::{App, BuildError, EventLayer, Events, SkipEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = env::var("PORT").unwrap_or_else(|_| "3030".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let app = app()?;
    app.service_at("orders").on("created", |event| {
        println!("order: {}", event.data().value())
    });
    println!(
        "curl -H 'content-type: application/json' -d '{{\"item\":\"tea\"}}' http://127.0.0.1:{port}/orders"
    );
    let serving = axum::serve(listener, router(&app)).with_graceful_shutdown(app.draining());
    let (served, _) = tokio::join!(
        serving.into_future(),
        app.close_after(tokio::signal::ctrl_c())
    );
    Ok(served?)
}

/// Builds the node: whoever is connected hears of each order.
pub(crate) fn app() -> Result<App, BuildError> {
    App::builder()
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
        .build()
}

/// The routes of the server, and what events they have: `orders created`, `orders closed`, `orders paid`.
pub(crate) fn router(app: &App) -> Router {
    let events = EventLayer::new(app)
        .resource("/orders", "orders")
        .route_with("/orders/{id}/close", "orders", |exchange| {
            Some(("closed", json!({ "id": exchange.id()? })))
        });
    Router::new()
        .route("/orders", post(create))
        .route("/orders/{id}", put(replace).delete(cancel))
        .route("/orders/{id}/close", post(close))
        .route("/payments", post(pay))
        .layer(events)
        .layer(app.layer())
}

/// The answer is the event's data.
async fn create(Json(mut order): Json<Value>) -> (StatusCode, Json<Value>) {
    order["id"] = json!(1);
    (StatusCode::CREATED, Json(order))
}

/// Nothing has changed, so nobody is told.
async fn replace(Json(order): Json<Value>) -> (SkipEvent, Json<Value>) {
    (SkipEvent, Json(order))
}

/// The path has the id of what is gone.
async fn cancel() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// What becomes of this one a closure says.
async fn close(Path(id): Path<u64>) -> String {
    format!("order {id} is closed\n")
}

/// Says itself what has happened.
async fn pay(events: Events, Json(payment): Json<Value>) -> wingbeat::error::Result<StatusCode> {
    let paid = json!({ "id": payment["order"] });
    events.emit("orders", "paid", &paid).await?;
    Ok(StatusCode::ACCEPTED)
}
