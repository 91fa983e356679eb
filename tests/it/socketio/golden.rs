//! Packet by packet what a real Feathers server answers.

use serde_json::Value;
use wingbeat::service::Registration;
use wingbeat::stores::Multi;
use wingbeat::{App, Memory};

use crate::support::Node;
use crate::support::services::Echo;
use crate::support::socket::{Heard, SocketClient};

/// Written by `tests/wire/generate-socketio.mjs` with a Feathers server, whose services these are.
const GOLDEN: &str = include_str!("../../wire/socketio.json");

type Row = (Vec<String>, Vec<String>, Option<u16>);

#[tokio::test]
async fn every_packet_is_answered_as_feathers_does() {
    let app = App::builder()
        .service("messages", Memory::new().multi(Multi::All))
        .service("echo", Echo)
        .service("org/:org/items", Echo)
        .service("reading", Registration::new(Echo).methods(["find", "get"]))
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"));
    let node = Node::start(app).await;
    let rows: Vec<Row> = serde_json::from_str(GOLDEN).expect("rows");
    assert!(rows.len() > 150);
    for (packets, frames, end) in rows {
        let client = SocketClient::open(node.addr).await;
        play(client, &packets, &frames, end).await;
    }
}

/// Each packet after the first is sent when the one before it is answered.
async fn play(mut client: SocketClient, packets: &[String], frames: &[String], end: Option<u16>) {
    client.send(&packets[0]).await;
    let mut rest = packets[1..].iter();
    for frame in frames {
        assert_eq!(&without_sid(&client.packet().await), frame, "{packets:?}");
        if let Some(packet) = rest.next() {
            client.send(packet).await;
        }
    }
    if end.is_some() {
        assert_eq!(client.end().await, Heard::Closed(None), "{packets:?}");
        return;
    }
    // The next thing to come is the answer to this, so nothing came besides.
    client.send("40/last,").await;
    let last = client.packet().await;
    assert!(last.starts_with("44/last,"), "{packets:?}: {last}");
}

fn without_sid(frame: &str) -> String {
    let connected = frame.strip_prefix("40").map(serde_json::from_str::<Value>);
    match connected {
        Some(Ok(body)) if body["sid"].is_string() => r#"40{"sid":"S"}"#.to_owned(),
        _ => frame.to_owned(),
    }
}
