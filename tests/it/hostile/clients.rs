//! What hostile clients cost a process that is a node, and the others that it serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio_tungstenite::tungstenite::Message;
use wingbeat::error::Result;
use wingbeat::{App, AppHandle, Config, Memory, Params, Service};

use crate::support::events::{EventStream, get};
use crate::support::http::{Client as Http, Request};
use crate::support::plain::{self, PlainClient};
use crate::support::polling::PollClient;
use crate::support::process::{address, announce, child, memory};
use crate::support::slow::narrow;
use crate::support::socket::{self, Heard, SocketClient};
use crate::support::{background, within};

/// Handshakes that stop half-way or hang in the app's own code, clients that never read, floods, huge messages, garbage, and
/// streams that want everything, twenty of each on each transport that knows it. Meanwhile others make events and hear them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_cost_a_process_no_memory_and_the_others_no_time() {
    let mut child = child("hostile::clients::child_with_limits", 1_024, &[]);
    let addr = address(&mut child).await;
    let mut bystanders = Bystanders::connect(addr).await;
    bystanders.go_on().await;
    let (before, mut most) = (memory(&child), 0);
    for attack in Attack::ALL {
        let (attacking, mut longest) = (background(attack.run(addr)), Duration::ZERO);
        while !attacking.is_finished() {
            longest = longest.max(bystanders.go_on().await);
            most = most.max(memory(&child));
        }
        attacking.await.unwrap();
        println!("{attack:?}: an event took {longest:?} at most");
    }
    let grown = most.saturating_sub(before) >> 10;
    println!("{before} KiB before, at most {grown} MiB more");
    assert!(grown < 64, "{grown} MiB more");
    bystanders.are_alone().await;
    assert_eq!(bystanders.stats().await, due());
    stop(child).await;
}

/// What has to be counted in the end.
fn due() -> Value {
    json!({
        "connections": 3,
        "closed_slow": 3 * N,
        "closed_protocol": 4 * N,
        "closed_too_large": 3 * N,
        "closed_too_many_messages": 3 * N,
        "closed_timeout": N,
        "refused_handshakes": 2 * N,
        "handshake_timeouts": N,
        "refused_subscriptions": N,
        "task_panics": 0,
    })
}

#[derive(Clone, Copy, Debug)]
enum Attack {
    HalfOpen,
    Mute,
    Flood,
    Huge,
    Garbage,
    Greedy,
}

impl Attack {
    const ALL: [Self; 6] = [
        Self::HalfOpen,
        Self::Mute,
        Self::Flood,
        Self::Huge,
        Self::Garbage,
        Self::Greedy,
    ];

    async fn run(self, addr: SocketAddr) {
        if matches!(self, Self::Mute) {
            return mute(addr).await;
        }
        let one = |_| async move {
            match self {
                Self::HalfOpen => half_open(addr).await,
                Self::Flood => flood(addr).await,
                Self::Huge => huge(addr).await,
                Self::Garbage => garbage(addr).await,
                Self::Mute | Self::Greedy => greedy(addr).await,
            }
        };
        join_all((0..N).map(one)).await;
    }
}

/// A head that never ends, code of the app that hangs, and a transport whose client never connects.
async fn half_open(addr: SocketAddr) {
    let mut head = Http::connect(addr).await;
    head.write(b"GET /ws HTTP/1.1\r\nhost: test\r\nupgrade: websocket\r\n")
        .await;
    let hanging = socket::attach(plain::request(addr, "?hang=1"), None);
    let mut silent = SocketClient::open(addr).await;
    assert_eq!(hanging.await.unwrap_err().status(), 503);
    assert_eq!(silent.end().await, Heard::Closed(None));
    head.ended().await;
}

/// Clients that hear a lot and read nothing.
async fn mute(addr: SocketAddr) {
    let mut streams = Vec::new();
    let mut sockets = Vec::new();
    let mut plains = Vec::new();
    for _ in 0..N {
        let mut stream = narrow(addr).await;
        stream.begin(&get("?service=noise&hears=noise")).await;
        streams.push(stream);
        plains.push(PlainClient::open(plain::request(addr, "?hears=noise"), NARROW).await);
        sockets.push(joined(addr, "noise", NARROW).await);
    }
    let noise = json!({ "text": "x".repeat(64 << 10) });
    let start = Instant::now();
    while stats(addr).await["closed_slow"] != 3 * N {
        post(addr, "/noise", &noise).await;
        assert!(start.elapsed() < LIMIT, "some are never found");
    }
}

/// Connects a client of Socket.IO that hears one service.
async fn joined(addr: SocketAddr, hears: &str, receive_buffer: Option<u32>) -> SocketClient {
    let mut request = socket::request(addr);
    let uri = format!("{}&hears={hears}", request.uri());
    *request.uri_mut() = uri.parse().unwrap();
    let mut client = SocketClient::open_with(request, receive_buffer).await;
    client.join().await;
    client
}

async fn flood(addr: SocketAddr) {
    let mut socket = SocketClient::connect(addr).await;
    let mut plain = PlainClient::connect(addr).await;
    let mut polling = PollClient::connect(addr).await;
    for _ in 0..2 * AT_ONCE {
        socket.send("3").await;
        plain.send_message(Message::Ping(Vec::new().into())).await;
    }
    let packets = vec!["3"; 2 * AT_ONCE].join("\u{1e}");
    assert_eq!(polling.try_post(&packets).await.status, 429);
    assert_eq!(socket.end().await, Heard::Closed(Some(1008)));
    assert_eq!(plain.end().await, Heard::Closed(Some(4429)));
}

async fn huge(addr: SocketAddr) {
    let plain = PlainClient::connect(addr).await.into_stream();
    let eight_exabytes = b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00";
    assert_eq!(told(plain, eight_exabytes).await, 1009);
    let mut socket = SocketClient::connect(addr).await;
    socket.send(&format!("42{}", "x".repeat(2 << 20))).await;
    assert_eq!(socket.end().await, Heard::Closed(Some(1009)));
    let polling = PollClient::connect(addr).await;
    let post = polling
        .request("POST")
        .header("content-length", "999999999");
    assert_eq!(Http::connect(addr).await.send(post).await.status, 413);
}

/// What is no frame, no text and no message.
async fn garbage(addr: SocketAddr) {
    let table: [(&[u8], u16); 3] = [
        (b"\x81\x02[]", 1002),
        (b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),
        (b"\x81\x82\x00\x00\x00\x00{}", 1007),
    ];
    for (bytes, code) in table {
        let stream = PlainClient::connect(addr).await.into_stream();
        assert_eq!(told(stream, bytes).await, code);
    }
    let mut socket = SocketClient::connect(addr).await;
    socket.send("4\u{0}").await;
    assert_eq!(socket.end().await, Heard::Closed(None));
}

/// Sends bytes over a websocket and returns the code of the close frame that answers them.
async fn told(mut stream: TcpStream, bytes: &[u8]) -> u16 {
    within(stream.write_all(bytes)).await.unwrap();
    let mut close = [0; 4];
    within(stream.read_exact(&mut close)).await.unwrap();
    assert_eq!(close[..2], [0x88, 2]);
    u16::from_be_bytes([close[2], close[3]])
}

async fn greedy(addr: SocketAddr) {
    let everything = format!("?service=messages{}", "&event=created".repeat(2_000));
    let answer = Http::connect(addr).await.send(get(&everything)).await;
    assert_eq!(answer.status, 400);
}

/// One client of each kind that does nothing wrong.
struct Bystanders {
    addr: SocketAddr,
    socket: SocketClient,
    plain: PlainClient,
    stream: EventStream,
    made: u64,
}

impl Bystanders {
    async fn connect(addr: SocketAddr) -> Self {
        Self {
            addr,
            socket: joined(addr, "messages", None).await,
            plain: PlainClient::open(plain::request(addr, "?hears=messages"), None).await,
            stream: EventStream::open(addr, "?service=messages&hears=messages").await,
            made: 0,
        }
    }

    /// Makes events that all of them hear; returns the longest time that one took.
    async fn go_on(&mut self) -> Duration {
        let mut longest = Duration::ZERO;
        for _ in 0..EVENTS {
            let start = Instant::now();
            let data = json!({ "n": self.made });
            post(self.addr, "/messages", &data).await;
            let heard = [
                self.socket.event().await,
                self.plain.event().await,
                self.stream.event().await,
            ];
            assert!(heard.iter().all(|(_, data)| data["n"] == self.made));
            self.made += 1;
            longest = longest.max(start.elapsed());
        }
        longest
    }

    /// Waits until nobody else is there.
    async fn are_alone(&mut self) {
        let start = Instant::now();
        while stats(self.addr).await["connections"] != 3 {
            assert!(start.elapsed() < LIMIT, "somebody stays");
        }
    }

    /// What the node has counted, of what is due.
    async fn stats(&mut self) -> Value {
        let counted = stats(self.addr).await;
        let due = due();
        let names = due.as_object().unwrap().keys();
        names
            .map(|name| (name.clone(), counted[name].clone()))
            .collect()
    }
}

async fn post(addr: SocketAddr, path: &str, data: &Value) {
    let request = Request::new("POST", path).json(data);
    let answer = Http::connect(addr).await.send(request).await;
    assert_eq!(answer.status, 201);
}

async fn stats(addr: SocketAddr) -> Value {
    let request = Request::new("GET", "/stats");
    Http::connect(addr).await.send(request).await.json()
}

async fn stop(mut child: Child) {
    within(child.kill()).await.unwrap();
}

/// Serves, with limits that a test can wait for, until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs as a child of another test"]
async fn child_with_limits() {
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = port.local_addr().unwrap();
    drop(port);
    let mut config = Config::default();
    config.header_timeout = Duration::from_secs(1);
    config.handshake_timeout = Duration::from_secs(1);
    config.connect_timeout = Duration::from_secs(2);
    config.max_messages_per_second = Some(AT_ONCE / 10);
    config.outbox.bytes = 256 << 10;
    let app = App::builder()
        .config(config)
        .service("messages", Memory::new())
        .service("noise", Noise)
        .service("stats", StatsPage::default())
        .on_handshake(|handshake| {
            Box::pin(async {
                match handshake.query().contains_key("hang") {
                    true => std::future::pending().await,
                    false => Ok(()),
                }
            })
        })
        .on_connection(|connection, app| {
            if let Some(path) = connection.query().get("hears").and_then(Value::as_str) {
                app.channel(path).join(connection);
            }
        })
        .publish(|publication, channels| channels.channel(publication.path()))
        .build()
        .unwrap();
    let told = background(announce(addr));
    app.serve(addr).await.unwrap();
    told.await.unwrap();
}

/// Keeps nothing of what it makes events of.
struct Noise;

impl Service for Noise {
    const METHODS: &'static [&'static str] = &["create"];

    async fn create(&self, data: Value, _: &Params) -> Result<Value> {
        Ok(data)
    }
}

/// `GET /stats` shows what the node has counted.
#[derive(Default)]
struct StatsPage(OnceLock<AppHandle>);

impl Service for StatsPage {
    const METHODS: &'static [&'static str] = &["find"];

    fn setup(&self, app: &AppHandle, _path: &str) {
        let _ = self.0.set(app.clone());
    }

    async fn find(&self, _params: &Params) -> Result<Value> {
        let app = self.0.get().and_then(AppHandle::upgrade);
        Ok(json!(app.expect("it serves").stats()))
    }
}

/// How many clients do each thing.
const N: usize = 20;
/// Messages that a client may send at once.
const AT_ONCE: usize = 200;
/// Events that are made before anybody looks at the memory.
const EVENTS: usize = 10;
/// Bytes that the kernel keeps for a client that does not read.
const NARROW: Option<u32> = Some(4_096);
const LIMIT: Duration = Duration::from_secs(60);
