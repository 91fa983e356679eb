//! An app inside of servers of others: axum's, hyper's, with TLS, on a Unix socket, below a prefix.

use std::convert::Infallible;

use axum::Router;
use axum::extract::Request as HttpRequest;
use axum::middleware::{Next, from_fn};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use wingbeat::error::Result;
use wingbeat::transport::ClientAddr;
use wingbeat::{App, AppBuilder, Config, Leftover, Memory, Params, Service};

use crate::serve::Gate;
use crate::support::background;
use crate::support::host::Host;
use crate::support::http::{Client, Request};
use crate::support::polling::PollClient;
use crate::support::services::Echo;
use crate::support::socket::{Heard, SocketClient};

/// Whom the host's own middleware has found.
#[derive(Clone, Debug)]
struct Tenant(String);

/// Answers what the host knows of the caller.
struct Known;

impl Service for Known {
    const METHODS: &'static [&'static str] = &["find"];

    async fn find(&self, params: &Params) -> Result<Value> {
        let extensions = &params.extensions;
        let tenant = extensions.get().map(|Tenant(name)| name.as_str());
        let addr = extensions.get().map(|ClientAddr(addr)| addr.to_string());
        Ok(json!({ "tenant": tenant, "addr": addr }))
    }
}

async fn know_tenant(mut request: HttpRequest, next: Next) -> axum::response::Response {
    let name = request.headers().get("x-tenant");
    if let Some(name) = name.and_then(|name| name.to_str().ok()) {
        let tenant = Tenant(name.to_owned());
        request.extensions_mut().insert(tenant);
    }
    next.run(request).await
}

fn builder(gate: &Gate) -> AppBuilder {
    let mut config = Config::default();
    config.outbox.bytes = 64 << 20;
    App::builder()
        .config(config)
        .service("messages", Memory::new())
        .service("known", Known)
        .service("gate", gate.clone())
        .on_connection(|connection, app| {
            let tenant = connection.extensions().get();
            let tenant = tenant.map_or("nobody", |Tenant(name)| name.as_str());
            app.channel(tenant).join(connection);
        })
        .publish(|event, channels| {
            channels.channel(event.data()["tenant"].as_str().unwrap_or("nobody"))
        })
}

/// What the host had before: a page, and a route that wants its body.
fn pages() -> Router {
    Router::new()
        .route("/page", get(|| async { "a page" }))
        .route(
            "/length",
            post(|body: String| async move { body.len().to_string() }),
        )
}

fn layered(app: &App) -> Router {
    pages().layer(app.layer()).layer(from_fn(know_tenant))
}

/// Events of 64 KiB: about 5 MB.
const N_LATE: usize = 80;

/// One way of mounting: where it is, and what is below.
struct Mount {
    host: Host,
    gate: Gate,
    prefix: &'static str,
}

impl Mount {
    /// Mounts at the root by a layer.
    async fn layered<F: Future<Output = Host>>(serve: impl FnOnce(App, Router) -> F) -> Self {
        let gate = Gate::new();
        let app = builder(&gate).build().unwrap();
        let host = serve(app.clone(), layered(&app)).await;
        let prefix = "";
        Self { host, gate, prefix }
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    async fn socket(&self, tenant: &str) -> SocketClient {
        self.socket_that_keeps(tenant, None).await
    }

    /// Opens a socket for which the kernel keeps so many bytes unread.
    async fn socket_that_keeps(&self, tenant: &str, unread: Option<u32>) -> SocketClient {
        let path = self.path("/socket.io/?EIO=4&transport=websocket");
        let uri = format!("ws://{}{path}", self.host.addr);
        let mut request = uri.into_client_request().unwrap();
        request
            .headers_mut()
            .insert("x-tenant", tenant.parse().unwrap());
        let mut socket = SocketClient::open_with(request, unread).await;
        socket.join().await;
        socket
    }

    async fn poller(&self) -> PollClient {
        let mut poller = PollClient::open_below(self.host.addr, self.prefix).await;
        poller.join().await;
        poller
    }

    /// Everything that each way of mounting has to do.
    async fn check(self) {
        self.answers().await;
        self.tells_clients().await;
        self.waits_for_who_reads_late().await;
        self.stops_in_order().await;
    }

    async fn answers(&self) {
        let page = self.host.send(Request::new("GET", "/page")).await;
        assert_eq!((page.status, page.text()), (200, "a page"));
        let body = "x".repeat(300_000);
        let long = Request::new("POST", "/length").typed("text/plain", body);
        assert_eq!(self.host.send(long).await.text(), "300000");
        assert_eq!(
            self.host.send(Request::new("GET", "/nowhere")).await.status,
            404
        );
        let ready = self
            .host
            .send(Request::new("GET", &self.path("/ready")))
            .await;
        assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
        let known = Request::new("GET", &self.path("/known")).header("x-tenant", "acme");
        assert_eq!(self.host.send(known).await.json()["tenant"], "acme");
    }

    async fn tells_clients(&self) {
        let mut socket = self.socket("acme").await;
        let mut other = self.socket("other").await;
        let mut poller = self.poller().await;
        let known = socket.call("find", "known", json!([{}])).await.unwrap();
        assert_eq!(known["tenant"], "acme");
        for (n, tenant) in ["acme", "nobody", "other"].into_iter().enumerate() {
            let message = Request::new("POST", &self.path("/messages"));
            let created = self
                .host
                .send(message.json(&json!({ "tenant": tenant })))
                .await;
            assert_eq!(created.pair(), (201, json!({ "tenant": tenant, "id": n })));
        }
        assert_eq!(socket.event().await.1["id"], 0);
        assert_eq!(other.event().await.1["id"], 2);
        let heard = r#"42["messages created",{"tenant":"nobody","id":1}]"#;
        assert_eq!(poller.packet().await, heard);
        assert_eq!((socket.n_kept(), other.n_kept()), (0, 0));
    }

    /// More than all the sockets on the way take waits in the node, in order.
    async fn waits_for_who_reads_late(&self) {
        let mut socket = self.socket_that_keeps("late", Some(4_096)).await;
        let mut caller = self.host.client().await;
        let text = "x".repeat(64 << 10);
        for n in 0..N_LATE {
            let message = Request::new("POST", &self.path("/messages"));
            let message = message.json(&json!({ "tenant": "late", "n": n, "text": text }));
            assert_eq!(caller.send(message).await.status, 201);
        }
        for n in 0..N_LATE {
            assert_eq!(socket.event().await.1["n"], n);
        }
    }

    /// Clients are told, and the call that runs is answered, before the server is done.
    async fn stops_in_order(self) {
        let mut socket = self.socket("acme").await;
        let mut poller = self.poller().await;
        poller.begin_poll().await;
        let mut caller = self.host.client().await;
        let call = Request::new("POST", &self.path("/gate")).json(&json!(["late"]));
        caller.begin(&call).await;
        self.gate.entered().await;
        let Self { host, gate, .. } = self;
        let app = host.app.clone();
        let stopping = background(host.stop());
        assert_eq!(socket.end().await, Heard::Closed(Some(1012)));
        drop(socket);
        assert_eq!(poller.polled().await.text(), "1");
        assert!(!stopping.is_finished());
        gate.open.add_permits(1);
        assert_eq!(caller.answer().await.pair(), (201, json!(["late"])));
        assert_eq!(stopping.await.unwrap(), Leftover::default());
        assert_eq!(app.n_connections(), 0);
    }
}

#[tokio::test]
async fn a_layer_under_axum_serve() {
    let mount = Mount::layered(|app, router| async move { Host::axum(&app, router).await });
    mount.await.check().await;
}

#[tokio::test]
async fn a_layer_under_hyper() {
    let mount = Mount::layered(|app, router| async move { Host::hyper(&app, router).await });
    mount.await.check().await;
}

#[tokio::test]
async fn a_layer_under_tls() {
    let mount = Mount::layered(|app, router| async move { Host::tls(&app, router).await });
    mount.await.check().await;
}

#[tokio::test]
async fn a_layer_on_a_unix_socket() {
    let mount = Mount::layered(|app, router| async move { Host::unix(&app, router).await });
    mount.await.check().await;
}

#[tokio::test]
async fn a_router_nested_below_a_prefix() {
    let gate = Gate::new();
    let app = builder(&gate).build().unwrap();
    let nested = pages().nest("/api/v1", app.clone().into_router());
    let host = Host::axum(&app, nested.layer(from_fn(know_tenant))).await;
    let prefix = "/api/v1";
    Mount { host, gate, prefix }.check().await;
}

#[tokio::test]
async fn a_layer_with_a_prefix() {
    let gate = Gate::new();
    let mut config = Config::default();
    config.prefix = "/api".to_owned();
    config.outbox.bytes = 64 << 20;
    let app = builder(&gate).config(config).build().unwrap();
    let host = Host::axum(&app, layered(&app)).await;
    let prefix = "/api";
    Mount { host, gate, prefix }.check().await;
}

#[tokio::test]
async fn a_merged_router_answers_all_that_the_host_does_not() {
    let app = App::builder()
        .service("messages", Memory::new())
        .build()
        .unwrap();
    let host = Host::axum(&app, pages().merge(app.clone().into_router())).await;
    assert_eq!(
        host.send(Request::new("GET", "/page")).await.text(),
        "a page"
    );
    let empty = (200, json!([]));
    assert_eq!(
        host.send(Request::new("GET", "/messages")).await.pair(),
        empty
    );
    let (status, error) = host.send(Request::new("GET", "/nowhere")).await.pair();
    assert_eq!((status, &error["data"]["url"]), (404, &json!("/nowhere")));
    assert_eq!(host.stop().await, Leftover::default());
}

#[tokio::test]
async fn the_prefix_is_the_whole_apps_and_what_is_outside_goes_on() {
    let mut config = Config::default();
    config.prefix = "api/".to_owned();
    let app = App::builder().config(config).service("echo", Echo);
    let app = app.fallback(pages()).build().unwrap();
    let node = crate::support::Node::serve(app).await;
    let seen = node.get("/api/echo/7?a=1").await.json();
    assert_eq!(
        (&seen["id"], &seen["query"]),
        (&json!("7"), &json!({ "a": "1" }))
    );
    for path in [
        "/echo",
        "/apis/echo",
        "/ready",
        "/api/nowhere",
        "/socket.io/",
    ] {
        let (status, error) = node.get(path).await.pair();
        assert_eq!((status, &error["data"]["url"]), (404, &json!(path)));
    }
    assert_eq!(node.get("/page").await.text(), "a page");
    let mut config = Config::default();
    config.prefix = "/api?".to_owned();
    let error = App::builder().config(config).build().unwrap_err();
    assert_eq!(error.to_string(), "prefix is '/api?', which is no path");
    assert_eq!(node.stop().await, Leftover::default());
}

#[tokio::test]
async fn the_address_of_axum_is_that_of_the_client() {
    let app = App::builder().service("known", Known).build().unwrap();
    let host = Host::axum(&app, layered(&app)).await;
    let known = host.send(Request::new("GET", "/known")).await.json();
    assert!(
        known["addr"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{known}"
    );
    let mut socket = SocketClient::connect(host.addr).await;
    let known = socket.call("find", "known", json!([{}])).await.unwrap();
    assert!(
        known["addr"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{known}"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_layer_goes_around_any_tower_service() {
    let app = App::builder()
        .service("messages", Memory::new())
        .build()
        .unwrap();
    let inner = tower::service_fn(|request: http::Request<String>| async move {
        Ok::<_, Infallible>(http::Response::new(request.into_body()))
    });
    let mut service = tower::Layer::layer(&app.layer(), inner);
    for (path, expected) in [("/messages", "[]"), ("/other", "as it was")] {
        let request = http::Request::get(path)
            .body("as it was".to_owned())
            .unwrap();
        let response = tower::Service::call(&mut service, request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 100)
            .await
            .unwrap();
        assert_eq!(body, expected, "{path}");
    }
    app.close().await;
}

#[tokio::test]
async fn the_hosts_own_requests_end_with_the_server() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let page = move || async move {
        Service::create(&waiting, json!(null), &Params::default())
            .await
            .unwrap();
        "late"
    };
    let app = App::builder().build().unwrap();
    let router = Router::new().route("/slow", get(page)).layer(app.layer());
    let host = Host::axum(&app, router).await;
    let mut client: Client = host.client().await;
    client.begin(&Request::new("GET", "/slow")).await;
    gate.entered().await;
    let (told, tells) = tokio::sync::oneshot::channel::<()>();
    let closing = background({
        let app = app.clone();
        async move { app.close_after(tells).await }
    });
    assert!(!closing.is_finished());
    told.send(()).unwrap();
    assert_eq!(closing.await.unwrap(), Leftover::default());
    gate.open.add_permits(1);
    assert_eq!(client.answer().await.text(), "late");
    host.ended().await;
}
