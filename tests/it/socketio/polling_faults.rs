//! Long-polling that breaks the protocol, or meets the wrong node.

use serde_json::{Value, json};
use wingbeat::{App, Config, Memory};

use crate::support::http::{Answer, Request};
use crate::support::polling::PollClient;
use crate::support::{Node, eventually};

async fn node() -> Node {
    Node::start(App::builder().service("messages", Memory::new())).await
}

fn error(answer: &Answer) -> (u16, Value) {
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    (answer.status, body)
}

fn unknown() -> (u16, Value) {
    (400, json!({ "code": 1, "message": "Session ID unknown" }))
}

fn bad_request() -> (u16, Value) {
    (400, json!({ "code": 3, "message": "Bad request" }))
}

#[tokio::test]
async fn requests_that_fit_no_session_get_the_errors_of_engine_io() {
    let node = node().await;
    let client = PollClient::connect(node.addr).await;
    let get = |query: &str| {
        let query = query.replace("SID", &client.sid);
        Request::new("GET", &format!("/socket.io/?{query}"))
    };
    let table = [
        (get("EIO=4&transport=polling&sid=nobody"), unknown()),
        (get("EIO=3&transport=polling&sid=SID"), bad_request()),
        (get("EIO=4&transport=websocket&sid=SID"), bad_request()),
        (client.request("PUT"), (500, Value::Null)),
        (client.request("OPTIONS"), (500, Value::Null)),
        (client.request("DELETE"), (500, Value::Null)),
    ];
    for (request, expected) in table {
        let said = format!("{request:?}");
        assert_eq!(error(&node.send(request).await), expected, "{said}");
    }
    assert_eq!(
        node.app.n_connections(),
        1,
        "none of them ended the session"
    );
}

#[tokio::test]
async fn a_second_poll_at_once_ends_the_session() {
    let node = node().await;
    let mut client = PollClient::connect(node.addr).await;
    client.begin_poll().await;
    // It is answered at once or not at all, so the poll has come before.
    client.post("43[]").await;
    let second = node.send(client.request("GET")).await;
    assert_eq!((second.status, second.text()), (400, ""));
    assert_eq!(client.polled().await.text(), "1");
    assert_eq!(error(&client.poll().await), unknown());
    assert_eq!(node.app.stats().closed_protocol, 1);
}

#[tokio::test]
async fn a_second_post_at_once_ends_the_session() {
    let node = node().await;
    let mut client = PollClient::connect(node.addr).await;
    let mut first = node.client().await;
    let head = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
        client.sid
    );
    first.write(head.as_bytes()).await;
    // It is asked for its body, so the first one is under way.
    assert_eq!(first.answer().await.status, 100);
    let second = client.try_post("3").await;
    assert_eq!((second.status, second.text()), (400, ""));
    assert_eq!(client.packet().await, "1");
    assert_eq!(error(&client.poll().await), unknown());
    assert_eq!(node.app.stats().closed_protocol, 1);
}

#[tokio::test]
async fn posts_that_are_no_packets_end_the_session() {
    let node = node().await;
    for body in ["x", "4x", "2", "40", "43[]\u{1e}", "b?", "bAQID"] {
        let mut client = PollClient::connect(node.addr).await;
        client.begin_poll().await;
        // As the stock server has it: the body was taken, what it says comes after that.
        assert_eq!(client.try_post(body).await.text(), "ok", "{body}");
        assert_eq!(client.polled().await.text(), "1", "{body}");
        assert_eq!(error(&client.poll().await), unknown(), "{body}");
    }
    let not_utf8 = |client: &PollClient| client.request("POST").typed("text/plain", vec![0xff]);
    let binary = |client: &PollClient| {
        client
            .request("POST")
            .typed("application/octet-stream", "40")
    };
    for request in [not_utf8, binary] {
        let client = PollClient::connect(node.addr).await;
        assert_eq!(node.send(request(&client)).await.status, 400);
    }
    eventually("all sessions are over", || node.app.n_connections() == 0).await;
    assert_eq!(node.app.stats().closed_protocol, 9);
}

#[tokio::test]
async fn who_breaks_the_protocol_without_a_poll_still_gets_what_waits() {
    let node = node().await;
    let mut client = PollClient::connect(node.addr).await;
    client.post("40/nope,\u{1e}42[").await;
    client.post("nobody reads this").await;
    let refused = r#"44/nope,{"message":"Invalid namespace"}"#;
    assert_eq!(client.packet().await, refused);
    assert_eq!(client.packet().await, "1");
    assert_eq!(error(&client.poll().await), unknown());
    assert_eq!(node.app.n_connections(), 0);
}

#[tokio::test]
async fn a_post_may_have_the_payload_limit_and_no_more() {
    let mut config = Config::default();
    config.max_message = 1_000;
    let builder = App::builder().service("messages", Memory::new());
    let node = Node::start(builder.config(config)).await;
    let mut client = PollClient::connect(node.addr).await;
    let fill = |length: usize| {
        let empty = r#"421["create","messages",{"text":""},{}]"#;
        empty.replace(
            r#""""#,
            &format!(r#""{}""#, "x".repeat(length - empty.len())),
        )
    };
    client.post(&fill(1_000)).await;
    assert!(client.packet().await.starts_with("431[null,"));
    let answer = client.try_post(&fill(1_001)).await;
    assert_eq!((answer.status, answer.text()), (413, ""));
    assert_eq!(client.packet().await, "1");
    assert_eq!(node.app.stats().closed_too_large, 1);
}

#[tokio::test]
async fn a_post_that_breaks_off_ends_the_session() {
    let node = node().await;
    let client = PollClient::connect(node.addr).await;
    let mut broken = node.client().await;
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", client.sid);
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n43");
    broken.write(head.as_bytes()).await;
    drop(broken);
    eventually("the session is over", || node.app.n_connections() == 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_fetch_is_closed_as_slow() {
    let mut config = Config::default();
    config.outbox.frames = 100;
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"));
    let node = Node::start(builder.config(config)).await;
    let mut client = PollClient::connect(node.addr).await;
    for n in 0..101 {
        let service = node.app.service_at("messages");
        service.emit("created", json!({ "n": n })).unwrap();
    }
    // A poll between two batches of events would fetch what waits.
    eventually("it is slow", || node.app.stats().frames_dropped == 101).await;
    assert_eq!(client.packet().await, "1");
    assert_eq!(node.app.stats().closed_slow, 1);
}

#[tokio::test]
async fn a_poll_that_reaches_another_node_is_explained_and_counted() {
    let (node, other) = (node().await, node().await);
    let client = PollClient::connect(node.addr).await;
    for verb in ["GET", "POST"] {
        let (status, body) = error(&other.send(client.request(verb)).await);
        assert_eq!((status, &body["code"]), (400, &json!(1)));
        assert_eq!(body["message"], "Session ID unknown");
        let hint = body["hint"].as_str().unwrap();
        assert!(hint.contains("sticky sessions"), "{hint}");
    }
    let counts = |node: &Node| {
        (
            node.app.stats().wrong_node,
            node.app.stats().refused_handshakes,
        )
    };
    assert_eq!((counts(&other), counts(&node)), ((2, 0), (0, 0)));
    assert_eq!(node.app.n_connections(), 1);
}
