//! The end of a node, in the order in which nothing is lost: clients first, the link to the other nodes last.

use tokio::sync::watch;

use super::App;

/// How far a shutdown is.
#[derive(Debug)]
pub(super) struct Stage(watch::Sender<Progress>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Serving,
    Draining,
    Closed,
}

/// What was left when a step of a shutdown ran into its deadline; all zero when everything ended in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Clients that were still connected.
    pub connections: usize,
    /// Requests that were not answered.
    pub requests: usize,
    /// Calls that still ran.
    pub calls: usize,
    /// Events of which it is not known that the broker took them.
    pub unsettled: usize,
    /// Tasks of the node that did not end.
    pub tasks: usize,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Progress::Serving))
    }
}

impl App {
    /// Shuts the node down: `/ready` turns 503, no new connections, clients are drained while the link is still open,
    /// requests are answered, calls end, the log settles, the link closes. Each step takes at most
    /// [`Config::shutdown_deadline`](super::Config::shutdown_deadline).
    ///
    /// # Cancel safety
    /// Dropping the future leaves the shutdown where it is; calling again goes on.
    pub async fn close(&self) -> Leftover {
        let deadline = self.config().shutdown_deadline;
        self.0
            .shutdown
            .0
            .send_if_modified(|progress| raise(progress, Progress::Draining));
        let connections = self.0.connections.drain(deadline).await;
        let requests = self.0.entrance.close(deadline).await;
        let calls = self.0.calls.finished(deadline).await;
        let unsettled = self.0.sync.close_within(deadline).await;
        let tasks = self.0.tasks.close(deadline).await;
        self.0
            .shutdown
            .0
            .send_if_modified(|progress| raise(progress, Progress::Closed));
        let leftover = Leftover {
            connections,
            requests,
            calls,
            unsettled,
            tasks,
        };
        if leftover != Leftover::default() {
            tracing::warn!(?leftover, "the shutdown ran into its deadline");
        }
        leftover
    }

    /// Resolves when a shutdown begins.
    pub(crate) async fn draining(&self) {
        let _ = self
            .0
            .shutdown
            .0
            .subscribe()
            .wait_for(|progress| *progress >= Progress::Draining)
            .await;
    }

    /// Resolves when a shutdown is done.
    pub(crate) async fn closed(&self) {
        let _ = self
            .0
            .shutdown
            .0
            .subscribe()
            .wait_for(|progress| *progress == Progress::Closed)
            .await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.0.shutdown.0.borrow() >= Progress::Draining
    }
}

fn raise(progress: &mut Progress, to: Progress) -> bool {
    let is_later = to > *progress;
    *progress = to.max(*progress);
    is_later
}
