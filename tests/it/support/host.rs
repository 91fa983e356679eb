//! Servers that were there before the app: axum's own, bare hyper, with TLS, on a Unix socket.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use wingbeat::{App, Leftover};

use super::http::{Answer, Client, Request};
use super::{background, within};

/// A server of the host with an app in it; it stops together with the app.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) app: App,
    /// Where clients reach it by TCP, if need be over a bridge.
    pub(crate) addr: SocketAddr,
    serving: JoinHandle<io::Result<()>>,
}

impl Host {
    /// Serves a router by `axum::serve`.
    pub(crate) async fn axum(app: &App, router: Router) -> Self {
        let (listener, addr) = bound().await;
        let make = router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, make).with_graceful_shutdown(app.draining());
        Self::new(app, addr, background(serving.into_future()))
    }

    /// Serves a router on a Unix socket, behind a bridge.
    pub(crate) async fn unix(app: &App, router: Router) -> Self {
        let name: u64 = rand::random();
        let path = std::env::temp_dir().join(format!("wingbeat-{name:x}.sock"));
        let listener = UnixListener::bind(&path).expect("a free path");
        let serving = axum::serve(listener, router).with_graceful_shutdown(app.draining());
        let addr = bridge({
            let path = path.clone();
            move || UnixStream::connect(path.clone())
        });
        let addr = addr.await;
        let serving = background(async move {
            let served = serving.await;
            std::fs::remove_file(path)?;
            served
        });
        Self::new(app, addr, serving)
    }

    /// Serves a router by hyper alone.
    pub(crate) async fn hyper(app: &App, router: Router) -> Self {
        let (listener, addr) = bound().await;
        let serving = accept_all(app.clone(), listener, router, async |stream| Ok(stream));
        Self::new(app, addr, background(serving))
    }

    /// Serves a router by hyper over TLS, behind a bridge.
    pub(crate) async fn tls(app: &App, router: Router) -> Self {
        let (acceptor, connector) = certified().await;
        let (listener, secure) = bound().await;
        let serving = accept_all(app.clone(), listener, router, move |stream| {
            acceptor.accept(stream)
        });
        let addr = bridge(move || {
            let connector = connector.clone();
            async move {
                let name = ServerName::try_from("localhost").expect("a name");
                connector
                    .connect(name, TcpStream::connect(secure).await?)
                    .await
            }
        });
        Self::new(app, addr.await, background(serving))
    }

    fn new(app: &App, addr: SocketAddr, serving: JoinHandle<io::Result<()>>) -> Self {
        let app = app.clone();
        Self { app, addr, serving }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        self.client().await.send(request).await
    }

    /// Shuts the app down and waits until its server has ended by itself.
    pub(crate) async fn stop(self) -> Leftover {
        let leftover = within(self.app.close()).await;
        self.ended().await;
        leftover
    }

    /// Waits until the server has ended by itself.
    pub(crate) async fn ended(self) {
        let served = within(self.serving).await;
        served.expect("no panic").expect("serving ends well");
    }
}

/// The loop of a server on hyper: what a host has that does not use `axum::serve`.
async fn accept_all<S, F>(
    app: App,
    listener: TcpListener,
    router: Router,
    open: impl Fn(TcpStream) -> F,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = app.draining() => break,
        };
        let (opening, router, draining) = (open(stream), router.clone(), app.draining());
        connections.spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(
                    TokioIo::new(opening.await.expect("an open stream")),
                    TowerToHyperService::new(router),
                )
                .with_upgrades();
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                () = draining => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Takes TCP connections and carries their bytes over streams that `connect` opens.
async fn bridge<S, F>(connect: impl Fn() -> F + Send + 'static) -> SocketAddr
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let (listener, addr) = bound().await;
    background(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let connecting = connect();
            background(async move {
                // A server that has stopped refuses, and the client sees the end.
                if let Ok(mut far) = connecting.await {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    addr
}

async fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a free port");
    let addr = listener.local_addr().expect("a bound listener");
    (listener, addr)
}

/// Makes both ends of TLS with a certificate for `localhost`.
async fn certified() -> (TlsAcceptor, TlsConnector) {
    let pem = certificate().await;
    let provider = Arc::new(default_provider());
    let certificate = CertificateDer::from_pem_slice(&pem).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&pem).expect("a key");
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a sound certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a sound certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}

/// Returns a key and its certificate, as PEM.
async fn certificate() -> Vec<u8> {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                     -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                     -addext basicConstraints=critical,CA:FALSE -keyout - -out -";
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .output()
        .await
        .expect("openssl is installed");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl: {why}");
    output.stdout
}
