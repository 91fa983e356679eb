//! The adapter keeps the contract, on a Redis server of each check's own.

#[path = "../../../tests/it/support/redis.rs"]
mod redis_server;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis_server::RedisServer;
use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};
use wingbeat_adapter::{BoxFuture, SyncAdapter, SyncError};
use wingbeat_redis::RedisAdapter;

struct Redis(Mutex<RedisServer>);

impl Redis {
    fn new() -> Self {
        let server = RedisServer::start_with(&["--requirepass", PASSWORD]);
        Self(Mutex::new(server))
    }

    fn with<T>(&self, act: impl FnOnce(&mut RedisServer) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Harness for Redis {
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
        let uri = format!("redis://:{password}@127.0.0.1:{port}");
        Ok(Arc::new(RedisAdapter::from_uri(&uri)?))
    }

    /// Connections, without the one that asks.
    fn holdings(&self) -> BoxFuture<'_, usize> {
        const LIST: [&str; 5] = ["--no-auth-warning", "-a", PASSWORD, "client", "list"];
        Box::pin(async { self.with(|server| server.cli(&LIST).lines().count() - 1) })
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

wingbeat_adapter::conformance!(Redis::new());

const PASSWORD: &str = "open-sesame";
/// As `docs.md` says.
const HEARTBEAT: Duration = Duration::from_millis(4_300);
