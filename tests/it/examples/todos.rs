//! A server of axum and the same with live events, as the guide shows it.

#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../../examples/todos/after.rs"]
mod after;
#[allow(dead_code, reason = "nobody calls its `main` here")]
#[path = "../../../examples/todos/before.rs"]
mod before;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::support::http::{Answer, Client, Request};
use crate::support::process::{address, announce, child};
use crate::support::socket::{Heard, SocketClient};
use crate::support::{background, within};

const BEFORE: &str = include_str!("../../../examples/todos/before.rs");
const AFTER: &str = include_str!("../../../examples/todos/after.rs");
const PAGE: &str = include_str!("../../../docs/guide/existing-axum-servers.md");

/// Returns the lines of both texts, each with the sign that `diff` gives it.
fn diff<'a>(before: &'a str, after: &'a str) -> Vec<(char, &'a str)> {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    // The length of what both have in common from each place on.
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for (at, line) in old.iter().enumerate().rev() {
        for (to, other) in new.iter().enumerate().rev() {
            common[at][to] = match line == other {
                true => common[at + 1][to + 1] + 1,
                false => common[at + 1][to].max(common[at][to + 1]),
            };
        }
    }
    let (mut at, mut to, mut lines) = (0, 0, Vec::new());
    while at < old.len() || to < new.len() {
        if at < old.len() && to < new.len() && old[at] == new[to] {
            lines.push((' ', old[at]));
            (at, to) = (at + 1, to + 1);
        } else if at < old.len() && (to == new.len() || common[at + 1][to] >= common[at][to + 1]) {
            lines.push(('-', old[at]));
            at += 1;
        } else {
            lines.push(('+', new[to]));
            to += 1;
        }
    }
    lines
}

/// Writes what differs, with one line around it; `…` stands for the rest.
fn rendered(lines: &[(char, &str)]) -> String {
    let is_near = |at: usize| {
        let near = &lines[at.saturating_sub(1)..lines.len().min(at + 2)];
        near.iter().any(|(sign, _)| *sign != ' ')
    };
    let mut text = String::new();
    for (at, (sign, line)) in lines.iter().enumerate() {
        if is_near(at) {
            text.push_str(format!("{sign}{line}").trim_end());
            text.push('\n');
        } else if !text.is_empty() && !text.ends_with("…\n") {
            text.push_str(" …\n");
        }
    }
    text.trim_end_matches(" …\n").to_owned()
}

#[test]
fn the_guide_shows_the_difference_and_it_is_ten_lines() {
    let lines = diff(BEFORE, AFTER);
    let n_added = lines.iter().filter(|(sign, _)| *sign == '+').count();
    assert!(n_added <= 10, "{n_added} lines");
    let shown = format!("```diff\n{}```\n", rendered(&lines));
    assert!(PAGE.contains(&shown), "the guide has to show\n{shown}");
}

/// Serves one of the programs in a process of its own until it gets `SIGINT`.
struct Program {
    child: Child,
    addr: SocketAddr,
}

impl Program {
    async fn start(name: &str, sync_uri: &str) -> Self {
        let test = format!("examples::todos::child_that_serves_{name}");
        let mut child = child(&test, 1_024, &[("SYNC_URI", sync_uri)]);
        let addr = address(&mut child).await;
        Self { child, addr }
    }

    async fn send(&self, request: Request) -> Answer {
        Client::connect(self.addr).await.send(request).await
    }

    async fn interrupt(&self) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &id]).status();
        assert!(sent.await.unwrap().success());
    }

    async fn ended(mut self) {
        assert!(within(self.child.wait()).await.unwrap().success());
    }
}

async fn serving<F: Future<Output = bool>>(serve: impl FnOnce(TcpListener) -> F) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let telling = background(announce(listener.local_addr().unwrap()));
    let is_well = serve(listener).await;
    telling.await.unwrap();
    // Nobody reads any more what a test has to say.
    std::process::exit(i32::from(!is_well));
}

#[tokio::test]
#[ignore = "runs as a child of other tests"]
async fn child_that_serves_before() {
    serving(|listener| async { before::serve(listener).await.is_ok() }).await;
}

#[tokio::test]
#[ignore = "runs as a child of other tests"]
async fn child_that_serves_after() {
    serving(|listener| async { after::serve(listener).await.is_ok() }).await;
}

/// What a client of the REST API sees.
async fn check_rest(program: &Program) {
    let tea = Request::new("POST", "/todos").json(&json!({ "text": "tea" }));
    let answer = program.send(tea).await;
    assert_eq!((answer.status, answer.text()), (201, TEA));
    let done = Request::new("PATCH", "/todos/1").json(&json!({ "done": true }));
    let answer = program.send(done).await;
    assert_eq!((answer.status, answer.text()), (200, DONE));
    let list = program.send(Request::new("GET", "/todos")).await;
    assert_eq!((list.status, list.text()), (200, &*format!("[{DONE}]")));
    for status in [204, 404] {
        let answer = program.send(Request::new("DELETE", "/todos/1")).await;
        assert_eq!((answer.status, answer.text()), (status, ""));
    }
}

#[tokio::test]
async fn the_server_as_it_was() {
    let program = Program::start("before", "").await;
    check_rest(&program).await;
    let socket = program.send(Request::new("GET", "/socket.io/?EIO=4")).await;
    assert_eq!(socket.status, 404);
    program.interrupt().await;
    program.ended().await;
}

#[tokio::test]
async fn the_server_with_the_lines_tells_its_clients() {
    let program = Program::start("after", "memory://todos").await;
    let mut client = SocketClient::connect(program.addr).await;
    check_rest(&program).await;
    expect_all(&mut client).await;
    program.interrupt().await;
    assert_eq!(client.end().await, Heard::Closed(Some(1012)));
    program.ended().await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn two_servers_with_the_lines_tell_each_others_clients() {
    let redis = crate::support::redis::RedisServer::start();
    let programs = [
        Program::start("after", &redis.uri()).await,
        Program::start("after", &redis.uri()).await,
    ];
    for program in &programs {
        until_ready(program).await;
    }
    let mut client = SocketClient::connect(programs[1].addr).await;
    check_rest(&programs[0]).await;
    expect_all(&mut client).await;
    for program in programs {
        program.interrupt().await;
        program.ended().await;
    }
}

/// Waits until a node has its link to the others.
#[cfg(feature = "redis")]
async fn until_ready(program: &Program) {
    let ready = async {
        while program.send(Request::new("GET", "/ready")).await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within(ready).await;
}

async fn expect_all(client: &mut SocketClient) {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let expected = [
        ("todos created", json(TEA)),
        ("todos patched", json(DONE)),
        ("todos removed", json!({ "id": 1 })),
    ];
    for (name, data) in expected {
        assert_eq!(client.event().await, (name.to_owned(), data));
    }
}

const TEA: &str = r#"{"id":1,"text":"tea","done":false}"#;
const DONE: &str = r#"{"id":1,"text":"tea","done":true}"#;
