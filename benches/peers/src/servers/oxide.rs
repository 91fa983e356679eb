//! socketioxide with its Redis adapter.

use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr};

use super::{announce, listener};
use crate::Outcome;

pub(super) async fn serve(uri: &str) -> Outcome<()> {
    let redis = redis::Client::open(format!("{uri}?protocol=resp3"))?;
    let adapter = RedisAdapterCtr::new_with_redis(&redis).await?;
    let (layer, io) = SocketIo::builder()
        .with_adapter::<RedisAdapter<_>>(adapter)
        .build_layer();
    io.ns("/", on_connect).await?;
    let listener = listener().await?;
    announce(&listener)?;
    let router = axum::Router::new().layer(layer);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn on_connect<A: Adapter>(socket: SocketRef<A>) {
    socket.on("create", on_create);
}

async fn on_create<A: Adapter>(
    io: SocketIo<A>,
    Data((path, data, _)): Data<(String, Value, Value)>,
    ack: AckSender<A>,
) {
    let _ = io.emit(format!("{path} created"), &data).await;
    let _ = ack.send(&(Value::Null, data));
}
