//! Joins wingbeat nodes over Redis publish/subscribe.
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

use redis::Client;
use tokio::time::timeout;
use wingbeat_adapter::{BoxFuture, ErrorKind, Link, LinkOptions, SyncAdapter, SyncError};

mod config;
mod error;
mod link;

pub use config::{OPTIONS, RedisConfig};

/// Opens links over one Redis server.
///
/// Cheap to clone. It holds no connection; each link has two of its own.
#[derive(Clone, Debug)]
pub struct RedisAdapter {
    config: RedisConfig,
    client: Client,
}

impl RedisAdapter {
    /// Takes the settings; reads the CA certificate if they name one.
    ///
    /// With TLS, it makes rustls's `ring` provider the default of the process unless one is already chosen.
    ///
    /// # Errors
    ///
    /// `Config` if the CA certificate cannot be read, or is given without TLS.
    pub fn new(config: RedisConfig) -> Result<Self, SyncError> {
        let client = config.client()?;
        if config.database > 0 {
            tracing::warn!(
                database = config.database,
                "Redis publish/subscribe ignores the database number; it becomes part of the topics"
            );
        }
        Ok(Self { config, client })
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
        let opened = timeout(limit, link::open(&self.client, &self.config, options)).await;
        let address = self.config.address();
        match opened {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => Err(error::connect_failed(error, &address)),
            Err(_) => Err(SyncError::new(
                ErrorKind::Unavailable,
                format!("Redis at {address} does not answer within {limit:?}"),
            )),
        }
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
