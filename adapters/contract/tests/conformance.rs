//! The memory broker keeps the contract.

use std::sync::Arc;

use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};
use wingbeat_adapter::{BoxFuture, MemoryBroker, SyncAdapter, SyncError};

struct Memory(MemoryBroker);

impl Harness for Memory {
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        facts.can_kill = true;
        facts
    }

    fn adapter(&self, _access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError> {
        Ok(Arc::new(self.0.clone()))
    }

    fn holdings(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.0.links() })
    }

    fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match fault {
                Fault::Kill => self.0.cut(),
                Fault::Start => self.0.heal(),
                other => unreachable!("{other:?} is not promised"),
            }
        })
    }
}

wingbeat_adapter::conformance!(Memory(MemoryBroker::new()));
