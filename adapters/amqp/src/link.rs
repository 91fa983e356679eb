use std::sync::Arc;

use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, ExchangeKind};
use wingbeat_adapter::{InboxLimits, Link, LinkOptions, Order, SyncError, inbox};

use crate::config::{Address, AmqpConfig};
use crate::dialer::Dialer;
use crate::error;
use crate::hangup::Hangup;
use crate::outbound::AmqpOutbound;
use crate::tap::Tap;
use crate::topics::Topics;

/// One attempt to open a link to one server.
pub(crate) struct Attempt<'a> {
    pub(crate) dialer: &'a Dialer,
    pub(crate) config: &'a AmqpConfig,
    pub(crate) options: &'a LinkOptions,
    pub(crate) topics: &'a Arc<Topics>,
    pub(crate) address: &'a Address,
}

/// What a link has of the library. The library's thread goes when the line is hung up, whoever still holds these.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    pub(crate) channel: Channel,
    /// Its drop would cancel the subscription.
    pub(crate) _consumer: Consumer,
    pub(crate) hangup: Hangup,
}

impl Attempt<'_> {
    /// Opens the connection and waits until the broker has confirmed both subscriptions.
    pub(crate) async fn open(&self) -> Result<Link, SyncError> {
        let dialing = self
            .dialer
            .dial(self.config, self.address, &self.options.name);
        let dialed = dialing.await?;
        let failed = |error| error::connect_failed(error, self.address);
        let channel = dialed.connection.create_channel().await.map_err(failed)?;
        let consumer = subscribe(&channel, self.topics).await.map_err(failed)?;

        let (sender, inbox) = inbox(InboxLimits::default());
        let line = Line {
            connection: dialed.connection,
            channel,
            hangup: dialed.hangup.0.clone(),
            _consumer: consumer.clone(),
        };
        sender.hold(dialed.hangup);
        consumer.set_delegate(Tap::new(Arc::clone(self.topics), sender.clone()));
        let limit = self.options.max_payload.min(PAYLOAD_LIMIT);
        let outbound = AmqpOutbound::new(line, Arc::clone(self.topics), limit, sender);
        let mut link = Link::new(Box::new(outbound), inbox.boxed());
        link.order = Order::PerOrigin;
        link.max_payload = (limit < self.options.max_payload).then_some(limit);
        Ok(link)
    }
}

/// Asks for everything at once, in order, and waits for all answers: one round trip.
async fn subscribe(channel: &Channel, topics: &Topics) -> lapin::Result<Consumer> {
    let exchange = |name| {
        // Another declaration than that of feathers-sync would lock its processes out, or us.
        let options = ExchangeDeclareOptions::default();
        channel.exchange_declare(name, ExchangeKind::Fanout, options, FieldTable::default())
    };
    let bind = |exchange| {
        let options = QueueBindOptions::default();
        let queue = topics.queue.clone();
        channel.queue_bind(queue, exchange, "".into(), options, FieldTable::default())
    };
    let consume = channel.basic_consume(
        topics.queue.clone(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let (.., consumer) = tokio::try_join!(
        biased;
        channel.confirm_select(ConfirmSelectOptions::default()),
        channel.basic_qos(PREFETCH, BasicQosOptions::default()),
        exchange(topics.events.clone()),
        exchange(topics.control.clone()),
        declare_queue(channel, topics),
        bind(topics.events.clone()),
        bind(topics.control.clone()),
        consume,
    )?;
    Ok(consumer)
}

/// The queue goes with the connection. Whatever of it nobody fetches in time is dropped, the oldest first.
async fn declare_queue(channel: &Channel, topics: &Topics) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    for (name, number) in [
        ("x-max-length", QUEUE_MESSAGES),
        ("x-max-length-bytes", QUEUE_BYTES),
        ("x-message-ttl", QUEUE_MILLISECONDS),
    ] {
        arguments.insert(name.into(), AMQPValue::LongInt(number));
    }
    for (name, text) in [
        ("x-overflow", "drop-head"),
        // A virtual host may have another default, and that could not be exclusive.
        ("x-queue-type", "classic"),
    ] {
        arguments.insert(name.into(), AMQPValue::LongString(text.into()));
    }
    let queue = topics.queue.clone();
    channel.queue_declare(queue, options, arguments).await?;
    Ok(())
}

/// The least of what the versions of RabbitMQ take by default; they do not tell.
const PAYLOAD_LIMIT: usize = 16 * 1024 * 1024;
/// Messages that may be under way to us without our acknowledgement.
const PREFETCH: u16 = 512;
const QUEUE_MESSAGES: i32 = 65_536;
const QUEUE_BYTES: i32 = 64 * 1024 * 1024;
const QUEUE_MILLISECONDS: i32 = 60_000;
