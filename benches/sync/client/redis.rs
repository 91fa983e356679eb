use bytes::Bytes;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{Client, Msg, Pipeline};
use wingbeat_adapter::{BoxFuture, Incoming, Lane, Link, LinkOptions, Outbound, Report, SyncError};

use super::{failed, lane_of};
use crate::Outcome;

/// One connection that publishes; a batch is a pipeline.
#[derive(Debug)]
struct Sender {
    connection: MultiplexedConnection,
    options: LinkOptions,
}

/// Opens one connection that publishes and one that subscribes.
pub(super) async fn open(uri: &str, options: LinkOptions) -> Outcome<Link> {
    let client = Client::open(uri)?;
    let connection = client.get_multiplexed_async_connection().await?;
    let mut subscription = client.get_async_pubsub().await?;
    let topics = [&options.topic, &options.control_topic];
    subscription.subscribe(&topics).await?;
    let sender = Sender {
        connection,
        options: options.clone(),
    };
    let take = move |message: Msg| {
        Ok(Incoming::Message {
            lane: lane_of(message.get_channel_name(), &options),
            payload: Bytes::copy_from_slice(message.get_payload_bytes()),
        })
    };
    let inbound = subscription.into_on_message().map(take);
    Ok(Link::new(Box::new(sender), inbound.boxed()))
}

impl Outbound for Sender {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(async move {
            let mut pipeline = Pipeline::with_capacity(batch.len());
            for payload in batch {
                let topic = self.options.topic_of(lane);
                pipeline.publish(topic, payload.as_ref()).ignore();
            }
            let sent = pipeline.query_async::<()>(&mut self.connection).await;
            sent.map(|()| Report::default()).map_err(failed)
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async { Ok(()) })
    }
}
