//! A service with types, for REST and Socket.IO on one port. It needs no broker.
//!
//! ```text
//! cargo run --example hello
//! PORT=4000 cargo run --example hello
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;

use serde::{Deserialize, Serialize};
use wingbeat::service::typed::Created;
use wingbeat::{App, BuildError, Memory, ServiceType};

/// What the service holds and answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    pub(crate) text: String,
}

/// What it takes: the store gives the id.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewMessage {
    pub(crate) text: String,
}

/// The service's name and types.
#[derive(Debug)]
pub(crate) struct Messages;

impl ServiceType for Messages {
    const PATH: &'static str = "messages";
    type Record = Message;
    type Data = NewMessage;
    type Patch = NewMessage;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = env::var("PORT").unwrap_or_else(|_| "3030".to_owned());
    let app = app()?;
    let text = "hello".to_owned();
    app.service::<Messages>()
        .create(&NewMessage { text })
        .await?;

    let url = format!("http://127.0.0.1:{port}/messages");
    println!("curl {url}");
    println!("curl -H 'content-type: application/json' -d '{{\"text\":\"hi\"}}' {url}");
    println!("curl -H 'content-type: application/json' -d '{{\"text\":1}}' {url}");
    app.serve(format!("127.0.0.1:{port}")).await?;
    Ok(())
}

/// Builds the node: whoever is connected hears of each message.
pub(crate) fn app() -> Result<App, BuildError> {
    let app = App::builder()
        .service(Messages::PATH, Memory::<NewMessage>::typed())
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
        .build()?;
    app.service::<Messages>().on(Created, |message, _event| {
        println!("message {}: {}", message.id, message.text)
    });
    Ok(app)
}
