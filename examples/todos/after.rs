//! A small CRUD server of axum. `before.rs` is as most of them are, `after.rs` is the same with live events on every node.
//!
//! ```text
//! cargo run --example todos_before
//! PORT=4000 SYNC_URI=redis://127.0.0.1:6379 cargo run --example todos_after
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use wingbeat::{App, EventLayer};

type Todos = State<Arc<RwLock<BTreeMap<u64, Todo>>>>;

#[derive(Clone, Debug, Serialize)]
struct Todo {
    id: u64,
    text: String,
    done: bool,
}

#[derive(Debug, Deserialize)]
struct NewTodo {
    text: String,
}

#[derive(Debug, Deserialize)]
struct TodoChange {
    text: Option<String>,
    done: Option<bool>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = env::var("PORT").unwrap_or_else(|_| "3030".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://127.0.0.1:{port}/todos");
    serve(listener).await
}

pub(crate) async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    let app = App::builder()
        .sync_uri(env::var("SYNC_URI").unwrap_or("memory://todos".to_owned()))
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
        .build()?;
    let router = Router::new()
        .route("/todos", get(list).post(create))
        .route("/todos/{id}", get(read).patch(update).delete(remove))
        .with_state(Arc::default());
    let router = router.layer(EventLayer::new(&app).resource("/todos", "todos"));
    let router = router.layer(app.layer());
    let serving = axum::serve(listener, router).with_graceful_shutdown(app.draining());
    tokio::join!(serving.into_future(), app.close_after(told())).0?;
    Ok(())
}

async fn list(todos: Todos) -> Json<Vec<Todo>> {
    Json(todos.read().values().cloned().collect())
}

async fn create(todos: Todos, Json(new): Json<NewTodo>) -> (StatusCode, Json<Todo>) {
    let mut todos = todos.write();
    let id = todos.last_key_value().map_or(1, |(last, _)| last + 1);
    let todo = Todo {
        id,
        text: new.text,
        done: false,
    };
    todos.insert(id, todo.clone());
    (StatusCode::CREATED, Json(todo))
}

async fn read(todos: Todos, Path(id): Path<u64>) -> Result<Json<Todo>, StatusCode> {
    let todos = todos.read();
    let todo = todos.get(&id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(todo.clone()))
}

async fn update(
    todos: Todos,
    Path(id): Path<u64>,
    Json(change): Json<TodoChange>,
) -> Result<Json<Todo>, StatusCode> {
    let mut todos = todos.write();
    let todo = todos.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
    todo.text = change.text.unwrap_or_else(|| todo.text.clone());
    todo.done = change.done.unwrap_or(todo.done);
    Ok(Json(todo.clone()))
}

async fn remove(todos: Todos, Path(id): Path<u64>) -> StatusCode {
    match todos.write().remove(&id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

async fn told() {
    let _ = tokio::signal::ctrl_c().await;
}
