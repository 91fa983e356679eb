//! wingbeat carries service events to every client of every node.
#![doc = ""]

mod app;
pub mod channels;
pub mod connections;
pub mod error;
pub mod event;
pub mod hooks;
pub mod service;
pub mod stores;
pub mod sync;
mod tasks;
pub mod transport;
mod words;

pub use app::{App, AppBuilder, AppHandle, BuildError, Config, Leftover};
pub use error::Error;
pub use event::Event;
pub use hooks::HookContext;
pub use service::{Call, Method, Params, Service};
pub use stores::Memory;
pub use wingbeat_adapter::SyncAdapter;
