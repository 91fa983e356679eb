//! The floor: a bare loop that gives the same answers with one read and one write each, and does nothing for them.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::frame::unmasked;
use crate::process::say;

/// Serves until the process is killed.
pub(crate) fn main(rows: &str) -> Outcome<()> {
    let rows: Value = serde_json::from_str(rows)?;
    tokio::runtime::Runtime::new()?.block_on(run(rows.to_string()))
}

async fn run(rows: String) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("listening {}", listener.local_addr()?.port()))?;
    let rows = Arc::new(rows);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let rows = Arc::clone(&rows);
        #[expect(clippy::disallowed_methods, reason = "a bare loop owns no tasks")]
        tokio::spawn(async move { serve(stream, &rows).await.ok() });
    }
}

/// Requests that come together are answered together.
async fn serve(mut stream: TcpStream, rows: &str) -> std::io::Result<()> {
    let mut received = Vec::with_capacity(8_192);
    while stream.read_buf(&mut received).await? > 0 {
        let (mut answers, mut taken) = (Vec::new(), 0);
        while let Some(length) = complete(&received[taken..]) {
            let request = &received[taken..taken + length];
            answers.extend(answer(request, rows).unwrap_or_default());
            taken += length;
        }
        received.drain(..taken);
        stream.write_all(&answers).await?;
    }
    Ok(())
}

/// Returns the length of the first request; `None` while it is not complete.
fn complete(received: &[u8]) -> Option<usize> {
    let length = match received.first()? {
        b'G' | b'P' => {
            let head = received
                .windows(4)
                .position(|window| window == b"\r\n\r\n")?
                + 4;
            head + content_length(&received[..head])
        }
        _ => match *received.get(1..4)? {
            [126 | 254, high, low] => 8 + usize::from(u16::from_be_bytes([high, low])),
            [length, ..] => 6 + usize::from(length & 0x7f),
            [] => return None,
        },
    };
    (received.len() >= length).then_some(length)
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).unwrap_or_default();
    let length = head.split_once("Content-Length: ");
    let length = length.and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    length.unwrap_or(0)
}

fn answer(request: &[u8], rows: &str) -> Option<Vec<u8>> {
    match request {
        [b'G', ..] if contains(request, "Upgrade") => {
            Some([SWITCHED.as_bytes(), &unmasked(OPEN)].concat())
        }
        [b'G', ..] => Some(response("200 OK", rows)),
        [b'P', ..] => {
            let request = std::str::from_utf8(request).ok()?;
            Some(response("201 Created", request.split_once("\r\n\r\n")?.1))
        }
        _ => packet(text(request)?, rows),
    }
}

fn contains(bytes: &[u8], wanted: &str) -> bool {
    let mut windows = bytes.windows(wanted.len());
    windows.any(|window| window == wanted.as_bytes())
}

fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {length}\r\ndate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\r\n{body}").into()
}

/// Returns the text of a client's frame, whose mask is all zeros.
fn text(frame: &[u8]) -> Option<&str> {
    let is_long = frame.get(1)? & 0x7f == 126;
    let head = if is_long { 8 } else { 6 };
    std::str::from_utf8(frame.get(head..)?).ok()
}

/// Answers `42ID["find","rows",{}]` and `42ID["create","notes",RECORD]`.
fn packet(packet: &str, rows: &str) -> Option<Vec<u8>> {
    let (head, arguments) = packet.split_once('[').unwrap_or((packet, ""));
    let Some(id) = head.strip_prefix("42") else {
        return Some(unmasked(CONNECTED));
    };
    let created = arguments.strip_prefix(r#""create","notes","#);
    let result = created.map_or(Some(rows), |record| record.strip_suffix(']'))?;
    Some(unmasked(&format!("43{id}[null,{result}]")))
}

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const OPEN: &str = r#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &str = r#"40{"sid":"floor"}"#;
