//! Two nodes of one chat, joined in the process or by a broker.
//!
//! ```text
//! cargo run --release --example chat
//! SYNC_URI=redis://127.0.0.1:6379 PORT=4000 cargo run --release --example chat
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use wingbeat::error::Result;
use wingbeat::service::Registration;
use wingbeat::{App, AppHandle, Memory, Params, Service};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT")
        .ok()
        .map_or(Ok(3030), |port| port.parse())?;
    let sync_uri = env::var("SYNC_URI").unwrap_or_else(|_| "memory://chat".to_owned());
    let database = Arc::new(Memory::new());
    let (first, second) = (
        node("node-1", &database, &sync_uri)?,
        node("node-2", &database, &sync_uri)?,
    );
    println!(
        "node-1  http://127.0.0.1:{port}\nnode-2  http://127.0.0.1:{}\n",
        port + 1
    );
    println!("Open both, write on one and read on the other; or:");
    println!(
        "curl -H 'content-type: application/json' -d '{{\"text\":\"hi\"}}' http://127.0.0.1:{port}/messages\n"
    );
    let served = tokio::try_join!(run(&first, port), run(&second, port + 1));
    served
        .map(|_| ())
        .map_err(|error| format!("can not serve on ports {port} and {}: {error}", port + 1).into())
}

/// Serves a node, and tells its pages whenever its link to the other one changes.
async fn run(app: &App, port: u16) -> io::Result<()> {
    let statuses = app.sync().watch().for_each(async |_| announce(app));
    tokio::select! {
        served = app.serve(("127.0.0.1", port)) => served,
        () = statuses.then(|()| std::future::pending()) => Ok(()),
    }
}

fn node(name: &str, database: &Arc<Memory>, sync_uri: &str) -> Result<App, Box<dyn Error>> {
    let app = App::builder()
        .name(name)
        .service(
            "messages",
            Registration::new(Arc::clone(database)).methods(["find", "create"]),
        )
        .service(
            "node",
            Registration::new(Node::default()).published_events(["changed"]),
        )
        .publish(|_event, channels| channels.channel("everybody"))
        .on_connection(|connection, app| {
            app.channel("everybody").join(connection);
            announce(app);
        })
        .on_disconnect(|_connection, app| announce(app))
        .fallback(Router::new().route("/", get(|| async { Html(include_str!("chat.html")) })))
        .sync_uri(sync_uri)
        .build()?;
    Ok(app)
}

/// Tells the pages of this node how it is. The event is no custom one of the service, so it stays on this node.
fn announce(app: &App) {
    let _ = app.service("node").emit("changed", Node::describe(app));
}

/// Answers how the node is.
#[derive(Default)]
struct Node(OnceLock<AppHandle>);

impl Node {
    fn describe(app: &App) -> Value {
        json!({ "name": app.name(), "status": app.sync().status(), "connections": app.n_connections() })
    }
}

impl Service for Node {
    const METHODS: &'static [&'static str] = &["find"];

    fn setup(&self, app: &AppHandle, _path: &str) {
        let _ = self.0.set(app.clone());
    }

    async fn find(&self, _params: &Params) -> Result<Value> {
        Ok(self
            .0
            .get()
            .and_then(AppHandle::upgrade)
            .map(|app| Self::describe(&app))
            .into())
    }
}
