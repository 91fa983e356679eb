//! What clients speak: how they come in, and how an event looks to them.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Outcome;
use crate::frame::{Frame, PATH, masked, unmasked};

/// What a server expects of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Nothing: it sends Socket.IO's frames at once.
    Bare,
    /// A websocket with Engine.IO 4 and Socket.IO 5.
    SocketIo,
    /// The plain websocket of `docs/websocket.md`.
    Websocket,
    /// The server-sent events of `docs/sse.md`.
    Events,
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    pub(super) port: u16,
    /// The number of the connection, by which it gets an address of its own to come from.
    pub(super) connection: usize,
    /// The channel that it asks for, if there is a choice.
    pub(super) channel: Option<usize>,
    /// Bytes that the kernel takes for it while it does not read; without it, what the machine gives.
    pub(super) receive_buffer: Option<u32>,
}

impl Protocol {
    pub(super) fn named(name: &str) -> Outcome<Self> {
        let all = [Self::Bare, Self::SocketIo, Self::Websocket, Self::Events];
        let named = all.into_iter().find(|protocol| protocol.name() == name);
        named.ok_or_else(|| format!("there is no protocol '{name}'").into())
    }

    /// Returns what it is called as an argument of a process.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::SocketIo => "socketio",
            Self::Websocket => "websocket",
            Self::Events => "events",
        }
    }

    /// Returns the bytes that carry an event to a client.
    pub(super) fn encode(self, data: &Value) -> Vec<u8> {
        match self {
            Self::Bare | Self::SocketIo => unmasked(&format!(r#"42["{PATH} created",{data}]"#)),
            Self::Websocket => unmasked(&format!(r#"["{PATH} created",{data}]"#)),
            Self::Events => format!("event: {PATH} created\ndata: {data}\n\n").into_bytes(),
        }
    }

    /// Opens a connection that hears events; the bytes are what came behind the handshake.
    pub(super) async fn open(self, target: Target) -> Outcome<(TcpStream, Vec<u8>)> {
        let mut stream = target.connect().await?;
        let mut received = Vec::new();
        let channel = target
            .channel
            .map_or_else(String::new, |at| format!("&channel={at}"));
        match self {
            Self::Bare => {}
            Self::SocketIo => {
                let path = format!("/socket.io/?EIO=4&transport=websocket{channel}");
                ask(&mut stream, &mut received, &path, "101").await?;
                expect(&mut stream, &mut received, "0{").await?;
                stream.write_all(&masked("40")).await?;
                expect(&mut stream, &mut received, "40{").await?;
            }
            Self::Websocket => {
                let path = format!("/ws?{channel}");
                ask(&mut stream, &mut received, &path, "101").await?;
            }
            Self::Events => {
                let path = format!("/events?service={PATH}{channel}");
                ask(&mut stream, &mut received, &path, "200").await?;
            }
        }
        Ok((stream, received))
    }
}

impl Target {
    /// Connects from one of several addresses of the machine to itself, since one has too few ports for all connections.
    async fn connect(self) -> Outcome<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        let last = u8::try_from(1 + self.connection / PER_ADDRESS % ADDRESSES)?;
        if let Some(bytes) = self.receive_buffer {
            // Only what is set before the handshake bounds what the server may send.
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Sends a request that asks for a websocket where a server has one, and takes the head of the response.
async fn ask(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
    path: &str,
    status: &str,
) -> Outcome<()> {
    let upgrade = if status == "101" { UPGRADE } else { "" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let end = loop {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n");
        match end {
            Some(end) => break end + 4,
            None => more(stream, received).await?,
        }
    };
    let response: Vec<u8> = received.drain(..end).collect();
    if response.starts_with(format!("HTTP/1.1 {status} ").as_bytes()) {
        return Ok(());
    }
    Err(format!("no {status}: {}", String::from_utf8_lossy(&response)).into())
}

/// Takes the next frame that is no ping, which must be a text that starts with `start`.
async fn expect(stream: &mut TcpStream, received: &mut Vec<u8>, start: &str) -> Outcome<()> {
    loop {
        if let Some((frame, rest)) = Frame::split(received) {
            let is_ping = frame.payload == b"2";
            if !is_ping && !frame.payload.starts_with(start.as_bytes()) {
                return Err(format!("instead of '{start}' came {}", frame.describe()).into());
            }
            *received = rest.to_vec();
            if !is_ping {
                return Ok(());
            }
            stream.write_all(&masked("3")).await?;
        } else {
            more(stream, received).await?;
        }
    }
}

async fn more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Outcome<()> {
    match stream.read_buf(received).await? {
        0 => Err("the server closed a connection in the handshake".into()),
        _ => Ok(()),
    }
}

/// The key is the example of RFC 6455; the answer to it is not checked here.
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// An address has 28,000 ports for its connections, unless the machine is set otherwise.
const PER_ADDRESS: usize = 10_000;
const ADDRESSES: usize = 200;
