//! The client notices what a server does wrong on one connection of several, whichever that is.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::flight::Script;
use super::{Client, Load, Protocol};
use crate::Outcome;
use crate::frame::frame;
use crate::shape::Shape;

/// What a connection gets for an event.
type Sends = fn(connection: usize, seq: u64) -> Vec<u8>;

#[test]
fn everything_in_order_is_right() {
    let flown = fly(2, |_, seq| frame(seq)).unwrap();
    let events: u64 = flown.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(events > 2, "{flown}");
}

#[test]
fn an_event_that_comes_twice_is_noticed() {
    let twice: Sends = |connection, seq| match (connection, seq) {
        (2, 1) => [frame(seq), frame(seq)].concat(),
        _ => frame(seq),
    };
    let error = fly(1, twice).unwrap_err().to_string();
    assert!(error.contains("instead of event 2"), "{error}");
}

#[test]
fn an_event_that_does_not_come_is_noticed() {
    let missing: Sends = |connection, seq| match (connection, seq) {
        (1, 3) => Vec::new(),
        _ => frame(seq),
    };
    let error = fly(4, missing).unwrap_err().to_string();
    assert!(error.contains("instead of event 3"), "{error}");
}

#[test]
fn one_wrong_byte_is_noticed() {
    let altered: Sends = |connection, seq| {
        let mut frame = frame(seq);
        if (connection, seq) == (2, 5) {
            *frame.last_mut().unwrap() = b')';
        }
        frame
    };
    let error = fly(1, altered).unwrap_err().to_string();
    assert!(error.contains("instead of event 5"), "{error}");
}

/// Lets three connections hear events of a server for a moment.
fn fly(window: usize, sends: Sends) -> Outcome<String> {
    let (port, control) = serve(sends);
    let script = Script {
        protocol: Protocol::Bare,
        shape: Shape::PLAIN,
        connections: CONNECTIONS,
        stalled: 0,
    };
    let load = Load {
        window,
        time: Duration::from_millis(100),
        period: None,
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(async {
        let mut client = Client::open(script, control, vec![port]).await?;
        client.fly(load).await
    })
}

/// Sends an event for every byte of the control connection, until that closes.
fn serve(sends: Sends) -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [port, control] = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap().port());
    thread::spawn(move || {
        let accept = |at: usize| listeners[at].accept().unwrap().0;
        let sockets: Vec<TcpStream> = (0..CONNECTIONS).map(|_| accept(0)).collect();
        let asked = accept(1);
        for (seq, _) in (0..).zip(BufReader::new(asked).bytes()) {
            for (connection, mut socket) in sockets.iter().enumerate() {
                // The client ends its connections when it has noticed something.
                let _ = socket.write_all(&sends(connection, seq));
            }
        }
    });
    (port, control)
}

const CONNECTIONS: usize = 3;
