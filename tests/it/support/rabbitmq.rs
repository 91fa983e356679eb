//! A real RabbitMQ server, owned by the test that starts it.

// Shared by several test binaries, none of which uses all of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A RabbitMQ process on 127.0.0.1 with a node name and a port mapper of its own. Dropping it kills both, also when a test
/// panics; if the test process goes without dropping it, a guard process does the same.
///
/// It is asked and told things in Erlang, on the standard input of its own shell: that takes a millisecond, where
/// `rabbitmqctl` takes a second.
#[derive(Debug)]
pub(crate) struct RabbitMq {
    port: u16,
    files: Scratch,
    /// Lines of `rabbitmq.conf`.
    settings: Vec<String>,
    ports: Ports,
    running: Mutex<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    epmd: u16,
    distribution: u16,
}

#[derive(Debug)]
struct Running {
    epmd: Child,
    server: Child,
    input: ChildStdin,
    answers: Receiver<String>,
    guard: Child,
}

/// A directory of its own for a process that writes files. It goes with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl RabbitMq {
    /// Starts a server on a free port and waits until it accepts connections.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`start`](Self::start), with further lines of `rabbitmq.conf`.
    pub(crate) fn start_with(settings: &[String]) -> Self {
        let mut log = String::new();
        // It looks for seconds before it binds; another process may take a port meanwhile.
        for _ in 0..ATTEMPTS {
            match Self::try_start(settings) {
                Ok(server) => return server,
                Err(why) => log = why,
            }
        }
        panic!("RabbitMQ does not start: {log}");
    }

    fn try_start(settings: &[String]) -> Result<Self, String> {
        let port = free_port();
        let mut lines = vec![
            format!("listeners.tcp.default = 127.0.0.1:{port}"),
            format!("default_user = {USER}"),
            format!("default_pass = {PASSWORD}"),
            "disk_free_limit.absolute = 1MB".to_owned(),
            "log.console = true".to_owned(),
            "log.console.level = error".to_owned(),
            "log.file = false".to_owned(),
        ];
        lines.extend_from_slice(settings);
        let files = Scratch::new();
        let ports = Ports {
            epmd: free_port(),
            distribution: free_port(),
        };
        let running = launch(&files, ports, &lines)?;
        Ok(Self {
            port,
            files,
            settings: lines,
            ports,
            running: Mutex::new(running),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.with(|running| running.server.id())
    }

    /// The URI of the default virtual host, for the user who may do everything.
    pub(crate) fn uri(&self) -> String {
        uri_at(self.port)
    }

    /// Kills the process with SIGKILL and waits until it is gone, so that its connections are reset.
    pub(crate) fn kill(&self) {
        self.with(|running| stop(&mut running.server));
    }

    /// Starts the process again, killing it first if it lives, with the same port, settings and users.
    pub(crate) fn restart(&self) {
        self.with(|running| {
            running.end();
            *running = launch(&self.files, self.ports, &self.settings)
                .unwrap_or_else(|why| panic!("RabbitMQ does not start again: {why}"));
        });
    }

    /// Stops the process with SIGSTOP: its sockets stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        self.with(|running| signal(&running.server, "STOP"));
    }

    /// Lets a frozen process go on.
    pub(crate) fn thaw(&self) {
        self.with(|running| signal(&running.server, "CONT"));
    }

    /// Evaluates an Erlang expression in the server and returns its value as text.
    pub(crate) fn eval(&self, expression: &str) -> String {
        self.with(|running| running.ask(expression, START_LIMIT))
            .unwrap_or_else(|why| panic!("{expression}: {why}"))
    }

    /// As [`eval`](Self::eval), for an expression whose value is a number.
    pub(crate) fn count(&self, expression: &str) -> usize {
        let value = self.eval(expression);
        value
            .parse()
            .unwrap_or_else(|_| panic!("{expression} is {value}"))
    }

    /// Makes a virtual host in which the user of [`uri`](Self::uri) may do everything.
    pub(crate) fn add_vhost(&self, name: &str) {
        let added = self.eval(&format!("rabbit_vhost:add(<<\"{name}\">>, <<\"test\">>)"));
        assert_eq!(added, "ok");
        self.permit(USER, name, ".*");
    }

    /// Makes a user.
    pub(crate) fn add_user(&self, name: &str, password: &str) {
        let added = self.eval(&format!(
            "rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"{password}\">>, <<\"test\">>)"
        ));
        assert_eq!(added, "ok");
    }

    /// Lets a user configure and read everything in a virtual host, and publish to what this pattern matches.
    pub(crate) fn permit(&self, user: &str, vhost: &str, write: &str) {
        let permitted = self.eval(&format!(
            "rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, <<\"{vhost}\">>, \
             <<\".*\">>, <<\"{write}\">>, <<\".*\">>, <<\"test\">>)"
        ));
        assert_eq!(permitted, "ok");
    }

    /// Connections to a virtual host, and the queues in it.
    pub(crate) fn holdings(&self, vhost: &str) -> usize {
        let of_vhost = of_vhost(vhost);
        self.count(&format!(
            "length([P || P <- rabbit_networking:connections(), {of_vhost}]) \
             + length(rabbit_amqqueue:list(<<\"{vhost}\">>))"
        ))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Running) -> T) -> T {
        act(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The Erlang condition that the connection `P` is one to this virtual host. One that ends meanwhile is none.
pub(crate) fn of_vhost(vhost: &str) -> String {
    format!(
        "(catch rabbit_networking:connection_info(P, [vhost])) =:= [{{vhost, <<\"{vhost}\">>}}]"
    )
}

/// The URI of whatever stands at a port for the server.
pub(crate) fn uri_at(port: u16) -> String {
    format!("amqp://{USER}:{PASSWORD}@127.0.0.1:{port}")
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.with(Running::end);
    }
}

impl Running {
    /// The guard goes first: it kills by number, and a number that is free may be somebody else's.
    fn end(&mut self) {
        stop(&mut self.guard);
        stop(&mut self.server);
        stop(&mut self.epmd);
    }

    fn ask(&mut self, expression: &str, limit: Duration) -> Result<String, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mark = format!("ANSWER {} ", NEXT.fetch_add(1, Ordering::Relaxed));
        // The shell writes its prompt in front of whatever comes first.
        let line = format!("io:format(\"~n{mark}~0p~n\", [(catch {expression})]).\n");
        self.input
            .write_all(line.as_bytes())
            .map_err(|error| error.to_string())?;
        let deadline = Instant::now() + limit;
        let mut log = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .answers
                .recv_timeout(left)
                .map_err(|why| format!("no answer within {limit:?}: {why}; {log}"))?;
            if let Some(answer) = line.strip_prefix(&mark) {
                return Ok(answer.to_owned());
            }
            log += &line;
            log.push('\n');
        }
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unique = format!("wingbeat-rabbitmq-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).expect("the directory for temporary files is writable");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("it is our directory");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn launch(files: &Scratch, ports: Ports, settings: &[String]) -> Result<Running, String> {
    let epmd_port = ports.epmd.to_string();
    let mut mapper = Command::new("epmd");
    mapper.args(["-port", &epmd_port, "-address", "127.0.0.1"]);
    let epmd = quiet(&mut mapper).spawn().expect("epmd is installed");
    let mut command = server(files, ports, settings);
    let mut server = command.spawn().expect("rabbitmq-server is installed");
    let guard = guard(&server, &epmd, files);
    let input = server.stdin.take().expect("it is piped");
    let answers = read(server.stdout.take().expect("it is piped"));
    let mut running = Running {
        epmd,
        server,
        input,
        answers,
        guard,
    };
    let verdict = running.ask(IS_UP, START_LIMIT);
    if verdict.as_deref() == Ok("true") {
        return Ok(running);
    }
    running.end();
    Err(verdict.unwrap_or_else(|why| why))
}

/// The server's own start script, because Debian's wrapper of it gives up the rights of whoever calls it. It becomes the
/// server: the process that is killed is the one that serves.
fn server(files: &Scratch, ports: Ports, settings: &[String]) -> Command {
    let debian = Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
    let program = if debian.exists() {
        debian
    } else {
        Path::new("rabbitmq-server")
    };
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // The secret that nodes share is made there.
        .env("HOME", files.path())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", ports.epmd.to_string())
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env(
            "RABBITMQ_CONFIG_FILE",
            files.file("rabbitmq.conf", &settings.join("\n")),
        )
        .env(
            "RABBITMQ_CONF_ENV_FILE",
            files.file("rabbitmq-env.conf", ""),
        )
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env(
            "RABBITMQ_ENABLED_PLUGINS_FILE",
            files.file("enabled_plugins", "[]."),
        )
        .env("RABBITMQ_LOG_BASE", files.path().join("log"))
        .env("RABBITMQ_MNESIA_BASE", files.path().join("mnesia"))
        .env("RABBITMQ_NODENAME", "wingbeat@localhost")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        )
        .current_dir(files.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Waits for our end, which closes its standard input, and then kills what we left.
fn guard(server: &Child, epmd: &Child, files: &Scratch) -> Child {
    const WATCH: &str = "trap '' HUP INT TERM; cat; kill -KILL $1 $2; rm -rf \"$3\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", WATCH, "guard"])
        .args([server.id().to_string(), epmd.id().to_string()])
        .arg(files.path());
    let command = quiet(&mut command).stdin(Stdio::piped());
    command.spawn().expect("there is a shell")
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

/// On a thread of its own, and on to the end: a full pipe would stop the server.
fn read(stdout: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

fn stop(child: &mut Child) {
    // Both fail only if the process was waited for already, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
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

/// A port that nothing listens on, below the range of which the system takes the ports of outgoing connections: one
/// of those could otherwise sit on the port while a killed server is down.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % u32::from(PORTS)).expect("below PORTS");
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + own.wrapping_add(step.wrapping_mul(STRIDE)) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) const USER: &str = "guest";
pub(crate) const PASSWORD: &str = "open-sesame";
/// Waits there: the shell answers long before the server is up.
const IS_UP: &str =
    "(fun Wait() -> rabbit:is_running() orelse begin timer:sleep(50), Wait() end end)()";
const ATTEMPTS: usize = 3;
const START_LIMIT: Duration = Duration::from_secs(90);
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 10_000;
/// Processes with neighbouring ids start far apart and do not walk into each other.
const STRIDE: u16 = 97;
