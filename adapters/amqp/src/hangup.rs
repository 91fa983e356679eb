use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a connection from outside of the client library, at once and from any thread.
///
/// The library says goodbye first and waits for the answer, without a heartbeat: before a broker that is frozen or cut off,
/// its connection and the thread of it would stay. The kernel's word ends both, and the broker frees what the link held.
#[derive(Clone)]
pub(crate) struct Hangup(Arc<Line>);

/// Hangs up when it is dropped: what the inbox holds, and what a connect under way holds.
pub(crate) struct OnDrop(pub(crate) Hangup);

struct Line {
    socket: TcpStream,
    /// A goodbye is under way, and whoever says it hangs up.
    is_parting: AtomicBool,
}

impl Hangup {
    /// Takes a second handle of a socket.
    pub(crate) fn of(socket: &impl AsFd) -> io::Result<Self> {
        let socket = socket.as_fd().try_clone_to_owned()?.into();
        let is_parting = AtomicBool::new(false);
        Ok(Self(Arc::new(Line { socket, is_parting })))
    }

    /// From here on, only an explicit [`now`](Self::now) hangs up.
    pub(crate) fn part(&self) {
        self.0.is_parting.store(true, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) {
        // It fails if the other side was quicker.
        let _ = self.0.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if !self.0.0.is_parting.load(Ordering::SeqCst) {
            self.0.now();
        }
    }
}

impl fmt::Debug for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hangup").finish_non_exhaustive()
    }
}
