//! Joins wingbeat nodes over Redis publish/subscribe: one server, Sentinel or Cluster.
//!
//! # Example
//!
//! ```no_run
//! use bytes::Bytes;
//! use wingbeat_adapter::{Lane, LinkOptions, SyncAdapter};
//! use wingbeat_redis::RedisAdapter;
//!
//! # async fn example() -> Result<(), wingbeat_adapter::SyncError> {
//! let redis = RedisAdapter::from_uri("redis://127.0.0.1:6379")?;
//! let mut link = redis.connect(&LinkOptions::new("feathers-sync")).await?;
//! link.outbound.publish(Lane::Events, &[Bytes::from("hello")]).await?;
//! # Ok(())
//! # }
//! ```
#![doc = include_str!("../docs.md")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use wingbeat_adapter::{BoxFuture, Link, LinkOptions, SyncAdapter, SyncError};

mod config;
mod dialer;
mod error;
mod link;
mod outbound;
mod role;
mod route;
mod tap;
mod topics;
mod watchdog;

pub use config::{Address, Deployment, OPTIONS, PubSub, RedisConfig, SCHEMES, Sentinel};

use dialer::Dialer;
use link::Attempt;
use topics::Topics;

/// Opens links over Redis: one server, a primary that sentinels watch, or a cluster.
///
/// Cheap to clone. It holds no connection; each link has two of its own.
#[derive(Clone, Debug)]
pub struct RedisAdapter {
    config: RedisConfig,
    dialer: Dialer,
}

impl RedisAdapter {
    /// Takes the settings; reads the CA certificate if they name one.
    ///
    /// With TLS, it makes rustls's `ring` provider the default of the process unless one is already chosen.
    ///
    /// # Errors
    ///
    /// `Config` if the settings contradict each other, or the CA certificate cannot be read.
    pub fn new(config: RedisConfig) -> Result<Self, SyncError> {
        config.check()?;
        let dialer = Dialer::new(&config)?;
        if config.database > 0 {
            tracing::warn!(
                database = config.database,
                "Redis publish/subscribe ignores the database number; it becomes part of the topics"
            );
        }
        Ok(Self { config, dialer })
    }

    /// Parses a URI as [`RedisConfig::from_uri`] does and takes its settings.
    ///
    /// # Errors
    ///
    /// `Config` with what is wrong, never with a password.
    pub fn from_uri(uri: &str) -> Result<Self, SyncError> {
        Self::new(RedisConfig::from_uri(uri)?)
    }

    async fn open(&self, options: &LinkOptions) -> Result<Link, SyncError> {
        options.check()?;
        let limit = self
            .config
            .connect_timeout
            .unwrap_or(options.connect_timeout);
        let silent = |_| error::is_silent(self.config.places(), limit);
        timeout(limit, self.find_and_open(options, limit))
            .await
            .map_err(silent)?
    }

    /// Tries the servers one after the other. One that hangs has its share of the time and no more.
    async fn find_and_open(
        &self,
        options: &LinkOptions,
        limit: Duration,
    ) -> Result<Link, SyncError> {
        let topics = Arc::new(Topics::new(options, &self.config)?);
        let addresses = route::find(&self.dialer, &self.config, &topics).await?;
        let share = share(limit, addresses.len());
        let mut failure = None;
        for address in &addresses {
            let attempt = Attempt {
                dialer: &self.dialer,
                config: &self.config,
                options,
                topics: &topics,
                address,
            };
            let opened = timeout(share, attempt.open()).await;
            match opened.unwrap_or_else(|_| Err(error::is_silent(address, share))) {
                Ok(link) => return Ok(link),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| error::nobody("there is no Redis server to try".to_owned())))
    }
}

impl SyncAdapter for RedisAdapter {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(self.open(options))
    }
}

/// The last of several needs time left too, so one share is kept for finding them.
fn share(limit: Duration, n: usize) -> Duration {
    match u32::try_from(n) {
        Ok(n @ 2..) => limit / (n + 1),
        _ => limit,
    }
}
