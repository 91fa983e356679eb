//! What connections hold, from the first of several events until the last one is there.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::connections::{Connection, Held, Piece};
use crate::tasks::{self, Tasks};

/// Connections that hold frames which nobody was woken for.
///
/// A client gets what it holds with one system call, whatever channels the events went to. Those of many clients are made in
/// parts, side by side: one task would be bound to one core.
#[derive(Debug)]
pub(super) struct Unwritten<'a> {
    tasks: &'a Tasks,
    connections: Vec<Connection>,
    /// How much the connections hold at most.
    bytes: usize,
    since: Option<Instant>,
}

/// Pieces, and the connections that get them.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) pieces: Arc<[Piece]>,
    /// Each connection with the place of a piece, in the order in which it gets them.
    pub(super) to: Vec<(Connection, usize)>,
    /// Whether some connection gets more than one.
    pub(super) has_several: bool,
    /// How many bytes of data a connection gets at most.
    pub(super) bytes: usize,
}

impl<'a> Unwritten<'a> {
    pub(super) fn new(tasks: &'a Tasks) -> Self {
        Self {
            tasks,
            connections: Vec::new(),
            bytes: 0,
            since: None,
        }
    }

    /// Hands pieces out with more to come, and writes what is held if it is much, or held for long: that may take its time.
    pub(super) async fn go_on(&mut self, deliveries: Deliveries) {
        self.hold(deliveries).await;
        let is_old = self.since.is_some_and(|since| since.elapsed() > LONGEST);
        if is_old || self.bytes > MOST {
            self.write().await;
        }
    }

    /// Hands out the last pieces and writes everything; returns how many were taken.
    pub(super) async fn end(&mut self, deliveries: Deliveries) -> usize {
        if self.connections.is_empty() && !deliveries.has_several {
            // Nothing is before them: they need not be held.
            let Deliveries { pieces, to, .. } = deliveries;
            let write = move |(connection, at): (Connection, usize)| connection.write(&pieces[at]);
            return self.in_parts(to, write).await;
        }
        let n = self.hold(deliveries).await;
        self.write().await;
        n
    }

    async fn hold(&mut self, deliveries: Deliveries) -> usize {
        self.bytes += deliveries.bytes;
        self.since.get_or_insert_with(Instant::now);
        let mut n = 0;
        for (count, (connection, at)) in (1..).zip(deliveries.to) {
            let held = connection.hold(deliveries.pieces[at].clone());
            n += usize::from(held != Held::Refused);
            self.connections
                .extend((held == Held::First).then_some(connection));
            if count % HOLDS == 0 {
                tasks::give_way().await;
            }
        }
        n
    }

    /// Writes what is held.
    async fn write(&mut self) {
        (self.bytes, self.since) = (0, None);
        let connections = mem::take(&mut self.connections);
        let flush = |connection: Connection| {
            connection.flush();
            true
        };
        self.in_parts(connections, flush).await;
    }

    /// Does something for each of many connections; returns how often it returned true.
    async fn in_parts<T: Send + 'static>(
        &self,
        mut first: Vec<T>,
        each: impl Fn(T) -> bool + Clone + Send + 'static,
    ) -> usize {
        let n_parts = (first.len() / PART).clamp(1, Handle::current().metrics().num_workers());
        let size = first.len().div_ceil(n_parts);
        let others: Vec<_> = (1..n_parts)
            .map(|_| first.split_off(first.len().saturating_sub(size)))
            .map(|part| self.tasks.spawn("fan-out", in_turn(part, each.clone())))
            .collect();
        let mut n = in_turn(first, each).await;
        for other in others {
            // A panic in it is counted and logged.
            n += other.await.ok().flatten().unwrap_or(0);
        }
        n
    }
}

/// Others run between its chunks.
async fn in_turn<T>(part: Vec<T>, each: impl Fn(T) -> bool) -> usize {
    let mut n = 0;
    for (count, one) in (1..).zip(part) {
        n += usize::from(each(one));
        if count % WRITES == 0 {
            // What was written is read by others on this machine, a proxy say: they need not wait for the rest.
            std::thread::yield_now();
            tasks::give_way().await;
        }
    }
    n
}

/// System calls until something else may run: about half a millisecond.
const WRITES: usize = 128;
/// Connections that get a piece to hold until something else may run. Frames of those whose sockets are not lent are written by
/// their tasks, which would write each by itself if they ran between events.
const HOLDS: usize = 4_096;
/// Connections that are worth a task of their own: it costs a few microseconds.
const PART: usize = if cfg!(test) { 16 } else { 256 };
/// Bytes that a connection holds at most before they are written.
const MOST: usize = 256 << 10;
/// How long frames are held while more of them are made.
const LONGEST: Duration = Duration::from_millis(4);

#[cfg(test)]
mod tests {
    use std::task::Context;

    use futures_util::task::noop_waker_ref;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::connections::{ConnectionInfo, Plain, Sender};

    /// A client, and its connection, which has the socket.
    async fn client(listener: &TcpListener, id: u64) -> (TcpStream, Connection) {
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        let (_, sender) = server.unwrap().0.into_split();
        sender.writable().await.unwrap();
        let connection = Connection::new(id, ConnectionInfo::bare(&Plain));
        let mut cx = Context::from_waker(noop_waker_ref());
        let lent = &mut Some(Sender::tcp(sender));
        let outbox = connection.outbox();
        let polled = outbox.poll_drain_or_lend(&mut cx, &mut Vec::new(), lent);
        assert!(polled.is_pending());
        (client.unwrap(), connection)
    }

    /// The same piece for all of them.
    fn to_all(clients: &[(TcpStream, Connection)], text: &'static str) -> Deliveries {
        let to = clients.iter().map(|(_, to)| (to.clone(), 0));
        Deliveries {
            pieces: [Piece::one(text.into())].into(),
            to: to.collect(),
            has_several: false,
            bytes: text.len(),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn clients_in_several_parts_get_what_they_hold_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut clients = Vec::new();
        for id in 0..5 * PART as u64 {
            clients.push(client(&listener, id).await);
        }
        let tasks = Tasks::default();
        let mut unwritten = Unwritten::new(&tasks);
        for (held, last) in [("ab", "c"), ("d", "e"), ("", "f")] {
            if !held.is_empty() {
                unwritten.go_on(to_all(&clients, held)).await;
                assert_eq!(unwritten.connections.len(), clients.len());
            }
            assert_eq!(unwritten.end(to_all(&clients, last)).await, clients.len());
            assert!(unwritten.connections.is_empty());
        }
        for (client, _) in &mut clients {
            let mut read = [0; 6];
            client.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"abcdef");
        }
        assert_eq!(tasks.finished(Duration::from_secs(5)).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_much_or_was_held_for_long_is_written() {
        let tasks = Tasks::default();
        let mut unwritten = Unwritten::new(&tasks);
        for (bytes, wait, is_due) in [
            (MOST, LONGEST, false),
            (1, Duration::ZERO, true),
            (1, Duration::ZERO, false),
            (1, LONGEST + Duration::from_millis(1), true),
        ] {
            tokio::time::advance(wait).await;
            let nobody = Deliveries {
                bytes,
                ..Deliveries::default()
            };
            unwritten.go_on(nobody).await;
            assert_eq!(unwritten.since.is_none(), is_due, "{bytes} {wait:?}");
        }
    }
}
