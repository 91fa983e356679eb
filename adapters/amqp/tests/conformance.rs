//! The adapter keeps the contract, on real RabbitMQ servers.
//!
//! A server takes seconds to start. So the checks share one, each in a virtual host of its own; those that kill or freeze
//! theirs have one for themselves.

#[path = "../../../tests/it/support/rabbitmq.rs"]
mod rabbitmq;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rabbitmq::{PASSWORD, RabbitMq, USER};
use wingbeat_adapter::conformance::{Access, Facts, Fault, Harness};
use wingbeat_adapter::{BoxFuture, SyncAdapter, SyncError};
use wingbeat_amqp::AmqpAdapter;

struct Rabbit {
    server: Server,
    vhost: String,
}

enum Server {
    Shared(&'static RabbitMq),
    Own(RabbitMq),
}

impl Rabbit {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let server = Server::new();
        let vhost = format!("v{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.rabbit().add_vhost(&vhost);
        Self { server, vhost }
    }
}

impl Server {
    /// The name of the test's thread is that of the check; without threads, there is nobody to share with.
    fn new() -> Self {
        static SHARED: OnceLock<RabbitMq> = OnceLock::new();
        let thread = std::thread::current();
        let check = thread.name().unwrap_or_default();
        let hurts = ["killed", "frozen"].iter().any(|word| check.contains(word));
        if hurts || !check.starts_with("clause_") {
            return Self::Own(RabbitMq::start());
        }
        Self::Shared(SHARED.get_or_init(RabbitMq::start))
    }

    fn rabbit(&self) -> &RabbitMq {
        match self {
            Self::Shared(rabbit) => rabbit,
            Self::Own(rabbit) => rabbit,
        }
    }
}

impl Harness for Rabbit {
    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        facts.port = Some(self.server.rabbit().port());
        facts.password = Some(PASSWORD.to_owned());
        facts.heartbeat = HEARTBEAT;
        facts.can_kill = true;
        facts.can_freeze = true;
        facts
    }

    fn adapter(&self, access: &Access) -> Result<Arc<dyn SyncAdapter>, SyncError> {
        let Access { port, password, .. } = access;
        let vhost = &self.vhost;
        let uri = format!("amqp://{USER}:{password}@127.0.0.1:{port}/{vhost}");
        Ok(Arc::new(AmqpAdapter::from_uri(&uri)?))
    }

    fn holdings(&self) -> BoxFuture<'_, usize> {
        Box::pin(async { self.server.rabbit().holdings(&self.vhost) })
    }

    fn inflict(&self, fault: Fault) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Server::Own(rabbit) = &self.server else {
                panic!("a check that does {fault:?} is to have a server of its own");
            };
            match fault {
                Fault::Kill => rabbit.kill(),
                Fault::Start => rabbit.restart(),
                Fault::Freeze => rabbit.freeze(),
                Fault::Thaw => rabbit.thaw(),
                other => unreachable!("{other:?} is not promised"),
            }
        })
    }
}

wingbeat_adapter::conformance!(Rabbit::new());

/// As `docs.md` says.
const HEARTBEAT: Duration = Duration::from_secs(15);
