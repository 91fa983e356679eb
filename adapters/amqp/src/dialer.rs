use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use lapin::tcp::{AsyncTcpStream, RustlsConnector, RustlsConnectorConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::net::lookup_host;
use tracing::dispatcher::{DefaultGuard, Dispatch, set_default};
use wingbeat_adapter::SyncError;

use crate::config::{Address, AmqpConfig, wrong};
use crate::error;
use crate::hangup::{Hangup, OnDrop};

/// Opens connections to a server.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: Option<RustlsConnector>,
}

/// A connection whose drop does not wait for the broker.
pub(crate) struct Dialed {
    pub(crate) connection: Connection,
    pub(crate) hangup: OnDrop,
}

impl Dialer {
    /// Reads the certificates that are to be trusted, if there is to be TLS.
    pub(crate) fn new(config: &AmqpConfig) -> Result<Self, SyncError> {
        let tls = config.tls.then(|| connector(config.ca_cert.as_deref()));
        let tls = tls.transpose()?;
        Ok(Self { tls })
    }

    /// Opens one connection and logs in.
    ///
    /// The line is ours until the library has it, so that a dropped future ends it at every step; the library by itself
    /// would go on dialing on its thread. Its reconnecting stays off: it gets this one line and no other.
    pub(crate) async fn dial(
        &self,
        config: &AmqpConfig,
        address: &Address,
        name: &str,
    ) -> Result<Dialed, SyncError> {
        let unreachable = |error| error::unreachable(error, address);
        let failed = |error| error::connect_failed(error, address);
        let runtime = lapin::runtime::default_runtime().map_err(failed)?;
        let places = resolve(address).await.map_err(unreachable)?;
        let dialing = AsyncTcpStream::connect(&runtime, places);
        let line = dialing.await.map_err(unreachable)?;
        let AsyncTcpStream::Plain(socket) = &line else {
            return Err(unreachable(io::ErrorKind::Unsupported.into()));
        };
        let hangup = OnDrop(Hangup::of(socket.get_ref()).map_err(unreachable)?);
        let line = match &self.tls {
            Some(tls) => line.into_rustls(tls, &address.host).await,
            None => Ok(line),
        };
        let line = Mutex::new(Some(line.map_err(unreachable)?));
        let last_word = hangup.0.clone();
        let take = async move |_, _| {
            settle_in(&last_word);
            let line = line.lock().unwrap_or_else(PoisonError::into_inner).take();
            line.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
        };
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let login = Connection::connector(uri(config, address), runtime, take, properties);
        let connection = login.await.map_err(failed)?;
        Ok(Dialed { connection, hangup })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

async fn resolve(address: &Address) -> io::Result<Vec<SocketAddr>> {
    let places = lookup_host((address.host.as_str(), address.port)).await?;
    Ok(places.collect())
}

/// What the library logs in with.
fn uri(config: &AmqpConfig, address: &Address) -> AMQPUri {
    AMQPUri {
        // Only who dials looks at it, and that was done.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: config.username.clone(),
                password: config.password.clone(),
            },
            host: address.host.clone(),
            port: address.port,
        },
        vhost: config.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: config.heartbeat_seconds(),
            ..AMQPQueryString::default()
        },
    }
}

/// Prepares the library's thread, on which this runs, for its life.
///
/// It logs nothing: at level `trace` it would write the password, and of every error it writes, the link tells as well. And
/// its end hangs up: where the runtime goes first, nobody else is left to do so.
fn settle_in(line: &Hangup) {
    thread_local! {
        static LIFE: RefCell<Option<(DefaultGuard, OnDrop)>> = const { RefCell::new(None) };
    }
    let quiet = set_default(&Dispatch::none());
    LIFE.set(Some((quiet, OnDrop(line.clone()))));
}

fn connector(ca_cert: Option<&Path>) -> Result<RustlsConnector, SyncError> {
    choose_ring();
    let unusable = |error| wrong("there is no certificate to be trusted").caused_by(error);
    let roots = match ca_cert {
        Some(path) => {
            RustlsConnectorConfig::default().with_parsable_certificates(certificates(path)?)
        }
        None => RustlsConnectorConfig::new_with_native_certs().map_err(unusable)?,
    };
    roots.connector_with_no_client_auth().map_err(unusable)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SyncError> {
    let pem = std::fs::read(path).map_err(|error| {
        wrong(format!("cannot read the file of `ca_cert`, {path:?}")).caused_by(error)
    })?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .map_while(Result::ok)
        .collect();
    if found.is_empty() {
        let context = format!("the file of `ca_cert`, {path:?}, holds no PEM certificate");
        return Err(wrong(context));
    }
    Ok(found)
}

/// The library takes the default of the process, which is ambiguous as soon as another crate enables a second one.
fn choose_ring() {
    if CryptoProvider::get_default().is_none() {
        // An error means that somebody else chose in this very moment, which serves as well.
        let _ = ring::default_provider().install_default();
    }
}
