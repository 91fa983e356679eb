//! The only place that spawns: every task has an owner, a token and a name.
//!
//! Invariant: after [`Tasks::close`] returned, no task of this owner runs.

use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::task::noop_waker_ref;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

/// The tasks of one owner; cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
    panics: Arc<AtomicU64>,
}

impl Tasks {
    /// Spawns a task that its owner ends through the token, or waits for.
    ///
    /// A panic is logged with the task's name and counted; it ends that task alone.
    pub(crate) fn spawn<T, F>(&self, name: &'static str, future: F) -> JoinHandle<Option<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.tracker.spawn(self.guarded(name, future))
    }

    /// Runs a future to its end, also when nobody waits for that.
    ///
    /// What it does before it waits for something it does at once, in the task that asks; it gets a task of its own if it
    /// waits. A task costs more than most of what never waits. Who closes has to wait for those who ask, and then for the tasks.
    pub(crate) fn run<T, F>(&self, name: &'static str, future: F) -> Run<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut future = Box::pin(future);
        // A task of its own polls it again, so nobody need be woken.
        let mut cx = Context::from_waker(noop_waker_ref());
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx)));
        match polled {
            Ok(Poll::Ready(output)) => Run::Done(Some(output)),
            Ok(Poll::Pending) => Run::Waits(self.spawn(name, future)),
            Err(_) => {
                note_panic(&self.panics, name);
                Run::Done(None)
            }
        }
    }

    /// Logs and counts a panic; the outcome is `None` then.
    fn guarded<F: Future>(
        &self,
        name: &'static str,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + use<F> {
        let panics = Arc::clone(&self.panics);
        let guarded = AssertUnwindSafe(future)
            .catch_unwind()
            .map(move |outcome| outcome.inspect_err(|_| note_panic(&panics, name)));
        guarded
            .map(Result::ok)
            .instrument(tracing::debug_span!("task", name))
    }

    /// Counts something that is no task as one until the token is dropped.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.tracker.token()
    }

    /// Asks every task to end.
    pub(crate) fn cancel(&self) {
        self.token.cancel();
    }

    /// Resolves when the tasks are asked to end.
    pub(crate) fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Tells how many tasks panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Waits until no task is left, or `deadline` has passed; returns how many are left.
    pub(crate) async fn finished(&self, deadline: Duration) -> usize {
        self.tracker.close();
        let _ = tokio::time::timeout(deadline, self.tracker.wait()).await;
        self.tracker.len()
    }

    /// Asks every task to end and waits for that, at most until `deadline`; returns how many are left.
    pub(crate) async fn close(&self, deadline: Duration) -> usize {
        self.cancel();
        self.finished(deadline).await
    }
}

/// A future that was run as far as it goes at once; `None` stands for a panic.
pub(crate) enum Run<T> {
    Done(Option<T>),
    Waits(JoinHandle<Option<T>>),
}

impl<T> Run<T> {
    /// Waits for its end.
    pub(crate) async fn end(self) -> Option<T> {
        match self {
            Self::Done(output) => output,
            Self::Waits(task) => task.await.ok().flatten(),
        }
    }
}

fn note_panic(panics: &AtomicU64, name: &'static str) {
    panics.fetch_add(1, Ordering::Relaxed);
    tracing::error!(task = name, "a task panicked");
}

/// Lets others run, also those for whom something comes in the meantime.
///
/// Tokio's own way looks what has come, wakes those who wait for it, and then goes on before they have run.
pub(crate) async fn give_way() {
    tokio::task::yield_now().await;
    let mut is_behind = false;
    poll_fn(|cx| {
        if mem::replace(&mut is_behind, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn close_waits_for_tasks_that_listen_and_reports_those_that_do_not() {
        let tasks = Tasks::default();
        let polite = tasks.clone();
        tasks.spawn("polite", async move { polite.cancelled().await });
        assert_eq!(tasks.close(Duration::from_secs(1)).await, 0);
        tasks.spawn("deaf", std::future::pending::<()>());
        assert_eq!(tasks.close(Duration::from_secs(1)).await, 1);
    }

    /// Bytes that come for a task which waits for them are read before the one that gives way goes on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_gives_way_goes_on_behind_those_for_whom_something_has_come() {
        let tasks = Tasks::default();
        let (mut sender, mut receiver) = tokio::net::UnixStream::pair().unwrap();
        let read = Arc::new(AtomicU64::new(0));
        let reads = Arc::clone(&read);
        tasks.spawn("reads", async move {
            while receiver.read_u8().await.is_ok() {
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let sends = tasks.spawn("sends", async move {
            give_way().await;
            for n in 0..100 {
                assert_eq!(read.load(Ordering::Relaxed), n);
                sender.write_u8(0).await.unwrap();
                give_way().await;
            }
        });
        assert_eq!(sends.await.unwrap(), Some(()));
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_ends_only_its_task() {
        let tasks = Tasks::default();
        assert_eq!(
            tasks
                .spawn("bad", async { panic!("on purpose") })
                .await
                .ok()
                .flatten(),
            None::<()>
        );
        assert_eq!(
            tasks.spawn("good", async { 1 }).await.ok().flatten(),
            Some(1)
        );
        assert_eq!(tasks.panics(), 1);
        assert_eq!(
            tasks.run("bad", async { panic!("on purpose") }).end().await,
            None::<()>
        );
        assert_eq!(tasks.run("good", async { 1 }).end().await, Some(1));
        assert_eq!(tasks.panics(), 2);
    }

    #[tokio::test]
    async fn what_runs_and_waits_comes_to_its_end_when_nobody_waits_for_it() {
        let tasks = Tasks::default();
        let (told, hears) = tokio::sync::oneshot::channel();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let run = tasks.run("abandoned", async move {
            let heard: Result<i32, _> = hears.await;
            let _ = done.send(heard);
        });
        assert!(matches!(run, Run::Waits(_)));
        drop(run);
        told.send(7).unwrap();
        assert_eq!(is_done.await.unwrap(), Ok(7));
        assert_eq!(tasks.close(Duration::from_secs(1)).await, 0);
    }
}
