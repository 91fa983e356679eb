//! The bare loops: no protocol, no queue, no runtime; what the kernel asks for the bytes alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::Outcome;
use crate::frame::frame;
use crate::process::announce;

/// Takes the clients, then sends an event for every byte that comes over the control connection, until that closes.
pub(crate) fn main(mode: &str, connections: &str) -> Outcome<()> {
    let (clients, control) = (
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    );
    announce(&[clients.local_addr()?.port(), control.local_addr()?.port()])?;
    let connections: u32 = connections.parse()?;
    let sockets = (0..connections)
        .map(|_| accept(&clients))
        .collect::<Outcome<Vec<_>>>()?;
    let control = accept(&control)?;
    match mode {
        "floor" => one_write_per_frame(&sockets, control),
        "coalescing-floor" => one_write_for_all_that_waits(&sockets, control),
        _ => Err(format!("there is no role '{mode}'").into()),
    }
}

fn accept(listener: &TcpListener) -> Outcome<TcpStream> {
    let (socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn one_write_per_frame(sockets: &[TcpStream], mut control: TcpStream) -> Outcome<()> {
    let mut seq = 0;
    while let Some(n) = wanted(&mut control)? {
        for _ in 0..n {
            write(sockets, &frame(seq))?;
            seq += 1;
        }
    }
    Ok(())
}

fn one_write_for_all_that_waits(sockets: &[TcpStream], mut control: TcpStream) -> Outcome<()> {
    let mut seq = 0;
    while let Some(n) = wanted(&mut control)? {
        let frames: Vec<u8> = (seq..seq + n).flat_map(frame).collect();
        write(sockets, &frames)?;
        seq += n;
    }
    Ok(())
}

fn write(sockets: &[TcpStream], bytes: &[u8]) -> Outcome<()> {
    for mut socket in sockets {
        socket.write_all(bytes)?;
    }
    Ok(())
}

/// Waits for events to be wanted; `None` when the control connection is closed.
fn wanted(control: &mut TcpStream) -> Outcome<Option<u64>> {
    let n = control.read(&mut [0; 4096])?;
    Ok((n > 0).then_some(n as u64))
}
