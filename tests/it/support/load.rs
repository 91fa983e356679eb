//! Nodes under load, and clients that note what they hear of it.
//!
//! What holds for every client, whatever goes wrong meanwhile: it hears each event's frame exactly once and in the order of
//! the node that it happened on, or the gaps that its node was told of name exactly the events that it did not hear.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use wingbeat::sync::{GapOrigin, Status, SyncOptions};
use wingbeat::{App, AppBuilder, Memory};

use super::socket::SocketClient;
use super::{Node, background, eventually, eventually_in, within};

/// Waits until the machine has room for a test of this size, and keeps it.
///
/// Tests that keep both cores busy would slow each other down to no use side by side.
pub(crate) async fn turn(size: Size) -> SemaphorePermit<'static> {
    static ROOM: Semaphore = Semaphore::const_new(2);
    let permits = ROOM.acquire_many(size as u32).await;
    permits.expect("the semaphore is never closed")
}

/// How much of the machine a test takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    Half = 1,
    Whole = 2,
}

/// What the nodes have to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Clients of each node.
    pub(crate) clients: usize,
    /// Events a second of each node.
    pub(crate) rate: u32,
    /// The node that makes no events until the end, if there is one.
    pub(crate) idle: Option<usize>,
    pub(crate) options: SyncOptions,
}

/// Nodes at work, named `a`, `b` and so on, whose service `messages` makes events that everybody hears.
pub(crate) struct Load {
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    gaps: Vec<Gaps>,
    makers: Vec<JoinHandle<Duration>>,
    /// How many events each node has made.
    made: Vec<Arc<AtomicU64>>,
    is_over: Arc<AtomicBool>,
    pub(crate) start: Instant,
}

/// A client that notes what it hears.
pub(crate) struct Client {
    home: String,
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
}

/// What a client heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The numbers of the events of each node, as they came.
    of: BTreeMap<String, Vec<u64>>,
    /// The longest time from the call to the frame: of an event of the client's own node, and of another one's.
    longest_own: Duration,
    longest: Duration,
}

/// The ranges that a node was told are missing, by their origin.
pub(crate) type Gaps = Arc<Mutex<BTreeMap<String, Vec<(u64, u64)>>>>;

/// One thing that goes wrong, and the nodes that lose their link by it.
pub(crate) struct Trouble<'a> {
    load: &'a Load,
    what: &'a str,
    victims: &'a [usize],
    began: Instant,
    links: Vec<u64>,
    felt: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            clients: 5,
            rate: 100,
            idle: None,
            options: SyncOptions::default(),
        }
    }
}

impl Load {
    /// Starts one node for each URI and its clients, waits until all nodes know each other, and lets them work.
    pub(crate) async fn start(plan: &Plan, uris: &[String]) -> Self {
        let mut load = Self {
            nodes: Vec::new(),
            clients: Vec::new(),
            gaps: Vec::new(),
            makers: Vec::new(),
            made: uris.iter().map(|_| Arc::default()).collect(),
            is_over: Arc::default(),
            start: Instant::now(),
        };
        for (name, uri) in ["a", "b", "c", "d"].into_iter().zip(uris) {
            let builder = builder(name).sync_options(plan.options.clone());
            load.add(Node::start(builder.sync_uri(uri)).await, plan)
                .await;
        }
        load.until_acquainted().await;
        load.begin(plan);
        load
    }

    async fn add(&mut self, node: Node, plan: &Plan) {
        within(node.app.sync().ready())
            .await
            .expect("the broker runs");
        for _ in 0..plan.clients {
            self.clients.push(Client::start(&node, self.start).await);
        }
        self.gaps.push(note_gaps(&node.app));
        self.nodes.push(node);
    }

    async fn until_acquainted(&self) {
        let others = self.nodes.len() - 1;
        eventually("the nodes know each other", || {
            let mut all = self.nodes.iter().map(|node| node.app.sync().peers());
            all.all(|peers| peers.iter().filter(|peer| !peer.name.is_empty()).count() == others)
        })
        .await;
    }

    fn begin(&mut self, plan: &Plan) {
        for at in 0..self.nodes.len() {
            if plan.idle != Some(at) {
                let making = self
                    .maker(at)
                    .make_until(Arc::clone(&self.is_over), plan.rate);
                self.makers.push(background(making));
            }
        }
    }

    /// Notes where the nodes stand, right before something goes wrong.
    pub(crate) fn trouble<'a>(&'a self, what: &'a str, victims: &'a [usize]) -> Trouble<'a> {
        Trouble {
            load: self,
            what,
            victims,
            began: Instant::now(),
            links: self.nodes.iter().map(n_links).collect(),
            felt: Duration::ZERO,
        }
    }

    /// Ends the load, holds what every client heard against what there was, and stops the nodes. Returns how many events
    /// the gaps of all nodes named.
    pub(crate) async fn finish(mut self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        for maker in std::mem::take(&mut self.makers) {
            let longest = maker.await.expect("calls succeed");
            println!("the longest call of a node took {longest:.1?}");
            assert!(longest < LONGEST_CALL, "a call took {longest:?}");
        }
        self.until_caught_up("every client has all events").await;
        // A late copy of an event would come before these.
        for at in 0..self.nodes.len() {
            self.maker(at).make().await;
        }
        self.until_caught_up("every client has the last events")
            .await;
        let missing = self.check();
        self.clients.clear();
        for node in self.nodes {
            eventually("nothing is unsettled", || {
                node.app.sync().stats().delivery.unsettled == 0
            })
            .await;
            node.stop().await;
        }
        missing
    }

    fn maker(&self, at: usize) -> Maker {
        Maker {
            app: self.nodes[at].app.clone(),
            made: Arc::clone(&self.made[at]),
            start: self.start,
        }
    }

    /// Waits until the clients have what was made before this call.
    async fn until_caught_up(&self, what: &str) {
        let made = self.made();
        let has_all = |client: &Client| {
            let mut names = self.names().zip(&made);
            names.all(|(name, made)| self.accounted(client, name) >= *made)
        };
        eventually_in(RECOVERY, what, || self.clients.iter().all(has_all)).await;
    }

    fn check(&self) -> u64 {
        for client in &self.clients {
            assert!(!client.listening.is_finished(), "a client was cut off");
            let (home, heard) = (&client.home, client.heard());
            for (name, made) in self.names().zip(self.made()) {
                let missing = missing(heard.of(name), made, home);
                let told = numbers(&self.gaps_at(home, name));
                assert_eq!(told, missing, "gaps of {name} at {home}");
            }
        }
        for (node, made) in self.nodes.iter().zip(self.made()) {
            let stats = node.app.sync().stats().delivery;
            assert_eq!(stats.synced, made, "the numbers are the sequences");
        }
        let of_node = |gaps: &Gaps| gaps.lock().values().map(|ranges| size(ranges)).sum::<u64>();
        self.gaps.iter().map(of_node).sum()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.app.name())
    }

    /// Returns how many events each node has made.
    pub(crate) fn made(&self) -> Vec<u64> {
        let made = self.made.iter();
        made.map(|made| made.load(Ordering::Relaxed)).collect()
    }

    /// Returns how many events of a node a client heard or its node was told are missing.
    pub(crate) fn accounted(&self, client: &Client, name: &str) -> u64 {
        client.heard().count(name) + size(&self.gaps_at(&client.home, name))
    }

    fn gaps_at(&self, home: &str, origin: &str) -> Vec<(u64, u64)> {
        let at = self.names().position(|name| name == home);
        let gaps = self.gaps[at.expect("a client has a home")].lock();
        gaps.get(origin).cloned().unwrap_or_default()
    }

    fn is_ready(&self) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.all(|node| node.app.sync().status() == Status::Ready)
    }

    /// The longest wait of a client for an event of its own node, and of another one.
    fn longest_waits(&self) -> (Duration, Duration) {
        let waits = self.clients.iter().map(|client| {
            let heard = client.heard();
            (heard.longest_own, heard.longest)
        });
        waits.fold(Default::default(), |(own, other), (a, b)| {
            (own.max(a), other.max(b))
        })
    }
}

impl Trouble<'_> {
    /// Waits until each victim has given its link up.
    pub(crate) async fn felt(&mut self) {
        let what = format!("it is felt: {}", self.what);
        let gave_up = |at: &usize| {
            let sync = self.load.nodes[*at].app.sync();
            sync.status() == Status::Reconnecting || self.has_new_link(*at)
        };
        eventually_in(RECOVERY, &what, || self.victims.iter().all(gave_up)).await;
        self.felt = self.began.elapsed();
    }

    /// Waits until it lasts this long.
    pub(crate) async fn lasts(&self, span: Duration) {
        tokio::time::sleep(span.saturating_sub(self.began.elapsed())).await;
    }

    /// Waits, now that nothing is wrong any more, until each victim has a new link, every node is ready and no client lacks
    /// anything; prints what it took. Returns the longest time that a client waited for an event of its own node so far.
    pub(crate) async fn over(self) -> Duration {
        let what = format!("all is well after: {}", self.what);
        let mended = Instant::now();
        let is_well = || {
            let mut victims = self.victims.iter();
            victims.all(|at| self.has_new_link(*at)) && self.load.is_ready()
        };
        eventually_in(RECOVERY, &what, is_well).await;
        let ready = mended.elapsed();
        self.load.until_caught_up(&what).await;
        let heard = mended.elapsed();
        let (own, other) = self.load.longest_waits();
        let (what, felt) = (self.what, self.felt);
        println!(
            "{what}: links given up after {felt:.1?}; all ready {ready:.1?} after its end, all heard {heard:.1?} after it; \
             longest waits so far: {own:.1?} for own events, {other:.1?} for others'"
        );
        own
    }

    fn has_new_link(&self, at: usize) -> bool {
        n_links(&self.load.nodes[at]) > self.links[at]
    }
}

impl Client {
    /// Connects to a node.
    pub(crate) async fn start(node: &Node, start: Instant) -> Self {
        Self::connect(node.addr, node.app.name(), start).await
    }

    /// As [`start`](Self::start), to a node that may be in another process.
    pub(crate) async fn connect(addr: SocketAddr, home: &str, start: Instant) -> Self {
        let socket = SocketClient::connect(addr).await;
        let (home, heard) = (home.to_owned(), Arc::default());
        let listening = background(listen(socket, home.clone(), Arc::clone(&heard), start));
        Self {
            home,
            heard,
            listening,
        }
    }

    /// Looks into what it heard.
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Heard {
    /// Returns the numbers of the events of a node, as they came.
    pub(crate) fn of(&self, name: &str) -> &[u64] {
        self.of.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.of(name).len() as u64
    }

    fn note(&mut self, data: &Value, home: &str, now: Duration) {
        let number = |name: &str| data[name].as_u64().expect("a number");
        let (name, n) = (data["node"].as_str().expect("a text"), number("n"));
        let wait = now.saturating_sub(Duration::from_micros(number("at")));
        let longest = match name == home {
            true => &mut self.longest_own,
            false => &mut self.longest,
        };
        *longest = wait.max(*longest);
        match self.of.get_mut(name) {
            Some(numbers) => numbers.push(n),
            None => drop(self.of.insert(name.to_owned(), vec![n])),
        }
    }
}

async fn listen(mut socket: SocketClient, home: String, heard: Arc<Mutex<Heard>>, start: Instant) {
    while let Some((name, data)) = socket.event_some_day().await {
        assert_eq!(name, "messages created");
        heard.lock().note(&data, &home, start.elapsed());
    }
}

/// Makes the events of one node, numbered from 0.
pub(crate) struct Maker {
    app: App,
    made: Arc<AtomicU64>,
    start: Instant,
}

impl Maker {
    pub(crate) fn new(node: &Node, start: Instant) -> Self {
        Self {
            app: node.app.clone(),
            made: Arc::default(),
            start,
        }
    }

    /// Makes so many events a second until it is over; returns the time that the longest call took.
    async fn make_until(self, is_over: Arc<AtomicBool>, rate: u32) -> Duration {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
        let mut longest = Duration::ZERO;
        while !is_over.load(Ordering::Relaxed) {
            ticks.tick().await;
            longest = longest.max(self.make().await);
        }
        longest
    }

    /// Makes the next event; returns the time that the call took.
    pub(crate) async fn make(&self) -> Duration {
        let begun = Instant::now();
        let at = u64::try_from(self.start.elapsed().as_micros()).expect("a short test");
        let n = self.made.load(Ordering::Relaxed);
        let data = json!({ "node": self.app.name(), "n": n, "at": at });
        let created = self.app.service_at("messages").create(data).await;
        created.expect("a call never fails because of the broker");
        self.made.fetch_add(1, Ordering::Relaxed);
        begun.elapsed()
    }
}

/// A node whose clients hear every event.
pub(crate) fn builder(name: &str) -> AppBuilder {
    App::builder()
        .name(name)
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
}

/// Notes what a node is told is missing from now on.
pub(crate) fn note_gaps(app: &App) -> Gaps {
    let gaps = Gaps::default();
    let noted = Arc::clone(&gaps);
    app.on_gap(move |gap| {
        if let (GapOrigin::Node { name, .. }, Some(range)) = (&gap.origin, gap.range) {
            println!("missing of {name}: {range:?}, {:?}", gap.reason);
            noted
                .lock()
                .entry(name.to_string())
                .or_default()
                .push(range);
        }
    });
    gaps
}

/// Returns what a client lacks of the numbers below `made`; what it has has to be in order and once.
fn missing(heard: &[u64], made: u64, home: &str) -> Vec<u64> {
    let in_order = heard.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(in_order, "out of order or twice at {home}: {heard:?}");
    let beyond = heard.last().filter(|last| **last >= made);
    assert_eq!(beyond, None, "never made and heard at {home}");
    let mut heard = heard.iter().copied().peekable();
    let lacks = |n: &u64| heard.next_if_eq(n).is_none();
    (0..made).filter(lacks).collect()
}

/// The numbers in the ranges, one that is in two of them twice.
fn numbers(ranges: &[(u64, u64)]) -> Vec<u64> {
    let mut numbers: Vec<u64> = ranges.iter().flat_map(|&(from, to)| from..=to).collect();
    numbers.sort_unstable();
    numbers
}

fn size(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(from, to)| to - from + 1).sum()
}

fn n_links(node: &Node) -> u64 {
    node.app.sync().stats().delivery.links
}

/// The back-off between two dials alone may be five seconds, a failover takes its time, and a RabbitMQ that has just started
/// is slow.
pub(crate) const RECOVERY: Duration = Duration::from_secs(60);
/// Shorter than the outages of five seconds, which no call waits out, and long enough for a busy machine.
const LONGEST_CALL: Duration = Duration::from_secs(4);
