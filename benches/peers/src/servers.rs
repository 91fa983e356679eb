//! The servers in Rust. All take `create` calls over Socket.IO and send each event to all clients of both nodes.

mod by_hand;
mod oxide;
mod wingbeat;

use tokio::net::TcpListener;

use crate::Outcome;
use crate::process::say;
use crate::shape::Shape;

/// Serves until the process is killed.
pub(crate) fn main(server: &str, uri: &str, shape: &[&str]) -> Outcome<()> {
    let shape = shape
        .first()
        .map_or(Ok(Shape::PLAIN), |text| text.parse())?;
    let runtime = tokio::runtime::Runtime::new()?;
    match server {
        "wingbeat" => runtime.block_on(wingbeat::serve(uri, shape)),
        "by-hand" => runtime.block_on(by_hand::serve(uri)),
        "socketioxide" => runtime.block_on(oxide::serve(uri)),
        _ => Err(format!("there is no server '{server}'").into()),
    }
}

async fn listener() -> Outcome<TcpListener> {
    Ok(TcpListener::bind("127.0.0.1:0").await?)
}

/// Tells the parent process that the server is ready.
fn announce(listener: &TcpListener) -> Outcome<()> {
    say(&format!("listening {}", listener.local_addr()?.port()))
}
