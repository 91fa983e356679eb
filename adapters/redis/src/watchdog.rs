//! Notices a server that keeps its connections and answers nothing, and one that lost its rank.
//!
//! It has no task of its own: whoever reads the inbound stream drives it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt, Stream};
use redis::{Cmd, RedisResult};
use tokio::time::{sleep, timeout};
use wingbeat_adapter::{BoxFuture, Inbound, Inbox, InboxSender, Incoming, SyncError};

use crate::config::Address;
use crate::error;
use crate::link::{Attempt, Line};
use crate::role::{self, Role};

/// Asks both connections of a link, again and again, for a sign of life.
pub(crate) struct Watchdog {
    lines: [Line; 2],
    rules: Rules,
}

#[derive(Clone)]
struct Rules {
    address: Address,
    heartbeat: Duration,
    allow_replica: bool,
    hello: Cmd,
}

/// Joins an inbox to the watchdog of its link, which lives as long as the link does.
pub(crate) fn guard(
    inbox: Inbox,
    sender: InboxSender,
    watchdog: impl Future<Output = SyncError> + Send + 'static,
) -> Inbound {
    let watchdog: Running = Arc::new(Mutex::new(Some(watchdog.boxed())));
    // Closing the link must free both connections, even if nobody reads the stream any more.
    sender.hold(Stop(Arc::clone(&watchdog)));
    Box::pin(Watched {
        inbox,
        sender,
        watchdog,
    })
}

/// The watchdog, until the link ends.
type Running = Arc<Mutex<Option<BoxFuture<'static, SyncError>>>>;

struct Watched {
    inbox: Inbox,
    sender: InboxSender,
    watchdog: Running,
}

/// Dropped by the inbox when the link ends.
struct Stop(Running);

impl Watchdog {
    pub(crate) fn new(attempt: &Attempt<'_>, lines: [Line; 2]) -> Self {
        let rules = Rules {
            address: attempt.address.clone(),
            heartbeat: attempt.config.heartbeat,
            allow_replica: attempt.config.allow_replica,
            hello: role::hello(&attempt.options.name),
        };
        Self { lines, rules }
    }

    /// Resolves with what is wrong, as soon as something is.
    pub(crate) async fn watch(self) -> SyncError {
        let [one, other] = self.lines.map(|line| watch(line, self.rules.clone()));
        tokio::select! {
            error = one => error,
            error = other => error,
        }
    }
}

impl Rules {
    /// No answer is forgiven while anything else comes in: it waits behind a backlog.
    fn judge(
        &self,
        line: &str,
        answer: Option<RedisResult<Role>>,
        is_alive: bool,
    ) -> Option<SyncError> {
        match answer {
            Some(Ok(role)) => role.check(&self.address, self.allow_replica).err(),
            Some(Err(error)) if !error.is_timeout() => Some(error::line_failed(error, line)),
            Some(Err(_)) | None if is_alive => None,
            Some(Err(_)) | None => Some(error::is_silent(&self.address, self.heartbeat)),
        }
    }
}

/// The inbox goes first: what had arrived is delivered before anything is judged.
impl Stream for Watched {
    type Item = Result<Incoming, SyncError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(item) = Pin::new(&mut self.inbox).poll_next(cx) {
            return Poll::Ready(item);
        }
        let Some(error) = poll(&self.watchdog, cx) else {
            return Poll::Pending;
        };
        // The end drops `Stop`, which locks what `poll` had locked.
        self.sender.end(Some(error));
        Pin::new(&mut self.inbox).poll_next(cx)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let watchdog = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(watchdog);
    }
}

fn poll(watchdog: &Running, cx: &mut Context<'_>) -> Option<SyncError> {
    let mut watchdog = watchdog.lock().unwrap_or_else(PoisonError::into_inner);
    match watchdog.as_mut()?.poll_unpin(cx) {
        Poll::Ready(error) => Some(error),
        Poll::Pending => None,
    }
}

async fn watch(mut line: Line, rules: Rules) -> SyncError {
    loop {
        sleep(rules.heartbeat).await;
        let before = line.pulse.count();
        let asking = role::ask(&mut line.connection, &rules.hello);
        let answer = answer_within(rules.heartbeat, asking).await;
        let is_alive = line.pulse.count() != before;
        if let Some(error) = rules.judge(line.name, answer, is_alive) {
            return error;
        }
    }
}

/// Gives the answer a last chance after the deadline: a starved process finds its timers due before it has read what
/// its sockets hold.
async fn answer_within<T>(limit: Duration, asking: impl Future<Output = T>) -> Option<T> {
    let mut asking = pin!(asking);
    match timeout(limit, &mut asking).await {
        Ok(answer) => Some(answer),
        Err(_) => timeout(GRACE, asking).await.ok(),
    }
}

const GRACE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::io;

    use wingbeat_adapter::ErrorKind;

    use super::*;

    fn verdict(answer: Option<RedisResult<Role>>, is_alive: bool) -> Option<String> {
        let rules = Rules {
            address: Address::new("h", 1),
            heartbeat: Duration::from_secs(2),
            allow_replica: false,
            hello: role::hello("n"),
        };
        let error = rules.judge("publisher", answer, is_alive)?;
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        Some(error.to_string())
    }

    fn failed(kind: io::ErrorKind) -> Option<RedisResult<Role>> {
        Some(Err(io::Error::from(kind).into()))
    }

    #[test]
    fn an_answer_is_life_and_a_replica_is_not_what_was_wanted() {
        assert_eq!(verdict(Some(Ok(Role::Primary)), false), None);
        assert_eq!(verdict(Some(Ok(Role::Unknown)), false), None);
        let replica = verdict(Some(Ok(Role::Replica)), true);
        assert!(replica.is_some_and(|text| text.contains("is a replica")));
    }

    #[test]
    fn silence_is_death_unless_something_else_came_in() {
        for silence in [|| None, || failed(io::ErrorKind::TimedOut)] {
            let silent = "Redis at h:1 does not answer within 2s";
            assert_eq!(verdict(silence(), false).as_deref(), Some(silent));
            assert_eq!(verdict(silence(), true), None);
        }
        let broken = verdict(failed(io::ErrorKind::BrokenPipe), true);
        let text = "the publisher connection to Redis failed";
        assert_eq!(broken.as_deref(), Some(text));
    }
}
