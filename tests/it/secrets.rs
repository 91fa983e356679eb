//! What clients send as credentials stays in the process: a link of the test's own reads all that passes over Redis.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderValue;
use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::{App, Memory};
use wingbeat_adapter::{Incoming, LinkOptions, SyncAdapter};
use wingbeat_redis::RedisAdapter;

use crate::support::http::Request;
use crate::support::redis::RedisServer;
use crate::support::socket::{SocketClient, request};
use crate::support::{Node, background, eventually, within};

#[tokio::test]
async fn a_planted_authorization_and_cookie_reach_no_message_on_the_broker() {
    let redis = RedisServer::start();
    let seen = read_all(&redis.uri()).await;
    let node = node(&redis.uri()).await;
    let (authorization, cookie) = ("Bearer planted-token", "session=planted-cookie");

    let mut handshake = request(node.addr);
    handshake
        .headers_mut()
        .insert("authorization", HeaderValue::from_static(authorization));
    handshake
        .headers_mut()
        .insert("cookie", HeaderValue::from_static(cookie));
    let mut socket = SocketClient::open_with(handshake, None).await;
    socket.join().await;
    for path in PATHS {
        let planted = Request::new("POST", &format!("/{path}?token=planted-query"))
            .json(&json!({ "text": "rest" }));
        let planted = planted
            .header("authorization", authorization)
            .header("cookie", cookie);
        assert_eq!(node.send(planted).await.status, 201);
        socket
            .call(
                "create",
                path,
                json!([{ "text": "socket" }, { "token": "planted-query" }]),
            )
            .await
            .unwrap();
    }

    eventually("the events are on the bus", || {
        seen.lock()
            .iter()
            .filter(|payload| is_event(payload))
            .count()
            == 4
    })
    .await;
    let texts: Vec<String> = seen
        .lock()
        .iter()
        .map(|payload| String::from_utf8_lossy(payload).into_owned())
        .collect();
    let leaking: Vec<&String> = texts
        .iter()
        .filter(|text| text.contains("planted"))
        .collect();
    assert!(leaking.is_empty(), "{leaking:?}");
}

/// Notes every payload of both lanes from here on.
async fn read_all(uri: &str) -> Arc<Mutex<Vec<Bytes>>> {
    let adapter = RedisAdapter::from_uri(uri).unwrap();
    let link = within(adapter.connect(&LinkOptions::new("feathers-sync")))
        .await
        .unwrap();
    let seen: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let noted = Arc::clone(&seen);
    background(async move {
        // The whole link: without its other half it would end.
        let mut link = link;
        while let Some(Ok(Incoming::Message { payload, .. })) = link.inbound.next().await {
            noted.lock().push(payload);
        }
    });
    seen
}

/// A node with one service on each lane.
async fn node(uri: &str) -> Node {
    let mut builder = App::builder().node_peers([PATHS[0]]).sync_uri(uri);
    for path in PATHS {
        builder = builder.service(path, Memory::new());
    }
    let node = Node::start(builder).await;
    within(node.app.sync().ready()).await.unwrap();
    node
}

fn is_event(payload: &[u8]) -> bool {
    let message: Value = serde_json::from_slice(payload).unwrap();
    message["event"] == "created"
}

const PATHS: [&str; 2] = ["messages", "rooms"];
