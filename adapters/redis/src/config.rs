use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    TlsCertificates,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use url::{Host, Url};
use wingbeat_adapter::{ErrorKind, SyncError};

/// The query options that a Redis URI may carry.
pub const OPTIONS: &[&str] = &["ca_cert", "connect_timeout"];

/// Says where a Redis server is and how to be let in.
///
/// `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Name or address of the server; an IPv6 address stands without brackets.
    pub host: String,
    /// Default: 6379.
    pub port: u16,
    /// Whether to speak TLS. Default: no.
    pub tls: bool,
    /// The ACL user. Default: Redis's `default` user.
    pub username: Option<String>,
    /// Default: none, which is to send no credentials at all.
    pub password: Option<String>,
    /// Publish/subscribe ignores databases, so a number above 0 becomes part of the topics. Default: 0.
    pub database: u32,
    /// How long opening a link may take. Default: what the link's options say.
    pub connect_timeout: Option<Duration>,
    /// A PEM file with the only certificates that may sign the server's. Default: the operating system's.
    pub ca_cert: Option<PathBuf>,
}

impl RedisConfig {
    /// Takes the host and fills in the defaults.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: DEFAULT_PORT,
            tls: false,
            username: None,
            password: None,
            database: 0,
            connect_timeout: None,
            ca_cert: None,
        }
    }

    /// Parses `redis[s]://[[user]:password@]host[:port][/database][?option=value]`; [`OPTIONS`] lists the options.
    ///
    /// # Errors
    ///
    /// `Config`, naming the part that is wrong. It never quotes a part that may hold a password.
    ///
    /// # Examples
    ///
    /// ```
    /// use wingbeat_redis::RedisConfig;
    ///
    /// let config = RedisConfig::from_uri("rediss://:s%40crit@broker.example:6380?connect_timeout=500")?;
    /// assert_eq!((config.host.as_str(), config.port, config.tls), ("broker.example", 6380, true));
    /// assert_eq!(config.password.as_deref(), Some("s@crit"));
    /// assert!(!format!("{config:?}").contains("crit"));
    ///
    /// let error = RedisConfig::from_uri("redis://localhost?conect_timeout=500").unwrap_err();
    /// assert_eq!(error.to_string(), "unknown option `conect_timeout` in the Redis URI; known: ca_cert, connect_timeout");
    /// # Ok::<(), wingbeat_adapter::SyncError>(())
    /// ```
    pub fn from_uri(uri: &str) -> Result<Self, SyncError> {
        let url = Url::parse(uri)
            .map_err(|error| wrong(format!("cannot parse the Redis URI: {error}; {ESCAPES}")))?;
        let tls = is_tls(&url)?;
        let mut config = Self::new(host(&url)?);
        config.tls = tls;
        config.port = url.port().unwrap_or(DEFAULT_PORT);
        check_tail(&url)?;
        (config.username, config.password) = credentials(&url)?;
        config.database = database(&url)?;
        for (name, value) in url.query_pairs() {
            config.set(&name, &value)?;
        }
        Ok(config)
    }

    /// Returns `host:port`, for messages.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn client(&self) -> Result<Client, SyncError> {
        let (host, port) = (self.host.clone(), self.port);
        let addr = if self.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = addr
            .into_connection_info()
            .map_err(unusable)?
            .set_redis_settings(self.session())
            .set_tcp_settings(tcp_settings());
        if self.tls {
            choose_ring();
        }
        match &self.ca_cert {
            Some(_) if !self.tls => Err(wrong("the option `ca_cert` needs rediss://".to_owned())),
            Some(path) => Client::build_with_tls(info, certificates(path)?).map_err(unusable),
            None => Client::open(info).map_err(unusable),
        }
    }

    /// No database: neither `PUBLISH` nor `SUBSCRIBE` cares. No library name: that would make the handshake a
    /// pipeline, and a server that answers it with one error and hangs up would look unreachable.
    fn session(&self) -> RedisConnectionInfo {
        let mut session = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        if let Some(username) = &self.username {
            session = session.set_username(username);
        }
        if let Some(password) = &self.password {
            session = session.set_password(password);
        }
        session
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SyncError> {
        match name {
            "ca_cert" => self.ca_cert = Some(PathBuf::from(value)),
            "connect_timeout" => self.connect_timeout = Some(milliseconds(name, value)?),
            _ => {
                let known = OPTIONS.join(", ");
                let context = format!("unknown option `{name}` in the Redis URI; known: {known}");
                return Err(wrong(context));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .field("ca_cert", &self.ca_cert)
            .finish()
    }
}

fn is_tls(url: &Url) -> Result<bool, SyncError> {
    match url.scheme() {
        "redis" => Ok(false),
        "rediss" => Ok(true),
        other => Err(wrong(format!(
            "the scheme of a Redis URI is redis or rediss, not {other}"
        ))),
    }
}

fn host(url: &Url) -> Result<String, SyncError> {
    match url.host() {
        // A foreign scheme's host is opaque to the parser and comes as it was written.
        Some(Host::Domain(name)) if !name.is_empty() => decode(name, "host"),
        Some(Host::Ipv4(address)) => Ok(address.to_string()),
        Some(Host::Ipv6(address)) => Ok(address.to_string()),
        Some(Host::Domain(_)) | None => Err(wrong(format!("the Redis URI has no host; {ESCAPES}"))),
    }
}

/// A bare `@` behind the host, or a fragment, is the rest of a password that was not escaped. Found before
/// anything else is said about these parts, because such a message would quote it.
fn check_tail(url: &Url) -> Result<(), SyncError> {
    let is_stray = url.path().contains('@') || url.query().is_some_and(|query| query.contains('@'));
    if is_stray || url.fragment().is_some() {
        return Err(wrong(format!(
            "the Redis URI has an @ or a # behind its host; {ESCAPES}"
        )));
    }
    Ok(())
}

fn credentials(url: &Url) -> Result<(Option<String>, Option<String>), SyncError> {
    let username = match url.username() {
        "" => None,
        name => Some(decode(name, "user name")?),
    };
    let password = match url.password() {
        None | Some("") => None,
        Some(password) => Some(decode(password, "password")?),
    };
    if username.is_some() && password.is_none() {
        let hint = "a password alone is written redis://:password@host";
        return Err(wrong(format!(
            "the Redis URI has a user name without a password; {hint}"
        )));
    }
    Ok((username, password))
}

fn database(url: &Url) -> Result<u32, SyncError> {
    match url.path().trim_start_matches('/') {
        "" => Ok(0),
        number => number.parse().map_err(|_| {
            wrong("the path of a Redis URI is a database number, as in redis://host/0".to_owned())
        }),
    }
}

fn milliseconds(name: &str, value: &str) -> Result<Duration, SyncError> {
    match value.parse() {
        Ok(0) | Err(_) => Err(wrong(format!(
            "the option `{name}` is a number of milliseconds above 0"
        ))),
        Ok(number) => Ok(Duration::from_millis(number)),
    }
}

fn decode(text: &str, part: &str) -> Result<String, SyncError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(wrong(format!("the {part} in the Redis URI is not UTF-8"))),
    }
}

fn certificates(path: &Path) -> Result<TlsCertificates, SyncError> {
    let pem = std::fs::read(path).map_err(|error| {
        wrong(format!("cannot read the file of `ca_cert`, {path:?}")).caused_by(error)
    })?;
    // The library takes an empty list in silence, and then trusts nobody.
    if CertificateDer::pem_slice_iter(&pem).next().is_none() {
        let context = format!("the file of `ca_cert`, {path:?}, holds no PEM certificate");
        return Err(wrong(context));
    }
    Ok(TlsCertificates {
        client_tls: None,
        root_cert: Some(pem),
    })
}

/// Batches are whole writes, so Nagle's algorithm only delays them; keepalive finds a peer that left without a word.
fn tcp_settings() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(KEEPALIVE_RETRIES);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
}

/// The library takes the default of the process, which is ambiguous as soon as another crate enables a second one.
fn choose_ring() {
    if CryptoProvider::get_default().is_none() {
        // An error means that somebody else chose in this very moment, which serves as well.
        let _ = ring::default_provider().install_default();
    }
}

fn unusable(error: redis::RedisError) -> SyncError {
    wrong("the Redis settings cannot be used".to_owned()).caused_by(error)
}

fn wrong(context: String) -> SyncError {
    SyncError::new(ErrorKind::Config, context)
}

const DEFAULT_PORT: u16 = 6379;
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 2;
const ESCAPES: &str = "in a password, / ? # @ : and % must be percent-encoded";

#[cfg(test)]
mod tests;
