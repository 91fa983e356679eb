//! Events of routes on several nodes.

use wingbeat::sync::Reason;
use wingbeat_adapter::MemoryBroker;

use super::*;
use crate::support::http::Request;
use crate::support::{eventually, eventually_in};

/// Builds two nodes and waits until they know each other.
async fn joined(builders: [AppBuilder; 2]) -> [App; 2] {
    let apps = builders.map(|builder| builder.build().unwrap());
    let know = || apps.iter().all(|app| app.sync().peers().len() == 1);
    eventually_in(LIMIT, "they know each other", know).await;
    apps
}

fn on_memory() -> [AppBuilder; 2] {
    let broker = MemoryBroker::new();
    [builder().sync(broker.clone()), builder().sync(broker)]
}

/// Serves routes that are observed, with the id in the path also for a field of the publisher.
async fn observed(app: &App) -> Host {
    let router = Router::new()
        .route("/todos", post(create))
        .route(
            "/todos/{id}",
            patch(create).delete(async || StatusCode::NO_CONTENT),
        )
        .route(
            "/private",
            post(async |body| (SkipSync, create(body).await)),
        )
        .route("/payments", post(pay));
    let events = EventLayer::new(app).resource("/todos", "todos");
    serve(app, router, events.route("/private", "todos")).await
}

async fn create(Json(todo): Json<Value>) -> Json<Value> {
    Json(todo)
}

/// What happens on one node reaches the clients of the other, in order.
async fn check([one, other]: [App; 2]) {
    let hosts = [observed(&one).await, observed(&other).await];
    let mut client = SocketClient::connect(hosts[1].addr).await;
    let mut own = SocketClient::connect(hosts[0].addr).await;
    let body = |n: u64| json!({ "id": n, "text": "ü \n" });
    let request = |verb, path, n| Request::new(verb, path).json(&body(n));
    hosts[0].send(request("POST", "/todos", 1)).await;
    hosts[0].send(request("POST", "/private", 2)).await;
    hosts[0].send(request("PATCH", "/todos/3", 3)).await;
    hosts[0].send(send("DELETE", "/todos/4")).await;
    hosts[0].send(request("POST", "/payments", 5)).await;
    let expected = [
        ("todos created", body(1)),
        ("todos created", body(2)),
        ("todos patched", body(3)),
        ("todos removed", json!({ "id": 4 })),
        ("orders paid", body(5)),
    ];
    for (name, data) in expected {
        let event = (name.to_owned(), data);
        if event.1["id"] != 2 {
            assert_eq!(client.event().await, event);
        }
        assert_eq!(own.event().await, event);
    }
    drop((client, own));
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test]
async fn two_nodes_over_memory() {
    check(joined(on_memory()).await).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn two_nodes_over_redis() {
    let redis = crate::support::redis::RedisServer::start();
    let nodes = [0, 1].map(|_| builder().sync_uri(redis.uri()));
    check(joined(nodes).await).await;
}

/// A publisher sees the same on the other node: method and id.
#[tokio::test]
async fn publishers_of_the_other_node_see_method_and_id() {
    let by_id = |builder: AppBuilder| {
        builder.publish(|event, channels| {
            let is_wanted = event.path() == "todos" && event.method() == Some("patch");
            (is_wanted && event.field("id").unwrap() == 3).then(|| channels.channel("everybody"))
        })
    };
    let apps = joined(on_memory().map(by_id)).await;
    let hosts = [observed(&apps[0]).await, observed(&apps[1]).await];
    let mut client = SocketClient::connect(hosts[1].addr).await;
    for (verb, path) in [
        ("POST", "/todos"),
        ("PATCH", "/todos/2"),
        ("PATCH", "/todos/3"),
    ] {
        hosts[0]
            .send(Request::new(verb, path).json(&json!(path)))
            .await;
    }
    let event = ("todos patched".to_owned(), json!("/todos/3"));
    assert_eq!(client.event().await, event);
}

/// A node that has clients only, and no router of its own.
#[tokio::test]
async fn a_node_without_the_layer_opens_its_paths_or_hears_nothing() {
    let broker = MemoryBroker::new();
    let open = builder().open_paths().sync(broker.clone());
    let [one, gateway] = joined([builder().sync(broker.clone()), open]).await;
    let host = observed(&one).await;
    let gateway = crate::support::Node::serve(gateway).await;
    let mut client = SocketClient::connect(gateway.addr).await;
    let todo = || Request::new("POST", "/todos").json(&json!({ "id": 1 }));
    host.send(todo()).await;
    assert_eq!(client.event().await.0, "todos created");

    let closed = builder().sync(broker).build().unwrap();
    let know = || closed.sync().peers().len() == 2;
    eventually_in(LIMIT, "it knows the others", know).await;
    host.send(todo()).await;
    let refused = || {
        let quarantined = closed.sync().stats().quarantine;
        quarantined
            .get(&Reason::UnknownService)
            .is_some_and(|n| *n > 0)
    };
    eventually("it counts what it can not use", refused).await;
    drop(client);
    closed.close().await;
    gateway.stop().await;
    host.stop().await;
}

#[tokio::test]
async fn a_path_without_service_is_refused_until_paths_are_open() {
    let app = builder().build().unwrap();
    let orders = app.service_at("orders");
    assert_eq!(orders.emit("closed", json!(1)).unwrap_err().code(), 404);
    let app = builder().open_paths().build().unwrap();
    app.service_at("orders").emit("closed", json!(1)).unwrap();
    let own = app.service_at("authentication").emit("created", json!(1));
    assert_eq!(own.unwrap_err().code(), 404);
    let call = app.service_at("orders").find().await;
    assert_eq!(call.unwrap_err().code(), 404);
}

const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);
