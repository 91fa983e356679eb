//! What a team writes with axum's websocket, a broadcast channel and Redis; read buffers have 4 KiB. It speaks just enough of
//! Socket.IO for the client.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::{announce, listener};
use crate::Outcome;
use crate::frame::PATH;

#[derive(Clone)]
struct Node {
    redis: MultiplexedConnection,
    events: broadcast::Sender<Utf8Bytes>,
}

pub(super) async fn serve(uri: &str) -> Outcome<()> {
    let client = redis::Client::open(uri)?;
    let node = Arc::new(Node {
        redis: client.get_multiplexed_async_connection().await?,
        events: broadcast::channel(1_024).0,
    });
    let mut incoming = client.get_async_pubsub().await?;
    incoming.subscribe(PATH).await?;
    let events = node.events.clone();
    tokio::spawn(async move {
        let mut incoming = incoming.into_on_message();
        while let Some(message) = incoming.next().await {
            let text: String = message.get_payload().unwrap_or_default();
            let _ = events.send(text.into());
        }
    });
    let listener = listener().await?;
    announce(&listener)?;
    let router = Router::new()
        .route("/socket.io/", get(upgrade))
        .with_state(node);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn upgrade(State(node): State<Arc<Node>>, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.read_buffer_size(4_096);
    upgrade.on_upgrade(|socket| async move {
        let _ = converse(&node, socket).await;
    })
}

async fn converse(node: &Node, mut socket: WebSocket) -> Result<(), axum::Error> {
    socket.send("0{}".into()).await?;
    let _ = socket.recv().await;
    let mut events = node.events.subscribe();
    socket.send("40{}".into()).await?;
    let (mut to, mut from) = socket.split();
    loop {
        tokio::select! {
            event = events.recv() => {
                let Ok(event) = event else { return Ok(()) };
                to.feed(Message::Text(event)).await?;
                feed_all(&mut to, &mut events).await?;
                to.flush().await?;
            }
            message = from.next() => {
                let Some(Ok(Message::Text(text))) = message else { return Ok(()) };
                if let Some(ack) = create(node, &text).await {
                    to.send(ack.into()).await?;
                }
            }
        }
    }
}

async fn feed_all(
    to: &mut SplitSink<WebSocket, Message>,
    events: &mut broadcast::Receiver<Utf8Bytes>,
) -> Result<(), axum::Error> {
    loop {
        match events.try_recv() {
            Ok(event) => to.feed(Message::Text(event)).await?,
            Err(TryRecvError::Lagged(n)) => eprintln!("a client lost {n} events"),
            Err(_) => return Ok(()),
        }
    }
}

/// Publishes what `42ID["create","messages",DATA,{}]` says.
async fn create(node: &Node, text: &str) -> Option<String> {
    let (id, arguments) = text.strip_prefix("42")?.split_once('[')?;
    let (_, data) = arguments.split_once(&format!(r#""{PATH}","#))?;
    let data = data.strip_suffix(",{}]")?;
    let event = format!(r#"42["{PATH} created",{data}]"#);
    let _: () = node.redis.clone().publish(PATH, event).await.ok()?;
    Some(format!("43{id}[null,{data}]"))
}
