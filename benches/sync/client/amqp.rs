use bytes::Bytes;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use wingbeat_adapter::{BoxFuture, Incoming, Lane, Link, LinkOptions, Outbound, Report, SyncError};

use super::{failed, lane_of};
use crate::Outcome;

/// Publishes a batch and then waits for its confirms.
struct Sender {
    /// The channel ends with it.
    _connection: Connection,
    channel: Channel,
    options: LinkOptions,
}

/// Opens one connection with one channel, and one queue for both exchanges.
pub(super) async fn open(uri: &str, options: LinkOptions) -> Outcome<Link> {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let confirms = ConfirmSelectOptions::default();
    channel.confirm_select(confirms).await?;
    let consumer = subscribe(&channel, &options).await?;
    let sender = Sender {
        _connection: connection,
        channel,
        options: options.clone(),
    };
    let mut n: u64 = 0;
    let inbound = consumer.then(move |delivery| {
        n += 1;
        take(delivery, n.is_multiple_of(ACKNOWLEDGED), options.clone())
    });
    Ok(Link::new(Box::new(sender), inbound.boxed()))
}

async fn subscribe(channel: &Channel, options: &LinkOptions) -> lapin::Result<Consumer> {
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel.queue_declare("".into(), exclusive, FieldTable::default());
    let queue = queue.await?.name().clone();
    for topic in [&options.topic, &options.control_topic] {
        let topic = topic.as_str();
        let (kind, plain) = (ExchangeKind::Fanout, ExchangeDeclareOptions::default());
        channel
            .exchange_declare(topic.into(), kind, plain, FieldTable::default())
            .await?;
        let (to, bind) = (queue.clone(), QueueBindOptions::default());
        channel
            .queue_bind(to, topic.into(), "".into(), bind, FieldTable::default())
            .await?;
    }
    let plain = BasicConsumeOptions::default();
    channel
        .basic_consume(queue, "".into(), plain, FieldTable::default())
        .await
}

/// As cheap as the broker lets it be: one acknowledgement for many.
async fn take(
    delivery: lapin::Result<Delivery>,
    is_to_be_acknowledged: bool,
    options: LinkOptions,
) -> Result<Incoming, SyncError> {
    let delivery = delivery.map_err(failed)?;
    if is_to_be_acknowledged {
        let up_to_it = BasicAckOptions { multiple: true };
        delivery.ack(up_to_it).await.map_err(failed)?;
    }
    Ok(Incoming::Message {
        lane: lane_of(delivery.exchange.as_str(), &options),
        payload: delivery.data.into(),
    })
}

impl Sender {
    async fn send(&self, lane: Lane, batch: &[Bytes]) -> lapin::Result<Report> {
        let mut confirms = Vec::with_capacity(batch.len());
        for payload in batch {
            let to = self.options.topic_of(lane).into();
            let plain = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            let sending = self
                .channel
                .basic_publish(to, "".into(), plain, payload, properties);
            confirms.push(sending.await?);
        }
        for confirm in confirms {
            confirm.await?;
        }
        Ok(Report::default())
    }
}

impl Outbound for Sender {
    fn publish<'a>(
        &'a mut self,
        lane: Lane,
        batch: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Report, SyncError>> {
        Box::pin(async move { self.send(lane, batch).await.map_err(failed) })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SyncError>> {
        Box::pin(async { Ok(()) })
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

const PREFETCH: u16 = 512;
const ACKNOWLEDGED: u64 = 64;
