//! What connections hold, from the first of several events until the last one is there.

use std::mem;
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

impl<'a> Unwritten<'a> {
    pub(super) fn new(tasks: &'a Tasks) -> Self {
        Self {
            tasks,
            connections: Vec::new(),
            bytes: 0,
            since: None,
        }
    }

    /// Notes that connections will hold so many bytes more.
    pub(super) fn begin(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.since.get_or_insert_with(Instant::now);
    }

    /// Hands a piece to a connection; false when that is closed.
    pub(super) fn hold(&mut self, connection: &Connection, piece: &Piece) -> bool {
        let held = connection.hold(piece.clone());
        if held == Held::First {
            self.connections.push(connection.clone());
        }
        held != Held::Refused
    }

    /// Writes what is held if it is much, or held for long: what comes next may take its time.
    pub(super) async fn write_if_due(&mut self) {
        let is_old = self.since.is_some_and(|since| since.elapsed() > LONGEST);
        if is_old || self.bytes > MOST {
            self.write().await;
        }
    }

    /// Writes what is held.
    pub(super) async fn write(&mut self) {
        (self.bytes, self.since) = (0, None);
        let mut first = mem::take(&mut self.connections);
        let n_parts = (first.len() / PART).clamp(1, Handle::current().metrics().num_workers());
        let size = first.len().div_ceil(n_parts);
        let others: Vec<_> = (1..n_parts)
            .map(|_| first.split_off(first.len().saturating_sub(size)))
            .map(|part| self.tasks.spawn("fan-out", write_each(part)))
            .collect();
        write_each(first).await;
        for other in others {
            // A panic in it is counted and logged.
            let _ = other.await;
        }
    }
}

/// Others run between its chunks.
async fn write_each(connections: Vec<Connection>) {
    for chunk in connections.chunks(CHUNK) {
        chunk.iter().for_each(Connection::flush);
        if chunk.len() == CHUNK {
            tasks::give_way().await;
        }
    }
}

/// System calls until something else may run: about half a millisecond.
const CHUNK: usize = 128;
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

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn clients_in_several_parts_get_what_they_hold_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut clients = Vec::new();
        for id in 0..5 * PART as u64 {
            clients.push(client(&listener, id).await);
        }
        let tasks = Tasks::default();
        let mut unwritten = Unwritten::new(&tasks);
        for pieces in [["a", "b"], ["c", "d"]] {
            for piece in pieces.map(|text| Piece::one(text.into())) {
                let held = clients.iter().map(|(_, to)| unwritten.hold(to, &piece));
                assert_eq!(held.filter(|held| *held).count(), clients.len());
            }
            assert_eq!(unwritten.connections.len(), clients.len());
            unwritten.write().await;
            assert!(unwritten.connections.is_empty());
        }
        for (client, _) in &mut clients {
            let mut read = [0; 4];
            client.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"abcd");
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
            (1, LONGEST + Duration::from_millis(1), true),
        ] {
            unwritten.begin(bytes);
            tokio::time::advance(wait).await;
            unwritten.write_if_due().await;
            assert_eq!(unwritten.since.is_none(), is_due, "{bytes} {wait:?}");
        }
    }
}
