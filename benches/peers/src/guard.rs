//! What ends a process when this one was killed and could not.

use std::process::{Child, Command, Stdio};

use crate::Outcome;

/// A process that waits for the end of this one, which closes its input, and then kills another one. It is dropped before the
/// other one is waited for: it kills by number, and a number that is free may be somebody else's.
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn of(process: u32) -> Outcome<Self> {
        const WATCH: &str = "trap '' HUP INT TERM; cat; kill -KILL $1";
        let child = Command::new("sh")
            .args(["-c", WATCH, "guard"])
            .arg(process.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
