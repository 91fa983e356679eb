//! Processes: how the bench starts itself again, talks with the copies, and reads what they use.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Outcome;

/// A copy of this program in another role, or another program; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// CPU time of a process in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Process {
    /// Starts this program in a role, with as many open files as the machine grants.
    pub(crate) fn start(role: &str, args: &[&str]) -> Outcome<Self> {
        Self::run(
            Command::new("sh")
                .args(["-c", r#"ulimit -n "$(ulimit -H -n)"; exec "$0" "$@""#])
                .arg(env::current_exe()?)
                .args(["--role", role])
                .args(args),
        )
    }

    /// Starts any program that talks in lines.
    pub(crate) fn run(command: &mut Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("a process without output")?;
        Ok(Self {
            child,
            lines: BufReader::new(output),
        })
    }

    /// Sends a line.
    pub(crate) fn tell(&mut self, line: &str) -> Outcome<()> {
        let mut input = self.child.stdin.as_ref().ok_or("a process without input")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Waits for a line and returns its words behind the first one, which must be `word`; a process that can not say it may say
    /// `failed: WHY`.
    pub(crate) fn hear(&mut self, word: &str) -> Outcome<Vec<u64>> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        if words.next() != Some(word) {
            return Err(match line.trim().strip_prefix("failed: ") {
                Some(why) => why.into(),
                None => format!("the run failed: no '{word}' from a process").into(),
            });
        }
        Ok(words.map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Waits for the end of the process, which must be a good one.
    pub(crate) fn finish(mut self) -> Outcome<()> {
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("the run failed: a process ended with {status}").into())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU time that all threads of the process have used.
    pub(crate) fn cpu(&self) -> Outcome<Cpu> {
        cpu_of(self.id())
    }

    /// Returns the resident memory of the process in bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        self.memory("VmRSS:")
    }

    /// Returns what the kernel tells of the memory of the process under a name, in bytes.
    pub(crate) fn memory(&self, name: &str) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib = kib.ok_or_else(|| format!("no {name} in status"))?;
        Ok(kib.parse::<f64>()? * 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the CPU time that all threads of a process have used.
pub(crate) fn cpu_of(process: u32) -> Outcome<Cpu> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold spaces; behind it stand the fields from the third on.
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let seconds = |at: usize| -> Outcome<f64> {
        let ticks: f64 = fields.get(at).ok_or("no CPU time in stat")?.parse()?;
        Ok(ticks / TICKS_PER_SECOND)
    };
    Ok(Cpu {
        user: seconds(11)?,
        system: seconds(12)?,
    })
}

/// Tells the parent process on which ports this one listens.
pub(crate) fn announce(ports: &[u16; 2]) -> Outcome<()> {
    say(&format!("listening {} {}", ports[0], ports[1]))
}

/// Sends a line to the parent process.
pub(crate) fn say(line: &str) -> Outcome<()> {
    let mut output = stdout();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

/// `USER_HZ`, which is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
