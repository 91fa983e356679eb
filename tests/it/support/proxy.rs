//! A TCP proxy that breaks connections on command.

// Shared by two test binaries, neither of which uses all of it.
#![allow(dead_code)]

use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Stands between a client and a server on 127.0.0.1. It has a thread and a runtime of its own, so a test may pause
/// its clock or block. It ends on drop.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    is_stalled: bool,
    is_cut: bool,
    is_over: bool,
    /// How often it was cut: a connection that slept through a cut and its healing still has to go.
    cuts: u64,
}

impl Proxy {
    /// Listens on a free port and passes every connection on to `target_port`.
    pub(crate) fn start(target_port: u16) -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a fresh socket");
        let port = listener.local_addr().expect("a bound socket").port();
        let (sender, state) = watch::channel(State::default());
        let thread = std::thread::spawn(move || serve(listener, target_port, state));
        Self {
            port,
            state: sender,
            thread: Some(thread),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Resets every connection, and from now on each new one. The listener stays, so that nobody can take its port.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| {
            state.is_cut = true;
            state.cuts += 1;
        });
    }

    /// Lets new connections through again after [`cut`](Self::cut).
    pub(crate) fn heal(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }

    /// Lets no byte through in either direction while connections stay open: a half-open peer.
    pub(crate) fn stall(&self) {
        self.state.send_modify(|state| state.is_stalled = true);
    }

    /// Lets what waited through after [`stall`](Self::stall).
    pub(crate) fn resume(&self) {
        self.state.send_modify(|state| state.is_stalled = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.is_over = true);
        if let Some(thread) = self.thread.take() {
            // It panics only when the test itself is failing already.
            let _ = thread.join();
        }
    }
}

fn serve(listener: StdListener, target_port: u16, state: watch::Receiver<State>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for the proxy");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("a non-blocking socket");
        accept(listener, target_port, state).await;
    });
}

/// Dropping the set ends the connections that are left.
async fn accept(listener: TcpListener, target_port: u16, mut state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = state.wait_for(|state| state.is_over) => return,
            Some(_) = connections.join_next() => continue,
        };
        if let Ok((client, _)) = client {
            connections.spawn(carry(client, target_port, state.clone()));
        }
    }
}

async fn carry(mut client: TcpStream, target_port: u16, mut state: watch::Receiver<State>) {
    let State { is_cut, cuts, .. } = *state.borrow();
    if is_cut {
        return reset(&client);
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target_port)).await else {
        return;
    };
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        () = pump(from_client, to_server, state.clone()) => return,
        () = pump(from_server, to_client, state.clone()) => return,
        _ = state.wait_for(|state| state.cuts != cuts) => {}
    }
    reset(&client);
    reset(&server);
}

/// Makes the coming drop a reset instead of a polite end: that is what a killed peer looks like.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// Ends when either side does. While stalled it does not even read, so the sender's buffers fill as they would.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if state.wait_for(|state| !state.is_stalled).await.is_err() {
            return;
        }
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        // What was being read when the stall began waits here.
        if state.wait_for(|state| !state.is_stalled).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
