//! A wingbeat node on its public API.

use serde_json::Value;
use wingbeat::error::Result;
use wingbeat::service::Registration;
use wingbeat::{App, Params, Service};

use super::{announce, listener};
use crate::Outcome;
use crate::frame::PATH;

pub(super) async fn serve(uri: &str) -> Outcome<()> {
    let messages = Registration::new(Messages).publish(|_, channels| channels.channel("everybody"));
    let app = App::builder()
        .service(PATH, messages)
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .sync_uri(uri)
        .build()?;
    let listener = listener().await?;
    app.sync().ready().await?;
    announce(&listener)?;
    Ok(app.serve_on(listener).await?)
}

/// Takes every message and keeps none, so that a long run does not measure a growing store.
struct Messages;

impl Service for Messages {
    const METHODS: &'static [&'static str] = &["create"];

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Ok(data)
    }
}
