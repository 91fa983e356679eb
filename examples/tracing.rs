//! Two nodes, a call on one of them, and the spans of its trace on both.
//!
//! ```text
//! cargo run --example tracing
//! ```

// A program says what it does.
#![allow(clippy::print_stdout)]

use std::error::Error;

use serde_json::json;
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use wingbeat::{App, Memory, Params};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("error,wingbeat::trace=debug"))
        .with_span_events(FmtSpan::CLOSE)
        .init();
    let [here, there] = [node("here")?, node("there")?];
    here.sync().ready().await?;
    there.sync().ready().await?;
    let (heard, mut hears) = mpsc::channel(1);
    there
        .service_at("messages")
        .on_any("created", move |event| {
            let _ = heard.try_send(event.trace());
        });

    // A request would bring it as its header `traceparent`.
    let mut params = Params::default();
    params.trace = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?);
    let messages = here.service_at("messages");
    messages
        .create(json!({ "text": "hi" }))
        .params(params)
        .await?;

    if let Some(Some(trace)) = hears.recv().await {
        println!("the other node heard of the call at {trace}");
    }
    here.close().await;
    there.close().await;
    Ok(())
}

fn node(name: &str) -> Result<App, wingbeat::BuildError> {
    App::builder()
        .name(name)
        .service("messages", Memory::new())
        .sync_uri("memory://tracing")
        .build()
}
