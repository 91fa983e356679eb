//! What hostile payloads cost a process that is a node and nothing else, over a real Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::process::Child;
use wingbeat::error::Result;
use wingbeat::{AppHandle, Params, Service};
use wingbeat_adapter::{Lane, Link, LinkOptions, SyncAdapter};
use wingbeat_redis::RedisAdapter;

use crate::support::http::{Client as Http, Request};
use crate::support::load::{Client, Load, Plan, Size, builder, turn};
use crate::support::process::{address, announce, child, memory};
use crate::support::redis::RedisServer;
use crate::support::{background, eventually_in, within};

/// Noise, cut and deep envelopes, 8 MiB of brackets, forged sequences and hellos of more nodes than there is room for,
/// random wants, other versions, unknown services. Meanwhile another node makes its events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_payloads_cost_a_process_no_memory_and_the_others_no_time() {
    let _turn = turn(Size::Half).await;
    let redis = RedisServer::start();
    let plan = Plan {
        clients: 1,
        ..Plan::default()
    };
    let load = Load::start(&plan, &[redis.uri()]).await;
    let victim = Victim::start(&redis, &load).await;
    let mut stranger = Stranger::start(&redis, victim.id(&load)).await;
    let (before, mut most) = (memory(&victim.child), 0);
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        stranger.speak(round).await;
        longest = longest.max(victim.catch_up(&load).await);
        most = most.max(memory(&victim.child));
    }
    let grown = most.saturating_sub(before) >> 10;
    println!(
        "{before} KiB before, at most {grown} MiB more; the longest catching up took {longest:?}"
    );
    assert!(grown < 64, "{grown} MiB more");
    let counts = victim.stats().await["quarantine"].clone();
    assert_eq!(counts, json!(stranger.due));
    victim.has_all_since(&load);
    load.finish().await;
}

/// The process, and a client that it serves.
struct Victim {
    child: Child,
    addr: SocketAddr,
    client: Client,
    made_at_connect: u64,
}

impl Victim {
    async fn start(redis: &RedisServer, load: &Load) -> Self {
        let uri = redis.uri();
        let mut child = child("hostile::process::child_on_a_broker", 1_024, &[(URI, &uri)]);
        let addr = address(&mut child).await;
        let client = Client::connect(addr, VICTIM, load.start).await;
        let victim = Self {
            child,
            addr,
            client,
            made_at_connect: load.made()[0],
        };
        victim.make_events().await;
        victim.catch_up(load).await;
        victim
    }

    /// What strangers can ask for.
    async fn make_events(&self) {
        let mut http = Http::connect(self.addr).await;
        for n in 0..200 {
            let data = json!({ "node": VICTIM, "n": n, "at": 0 });
            let answer = http
                .send(Request::new("POST", "/messages").json(&data))
                .await;
            assert_eq!(answer.status, 201);
        }
    }

    fn id(&self, load: &Load) -> String {
        let peers = load.nodes[0].app.sync().peers();
        let row = peers.iter().find(|peer| &*peer.name == VICTIM);
        row.expect("the nodes know each other").node.to_string()
    }

    /// Waits until the client has what the other node made before this call.
    async fn catch_up(&self, load: &Load) -> Duration {
        let (start, made) = (Instant::now(), load.made()[0]);
        let last = || self.client.heard().of("a").last().copied();
        let has_all = || last().is_some_and(|last| last + 1 >= made);
        eventually_in(LIMIT, "the good events arrive", has_all).await;
        start.elapsed()
    }

    fn has_all_since(&self, load: &Load) {
        let first = self.made_at_connect + 1;
        let heard = self.client.heard();
        let heard = heard.of("a").iter().copied().filter(|n| *n >= first);
        let heard: Vec<u64> = heard.collect();
        let due: Vec<u64> = (first..).take(heard.len()).collect();
        assert_eq!(heard, due);
        assert!(load.made()[0] > first + 100, "the other node was at work");
    }

    async fn stats(&self) -> Value {
        let mut http = Http::connect(self.addr).await;
        http.send(Request::new("GET", "/sync")).await.json()
    }
}

/// Somebody who can reach the broker.
struct Stranger {
    link: Link,
    victim: String,
    /// The forged nodes that the victim has a row for, and the one that is real.
    known: BTreeSet<String>,
    /// What has to be in quarantine, by reason.
    due: BTreeMap<&'static str, u64>,
}

impl Stranger {
    async fn start(redis: &RedisServer, victim: String) -> Self {
        let mut options = LinkOptions::new("feathers-sync");
        options.max_payload = 16 << 20;
        let adapter = RedisAdapter::from_uri(&redis.uri()).unwrap();
        Self {
            link: within(adapter.connect(&options)).await.unwrap(),
            victim,
            known: BTreeSet::from(["a".to_owned()]),
            due: BTreeMap::new(),
        }
    }

    /// Sends a hundred payloads on one lane, and the next hundred on the other.
    async fn speak(&mut self, round: u64) {
        let numbers = round * PER_ROUND..(round + 1) * PER_ROUND;
        let batch: Vec<Bytes> = numbers.map(|n| self.payload(n).into()).collect();
        let lane = [Lane::Events, Lane::Control][usize::from(round % 2 == 1)];
        let report = self.link.outbound.publish(lane, &batch).await.unwrap();
        assert!(report.failed.is_empty());
    }

    fn payload(&mut self, n: u64) -> Vec<u8> {
        match n % 10 {
            0 => self.put_aside("malformed", noise()),
            1 => self.put_aside("malformed", cut(n)),
            2 => self.put_aside("too_deep", nested(100)),
            3 => self.implausible(&forged(0), envelope(&forged(0), u64::MAX - n, 10)),
            4 => self.want(),
            5 => self.implausible(&forged(n % 400), hello(&forged(n % 400))),
            6 => self.implausible(&forged(0), void(&forged(0))),
            7 => self.put_aside("version", format!(r#"{{"wb":{{"v":{}}}}}"#, n + 2).into()),
            8 => self.put_aside(
                "unknown_service",
                br#"{"event":"e","path":"nobody"}"#.into(),
            ),
            _ if n % 1_000 == 999 => self.put_aside("too_large", vec![b'['; 8 << 20]),
            _ if n % 40 == 9 => self.held(n),
            _ => self.want(),
        }
    }

    fn put_aside(&mut self, reason: &'static str, payload: Vec<u8>) -> Vec<u8> {
        *self.due.entry(reason).or_default() += 1;
        payload
    }

    /// What no log can reach, of a node that may have no place in the table.
    fn implausible(&mut self, node: &str, payload: Vec<u8>) -> Vec<u8> {
        let reason = match self.admits(node) {
            true => "implausible_seq",
            false => "too_many_peers",
        };
        self.put_aside(reason, payload)
    }

    fn admits(&mut self, node: &str) -> bool {
        if self.known.len() < PEERS {
            self.known.insert(node.to_owned());
        }
        self.known.contains(node)
    }

    fn want(&self) -> Vec<u8> {
        let mut random = rand::rng();
        let (asker, to) = (random.random::<u128>(), random.random::<u64>());
        let (from, age) = (random.random_range(0..300), random.random::<u64>());
        control(&format!(
            r#""want":{{"from_node":"{asker:032x}","of_node":"{}","from":{from},"to":{to},"max_age":{age}}}"#,
            self.victim
        ))
    }

    /// What waits for events that never come: every second sequence of a node that never says hello.
    fn held(&mut self, n: u64) -> Vec<u8> {
        let node = forged(1);
        match self.admits(&node) {
            true => envelope(&node, 2 * n, 400 << 10),
            false => self.put_aside("too_many_peers", envelope(&node, 2 * n, 400 << 10)),
        }
    }
}

/// It begins as no text does.
fn noise() -> Vec<u8> {
    [&[0xff], &rand::random::<[u8; 32]>()[..]].concat()
}

fn cut(n: u64) -> Vec<u8> {
    let mut text = envelope(&forged(0), n, 10);
    text.truncate(usize::try_from(n).unwrap() % text.len());
    text
}

fn nested(depth: usize) -> Vec<u8> {
    [vec![b'['; depth], vec![b']'; depth]].concat()
}

fn forged(n: u64) -> String {
    format!("{:032x}", u128::from(n) + 1)
}

fn envelope(node: &str, seq: u64, size: usize) -> Vec<u8> {
    let text = "x".repeat(size);
    format!(
        r#"{{"event":"created","path":"messages","data":{{"node":"stranger","n":{seq},"at":0,"text":"{text}"}},"wb":{{"v":1,"node":"{node}","seq":{seq}}}}}"#
    )
    .into()
}

fn hello(node: &str) -> Vec<u8> {
    let sent = u64::MAX;
    control(&format!(
        r#""hello":{{"node":"{node}","name":"x","v":1,"codec":"json","nonce":1,"low":0,"sent":{sent}}}"#
    ))
}

fn void(node: &str) -> Vec<u8> {
    let to = u64::MAX;
    control(&format!(r#""void":{{"node":"{node}","seqs":[[0,{to}]]}}"#))
}

fn control(message: &str) -> Vec<u8> {
    format!(r#"{{"wb":{{"v":1,"control":{{{message}}}}}}}"#).into()
}

/// Serves, on the broker that its parent names, until it is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs as a child of another test"]
async fn child_on_a_broker() {
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = port.local_addr().unwrap();
    drop(port);
    let app = builder(VICTIM)
        .service("sync", SyncPage::default())
        .sync_uri(std::env::var(URI).unwrap())
        .build()
        .unwrap();
    within(app.sync().ready()).await.unwrap();
    let told = background(announce(addr));
    app.serve(addr).await.unwrap();
    told.await.unwrap();
}

/// `GET /sync` shows what the node has counted.
#[derive(Default)]
struct SyncPage(OnceLock<AppHandle>);

impl Service for SyncPage {
    const METHODS: &'static [&'static str] = &["find"];

    fn setup(&self, app: &AppHandle, _path: &str) {
        let _ = self.0.set(app.clone());
    }

    async fn find(&self, _params: &Params) -> Result<Value> {
        let app = self.0.get().and_then(AppHandle::upgrade);
        Ok(json!(app.expect("it serves").sync().stats()))
    }
}

/// The variable that names the broker.
const URI: &str = "WINGBEAT_TEST_URI";
const VICTIM: &str = "victim";
const ROUNDS: u64 = 100;
const PER_ROUND: u64 = 100;
/// The table of peers holds so many.
const PEERS: usize = 256;
const LIMIT: Duration = Duration::from_secs(10);
