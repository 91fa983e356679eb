//! What goes over the line: a kind, a length, and so many bytes.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wingbeat_adapter::Lane;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Hello = b'H',
    Welcome = b'W',
    Go = b'G',
    Subscribe = b'S',
    Subscribed = b'O',
    Events = b'E',
    Control = b'C',
    Lost = b'L',
    Ping = b'?',
    Pong = b'!',
}

const KINDS: [Kind; 10] = [
    Kind::Hello,
    Kind::Welcome,
    Kind::Go,
    Kind::Subscribe,
    Kind::Subscribed,
    Kind::Events,
    Kind::Control,
    Kind::Lost,
    Kind::Ping,
    Kind::Pong,
];

pub(super) fn encode(kind: Kind, body: &[u8], out: &mut Vec<u8>) {
    out.push(kind as u8);
    out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend(body);
}

pub(super) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    body: &[u8],
) -> io::Result<()> {
    let mut out = Vec::with_capacity(body.len() + 5);
    encode(kind, body, &mut out);
    to.write_all(&out).await
}

/// A kind that nobody knows, or a length that nobody sends, is an error: the frames before it were torn.
pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(Kind, Bytes)> {
    let byte = from.read_u8().await?;
    let kind = KINDS.into_iter().find(|kind| *kind as u8 == byte);
    let length = from.read_u32().await? as usize;
    match kind {
        Some(kind) if length <= LONGEST => {
            let mut body = vec![0; length];
            from.read_exact(&mut body).await?;
            Ok((kind, body.into()))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

impl Kind {
    pub(super) fn of(lane: Lane) -> Self {
        match lane {
            Lane::Events => Self::Events,
            Lane::Control => Self::Control,
        }
    }

    pub(super) fn lane(self) -> Option<Lane> {
        match self {
            Self::Events => Some(Lane::Events),
            Self::Control => Some(Lane::Control),
            _ => None,
        }
    }
}

const LONGEST: usize = 8 * 1024 * 1024;
