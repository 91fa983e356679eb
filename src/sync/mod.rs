//! 5 · Between nodes.
mod context;
mod options;
mod uri;
pub mod wip {}
use crate::channels::Dispatch;
use crate::event::Event;
use crate::tasks::Tasks;
pub use options::{Codec, Delivery, SyncOptions};
use std::sync::Arc;
pub(crate) use uri::Schemes;
use wingbeat_adapter::SyncAdapter;
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId([u8; 16]);
/// x
#[derive(Debug)]
pub struct Sync {
    dispatch: Dispatch,
}
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// x
    Off,
    /// x
    Ready,
}
pub(crate) struct SyncParts {
    pub(crate) adapter: Arc<dyn SyncAdapter>,
    pub(crate) options: SyncOptions,
}
impl SyncParts {
    pub(crate) fn new(adapter: Arc<dyn SyncAdapter>, options: SyncOptions) -> Self {
        Self { adapter, options }
    }
}
pub(crate) struct Emission {
    pub(crate) event: Event,
    pub(crate) is_synced: bool,
}
impl Sync {
    pub(crate) fn new(_: Option<SyncParts>, _: &str, dispatch: Dispatch) -> Self {
        Self { dispatch }
    }
    pub(crate) fn start(&self, _: &Tasks, _: Arc<dyn Fn(&str) -> bool + Send + std::marker::Sync>) {
    }
    /// x
    pub fn status(&self) -> Status {
        Status::Off
    }
    pub(crate) async fn emit(&self, events: Vec<Emission>) {
        if let Some(position) = self.emit_now(events) {
            self.dispatch.heard(position).await;
        }
    }
    pub(crate) fn emit_now(&self, events: Vec<Emission>) -> Option<u64> {
        let mut p = None;
        for e in events {
            p = Some(self.dispatch.push(e.event));
        }
        p
    }
    pub(crate) async fn close_within(&self, _: std::time::Duration) -> usize {
        0
    }
}
