use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::broker::Way;
use super::plan::What;
use crate::connections::{ConnectionInfo, Drained, WireFormat};
use crate::event::{Event, Json, Origin};
use crate::service::Registration;
use crate::stores::Multi;
use crate::sync::{Delivery, Gap, NodeId, SyncOptions};
use crate::{App, Leftover, Memory};

/// Which event it is: the node that emitted it, counted through the run, and which one of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag {
    pub(super) from: usize,
    pub(super) n: usize,
}

/// One whole app, and everything that its listeners and clients saw.
pub(super) struct Node {
    pub(super) index: usize,
    pub(super) place: usize,
    pub(super) id: NodeId,
    pub(super) born: Instant,
    pub(super) life: Life,
    pub(super) emitted: Vec<Emitted>,
    pub(super) heard: Arc<Mutex<Heard>>,
    pub(super) clients: Vec<Client>,
    /// A call that took time, or failed.
    pub(super) broken: Option<String>,
}

pub(super) enum Life {
    Alive(App),
    Closing(Instant, JoinHandle<Leftover>),
    Killed,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Emitted {
    pub(super) at: Instant,
    /// `None` for what stays on the node.
    pub(super) seq: Option<u64>,
    /// Whether foreign peers hear it.
    pub(super) is_shared: bool,
}

/// What listeners and the app's own code were told, in order.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) events: Vec<(Instant, Tag)>,
    pub(super) gaps: Vec<(Instant, Gap)>,
    /// Events that say of themselves that they come from somewhere else than they do.
    pub(super) strangers: Vec<String>,
}

/// A connection in the process, and the frames that came out of its outbox.
pub(super) struct Client {
    pub(super) opened: Instant,
    /// How many events the node's listeners had heard before.
    pub(super) skips: usize,
    pub(super) got: Arc<Mutex<Vec<Tag>>>,
}

impl Node {
    pub(super) fn build(index: usize, id: NodeId, way: Way, is_ordered: bool) -> Self {
        // Its tasks log under it, so that the log of a run tells the nodes apart.
        let _span = tracing::info_span!("node", index).entered();
        let place = way.place;
        let options = SyncOptions {
            node_peers: vec![SHARED.to_owned()],
            delivery: if is_ordered {
                Delivery::Ordered
            } else {
                Delivery::LocalFirst
            },
            ..SyncOptions::default()
        };
        let records = || Registration::new(Memory::new().multi(Multi::All)).events(["typing"]);
        let app = App::builder()
            .name(format!("node-{index}"))
            .service(SHARED, records())
            .service(ROOMS, records())
            .on_connection(|connection, app| app.channel("everybody").join(connection))
            .publish(|_, channels| channels.channel("everybody"))
            .sync_options(options)
            .sync(way)
            .build()
            .expect("the app is sound");
        let heard = listen(&app, index);
        let mut node = Self {
            index,
            place,
            id,
            born: Instant::now(),
            life: Life::Alive(app),
            emitted: Vec::new(),
            heard,
            clients: Vec::new(),
            broken: None,
        };
        node.connect_client();
        node
    }

    pub(super) fn app(&self) -> Option<&App> {
        match &self.life {
            Life::Alive(app) => Some(app),
            Life::Closing(..) | Life::Killed => None,
        }
    }

    /// Counts the events that other nodes are to hear.
    pub(super) fn n_synced(&self) -> u64 {
        let is_synced = |emitted: &&Emitted| emitted.seq.is_some();
        self.emitted.iter().filter(is_synced).count() as u64
    }

    pub(super) fn seq(&self, n: usize) -> Option<u64> {
        self.emitted.get(n)?.seq
    }

    /// Makes a call, which is to take no time: the clock stands while anything can still run.
    pub(super) async fn emit(&mut self, what: What) {
        let Some(app) = self.app().cloned() else {
            return;
        };
        let start = Instant::now();
        let (shared, rooms) = (app.service_at(SHARED), app.service_at(ROOMS));
        let outcome = match what {
            What::Create => shared.create(self.tag(what)).await.map(drop),
            What::Bulk(n) => {
                let records: Value = (0..n).map(|_| self.tag(what)).collect();
                shared.create(records).await.map(drop)
            }
            What::Local => shared.create(self.tag(what)).sync(false).await.map(drop),
            What::Room => rooms.create(self.tag(what)).await.map(drop),
            What::Typing => shared.emit("typing", self.tag(what)),
            What::Patch if self.is_empty(&app).await => {
                shared.create(self.tag(what)).await.map(drop)
            }
            What::Patch => shared.patch(0, self.tag(what)).await.map(drop),
        };
        let took = start.elapsed();
        if outcome.is_err() || !took.is_zero() {
            self.broken = Some(format!(
                "never_starved: {what:?} took {took:?}: {outcome:?}"
            ));
        }
    }

    pub(super) fn connect_client(&mut self) {
        let Some(app) = self.app().cloned() else {
            return;
        };
        let connection = app.connections().add(ConnectionInfo::bare(&Plain));
        app.greet(&connection);
        let got = Arc::default();
        self.clients.push(Client {
            opened: Instant::now(),
            skips: self.heard.lock().events.len(),
            got: Arc::clone(&got),
        });
        let app = app.downgrade();
        tokio::spawn(async move {
            let mut frames = Vec::new();
            while let Drained::Frames =
                poll_fn(|cx| connection.outbox().poll_drain(cx, &mut frames)).await
            {
                got.lock()
                    .extend(frames.drain(..).filter_map(|frame| read(&frame)));
            }
            if let Some(app) = app.upgrade() {
                app.forget(&connection);
            }
        });
    }

    pub(super) fn kill(&mut self) {
        if self.app().is_some() {
            self.life = Life::Killed;
        }
    }

    pub(super) fn close(&mut self) {
        if let Some(app) = self.app().cloned() {
            let closing = tokio::spawn(async move { app.close().await });
            self.life = Life::Closing(Instant::now(), closing);
        }
    }

    async fn is_empty(&self, app: &App) -> bool {
        let found = app.service_at(SHARED).find().await;
        found.is_ok_and(|found| found.as_array().is_none_or(Vec::is_empty))
    }

    /// Notes an event that is about to happen and returns its data.
    fn tag(&mut self, what: What) -> Value {
        let seq = (what != What::Local).then(|| self.n_synced());
        self.emitted.push(Emitted {
            at: Instant::now(),
            seq,
            is_shared: !matches!(what, What::Local | What::Room),
        });
        json!({ "from": self.index, "n": self.emitted.len() - 1 })
    }
}

impl Emitted {
    /// The service that it is an event of.
    pub(super) const fn path(&self) -> &'static str {
        if self.is_shared { SHARED } else { ROOMS }
    }
}

impl Tag {
    pub(super) fn of(data: &Value) -> Option<Self> {
        let number = |name| usize::try_from(data.get(name)?.as_u64()?).ok();
        Some(Self {
            from: number("from")?,
            n: number("n")?,
        })
    }
}

/// Notes what the app's own code hears.
fn listen(app: &App, index: usize) -> Arc<Mutex<Heard>> {
    let heard = Arc::<Mutex<Heard>>::default();
    for path in [SHARED, ROOMS] {
        for name in ["created", "patched", "typing"] {
            let heard = Arc::clone(&heard);
            app.service_at(path)
                .on_any(name, move |event| heard.lock().note(index, event));
        }
    }
    let gaps = Arc::clone(&heard);
    app.on_gap(move |gap| gaps.lock().gaps.push((Instant::now(), gap.clone())));
    heard
}

impl Heard {
    fn note(&mut self, index: usize, event: &Event) {
        let tag = Tag::of(event.data().value());
        let is_right = tag.is_some_and(|tag| match event.origin() {
            Origin::Local => tag.from == index,
            // The label may come later than the first event.
            Origin::Node { name, .. } => name.is_empty() || **name == *format!("node-{}", tag.from),
            Origin::Foreign => false,
        });
        match tag.filter(|_| is_right) {
            Some(tag) => self.events.push((Instant::now(), tag)),
            None => self.strangers.push(format!("{event:?}")),
        }
    }
}

/// Frames that are the payload and nothing else.
#[derive(Debug)]
struct Plain;

impl WireFormat for Plain {
    fn name(&self) -> &'static str {
        "simulation"
    }

    fn encode(&self, _event: &Event, payload: &Json) -> Bytes {
        payload.as_bytes().clone()
    }
}

fn read(frame: &Bytes) -> Option<Tag> {
    Tag::of(&serde_json::from_slice(frame).ok()?)
}

/// The service that foreign peers have too.
pub(super) const SHARED: &str = "messages";
const ROOMS: &str = "rooms";
