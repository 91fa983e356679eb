//! A real Redis server, owned by the test that starts it.

// Shared by two test binaries, neither of which uses all of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[path = "redis/cluster.rs"]
pub(crate) mod cluster;
#[path = "redis/sentinel.rs"]
pub(crate) mod sentinel;

/// A `redis-server` process on 127.0.0.1 without persistence. Dropping it kills the process, also when a test panics.
#[derive(Debug)]
pub(crate) struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    child: Child,
    _scratch: Scratch,
}

/// A directory of its own for a process that writes files. It goes with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl RedisServer {
    /// Starts a server on a free port and waits until it accepts connections.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), on this port.
    pub(crate) fn start_on(port: u16) -> Self {
        Self::start_on_with(port, &[])
    }

    /// As [`start_on`](Self::start_on), with further arguments.
    pub(crate) fn start_on_with(port: u16, arguments: &[&str]) -> Self {
        Self::launch(port, arguments)
            .unwrap_or_else(|log| panic!("redis-server on port {port}: {log}"))
    }

    /// As [`start`](Self::start), with further arguments; `{port}` in them stands for the port.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut log = String::new();
        // Another process may take the port between our look at it and the server's bind.
        for _ in 0..ATTEMPTS {
            match Self::launch(free_port(), arguments) {
                Ok(server) => return server,
                Err(why) => log = why,
            }
        }
        panic!("redis-server does not start: {log}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn uri(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the process with SIGKILL and waits until it is gone, so that its connections are reset.
    pub(crate) fn kill(&mut self) {
        // Both fail only if the process was waited for already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the process again, killing it first if it lives, with the same port and arguments.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let port = self.port;
        *self = Self::launch(port, &arguments)
            .unwrap_or_else(|log| panic!("redis-server again on port {port}: {log}"));
    }

    /// Stops the process with SIGSTOP: its sockets stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// Runs one command with `redis-cli` and returns what it prints.
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        cli(self.port, command)
    }

    /// Err holds what the server printed before it gave up.
    fn launch(port: u16, arguments: &[&str]) -> Result<Self, String> {
        let port_text = port.to_string();
        let scratch = Scratch::new();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port_text, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            // A replica writes what it gets of its primary to a file.
            .args(["--dir", scratch.text()])
            .args(arguments.iter().map(|a| a.replace("{port}", &port_text)));
        let (child, stdout) = spawn(&mut command);
        let server = Self {
            port,
            arguments: arguments.iter().map(|&a| a.to_owned()).collect(),
            child,
            _scratch: scratch,
        };
        wait_for_line(stdout, "Ready to accept connections")?;
        Ok(server)
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("wingbeat-redis-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).expect("the directory for temporary files is writable");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn text(&self) -> &str {
        self.0.to_str().expect("it was made of text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs one command with `redis-cli` on a port of this machine and returns what it prints.
pub(crate) fn cli(port: u16, command: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(command)
        .output()
        .expect("redis-cli is installed with redis-server");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits, on this thread, until a condition of the fixture itself holds.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < START_LIMIT,
            "it does not come to pass: {what}"
        );
        std::thread::yield_now();
    }
}

/// The shell's own `kill`: sending a signal from Rust is unsafe code or one more dependency.
fn signal(child: &Child, name: &str) {
    let id = child.id();
    // The threads of a stopped process go on until one of them has seen the signal.
    let stopped =
        format!("while grep -qsv ') [TtZX] ' /proc/{id}/task/*/stat; do sleep 0.01; done");
    let then = if name == "STOP" { &stopped } else { "true" };
    let command = format!("kill -{name} {id} && {then}");
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.expect("there is a shell").success(), "{command}");
}

fn spawn(command: &mut Command) -> (Child, ChildStdout) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is installed");
    let stdout = child.stdout.take().expect("stdout is piped");
    (child, stdout)
}

/// Reads the log on a thread of its own, and on to its end: a full pipe would stop the server.
fn wait_for_line(stdout: ChildStdout, ready_line: &'static str) -> Result<(), String> {
    let (verdict, ready) = mpsc::channel();
    std::thread::spawn(move || {
        let mut log = String::new();
        let mut is_ready = false;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if !is_ready && line.contains(ready_line) {
                is_ready = true;
                let _ = verdict.send(Ok(()));
            } else if !is_ready {
                log += &line;
                log.push('\n');
            }
        }
        let _ = verdict.send(Err(log));
    });
    ready
        .recv_timeout(START_LIMIT)
        .unwrap_or_else(|_| Err(format!("not ready within {START_LIMIT:?}")))
}

/// A port that nothing listens on, below the range of which the system takes the ports of outgoing connections: one
/// of those could otherwise sit on the port while a killed server is down.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % u32::from(PORTS)).expect("below PORTS");
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + own.wrapping_add(step.wrapping_mul(STRIDE)) % PORTS;
        if is_free(port) {
            return port;
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

const ATTEMPTS: usize = 10;
const START_LIMIT: Duration = Duration::from_secs(10);
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;
/// Processes with neighbouring ids start far apart and do not walk into each other.
const STRIDE: u16 = 97;
