//! The settings of a node.

use std::time::Duration;

use ipnet::IpNet;

use crate::connections::OutboxLimits;

/// The settings of a node; assign the fields that differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The label of the node in logs and in `peers()`; `node` by default. It is never used to tell nodes apart.
    pub name: String,
    /// Answers as Feathers does where wingbeat knows better: 500 for bad JSON and oversize bodies, and the text of foreign
    /// errors. Off by default.
    pub feathers_compat: bool,
    /// The path below which the app answers, as `/api`: services, health, and Socket.IO at `/api/socket.io`, which clients
    /// name as their `path`. Empty by default. Under `Router::nest` it stays empty: that takes its prefix off.
    pub prefix: String,
    /// Bytes of a REST body; 100 KiB by default, as Express has it.
    pub max_body: usize,
    /// Bytes of a message from a socket, and of what one request of long-polling carries either way; 1,000,000 by default,
    /// as Engine.IO has it.
    pub max_message: usize,
    /// Time between two pings to a socket, and between two comments in server-sent events; 25 s by default.
    pub ping_interval: Duration,
    /// Time that a socket has to answer a ping; 20 s by default.
    pub ping_timeout: Duration,
    /// Time that a socket has to connect its namespace; 45 s by default.
    pub connect_timeout: Duration,
    /// Time that the app's code in [`on_handshake`](crate::AppBuilder::on_handshake), all of it together, has to let a client in;
    /// 10 s by default. Then its future is dropped and the client is told 503: a database that hangs keeps no handshakes open.
    pub handshake_timeout: Duration,
    /// Time that a client that polls has to change to a websocket once it has begun to; 10 s by default.
    pub upgrade_timeout: Duration,
    /// Time that a client has to send the header of a request, and that a connection may stay open between two; 10 s by
    /// default.
    pub header_timeout: Duration,
    /// Time that a client has to send the body of a REST request; 30 s by default. Then it is told 408.
    pub body_timeout: Duration,
    /// Where plain websockets connect; `/ws` by default, and nowhere if it is empty. A service at that very path goes before.
    pub websocket_path: String,
    /// Where server-sent events are; `/events` by default, and nowhere if it is empty. A service at that very path goes
    /// before.
    pub events_path: String,
    /// Time that a [ticket](crate::App::tickets) is good for; 30 s by default.
    pub ticket_lifetime: Duration,
    /// Connections that the node accepts at once; 100,000 by default. Further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Clients of Socket.IO, websockets and server-sent events that may come from one address, or from one /64 of IPv6; no limit
    /// by default. Further handshakes are answered with 429.
    pub max_connections_per_address: Option<usize>,
    /// Networks of proxies whose `X-Forwarded-For` is believed when addresses are counted; none by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Messages a second that one socket may send: packets and attachments of Socket.IO over either transport, messages of a
    /// plain websocket, and the control frames of both. No limit by default, since what is normal is the app's: memory and
    /// open calls of a client are bounded without it. A client may send those of ten seconds at once. Who sends more is closed
    /// with 1008, a plain websocket with 4429; a request of long-polling is told 429.
    pub max_messages_per_second: Option<usize>,
    /// Bytes a second that one socket may send, with all that its transport adds to them; no limit by default, as for messages.
    /// A client may send those of ten seconds at once, or twice `max_message` if that is more, and is closed as for too many
    /// messages.
    pub max_bytes_per_second: Option<usize>,
    /// Services and events that one stream of server-sent events may name, added up; 100 by default, and 1 at least. Each event
    /// that happens is looked up among them. More are answered with 400. Sockets name nothing: they hear what their channels get.
    pub max_subscriptions: usize,
    /// Calls of one socket that may run at once; 256 by default. At the bound its messages wait.
    pub max_open_calls: usize,
    /// How much may wait for one client.
    pub outbox: OutboxLimits,
    /// Origins, besides the node's own, from which handshakes with cookies are taken, as `https://app.example`; pages from
    /// these may long-poll, too.
    pub allowed_origins: Vec<String>,
    /// Makes `/ready` answer 503 whenever sync is not `Ready`; off by default, since one outage of the broker would take
    /// every node out of the balancer.
    pub strict_readiness: bool,
    /// Time that each step of a shutdown may take; 30 s by default.
    pub shutdown_deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "node".to_owned(),
            feathers_compat: false,
            prefix: String::new(),
            max_body: 100 << 10,
            max_message: 1_000_000,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(45),
            handshake_timeout: Duration::from_secs(10),
            upgrade_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            websocket_path: "/ws".to_owned(),
            events_path: "/events".to_owned(),
            ticket_lifetime: Duration::from_secs(30),
            max_connections: 100_000,
            max_connections_per_address: None,
            trusted_proxies: Vec::new(),
            max_messages_per_second: None,
            max_bytes_per_second: None,
            max_subscriptions: 100,
            max_open_calls: 256,
            outbox: OutboxLimits::default(),
            allowed_origins: Vec::new(),
            strict_readiness: false,
            shutdown_deadline: Duration::from_secs(30),
        }
    }
}
