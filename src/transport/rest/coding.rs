//! Bodies that are compressed: `Content-Encoding` as Express' body parser knows it.

use std::io;
use std::pin::Pin;

use async_compression::tokio::bufread::{GzipDecoder, ZlibDecoder};
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{FutureExt, TryStreamExt};
use http::{HeaderMap, header};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

use super::body::{aborted, discard, receive, too_large};
use crate::error::{Error, Result};

/// How the bytes of a body are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    /// With the header of zlib, as RFC 9110 has it.
    Deflate,
}

impl Coding {
    /// Finds the coding that the headers name.
    ///
    /// # Errors
    /// `BadRequest` for one that is not known.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self> {
        if !headers.contains_key(header::CONTENT_ENCODING) {
            return Ok(Self::Identity);
        }
        let names = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let names: Vec<_> = names
            .map(|name| String::from_utf8_lossy(name.as_bytes()))
            .collect();
        match names.join(", ").to_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            other => {
                let message = format!("unsupported content encoding \"{other}\"");
                Err(Error::bad_request(message))
            }
        }
    }

    /// Collects the body; never more of what it inflates to than `limit` bytes is kept, and what comes compressed is not kept
    /// at all.
    ///
    /// # Errors
    /// `PayloadTooLarge`, and `BadRequest` for a body that breaks off or is broken.
    pub(super) async fn receive(
        self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<Bytes> {
        if self == Self::Identity {
            return receive(headers, body, limit).await;
        }
        let mut pieces = body.into_data_stream();
        // Boxed, so that the future of a body without coding has no room for it.
        let inflated = self.inflate(&mut pieces, limit).boxed().await;
        if inflated.is_err() {
            discard(headers, pieces).await;
        }
        inflated
    }

    async fn inflate(self, pieces: &mut BodyDataStream, limit: usize) -> Result<Bytes> {
        let pieces = pieces.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted));
        let inflating = self.reader(StreamReader::new(pieces));
        let mut inflated = Vec::new();
        let read = inflating
            .take(limit as u64 + 1)
            .read_to_end(&mut inflated)
            .await;
        match read {
            Ok(length) if length > limit => Err(too_large()),
            Ok(_) => Ok(inflated.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Err(aborted()),
            Err(_) => Err(Error::bad_request("the compressed body is broken")),
        }
    }

    fn reader<'a>(
        self,
        body: impl AsyncBufRead + Send + Unpin + 'a,
    ) -> Pin<Box<dyn AsyncRead + Send + 'a>> {
        match self {
            Self::Identity => Box::pin(body),
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(body);
                decoder.multiple_members(true);
                Box::pin(decoder)
            }
            Self::Deflate => Box::pin(ZlibDecoder::new(body)),
        }
    }
}
