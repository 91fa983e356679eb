//! A wingbeat node on its public API.

use serde_json::{Value, json};
use wingbeat::channels::{Audience as Hearers, Channels};
use wingbeat::connections::Connection;
use wingbeat::error::Result;
use wingbeat::service::{Id, Registration};
use wingbeat::{App, Params, Service};

use super::{announce, listener};
use crate::Outcome;
use crate::frame::PATH;
use crate::shape::{Audience, Shape, VARIANTS, in_variant, turn};
use crate::system::NO_BROKER;

pub(super) async fn serve(uri: &str, shape: Shape) -> Outcome<()> {
    let app = App::builder()
        .service(PATH, messages(shape.audience))
        .on_connection(welcome);
    let has_broker = uri != NO_BROKER;
    let app = if has_broker { app.sync_uri(uri) } else { app };
    let app = app.build()?;
    let listener = listener().await?;
    if has_broker {
        app.sync().ready().await?;
    }
    announce(&listener)?;
    Ok(app.serve_on(listener).await?)
}

/// Joins the channel that a client asks for, or that of all.
fn welcome(connection: &Connection, app: &App) {
    let asked = connection.query().get("channel").and_then(Value::as_str);
    app.channel(asked.unwrap_or("everybody")).join(connection);
}

fn messages(audience: Audience) -> Registration {
    let messages = Registration::new(Messages);
    match audience {
        Audience::Everybody => messages.publish(|_, channels| channels.channel("everybody")),
        Audience::Variants => messages.publish(|event, channels| variants(event.data(), channels)),
        Audience::OneOf(n) => messages.publish(move |event, channels| {
            let seq = event.data()["seq"]
                .as_str()
                .and_then(|seq| seq.parse().ok());
            seq.map(|seq| channels.channel(&turn(seq, n).to_string()))
        }),
        Audience::AllOf(n) => {
            let names: Vec<String> = (0..n).map(|at| at.to_string()).collect();
            messages.publish(move |_, channels| {
                let names = names.iter().map(String::as_str);
                channels.combined(names)
            })
        }
    }
}

/// Gives each channel data of its own.
fn variants(data: &Value, channels: &Channels) -> Hearers {
    let channel = |at: usize| channels.channel(&at.to_string());
    let others = (1..VARIANTS).map(|at| channel(at).send(in_variant(data.clone(), at)));
    std::iter::once(channel(0)).chain(others).collect()
}

/// Takes every message and keeps none, so that a long run does not measure a growing store.
struct Messages;

impl Service for Messages {
    const METHODS: &'static [&'static str] = &["create", "get"];

    async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
        Ok(json!({ "id": id }))
    }

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Ok(data)
    }
}
