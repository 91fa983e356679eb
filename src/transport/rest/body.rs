//! From the body of a request to data (feathers.md §1.4).

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use bytes::Bytes;
use futures_util::{StreamExt, poll};
use http::{HeaderMap, header};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::coding::Coding;
use super::json;
use crate::app::Config;
use crate::error::{Error, ErrorName, Result};
use crate::event::Json;
use crate::json::plain;
use crate::transport::query::{self, FormLimit};

/// Reads a body into the data of a call, which stays text if it is taken as such. No body, and one of another type than JSON
/// or a form, is `{}`.
///
/// # Errors
/// What the client did wrong: `BadRequest`, `PayloadTooLarge` or `Timeout`; in Feathers' own words and with its 500 if the
/// settings ask for that.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    config: &Config,
    takes_text: bool,
) -> Result<Json> {
    let content_type = content_type(headers).unwrap_or_default();
    let Some(format) = Format::of(content_type).filter(|_| !body.is_end_stream()) else {
        return Ok(Value::Object(Map::new()).into());
    };
    let read = async {
        check_charset(content_type)?;
        let coding = Coding::of(headers)?;
        let text = coding.receive(headers, body, config.max_body).await?;
        format.parse(text, takes_text)
    };
    let mut read = pin!(read);
    // Nearly all bodies are there with their heads, and need no timer.
    let in_time = match poll!(read.as_mut()) {
        Poll::Ready(read) => Ok(read),
        Poll::Pending => timeout(config.body_timeout, read).await,
    };
    in_time
        .unwrap_or_else(|_| Err(Error::new(ErrorName::Timeout, "the body came too slowly")))
        .map_err(|error| in_words_of_feathers(error, config.feathers_compat))
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Form,
}

impl Format {
    fn of(content_type: &str) -> Option<Self> {
        let media_type = split(content_type).0.trim();
        if media_type.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else {
            None
        }
    }

    fn parse(self, text: Bytes, takes_text: bool) -> Result<Json> {
        let value = match self {
            _ if text.is_empty() => Value::Object(Map::new()),
            Self::Json if takes_text && is_plain(&text) => return Ok(Json::from_plain_text(text)),
            Self::Json => json::parse(&text)?,
            Self::Form => form(&String::from_utf8_lossy(&text))?,
        };
        Ok(value.into())
    }
}

/// Tells whether a body is an object or an array that has to be neither parsed nor written anew.
fn is_plain(text: &[u8]) -> bool {
    let is_list = matches!(text, [b'{' | b'[', ..]);
    is_list && std::str::from_utf8(text).is_ok_and(plain::is_plain)
}

fn form(text: &str) -> Result<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let refused = |limit| match limit {
        FormLimit::Parameters => Error::new(ErrorName::PayloadTooLarge, "too many parameters"),
        FormLimit::Depth => Error::bad_request("The input exceeded the depth"),
    };
    query::parse_form(text).map(Value::Object).map_err(refused)
}

/// Refuses bodies that are not UTF-8.
fn check_charset(content_type: &str) -> Result<()> {
    match charset(content_type) {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => {
            let charset = charset.to_uppercase();
            let message = format!("unsupported charset \"{charset}\"");
            Err(Error::bad_request(message))
        }
        _ => Ok(()),
    }
}

/// Splits a media type from its parameters.
fn split(content_type: &str) -> (&str, Option<&str>) {
    match content_type.split_once(';') {
        Some((media_type, parameters)) => (media_type, Some(parameters)),
        None => (content_type, None),
    }
}

fn charset(content_type: &str) -> Option<&str> {
    split(content_type).1?.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    })
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Collects the body; never more of it than `limit` bytes is kept.
pub(in crate::transport) async fn receive(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes> {
    let announced = body.size_hint().lower();
    let mut pieces = body.into_data_stream();
    if announced > limit as u64 {
        discard(headers, pieces).await;
        return Err(too_large());
    }
    let mut received = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| aborted())?;
        if received.len() + piece.len() > limit {
            discard(headers, pieces).await;
            return Err(too_large());
        }
        received.extend_from_slice(&piece);
        if pieces.is_end_stream() {
            break;
        }
    }
    // It may be kept for long.
    Ok(received.into_boxed_slice().into())
}

/// Reads on for a little without keeping anything: closing a socket with unread bytes would take the answer along. A client
/// that waits for `100 Continue` sends nothing, and reading would invite it to.
pub(super) async fn discard(headers: &HeaderMap, mut pieces: BodyDataStream) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async {
        let mut left = DISCARDED_BYTES;
        while let Some(Ok(piece)) = pieces.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(DISCARDED_TIME, rest).await;
}

pub(super) fn too_large() -> Error {
    Error::new(ErrorName::PayloadTooLarge, "request entity too large")
}

pub(super) fn aborted() -> Error {
    Error::bad_request("request aborted")
}

fn in_words_of_feathers(error: Error, compat: bool) -> Error {
    if compat && error.name() != ErrorName::Timeout {
        return Error::new(ErrorName::GeneralError, error.message().to_owned());
    }
    error
}

const DISCARDED_BYTES: usize = 1 << 20;
const DISCARDED_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn data(content_type: &'static str, text: &'static str) -> Result<Value> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        let data = read(&headers, Body::from(text), &Config::default(), true).await;
        data.map(Json::into_value)
    }

    #[tokio::test]
    async fn json_and_forms_are_data_and_everything_else_is_an_empty_object() {
        let text = r#" {"a":[1,null]} "#;
        let read = data("application/JSON ; charset=\"UTF-8\"", text).await;
        assert_eq!(read.unwrap(), json!({ "a": [1, null] }));
        let read = data("application/x-www-form-urlencoded", "a[b]=1&c=").await;
        assert_eq!(read.unwrap(), json!({ "a": { "b": "1" }, "c": "" }));
        for other in [
            "text/plain",
            "application/vnd.api+json",
            "multipart/form-data",
            "?",
        ] {
            assert_eq!(data(other, "{").await.unwrap(), json!({}));
        }
        assert_eq!(data("application/json", "").await.unwrap(), json!({}));
    }

    #[tokio::test]
    async fn other_charsets_and_too_many_parameters_are_refused() {
        let error = data("application/json; charset=latin1", "{}")
            .await
            .unwrap_err();
        assert_eq!(error.message(), "unsupported charset \"LATIN1\"");
        assert_eq!(
            form(&"a&".repeat(999)).unwrap(),
            json!({ "a": vec![""; 999] })
        );
        assert_eq!(form(&"a&".repeat(1_000)).unwrap_err().code(), 413);
    }
}
