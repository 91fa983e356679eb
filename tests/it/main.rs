//! Tests of the public API, over real HTTP and websockets, with nodes in one process.

// Helpers of tests are tests, which those rules are not made for.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod bus;
mod channels;
mod codec;
#[cfg(unix)]
mod doors;
mod events;
mod examples;
#[cfg(all(feature = "amqp", feature = "nats", feature = "redis"))]
mod guide;
mod handshakes;
mod hostile;
mod identity;
#[cfg(feature = "redis")]
mod joining;
#[cfg(feature = "redis")]
mod leftovers;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(unix)]
mod mount;
#[cfg(unix)]
mod observe;
#[cfg(feature = "redis")]
mod outage;
mod rates;
mod rest;
mod sealed;
#[cfg(feature = "redis")]
mod secrets;
mod serve;
mod socketio;
mod sse;
mod support;
mod sync;
#[cfg(feature = "testing")]
mod testing;
mod texts;
mod tracing;
mod typed;
mod websocket;
