//! Finds the servers that a link may be opened to: one that is given, or those that sentinels or a cluster name.

use std::future::Future;

use futures_util::stream::{FuturesUnordered, StreamExt};
use wingbeat_adapter::SyncError;

use crate::config::{Address, Deployment, RedisConfig, wrong};
use crate::dialer::Dialer;
use crate::topics::Topics;

mod cluster;
mod sentinel;

/// Returns the servers to try, the best first.
pub(crate) async fn find(
    dialer: &Dialer,
    config: &RedisConfig,
    topics: &Topics,
) -> Result<Vec<Address>, SyncError> {
    let asked = &config.addresses;
    match &config.deployment {
        Deployment::Standalone => Ok(asked.clone()),
        Deployment::Sentinel(sentinel) => {
            first_answer(asked, |at| sentinel::ask(dialer, at, &sentinel.service)).await
        }
        Deployment::Cluster(_) => first_answer(asked, |at| cluster::ask(dialer, at, topics)).await,
    }
}

/// Asks all at once, so that one that hangs costs no time.
async fn first_answer<'a, T, F>(
    asked: &'a [Address],
    ask: impl Fn(&'a Address) -> F,
) -> Result<T, SyncError>
where
    F: Future<Output = Result<T, SyncError>>,
{
    let mut asking: FuturesUnordered<F> = asked.iter().map(ask).collect();
    let mut failure: Option<SyncError> = None;
    while let Some(answer) = asking.next().await {
        match answer {
            Ok(answer) => return Ok(answer),
            // If trying again helps with any of them, it helps.
            Err(error) if error.is_transient() || failure.is_none() => failure = Some(error),
            Err(_) => {}
        }
    }
    Err(failure.unwrap_or_else(|| wrong("there is no Redis host")))
}
