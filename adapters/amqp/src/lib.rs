//! Joins wingbeat nodes over AMQP 0-9-1, which is to say RabbitMQ.
//!
//! # Example
//!
//! ```no_run
//! use bytes::Bytes;
//! use wingbeat_adapter::{Lane, LinkOptions, SyncAdapter};
//! use wingbeat_amqp::AmqpAdapter;
//!
//! # async fn example() -> Result<(), wingbeat_adapter::SyncError> {
//! let rabbit = AmqpAdapter::from_uri("amqp://guest:guest@127.0.0.1:5672")?;
//! let mut link = rabbit.connect(&LinkOptions::new("feathers-sync")).await?;
//! link.outbound.publish(Lane::Events, &[Bytes::from("hello")]).await?;
//! # Ok(())
//! # }
//! ```
#![doc = include_str!("../docs.md")]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use wingbeat_adapter::{BoxFuture, Link, LinkOptions, SyncAdapter, SyncError};

mod config;
mod dialer;
mod error;
mod hangup;
mod link;
mod outbound;
mod tap;
mod topics;

pub use config::{Address, AmqpConfig, OPTIONS, SCHEMES};

use dialer::Dialer;
use link::Attempt;
use topics::Topics;

/// Opens links over RabbitMQ.
///
/// Cheap to clone. It holds no connection; each link has one of its own.
#[derive(Clone, Debug)]
pub struct AmqpAdapter {
    config: AmqpConfig,
    dialer: Dialer,
    /// Stands in the names of queues, so that no other adapter uses them.
    node: Arc<str>,
    /// How many links were begun: each has a queue of its own name.
    links: Arc<AtomicU64>,
}

impl AmqpAdapter {
    /// Takes the settings; with TLS, reads the certificates that are to be trusted.
    ///
    /// With TLS, it makes rustls's `ring` provider the default of the process unless one is already chosen.
    ///
    /// # Errors
    ///
    /// `Config` if the settings contradict each other, or the certificates cannot be read.
    pub fn new(config: AmqpConfig) -> Result<Self, SyncError> {
        config.check()?;
        let dialer = Dialer::new(&config)?;
        Ok(Self {
            config,
            dialer,
            node: format!("{:016x}{:016x}", random(), random()).into(),
            links: Arc::default(),
        })
    }

    /// Parses a URI as [`AmqpConfig::from_uri`] does and takes its settings.
    ///
    /// # Errors
    ///
    /// `Config` with what is wrong, never with a password.
    pub fn from_uri(uri: &str) -> Result<Self, SyncError> {
        Self::new(AmqpConfig::from_uri(uri)?)
    }

    async fn open(&self, options: &LinkOptions) -> Result<Link, SyncError> {
        options.check()?;
        let number = self.links.fetch_add(1, Ordering::Relaxed);
        let topics = Arc::new(Topics::new(options, &format!("{}.{number}", self.node))?);
        let limit = self
            .config
            .connect_timeout
            .unwrap_or(options.connect_timeout);
        let silent = |_| error::is_silent(self.config.places(), limit);
        timeout(limit, self.try_each(options, &topics, limit))
            .await
            .map_err(silent)?
    }

    /// Tries the hosts one after the other. One that hangs has its share of the time and no more.
    async fn try_each(
        &self,
        options: &LinkOptions,
        topics: &Arc<Topics>,
        limit: Duration,
    ) -> Result<Link, SyncError> {
        let share = share(limit, self.config.addresses.len());
        let mut failure: Option<SyncError> = None;
        for address in &self.config.addresses {
            let attempt = Attempt {
                dialer: &self.dialer,
                config: &self.config,
                options,
                topics,
                address,
            };
            let opened = timeout(share, attempt.open()).await;
            match opened.unwrap_or_else(|_| Err(error::is_silent(address, share))) {
                Ok(link) => return Ok(link),
                // If trying again helps with any of them, it helps.
                Err(error) if error.is_transient() || failure.is_none() => failure = Some(error),
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or_else(|| config::wrong("there is no RabbitMQ host")))
    }
}

impl SyncAdapter for AmqpAdapter {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(self.open(options))
    }
}

fn share(limit: Duration, n: usize) -> Duration {
    u32::try_from(n).map_or(limit, |n| limit / n.max(1))
}

/// The hash of nothing by a fresh random key.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
