//! What needs a process of its own: signals, and the end of its files. The test binary runs itself again for that.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use tokio::process::{Child, ChildStdin, Command};
use tracing_subscriber::fmt::MakeWriter;
use wingbeat::App;

use super::Gate;
use crate::support::http::{Client, Request};
use crate::support::process::{address, announce, child};
use crate::support::services::Echo;
use crate::support::{Node, eventually, listen, within};

async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().await;
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn a_signal_shuts_the_process_down_in_order() {
    for name in ["TERM", "INT"] {
        let mut child = child("serve::process::child_that_serves", 1_024, &[]);
        let addr = address(&mut child).await;
        let mut client = Client::connect(addr).await;
        client
            .begin(&Request::new("POST", "/gate").json(&json!([name])))
            .await;
        let mut stdin = child.stdin.take().unwrap();
        until_entered(&mut client, addr).await;
        signal(&child, name).await;
        let refused = || std::net::TcpStream::connect(addr).is_err();
        eventually("new connections are refused", refused).await;
        assert!(!client.has_answer());
        open(&mut stdin).await;
        assert_eq!(client.answer().await.pair(), (201, json!([name])));
        assert!(within(child.wait()).await.unwrap().success());
    }
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let mut child = child("serve::process::child_that_serves", 1_024, &[]);
    let addr = address(&mut child).await;
    let mut client = Client::connect(addr).await;
    client
        .begin(&Request::new("POST", "/gate").json(&json!([])))
        .await;
    until_entered(&mut client, addr).await;
    signal(&child, "TERM").await;
    let refused = || std::net::TcpStream::connect(addr).is_err();
    eventually("new connections are refused", refused).await;
    // The gate stays closed: waiting for the child would close its input otherwise, which opens the gate.
    let _stdin = child.stdin.take();
    signal(&child, "TERM").await;
    assert!(within(child.wait()).await.unwrap().success());
}

/// The child answers other requests meanwhile, so the call at the gate has been taken in by then.
async fn until_entered(waiting: &mut Client, addr: SocketAddr) {
    let mut other = Client::connect(addr).await;
    for _ in 0..20 {
        assert_eq!(other.send(Request::new("GET", "/live")).await.status, 200);
    }
    assert!(!waiting.has_answer());
}

async fn open(stdin: &mut ChildStdin) {
    use tokio::io::AsyncWriteExt as _;
    stdin.write_all(b"open\n").await.unwrap();
}

/// Serves until a signal; a line on its input opens the gate.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs as a child of other tests"]
async fn child_that_serves() {
    let gate = Gate::new();
    let open = Arc::clone(&gate.open);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        open.add_permits(1);
    });
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = port.local_addr().unwrap();
    drop(port);
    let app = App::builder().service("gate", gate).build().unwrap();
    let told = crate::support::background(announce(addr));
    app.serve(addr).await.unwrap();
    told.await.unwrap();
    // A thread that waits for input would hold the test's own end.
    std::process::exit(0);
}

#[tokio::test]
async fn accepting_goes_on_after_the_process_ran_out_of_files() {
    let mut child = child("serve::process::child_without_files", 64, &[]);
    let status = within(child.wait()).await.unwrap();
    assert!(status.success(), "{status}");
}

/// Takes every file that the process may have, lets a client knock, and gives the files back.
#[tokio::test]
#[ignore = "runs as a child of another test"]
async fn child_without_files() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let node = Node::start(App::builder().service("echo", Echo)).await;
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files.pop();
    let mut client = node.client().await;
    client.begin(&Request::new("GET", "/echo")).await;
    eventually("accepting fails", || log.has("can not accept connections")).await;
    assert!(!client.has_answer());
    drop(files);
    assert_eq!(client.answer().await.status, 200);
    let (_, serving) = listen(&node.app).await;
    node.stop().await;
    within(serving).await.unwrap().unwrap();
}

/// A log that the test reads.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock()).contains(text)
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
