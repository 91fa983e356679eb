//! Joins wingbeat nodes over NATS subjects: one server or a cluster, without JetStream.
//!
//! # Example
//!
//! ```no_run
//! use bytes::Bytes;
//! use wingbeat_adapter::{Lane, LinkOptions, SyncAdapter};
//! use wingbeat_nats::NatsAdapter;
//!
//! # async fn example() -> Result<(), wingbeat_adapter::SyncError> {
//! let nats = NatsAdapter::from_uri("nats://127.0.0.1:4222")?;
//! let mut link = nats.connect(&LinkOptions::new("feathers-sync")).await?;
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
mod line;
mod link;
mod outbound;
mod pump;
mod signs;
mod subjects;

pub use config::{Address, NatsConfig, OPTIONS, SCHEMES};

use dialer::Dialer;
use link::Attempt;
use subjects::Subjects;

/// Opens links over NATS: one server, or several of one cluster.
///
/// Cheap to clone. It holds no connection; each link has one of its own.
#[derive(Clone, Debug)]
pub struct NatsAdapter {
    config: NatsConfig,
    dialer: Dialer,
}

impl NatsAdapter {
    /// Takes the settings; reads the files that they name once, so that a wrong one is found now.
    ///
    /// It makes rustls's `ring` provider the default of the process unless one is already chosen, because a server may
    /// ask for TLS at any address.
    ///
    /// # Errors
    ///
    /// `Config` if the settings contradict each other, or a file cannot be read.
    pub fn new(config: NatsConfig) -> Result<Self, SyncError> {
        config.check()?;
        let dialer = Dialer::new(&config)?;
        Ok(Self { config, dialer })
    }

    /// Parses a URI as [`NatsConfig::from_uri`] does and takes its settings.
    ///
    /// # Errors
    ///
    /// `Config` with what is wrong, never with a password.
    pub fn from_uri(uri: &str) -> Result<Self, SyncError> {
        Self::new(NatsConfig::from_uri(uri)?)
    }

    async fn open(&self, options: &LinkOptions) -> Result<Link, SyncError> {
        options.check()?;
        let subjects = Arc::new(Subjects::new(options)?);
        let limit = self
            .config
            .connect_timeout
            .unwrap_or(options.connect_timeout);
        let silent = |_| error::is_silent(self.config.places(), limit);
        timeout(limit, self.open_any(options, &subjects, limit))
            .await
            .map_err(silent)?
    }

    /// Tries the servers one after the other. One that hangs has its share of the time and no more.
    async fn open_any(
        &self,
        options: &LinkOptions,
        subjects: &Arc<Subjects>,
        limit: Duration,
    ) -> Result<Link, SyncError> {
        let share = share(limit, self.config.addresses.len());
        let mut failure = None;
        for address in &self.config.addresses {
            let attempt = Attempt {
                dialer: &self.dialer,
                options,
                subjects,
                address,
                share,
            };
            let opened = timeout(share, attempt.open()).await;
            match opened.unwrap_or_else(|_| Err(error::is_silent(address, share))) {
                Ok(link) => return Ok(link),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.unwrap_or_else(|| config::wrong("there is no NATS host")))
    }
}

impl SyncAdapter for NatsAdapter {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn connect<'a>(&'a self, options: &'a LinkOptions) -> BoxFuture<'a, Result<Link, SyncError>> {
        Box::pin(self.open(options))
    }
}

/// The last of several needs time left too.
fn share(limit: Duration, n: usize) -> Duration {
    match u32::try_from(n) {
        Ok(n @ 2..) => limit / n,
        _ => limit,
    }
}
