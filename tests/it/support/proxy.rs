//! A TCP proxy that breaks connections on command.

// Shared by two test binaries, neither of which uses all of it.
#![allow(dead_code)]

use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Stands between a client and a server on 127.0.0.1. It has a thread and a runtime of its own, so a test may pause
/// its clock or block. It ends on drop.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    mode: Arc<watch::Sender<Mode>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Bytes pass.
    Open,
    /// Connections stay, bytes wait.
    Stalled,
    /// Connections are reset, new ones as soon as they are accepted.
    Cut,
    /// The proxy goes.
    Over,
}

impl Proxy {
    /// Listens on a free port and passes every connection on to `target_port`.
    pub fn start(target_port: u16) -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a fresh socket");
        let port = listener.local_addr().expect("a bound socket").port();
        let (sender, mode) = watch::channel(Mode::Open);
        let thread = std::thread::spawn(move || serve(listener, target_port, mode));
        Self {
            port,
            mode: Arc::new(sender),
            thread: Some(thread),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Resets every connection, and from now on each new one. The listener stays, so that nobody can take its port.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Lets new connections through again after [`cut`](Self::cut).
    pub fn heal(&self) {
        self.mode.send_replace(Mode::Open);
    }

    /// Lets no byte through in either direction while connections stay open: a half-open peer.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stalled);
    }

    /// Lets what waited through after [`stall`](Self::stall).
    pub fn resume(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.mode.send_replace(Mode::Over);
        if let Some(thread) = self.thread.take() {
            // It panics only when the test itself is failing already.
            let _ = thread.join();
        }
    }
}

fn serve(listener: StdListener, target_port: u16, mode: watch::Receiver<Mode>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for the proxy");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("a non-blocking socket");
        accept(listener, target_port, mode).await;
    });
}

/// Dropping the set ends the connections that are left.
async fn accept(listener: TcpListener, target_port: u16, mut mode: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = mode.wait_for(|mode| *mode == Mode::Over) => return,
            Some(_) = connections.join_next() => continue,
        };
        if let Ok((client, _)) = client {
            connections.spawn(carry(client, target_port, mode.clone()));
        }
    }
}

async fn carry(client: TcpStream, target_port: u16, mut mode: watch::Receiver<Mode>) {
    // A reset, not a polite end: that is what a killed peer looks like.
    let abort = |stream: &TcpStream| {
        let _ = stream.set_zero_linger();
    };
    abort(&client);
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target_port)).await else {
        return;
    };
    abort(&server);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, mode.clone()) => {}
        () = pump(from_server, to_client, mode.clone()) => {}
        _ = mode.wait_for(|mode| matches!(mode, Mode::Cut | Mode::Over)) => {}
    }
}

/// Ends when either side does. While stalled it does not even read, so the sender's buffers fill as they would.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if mode.wait_for(|mode| *mode != Mode::Stalled).await.is_err() {
            return;
        }
        let read = from.read(&mut buffer).await;
        let Ok(length @ 1..) = read else { return };
        // What was read when the stall began waits here.
        if mode.wait_for(|mode| *mode != Mode::Stalled).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
