//! The wingbeat node, built on the public API: the system under test.

use serde_json::Value;
use tokio::net::TcpListener;
use wingbeat::{App, Memory};

use crate::Outcome;
use crate::process::say;

/// Serves until the process is killed.
pub(crate) fn main(rows: &str) -> Outcome<()> {
    let rows: Vec<Value> = serde_json::from_str(rows)?;
    tokio::runtime::Runtime::new()?.block_on(run(rows))
}

async fn run(rows: Vec<Value>) -> Outcome<()> {
    let store = Memory::new();
    store.reset(rows, 0)?;
    let app = App::builder()
        .service("rows", store)
        .service("notes", Memory::new())
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("listening {}", listener.local_addr()?.port()))?;
    Ok(app.serve_on(listener).await?)
}
