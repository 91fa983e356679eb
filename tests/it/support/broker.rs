//! The brokers that the same tests and measurements run over.

// Shared by two binaries, neither of which uses all of it.
#![allow(dead_code, unused_imports, unused_macros)]

use std::collections::BTreeSet;

#[cfg(feature = "nats")]
pub(crate) use super::nats::NatsServer;
#[cfg(feature = "amqp")]
pub(crate) use super::rabbitmq::RabbitMq;
pub(crate) use super::redis::RedisServer;

/// A server that a test owns, breaks and asks.
pub(crate) trait Broker: Sized {
    const NAME: &str;
    /// What stays on it by design when every node that ever was there is gone, see the adapter's `docs.md`.
    const STAYS: &[&str] = &[];

    /// The threads and open files that the client library keeps for as long as the process lives, however many links there
    /// were, see there.
    const KEEPS: [usize; 2] = [0, 0];

    fn start() -> Self;

    fn port(&self) -> u16;

    fn pid(&self) -> u32;

    /// The URI of whatever stands at a port for a server of this kind.
    fn uri_at(port: u16) -> String;

    fn uri(&self) -> String {
        Self::uri_at(self.port())
    }

    /// Kills the process with SIGKILL.
    fn kill(&mut self);

    /// Starts the process again and waits until it accepts connections.
    fn restart(&mut self);

    /// Stops the process with SIGSTOP: its sockets stay open and nothing answers.
    fn freeze(&self);

    fn thaw(&self);

    /// Names all that a node could leave there; what there is much of by its number.
    fn holdings(&self) -> BTreeSet<String>;
}

/// Lets a trait's methods be those that the server has already.
macro_rules! as_before {
    ($server:ident) => {
        fn start() -> Self {
            $server::start()
        }

        fn port(&self) -> u16 {
            $server::port(self)
        }

        fn pid(&self) -> u32 {
            $server::pid(self)
        }

        fn kill(&mut self) {
            $server::kill(self);
        }

        fn restart(&mut self) {
            $server::restart(self);
        }

        fn freeze(&self) {
            $server::freeze(self);
        }

        fn thaw(&self) {
            $server::thaw(self);
        }
    };
}

impl Broker for RedisServer {
    const NAME: &str = "Redis";

    as_before!(RedisServer);

    fn uri_at(port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }

    fn holdings(&self) -> BTreeSet<String> {
        let clients = self.cli(&["client", "list"]).lines().count();
        let channels = self.cli(&["pubsub", "channels"]);
        let channels = channels.lines().filter(|line| !line.is_empty());
        channels
            .map(|channel| format!("channel {channel}"))
            .chain([format!("clients {clients}")])
            .collect()
    }
}

#[cfg(feature = "amqp")]
impl Broker for RabbitMq {
    const NAME: &str = "RabbitMQ";
    const STAYS: &[&str] = &["exchange feathers-sync", "exchange feathers-sync.wb"];
    const KEEPS: [usize; 2] = [1, 4];

    as_before!(RabbitMq);

    fn uri_at(port: u16) -> String {
        super::rabbitmq::uri_at(port)
    }

    fn holdings(&self) -> BTreeSet<String> {
        let counted = [
            ("connections", "rabbit_networking:connections()"),
            ("channels", "rabbit_channel:list()"),
            ("queues", "rabbit_amqqueue:list(<<\"/\">>)"),
            ("bindings", "rabbit_binding:list(<<\"/\">>)"),
        ];
        let counted = counted.map(|(what, list)| {
            let n = self.count(&format!("length({list})"));
            format!("{what} {n}")
        });
        // The record of an exchange begins with its name, and that of a name ends with the text.
        let names = "[element(4, element(2, E)) || E <- rabbit_exchange:list(<<\"/\">>)]";
        let names = self.eval(names);
        // `[<<"a">>,<<"b">>]`
        let names = names.split('"').skip(1).step_by(2);
        names
            .map(|name| format!("exchange {name}"))
            .chain(counted)
            .collect()
    }
}

#[cfg(feature = "nats")]
impl Broker for NatsServer {
    const NAME: &str = "NATS";

    as_before!(NatsServer);

    fn uri_at(port: u16) -> String {
        format!("nats://127.0.0.1:{port}")
    }

    fn holdings(&self) -> BTreeSet<String> {
        let answers = self.ask("/connz") + &self.ask("/subsz");
        let is_count = |line: &&str| {
            let counts = ["\"num_connections\"", "\"num_subscriptions\""];
            counts.iter().any(|count| line.starts_with(count))
        };
        let lines = answers.lines().map(str::trim);
        lines.filter(is_count).map(str::to_owned).collect()
    }
}

/// Makes a test of each function over each broker, in a module of the broker's name; one that is `long` there runs when it
/// is asked for.
///
/// ```text
/// function: over Redis, over RabbitMQ, over NATS;
/// ```
macro_rules! over_brokers {
    ($($test:ident: $redis:ident, $rabbitmq:ident, $nats:ident;)+) => {
        mod redis {
            $($crate::support::broker::test_over!($redis, $test, RedisServer);)+
        }

        #[cfg(feature = "amqp")]
        mod rabbitmq {
            $($crate::support::broker::test_over!($rabbitmq, $test, RabbitMq);)+
        }

        #[cfg(feature = "nats")]
        mod nats {
            $($crate::support::broker::test_over!($nats, $test, NatsServer);)+
        }
    };
}

macro_rules! test_over {
    (always, $test:ident, $broker:ident) => {
        $crate::support::broker::test_over!(@ $test, $broker);
    };
    (long, $test:ident, $broker:ident) => {
        $crate::support::broker::test_over!(@ #[ignore = "long; scripts/faults.sh runs it"] $test, $broker);
    };
    (@ $(#[$ignored:meta])? $test:ident, $broker:ident) => {
        $(#[$ignored])?
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            super::$test::<$crate::support::broker::$broker>().await;
        }
    };
}

pub(crate) use {over_brokers, test_over};
