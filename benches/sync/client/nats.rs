use async_nats::{Client, Message};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::select;
use wingbeat_adapter::{BoxFuture, Incoming, Lane, Link, LinkOptions, Outbound, Report, SyncError};

use super::{failed, lane_of};
use crate::Outcome;

/// A batch is what lies between two flushes.
#[derive(Debug)]
struct Sender {
    client: Client,
    options: LinkOptions,
}

/// Opens one connection with two subscriptions.
pub(super) async fn open(uri: &str, options: LinkOptions) -> Outcome<Link> {
    let client = async_nats::connect(uri).await?;
    let events = client.subscribe(options.topic.clone()).await?;
    let control = client.subscribe(options.control_topic.clone()).await?;
    client.flush().await?;
    let sender = Sender {
        client,
        options: options.clone(),
    };
    let take = move |message: Message| {
        Ok(Incoming::Message {
            lane: lane_of(&message.subject, &options),
            payload: message.payload,
        })
    };
    let inbound = select(events, control).map(take);
    Ok(Link::new(Box::new(sender), inbound.boxed()))
}

impl Outbound for Sender {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(async move {
            for payload in batch {
                let subject = self.options.topic_of(lane).to_owned();
                let sent = self.client.publish(subject, payload.clone()).await;
                sent.map_err(failed)?;
            }
            let flushed = self.client.flush().await;
            flushed.map(|()| Report::default()).map_err(failed)
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async { Ok(()) })
    }
}
