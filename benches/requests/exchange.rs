//! What is asked, and what must be answered.

use serde_json::{Value, json};

use crate::Outcome;
use crate::frame::{Frame, masked};

/// How clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Rest,
    Socket,
}

/// What clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Find,
    Create,
}

/// One request, and the body of its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    /// How the answer begins.
    head: String,
    /// The JSON of the answer, and what closes it.
    body: String,
}

/// Returns the record with an id.
pub(crate) fn record(id: usize) -> Value {
    json!({
        "id": id,
        "author": format!("user-{:03}", id % 100),
        "text": "A message that is as long as people write them when they talk about their day.",
        "likes": id % 7,
        "isRead": false,
    })
}

/// Returns the rows that a `find` must find.
pub(crate) fn rows() -> Value {
    (1..=ROWS).map(record).collect()
}

impl Transport {
    pub(crate) const ALL: [Self; 2] = [Self::Rest, Self::Socket];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Rest => "REST",
            Self::Socket => "Socket.IO",
        }
    }
}

impl Method {
    pub(crate) const ALL: [Self; 2] = [Self::Find, Self::Create];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Create => "create",
        }
    }
}

impl Exchange {
    /// Makes the exchange with a number, which is the id of a record that is created, and a call's over a socket.
    pub(crate) fn new(transport: Transport, method: Method, number: usize) -> Self {
        match transport {
            Transport::Rest => Self::rest(method, number),
            Transport::Socket => Self::socket(method, number),
        }
    }

    fn rest(method: Method, number: usize) -> Self {
        let (request, head, body) = match method {
            Method::Find => (format!("GET /rows HTTP/1.1\r\n{HEADERS}\r\n"), OK, rows()),
            Method::Create => {
                let record = record(number);
                (post(&record.to_string()), CREATED, record)
            }
        };
        Self {
            request: request.into(),
            head: head.to_owned(),
            body: body.to_string(),
        }
    }

    fn socket(method: Method, number: usize) -> Self {
        let (call, body) = match method {
            Method::Find => (json!(["find", "rows", {}]), rows()),
            Method::Create => {
                let record = record(number);
                (json!(["create", "notes", record]), record)
            }
        };
        Self {
            request: masked(&format!("42{number}{call}")),
            head: format!("43{number}[null,"),
            body: format!("{body}]"),
        }
    }

    /// Takes the answer off the bytes that came; false while it is not complete.
    ///
    /// # Errors
    /// Shows an answer that differs from the one that must come.
    pub(crate) fn answered(&self, transport: Transport, received: &mut Vec<u8>) -> Outcome<bool> {
        let answer = match transport {
            Transport::Rest => response(received)?,
            Transport::Socket => {
                Frame::split(received).map(|(frame, rest)| (frame.payload, frame.payload, rest))
            }
        };
        let Some((head, body, rest)) = answer else {
            return Ok(false);
        };
        let has_head = head.starts_with(self.head.as_bytes());
        let length = match transport {
            Transport::Rest => self.body.len(),
            Transport::Socket => self.head.len() + self.body.len(),
        };
        if !has_head || body.len() != length || !body.ends_with(self.body.as_bytes()) {
            let (expected, found) = (&self.head, String::from_utf8_lossy(received));
            return Err(format!("instead of {expected}{} came {found}", self.body).into());
        }
        let end = received.len() - rest.len();
        received.drain(..end);
        Ok(true)
    }
}

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /notes HTTP/1.1\r\n{HEADERS}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

type Response<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits a response into its head, its body and what follows; `None` while it is not complete.
fn response(received: &[u8]) -> Outcome<Option<Response<'_>>> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n");
    let Some((head, rest)) = end.map(|end| received.split_at(end + 4)) else {
        return Ok(None);
    };
    let mut lines = std::str::from_utf8(head)?.lines();
    let length = lines
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then_some(value)
        })
        .ok_or("an answer without a length")?
        .trim()
        .parse()?;
    Ok(rest
        .split_at_checked(length)
        .map(|(body, rest)| (head, body, rest)))
}

const ROWS: usize = 20;
const OK: &str = "HTTP/1.1 200 OK\r\n";
const CREATED: &str = "HTTP/1.1 201 Created\r\n";
const HEADERS: &str = "Host: 127.0.0.1\r\nAccept: application/json\r\n";
