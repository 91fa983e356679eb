//! Links by each broker's own client library, used as its documentation shows: what is there without an adapter.

mod amqp;
mod nats;
mod redis;

use std::error::Error;

use wingbeat_adapter::{ErrorKind, Lane, Link, LinkOptions, SyncError};

use crate::Outcome;
use crate::bare::TOPIC;

/// Opens a link to a broker with the client library for it.
pub(crate) async fn open(uri: &str) -> Outcome<Link> {
    let options = LinkOptions::new(TOPIC);
    match uri.split("://").next() {
        Some("redis") => redis::open(uri, options).await,
        Some("amqp") => amqp::open(uri, options).await,
        Some("nats") => nats::open(uri, options).await,
        _ => Err(format!("no client library for {uri}").into()),
    }
}

/// What a client library says went wrong.
fn failed(error: impl Error + Send + Sync + 'static) -> SyncError {
    SyncError::new(ErrorKind::Unavailable, "the client library failed").caused_by(error)
}

fn lane_of(topic: &str, options: &LinkOptions) -> Lane {
    match topic == options.topic {
        true => Lane::Events,
        false => Lane::Control,
    }
}
