//! The server: a memory broker with a door to the street.

use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::{Condvar, Mutex};
use tokio::io::BufReader;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wingbeat_adapter::{Inbound, Incoming, Link, LinkOptions, MemoryBroker, Outbound, SyncAdapter};

use super::frame::{self, Kind};

/// Runs on a thread of its own, so that it can be frozen as a whole.
pub(super) struct Server {
    port: u16,
    password: &'static str,
    broker: MemoryBroker,
    order: watch::Sender<Order>,
    frozen: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Serve,
    Freeze,
    Stop,
}

impl Server {
    pub(super) fn start(password: &'static str) -> Self {
        let mut server = Self {
            port: 0,
            password,
            broker: MemoryBroker::new(),
            order: watch::Sender::new(Order::Serve),
            frozen: Arc::default(),
            thread: None,
        };
        server.restart();
        server
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn links(&self) -> usize {
        self.broker.links()
    }

    pub(super) fn restart(&mut self) {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.port = listener.local_addr().unwrap().port();
        self.order.send_replace(Order::Serve);
        let street = Street {
            password: self.password,
            broker: self.broker.clone(),
            frozen: Arc::clone(&self.frozen),
        };
        let order = self.order.subscribe();
        self.thread = Some(std::thread::spawn(move || street.open(listener, order)));
    }

    pub(super) fn kill(&mut self) {
        self.thaw();
        self.order.send_replace(Order::Stop);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub(super) fn freeze(&self) {
        *self.frozen.0.lock() = true;
        self.order.send_replace(Order::Freeze);
    }

    pub(super) fn thaw(&self) {
        *self.frozen.0.lock() = false;
        self.frozen.1.notify_all();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Street {
    password: &'static str,
    broker: MemoryBroker,
    frozen: Arc<(Mutex<bool>, Condvar)>,
}

impl Street {
    fn open(self, listener: StdListener, order: watch::Receiver<Order>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            self.serve(listener, order).await;
        });
    }

    async fn serve(&self, listener: TcpListener, mut order: watch::Receiver<Order>) {
        let mut guests = JoinSet::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    guests.spawn(welcome(stream, self.password, self.broker.clone()));
                }
                Ok(()) = order.changed() => match *order.borrow_and_update() {
                    Order::Serve => {}
                    Order::Freeze => self.sleep(),
                    Order::Stop => return,
                },
                Some(_) = guests.join_next() => {}
            }
        }
    }

    /// Blocks the only thread, so that nothing of the server answers.
    fn sleep(&self) {
        let mut is_frozen = self.frozen.0.lock();
        while *is_frozen {
            self.frozen.1.wait(&mut is_frozen);
        }
    }
}

async fn welcome(stream: TcpStream, password: &str, broker: MemoryBroker) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    let (_, said) = frame::read(&mut from).await.ok()?;
    if said != password {
        return frame::write(&mut to, Kind::Go, b"").await.ok();
    }
    frame::write(&mut to, Kind::Welcome, b"").await.ok()?;
    let (_, topics) = frame::read(&mut from).await.ok()?;
    let topics = String::from_utf8(topics.to_vec()).ok()?;
    let mut options = LinkOptions::new("");
    (options.topic, options.control_topic) = split(&topics)?;
    options.max_payload = usize::MAX;
    let Link {
        outbound, inbound, ..
    } = broker.connect(&options).await.ok()?;
    frame::write(&mut to, Kind::Subscribed, b"").await.ok()?;
    let (pongs, to_pong) = tokio::sync::mpsc::channel(16);
    tokio::select! {
        done = take(from, outbound, pongs) => done,
        done = hand_out(to, inbound, to_pong) => done,
    }
}

fn split(topics: &str) -> Option<(String, String)> {
    let (events, control) = topics.split_once('\n')?;
    Some((events.to_owned(), control.to_owned()))
}

async fn take(
    mut from: BufReader<OwnedReadHalf>,
    mut outbound: Box<dyn Outbound>,
    pongs: tokio::sync::mpsc::Sender<()>,
) -> Option<()> {
    loop {
        let (kind, body) = frame::read(&mut from).await.ok()?;
        match kind.lane() {
            Some(lane) => {
                outbound.publish(lane, &[body]).await.ok()?;
            }
            None => pongs.send(()).await.ok()?,
        }
    }
}

async fn hand_out(
    mut to: OwnedWriteHalf,
    mut inbound: Inbound,
    mut pongs: tokio::sync::mpsc::Receiver<()>,
) -> Option<()> {
    loop {
        let (kind, body) = tokio::select! {
            Some(()) = pongs.recv() => (Kind::Pong, Bytes::new()),
            Some(Ok(incoming)) = inbound.next() => match incoming {
                Incoming::Message { lane, payload } => (Kind::of(lane), payload),
                Incoming::Lost(n) => (Kind::Lost, Bytes::from(n.to_be_bytes().to_vec())),
                _ => return None,
            },
            else => return None,
        };
        frame::write(&mut to, kind, &body).await.ok()?;
    }
}
