//! A client that polls, small enough to see every request.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use super::http::{Answer, Client, Request};

/// A session of long-polling; polls and posts have a connection each.
#[derive(Debug)]
pub(crate) struct PollClient {
    prefix: &'static str,
    pub(crate) sid: String,
    polls: Client,
    posts: Client,
    packets: VecDeque<String>,
}

impl PollClient {
    /// Opens a session.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::open_below(addr, "").await
    }

    /// Opens a session at a server that has Socket.IO below a prefix.
    pub(crate) async fn open_below(addr: SocketAddr, prefix: &'static str) -> Self {
        let mut polls = Client::connect(addr).await;
        let first = Request::new("GET", &format!("{prefix}{}", path(None)));
        let answer = polls.send(first).await;
        let open = answer.text().strip_prefix('0').expect("an open packet");
        let handshake: Value = serde_json::from_str(open).expect("JSON");
        Self {
            prefix,
            sid: handshake["sid"].as_str().expect("a sid").to_owned(),
            polls,
            posts: Client::connect(addr).await,
            packets: VecDeque::new(),
        }
    }

    /// Opens a session and connects the default namespace.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let mut client = Self::open(addr).await;
        client.join().await;
        client
    }

    /// Connects the default namespace.
    pub(crate) async fn join(&mut self) {
        self.post("40").await;
        assert!(self.packet().await.starts_with(r#"40{"sid":""#));
    }

    /// Posts packets, which the node takes.
    pub(crate) async fn post(&mut self, body: &str) {
        let answer = self.try_post(body).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{body}");
    }

    pub(crate) async fn try_post(&mut self, body: &str) -> Answer {
        self.posts
            .send(self.request("POST").typed(TEXT, body))
            .await
    }

    pub(crate) async fn poll(&mut self) -> Answer {
        self.polls.send(self.request("GET")).await
    }

    /// Begins a poll, for [`polled`](Self::polled).
    pub(crate) async fn begin_poll(&mut self) {
        let request = self.request("GET");
        self.polls.begin(&request).await;
    }

    pub(crate) async fn polled(&mut self) -> Answer {
        self.polls.answer().await
    }

    /// Returns the next packet, and polls if there is none.
    pub(crate) async fn packet(&mut self) -> String {
        while self.packets.is_empty() {
            let answer = self.poll().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let packets = answer.text().split('\u{1e}').map(str::to_owned);
            self.packets.extend(packets);
        }
        self.packets.pop_front().expect("the loop waited for one")
    }

    /// Returns what the last poll brought and was not looked at.
    pub(crate) fn fetched(&mut self) -> Vec<String> {
        self.packets.drain(..).collect()
    }

    /// Makes a request of this session.
    pub(crate) fn request(&self, verb: &str) -> Request {
        let path = format!("{}{}", self.prefix, path(Some(&self.sid)));
        Request::new(verb, &path)
    }
}

/// Returns where to poll.
pub(crate) fn path(sid: Option<&str>) -> String {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("/socket.io/?EIO=4&transport=polling&t=abc{sid}")
}

const TEXT: &str = "text/plain;charset=UTF-8";
