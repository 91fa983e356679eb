//! For the tests of apps: a cluster in one process, clients that speak Feathers, and waiting for events.
//!
//! It needs the feature `testing`. Nothing in it is a stand-in: the nodes are those of production, they listen on ports of
//! 127.0.0.1, and clients reach them over websockets. Every wait is bounded, five seconds unless set otherwise, and says in its
//! error what was awaited and what came instead.
//!
//! A whole test of an app of three nodes:
//!
//! ```
//! use serde_json::json;
//! use wingbeat::testing::{Cluster, wait_for_event};
//! use wingbeat::{AppBuilder, Memory};
//!
//! /// What `main` builds, too.
//! fn chat(builder: AppBuilder) -> AppBuilder {
//!     builder
//!         .service("messages", Memory::new())
//!         .on_connection(|connection, app| app.channel("everybody").join(connection))
//!         .publish(|_event, channels| channels.channel("everybody"))
//! }
//!
//! # // `#[tokio::test]` in a test.
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::start(3, |builder, _| chat(builder)).await?;
//! let (ada, bob) = (cluster.client(0).await?, cluster.client(2).await?);
//!
//! let heard = wait_for_event(cluster.node(1), "messages", "created");
//! let message = ada.create("messages", json!({ "text": "hi" })).await?;
//! assert_eq!(bob.event("messages", "created").await?, message);
//! assert_eq!(heard.await?.data().value(), &message);
//!
//! let error = bob.get("messages", 99).await.unwrap_err();
//! assert_eq!(error.code(), 404);
//! cluster.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Time has to run: under `start_paused` every wait is over at once.
//!
//! Invariant: nothing here reaches past the public API of the app that it tests, except to stop what a failed test leaves behind
//! and to hear all services.

mod client;
mod cluster;
mod error;
mod hearing;
mod inbox;
mod line;
mod packet;

use std::time::Duration;

pub use client::{Client, ClientCall, ClientEvent, ClientOptions};
pub use cluster::{Cluster, ClusterOptions};
pub use error::TestError;
pub use hearing::{WaitForEvent, wait_for_event};

/// How long a wait takes at most, unless it is told otherwise.
const DEADLINE: Duration = Duration::from_secs(5);
