//! A client of server-sent events, small enough to see every line.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Answer, Client, Request};

/// The answer to a request for events.
#[derive(Debug)]
pub(crate) struct EventStream {
    client: Client,
    pub(crate) head: Answer,
    text: String,
    /// The block with which the stream begins.
    pub(crate) opening: String,
}

impl EventStream {
    /// Asks for events and waits until the stream has begun.
    pub(crate) async fn open(addr: SocketAddr, query: &str) -> Self {
        Self::open_with(Client::connect(addr).await, get(query)).await
    }

    /// As [`open`](Self::open), with a connection and a request of the caller's own.
    pub(crate) async fn open_with(mut client: Client, request: Request) -> Self {
        client.begin(&request).await;
        let head = client.answer().await;
        assert_eq!(head.status, 200, "{head:?}");
        let mut stream = Self {
            client,
            head,
            text: String::new(),
            opening: String::new(),
        };
        stream.opening = stream.block().await.expect("an opening");
        stream
    }

    /// Waits for the next lines up to an empty one; `None` when the stream is over.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                let block = std::mem::replace(&mut self.text, rest);
                return Some(block.trim_end().to_owned());
            }
            let chunk = self.client.chunk().await?;
            self.text += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    }

    /// Waits for the next event; comments are passed over.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        loop {
            let block = self.block().await.expect("an event");
            if block != ":" {
                return event(&block);
            }
        }
    }

    /// Waits for the end and returns the last block.
    pub(crate) async fn last(&mut self) -> Option<String> {
        let mut last = None;
        while let Some(block) = self.block().await {
            last = Some(block);
        }
        last
    }
}

/// Reads the lines of an event.
fn event(block: &str) -> (String, Value) {
    let (mut name, mut data) = (None, Vec::new());
    for line in block.lines() {
        match line.split_once(": ").expect("a field") {
            ("event", value) => name = Some(value.to_owned()),
            ("data", value) => data.push(value),
            _ => panic!("no line of an event: {line}"),
        }
    }
    let data = serde_json::from_str(&data.join("\n")).expect("JSON");
    (name.expect("a name"), data)
}

/// Makes a request for events.
pub(crate) fn get(query: &str) -> Request {
    Request::new("GET", &format!("/events{query}")).header("accept", "text/event-stream")
}
