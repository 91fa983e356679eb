//! What the app's own code adds where requests come in, and how many may be inside.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Extensions;
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::service::Params;
use crate::tasks::Tasks;
use crate::transport::addresses::Addresses;
use crate::transport::handshake::OnHandshake;

/// The address from which a request came; it is among the request's extensions, and so in
/// [`Params::extensions`](crate::Params::extensions), for [`App::serve`](crate::App::serve) and where a server of the host adds
/// axum's `ConnectInfo<SocketAddr>`. Behind a proxy it is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(pub SocketAddr);

/// Takes the address over that a server of the host knows.
pub(super) fn adopt_address(extensions: &mut Extensions) {
    let known = extensions.get::<ClientAddr>().is_some();
    let info = extensions.get().filter(|_| !known);
    if let Some(&ConnectInfo(addr)) = info {
        extensions.insert(ClientAddr(addr));
    }
}

type OnRequest = Arc<dyn Fn(&Parts, &mut Params) + Send + Sync>;

/// The entrance of a node: what requests meet before they are calls, and what counts them.
pub(crate) struct Entrance {
    on_request: Vec<OnRequest>,
    on_handshake: Vec<Arc<OnHandshake>>,
    fallback: Option<Router>,
    /// Places for connections, shared by all listeners of a node.
    slots: Arc<Semaphore>,
    /// Requests that are not answered yet.
    requests: Tasks,
    is_closed: AtomicBool,
    addresses: Addresses,
}

impl Default for Entrance {
    fn default() -> Self {
        Self {
            on_request: Vec::new(),
            on_handshake: Vec::new(),
            fallback: None,
            slots: Arc::new(Semaphore::new(0)),
            requests: Tasks::default(),
            is_closed: AtomicBool::new(false),
            addresses: Addresses::default(),
        }
    }
}

impl Entrance {
    pub(crate) fn on_request(
        &mut self,
        on_request: impl Fn(&Parts, &mut Params) + Send + Sync + 'static,
    ) {
        self.on_request.push(Arc::new(on_request));
    }

    pub(crate) fn on_handshake(&mut self, on_handshake: Arc<OnHandshake>) {
        self.on_handshake.push(on_handshake);
    }

    pub(crate) fn set_fallback(&mut self, router: Router) {
        self.fallback = Some(router);
    }

    /// Returns how many clients come from each address.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Lets connections in; before that none may.
    pub(crate) fn opened(self, max_connections: usize) -> Self {
        self.slots
            .add_permits(max_connections.min(Semaphore::MAX_PERMITS));
        self
    }

    /// Waits for the requests that are not answered yet, at most until `deadline`, and lets no more in; returns how many are
    /// left.
    pub(crate) async fn close(&self, deadline: Duration) -> usize {
        let left = self.requests.finished(deadline).await;
        self.is_closed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if left > 0 {
            return left;
        }
        // One may have come in between.
        self.requests.finished(deadline).await
    }

    /// Counts a request until the token is dropped; `None` when the entrance is closed.
    pub(super) fn begin(&self) -> Option<TaskTrackerToken> {
        let token = self.requests.token();
        // Who closes sees the token, or this sees that it is closed; a lock for that would be shared by all threads.
        fence(Ordering::SeqCst);
        (!self.is_closed.load(Ordering::Relaxed)).then_some(token)
    }

    /// Waits for a place for one more connection.
    pub(super) async fn slot(&self) -> OwnedSemaphorePermit {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        slot.expect("nobody closes the semaphore")
    }

    /// Tells whether the app's own code adds to the params of calls.
    pub(super) fn has_own_code(&self) -> bool {
        !self.on_request.is_empty()
    }

    /// Lets the app's own code add to the params of a call.
    pub(super) fn complete(&self, parts: &Parts, params: &mut Params) {
        for on_request in &self.on_request {
            on_request(parts, params);
        }
    }

    /// Returns what looks at clients that are about to connect.
    pub(super) fn handshakes(&self) -> &[Arc<OnHandshake>] {
        &self.on_handshake
    }

    pub(super) fn fallback(&self) -> Option<Router> {
        self.fallback.clone()
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrance")
            .field("on_request", &self.on_request.len())
            .field("on_handshake", &self.on_handshake.len())
            .field("fallback", &self.fallback.is_some())
            .finish_non_exhaustive()
    }
}
