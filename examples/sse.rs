//! Server-sent events: what happens on one node is heard on the other, with `curl` as the client.
//!
//! ```text
//! cargo run --example sse
//! PORT=4000 cargo run --example sse
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::sync::Arc;

use wingbeat::{App, BuildError, Memory};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT").map_or(Ok(3030), |port| port.parse())?;
    let next = port.checked_add(1).ok_or("PORT has none above it")?;
    let [first, second] = nodes("memory://sse")?;
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    println!("Listen to one node:\n");
    let stream = format!("{}/events?service=messages&event=created", url(next));
    println!("curl -N '{stream}'\n");
    println!("and write to the other:\n");
    let message = "{\"text\":\"hi\"}";
    let to = format!("{}/messages", url(port));
    println!("curl -H 'content-type: application/json' -d '{message}' {to}\n");
    println!("In a browser: new EventSource('{stream}'), with a listener for 'messages created'.");
    tokio::try_join!(
        first.serve(("127.0.0.1", port)),
        second.serve(("127.0.0.1", next))
    )?;
    Ok(())
}

/// Builds two nodes with one store: whoever listens hears of each message, on either.
pub(crate) fn nodes(sync_uri: &str) -> Result<[App; 2], BuildError> {
    let messages = Arc::new(Memory::new());
    let node = |name: &str| {
        App::builder()
            .name(name)
            .service("messages", Arc::clone(&messages))
            .on_connection(|connection, app| app.channel("everybody").join(connection))
            .publish(|_event, channels| channels.channel("everybody"))
            .sync_uri(sync_uri)
            .build()
    };
    Ok([node("node-1")?, node("node-2")?])
}
