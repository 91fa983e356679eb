use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use wingbeat_adapter::{ErrorKind, SyncError};

mod uri;

/// The URI schemes that [`AmqpConfig::from_uri`] takes.
pub const SCHEMES: &[&str] = &["amqp", "amqps", "rabbitmq"];

/// The query options that an AMQP URI may carry.
pub const OPTIONS: &[&str] = &["ca_cert", "connect_timeout", "heartbeat"];

/// Says where RabbitMQ is and how to be let in.
///
/// `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AmqpConfig {
    /// The server, or several of one cluster, tried in this order for every link.
    pub addresses: Vec<Address>,
    /// Whether to speak TLS. Default: no.
    pub tls: bool,
    /// Default: `guest`, whom RabbitMQ lets in from its own machine only.
    pub username: String,
    /// Default: `guest`.
    pub password: String,
    /// The virtual host. Nodes in different ones never meet. Default: `/`.
    pub vhost: String,
    /// How long opening a link may take. Default: what the link's options say.
    pub connect_timeout: Option<Duration>,
    /// How often each side sends a sign of life, in whole seconds. The server may ask for less. A connection that is silent
    /// for two to three times as long is given up. Default: 5 s.
    pub heartbeat: Duration,
    /// A PEM file with the only certificates that may sign the server's. Default: the operating system's.
    pub ca_cert: Option<PathBuf>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// A name or an address; IPv6 stands without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl AmqpConfig {
    /// Takes the host and fills in the defaults.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            addresses: vec![Address::new(host, DEFAULT_PORT)],
            tls: false,
            username: GUEST.to_owned(),
            password: GUEST.to_owned(),
            vhost: "/".to_owned(),
            connect_timeout: None,
            heartbeat: HEARTBEAT,
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
    /// use wingbeat_amqp::{Address, AmqpConfig};
    ///
    /// let config = AmqpConfig::from_uri("amqps://node:s%40crit@one,two:5673/events?connect_timeout=500")?;
    /// assert_eq!(config.addresses, [Address::new("one", 5671), Address::new("two", 5673)]);
    /// assert_eq!((config.password.as_str(), config.vhost.as_str()), ("s@crit", "events"));
    /// assert!(!format!("{config:?}").contains("crit"));
    ///
    /// let error = AmqpConfig::from_uri("amqp://localhost?hartbeat=5").unwrap_err();
    /// assert!(error.to_string().starts_with("unknown option `hartbeat` in the AMQP URI; known: "));
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

    /// Returns the heartbeat as the protocol writes it, or nothing if it cannot.
    pub(crate) fn heartbeat_seconds(&self) -> Option<u16> {
        let is_whole = self.heartbeat.subsec_nanos() == 0 && !self.heartbeat.is_zero();
        let seconds = u16::try_from(self.heartbeat.as_secs()).ok()?;
        is_whole.then_some(seconds)
    }

    /// Refuses what the fields, taken together, cannot mean.
    pub(crate) fn check(&self) -> Result<(), SyncError> {
        let problem = if self.addresses.is_empty() {
            "there is no RabbitMQ host"
        } else if self.heartbeat_seconds().is_none() {
            "the heartbeat of AMQP links is a number of whole seconds from 1 to 65535"
        } else if self.ca_cert.is_some() && !self.tls {
            "the option `ca_cert` needs amqps://"
        } else {
            return Ok(());
        };
        Err(wrong(problem))
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

impl fmt::Debug for AmqpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpConfig")
            .field("addresses", &self.addresses)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &"***")
            .field("vhost", &self.vhost)
            .field("connect_timeout", &self.connect_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("ca_cert", &self.ca_cert)
            .finish()
    }
}

pub(crate) fn wrong(context: impl Into<String>) -> SyncError {
    SyncError::new(ErrorKind::Config, context.into())
}

const DEFAULT_PORT: u16 = 5672;
const GUEST: &str = "guest";
const HEARTBEAT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
