//! The clients that poll: each request of theirs names its session.
//!
//! A session id begins with a tag of the node that drew it. A balancer that spreads the requests of one client over the nodes
//! is the first thing that breaks long-polling, and with the tag the node can say so.

use std::collections::HashMap;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;

use super::handshake::Refusal;
use super::mailbox::Mailbox;
use crate::app::App;

/// The sessions of a node that are not websockets.
#[derive(Debug)]
pub(crate) struct Sessions {
    tag: [u8; TAG],
    open: Mutex<HashMap<String, Arc<Mailbox>>>,
}

/// A session's entry in the list, for as long as its task keeps it.
#[derive(Debug)]
pub(super) struct Place {
    app: App,
    pub(super) sid: String,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            tag: rand::random(),
            open: Mutex::default(),
        }
    }
}

impl Sessions {
    /// Draws a session id: 20 url-safe characters, the last 96 bits of which nobody can guess.
    pub(super) fn draw(&self) -> String {
        let mut id: [u8; ID] = rand::random();
        id[..TAG].copy_from_slice(&self.tag);
        BASE64URL_NOPAD.encode(&id)
    }

    /// Finds the session that a request names.
    pub(super) fn find(&self, sid: &str) -> Result<Arc<Mailbox>, Refusal> {
        let found = self.open.lock().get(sid).cloned();
        found.ok_or_else(|| match self.is_foreign(sid) {
            true => Refusal::WrongNode,
            false => Refusal::UnknownSession,
        })
    }

    /// Tells whether another node drew this id.
    fn is_foreign(&self, sid: &str) -> bool {
        let id = BASE64URL_NOPAD.decode(sid.as_bytes()).unwrap_or_default();
        id.len() == ID && !id.starts_with(&self.tag)
    }
}

impl Place {
    /// Opens a session; there are at most as many as there may be connections, since a poll needs one.
    pub(super) fn open(app: &App) -> Result<Self, Refusal> {
        let (sid, mailbox) = (app.sessions().draw(), Arc::<Mailbox>::default());
        let mut open = app.sessions().open.lock();
        if open.len() >= app.config().max_connections {
            return Err(Refusal::Full);
        }
        open.insert(sid.clone(), Arc::clone(&mailbox));
        Ok(Self {
            app: app.clone(),
            sid,
            mailbox,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.sessions().open.lock().remove(&self.sid);
        self.mailbox.close();
    }
}

const ID: usize = 15;
const TAG: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_which_node_drew_them() {
        let (own, other) = (Sessions::default(), Sessions::default());
        let table = [
            (own.draw(), Refusal::UnknownSession),
            (other.draw(), Refusal::WrongNode),
            ("nobody".to_owned(), Refusal::UnknownSession),
            ("????????????????????".to_owned(), Refusal::UnknownSession),
        ];
        for (sid, refusal) in table {
            assert_eq!(own.find(&sid).unwrap_err(), refusal, "{sid}");
        }
    }

    #[tokio::test]
    async fn there_are_no_more_sessions_than_connections_and_each_gives_its_place_back() {
        let config = crate::app::Config {
            max_connections: 1,
            ..crate::app::Config::default()
        };
        let app = App::builder().config(config).build().unwrap();
        let place = Place::open(&app).unwrap();
        assert!(app.sessions().find(&place.sid).is_ok());
        assert_eq!(Place::open(&app).unwrap_err(), Refusal::Full);
        drop(place);
        assert!(Place::open(&app).is_ok());
    }
}
