use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use wingbeat_adapter::{ErrorKind, SyncError};

mod uri;

/// The URI schemes that [`NatsConfig::from_uri`] takes.
pub const SCHEMES: &[&str] = &["nats", "tls"];

/// The query options that a NATS URI may carry.
pub const OPTIONS: &[&str] = &["ca_cert", "connect_timeout", "creds", "heartbeat", "nkey"];

/// Says where NATS is and how to be let in.
///
/// `Debug` does not show the password and the token.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsConfig {
    /// The server, or some servers of one cluster. They are tried in this order, and the first one that opens a link is
    /// taken.
    pub addresses: Vec<Address>,
    /// Whether to insist on TLS. Default: no, which still speaks TLS with a server that asks for it.
    pub tls: bool,
    /// The user, who needs a password. Default: none.
    pub username: Option<String>,
    /// The user's password. Default: none.
    pub password: Option<String>,
    /// The token, where the server knows no users. Default: none.
    pub token: Option<String>,
    /// A file with the seed of a user's nkey, read again for every link. Default: none.
    pub nkey: Option<PathBuf>,
    /// A file with a user's JWT and seed, a `.creds` file, read again for every link. Default: none.
    pub creds: Option<PathBuf>,
    /// How long opening a link may take. Default: what the link's options say.
    pub connect_timeout: Option<Duration>,
    /// How long the connection may be silent before the server is pinged. When two pings are unanswered and a third is
    /// due, the link ends. Default: 1.2 s, which finds a frozen server within 3.6 s and a mute line within 4.8 s.
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

impl NatsConfig {
    /// Takes the host of a server and fills in the defaults.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            addresses: vec![Address::new(host, DEFAULT_PORT)],
            tls: false,
            username: None,
            password: None,
            token: None,
            nkey: None,
            creds: None,
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
    /// use wingbeat_nats::{Address, NatsConfig};
    ///
    /// let config = NatsConfig::from_uri("tls://node:s%40crit@one.example,two.example:4223?heartbeat=1000")?;
    /// assert_eq!(config.addresses, [Address::new("one.example", 4222), Address::new("two.example", 4223)]);
    /// assert_eq!(config.password.as_deref(), Some("s@crit"));
    /// assert!(!format!("{config:?}").contains("crit"));
    ///
    /// let config = NatsConfig::from_uri("nats://t0ken@localhost")?;
    /// assert_eq!(config.token.as_deref(), Some("t0ken"));
    ///
    /// let error = NatsConfig::from_uri("nats://localhost?cred=/node.creds").unwrap_err();
    /// assert!(error.to_string().starts_with("unknown option `cred` in the NATS URI; known: "));
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
        let problem = match () {
            () if self.addresses.is_empty() => "there is no NATS host",
            () if self.heartbeat.is_zero() => "the heartbeat of NATS links is above 0",
            () if self.ca_cert.is_some() && !self.tls => "the option `ca_cert` needs tls://",
            () if self.username.is_some() != self.password.is_some() => {
                "a NATS user has a name and a password"
            }
            () if self.n_credentials() > 1 => {
                "a NATS link has one of a user with a password, a token, `nkey` and `creds`"
            }
            () => return Ok(()),
        };
        Err(wrong(problem))
    }

    fn n_credentials(&self) -> usize {
        [
            self.username.is_some(),
            self.token.is_some(),
            self.nkey.is_some(),
            self.creds.is_some(),
        ]
        .into_iter()
        .filter(|is_set| *is_set)
        .count()
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

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("addresses", &self.addresses)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &masked(self.password.as_deref()))
            .field("token", &masked(self.token.as_deref()))
            .field("nkey", &self.nkey)
            .field("creds", &self.creds)
            .field("connect_timeout", &self.connect_timeout)
            .field("heartbeat", &self.heartbeat)
            .field("ca_cert", &self.ca_cert)
            .finish()
    }
}

fn masked(secret: Option<&str>) -> Option<&'static str> {
    secret.map(|_| "***")
}

pub(crate) fn wrong(context: impl Into<String>) -> SyncError {
    SyncError::new(ErrorKind::Config, context.into())
}

const DEFAULT_PORT: u16 = 4222;
/// Three times this, and one more if the server says something of its own meanwhile, stay below the 5 s after which a
/// loss has to be visible.
const HEARTBEAT: Duration = Duration::from_millis(1_200);

#[cfg(test)]
mod tests;
