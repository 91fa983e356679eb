//! A real PostgreSQL, owned by the test that starts it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;

/// A PostgreSQL on 127.0.0.1 whose user `wingbeat` needs a password. Dropping it ends the processes and removes their
/// files, also when a test panics.
#[derive(Debug)]
pub(crate) struct PostgresServer {
    port: u16,
    data: Scratch,
    postmaster: Child,
    /// Kept, so that the next server need not wait for `initdb`.
    _template: Arc<Scratch>,
}

impl PostgresServer {
    /// Starts a server on a free port and waits until it accepts connections.
    pub(crate) fn start() -> Self {
        let template = template();
        let mut log = String::new();
        // Another process may take the port between our look at it and the server's bind.
        for _ in 0..ATTEMPTS {
            let (port, data) = (free_port(), Scratch::new());
            copy(template.path(), data.path());
            match launch(port, data.path()) {
                Ok(postmaster) => {
                    return Self {
                        port,
                        data,
                        postmaster,
                        _template: template,
                    };
                }
                Err(why) => log = why,
            }
        }
        panic!("PostgreSQL does not start: {log}");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server without a word to its clients' sessions and without saving anything, and waits until it is gone.
    /// Not SIGKILL: that would leave its shared memory to the machine.
    pub(crate) fn kill(&mut self) {
        if !matches!(self.postmaster.try_wait(), Ok(None)) {
            return;
        }
        self.thaw();
        signal("QUIT", &[self.postmaster.id()]);
        // It fails only if the process was waited for already, which is what is wanted.
        let _ = self.postmaster.wait();
    }

    /// Starts the server again, killing it first if it lives, with the same port and data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let port = self.port;
        self.postmaster = launch(port, self.data.path())
            .unwrap_or_else(|log| panic!("PostgreSQL again on port {port}: {log}"));
    }

    /// Stops all its processes with SIGSTOP: connections stay open and nothing answers.
    pub(crate) fn freeze(&self) {
        signal("STOP", &self.processes());
    }

    /// Lets frozen processes go on.
    pub(crate) fn thaw(&self) {
        signal("CONT", &self.processes());
    }

    /// Runs one query as the owner of the server and returns what it prints.
    pub(crate) fn query(&self, sql: &str) -> String {
        let output = Command::new(binary("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-U", USER, "-d", DATABASE, "-tAc", sql])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("psql is installed with PostgreSQL");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The one that was started, and one for each connection and chore.
    fn processes(&self) -> Vec<u32> {
        let postmaster = self.postmaster.id();
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
        std::iter::once(postmaster).chain(ids).collect()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A directory of its own, which goes with its owner.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wingbeat-postgres-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        succeed(as_postgres("mkdir").arg("-m").arg("700").arg(&path));
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What `initdb` makes, once for all servers that live at a time.
fn template() -> Arc<Scratch> {
    static TEMPLATE: Mutex<Weak<Scratch>> = Mutex::new(Weak::new());
    let mut known = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    known.upgrade().unwrap_or_else(|| {
        let template = Arc::new(initialize());
        *known = Arc::downgrade(&template);
        template
    })
}

fn initialize() -> Scratch {
    let data = Scratch::new();
    // A file is the only way to give it a password without a terminal.
    let password =
        std::env::temp_dir().join(format!("wingbeat-postgres-{}.pw", std::process::id()));
    fs::write(&password, PASSWORD).expect("the directory for temporary files is writable");
    succeed(
        as_postgres(binary("initdb"))
            .arg("-D")
            .arg(data.path())
            .args(["--username", USER, "--auth", "password", "--pwfile"])
            .arg(&password)
            .args([
                "--no-sync",
                "--no-locale",
                "-E",
                "UTF8",
                "--wal-segsize",
                "1",
            ]),
    );
    let _ = fs::remove_file(&password);
    slim(data.path());
    data
}

/// Two thirds of the files belong to databases that nobody asks, and every server gets a copy of what is left.
fn slim(data: &Path) {
    const DROP: &str = "UPDATE pg_database SET datistemplate = false;\n\
                        DROP DATABASE template0;\nDROP DATABASE template1;\n";
    let mut session = as_postgres(binary("postgres"))
        .args([
            "--single",
            "-c",
            "dynamic_shared_memory_type=mmap",
            "-c",
            "fsync=off",
            "-D",
        ])
        .arg(data)
        .arg(DATABASE)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("PostgreSQL is installed");
    let mut input = session.stdin.take().expect("stdin is piped");
    input
        .write_all(DROP.as_bytes())
        .expect("it reads its input");
    drop(input);
    let status = session.wait().expect("it was not waited for before");
    assert!(status.success(), "PostgreSQL in single-user mode: {status}");
}

fn copy(from: &Path, to: &Path) {
    succeed(as_postgres("cp").arg("-a").arg(from.join(".")).arg(to));
}

/// Err holds what the server printed before it gave up.
fn launch(port: u16, data: &Path) -> Result<Child, String> {
    const SETTINGS: [&str; 8] = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "dynamic_shared_memory_type=mmap",
        "shared_buffers=8MB",
        "wal_level=minimal",
        "max_wal_senders=0",
        "autovacuum=off",
        "fsync=off",
    ];
    let mut server = as_postgres(binary("postgres"))
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string()])
        .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("PostgreSQL is installed");
    let log = server.stderr.take().expect("stderr is piped");
    match wait_until_ready(log) {
        Ok(()) => Ok(server),
        Err(why) => {
            let _ = server.kill();
            let _ = server.wait();
            Err(why)
        }
    }
}

/// Reads the log on a thread of its own, and on to its end: a full pipe would stop the server.
fn wait_until_ready(log: ChildStderr) -> Result<(), String> {
    let (verdict, ready) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        let mut is_ready = false;
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if !is_ready && line.contains("ready to accept connections") {
                is_ready = true;
                let _ = verdict.send(Ok(()));
            } else if !is_ready {
                said += &line;
                said.push('\n');
            }
        }
        let _ = verdict.send(Err(said));
    });
    ready
        .recv_timeout(START_LIMIT)
        .unwrap_or_else(|_| Err(format!("not ready within {START_LIMIT:?}")))
}

/// PostgreSQL refuses to be run by root, so root lends it the user that Debian's package made.
fn as_postgres(program: impl AsRef<Path>) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(program.as_ref());
        command
    } else {
        Command::new(program.as_ref())
    };
    command.current_dir("/").env("LC_ALL", "C");
    command
}

/// Debian keeps the server's programs out of `PATH`, by version.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let of_debian = versions.flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    of_debian
        .chain(of_path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("PostgreSQL is not installed: there is no {name}"))
}

/// The shell's own `kill`: sending a signal from Rust is unsafe code or one more dependency. A process that is gone by
/// then is no failure.
fn signal(name: &str, processes: &[u32]) {
    let ids: Vec<String> = processes.iter().map(u32::to_string).collect();
    let ids = ids.join(" ");
    // A stopped process goes on until it has seen the signal.
    let stopped = "while grep -qsv ') [TtZX] ' /proc/$id/task/*/stat; do sleep 0.01; done";
    let then = if name == "STOP" { stopped } else { "true" };
    let command = format!("kill -{name} {ids} 2>/dev/null; for id in {ids}; do {then}; done");
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.is_ok(), "there is a shell");
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("a program that is installed");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {why}");
}

/// A port that nothing listens on, below the range of which the system takes the ports of outgoing connections: one of
/// those could otherwise sit on the port while a killed server is down.
fn free_port() -> u16 {
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

pub(crate) const USER: &str = "wingbeat";
pub(crate) const PASSWORD: &str = "open-sesame";
pub(crate) const DATABASE: &str = "postgres";
const ATTEMPTS: usize = 5;
const START_LIMIT: Duration = Duration::from_secs(30);
/// Below what tests of other brokers take.
const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 9_000;
const STRIDE: u16 = 97;
