use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::rustls::crypto::{CryptoProvider, ring};
use async_nats::rustls::pki_types::{CertificateDer, pem::PemObject};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use url::Url;
use wingbeat_adapter::SyncError;

use crate::config::{Address, NatsConfig, wrong};
use crate::error;
use crate::link::Attempt;
use crate::signs::Signs;

/// Opens connections that end when they are lost.
#[derive(Clone)]
pub(crate) struct Dialer {
    credentials: Credentials,
    tls: bool,
    ca_cert: Option<PathBuf>,
    heartbeat: Duration,
}

#[derive(Clone)]
enum Credentials {
    None,
    User(String, String),
    Token(String),
    Nkey(PathBuf),
    Creds(PathBuf),
}

impl Dialer {
    /// Reads each file once; those with keys are read again when they are needed.
    pub(crate) fn new(config: &NatsConfig) -> Result<Self, SyncError> {
        let dialer = Self {
            credentials: Credentials::of(config),
            tls: config.tls,
            ca_cert: config.ca_cert.clone(),
            heartbeat: config.heartbeat,
        };
        dialer.credentials.options()?;
        for address in &config.addresses {
            dialer.server(address)?;
        }
        if let Some(path) = &dialer.ca_cert {
            check_certificates(path)?;
        }
        choose_ring();
        Ok(dialer)
    }

    /// Connects to one server. The library's task ends with the connection.
    pub(crate) async fn dial(
        &self,
        attempt: &Attempt<'_>,
        signs: &Arc<Signs>,
    ) -> Result<Client, SyncError> {
        let failed = |error: ConnectError| match error.kind() {
            // The library's clock and ours run out together.
            ConnectErrorKind::TimedOut => error::is_silent(attempt.address, attempt.share),
            _ => error::connect_failed(error, attempt.address),
        };
        let options = self.options(attempt, signs)?;
        let server = self.server(attempt.address)?;
        let client = options.connect(server).await.map_err(failed)?;
        never_reconnect(&client, attempt.address).await?;
        Ok(client)
    }

    fn options(
        &self,
        attempt: &Attempt<'_>,
        signs: &Arc<Signs>,
    ) -> Result<ConnectOptions, SyncError> {
        let signs = Arc::clone(signs);
        let mut options = self
            .credentials
            .options()?
            .name(&attempt.options.name)
            .require_tls(self.tls)
            .connection_timeout(attempt.share)
            .ping_interval(self.heartbeat)
            .max_reconnects(1)
            .ignore_discovered_servers()
            .event_callback(move |event| {
                signs.take(event);
                std::future::ready(())
            });
        if let Some(path) = &self.ca_cert {
            options = options.add_root_certificates(path.clone());
        }
        Ok(options)
    }

    fn server(&self, address: &Address) -> Result<ServerAddr, SyncError> {
        let scheme = if self.tls { "tls" } else { "nats" };
        let host = &address.host;
        let url = if host.contains(':') {
            format!("{scheme}://[{host}]:{}", address.port)
        } else {
            format!("{scheme}://{host}:{}", address.port)
        };
        let unusable = || wrong(format!("{address} is no address of a NATS server"));
        let url = Url::parse(&url).map_err(|_| unusable())?;
        // A host that holds a piece of another URL would lead there.
        if url.path().len() + url.username().len() > 0 || url.query().or(url.fragment()).is_some() {
            return Err(unusable());
        }
        ServerAddr::from_url(url).map_err(|_| unusable())
    }
}

impl Credentials {
    /// The settings have at most one kind.
    fn of(config: &NatsConfig) -> Self {
        match config {
            NatsConfig {
                username: Some(name),
                password: Some(password),
                ..
            } => Self::User(name.clone(), password.clone()),
            NatsConfig {
                token: Some(token), ..
            } => Self::Token(token.clone()),
            NatsConfig {
                nkey: Some(path), ..
            } => Self::Nkey(path.clone()),
            NatsConfig {
                creds: Some(path), ..
            } => Self::Creds(path.clone()),
            _ => Self::None,
        }
    }

    fn options(&self) -> Result<ConnectOptions, SyncError> {
        let options = ConnectOptions::new();
        match self {
            Self::None => Ok(options),
            Self::User(name, password) => {
                Ok(options.user_and_password(name.clone(), password.clone()))
            }
            Self::Token(token) => Ok(options.token(token.clone())),
            Self::Nkey(path) => Ok(options.nkey(seed(path)?)),
            Self::Creds(path) => options.credentials(&read("creds", path)?).map_err(|error| {
                let context = format!("the file of `creds`, {path:?}, holds no JWT with its seed");
                wrong(context).caused_by(error)
            }),
        }
    }
}

/// The library always tries once more, so it gets a server that cannot be there: nobody listens on port 0, and the
/// system says so at once. Then its task ends, and the subscriptions with it.
async fn never_reconnect(client: &Client, address: &Address) -> Result<(), SyncError> {
    client.set_server_pool(NOWHERE).await.map_err(|error| {
        let context = format!("cannot open a link to NATS at {address}");
        error::gone(context).caused_by(error)
    })
}

/// Finds the seed in a file that may hold remarks around it.
fn seed(path: &Path) -> Result<String, SyncError> {
    let text = read("nkey", path)?;
    let seed = text.lines().map(str::trim).find(|line| is_seed(line));
    let problem = || {
        wrong(format!(
            "the file of `nkey`, {path:?}, holds no seed of a user"
        ))
    };
    seed.map(str::to_owned).ok_or_else(problem)
}

fn is_seed(line: &str) -> bool {
    let is_base32 = |c: u8| c.is_ascii_uppercase() || (b'2'..=b'7').contains(&c);
    line.starts_with("SU") && line.len() == SEED_LENGTH && line.bytes().all(is_base32)
}

fn read(option: &str, path: &Path) -> Result<String, SyncError> {
    std::fs::read_to_string(path).map_err(|error| {
        wrong(format!("cannot read the file of `{option}`, {path:?}")).caused_by(error)
    })
}

/// The library takes an empty list in silence, and then trusts nobody.
fn check_certificates(path: &Path) -> Result<(), SyncError> {
    let pem = read("ca_cert", path)?;
    if CertificateDer::pem_slice_iter(pem.as_bytes())
        .next()
        .is_none()
    {
        let context = format!("the file of `ca_cert`, {path:?}, holds no PEM certificate");
        return Err(wrong(context));
    }
    Ok(())
}

/// The library takes the default of the process, which is ambiguous as soon as another crate enables a second one.
fn choose_ring() {
    if CryptoProvider::get_default().is_none() {
        // An error means that somebody else chose in this very moment, which serves as well.
        let _ = ring::default_provider().install_default();
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("tls", &self.tls)
            .field("ca_cert", &self.ca_cert)
            .field("heartbeat", &self.heartbeat)
            .finish_non_exhaustive()
    }
}

const NOWHERE: &str = "nats://127.0.0.1:0";
const SEED_LENGTH: usize = 58;
