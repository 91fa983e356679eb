//! Packets that are malformed or out of place.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use wingbeat::{App, Memory};

use crate::support::Node;
use crate::support::services::Echo;
use crate::support::socket::{Heard, SocketClient};

async fn node() -> Node {
    Node::start(
        App::builder()
            .service("messages", Memory::new())
            .service("echo", Echo),
    )
    .await
}

#[tokio::test]
async fn malformed_packets_close_without_a_code() {
    let node = node().await;
    for packet in [
        "",
        "7",
        "x",
        "48",
        "4",
        "42[",
        r#"42"find""#,
        "42{}",
        "42[]",
        "42[null]",
        "42[{}]",
        r#"42-1["find","messages"]"#,
        r#"42["connect"]"#,
        r#"42["connect_error"]"#,
        r#"42["disconnect"]"#,
        r#"42["disconnecting"]"#,
        r#"42["newListener"]"#,
        r#"42["removeListener"]"#,
        "40",
        "40{}",
        "44{}",
        "41{}",
        "2",
        "2probe",
        "43{}",
        r#"42/foo,["find"]"#,
        "41/foo,",
        r#"450-["find"]"#,
        r#"4511-["find"]"#,
        "b?",
    ] {
        let mut client = SocketClient::connect(node.addr).await;
        client.send(packet).await;
        assert_eq!(client.end().await, Heard::Closed(None), "{packet}");
    }
}

#[tokio::test]
async fn packets_before_the_namespace_close_without_a_code() {
    let node = node().await;
    for packet in [
        r#"421["find","messages",{}]"#,
        "41",
        "43[]",
        r#"451-["find"]"#,
        r#"40"x""#,
        "40[]",
    ] {
        let mut client = SocketClient::open(node.addr).await;
        client.send(packet).await;
        assert_eq!(client.end().await, Heard::Closed(None), "{packet}");
    }
}

#[tokio::test]
async fn what_means_nothing_is_passed_over() {
    let node = node().await;
    let mut client = SocketClient::connect(node.addr).await;
    for packet in [
        "6",
        "5",
        "0",
        "3",
        "3probe",
        "43[]",
        "4312[1,2]",
        "42[5]",
        "427[0,1]",
        "42",
        "429",
        r#"421["nope","messages",{}]"#,
        r#"422["messages::find",{}]"#,
        r#"423["find"]"#,
        r#"424["constructor","messages"]"#,
    ] {
        client.send(packet).await;
    }
    // The next answer is the one to this call: none of the others got one.
    client.send(r#"4299["find","messages",{}]"#).await;
    assert_eq!(client.packet().await, "4399[null,[]]");
    assert_eq!(node.app.stats().ignored_messages, 8);
}

#[tokio::test]
async fn broken_websocket_frames_close_with_the_codes_of_the_rfc() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let node = node().await;
    let table = [
        (
            Frame::message(vec![0xff_u8, 0xfe], OpCode::Data(Data::Text), true),
            1007,
        ),
        (
            Frame::message("40", OpCode::Data(Data::Continue), true),
            1002,
        ),
    ];
    for (frame, code) in table {
        let mut client = SocketClient::connect(node.addr).await;
        client.send_message(Message::Frame(frame)).await;
        assert_eq!(client.end().await, Heard::Closed(Some(code)));
    }
}

#[tokio::test]
async fn fragments_and_websocket_pings_are_no_trouble() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let node = node().await;
    let mut client = SocketClient::connect(node.addr).await;
    let fragment = |text: &'static str, opcode, is_final| {
        Message::Frame(Frame::message(text, OpCode::Data(opcode), is_final))
    };
    client
        .send_message(fragment(r#"421["find","#, Data::Text, false))
        .await;
    client
        .send_message(Message::Ping("in between".into()))
        .await;
    client
        .send_message(fragment(r#""messages",{}]"#, Data::Continue, true))
        .await;
    assert_eq!(client.answer(1).await, Ok(json!([])));
}

#[tokio::test]
async fn attachments_come_to_services_and_back() {
    let node = node().await;
    let mut client = SocketClient::connect(node.addr).await;
    let packet = r#"452-7["create","echo",{"a":{"_placeholder":true,"num":1},"b":[{"_placeholder":true,"num":0}]},{}]"#;
    client.send(packet).await;
    client
        .send_message(Message::binary(vec![1_u8, 2, 3, 255]))
        .await;
    // An attachment of a client that sends no binary frames.
    client.send("bAQID").await;
    let answer = client.packet().await;
    assert!(answer.starts_with("462-7[null,{"), "{answer}");
    assert!(
        answer.contains(
            r#""data":{"a":{"_placeholder":true,"num":0},"b":[{"_placeholder":true,"num":1}]}"#
        ),
        "{answer}"
    );
    assert_eq!(client.attachment().await, [1, 2, 3]);
    assert_eq!(client.attachment().await, [1, 2, 3, 255]);
    client.send(r#"461-9[{"_placeholder":true,"num":0}]"#).await;
    client.send_message(Message::binary(vec![1_u8])).await;
    assert_eq!(
        client.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
}

#[tokio::test]
async fn attachments_out_of_place_close_without_a_code() {
    let node = node().await;
    let placeholder =
        |num: &str| format!(r#"451-["create","echo",{{"_placeholder":true,"num":{num}}}]"#);
    let mut unexpected = SocketClient::connect(node.addr).await;
    unexpected.send_message(Message::binary(vec![1_u8])).await;
    assert_eq!(unexpected.end().await, Heard::Closed(None));
    let mut interrupted = SocketClient::connect(node.addr).await;
    interrupted.send(&placeholder("0")).await;
    interrupted.send(r#"42["find","messages"]"#).await;
    assert_eq!(interrupted.end().await, Heard::Closed(None));
    for num in ["1", "-1", "\"0\"", "null"] {
        let mut illegal = SocketClient::connect(node.addr).await;
        illegal.send(&placeholder(num)).await;
        illegal.send_message(Message::binary(vec![1_u8])).await;
        assert_eq!(illegal.end().await, Heard::Closed(None), "{num}");
    }
}
