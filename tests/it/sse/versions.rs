//! Streams over HTTP/2, and while a node shuts down, below servers of somebody else.

use std::net::SocketAddr;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use wingbeat::{App, Memory};

use crate::support::{background, eventually, within};

type Client = SendRequest<Empty<Bytes>>;

fn app() -> App {
    let builder = App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"));
    builder.build().unwrap()
}

/// Serves one connection over HTTP/2 and connects to it.
async fn connect(app: &App) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(app.http_service());
    background(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
    let io = TokioIo::new(within(TcpStream::connect(addr)).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (client, connection) = within(handshake).await.unwrap();
    background(connection);
    client
}

async fn ask(client: &mut Client) -> Response<Incoming> {
    let request = Request::get("http://test/events?service=messages");
    let request = request.body(Empty::new()).unwrap();
    within(client.send_request(request)).await.unwrap()
}

/// Waits until so much text has come, or the stream is over.
async fn text(body: &mut Incoming, contains: &str) -> String {
    let mut text = String::new();
    while !text.contains(contains) {
        let Some(frame) = within(body.frame()).await else {
            break;
        };
        let data = frame.unwrap().into_data().unwrap_or_default();
        text += std::str::from_utf8(&data).unwrap();
    }
    text
}

#[tokio::test]
async fn streams_share_a_connection_of_http_2_and_end_one_by_one() {
    let app = app();
    let mut client = connect(&app).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let answer = ask(&mut client).await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        streams.push(answer.into_body());
    }
    let messages = app.service_at("messages");
    messages.emit("created", json!({ "n": 1 })).unwrap();
    for stream in &mut streams {
        let heard = text(stream, "\"n\"").await;
        assert!(
            heard.ends_with("event: messages created\ndata: {\"n\":1}\n\n"),
            "{heard}"
        );
    }
    drop(streams.remove(0));
    eventually("one is gone", || app.n_connections() == 2).await;
    messages.emit("created", json!({ "n": 2 })).unwrap();
    for stream in &mut streams {
        text(stream, "\"n\":2").await;
    }
    within(app.close()).await;
    for stream in &mut streams {
        let last = text(stream, "nothing").await;
        assert!(last.starts_with("retry: "), "{last}");
    }
}

/// A browser gives up for good at any other status.
#[tokio::test]
async fn who_asks_a_node_that_shuts_down_is_told_when_to_come_back() {
    let app = app();
    within(app.close()).await;
    let request = Request::get("/events?service=messages");
    let request = request.body(Body::empty()).unwrap();
    let answer = tower_service_call(&app, request).await;
    assert_eq!(answer.status(), 200);
    let body = within(answer.into_body().collect())
        .await
        .unwrap()
        .to_bytes();
    assert!(
        body.starts_with(b"retry: ") && body.ends_with(b"\n\n"),
        "{body:?}"
    );
}

async fn tower_service_call(app: &App, request: Request<Body>) -> Response<Body> {
    let service = TowerToHyperService::new(app.http_service());
    within(hyper::service::Service::call(&service, request))
        .await
        .unwrap()
}
