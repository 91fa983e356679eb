//! The Redis server between the nodes.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Outcome;
use crate::process::{Cpu, cpu_of};

/// A `redis-server` process without persistence on a free port; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Broker {
    child: Child,
    port: u16,
    /// Kept open, as Redis goes on to log a little.
    log: BufReader<ChildStdout>,
}

impl Broker {
    /// Starts Redis and waits until it takes connections.
    pub(crate) fn start() -> Outcome<Self> {
        // Another process may take the port between our look at it and the server's bind.
        let mut broker = Self::start_once();
        for _ in 1..ATTEMPTS {
            broker = broker.or_else(|_| Self::start_once());
        }
        broker
    }

    pub(crate) fn uri(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the CPU time that Redis has used.
    pub(crate) fn cpu(&self) -> Outcome<Cpu> {
        cpu_of(self.child.id())
    }

    fn start_once() -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("redis-server does not start: {error}"))?;
        let log = child.stdout.take().ok_or("a server without output")?;
        let mut broker = Self {
            child,
            port,
            log: BufReader::new(log),
        };
        broker.wait_ready()?;
        Ok(broker)
    }

    fn wait_ready(&mut self) -> Outcome<()> {
        let mut line = String::new();
        while self.log.read_line(&mut line)? > 0 {
            if line.contains("Ready to accept connections") {
                return Ok(());
            }
            line.clear();
        }
        Err("redis-server ended".into())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ATTEMPTS: usize = 5;
