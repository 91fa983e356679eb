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
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wingbeat::service::Registration;
use wingbeat::{App, AppHandle, Memory, Params, Service};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = port()?;
    let sync_uri = env::var("SYNC_URI").unwrap_or_else(|_| "memory://chat".to_owned());
    let database = Arc::new(Memory::new());
    let nodes = [
        node("node-1", &database, &sync_uri)?,
        node("node-2", &database, &sync_uri)?,
    ];
    let listeners = [listen(port).await?, listen(port + 1).await?];
    println!(
        "node-1  http://127.0.0.1:{port}\nnode-2  http://127.0.0.1:{}\n",
        port + 1
    );
    println!("Open both, write on one and read on the other; or:");
    println!(
        "curl -H 'content-type: application/json' -d '{{\"text\":\"hi\"}}' http://127.0.0.1:{port}/messages\n"
    );
    let [first, second] = listeners;
    tokio::try_join!(run(&nodes[0], first), run(&nodes[1], second))?;
    Ok(())
}

fn port() -> Result<u16, String> {
    let text = env::var("PORT").unwrap_or_else(|_| "3030".to_owned());
    let port = text
        .parse()
        .ok()
        .filter(|port| (1..u16::MAX).contains(port));
    port.ok_or_else(|| format!("PORT is '{text}', which is no port that has one above it"))
}

async fn listen(port: u16) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(("127.0.0.1", port)).await;
    bound.map_err(|error| format!("can not listen on port {port} (PORT sets another): {error}"))
}

/// Serves a node, and tells its pages whenever its link to the other one changes.
async fn run(app: &App, listener: TcpListener) -> io::Result<()> {
    let statuses = app.sync().watch().for_each(async |_| announce(app));
    tokio::select! {
        served = app.serve_until_told(listener) => served,
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
        .fallback(pages())
        .sync_uri(sync_uri)
        .build()?;
    Ok(app)
}

fn pages() -> Router {
    let client = || async {
        let script = include_str!("../clients/js/wingbeat.js");
        ([(CONTENT_TYPE, "text/javascript")], script)
    };
    Router::new()
        .route("/", get(|| async { Html(include_str!("chat.html")) }))
        .route("/wingbeat.js", get(client))
}

/// Tells the pages of this node how it is. The event is no custom one of the service, so it stays on this node.
fn announce(app: &App) {
    let _ = app.service_at("node").emit("changed", Node::describe(app));
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

    async fn find(&self, _params: &Params) -> wingbeat::error::Result<Value> {
        Ok(self
            .0
            .get()
            .and_then(AppHandle::upgrade)
            .map(|app| Self::describe(&app))
            .into())
    }
}
