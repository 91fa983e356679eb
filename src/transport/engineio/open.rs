//! The first packet of a session (feathers.md §2.1).

use std::time::Duration;

use serde_json::json;

use crate::app::Config;
use crate::transport::websocket::beats;

/// Writes what a client has to know; `upgrades` are the transports that it may change to.
pub(super) fn packet(config: &Config, sid: &str, upgrades: &[&str]) -> String {
    let (interval, timeout) = beats(config);
    let body = json!({
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": milliseconds(interval),
        "pingTimeout": milliseconds(timeout),
        "maxPayload": config.max_message,
    });
    format!("0{body}")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
