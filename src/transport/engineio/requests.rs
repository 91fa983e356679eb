//! The requests of long-polling, as HTTP has them (feathers.md §2.1).

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Method, Request, StatusCode, header};
use tokio::time::timeout;

use super::handshake::Refusal;
use super::mailbox::Mailbox;
use crate::app::Config;
use crate::connections::CloseReason;
use crate::error::ErrorName;
use crate::transport::rest::receive;

/// Answers a request of a session; whatever breaks the protocol ends it.
pub(super) async fn answer(
    config: &Config,
    mailbox: Arc<Mailbox>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    match *request.method() {
        Method::GET => poll(&mailbox).await,
        Method::POST => post(config, &mailbox, request).await,
        // As the stock server has it.
        _ => Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    }
}

/// Makes the response with packets.
pub(super) fn packets(body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=UTF-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body.into()).into_response()
}

async fn poll(mailbox: &Mailbox) -> Result<Response, Refusal> {
    let Some(answer) = mailbox.poll() else {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    };
    let body = answer.await.map_err(|_| Refusal::UnknownSession)?;
    Ok(packets(body))
}

async fn post(
    config: &Config,
    mailbox: &Arc<Mailbox>,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let Some(posting) = mailbox.post() else {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    };
    let text = match text(config, request).await {
        Ok(text) => text,
        Err((status, reason)) => {
            posting.fail(reason);
            return Ok(status.into_response());
        }
    };
    let status = posting.deliver(text).await;
    let status = status.ok_or(Refusal::UnknownSession)?;
    if status != StatusCode::OK {
        return Ok(status.into_response());
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, "ok").into_response())
}

/// Reads the body of a post; never more than a message may have.
async fn text(
    config: &Config,
    request: Request<Body>,
) -> Result<String, (StatusCode, CloseReason)> {
    let malformed = (StatusCode::BAD_REQUEST, CloseReason::Protocol);
    let (parts, body) = request.into_parts();
    // Binary bodies are of version 3.
    if (parts.headers.get(header::CONTENT_TYPE)).is_some_and(|kind| kind == BINARY) {
        return Err(malformed);
    }
    let received = timeout(
        config.body_timeout,
        receive(&parts.headers, body, config.max_message),
    );
    let bytes = match received.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if error.name() == ErrorName::PayloadTooLarge => {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, CloseReason::TooLarge));
        }
        Ok(Err(_)) => return Err((StatusCode::BAD_REQUEST, CloseReason::Gone)),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, CloseReason::Timeout)),
    };
    String::from_utf8(bytes.into()).map_err(|_| malformed)
}

const BINARY: &str = "application/octet-stream";
