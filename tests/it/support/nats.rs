//! A real NATS server, owned by the test that starts it.

// Shared by several test binaries, none of which uses all of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A `nats-server` process on 127.0.0.1 with a configuration file of its own. Dropping it kills the process, also when a
/// test panics.
#[derive(Debug)]
pub(crate) struct NatsServer {
    port: u16,
    monitor: u16,
    files: Scratch,
    child: Child,
    log: Log,
}

/// A directory of its own for a process that reads or writes files. It goes with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

/// What the server has printed, read by a thread of its own: a full pipe would stop the server.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

impl NatsServer {
    /// Starts a server on free ports and waits until it accepts connections.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// As [`start`](Self::start), with this configuration.
    pub(crate) fn start_with(configuration: &str) -> Self {
        let mut log = String::new();
        // Another process may take a port between our look at it and the server's bind.
        for _ in 0..ATTEMPTS {
            match Self::launch(free_port(), free_port(), Scratch::new(), configuration) {
                Ok(server) => return server,
                Err(why) => log = why,
            }
        }
        panic!("nats-server does not start: {log}");
    }

    /// As [`start`](Self::start), on this port.
    pub(crate) fn start_on(port: u16) -> Self {
        Self::launch(port, free_port(), Scratch::new(), "")
            .unwrap_or_else(|log| panic!("nats-server on port {port}: {log}"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn uri(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the process with SIGKILL and waits until it is gone, so that its connections are reset.
    pub(crate) fn kill(&mut self) {
        // Both fail only if the process was waited for already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the process again, killing it first if it lives, with the same ports and configuration.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let (child, log) = spawn(self.port, self.monitor, &self.files);
        (self.child, self.log) = (child, log);
        self.log
            .expect(READY)
            .unwrap_or_else(|log| panic!("nats-server again: {log}"));
    }

    /// Stops the process with SIGSTOP: its sockets stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// Begins the shutdown that asks clients to go elsewhere.
    pub(crate) fn retire(&self) {
        self.signal("USR2");
    }

    /// Gives the process another configuration and waits until it has taken it.
    pub(crate) fn reload(&self, configuration: &str) {
        self.files.write(CONFIGURATION, configuration);
        self.signal("HUP");
        self.log
            .expect("Reloaded server configuration")
            .unwrap_or_else(|log| panic!("nats-server does not reload: {log}"));
    }

    /// Counts its clients and their subscriptions.
    pub(crate) fn holdings(&self) -> usize {
        let connections = self.ask("/connz");
        let subscriptions = numbers(&connections, "\"subscriptions\":").sum::<usize>();
        numbers(&connections, "\"cid\":").count() + subscriptions
    }

    /// Asks the monitoring port.
    pub(crate) fn ask(&self, path: &str) -> String {
        let mut answer = String::new();
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor)).expect("it monitors");
        stream
            .set_read_timeout(Some(START_LIMIT))
            .and_then(|()| write!(stream, "GET {path} HTTP/1.0\r\n\r\n"))
            .and_then(|()| stream.read_to_string(&mut answer))
            .unwrap_or_else(|error| panic!("nats-server answers {path}: {error}"));
        answer
    }

    pub(crate) fn log(&self) -> String {
        self.log.text().clone()
    }

    /// Err holds what the server printed before it gave up.
    fn launch(
        port: u16,
        monitor: u16,
        files: Scratch,
        configuration: &str,
    ) -> Result<Self, String> {
        files.write(CONFIGURATION, configuration);
        let (child, log) = spawn(port, monitor, &files);
        let server = Self {
            port,
            monitor,
            files,
            child,
            log: log.clone(),
        };
        log.expect(READY)?;
        Ok(server)
    }

    /// The shell's own `kill`: sending a signal from Rust is unsafe code or one more dependency.
    fn signal(&self, name: &str) {
        let id = self.child.id();
        // The threads of a stopped process go on until one of them has seen the signal.
        let stopped =
            format!("while grep -qsv ') [TtZX] ' /proc/{id}/task/*/stat; do sleep 0.01; done");
        let then = if name == "STOP" { &stopped } else { "true" };
        let command = format!("kill -{name} {id} && {then}");
        let status = Command::new("sh").args(["-c", &command]).status();
        assert!(status.expect("there is a shell").success(), "{command}");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("wingbeat-nats-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).expect("the directory for temporary files is writable");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.join(name), text).expect("the directory is writable");
        self.file(name)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("it was made of text").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Log {
    /// Waits until a line holds this. Err holds what there is instead.
    fn expect(&self, part: &str) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let text = self.text().clone();
            if text.contains(part) {
                return Ok(());
            }
            if text.contains(ENDED) || start.elapsed() > START_LIMIT {
                return Err(text);
            }
            std::thread::yield_now();
        }
    }

    fn read(&self, stderr: ChildStderr) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                *log.text() += &(line + "\n");
            }
            *log.text() += ENDED;
        });
    }

    fn text(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(port: u16, monitor: u16, files: &Scratch) -> (Child, Log) {
    // Debian keeps the server's program out of the PATH of those who are not root.
    let path = std::env::var("PATH").unwrap_or_default();
    let mut child = Command::new("nats-server")
        .env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"))
        .args(["-a", "127.0.0.1", "-p", &port.to_string()])
        .args(["-m", &monitor.to_string()])
        .args(["-c", &files.file(CONFIGURATION)])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nats-server is installed");
    let log = Log::default();
    log.read(child.stderr.take().expect("stderr is piped"));
    (child, log)
}

/// The numbers behind each occurrence of a name in a JSON text.
fn numbers<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.split(name).skip(1).filter_map(|rest| {
        let rest = rest.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    })
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
const CONFIGURATION: &str = "nats.conf";
const READY: &str = "Server is ready";
const ENDED: &str = "nats-server has ended";
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;
/// Processes with neighbouring ids start far apart and do not walk into each other.
const STRIDE: u16 = 97;
