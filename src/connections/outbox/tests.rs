use std::io::ErrorKind::WouldBlock;
use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Wake;

use futures_util::task::noop_waker_ref;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn outbox(frames: usize, policy: SlowPolicy) -> Outbox {
    Outbox::new(OutboxLimits {
        frames,
        policy,
        ..OutboxLimits::default()
    })
}

fn drain(outbox: &Outbox) -> (Poll<Drained>, Vec<Bytes>) {
    let mut frames = Vec::new();
    let found = outbox.poll_drain(&mut Context::from_waker(noop_waker_ref()), &mut frames);
    (found, frames)
}

#[test]
fn everything_that_waits_is_drained_at_once_and_in_order() {
    let outbox = outbox(9, SlowPolicy::Close);
    assert!(
        ["a", "b", "c"]
            .into_iter()
            .all(|frame| outbox.push(frame.into()))
    );
    assert_eq!(
        drain(&outbox),
        (
            Poll::Ready(Drained::Frames),
            vec!["a".into(), "b".into(), "c".into()]
        )
    );
    assert_eq!(drain(&outbox), (Poll::Pending, vec![]));
}

#[test]
fn a_slow_client_is_closed_and_counted() {
    let outbox = outbox(2, SlowPolicy::Close);
    assert!(outbox.push("a".into()) && outbox.push("b".into()));
    assert!(!outbox.push("c".into()) && !outbox.push("d".into()));
    assert_eq!(
        drain(&outbox),
        (Poll::Ready(Drained::Closed(CloseReason::Slow)), vec![])
    );
    assert_eq!(outbox.dropped(), 3);
}

#[test]
fn drop_oldest_keeps_the_newest_frames() {
    let outbox = outbox(2, SlowPolicy::DropOldest);
    assert!(
        ["a", "b", "c"]
            .into_iter()
            .all(|frame| outbox.push(frame.into()))
    );
    assert_eq!(drain(&outbox).1, [Bytes::from("b"), Bytes::from("c")]);
    assert_eq!(outbox.dropped(), 1);
}

#[test]
fn the_newest_frame_fits_whatever_its_size() {
    let outbox = Outbox::new(OutboxLimits {
        bytes: 5,
        ..OutboxLimits::default()
    });
    assert!(outbox.push("very large".into()));
    assert_eq!(drain(&outbox).1, ["very large"]);
    assert!(outbox.push("event".into()) && outbox.push("the answer behind it".into()));
    assert!(!outbox.push("more".into()));
}

#[test]
fn close_lets_what_waits_out_first() {
    let outbox = outbox(2, SlowPolicy::Close);
    assert!(outbox.push("last".into()));
    outbox.close(CloseReason::Restart);
    outbox.close(CloseReason::Gone);
    assert!(!outbox.push("too late".into()));
    assert_eq!(drain(&outbox).0, Poll::Ready(Drained::Frames));
    assert_eq!(
        drain(&outbox).0,
        Poll::Ready(Drained::Closed(CloseReason::Restart))
    );
}

/// A client's end of a connection, and the outbox that has the other one.
async fn lent() -> (TcpStream, Outbox) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    let (_, sender) = server.unwrap().0.into_split();
    sender.writable().await.unwrap();
    let outbox = Outbox::new(OutboxLimits {
        bytes: 64 << 20,
        frames: 9,
        policy: SlowPolicy::Close,
    });
    let mut socket = Some(Sender::tcp(sender));
    assert_eq!(lend(&outbox, &mut socket), (Poll::Pending, vec![]));
    assert!(socket.is_none());
    (client.unwrap(), outbox)
}

fn lend(outbox: &Outbox, socket: &mut Option<Sender>) -> (Poll<Drained>, Vec<Bytes>) {
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut frames = Vec::new();
    let found = outbox.poll_drain_or_lend(&mut cx, &mut frames, socket);
    (found, frames)
}

/// More than the kernel takes of a client that does not read.
fn large() -> Piece {
    Piece::one(vec![7; 16 << 20].into())
}

/// How often somebody was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// All ways in which a piece is written at once.
const WAYS: [fn(&Outbox, &Piece) -> bool; 3] = [
    Outbox::write,
    |outbox, piece| {
        let held = outbox.hold(piece.clone());
        outbox.flush();
        held != Held::Refused
    },
    |outbox, piece| {
        outbox.answer(piece.clone(), true);
        outbox.closed().is_none()
    },
];

async fn reads(client: &mut TcpStream, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn what_is_held_goes_into_the_socket_with_the_flush() {
    let (mut client, outbox) = lent().await;
    let n_frames = 2;
    let bytes = "ab".into();
    assert_eq!(outbox.hold(Piece { bytes, n_frames }), Held::First);
    assert_eq!(outbox.hold(Piece::one("c".into())), Held::Behind);
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), WouldBlock);
    outbox.flush();
    assert_eq!(lend(&outbox, &mut None), (Poll::Pending, vec![]));
    reads(&mut client, b"abc").await;
    assert!(outbox.write(&Piece::one("d".into())));
    reads(&mut client, b"d").await;
}

#[tokio::test]
async fn a_piece_goes_behind_what_waits_and_nowhere_once_it_is_closed() {
    let (mut client, outbox) = lent().await;
    assert_eq!(outbox.hold(Piece::one("a".into())), Held::First);
    assert!(outbox.write(&Piece::one("b".into())));
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), WouldBlock);
    outbox.flush();
    reads(&mut client, b"ab").await;
    outbox.close(CloseReason::Revoked);
    assert!(!outbox.write(&Piece::one("c".into())));
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), WouldBlock);
}

#[tokio::test]
async fn what_is_held_back_makes_nobody_slow() {
    let (mut client, outbox) = lent().await;
    let held = (b'a'..=b'z').map(|letter| outbox.hold(Piece::one(vec![letter].into())));
    assert!({ held }.all(|held| held != Held::Refused));
    outbox.flush();
    reads(&mut client, b"abcdefghijklmnopqrstuvwxyz").await;
    assert_eq!((outbox.closed(), outbox.dropped()), (None, 0));
}

#[tokio::test]
async fn an_answer_behind_what_is_held_wakes_the_writer() {
    let (_client, outbox) = lent().await;
    let wakes = Arc::new(Wakes::default());
    let waker = Arc::clone(&wakes).into();
    let mut cx = Context::from_waker(&waker);
    let mut frames = Vec::new();
    assert!(outbox.poll_drain(&mut cx, &mut frames).is_pending());
    assert_eq!(outbox.hold(Piece::one("event".into())), Held::First);
    assert_eq!(wakes.0.load(Relaxed), 0);
    assert!(outbox.push("answer".into()));
    assert_eq!(wakes.0.load(Relaxed), 1);
    assert!(outbox.poll_drain(&mut cx, &mut frames).is_ready());
    assert_eq!(frames, ["event", "answer"]);
}

#[tokio::test]
async fn an_answer_is_written_at_once_or_waits_for_those_behind_it_and_wakes_nobody() {
    let (mut client, outbox) = lent().await;
    let wakes = Arc::new(Wakes::default());
    let waker = Arc::clone(&wakes).into();
    let answer = |text: &'static str, is_last| outbox.answer(Piece::one(text.into()), is_last);
    let found = outbox.poll_drain(&mut Context::from_waker(&waker), &mut Vec::new());
    assert!(found.is_pending());
    let mut socket = outbox.reclaim(&mut Vec::new());
    assert!(lend(&outbox, &mut socket).0.is_pending());
    answer("a", true);
    reads(&mut client, b"a").await;
    answer("b", false);
    answer("c", true);
    assert_eq!(client.try_read(&mut [0]).unwrap_err().kind(), WouldBlock);
    assert_eq!(drain(&outbox).1, ["b", "c"]);
    outbox.close(CloseReason::Revoked);
    let woken = wakes.0.load(Relaxed);
    answer("d", true);
    assert_eq!(drain(&outbox).1, [""; 0]);
    assert_eq!(woken, wakes.0.load(Relaxed));
}

#[tokio::test]
async fn without_a_socket_nothing_is_held() {
    let outbox = outbox(9, SlowPolicy::Close);
    assert_eq!(outbox.hold(Piece::one("a".into())), Held::Behind);
    assert_eq!(drain(&outbox).1, ["a"]);
}

#[tokio::test]
async fn what_the_socket_does_not_take_goes_before_what_comes_later() {
    for write in WAYS {
        let (mut client, outbox) = lent().await;
        let large = large();
        assert!(write(&outbox, &large));
        assert!(write(&outbox, &Piece::one("b".into())) && outbox.push("c".into()));
        let mut socket = None;
        let (found, frames) = lend(&outbox, &mut socket);
        assert_eq!(found, Poll::Ready(Drained::Frames));
        assert!(socket.is_some());
        let [rest, b, c] = frames.as_slice() else {
            panic!("{} frames", frames.len());
        };
        assert_eq!((&b[..], &c[..]), (&b"b"[..], &b"c"[..]));
        let mut written = vec![0; large.bytes.len() - rest.len()];
        assert!(!written.is_empty());
        client.read_exact(&mut written).await.unwrap();
        assert!([&written, &rest[..]].concat() == large.bytes);
    }
}

#[tokio::test]
async fn who_takes_the_socket_back_gets_what_was_begun_before_own_frames() {
    for write in WAYS {
        let (_client, outbox) = lent().await;
        assert!(write(&outbox, &large()));
        let mut frames = vec![Bytes::from("own")];
        assert!(outbox.reclaim(&mut frames).is_some());
        assert!(frames.len() == 2 && frames[0].len() > frames[1].len());
        assert!(outbox.reclaim(&mut frames).is_none());
        assert!(write(&outbox, &Piece::one("queued".into())));
        assert_eq!(drain(&outbox).1, ["queued"]);
    }
}

#[tokio::test]
async fn what_was_begun_is_left_to_a_client_that_became_slow() {
    for write in WAYS {
        let (_client, outbox) = lent().await;
        assert!(write(&outbox, &large()));
        assert!((0..9).all(|_| outbox.push("x".into())));
        assert!(!outbox.push("one more".into()) && !write(&outbox, &large()));
        let mut socket = None;
        let (found, frames) = lend(&outbox, &mut socket);
        assert_eq!(found, Poll::Ready(Drained::Frames));
        assert!(frames.len() == 1 && socket.is_some());
        assert_eq!(
            lend(&outbox, &mut socket).0,
            Poll::Ready(Drained::Closed(CloseReason::Slow))
        );
        assert_eq!(outbox.dropped(), 10);
    }
}

/// A socket that takes so many bytes and keeps them, as TLS does while there is no room.
struct Keeper(usize);

impl AsyncWrite for Keeper {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let n = bytes.len().min(self.0);
        self.0 -= n;
        if n == 0 {
            Poll::Pending
        } else {
            Poll::Ready(Ok(n))
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Pending
    }
}

#[test]
fn what_the_socket_keeps_its_owner_has_to_flush() {
    for write in WAYS {
        let outbox = outbox(9, SlowPolicy::Close);
        let mut socket = Some(Sender::other(Keeper(4)));
        assert_eq!(lend(&outbox, &mut socket), (Poll::Pending, vec![]));
        assert!(write(&outbox, &Piece::one("ab".into())));
        assert!(socket.is_none());
        let unflushed = Poll::Ready(Drained::Unflushed);
        assert_eq!(lend(&outbox, &mut socket), (unflushed, vec![]));
        assert!(socket.is_some(), "it is back");
        assert_eq!(lend(&outbox, &mut socket), (Poll::Pending, vec![]));
        assert!(write(&outbox, &Piece::one("cde".into())) && outbox.push("f".into()));
        let frames = Poll::Ready(Drained::Frames);
        assert_eq!(
            lend(&outbox, &mut socket),
            (frames, vec!["e".into(), "f".into()])
        );
    }
}

#[test]
fn frames_of_one_piece_are_counted_one_by_one() {
    let outbox = outbox(5, SlowPolicy::DropOldest);
    let hold = |text: &'static str| {
        let bytes = text.into();
        outbox.hold(Piece { bytes, n_frames: 3 })
    };
    assert_eq!([hold("abc"), hold("def")], [Held::Behind; 2]);
    assert_eq!(outbox.dropped(), 3);
    assert_eq!(drain(&outbox).1, ["def"]);
    assert_eq!(hold("ghi"), Held::Behind);
    assert_eq!(
        (outbox.dropped(), drain(&outbox).1),
        (3, vec!["ghi".into()])
    );
}
