//! What asks for events: a client that creates messages, or bytes for a floor.

use std::cell::RefCell;
use std::collections::VecDeque;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::wire::{Protocol, Target};
use crate::Outcome;
use crate::frame::{Frame, PATH, masked};
use crate::shape::Shape;

/// Asks for one event after the other.
pub(super) struct Sender {
    stream: TcpStream,
    is_bare: bool,
    shape: Shape,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    seq: u64,
    /// What the socket did not take at once.
    unwritten: VecDeque<u8>,
}

impl Sender {
    /// Connects to a floor, or to a node as a client of Socket.IO, whatever those speak that hear the events.
    pub(super) async fn open(protocol: Protocol, shape: Shape, port: u16) -> Outcome<Self> {
        let is_bare = protocol == Protocol::Bare;
        let target = Target {
            port,
            ..Target::default()
        };
        let speaks = if is_bare {
            protocol
        } else {
            Protocol::SocketIo
        };
        Ok(Self {
            stream: speaks.open(target).await?.0,
            is_bare,
            shape,
            state: RefCell::default(),
        })
    }

    /// Returns the number of the next event.
    pub(super) fn seq(&self) -> u64 {
        self.state.borrow().seq
    }

    /// Asks for events.
    pub(super) fn ask(&self, n: usize) -> Outcome<()> {
        let mut state = self.state.borrow_mut();
        for _ in 0..n {
            let request = self.request(state.seq);
            state.unwritten.extend(request);
            state.seq += 1;
        }
        self.write(&mut state)
    }

    fn request(&self, seq: u64) -> Vec<u8> {
        if self.is_bare {
            return vec![0];
        }
        let event = self.shape.event(seq);
        masked(&format!(r#"42{seq}["create","{PATH}",{event},{{}}]"#))
    }

    fn write(&self, state: &mut State) -> Outcome<()> {
        while !state.unwritten.is_empty() {
            let (piece, _) = state.unwritten.as_slices();
            match self.stream.try_write(piece) {
                Ok(written) => drop(state.unwritten.drain(..written)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes answers and events, and writes what the socket did not take at once, until something goes wrong.
    pub(super) async fn run(&self) -> Outcome<()> {
        let (mut received, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            tokio::select! {
                ready = self.stream.readable() => ready?,
                ready = self.stream.writable(), if !self.state.borrow().unwritten.is_empty() => {
                    ready?;
                    self.write(&mut self.state.borrow_mut())?;
                    continue;
                }
            }
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err("the server closed the connection that creates".into()),
                Ok(n) => self.take(&buffer[..n], &mut received)?,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&self, bytes: &[u8], received: &mut Vec<u8>) -> Outcome<()> {
        received.extend(bytes);
        let mut rest: &[u8] = received;
        while let Some((frame, behind)) = Frame::split(rest) {
            match frame.payload {
                b"2" => self.pong()?,
                answer if answer.starts_with(b"43") && is_refusal(answer) => {
                    return Err(format!("a create failed: {}", frame.describe()).into());
                }
                _ => {}
            }
            rest = behind;
        }
        *received = rest.to_vec();
        Ok(())
    }

    fn pong(&self) -> Outcome<()> {
        let mut state = self.state.borrow_mut();
        state.unwritten.extend(masked("3"));
        self.write(&mut state)
    }

    /// Ends the connection, which ends a floor.
    pub(super) async fn end(mut self) {
        if self.is_bare {
            drop(self.stream);
        } else {
            // What waits is read, so that the server sees an end and no reset.
            let _ = self.stream.try_read(&mut [0; 1 << 16]);
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.stream).await;
            let _ = self.stream.read(&mut [0; 1]).await;
        }
    }
}

/// Tells whether the first argument of an answer is an error.
fn is_refusal(answer: &[u8]) -> bool {
    let arguments = answer.iter().position(|byte| *byte == b'[');
    arguments.is_some_and(|at| !answer[at + 1..].starts_with(b"null"))
}
