//! Brokers of our own on free ports of the loopback address; each ends with its owner.

#[path = "../../../../tests/it/support/nats.rs"]
mod nats;
#[path = "../../../../tests/it/support/rabbitmq.rs"]
mod rabbitmq;
mod redis;

use crate::Outcome;
use crate::guard::Guard;
use crate::process::{Cpu, cpu_of};
use nats::NatsServer;
use rabbitmq::RabbitMq;
use redis::Redis;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    RabbitMq,
    Nats,
}

pub(crate) enum Broker {
    Redis(Redis),
    /// It has a guard of its own.
    RabbitMq(RabbitMq),
    Nats(
        NatsServer,
        #[expect(dead_code, reason = "it waits for its end")] Guard,
    ),
}

impl Broker {
    pub(crate) fn start(kind: Kind) -> Outcome<Self> {
        Ok(match kind {
            Kind::Redis => Self::Redis(Redis::start()?),
            Kind::RabbitMq => Self::RabbitMq(RabbitMq::start()),
            Kind::Nats => {
                let server = NatsServer::start();
                let guard = Guard::of(server.pid())?;
                Self::Nats(server, guard)
            }
        })
    }

    pub(crate) fn uri(&self) -> String {
        match self {
            Self::Redis(server) => server.uri(),
            Self::RabbitMq(server) => server.uri(),
            Self::Nats(server, _) => server.uri(),
        }
    }

    pub(crate) fn cpu(&self) -> Outcome<Cpu> {
        cpu_of(match self {
            Self::Redis(server) => server.pid(),
            Self::RabbitMq(server) => server.pid(),
            Self::Nats(server, _) => server.pid(),
        })
    }
}
