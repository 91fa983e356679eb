//! The serve loop: listeners, connections and signals.
//!
//! Invariant: a listener ends with its node and for nothing else; what goes wrong with one connection ends that one.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::sleep;

use super::{ClientAddr, HttpService, mount, sse};
use crate::app::App;

impl App {
    /// Listens at an address and serves until the process is told to end: at `SIGINT` or `SIGTERM` the node shuts down in
    /// order, as by [`App::close`], and this returns. A second signal does not wait for that.
    ///
    /// It returns as well when [`App::close`] was called elsewhere and is done.
    ///
    /// ```no_run
    /// use wingbeat::{App, Memory};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let app = App::builder().service("messages", Memory::new()).build()?;
    /// app.serve("127.0.0.1:3030").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the address can not be bound, or signals can not be heard. What goes wrong later is logged and does not end it.
    ///
    /// # Cancel safety
    /// Dropping the future ends the listening; connections that are open stay.
    pub async fn serve(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        self.serve_until_told(TcpListener::bind(addr).await?).await
    }

    /// Serves on a listener until the process is told to end, as [`App::serve`] does.
    ///
    /// # Errors
    /// When signals can not be heard, or the listener has no address.
    ///
    /// # Cancel safety
    /// Dropping the future ends the listening; connections that are open stay.
    pub async fn serve_until_told(&self, listener: TcpListener) -> io::Result<()> {
        let mut signals = Signals::new()?;
        tokio::select! {
            served = self.serve_on(listener) => return served,
            () = signals.next() => tracing::info!("told to end: the node shuts down"),
        }
        tokio::select! {
            _ = self.close() => {}
            () = signals.next() => tracing::warn!("told again: the shutdown is not waited for"),
        }
        Ok(())
    }

    /// Serves on a listener until [`App::close`] was called elsewhere and is done. Signals are the caller's.
    ///
    /// Several listeners may be served at once; [`Config::max_connections`](crate::Config::max_connections) counts the
    /// connections of all of them.
    ///
    /// # Errors
    /// When the listener has no address, which a bound one has. What goes wrong later is logged and does not end it.
    ///
    /// # Cancel safety
    /// Dropping the future ends the listening; connections that are open stay.
    pub async fn serve_on(&self, listener: TcpListener) -> io::Result<()> {
        tracing::info!(address = %listener.local_addr()?, "listening");
        tokio::select! {
            never = accept_all(self, &listener) => match never {},
            () = self.draining() => drop(listener),
        }
        self.closed().await;
        Ok(())
    }
}

/// Hands every connection to a task of its own, once there is a place for it. Until then the listener takes no more, and they
/// wait in the kernel's queue. A place is taken for a connection that is there: an idle listener holds none from the others.
async fn accept_all(app: &App, listener: &TcpListener) -> Infallible {
    loop {
        let (stream, addr) = accept(listener).await;
        let slot = app.entrance().slot().await;
        // Frames are written whole, so waiting for more bytes would only delay them.
        let _ = stream.set_nodelay(true);
        let io = ClientIo {
            stream: TokioIo::new(stream),
            slot,
        };
        let requests = Requests {
            service: app.apart().http_service(),
            addr: ClientAddr(addr),
            hang_up: HangUp::default(),
        };
        app.tasks()
            .spawn("connection", converse(app.clone(), io, requests));
    }
}

/// Accepts the next connection. What fails for want of files or memory is tried again after a while: those who have some
/// now will give them back.
async fn accept(listener: &TcpListener) -> (TcpStream, std::net::SocketAddr) {
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, ?pause, "can not accept connections");
                sleep(pause).await;
                pause = LAST_PAUSE.min(pause * 2);
            }
        }
    }
}

/// Tells whether the client went away before it was accepted.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Serves one connection. In a shutdown what is asked is answered, and then it ends; an upgraded one has left by then and is
/// drained with the clients.
async fn converse(app: App, io: ClientIo, requests: Requests) {
    let hang_up = requests.hang_up.clone();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.config().header_timeout)
        .max_buf_size(MAX_HEADER)
        .serve_connection(io, requests)
        .with_upgrades();
    tokio::pin!(connection);
    // Each is looked at when it has something to say, and not with every request.
    let mut orders = FuturesUnordered::new();
    orders.push(hang_up.wanted().map(|()| Order::HangUp).boxed());
    orders.push(app.draining().map(|()| Order::Finish).boxed());
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            order = orders.next() => match order {
                Some(Order::Finish) => {
                    connection.as_mut().graceful_shutdown();
                    orders.push(flushed_or_late(&app).map(|()| Order::HangUp).boxed());
                }
                Some(Order::HangUp) | None => return,
            }
        }
    }
}

/// What a connection is told from elsewhere.
enum Order {
    /// To answer what is asked, and then to end.
    Finish,
    HangUp,
}

/// Resolves when a client that does not read its last answer has had its time.
async fn flushed_or_late(app: &App) {
    app.tasks().cancelled().await;
    sleep(FLUSH_TIME.min(app.config().shutdown_deadline / 2)).await;
}

/// What answers the requests of one connection.
struct Requests {
    service: HttpService,
    addr: ClientAddr,
    hang_up: HangUp,
}

/// Ends a connection whose client does not read its answer, so that it can not be told in another way. It is among the
/// extensions of a request for events.
#[derive(Clone, Debug, Default)]
pub(super) struct HangUp(Arc<Notify>);

impl HangUp {
    pub(super) fn hang_up(&self) {
        self.0.notify_one();
    }

    async fn wanted(&self) {
        self.0.notified().await;
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.addr);
        // Nobody else asks for it, and each entry costs two pieces of memory.
        if mount::inside(&self.service.0, request.uri().path())
            .is_some_and(|path| sse::is_path(&self.service.0, path))
        {
            request.extensions_mut().insert(self.hang_up.clone());
        }
        tower::Service::call(&mut self.service.clone(), request)
    }
}

/// A client's socket. It holds its place until it is closed, also when a websocket has taken it over.
pub(super) struct ClientIo {
    stream: TokioIo<TcpStream>,
    slot: OwnedSemaphorePermit,
}

impl ClientIo {
    /// Returns the socket and its place.
    pub(super) fn into_parts(self) -> (TcpStream, OwnedSemaphorePermit) {
        (self.stream.into_inner(), self.slot)
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}

/// The signals that tell a process to end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signal that tells a process to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
const FLUSH_TIME: Duration = Duration::from_secs(1);
/// Bytes that the head of a request may have.
const MAX_HEADER: usize = 64 << 10;
