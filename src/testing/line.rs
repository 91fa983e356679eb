//! A client's websocket: one task that reads and writes it, and what others wait for meanwhile.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use http::HeaderMap;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::protocol::CloseFrame;
use url::Url;

use super::TestError;
use super::client::ClientEvent;
use super::inbox::Inbox;
use super::packet::{Body, Packet};
use crate::sync::BoxError;
use crate::tasks::Tasks;

type WebSocket = WebSocketStream<TcpStream>;

/// One connected client.
#[derive(Debug)]
pub(super) struct Line {
    /// What is to be written. While it is full, calls wait.
    outgoing: mpsc::Sender<Message>,
    /// Calls that have no answer yet, by number.
    calls: Mutex<HashMap<u64, oneshot::Sender<Vec<Value>>>>,
    next_ack: AtomicU64,
    pub(super) inbox: Inbox<ClientEvent>,
}

impl Line {
    /// Connects the default namespace and starts to listen.
    pub(super) async fn open(
        url: &str,
        headers: HeaderMap,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, TestError> {
        let mut websocket = dial(url, headers).await?;
        join(&mut websocket).await?;
        let (outgoing, waiting) = mpsc::channel(MAX_OUTGOING);
        let line = Arc::new(Self {
            outgoing,
            calls: Mutex::default(),
            next_ack: AtomicU64::new(0),
            inbox: Inbox::default(),
        });
        let (shared, stop) = (Arc::clone(&line), tasks.clone());
        tasks.spawn("test client", async move {
            let end = tokio::select! {
                end = shared.converse(websocket, waiting) => end,
                () = stop.cancelled() => "the client is gone".to_owned(),
            };
            shared.end(end);
        });
        Ok(line)
    }

    /// Calls a method and waits for the arguments of its answer; an error says why none can come.
    pub(super) async fn call(&self, arguments: Vec<Value>) -> Result<Vec<Value>, String> {
        let ack = self.next_ack.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.calls.lock().insert(ack, sender);
        let packet = format!("42{ack}{}", Value::from(arguments));
        self.send(Message::text(packet)).await;
        answer
            .await
            .map_err(|_| self.inbox.ended().unwrap_or_default())
    }

    /// Says goodbye, as a client that disconnects does; the server ends the connection then.
    pub(super) async fn leave(&self) {
        self.send(Message::text("41")).await;
        self.send(Message::Close(None)).await;
    }

    /// Hands a message to the writer. When the connection is over those who wait for something know it from the inbox.
    async fn send(&self, message: Message) {
        if self.outgoing.send(message).await.is_err() {
            self.calls.lock().clear();
        }
    }

    /// Reads and writes side by side until the connection is over; returns why it is.
    async fn converse(&self, websocket: WebSocket, waiting: mpsc::Receiver<Message>) -> String {
        let (sink, stream) = websocket.split();
        tokio::select! {
            end = self.hear(stream) => end,
            never = speak(waiting, sink) => match never {},
        }
    }

    async fn hear(&self, mut stream: SplitStream<WebSocket>) -> String {
        loop {
            if let Err(end) = self.hear_one(&mut stream).await {
                return end;
            }
        }
    }

    /// Reads a packet with its attachments; an error says why the connection is over.
    async fn hear_one(&self, stream: &mut SplitStream<WebSocket>) -> Result<(), String> {
        match next_packet(stream).await? {
            Packet::Message {
                body,
                n_attachments,
            } => {
                let attachments = attachments(stream, n_attachments).await?;
                self.take(body.with(&attachments));
            }
            Packet::Ping => self.send(Message::text("3")).await,
            Packet::Disconnected => self.inbox.end("the server disconnected the client"),
            Packet::Open | Packet::Connected | Packet::Refused(_) | Packet::Noop => {}
        }
        Ok(())
    }

    fn take(&self, Body { ack, arguments }: Body) {
        let Some(ack) = ack else {
            return self.inbox.push(ClientEvent::new(arguments));
        };
        if let Some(call) = self.calls.lock().remove(&ack) {
            // Whoever waited for it may have gone.
            let _ = call.send(arguments);
        }
    }

    fn end(&self, why: String) {
        self.inbox.end(why);
        // Those who wait for an answer hear of it.
        self.calls.lock().clear();
    }
}

/// Writes what waits. When that fails the reader knows why.
async fn speak(
    mut waiting: mpsc::Receiver<Message>,
    mut sink: SplitSink<WebSocket, Message>,
) -> Infallible {
    while let Some(message) = waiting.recv().await {
        if sink.send(message).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// Opens a websocket at the address of a node.
async fn dial(url: &str, headers: HeaderMap) -> Result<WebSocket, TestError> {
    let failed = |error| TestError::of(format!("can not connect to {url}"), error);
    let (host, request) = handshake(url, headers).map_err(failed)?;
    let stream = TcpStream::connect(host).await;
    let stream = stream.map_err(|error| failed(error.into()))?;
    let _ = stream.set_nodelay(true);
    let opened = tokio_tungstenite::client_async(request, stream).await;
    let (websocket, _) = opened.map_err(|error| failed(refusal(error)))?;
    Ok(websocket)
}

/// Makes the handshake of a client that wants a websocket at once (feathers.md §2.1), and says where to send it.
fn handshake(url: &str, headers: HeaderMap) -> Result<(String, Request), BoxError> {
    let mut url = Url::parse(url)?;
    if url.scheme() != "http" {
        return Err(format!("the scheme is http, not {}", url.scheme()).into());
    }
    let host = url.host_str().unwrap_or_default();
    let host = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
    url.set_path("/socket.io/");
    url.query_pairs_mut()
        .extend_pairs([("EIO", "4"), ("transport", "websocket")]);
    let uri = url.as_str().replacen("http", "ws", 1);
    let mut request = uri.into_client_request()?;
    request.headers_mut().extend(headers);
    Ok((host, request))
}

/// Says what a server answered that did not want the websocket.
fn refusal(error: tungstenite::Error) -> BoxError {
    let tungstenite::Error::Http(response) = error else {
        return error.into();
    };
    let body = response.body().as_deref().unwrap_or_default();
    let body = String::from_utf8_lossy(body);
    format!("the server answered {} {body}", response.status()).into()
}

/// Connects the default namespace of an open transport.
async fn join(websocket: &mut WebSocket) -> Result<(), TestError> {
    let failed =
        |why: String| TestError::new(format!("the server did not let the client in: {why}"));
    let hello = websocket.send(Message::text("40")).await;
    hello.map_err(|error| failed(error.to_string()))?;
    loop {
        match next_packet(websocket).await.map_err(failed)? {
            Packet::Connected => return Ok(()),
            Packet::Open | Packet::Noop | Packet::Ping => {}
            Packet::Refused(why) => return Err(failed(why)),
            other => return Err(failed(format!("it sent {other:?}"))),
        }
    }
}

async fn next_packet(stream: &mut (impl Messages + Unpin)) -> Result<Packet, String> {
    match next_message(stream).await? {
        Message::Text(text) => {
            Packet::parse(&text).ok_or_else(|| format!("the server sent what is no packet: {text}"))
        }
        other => Err(format!("the server sent what no packet announced: {other}")),
    }
}

/// Reads the binary messages that belong to a packet.
async fn attachments(
    stream: &mut (impl Messages + Unpin),
    n: usize,
) -> Result<Vec<Vec<u8>>, String> {
    let mut attachments = Vec::new();
    while attachments.len() < n {
        match next_message(stream).await? {
            Message::Binary(bytes) => attachments.push(bytes.to_vec()),
            other => return Err(format!("the server sent no attachment but: {other}")),
        }
    }
    Ok(attachments)
}

/// Reads a text or a binary message; an error says why the connection is over.
async fn next_message(stream: &mut (impl Messages + Unpin)) -> Result<Message, String> {
    let mut closed = None;
    loop {
        match stream.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Ok(message),
            // Reading goes on: that is what answers the close frame.
            Some(Ok(Message::Close(frame))) => closed = Some(goodbye(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                return Err(closed.unwrap_or_else(|| format!("the connection broke: {error}")));
            }
            None => return Err(closed.unwrap_or_else(|| "the connection ended".to_owned())),
        }
    }
}

fn goodbye(frame: Option<CloseFrame>) -> String {
    let Some(CloseFrame { code, reason }) = frame else {
        return "the server closed the connection".to_owned();
    };
    let code = format!("the server closed the connection with {code}");
    match reason.as_str() {
        "" => code,
        reason => format!("{code}, {reason}"),
    }
}

/// The messages of a websocket.
trait Messages: Stream<Item = tungstenite::Result<Message>> {}
impl<S: Stream<Item = tungstenite::Result<Message>>> Messages for S {}

/// Messages that wait to be written.
const MAX_OUTGOING: usize = 64;
