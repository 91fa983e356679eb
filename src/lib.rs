//! Carries service events to every interested client of every node, in the wire formats of Feathers.
//!
//! ```text
//! request ─► transport ─► service ─► hooks ─► event ─► sync/outbound ─► adapter ─► broker
//!                                                                                    │
//! client ◄─ connections ◄─ channels ◄──────────────── sync/inbound ◄──── adapter ◄───┘
//! ```
//!
//! | stage | module | what it does |
//! |---|---|---|
//! | 1 | [`transport`] | bytes ↔ calls: REST, Socket.IO, plain websockets, server-sent events, health |
//! | 2 | [`service`] | what a call means: services, methods, params, routing |
//! | 3 | [`hooks`] | around, before, after and error hooks |
//! | 4 | [`event`] | what happened, and who listens in this process |
//! | 5 | [`sync`] | between nodes: order, replay, repair |
//! | 6 | [`channels`] | who should hear it |
//! | 7 | [`connections`] | who is there, and the queues that lead to them |
//!
//! The module `testing`, of the feature of that name, is for the tests of apps: a cluster in one process and clients that speak
//! Feathers.
//!
//! A program of ten lines:
//!
//! ```no_run
//! use wingbeat::{App, Memory};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = App::builder()
//!     .service("messages", Memory::new())
//!     .on_connection(|connection, app| app.channel("everybody").join(connection))
//!     .publish(|_event, channels| channels.channel("everybody"))
//!     .sync_uri("memory://example")
//!     .build()?;
//! app.serve("127.0.0.1:3030").await?;
//! # Ok(())
//! # }
//! ```
//!
//! With types in place of JSON, end to end, it is [`App::service`] and a [`TypedService`]; [`service::typed`] begins with an
//! example. The programs `hello`, `hooks`, `channels` and `sse` in `examples/` each show one thing.

// In the order in which data runs through them.
mod app;

pub mod transport;

pub mod service;

pub mod hooks;

pub mod event;

pub mod sync;

pub mod channels;

pub mod connections;

#[cfg(feature = "__bench")]
#[doc(hidden)]
pub mod benching;
pub mod error;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzzing;
mod json;
pub mod stores;
mod tasks;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
mod words;

#[cfg(test)]
mod simulation;

pub use app::{App, AppBuilder, AppHandle, AppStats, BuildError, Config, Leftover};
pub use error::Error;
pub use event::Event;
pub use hooks::HookContext;
pub use service::typed::{ServiceType, Typed, TypedService};
pub use service::{Call, Method, Params, Service};
pub use stores::Memory;
pub use transport::observe::{EventLayer, Events, Exchange, ObservedRoute, SkipEvent, SkipSync};
pub use wingbeat_adapter::SyncAdapter;

/// Keeps the programs of the README true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Keeps the programs of the guide true.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/existing-axum-servers.md")]
struct AxumGuide;

/// Keeps the programs of the guide true.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/guide/adapters.md")]
#[doc = include_str!("../docs/guide/from-feathers-sync.md")]
#[doc = include_str!("../docs/guide/getting-started.md")]
#[doc = include_str!("../docs/guide/load-balancers.md")]
#[doc = include_str!("../docs/guide/mixed-clusters.md")]
#[doc = include_str!("../docs/guide/security.md")]
struct Guide;

/// Keeps the programs of the page about server-sent events true.
#[cfg(doctest)]
#[doc = include_str!("../docs/sse.md")]
struct ServerSentEvents;

/// Keeps the tests of the guide true.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../docs/guide/delivery-and-ordering.md")]
#[doc = include_str!("../docs/guide/testing.md")]
struct TestingGuide;
