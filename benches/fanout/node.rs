//! One wingbeat node without sync, built on the public API: the system under test.

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use wingbeat::error::Result;
use wingbeat::service::Registration;
use wingbeat::{App, Params, Service};

use crate::Outcome;
use crate::frame::{PATH, event};
use crate::process::announce;

/// Serves clients, and creates a message for every byte that comes over the control connection, until that closes.
pub(crate) fn main() -> Outcome<()> {
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> Outcome<()> {
    let (clients, control) = (
        TcpListener::bind("127.0.0.1:0").await?,
        TcpListener::bind("127.0.0.1:0").await?,
    );
    announce(&[clients.local_addr()?.port(), control.local_addr()?.port()])?;
    let app = app()?;
    tokio::select! {
        served = app.serve_on(clients) => served?,
        ended = publish(&app, control) => ended?,
    }
    app.close().await;
    Ok(())
}

fn app() -> Outcome<App> {
    let messages = Registration::new(Messages).publish(|_, channels| channels.channel("everybody"));
    let app = App::builder()
        .service(PATH, messages)
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .build()?;
    Ok(app)
}

/// What is wanted at once is created at once, in one call, as the order of separate calls would be anybody's guess.
async fn publish(app: &App, control: TcpListener) -> Outcome<()> {
    let (mut control, _) = control.accept().await?;
    let mut seq = 0;
    loop {
        let n = wanted(&mut control).await?;
        let data = match n {
            0 => return Ok(()),
            1 => event(seq),
            n => (seq..seq + n).map(event).collect(),
        };
        app.service_at(PATH).create(data).await?;
        seq += n;
    }
}

async fn wanted(control: &mut TcpStream) -> Outcome<u64> {
    Ok(control.read(&mut [0; 4096]).await? as u64)
}

/// Takes every message and keeps none, so that a long run does not measure a growing store.
struct Messages;

impl Service for Messages {
    const METHODS: &'static [&'static str] = &["create"];

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Ok(data)
    }
}
