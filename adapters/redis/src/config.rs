use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use wingbeat_adapter::{ErrorKind, SyncError};

mod uri;

/// The URI schemes that [`RedisConfig::from_uri`] takes.
pub const SCHEMES: &[&str] = &[
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
];

/// The query options that a Redis URI may carry.
pub const OPTIONS: &[&str] = &[
    "allow_replica",
    "ca_cert",
    "connect_timeout",
    "heartbeat",
    "pubsub",
    "sentinel_password",
    "sentinel_username",
];

/// Says where Redis is and how to be let in.
///
/// `Debug` does not show passwords.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisConfig {
    /// How the servers belong together. Default: one server that stands alone.
    pub deployment: Deployment,
    /// The server, or the sentinels, or some servers of the cluster. One that answers is enough.
    pub addresses: Vec<Address>,
    /// Whether to speak TLS, with sentinels too. Default: no.
    pub tls: bool,
    /// The ACL user. Default: Redis's `default` user.
    pub username: Option<String>,
    /// Default: none, which is to send no credentials at all.
    pub password: Option<String>,
    /// Publish/subscribe ignores databases, so a number above 0 becomes part of the topics; a cluster has none.
    /// Default: 0.
    pub database: u32,
    /// How long opening a link may take. Default: what the link's options say.
    pub connect_timeout: Option<Duration>,
    /// How often both connections of a link are asked for a sign of life, and how long it may take to come. Default: 2 s,
    /// which finds a frozen server within 4.3 s.
    pub heartbeat: Duration,
    /// Whether a server that stands alone may be a replica: what is published there reaches only that replica's own
    /// subscribers. Default: no.
    pub allow_replica: bool,
    /// A PEM file with the only certificates that may sign the server's. Default: the operating system's.
    pub ca_cert: Option<PathBuf>,
}

/// Says how the servers belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deployment {
    /// One server at a known address.
    Standalone,
    /// A primary that sentinels name; they are asked anew for every link.
    Sentinel(Sentinel),
    /// A Redis Cluster; who serves the topic's slot is asked anew for every link.
    Cluster(PubSub),
}

/// Says what the sentinels are asked for, and how.
///
/// `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sentinel {
    /// The name under which the sentinels watch the primary.
    pub service: String,
    /// The ACL user on the sentinels. Default: their `default` user.
    pub username: Option<String>,
    /// The password on the sentinels, which know nothing of the servers' users. Default: none.
    pub password: Option<String>,
}

/// Names one of the two kinds of publish/subscribe that a Redis Cluster has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PubSub {
    /// `SPUBLISH` and `SSUBSCRIBE`: a message stays within one shard. Node `feathers-sync` processes do not hear it.
    #[default]
    Sharded,
    /// `PUBLISH` and `SUBSCRIBE`: a message goes to every server of the cluster, and Node processes take part.
    Classic,
}

/// Where a server or a sentinel listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// A name or an address; IPv6 stands without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl RedisConfig {
    /// Takes the host of a server that stands alone and fills in the defaults.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            deployment: Deployment::Standalone,
            addresses: vec![Address::new(host, DEFAULT_PORT)],
            tls: false,
            username: None,
            password: None,
            database: 0,
            connect_timeout: None,
            heartbeat: HEARTBEAT,
            allow_replica: false,
            ca_cert: None,
        }
    }

    /// Parses one of the URIs that the [crate](crate#uri) documents; [`OPTIONS`] lists the options.
    ///
    /// # Errors
    ///
    /// `Config`, naming the part that is wrong. It never quotes a part that may hold a password.
    ///
    /// # Examples
    ///
    /// ```
    /// use wingbeat_redis::{Address, Deployment, RedisConfig};
    ///
    /// let config = RedisConfig::from_uri("rediss://:s%40crit@broker.example:6380?connect_timeout=500")?;
    /// assert_eq!(config.addresses, [Address::new("broker.example", 6380)]);
    /// assert_eq!(config.password.as_deref(), Some("s@crit"));
    /// assert!(!format!("{config:?}").contains("crit"));
    ///
    /// let config = RedisConfig::from_uri("redis+sentinel://one:26379,two:26379/mymaster")?;
    /// let Deployment::Sentinel(sentinel) = config.deployment else { panic!() };
    /// assert_eq!((sentinel.service.as_str(), config.addresses.len()), ("mymaster", 2));
    ///
    /// let error = RedisConfig::from_uri("redis://localhost?conect_timeout=500").unwrap_err();
    /// assert!(error.to_string().starts_with("unknown option `conect_timeout` in the Redis URI; known: "));
    /// # Ok::<(), wingbeat_adapter::SyncError>(())
    /// ```
    pub fn from_uri(uri: &str) -> Result<Self, SyncError> {
        uri::parse(uri)
    }

    /// Returns every `host:port`, for messages.
    pub(crate) fn places(&self) -> String {
        let places: Vec<String> = self.addresses.iter().map(Address::to_string).collect();
        places.join(", ")
    }

    /// Refuses what the fields, taken together, cannot mean.
    pub(crate) fn check(&self) -> Result<(), SyncError> {
        let is_standalone = self.deployment == Deployment::Standalone;
        let problem = match &self.deployment {
            _ if self.addresses.is_empty() => "there is no Redis host",
            _ if self.heartbeat.is_zero() => "the heartbeat of Redis links is above 0",
            _ if self.ca_cert.is_some() && !self.tls => "the option `ca_cert` needs rediss://",
            _ if self.allow_replica && !is_standalone => {
                "the option `allow_replica` is for redis:// and rediss://"
            }
            Deployment::Standalone if self.addresses.len() > 1 => {
                "several Redis hosts need redis+sentinel:// or redis+cluster://"
            }
            Deployment::Cluster(_) if self.database > 0 => "a Redis cluster has only database 0",
            _ => return Ok(()),
        };
        Err(wrong(problem))
    }
}

impl Sentinel {
    /// Takes the service's name; nobody logs in.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            username: None,
            password: None,
        }
    }
}

impl PubSub {
    pub(crate) fn publish(self) -> &'static str {
        match self {
            Self::Sharded => "SPUBLISH",
            Self::Classic => "PUBLISH",
        }
    }
}

impl Address {
    /// Joins a host and a port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { host, port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("deployment", &self.deployment)
            .field("addresses", &self.addresses)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &masked(self.password.as_deref()))
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("allow_replica", &self.allow_replica)
            .field("ca_cert", &self.ca_cert)
            .finish()
    }
}

impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinel")
            .field("service", &self.service)
            .field("username", &self.username)
            .field("password", &masked(self.password.as_deref()))
            .finish()
    }
}

fn masked(secret: Option<&str>) -> Option<&'static str> {
    secret.map(|_| "***")
}

pub(crate) fn wrong(context: impl Into<String>) -> SyncError {
    SyncError::new(ErrorKind::Config, context.into())
}

const DEFAULT_PORT: u16 = 6379;
/// Twice this and the grace of the watchdog stay below the 5 s after which a loss has to be visible.
const HEARTBEAT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
