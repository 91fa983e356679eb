//! A Redis that keeps nothing.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::guard::Guard;

/// A server that ends with its owner.
pub(crate) struct Redis {
    /// It goes before the server, whose number may be somebody else's afterwards.
    guard: Option<Guard>,
    child: Child,
    port: u16,
}

impl Redis {
    pub(super) fn start() -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--port",
                &port.to_string(),
            ])
            .stdout(Stdio::null())
            .spawn()?;
        let guard = Guard::of(child.id())?;
        let broker = Self {
            guard: Some(guard),
            child,
            port,
        };
        let late = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > late {
                return Err("redis-server does not listen".into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }

    pub(super) fn uri(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.guard.take();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
