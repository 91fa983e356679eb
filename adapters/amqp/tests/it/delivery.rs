//! What is on the broker, and who hears whom.

use futures_util::FutureExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};

use super::*;

/// What a Node `feathers-sync` process has on the broker.
struct NodePeer {
    _connection: Connection,
    channel: Channel,
    consumer: Consumer,
}

impl NodePeer {
    /// Declares as feathers-sync does, from the exchange to the consumer without acknowledgements.
    async fn start(place: &Place) -> Self {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&place.uri(), properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let none = FieldTable::default();
        let options = ExchangeDeclareOptions::default();
        channel
            .exchange_declare(
                "feathers-sync".into(),
                ExchangeKind::Fanout,
                options,
                none.clone(),
            )
            .await
            .unwrap();
        let options = QueueDeclareOptions {
            durable: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare("".into(), options, none.clone())
            .await
            .unwrap();
        let (name, key) = (queue.name().clone(), "queue-binding".into());
        let options = QueueBindOptions::default();
        channel
            .queue_bind(
                name.clone(),
                "feathers-sync".into(),
                key,
                options,
                none.clone(),
            )
            .await
            .unwrap();
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(name, "".into(), options, none)
            .await
            .unwrap();
        Self {
            _connection: connection,
            channel,
            consumer,
        }
    }

    async fn publish(&self, payload: &[u8]) {
        let properties = BasicProperties::default().with_headers(FieldTable::default());
        let options = BasicPublishOptions::default();
        self.channel
            .basic_publish(
                "feathers-sync".into(),
                "x".into(),
                options,
                payload,
                properties,
            )
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_node_process_on_the_exchange_hears_us_and_is_heard_whoever_came_first() {
    let place = Place::new();
    let mut before = place.open("feathers-sync").await;
    let mut node = NodePeer::start(&place).await;
    let mut after = place.open("feathers-sync").await;
    node.publish(b"from outside").await;
    for link in [&mut before, &mut after] {
        expect(&mut link.inbound, Lane::Events, &["from outside"]).await;
    }
    publish(&mut after, Lane::Control, &["not for Node"]).await;
    publish(&mut before, Lane::Events, &["from us"]).await;
    let own = within(LIMIT, node.consumer.next()).await.unwrap().unwrap();
    assert_eq!(own.data, b"from outside");
    let heard = within(LIMIT, node.consumer.next()).await.unwrap().unwrap();
    assert_eq!(heard.data, b"from us");
    let as_node_does = BasicProperties::default().with_headers(FieldTable::default());
    assert_eq!(heard.properties, as_node_does);
    assert!(node.consumer.next().now_or_never().is_none());
}

#[tokio::test]
async fn the_exchanges_are_those_of_feathers_sync_and_the_queue_goes_with_the_link() {
    let place = Place::new();
    let link = place.open("feathers-sync").await;
    for name in ["feathers-sync", "feathers-sync.wb"] {
        let vhost = &place.vhost;
        let lookup = format!("rabbit_misc:r(<<\"{vhost}\">>, exchange, <<\"{name}\">>)");
        let info = place.server.eval(&format!(
            "rabbit_exchange:info(element(2, rabbit_exchange:lookup({lookup})), \
             [type, durable, auto_delete, internal, arguments])"
        ));
        assert_eq!(
            info,
            "[{type,fanout},{durable,false},{auto_delete,false},{internal,false},{arguments,[]}]"
        );
    }
    let info = place.server.eval(&format!(
        "rabbit_amqqueue:info(hd(rabbit_amqqueue:list(<<\"{}\">>)), \
         [durable, auto_delete, exclusive, arguments])",
        place.vhost
    ));
    assert_eq!(
        info,
        "[{durable,false},{auto_delete,true},{exclusive,true},{arguments,[\
         {<<\"x-max-length\">>,signedint,65536},{<<\"x-max-length-bytes\">>,signedint,67108864},\
         {<<\"x-message-ttl\">>,signedint,60000},{<<\"x-overflow\">>,longstr,<<\"drop-head\">>},\
         {<<\"x-queue-type\">>,longstr,<<\"classic\">>}]}]"
    );
    drop(link);
    until("the queue is gone", || place.holdings() == 0).await;
}

#[tokio::test]
async fn the_label_stands_in_the_brokers_list() {
    let place = Place::new();
    let mut options = LinkOptions::new("k");
    options.name = "node ä 1".to_owned();
    let _link = connect(&place.uri(), &options).await.unwrap();
    let labels = place.eval_for_each_connection(
        "rabbit_misc:table_lookup(proplists:get_value(client_properties, \
         rabbit_networking:connection_info(P, [client_properties])), <<\"connection_name\">>)",
    );
    assert!(labels.contains("node ä 1"), "{labels}");
}

/// What is not acknowledged stays in the broker's memory, and after 512 of it nothing comes any more.
#[tokio::test]
async fn what_has_arrived_is_acknowledged_even_if_nobody_reads() {
    let place = Place::new();
    let mut link = place.open("k").await;
    let batch = vec![Bytes::from("x"); 1_000];
    for _ in 0..3 {
        let report = link.outbound.publish(Lane::Events, &batch).await.unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
    }
    let waiting = format!(
        "lists:sum([N || {{_, N}} <- rabbit_amqqueue:info(hd(rabbit_amqqueue:list(<<\"{}\">>)), \
         [messages_ready, messages_unacknowledged])])",
        place.vhost
    );
    until("the broker has got rid of it", || {
        place.server.count(&waiting) < 64
    })
    .await;
    for _ in 0..3_000 {
        next(&mut link.inbound).await;
    }
}

#[tokio::test]
async fn large_messages_are_acknowledged_before_they_pile_up() {
    let place = Place::new();
    let mut link = place.open("k").await;
    let large = Bytes::from(vec![b'x'; 900_000]);
    for _ in 0..10 {
        publish_one(&mut link, &large).await;
        next(&mut link.inbound).await;
    }
    let unacknowledged = format!(
        "proplists:get_value(messages_unacknowledged, rabbit_amqqueue:info(\
         hd(rabbit_amqqueue:list(<<\"{}\">>)), [messages_unacknowledged]))",
        place.vhost
    );
    until("at most one waits for its batch", || {
        place.server.count(&unacknowledged) <= 1
    })
    .await;
}

async fn publish_one(link: &mut Link, payload: &Bytes) {
    let batch = [payload.clone()];
    let report = link.outbound.publish(Lane::Events, &batch).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_limit_above_that_of_the_broker_is_lowered_and_said() {
    let place = Place::new();
    let mut options = LinkOptions::new("k");
    assert_eq!(
        connect(&place.uri(), &options).await.unwrap().max_payload,
        None
    );
    options.max_payload = 64 * 1024 * 1024;
    let mut link = connect(&place.uri(), &options).await.unwrap();
    let limit = link.max_payload.unwrap();
    assert_eq!(limit, 16 * 1024 * 1024);
    let batch = [limit + 1, limit].map(|length| Bytes::from(vec![b'x'; length]));
    let report = link.outbound.publish(Lane::Events, &batch).await.unwrap();
    assert_eq!(report.failed.len(), 1, "{report:?}");
    assert_eq!(report.failed[0].0, 0);
    assert_eq!(report.failed[0].1.kind(), ErrorKind::PayloadTooLarge);
    assert_eq!(next(&mut link.inbound).await.1.len(), limit);
}
