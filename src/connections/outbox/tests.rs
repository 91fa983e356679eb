use futures_util::task::noop_waker_ref;
use tokio::io::AsyncReadExt;
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
            Poll::Ready(Drained::Frames(None)),
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
    assert_eq!(
        drain(&outbox).0,
        Poll::Ready(Drained::Frames(Some(CloseReason::Restart)))
    );
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
    let mut socket = Some(sender);
    assert_eq!(lend(&outbox, &mut socket), (Poll::Pending, vec![]));
    assert!(socket.is_none());
    (client.unwrap(), outbox)
}

fn lend(outbox: &Outbox, socket: &mut Option<OwnedWriteHalf>) -> (Poll<Drained>, Vec<Bytes>) {
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut frames = Vec::new();
    let found = outbox.poll_drain_or_lend(&mut cx, &mut frames, socket);
    (found, frames)
}

/// More than the kernel takes of a client that does not read.
fn large() -> Piece {
    Piece::one(vec![7; 16 << 20].into())
}

#[tokio::test]
async fn while_nothing_waits_a_piece_goes_straight_into_the_socket() {
    let (mut client, outbox) = lent().await;
    let n_frames = 2;
    let bytes = "ab".into();
    assert!(outbox.write(&Piece { bytes, n_frames }));
    assert!(outbox.write(&Piece::one("c".into())));
    assert_eq!(lend(&outbox, &mut None), (Poll::Pending, vec![]));
    let mut read = [0; 3];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"abc");
}

#[tokio::test]
async fn what_the_socket_does_not_take_goes_before_what_comes_later() {
    let (mut client, outbox) = lent().await;
    let large = large();
    assert!(outbox.write(&large));
    assert!(outbox.write(&Piece::one("b".into())) && outbox.push("c".into()));
    let mut socket = None;
    let (found, frames) = lend(&outbox, &mut socket);
    assert_eq!(found, Poll::Ready(Drained::Frames(None)));
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

#[tokio::test]
async fn who_takes_the_socket_back_gets_what_was_begun_before_own_frames() {
    let (_client, outbox) = lent().await;
    assert!(outbox.write(&large()));
    let mut frames = vec![Bytes::from("own")];
    assert!(outbox.reclaim(&mut frames).is_some());
    assert!(frames.len() == 2 && frames[0].len() > frames[1].len());
    assert!(outbox.reclaim(&mut frames).is_none());
    assert!(outbox.write(&Piece::one("queued".into())));
    assert_eq!(drain(&outbox).1, ["queued"]);
}

#[tokio::test]
async fn what_was_begun_is_left_to_a_client_that_became_slow() {
    let (_client, outbox) = lent().await;
    assert!(outbox.write(&large()));
    assert!((0..9).all(|_| outbox.push("x".into())));
    assert!(!outbox.push("one more".into()) && !outbox.write(&large()));
    let mut socket = None;
    let (found, frames) = lend(&outbox, &mut socket);
    assert_eq!(found, Poll::Ready(Drained::Frames(Some(CloseReason::Slow))));
    assert!(frames.len() == 1 && socket.is_some());
    assert_eq!(
        lend(&outbox, &mut socket).0,
        Poll::Ready(Drained::Closed(CloseReason::Slow))
    );
    assert_eq!(outbox.dropped(), 10);
}

#[test]
fn frames_of_one_piece_are_counted_one_by_one() {
    let outbox = outbox(5, SlowPolicy::DropOldest);
    let piece = |text: &'static str| Piece {
        bytes: text.into(),
        n_frames: 3,
    };
    assert!(outbox.push_piece(piece("abc")) && outbox.push_piece(piece("def")));
    assert_eq!(outbox.dropped(), 3);
    assert_eq!(drain(&outbox).1, ["def"]);
    assert!(outbox.push_piece(piece("ghi")));
    assert_eq!(
        (outbox.dropped(), drain(&outbox).1),
        (3, vec!["ghi".into()])
    );
}
