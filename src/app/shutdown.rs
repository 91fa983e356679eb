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
    /// ```
    /// use wingbeat::{App, Leftover, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// assert_eq!(app.close().await, Leftover::default());
    /// # Ok(())
    /// # }
    /// ```
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

    /// Ends all tasks and closes all clients at once, without anything that a shutdown waits for.
    #[cfg(feature = "testing")]
    pub(crate) fn abandon(&self) {
        self.0.tasks.cancel();
        self.0.connections.close_all();
    }

    /// Resolves when a shutdown begins, for a server that is to stop together with the app. [`close_after`](Self::close_after)
    /// shows both.
    #[must_use = "a future does nothing until it is awaited"]
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut progress = self.0.shutdown.0.subscribe();
        async move {
            // The app itself is gone if this fails.
            let _ = progress
                .wait_for(|progress| *progress >= Progress::Draining)
                .await;
        }
    }

    /// Waits for `told`, then shuts the node down as [`close`](Self::close) does: what stands beside a server of the host.
    ///
    /// ```no_run
    /// use std::future::IntoFuture;
    /// use wingbeat::App;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let app = App::builder().build()?;
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:3030").await?;
    /// let router = axum::Router::new().layer(app.layer());
    /// let serving = axum::serve(listener, router).with_graceful_shutdown(app.draining());
    /// let (served, _) = tokio::join!(serving.into_future(), app.close_after(tokio::signal::ctrl_c()));
    /// served?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future before `told` resolves changes nothing, later it is as with [`close`](Self::close).
    pub async fn close_after<T>(&self, told: impl Future<Output = T>) -> Leftover {
        told.await;
        self.close().await
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
