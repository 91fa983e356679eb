//! Every door of two nodes over every broker: whoever makes an event, and however, each kind of client of both nodes hears it
//! once and in its order.

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use wingbeat::{App, AppBuilder, EventLayer, Memory};

#[cfg(feature = "redis")]
use crate::support::broker::{Broker, over_brokers};
use crate::support::events::EventStream;
use crate::support::host::Host;
use crate::support::http::Request;
use crate::support::plain::PlainClient;
use crate::support::polling::PollClient;
use crate::support::socket::SocketClient;
use crate::support::{eventually_in, within};

#[cfg(feature = "redis")]
over_brokers! {
    what_comes_in_by_any_door_goes_out_by_all_of_both_nodes: always, always, always;
}

#[cfg(feature = "redis")]
async fn what_comes_in_by_any_door_goes_out_by_all_of_both_nodes<B: Broker>() {
    let broker = B::start();
    Box::pin(all_doors(&broker.uri())).await;
}

mod memory {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_comes_in_by_any_door_goes_out_by_all_of_both_nodes() {
        Box::pin(super::all_doors("memory://doors")).await;
    }
}

async fn all_doors(uri: &str) {
    let nodes = [node(uri).await, node(uri).await];
    let know = || (nodes.iter()).all(|node| node.app.sync().peers().len() == 1);
    eventually_in(LIMIT, "the nodes know each other", know).await;
    let mut clients = [Clients::of(&nodes[0]).await, Clients::of(&nodes[1]).await];
    let mut n = 0;
    for from in [0, 1] {
        for door in Door::ALL {
            n += 1;
            door.open(&nodes[from], &mut clients[from], n).await;
            for client in &mut clients {
                client.hear(door.event(), n).await;
            }
        }
    }
    for client in clients {
        client.heard_no_more().await;
    }
    for node in nodes {
        node.stop().await;
    }
}

/// A server of axum with an app in it, whose routes at `/todos` are observed.
async fn node(uri: &str) -> Host {
    let app = chat().sync_uri(uri).build().unwrap();
    let router = Router::new().route("/todos", post(async |Json(todo): Json<Value>| Json(todo)));
    let router = router.layer(EventLayer::new(&app).resource("/todos", "todos"));
    let host = Host::axum(&app, router.layer(app.layer())).await;
    within(app.sync().ready()).await.unwrap();
    host
}

fn chat() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

/// How an event comes in.
#[derive(Clone, Copy, Debug)]
enum Door {
    Rest,
    Socket,
    Polling,
    Plain,
    #[cfg(feature = "msgpack")]
    Packed,
    Layer,
    Hand,
}

impl Door {
    const ALL: &[Self] = &[
        Self::Rest,
        Self::Socket,
        Self::Polling,
        Self::Plain,
        #[cfg(feature = "msgpack")]
        Self::Packed,
        Self::Layer,
        Self::Hand,
    ];

    fn event(self) -> &'static str {
        match self {
            Self::Layer => "todos created",
            _ => "messages created",
        }
    }

    async fn open(self, node: &Host, clients: &mut Clients, n: u64) {
        let data = json!({ "n": n, "text": "é\n\u{2028}😀" });
        let arguments = json!([data]);
        match self {
            Self::Rest => created(node, "/messages", &data).await,
            Self::Layer => created(node, "/todos", &data).await,
            Self::Hand => {
                let messages = node.app.service_at("messages");
                messages.emit("created", data).unwrap();
            }
            Self::Socket => {
                let call = clients.socket.call("create", "messages", arguments);
                call.await.unwrap();
            }
            Self::Polling => {
                let call = json!(["create", "messages", data]);
                clients.polling.post(&format!("42{call}")).await;
            }
            Self::Plain => {
                let call = clients.plain.call("create", "messages", arguments);
                call.await.unwrap();
            }
            #[cfg(feature = "msgpack")]
            Self::Packed => {
                let call = clients.packed.call("create", "messages", arguments);
                call.await.unwrap();
            }
        }
    }
}

async fn created(node: &Host, path: &str, data: &Value) {
    let answer = node.send(Request::new("POST", path).json(data)).await;
    assert!([200, 201].contains(&answer.status), "{answer:?}");
}

/// One client of each kind.
struct Clients {
    socket: SocketClient,
    polling: PollClient,
    plain: PlainClient,
    #[cfg(feature = "msgpack")]
    packed: PlainClient,
    stream: EventStream,
    curl: Curl,
}

impl Clients {
    async fn of(node: &Host) -> Self {
        Self {
            socket: SocketClient::connect(node.addr).await,
            polling: PollClient::connect(node.addr).await,
            plain: PlainClient::connect(node.addr).await,
            #[cfg(feature = "msgpack")]
            packed: PlainClient::connect_packed(node.addr).await,
            stream: EventStream::open(node.addr, QUERY).await,
            curl: Curl::start(node).await,
        }
    }

    /// Waits until each has heard an event, and nothing before it.
    async fn hear(&mut self, name: &str, n: u64) {
        let heard = [
            self.socket.event().await,
            polled(&mut self.polling).await,
            self.plain.event().await,
            #[cfg(feature = "msgpack")]
            self.packed.event().await,
            self.stream.event().await,
            self.curl.event().await,
        ];
        for (heard, data) in heard {
            assert_eq!((&*heard, &data["n"]), (name, &json!(n)));
            assert_eq!(data["text"], "é\n\u{2028}😀");
        }
    }

    /// What a call is answered with shows that no event came before it.
    async fn heard_no_more(mut self) {
        let found = self.socket.call("find", "messages", json!([{}])).await;
        assert!(found.is_ok() && self.socket.n_kept() == 0);
        let found = self.plain.call("find", "messages", json!([])).await;
        assert!(found.is_ok() && self.plain.n_kept() == 0);
        self.curl.stop().await;
    }
}

async fn polled(client: &mut PollClient) -> (String, Value) {
    let packet = client.packet().await;
    serde_json::from_str(packet.strip_prefix("42").expect("an event")).expect("a name and data")
}

/// A stock client of server-sent events.
struct Curl {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Curl {
    /// Starts it and waits for the first line of its stream.
    async fn start(node: &Host) -> Self {
        let mut child = Command::new("curl")
            .arg("-sN")
            .arg(format!("http://{}/events{QUERY}", node.addr))
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("curl is installed");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut curl = Self { child, lines };
        curl.field("retry: ").await;
        curl
    }

    async fn event(&mut self) -> (String, Value) {
        let name = self.field("event: ").await;
        let data = self.field("data: ").await;
        (name, serde_json::from_str(&data).expect("JSON"))
    }

    /// Waits for the next line that begins so.
    async fn field(&mut self, name: &str) -> String {
        loop {
            let line = within(self.lines.next_line()).await.expect("text");
            let line = line.expect("the stream goes on");
            if let Some(value) = line.strip_prefix(name) {
                return value.to_owned();
            }
        }
    }

    async fn stop(mut self) {
        within(self.child.kill()).await.expect("it runs");
    }
}

const QUERY: &str = "?service=messages&service=todos&event=created";
/// A broker in Erlang takes its time.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
