//! The change from long-polling to a websocket.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use wingbeat::{App, AppBuilder, Config, Memory};

use crate::support::polling::PollClient;
use crate::support::socket::{Heard, SocketClient};
use crate::support::{Node, background, eventually};

fn chat() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

async fn probed(node: &Node, client: &PollClient) -> SocketClient {
    let mut socket = SocketClient::probe(node.addr, &client.sid).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    socket
}

/// Calls over polling; a poll may end for a probe in between.
async fn find(client: &mut PollClient) {
    client.post(r#"421["find","messages",{}]"#).await;
    let answer = loop {
        let packet = client.packet().await;
        if packet != "6" {
            break packet;
        }
    };
    assert_eq!(answer, "431[null,[]]");
}

#[tokio::test]
async fn the_poll_that_waits_is_released_and_the_websocket_goes_on() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    client.begin_poll().await;
    let mut socket = probed(&node, &client).await;
    assert_eq!(client.polled().await.text(), "6");
    socket.send("5").await;
    let found = socket.call("find", "messages", json!([{}])).await;
    assert_eq!(found, Ok(json!([])));
    assert_eq!(node.app.n_connections(), 1);
    assert_eq!(client.poll().await.status, 400, "polling is over");
    drop(socket);
    eventually("the client is gone", || node.app.n_connections() == 0).await;
}

/// What comes right behind the packet that changes over is read too, and a namespace may be connected after it.
#[tokio::test]
async fn a_client_may_change_before_it_connects() {
    let node = Node::start(chat()).await;
    let client = PollClient::open(node.addr).await;
    let mut socket = probed(&node, &client).await;
    socket.send("5").await;
    socket.send("40").await;
    socket.send(r#"427["find","messages",{}]"#).await;
    assert!(socket.packet().await.starts_with(r#"40{"sid":"#));
    assert_eq!(socket.packet().await, "437[null,[]]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_lost_doubled_or_overtaken_by_the_change() {
    let mut config = Config::default();
    config.outbox.frames = 1 << 20;
    let node = Node::start(chat().config(config)).await;
    let storm = background(storm(node.app.clone()));
    for _ in 0..20 {
        let mut client = PollClient::connect(node.addr).await;
        let mut heard = Vec::new();
        while heard.len() < 50 {
            heard.push(number(&client.packet().await));
        }
        let mut socket = SocketClient::probe(node.addr, &client.sid).await;
        socket.send("2probe").await;
        // It goes on polling until it knows that the probe is answered, and a little longer.
        assert_eq!(socket.packet().await, "3probe");
        while heard.len() < 100 {
            match client.packet().await.as_str() {
                "6" => {}
                packet => heard.push(number(packet)),
            }
        }
        heard.extend(client.fetched().iter().map(|packet| number(packet)));
        socket.send("5").await;
        for _ in 0..200 {
            heard.push(number(&socket.packet().await));
        }
        let expected: Vec<u64> = (heard[0]..).take(heard.len()).collect();
        assert_eq!(heard, expected);
    }
    storm.abort();
}

/// Emits some thousand events a second.
async fn storm(app: App) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    for n in 0_u64.. {
        let service = app.service_at("messages");
        service.emit("created", json!(n)).unwrap();
        if n % 10 == 0 {
            ticks.tick().await;
        }
    }
}

fn number(packet: &str) -> u64 {
    let n = packet.strip_prefix(r#"42["messages created","#);
    let n = n.and_then(|n| n.strip_suffix(']')?.parse().ok());
    n.unwrap_or_else(|| panic!("an event was expected, not {packet}"))
}

#[tokio::test]
async fn what_no_poll_has_fetched_comes_over_the_websocket() {
    let mut config = Config::default();
    config.max_message = 500;
    let node = Node::start(chat().config(config)).await;
    let mut client = PollClient::connect(node.addr).await;
    let mut witness = SocketClient::connect(node.addr).await;
    for n in 0..101 {
        let service = node.app.service_at("messages");
        service.emit("created", json!(n)).unwrap();
    }
    // When it has the last one, the other client's queue has those before.
    for _ in 0..101 {
        witness.event().await;
    }
    let mut heard = vec![number(&client.packet().await)];
    heard.extend(client.fetched().iter().map(|packet| number(packet)));
    assert!(heard.len() < 20, "one poll has no room for all");
    let mut socket = probed(&node, &client).await;
    socket.send("5").await;
    while heard.len() < 101 {
        heard.push(number(&socket.packet().await));
    }
    assert_eq!(heard, (0..101).collect::<Vec<_>>());
}

#[tokio::test]
async fn answers_to_calls_that_were_posted_come_over_the_websocket() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    let mut socket = probed(&node, &client).await;
    for id in 0..100 {
        client
            .post(&format!(r#"42{id}["find","messages",{{}}]"#))
            .await;
    }
    socket.send("5").await;
    for _ in 0..100 {
        assert!(socket.packet().await.ends_with("[null,[]]"));
    }
}

#[tokio::test]
async fn a_probe_that_fails_leaves_polling_as_it_was() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    for packets in [
        &["5"][..],
        &["2"],
        &["4x"],
        &["2probe", "2probe"],
        &["2probe", "40"],
        // What comes behind the breach does not take the goodbye away.
        &["2probe", "", "5", "40"],
    ] {
        let mut socket = SocketClient::probe(node.addr, &client.sid).await;
        for packet in packets {
            socket.send(packet).await;
        }
        assert_eq!(socket.end().await, Heard::Closed(None), "{packets:?}");
        find(&mut client).await;
    }
    assert_eq!(node.app.n_connections(), 1);
}

#[tokio::test]
async fn a_probe_that_takes_too_long_is_given_up() {
    let mut config = Config::default();
    config.upgrade_timeout = Duration::from_millis(100);
    let node = Node::start(chat().config(config)).await;
    let mut client = PollClient::connect(node.addr).await;
    let mut silent = SocketClient::probe(node.addr, &client.sid).await;
    assert_eq!(silent.hear().await, Heard::Lost);
    find(&mut client).await;
    let mut undecided = probed(&node, &client).await;
    assert_eq!(undecided.hear().await, Heard::Lost);
    find(&mut client).await;
    let mut third = probed(&node, &client).await;
    third.send("5").await;
    assert_eq!(
        third.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
}

#[tokio::test]
async fn websockets_for_sessions_that_are_unknown_or_changing_are_refused() {
    let node = Node::start(chat()).await;
    let client = PollClient::connect(node.addr).await;
    let _probe = probed(&node, &client).await;
    for (sid, code) in [("nobody", 1), (client.sid.as_str(), 3)] {
        let uri = format!(
            "ws://{}/socket.io/?EIO=4&transport=websocket&sid={sid}",
            node.addr
        );
        let request = uri.into_client_request().unwrap();
        let stream = tokio::net::TcpStream::connect(node.addr).await.unwrap();
        let error = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap_err();
        let Error::Http(response) = error else {
            panic!("an answer was expected, not {error}");
        };
        assert_eq!(response.status(), 400);
        let body = String::from_utf8(response.into_body().unwrap()).unwrap();
        assert!(body.contains(&format!(r#""code":{code}"#)), "{body}");
    }
}

#[tokio::test]
async fn a_session_that_ends_takes_its_probe_along() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    let mut socket = probed(&node, &client).await;
    client.post("1").await;
    assert_eq!(socket.hear().await, Heard::Lost);
    assert_eq!(node.app.n_connections(), 0);
}
