//! What `benches/` cannot reach from outside: clients without sockets.

use crate::app::App;
use crate::transport::{Handshake, Session};

/// A Socket.IO client whose packets do not come from a socket; it is connected until it is dropped.
#[derive(Debug)]
pub struct Client(#[expect(dead_code, reason = "it is held to be dropped")] Session);

impl Client {
    /// Connects as a client does that just changed to Socket.IO: the app sees it in
    /// [`on_connection`](crate::AppBuilder::on_connection).
    ///
    /// # Panics
    /// Never, unless the session refuses the packet of every client.
    #[must_use]
    pub fn connect(app: &App) -> Self {
        let mut session = Session::new(Handshake::bare(app));
        session
            .receive(CONNECT)
            .expect("a new session takes this packet");
        Self(session)
    }
}

/// The packet with which a client enters the default namespace (feathers.md §2.1).
const CONNECT: &str = "0";
