//! Long-polling between clients and nodes that do everything right.

use std::time::Duration;

use serde_json::{Value, json};
use wingbeat::{App, AppBuilder, Config, Memory};

use crate::support::http::{Answer, Request};
use crate::support::polling::{PollClient, path};
use crate::support::services::Echo;
use crate::support::socket::SocketClient;
use crate::support::{Node, eventually, within};

fn chat() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .service("echo", Echo)
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"))
}

fn emit(node: &Node, n: usize) {
    let service = node.app.service_at("messages");
    service.emit("created", json!({ "n": n })).unwrap();
}

fn event(n: usize) -> String {
    format!(r#"42["messages created",{{"n":{n}}}]"#)
}

#[tokio::test]
async fn the_first_answer_opens_a_session_that_may_change_to_a_websocket() {
    let node = Node::start(chat()).await;
    let answer = node.get(&path(None)).await;
    let headers = [
        "content-type",
        "cache-control",
        "access-control-allow-origin",
    ];
    let found = headers.map(|name| answer.header(name));
    let expected = [Some("text/plain; charset=UTF-8"), Some("no-store"), None];
    assert_eq!(found, expected.map(|value| value.map(str::to_owned)));
    let mut open: Value = serde_json::from_str(answer.text().strip_prefix('0').unwrap()).unwrap();
    assert_eq!(open["sid"].as_str().unwrap().len(), 20);
    open["sid"] = Value::Null;
    let expected = json!({
        "sid": null, "upgrades": ["websocket"], "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 1_000_000
    });
    assert_eq!(open, expected);
}

#[tokio::test]
async fn several_packets_go_with_one_request_either_way() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    let answer = client
        .try_post(
            "421[\"find\",\"messages\",{}]\u{1e}42[\"nope\"]\u{1e}422[\"get\",\"messages\",9]",
        )
        .await;
    let headers = ["content-type", "cache-control"].map(|name| answer.header(name).unwrap());
    assert_eq!(headers, ["text/html", "no-store"]);
    let mut answers = [client.packet().await, client.packet().await];
    answers.sort();
    assert_eq!(answers[0], "431[null,[]]");
    assert!(answers[1].starts_with(r#"432[{"name":"NotFound""#));
    let mut witness = SocketClient::connect(node.addr).await;
    (0..4).for_each(|n| emit(&node, n));
    for _ in 0..4 {
        witness.event().await;
    }
    let body = client.poll().await;
    let first_three = [0, 1, 2].map(event).join("\u{1e}");
    assert!(body.text().starts_with(&first_three), "{}", body.text());
}

#[tokio::test]
async fn a_poll_is_held_until_something_comes() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    client.begin_poll().await;
    // The next answer is the one to this poll, so it was not answered before.
    client.post("40/other,").await;
    let answer = client.polled().await;
    assert_eq!(answer.text(), r#"44/other,{"message":"Invalid namespace"}"#);
    client.begin_poll().await;
    emit(&node, 1);
    assert_eq!(client.polled().await.text(), event(1));
}

#[tokio::test]
async fn polls_and_websockets_hear_the_same() {
    let node = Node::start(chat()).await;
    let mut socket = SocketClient::connect(node.addr).await;
    let mut client = PollClient::connect(node.addr).await;
    for n in 0..50 {
        emit(&node, n);
    }
    client
        .post(r#"42["create","messages",{"text":"é\u001e"},{}]"#)
        .await;
    for n in 0..50 {
        assert_eq!(client.packet().await, event(n));
        assert_eq!(socket.event().await.1["n"], n);
    }
    let created = r#"42["messages created",{"text":"é\u001e","id":0}]"#;
    assert_eq!(client.packet().await, created);
    assert_eq!(node.app.n_connections(), 2);
}

#[tokio::test]
async fn an_answer_has_no_more_than_the_payload_limit() {
    let mut config = Config::default();
    config.max_message = 200;
    let node = Node::start(chat().config(config)).await;
    let mut client = PollClient::connect(node.addr).await;
    (0..100).for_each(|n| emit(&node, n));
    let mut heard = Vec::new();
    while heard.len() < 100 {
        let answer = client.poll().await;
        assert!(answer.body.len() <= 200, "{}", answer.text());
        heard.extend(answer.text().split('\u{1e}').map(str::to_owned));
    }
    assert_eq!(heard, (0..100).map(event).collect::<Vec<_>>());
    let large = json!({ "text": "x".repeat(1_000) });
    let service = node.app.service_at("messages");
    service.emit("created", large).unwrap();
    assert!(
        client.packet().await.len() > 1_000,
        "one packet always fits"
    );
}

#[tokio::test]
async fn a_post_waits_for_its_replies_to_be_fetched() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    let packets: Vec<String> = (0..100).map(|n| format!("40/{n},")).collect();
    let post = client
        .request("POST")
        .typed("text/plain", packets.join("\u{1e}"));
    let fetch = async {
        for n in 0..100 {
            let refusal = format!(r#"44/{n},{{"message":"Invalid namespace"}}"#);
            assert_eq!(client.packet().await, refusal);
        }
    };
    let (posted, ()) = tokio::join!(node.send(post), fetch);
    assert_eq!(posted.text(), "ok");
}

#[tokio::test]
async fn binary_data_is_text_both_ways() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    client
        .post(&format!(
            "451-7[\"create\",\"messages\",{{\"file\":{placeholder}}},{{}}]\u{1e}bAQID/w=="
        ))
        .await;
    let record = format!(r#"{{"file":{placeholder},"id":0}}"#);
    let expected = [
        &format!(r#"451-["messages created",{record}]"#),
        "bAQID/w==",
        &format!("461-7[null,{record}]"),
        "bAQID/w==",
    ];
    for packet in expected {
        assert_eq!(client.packet().await, packet);
    }
    let stored = node.app.service_at("messages").get(0).await.unwrap();
    assert_eq!(stored["file"], json!({ "$binary": "AQID/w==" }));
}

#[tokio::test]
async fn clients_that_answer_pings_stay_and_silent_ones_go() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(60);
    config.ping_timeout = Duration::from_millis(400);
    let node = Node::start(chat().config(config)).await;
    let mut silent = PollClient::connect(node.addr).await;
    let mut lively = PollClient::connect(node.addr).await;
    let alive = async {
        while node.app.stats().closed_timeout == 0 {
            assert_eq!(lively.packet().await, "2");
            lively.post("3").await;
        }
    };
    let dead = async {
        assert_eq!(silent.packet().await, "2");
        silent.packet().await
    };
    let (_, last) = tokio::join!(alive, dead);
    assert_eq!(last, "1");
    assert_eq!(silent.poll().await.status, 400);
    lively.post(r#"421["find","messages",{}]"#).await;
    assert_eq!(node.app.stats().closed_timeout, 1);
}

#[tokio::test]
async fn a_client_that_leaves_is_let_go() {
    let node = Node::start(chat()).await;
    for (packet, last) in [("1", "6"), ("41", "1")] {
        let mut client = PollClient::connect(node.addr).await;
        client.begin_poll().await;
        client.post(packet).await;
        assert_eq!(client.polled().await.text(), last);
        assert_eq!(node.app.n_connections(), 0);
        assert_eq!(client.poll().await.status, 400);
    }
    let mut vanishing = PollClient::connect(node.addr).await;
    vanishing.begin_poll().await;
    vanishing.post("43[]").await;
    drop(vanishing);
    eventually("the connection is forgotten", || {
        node.app.n_connections() == 0
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_answers_what_waits_and_says_goodbye() {
    let node = Node::start(chat()).await;
    let mut client = PollClient::connect(node.addr).await;
    let mut half_open = PollClient::open(node.addr).await;
    client.begin_poll().await;
    half_open.begin_poll().await;
    // Each post comes after the poll.
    client.post("43[]").await;
    half_open.post("3").await;
    let app = node.app.clone();
    let (leftover, one, other) =
        tokio::join!(within(app.close()), client.polled(), half_open.polled());
    assert_eq!((one.text(), other.text()), ("1", "1"));
    assert_eq!(leftover, wingbeat::Leftover::default());
    node.stop().await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_the_answers() {
    let mut config = Config::default();
    config.allowed_origins = vec!["https://app.example".to_owned()];
    let node = Node::start(chat().config(config)).await;
    let from = |request: Request, origin: &str| request.header("origin", origin);
    let allowed = |answer: &Answer| {
        [
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "vary",
        ]
        .map(|name| answer.header(name))
    };
    let get = || Request::new("GET", &path(None));
    let answer = node.send(from(get(), "https://app.example")).await;
    let expected = ["https://app.example", "true", "Origin"].map(|value| Some(value.to_owned()));
    assert_eq!((answer.status, allowed(&answer)), (200, expected));
    let stranger = node.send(from(get(), "https://evil.example")).await;
    assert_eq!(
        (stranger.status, allowed(&stranger)),
        (200, [None, None, None])
    );
    let with_cookie = from(get(), "https://evil.example").header("cookie", "a=b");
    assert_eq!(node.send(with_cookie).await.status, 403);
    let preflight = from(Request::new("OPTIONS", &path(None)), "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-a");
    let answer = node.send(preflight).await;
    let headers = ["methods", "headers"].map(|name| {
        answer
            .header(&format!("access-control-allow-{name}"))
            .unwrap()
    });
    assert_eq!(
        (answer.status, headers),
        (204, ["GET,POST", "x-a"].map(str::to_owned))
    );
}
