//! Events of paths without a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells whether events of paths without a service are taken, from this node and from others; clones are the same switch.
///
/// Whoever emits beside the services turns it on, and it stays on.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenPaths(Arc<AtomicBool>);

impl OpenPaths {
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Tells whether events of a path without a service are taken. What the service at `authentication` does never leaves
    /// a node, so nothing comes in for it either.
    pub(crate) fn take(&self, path: &str) -> bool {
        self.0.load(Ordering::Relaxed) && path != "authentication"
    }
}
