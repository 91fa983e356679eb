//! The adapter keeps the contract, on a NATS server of each check's own.

#[path = "../../../tests/it/support/nats.rs"]
mod nats_server;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nats_server::NatsServer;
use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};
use wingbeat_adapter::{BoxFuture, SyncAdapter, SyncError};
use wingbeat_nats::NatsAdapter;

struct Nats(Mutex<NatsServer>);

impl Nats {
    fn new() -> Self {
        let users = format!("authorization {{ user: node, password: {PASSWORD:?} }}");
        Self(Mutex::new(NatsServer::start_with(&users)))
    }

    fn with<T>(&self, act: impl FnOnce(&mut NatsServer) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Harness for Nats {
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        facts.port = Some(self.with(|server| server.port()));
        facts.password = Some(PASSWORD.to_owned());
        facts.heartbeat = HEARTBEAT;
        facts.can_kill = true;
        facts.can_freeze = true;
        facts
    }

    fn adapter(&self, access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError> {
        let Access { port, password, .. } = access;
        let uri = format!("nats://node:{password}@127.0.0.1:{port}");
        Ok(Arc::new(NatsAdapter::from_uri(&uri)?))
    }

    fn holdings(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.with(|server| server.holdings()) })
    }

    fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.with(|server| match fault {
                Fault::Kill => server.kill(),
                Fault::Start => server.restart(),
                Fault::Freeze => server.freeze(),
                Fault::Thaw => server.thaw(),
                other => unreachable!("{other:?} is not promised"),
            });
        })
    }
}

wingbeat_adapter::conformance!(Nats::new());

const PASSWORD: &str = "open-sesame";
/// As `docs.md` says.
const HEARTBEAT: Duration = Duration::from_millis(4_800);
