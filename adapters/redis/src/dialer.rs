use std::path::Path;

use redis::aio::{MultiplexedConnection, SendError};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisResult, TlsCertificates,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use wingbeat_adapter::SyncError;

use crate::config::{Address, Deployment, RedisConfig, wrong};

/// Opens connections to whatever server turns out to be the right one.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    /// How to reach any of the servers. The address in it is not used; the certificates beside it are.
    line: ConnectionInfo,
    to_server: RedisConnectionInfo,
    to_sentinel: RedisConnectionInfo,
}

impl Dialer {
    /// Reads the CA certificate if there is one.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, SyncError> {
        Ok(Self {
            line: line(config)?,
            to_server: session(config.username.as_deref(), config.password.as_deref()),
            to_sentinel: sentinel_session(&config.deployment),
        })
    }

    /// Connects to a server of the data, and hands every push message to `take`.
    pub(crate) async fn server<F>(
        &self,
        address: &Address,
        take: F,
    ) -> RedisResult<MultiplexedConnection>
    where
        F: Fn(PushInfo) + Send + Sync + 'static,
    {
        let settings = settings().set_push_sender(move |push| {
            take(push);
            Ok::<(), SendError>(())
        });
        self.connect(address, &self.to_server, settings).await
    }

    /// Connects to a server only to ask it something.
    pub(crate) async fn ask_server(&self, address: &Address) -> RedisResult<MultiplexedConnection> {
        self.connect(address, &self.to_server, settings()).await
    }

    /// Connects to a sentinel, which has users of its own.
    pub(crate) async fn ask_sentinel(
        &self,
        address: &Address,
    ) -> RedisResult<MultiplexedConnection> {
        self.connect(address, &self.to_sentinel, settings()).await
    }

    /// Opens one plain connection: no manager, so nothing reconnects behind our back.
    async fn connect(
        &self,
        address: &Address,
        session: &RedisConnectionInfo,
        settings: AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let info = self.line.clone().set_redis_settings(session.clone());
        let info = info.set_addr(moved(self.line.addr(), address));
        Client::open(info)?
            .get_multiplexed_async_connection_with_config(&settings)
            .await
    }
}

/// The caller bounds opening as a whole.
fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(Some(crate::outbound::RESPONSE_TIMEOUT))
}

fn line(config: &RedisConfig) -> Result<ConnectionInfo, SyncError> {
    let info = address(config)
        .into_connection_info()
        .map_err(unusable)?
        .set_tcp_settings(tcp_settings());
    let Some(path) = &config.ca_cert else {
        return Ok(info);
    };
    let client = Client::build_with_tls(info, certificates(path)?).map_err(unusable)?;
    Ok(client.get_connection_info().clone())
}

fn address(config: &RedisConfig) -> ConnectionAddr {
    if !config.tls {
        return ConnectionAddr::Tcp(String::new(), 0);
    }
    choose_ring();
    ConnectionAddr::TcpTls {
        host: String::new(),
        port: 0,
        insecure: false,
        tls_params: None,
    }
}

/// The same kind of line to another place.
fn moved(line: &ConnectionAddr, to: &Address) -> ConnectionAddr {
    let (host, port) = (to.host.clone(), to.port);
    match line {
        ConnectionAddr::TcpTls { tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

/// No database: neither `PUBLISH` nor `SUBSCRIBE` cares. No library name: that would make the handshake a
/// pipeline, and a server that answers it with one error and hangs up would look unreachable.
fn session(username: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    let mut session = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_skip_set_lib_name();
    if let Some(username) = username {
        session = session.set_username(username);
    }
    if let Some(password) = password {
        session = session.set_password(password);
    }
    session
}

fn sentinel_session(deployment: &Deployment) -> RedisConnectionInfo {
    match deployment {
        Deployment::Sentinel(to) => session(to.username.as_deref(), to.password.as_deref()),
        Deployment::Standalone | Deployment::Cluster(_) => session(None, None),
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

/// Batches are whole writes, so Nagle's algorithm only delays them; keepalive finds a peer that left without a word
/// even while nobody reads the link and the watchdog sleeps.
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
    wrong("the Redis settings cannot be used").caused_by(error)
}

const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 2;
