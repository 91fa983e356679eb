//! A client of the plain websocket, in JSON or MessagePack.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;

use super::socket::{Heard, attach};
use super::within;

/// A client; its library answers pings while it waits for something. Events that are not asked for yet are kept in order.
#[derive(Debug)]
pub(crate) struct PlainClient {
    websocket: WebSocketStream<TcpStream>,
    is_packed: bool,
    next_id: u64,
    events: VecDeque<(String, Value)>,
}

impl PlainClient {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::open(request(addr, ""), None).await
    }

    /// Connects and speaks MessagePack.
    #[cfg(feature = "msgpack")]
    pub(crate) async fn connect_packed(addr: SocketAddr) -> Self {
        let request = with_header(
            request(addr, ""),
            "sec-websocket-protocol",
            "wingbeat.msgpack",
        );
        let mut client = Self::open(request, None).await;
        client.is_packed = true;
        client
    }

    /// Connects with a handshake of the caller's own and a bound for the bytes that the kernel keeps unread.
    pub(crate) async fn open(request: Request, receive_buffer: Option<u32>) -> Self {
        let websocket = attach(request, receive_buffer).await;
        Self {
            websocket: websocket.expect("a websocket"),
            is_packed: false,
            next_id: 0,
            events: VecDeque::new(),
        }
    }

    /// Calls a method and waits for its answer: the result, or the error.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        arguments: Value,
    ) -> Result<Value, Value> {
        self.next_id += 1;
        let id = json!(self.next_id);
        let Value::Array(arguments) = arguments else {
            panic!("arguments are an array");
        };
        let mut message = vec![id.clone(), json!(method), json!(path)];
        message.extend(arguments);
        self.send(&message.into()).await;
        self.answer(&id).await
    }

    /// Waits for the answer to a call; events that come before it are kept.
    pub(crate) async fn answer(&mut self, id: &Value) -> Result<Value, Value> {
        loop {
            let message = self.message().await;
            match message.as_array().map(Vec::as_slice) {
                Some([known, Value::Null, result]) if known == id => return Ok(result.clone()),
                Some([known, error]) if known == id => return Err(error.clone()),
                _ => self.keep(&message),
            }
        }
    }

    /// Waits for the next event.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        while self.events.is_empty() {
            let message = self.message().await;
            self.keep(&message);
        }
        self.events.pop_front().expect("the loop waited for one")
    }

    /// Tells how many events came that nobody asked for.
    pub(crate) fn n_kept(&self) -> usize {
        self.events.len()
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        let message = self.written(message);
        self.send_message(message).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        within(self.websocket.send(message))
            .await
            .expect("the server reads");
    }

    /// Waits for the next message as it was written.
    pub(crate) async fn raw(&mut self) -> Message {
        let next = within(self.websocket.next()).await;
        next.expect("a message").expect("a sound message")
    }

    /// Waits for the next message.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            match self.raw().await {
                Message::Text(text) if !self.is_packed => {
                    return serde_json::from_str(&text).expect("JSON");
                }
                Message::Binary(bytes) if self.is_packed => return unpacked(&bytes),
                Message::Ping(_) => {}
                other => panic!("a message was expected, not {other:?}"),
            }
        }
    }

    /// Waits for the end; what comes before it is passed over.
    pub(crate) async fn end(&mut self) -> Heard {
        loop {
            match within(self.websocket.next()).await {
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Lost,
            }
        }
    }

    /// Gives up the library: what comes then is bytes.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.websocket.into_inner()
    }

    fn written(&self, message: &Value) -> Message {
        match self.is_packed {
            false => Message::text(message.to_string()),
            true => Message::binary(packed(message)),
        }
    }

    fn keep(&mut self, message: &Value) {
        let event = serde_json::from_value(message.clone());
        self.events.push_back(event.expect("a name and a payload"));
    }
}

#[cfg(feature = "msgpack")]
fn packed(message: &Value) -> Vec<u8> {
    rmp_serde::to_vec(message).expect("JSON can be packed")
}

#[cfg(feature = "msgpack")]
fn unpacked(bytes: &[u8]) -> Value {
    rmp_serde::from_slice(bytes).expect("what JSON has")
}

#[cfg(not(feature = "msgpack"))]
fn packed(_: &Value) -> Vec<u8> {
    unreachable!("no client is packed")
}

#[cfg(not(feature = "msgpack"))]
fn unpacked(_: &[u8]) -> Value {
    unreachable!("no client is packed")
}

/// Makes a handshake with a query.
pub(crate) fn request(addr: SocketAddr, query: &str) -> Request {
    let uri = format!("ws://{addr}/ws{query}");
    uri.into_client_request().expect("a URI")
}

pub(crate) fn with_header(mut request: Request, name: &'static str, value: &str) -> Request {
    let value = value.parse().expect("a header");
    request.headers_mut().insert(name, value);
    request
}
