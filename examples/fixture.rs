//! The server that outside clients and Node processes are tested against.
//!
//! ```text
//! PORT=4040 SYNC_URI=redis://127.0.0.1:6379 cargo run --example fixture
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | `4040` | where it listens, on the loopback interface; 0 picks a free port |
//! | `SYNC_URI` | none | the broker; without it the node is alone |
//! | `SYNC_KEY` | `feathers-sync` | the topic |
//! | `SYNC_CODEC` | `json` | the encoding of envelopes |
//! | `SYNC_DELIVERY` | `ordered` | `ordered` or `local_first` |
//! | `SYNC_NODE_PATHS` | none | the services that Node processes have, with commas between |
//! | `NODE_NAME` | `fixture` | the label of the node |
//! | `PREFIX` | none | the path below which it answers |
//! | `MAX_MESSAGES_PER_SECOND` | none | how many messages one socket may send |
//! | `FEATHERS_COMPAT` | `true` | `false` is the default of apps: what clients do wrong is 4xx, foreign errors are hidden |

// Tests wait for the line that says where it listens.
#![allow(clippy::print_stdout)]

#[path = "fixture/emits.rs"]
mod emits;
#[path = "fixture/hooked.rs"]
mod hooked;
#[path = "fixture/json.rs"]
mod json;
#[path = "fixture/people.rs"]
mod people;
#[path = "fixture/records.rs"]
mod records;
#[path = "fixture/sessions.rs"]
mod sessions;
#[path = "fixture/shows.rs"]
mod shows;

use std::env;

use serde_json::{Value, json};
use wingbeat::error::Result;
use wingbeat::hooks::{All, RegisterHooks};
use wingbeat::service::Registration;
use wingbeat::sync::SyncOptions;
use wingbeat::{App, AppBuilder, Config, HookContext, Method};

use emits::{SyncPage, events, stateless};
use json::object;
use records::Stores;
use shows::{Echo, Errs, GetOnly, Http, Returns, Verify, http_hook};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let app = with_sync(services(App::builder()).config(config()))?.build()?;
    let listener =
        tokio::net::TcpListener::bind(("127.0.0.1", setting("PORT", "4040").parse()?)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(app.serve_until_told(listener).await?)
}

fn config() -> Config {
    let mut config = Config::default();
    config.name = setting("NODE_NAME", "fixture");
    config.prefix = setting("PREFIX", "");
    config.feathers_compat = setting("FEATHERS_COMPAT", "true") == "true";
    config.max_messages_per_second = setting("MAX_MESSAGES_PER_SECOND", "").parse().ok();
    config
}

fn with_sync(builder: AppBuilder) -> Result<AppBuilder, Box<dyn std::error::Error>> {
    let mut options = SyncOptions::default();
    options.key = setting("SYNC_KEY", &options.key);
    options.codec = setting("SYNC_CODEC", "json").parse()?;
    options.delivery = setting("SYNC_DELIVERY", "ordered").parse()?;
    let paths = setting("SYNC_NODE_PATHS", "");
    let builder = builder
        .sync_options(options)
        .node_peers(paths.split(',').filter(|path| !path.is_empty()));
    Ok(match env::var("SYNC_URI") {
        Ok(uri) if !uri.is_empty() => builder.sync_uri(uri),
        _ => builder,
    })
}

fn services(builder: AppBuilder) -> AppBuilder {
    let stores = Stores::default();
    stores.reset().expect("the initial records are objects");
    let crud = Method::STANDARD;
    stores
        .services(hooked::hooked(builder))
        .service("revoked", sessions::revoked())
        .service("todo", stateless())
        .service("tasks", stateless())
        .service("verify", Verify)
        .service("echo", Echo)
        .service("org/:orgId/items", Registration::new(Echo).methods(crud))
        .service(
            "a/:x/b/:y",
            Registration::new(Echo)
                .methods(crud)
                .route_params(object(json!({ "preset": "yes" }))),
        )
        .service("getonly", GetOnly)
        .service("returns", Returns)
        .service("errs", Errs)
        .service(
            "http",
            Registration::new(Http).after(All, |context| Box::pin(async { http_hook(context) })),
        )
        .service("ev", events())
        .service("sync", SyncPage::default())
        .service(
            "harness",
            Registration::new(stores).after(All, |context| Box::pin(async { no_event(context) })),
        )
        .on_request(|parts, params| {
            if let Some(value) = parts
                .headers
                .get("authorization")
                .and_then(|value| value.to_str().ok())
            {
                params
                    .properties
                    .insert("authorization".to_owned(), value.into());
            }
        })
        .on_connection(|connection, channels| {
            connection.set_property("user", json!({ "name": "David" }));
            channels.channel("general").join(connection);
            if let Some(channel) = connection.query().get("channel").and_then(Value::as_str) {
                connection.set_property("channel", channel.into());
                channels.channel(channel).join(connection);
            }
        })
        .publish(|_, channels| channels.channel("general"))
        .before(All, |context| Box::pin(async { nosync_hook(context) }))
}

/// A call with `nosync` in its query keeps its events with the clients of this node.
fn nosync_hook(context: &mut HookContext) -> Result<()> {
    if context.params.query.shift_remove("nosync").is_some() {
        context.sync(false);
    }
    Ok(())
}

fn no_event(context: &mut HookContext) -> Result<()> {
    context.event = None;
    Ok(())
}

fn setting(name: &str, default: &str) -> String {
    env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned())
}
