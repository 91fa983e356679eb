use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Stands between an adapter and a broker on 127.0.0.1, and hurts their connections on command.
///
/// It has a thread and a runtime of its own, so a test may pause its clock or block. It ends on drop, and with it every
/// connection that goes through.
///
/// | command | what both ends see | undone by |
/// |---|---|---|
/// | [`cut`](Self::cut) | a reset, now and at each new attempt | [`heal`](Self::heal) |
/// | [`cut_one`](Self::cut_one) | a reset of one connection | |
/// | [`stall`](Self::stall) | silence: nothing passes, nothing closes | [`resume`](Self::resume) |
/// | [`half_open`](Self::half_open) | silence in one direction | [`resume`](Self::resume) |
/// | [`slow`](Self::slow) | every piece comes late | [`resume`](Self::resume) |
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use wingbeat_adapter::conformance::Proxy;
///
/// let broker = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = Proxy::start(broker.local_addr()?.port());
/// let mut client = TcpStream::connect(("127.0.0.1", proxy.port()))?;
/// client.write_all(b"hello")?;
///
/// let mut heard = [0; 5];
/// let (mut end, _) = broker.accept()?;
/// end.read_exact(&mut heard)?;
/// assert_eq!(&heard, b"hello");
///
/// proxy.cut();
/// assert!(client.read(&mut heard).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    open: Open,
    thread: Option<JoinHandle<()>>,
}

/// Names the way that bytes go through a [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Direction {
    /// What the adapter sends.
    ToBroker,
    /// What the broker sends.
    FromBroker,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes every connection on to `target_port`.
    ///
    /// # Panics
    ///
    /// If the operating system gives out no port.
    #[must_use]
    pub fn start(target_port: u16) -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a fresh socket");
        let port = listener.local_addr().expect("a bound socket").port();
        let (sender, state) = watch::channel(State::default());
        let open = Open::default();
        let carrier = Carrier {
            target_port,
            state,
            open: Arc::clone(&open),
        };
        Self {
            port,
            state: sender,
            open,
            thread: Some(std::thread::spawn(move || serve(listener, carrier))),
        }
    }

    /// Returns the port that stands for the broker's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the connections that go through now, by the numbers that they got when they were opened.
    #[must_use]
    pub fn connections(&self) -> Vec<u64> {
        self.open.lock().iter().copied().collect()
    }

    /// Resets every connection, and from now on each new one. The listener stays, so that nobody can take its port.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.is_cut = true;
            state.cuts += 1;
        });
    }

    /// Resets the one of [`connections`](Self::connections) that has this number.
    pub fn cut_one(&self, connection: u64) {
        self.state.send_modify(|state| {
            state.victims.insert(connection);
        });
    }

    /// Lets new connections through again after [`cut`](Self::cut).
    pub fn heal(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }

    /// Lets no byte through in either direction while connections stay open: a peer that is silent without being gone.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.stalled = [true; 2]);
    }

    /// Lets no byte through in one direction while the other goes on: a link that is deaf, or mute.
    pub fn half_open(&self, silent: Direction) {
        self.state
            .send_modify(|state| state.stalled[silent as usize] = true);
    }

    /// Holds every piece back for this long; a piece is what one read returns, 64 KiB at most.
    pub fn slow(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Lets what waited through, and everything at full speed, after [`stall`](Self::stall),
    /// [`half_open`](Self::half_open) and [`slow`](Self::slow).
    pub fn resume(&self) {
        self.state.send_modify(|state| {
            state.stalled = [false; 2];
            state.delay = Duration::ZERO;
        });
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

type Open = Arc<Mutex<BTreeSet<u64>>>;

#[derive(Debug, Default)]
struct State {
    /// By [`Direction`].
    stalled: [bool; 2],
    delay: Duration,
    is_cut: bool,
    is_over: bool,
    /// How often it was cut: a connection that slept through a cut and its healing still has to go.
    cuts: u64,
    victims: BTreeSet<u64>,
}

/// What it takes to carry one connection.
#[derive(Clone)]
struct Carrier {
    target_port: u16,
    state: watch::Receiver<State>,
    open: Open,
}

/// Counts a connection for as long as it is carried.
struct Counted {
    open: Open,
    number: u64,
}

fn serve(listener: StdListener, carrier: Carrier) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for the proxy");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("a non-blocking socket");
        accept(listener, carrier).await;
    });
}

/// Dropping the set ends the connections that are left.
async fn accept(listener: TcpListener, mut carrier: Carrier) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let client = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = carrier.state.wait_for(|state| state.is_over) => return,
            Some(_) = connections.join_next() => continue,
        };
        if let Ok((client, _)) = client {
            connections.spawn(carrier.clone().carry(client, number));
            number += 1;
        }
    }
}

impl Carrier {
    async fn carry(mut self, mut client: TcpStream, number: u64) {
        let (is_cut, cuts) = {
            let state = self.state.borrow();
            (state.is_cut, state.cuts)
        };
        if is_cut {
            return reset(&client);
        }
        let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target_port)).await
        else {
            return;
        };
        let _counted = Counted::new(&self.open, number);
        let is_over =
            |state: &State| state.is_over || state.cuts != cuts || state.victims.contains(&number);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = pump(from_client, to_server, self.state.clone(), Direction::ToBroker) => return,
            () = pump(from_server, to_client, self.state.clone(), Direction::FromBroker) => return,
            _ = self.state.wait_for(is_over) => {}
        }
        reset(&client);
        reset(&server);
    }
}

impl Counted {
    fn new(open: &Open, number: u64) -> Self {
        open.lock().insert(number);
        Self {
            open: Arc::clone(open),
            number,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
    }
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
    direction: Direction,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if pass(&mut state, direction).await.is_none() {
            return;
        }
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        // What was being read when the stall began waits here.
        let Some(delay) = pass(&mut state, direction).await else {
            return;
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Waits until bytes may pass and returns how late they are to come; None when the proxy is gone.
async fn pass(state: &mut watch::Receiver<State>, direction: Direction) -> Option<Duration> {
    let open = |state: &State| !state.stalled[direction as usize];
    Some(state.wait_for(open).await.ok()?.delay)
}
