//! Bodies: what is data, and what the client is told when it is none.

use std::time::Duration;

use async_compression::tokio::bufread::{GzipEncoder, ZlibEncoder};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use wingbeat::{App, Config};

use crate::support::http::{Answer, Client, Request};
use crate::support::services::Echo;
use crate::support::{Node, within};

async fn node(compat: bool) -> Node {
    let mut config = Config::default();
    config.feathers_compat = compat;
    config.max_body = 1_000;
    Node::start(App::builder().config(config).service("echo", Echo)).await
}

async fn post(node: &Node, content_type: &str, body: &str) -> Answer {
    let request = Request::new("POST", "/echo");
    node.send(request.typed(content_type, body)).await
}

fn error(code: u16, message: &str) -> (u16, Value) {
    let (name, class_name) = match code {
        400 => ("BadRequest", "bad-request"),
        408 => ("Timeout", "timeout"),
        413 => ("PayloadTooLarge", "payload-too-large"),
        _ => ("GeneralError", "general-error"),
    };
    (
        code,
        json!({ "name": name, "message": message, "code": code, "className": class_name }),
    )
}

#[tokio::test]
async fn json_and_forms_are_data() {
    let node = node(false).await;
    let data = [
        (
            "application/json",
            "{\"a\":[1,2.5,\"x\",null]}",
            json!({ "a": [1, 2.5, "x", null] }),
        ),
        (
            "application/json; charset=utf-8",
            "\u{feff} [1]\n",
            json!([1]),
        ),
        (
            "application/json",
            "{\"__proto__\":{\"x\":1}}",
            json!({ "__proto__": { "x": 1 } }),
        ),
        (
            "application/x-www-form-urlencoded",
            "a[b][]=1&c=d+e",
            json!({ "a": { "b": ["1"] }, "c": "d e" }),
        ),
        ("text/plain", "hello", json!({})),
        ("application/vnd.api+json", "{\"a\":1}", json!({})),
        ("multipart/form-data; boundary=x", "--x--", json!({})),
        ("text/plain", "{", json!({})),
    ];
    for (content_type, body, expected) in data {
        let answer = post(&node, content_type, body).await;
        assert_eq!((answer.status, &answer.json()["data"]), (201, &expected));
    }
    let without_type = node.send(Request::new("POST", "/echo")).await;
    assert_eq!(without_type.json()["data"], json!({}));
    let empty = Request::new("POST", "/echo")
        .header("content-type", "application/json")
        .header("content-length", "0");
    assert_eq!(node.send(empty).await.json()["data"], json!({}));
}

#[tokio::test]
async fn a_body_in_chunks_is_data() {
    let node = node(false).await;
    let mut client = node.client().await;
    client
        .write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.json()["data"], json!({ "a": 1 }));
}

#[tokio::test]
async fn bad_json_is_the_clients_mistake_and_in_compat_a_500() {
    let bad = [
        ("{\"a\":", "Unexpected end of JSON input"),
        ("   ", "Unexpected end of JSON input"),
        ("42", "Unexpected token '4', \"42\" is not valid JSON"),
        ("null", "Unexpected token 'n', \"null\" is not valid JSON"),
        (
            "\"x\"",
            "Unexpected token '\"', \"\"x\"\" is not valid JSON",
        ),
        (
            "{\"a\":1,}",
            "Expected double-quoted property name in JSON at position 7",
        ),
    ];
    for (compat, code) in [(false, 400), (true, 500)] {
        let node = node(compat).await;
        for (body, message) in bad {
            let answer = post(&node, "application/json", body).await;
            assert_eq!(answer.pair(), error(code, message));
        }
        for verb in ["GET", "DELETE", "PROPFIND"] {
            let request = Request::new(verb, "/echo").typed("application/json", "{\"a\":");
            assert_eq!(node.send(request).await.status, code, "{verb}");
        }
        let latin = post(&node, "application/json; charset=latin1", "{}").await;
        assert_eq!(latin.pair(), error(code, "unsupported charset \"LATIN1\""));
        for (coding, message) in [
            ("br", "unsupported content encoding \"br\""),
            ("Gzip", "the compressed body is broken"),
            ("deflate", "the compressed body is broken"),
        ] {
            let coded = Request::new("POST", "/echo").header("content-encoding", coding);
            let answer = node.send(coded.typed("application/json", "{}")).await;
            assert_eq!(answer.pair(), error(code, message), "{coding}");
        }
    }
}

#[tokio::test]
async fn bad_json_goes_before_unknown_paths_in_compat_only() {
    for (compat, code) in [(false, 404), (true, 500)] {
        let node = node(compat).await;
        let request = Request::new("POST", "/nowhere/at/all").typed("application/json", "{\"a\":");
        assert_eq!(node.send(request).await.status, code);
        let request = Request::new("POST", "/nowhere/at/all").json(&json!({}));
        assert_eq!(node.send(request).await.status, 404);
    }
}

/// JSON text of exactly that many bytes.
fn text_of(bytes: usize) -> String {
    format!("[\"{}\"]", "x".repeat(bytes - 4))
}

#[tokio::test]
async fn the_limit_counts_for_announced_and_for_chunked_bodies() {
    for (compat, code) in [(false, 413), (true, 500)] {
        let node = node(compat).await;
        let mut client = node.client().await;
        let request =
            |bytes| Request::new("POST", "/echo").typed("application/json", text_of(bytes));
        assert_eq!(client.send(request(1_000)).await.status, 201);
        let answer = client.send(request(1_001)).await;
        assert_eq!(answer.pair(), error(code, "request entity too large"));

        for (bytes, code) in [(1_000, 201), (1_001, code)] {
            let mut client = node.client().await;
            let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let text = text_of(bytes);
            let (one, two) = text.split_at(600);
            let chunks = format!(
                "{head}{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
                one.len(),
                two.len()
            );
            client.write(chunks.as_bytes()).await;
            assert_eq!(client.answer().await.status, code, "{bytes}");
        }
    }
}

async fn compressed(coding: &str, text: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder: Box<dyn AsyncRead + Unpin> = match coding {
        "gzip" => Box::new(GzipEncoder::new(text)),
        _ => Box::new(ZlibEncoder::new(text)),
    };
    encoder.read_to_end(&mut compressed).await.unwrap();
    compressed
}

async fn post_compressed(node: &Node, coding: &str, content_type: &str, text: &[u8]) -> Answer {
    let request = Request::new("POST", "/echo").header("content-encoding", coding);
    let body = compressed(coding, text).await;
    node.send(request.typed(content_type, body)).await
}

#[tokio::test]
async fn compressed_bodies_are_data() {
    let node = node(false).await;
    for coding in ["gzip", "deflate"] {
        let json = post_compressed(&node, coding, "application/json", b"{\"a\":[1]}").await;
        assert_eq!(json.json()["data"], json!({ "a": [1] }), "{coding}");
        let form = "application/x-www-form-urlencoded";
        let form = post_compressed(&node, coding, form, b"a[b]=1").await;
        assert_eq!(
            form.json()["data"],
            json!({ "a": { "b": "1" } }),
            "{coding}"
        );
    }
    let members = [
        compressed("gzip", b"{\"a\":").await,
        compressed("gzip", b"1}").await,
    ];
    let request = Request::new("POST", "/echo").header("content-encoding", "gzip");
    let answer = node
        .send(request.typed("application/json", members.concat()))
        .await;
    assert_eq!(answer.json()["data"], json!({ "a": 1 }));
}

#[tokio::test]
async fn what_a_compressed_body_inflates_to_counts() {
    for (compat, code) in [(false, 413), (true, 500)] {
        let node = node(compat).await;
        for coding in ["gzip", "deflate"] {
            let of = |bytes| text_of(bytes).into_bytes();
            let json = "application/json";
            let fits = post_compressed(&node, coding, json, &of(1_000)).await;
            assert_eq!(fits.status, 201, "{coding}");
            for bytes in [1_001, 50_000_000] {
                let answer = post_compressed(&node, coding, json, &of(bytes)).await;
                assert_eq!(answer.pair(), error(code, "request entity too large"));
            }
        }
    }
}

#[tokio::test]
async fn a_compressed_body_that_is_cut_or_changed_is_broken() {
    let node = node(false).await;
    for coding in ["gzip", "deflate"] {
        let whole = compressed(coding, b"[\"some text, and some text\"]").await;
        let mut changed = whole.clone();
        // The sum over what it inflates to.
        *changed.iter_mut().rev().nth(5).unwrap() ^= 1;
        for body in [whole[..whole.len() - 9].to_vec(), changed] {
            let request = Request::new("POST", "/echo").header("content-encoding", coding);
            let answer = node.send(request.typed("application/json", body)).await;
            assert_eq!(answer.pair(), error(400, "the compressed body is broken"));
        }
    }
}

/// The answer is not lost although the client writes everything before it reads, and the kernel holds little of that.
#[tokio::test]
async fn a_client_that_sends_far_too_much_still_reads_why_it_is_refused() {
    let node = node(false).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4_096).unwrap();
    let mut client = Client::over(within(socket.connect(node.addr)).await.unwrap());
    let request = Request::new("POST", "/echo").typed("application/json", text_of(900_000));
    let answer = client.send(request).await;
    assert_eq!(answer.pair(), error(413, "request entity too large"));
}

/// Only the head is sent: the answer must not wait for a body of which it is known that it is too large.
#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let node = node(false).await;
    let mut client = node.client().await;
    client
        .write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\nexpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 413);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let mut config = Config::default();
    config.body_timeout = Duration::from_millis(50);
    let node = Node::start(App::builder().config(config).service("echo", Echo)).await;
    let mut client = node.client().await;
    client
        .write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{")
        .await;
    assert_eq!(
        client.answer().await.pair(),
        error(408, "the body came too slowly")
    );
    assert_eq!(
        client.ended().await,
        b"",
        "the connection is of no use any more"
    );
}

#[tokio::test]
async fn a_form_with_too_many_parameters_or_too_deep_keys_is_refused() {
    let mut config = Config::default();
    config.feathers_compat = true;
    let node = Node::start(App::builder().config(config).service("echo", Echo)).await;
    let form = "application/x-www-form-urlencoded";
    assert_eq!(post(&node, form, &"a=1&".repeat(999)).await.status, 201);
    let answer = post(&node, form, &"a=1&".repeat(1_000)).await;
    assert_eq!(answer.pair(), error(500, "too many parameters"));
    let deep = |groups| format!("a{}=1", "[b]".repeat(groups));
    assert_eq!(post(&node, form, &deep(32)).await.status, 201);
    let answer = post(&node, form, &deep(33)).await;
    assert_eq!(answer.pair(), error(500, "The input exceeded the depth"));
}
