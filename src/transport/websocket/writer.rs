//! The way of frames to the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::rt::Write;

/// Frames that are on their way, and how far the first one is.
///
/// The bound is the connection's outbox, which is emptied into a writer only when that has nothing left, and for frames of
/// the writer's own ([`push`](Self::push)) [`is_crowded`](Self::is_crowded): then nothing more is read that could be answered.
#[derive(Debug, Default)]
pub(in crate::transport) struct Writer {
    frames: Vec<Bytes>,
    /// The first frame that is not written; a part of it may be.
    next: usize,
    is_unflushed: bool,
    n_own: usize,
}

impl Writer {
    /// Adds a frame that is no event and no answer: a pong, a ping, a refusal.
    pub(in crate::transport) fn push(&mut self, frame: Bytes) {
        self.frames.push(frame);
        self.n_own += 1;
    }

    /// Tells whether so many frames of its own wait that reading has to pause.
    pub(in crate::transport) fn is_crowded(&self) -> bool {
        self.n_own >= OWN_FRAMES
    }

    /// Returns where the outbox puts the next frames.
    pub(in crate::transport) fn frames_mut(&mut self) -> &mut Vec<Bytes> {
        &mut self.frames
    }

    /// Tells whether something is left to be written.
    pub(in crate::transport) fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Notes that somebody else has written what is not on its way yet.
    pub(in crate::transport) fn flush_later(&mut self) {
        self.is_unflushed = true;
    }

    /// Gives up all but the first frame, which may be begun: one that is cut in the middle could not be followed by another.
    pub(in crate::transport) fn give_up_unbegun(&mut self) {
        self.frames.truncate(self.next + 1);
    }

    /// Frees its memory, for the time in which nothing is written.
    pub(in crate::transport) fn rest(&mut self) {
        if self.frames.is_empty() {
            self.frames = Vec::new();
        }
    }

    /// Writes everything, many frames with each system call, and flushes it.
    pub(in crate::transport) fn poll_write<W: Write + Unpin>(
        &mut self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.next < self.frames.len() {
            let written = ready!(self.poll_write_some(io, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_unflushed = true;
            self.advance(written);
        }
        self.frames.clear();
        (self.next, self.n_own) = (0, 0);
        if self.is_unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_some<W: Write + Unpin>(
        &self,
        io: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let waiting = &self.frames[self.next..];
        if let [frame] = waiting {
            // A plain write is cheaper in the kernel than a vectored one of one piece.
            return Pin::new(io).poll_write(cx, frame);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        for (slice, frame) in slices.iter_mut().zip(waiting) {
            *slice = IoSlice::new(frame);
        }
        let n = waiting.len().min(SLICES);
        Pin::new(io).poll_write_vectored(cx, &slices[..n])
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(frame) = self.frames.get_mut(self.next) {
            if written < frame.len() {
                frame.advance(written);
                return;
            }
            written -= frame.len();
            *frame = Bytes::new();
            self.next += 1;
        }
    }
}

/// Frames for one system call; more cost stack and gain little.
const SLICES: usize = 128;
const OWN_FRAMES: usize = 16;

#[cfg(test)]
mod tests {
    use futures_util::task::noop_waker_ref;
    use proptest::prelude::*;

    use super::*;

    /// A socket that takes so many bytes with each call, and blocks when it is told to take none.
    #[derive(Default)]
    struct Sink {
        takes: Vec<usize>,
        taken: Vec<u8>,
        calls: usize,
    }

    impl Write for Sink {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.calls += 1;
            let take = self.takes.pop().unwrap_or(usize::MAX);
            if take == 0 {
                return Poll::Pending;
            }
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let n = take.min(all.len());
            self.taken.extend(&all[..n]);
            Poll::Ready(Ok(n))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(writer: &mut Writer, sink: &mut Sink) -> Poll<io::Result<()>> {
        writer.poll_write(sink, &mut Context::from_waker(noop_waker_ref()))
    }

    #[test]
    fn everything_that_waits_goes_out_in_one_call() {
        let (mut writer, mut sink) = (Writer::default(), Sink::default());
        writer
            .frames_mut()
            .extend(["a", "bc", "", "d"].map(Bytes::from));
        assert!(write(&mut writer, &mut sink).is_ready());
        assert_eq!((sink.taken.as_slice(), sink.calls), (&b"abcd"[..], 1));
        assert!(write(&mut writer, &mut sink).is_ready());
        assert_eq!(sink.calls, 1, "an empty writer writes nothing");
    }

    #[test]
    fn a_frame_that_is_begun_is_finished_before_the_close_frame() {
        let mut writer = Writer::default();
        let mut sink = Sink {
            takes: vec![0, 4],
            ..Sink::default()
        };
        writer
            .frames_mut()
            .extend(["one", "two", "three"].map(Bytes::from));
        assert!(write(&mut writer, &mut sink).is_pending());
        writer.give_up_unbegun();
        writer.push("!".into());
        assert!(write(&mut writer, &mut sink).is_ready());
        assert_eq!(sink.taken, b"onetwo!");
    }

    #[test]
    fn its_own_frames_are_bounded_by_whoever_asks() {
        let (mut writer, mut sink) = (Writer::default(), Sink::default());
        (0..OWN_FRAMES).for_each(|_| writer.push("pong".into()));
        assert!(writer.is_crowded());
        assert!(write(&mut writer, &mut sink).is_ready());
        assert!(!writer.is_crowded());
    }

    proptest! {
        #[test]
        fn partial_writes_lose_and_repeat_nothing(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..300),
            takes in prop::collection::vec(0_usize..20, 0..200),
        ) {
            let expected: Vec<u8> = frames.concat();
            let mut writer = Writer::default();
            writer.frames_mut().extend(frames.into_iter().map(Bytes::from));
            let mut sink = Sink { takes, ..Sink::default() };
            while write(&mut writer, &mut sink).is_pending() {}
            prop_assert_eq!(sink.taken, expected);
        }
    }
}
