//! Nodes in processes of their own: the test binary runs itself again for that.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{eventually, within};

/// Runs one ignored test of this binary, named in full, as a process with at most that many open files and with these
/// variables.
pub(crate) fn child(test: &str, files: u32, variables: &[(&str, &str)]) -> Child {
    let binary = std::env::current_exe().unwrap();
    Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -n {files} && exec \"$0\" --exact {test} --ignored --nocapture"
        ))
        .arg(binary)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Reads the address that a child [announces](announce).
pub(crate) async fn address(child: &mut Child) -> SocketAddr {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.split("serving on ").nth(1) {
                return address.parse().unwrap();
            }
        }
        panic!("the child ended without serving");
    };
    within(address).await
}

/// Tells the parent, from within a child, where it serves as soon as it does.
pub(crate) async fn announce(addr: SocketAddr) {
    eventually("it listens", || std::net::TcpStream::connect(addr).is_ok()).await;
    let mut out = std::io::stdout();
    writeln!(out, "serving on {addr}").unwrap();
    out.flush().unwrap();
}

/// Returns the resident memory of a child, in KiB.
pub(crate) fn memory(child: &Child) -> u64 {
    let id = child.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.unwrap().trim().strip_suffix(" kB").unwrap();
    size.parse().unwrap()
}
