//! How a client gets from a TCP connection to one that hears events.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::frame::{Frame, masked};

/// What a server expects of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Nothing: it sends frames at once.
    Bare,
    /// A websocket with Engine.IO 4 and Socket.IO 5 (feathers.md §2.1).
    SocketIo,
}

/// Opens a connection; the bytes are what came behind the handshake.
pub(crate) async fn open(port: u16, protocol: Protocol) -> Outcome<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    if protocol == Protocol::SocketIo {
        upgrade(&mut stream, &mut received).await?;
        expect(&mut stream, &mut received, "0{").await?;
        stream.write_all(&masked("40")).await?;
        expect(&mut stream, &mut received, "40{").await?;
    }
    Ok((stream, received))
}

async fn upgrade(stream: &mut TcpStream, received: &mut Vec<u8>) -> Outcome<()> {
    stream.write_all(REQUEST.as_bytes()).await?;
    let end = loop {
        let end = received.windows(4).position(|window| window == b"\r\n\r\n");
        match end {
            Some(end) => break end + 4,
            None => more(stream, received).await?,
        }
    };
    let response: Vec<u8> = received.drain(..end).collect();
    if response.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    Err(format!("no upgrade: {}", String::from_utf8_lossy(&response)).into())
}

/// Takes the next frame that is no ping, which must be a text that starts with `start`.
async fn expect(stream: &mut TcpStream, received: &mut Vec<u8>, start: &str) -> Outcome<()> {
    loop {
        if let Some((frame, rest)) = Frame::split(received) {
            if frame.payload == b"2" {
                *received = rest.to_vec();
                stream.write_all(&masked("3")).await?;
                continue;
            }
            if !frame.payload.starts_with(start.as_bytes()) {
                return Err(format!("instead of '{start}' came {}", frame.describe()).into());
            }
            *received = rest.to_vec();
            return Ok(());
        }
        more(stream, received).await?;
    }
}

async fn more(stream: &mut TcpStream, received: &mut Vec<u8>) -> Outcome<()> {
    match stream.read_buf(received).await? {
        0 => Err("the server closed a connection in the handshake".into()),
        _ => Ok(()),
    }
}

/// The key is the example of RFC 6455; the answer to it is not checked here.
const REQUEST: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
