//! A Feathers client over a real websocket, small enough to see every packet.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::within;

/// A client. It answers pings whenever it is waiting for something; what is not asked for yet is kept in order.
#[derive(Debug)]
pub(crate) struct SocketClient {
    websocket: WebSocketStream<TcpStream>,
    /// The body of the handshake packet.
    pub(crate) handshake: Value,
    /// The id in the answer to `40`; empty before.
    pub(crate) sid: String,
    next_ack: u64,
    events: VecDeque<(String, Value)>,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// An Engine.IO packet.
    Packet(String),
    /// The end, with the code of the close frame; `None` for a close frame without one.
    Closed(Option<u16>),
    /// The end of the connection without a close frame.
    Lost,
}

impl SocketClient {
    /// Connects the default namespace.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let mut client = Self::open(addr).await;
        client.join().await;
        client
    }

    /// Connects the transport only.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::open_with(request(addr), None).await
    }

    /// As [`open`](Self::open), with a handshake of the caller's own and a bound for the bytes that the kernel keeps unread.
    pub(crate) async fn open_with(request: Request, receive_buffer: Option<u32>) -> Self {
        let mut client = Self::attach(request, receive_buffer).await;
        let open = client.packet().await;
        client.handshake =
            serde_json::from_str(open.strip_prefix('0').expect("an open packet")).expect("JSON");
        client
    }

    /// Opens a websocket for a session that polls.
    pub(crate) async fn probe(addr: SocketAddr, sid: &str) -> Self {
        let mut request = request(addr);
        let uri = format!("{}&sid={sid}", request.uri());
        *request.uri_mut() = uri.parse().expect("a URI");
        Self::attach(request, None).await
    }

    async fn attach(request: Request, receive_buffer: Option<u32>) -> Self {
        let websocket = attach(request, receive_buffer).await;
        Self {
            websocket: websocket.expect("a websocket"),
            handshake: Value::Null,
            sid: String::new(),
            next_ack: 1,
            events: VecDeque::new(),
        }
    }

    /// Connects the default namespace of an open transport.
    pub(crate) async fn join(&mut self) {
        self.send("40").await;
        let packet = self.packet().await;
        let body: Value =
            serde_json::from_str(packet.strip_prefix("40").expect("40")).expect("JSON");
        body["sid"]
            .as_str()
            .expect("a sid")
            .clone_into(&mut self.sid);
    }

    /// Calls a method and waits for its answer: the result, or the error.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        arguments: Value,
    ) -> Result<Value, Value> {
        let ack = self.begin(method, path, arguments).await;
        self.answer(ack).await
    }

    /// Calls a method; the number that comes back is the one for [`answer`](Self::answer).
    pub(crate) async fn begin(&mut self, method: &str, path: &str, arguments: Value) -> u64 {
        let ack = self.next_ack;
        self.next_ack += 1;
        let mut packet = vec![json!(method), json!(path)];
        packet.extend(
            arguments
                .as_array()
                .expect("arguments are an array")
                .iter()
                .cloned(),
        );
        self.send(&format!("42{ack}{}", Value::from(packet))).await;
        ack
    }

    /// Waits for the answer to a call; events that come before it are kept.
    pub(crate) async fn answer(&mut self, ack: u64) -> Result<Value, Value> {
        let start = format!("43{ack}[");
        loop {
            let packet = self.packet().await;
            if packet.starts_with(&start) {
                let answer: Vec<Value> =
                    serde_json::from_str(&packet[start.len() - 1..]).expect("JSON");
                return match answer.as_slice() {
                    [Value::Null, result] => Ok(result.clone()),
                    [error] => Err(error.clone()),
                    other => panic!("no answer of Feathers: {other:?}"),
                };
            }
            self.keep(&packet);
        }
    }

    /// Waits for the next event.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        while self.events.is_empty() {
            let packet = self.packet().await;
            self.keep(&packet);
        }
        self.events.pop_front().expect("the loop waited for one")
    }

    /// As [`event`](Self::event), for however long it takes; `None` when the connection is over.
    #[cfg(feature = "redis")]
    pub(crate) async fn event_some_day(&mut self) -> Option<(String, Value)> {
        while self.events.is_empty() {
            match self.next().await {
                Heard::Packet(packet) if packet == "2" => self.send("3").await,
                Heard::Packet(packet) => self.keep(&packet),
                Heard::Closed(_) | Heard::Lost => return None,
            }
        }
        self.events.pop_front()
    }

    /// Returns the port of this end.
    pub(crate) fn port(&self) -> u16 {
        let addr = self.websocket.get_ref().local_addr();
        addr.expect("an open socket").port()
    }

    /// Tells how many events came that nobody asked for.
    pub(crate) fn n_kept(&self) -> usize {
        self.events.len()
    }

    /// Sends an Engine.IO packet.
    pub(crate) async fn send(&mut self, packet: &str) {
        self.send_message(Message::text(packet)).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        within(self.websocket.send(message))
            .await
            .expect("the server reads");
    }

    /// Waits for the next Engine.IO packet; pings are answered.
    pub(crate) async fn packet(&mut self) -> String {
        loop {
            match self.hear().await {
                Heard::Packet(packet) if packet == "2" => self.send("3").await,
                Heard::Packet(packet) => return packet,
                other => panic!("a packet was expected, not {other:?}"),
            }
        }
    }

    /// Waits for a binary message.
    pub(crate) async fn attachment(&mut self) -> Vec<u8> {
        match within(self.websocket.next()).await {
            Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
            other => panic!("an attachment was expected, not {other:?}"),
        }
    }

    /// Waits for the end; what comes before it is passed over.
    pub(crate) async fn end(&mut self) -> Heard {
        loop {
            match self.hear().await {
                Heard::Packet(_) => {}
                end => return end,
            }
        }
    }

    /// Waits for whatever comes next; pings are not answered.
    pub(crate) async fn hear(&mut self) -> Heard {
        within(self.next()).await
    }

    async fn next(&mut self) -> Heard {
        loop {
            match self.websocket.next().await {
                Some(Ok(Message::Text(text))) => return Heard::Packet(text.to_string()),
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.map(|frame| frame.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Lost,
            }
        }
    }

    fn keep(&mut self, packet: &str) {
        let Some(event) = packet.strip_prefix("42") else {
            panic!("an event was expected, not {packet}");
        };
        let event: (String, Value) = serde_json::from_str(event).expect("a name and a payload");
        self.events.push_back(event);
    }
}

/// Opens a websocket, or fails with what the server answers instead. The kernel keeps so many bytes unread, if it is told to.
pub(crate) async fn attach(
    request: Request,
    receive_buffer: Option<u32>,
) -> Result<WebSocketStream<TcpStream>, Box<Response>> {
    let host = request.uri().authority().expect("an absolute URI").as_str();
    let addr: SocketAddr = host.parse().expect("an address with port");
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(size).expect("a new socket");
    }
    let stream = within(socket.connect(addr))
        .await
        .expect("the server listens");
    let connecting = tokio_tungstenite::client_async(request, stream);
    match within(connecting).await {
        Ok((websocket, _)) => Ok(websocket),
        Err(Error::Http(answer)) => Err(answer),
        Err(error) => panic!("no answer of HTTP: {error}"),
    }
}

/// Makes the handshake of a client that wants a websocket at once.
pub(crate) fn request(addr: SocketAddr) -> Request {
    let uri = format!("ws://{addr}/socket.io/?EIO=4&transport=websocket");
    uri.into_client_request().expect("a URI")
}
