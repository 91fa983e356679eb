//! `redis+cluster://`, against three primaries, and a replica where one has to take over.

use super::*;
use crate::redis_server::cluster::Cluster;
use crate::redis_server::free_port;

const TOPIC: &str = "feathers-sync";

fn options() -> LinkOptions {
    LinkOptions::new(TOPIC)
}

fn adapter(cluster: &Cluster, query: &str) -> RedisAdapter {
    let uri = format!("{}?heartbeat=500{query}", cluster.uri());
    RedisAdapter::from_uri(&uri).unwrap()
}

fn on(server: &RedisServer) -> String {
    format!("redis://127.0.0.1:{}", server.port())
}

#[tokio::test]
async fn sharded_links_meet_at_the_server_of_the_slot_and_nothing_leaves_its_shard() {
    let cluster = Cluster::start();
    let adapter = adapter(&cluster, "");
    let mut one = adapter.connect(&options()).await.unwrap();
    let mut two = adapter.connect(&options()).await.unwrap();
    expect_joined(&mut one, &mut two).await;

    let owner = cluster.owner_of(TOPIC);
    for (index, server) in cluster.servers.iter().enumerate() {
        let sharded = server.cli(&["pubsub", "shardchannels"]);
        let mut channels: Vec<_> = sharded.lines().filter(|line| !line.is_empty()).collect();
        channels.sort_unstable();
        let due: &[&str] = match index == owner {
            true => &[TOPIC, "{feathers-sync}.wb"],
            false => &[],
        };
        assert_eq!(channels, due);
        assert_eq!(server.cli(&["pubsub", "channels"]).trim(), "");
        let bus = server.cli(&["cluster", "info"]);
        let silent = bus.lines().all(|line| !line.contains("messages_publish"));
        assert!(silent, "nothing goes over the bus: {bus}");
    }
}

#[tokio::test]
async fn a_thousand_in_one_batch_arrive_in_order_over_a_cluster() {
    let cluster = Cluster::start();
    let payloads: Vec<Bytes> = (0..1_000).map(|n| Bytes::from(format!("{n}"))).collect();
    for query in ["", "&pubsub=classic"] {
        let adapter = adapter(&cluster, query);
        let mut sender = adapter.connect(&options()).await.unwrap();
        let mut peer = adapter.connect(&options()).await.unwrap();
        let report = sender
            .outbound
            .publish(Lane::Events, &payloads)
            .await
            .unwrap();
        assert!(report.failed.is_empty());
        for link in [&mut sender, &mut peer] {
            for payload in &payloads {
                assert_eq!(
                    next(&mut link.inbound).await,
                    (Lane::Events, payload.clone())
                );
            }
        }
    }
}

/// A Node process subscribes on whichever server it was pointed to.
#[tokio::test]
async fn classic_links_meet_plain_clients_on_any_server_and_sharded_ones_do_not() {
    let cluster = Cluster::start();
    let mut classic = adapter(&cluster, "&pubsub=classic")
        .connect(&options())
        .await
        .unwrap();
    let mut sharded = adapter(&cluster, "").connect(&options()).await.unwrap();
    let mut plain = Vec::new();
    for server in &cluster.servers {
        plain.push(connect(&on(server), &options()).await.unwrap());
    }
    publish(&mut classic, Lane::Events, &["classic"]).await;
    expect(&mut classic.inbound, Lane::Events, &["classic"]).await;
    for link in &mut plain {
        expect(&mut link.inbound, Lane::Events, &["classic"]).await;
    }
    publish(&mut plain[0], Lane::Events, &["plain"]).await;
    expect(&mut classic.inbound, Lane::Events, &["plain"]).await;
    publish(&mut sharded, Lane::Events, &["sharded"]).await;
    expect(&mut sharded.inbound, Lane::Events, &["sharded"]).await;
    let unheard = timeout(Duration::from_millis(300), classic.inbound.next()).await;
    assert!(unheard.is_err(), "{unheard:?}");
}

#[tokio::test]
async fn a_lost_server_is_left_for_its_replica() {
    let mut cluster = Cluster::start();
    let owner = cluster.owner_of(TOPIC);
    let replica = cluster.add_replica_of(owner);
    for query in ["", "&pubsub=classic"] {
        let adapter = adapter(&cluster, query);
        assert!(adapter.connect(&options()).await.is_ok(), "{query}");
    }
    let adapter = adapter(&cluster, "");
    let mut old = adapter.connect(&options()).await.unwrap();
    let start = Instant::now();
    cluster.servers[owner].kill();
    expect_over(&mut old).await;
    let mut one = reopen(&adapter, &options()).await;
    println!("the next link was open after {:?}", start.elapsed());
    let mut two = reopen(&adapter, &options()).await;
    expect_joined(&mut one, &mut two).await;
    let promoted = cluster.servers[replica].cli(&["pubsub", "shardchannels"]);
    assert!(promoted.contains(TOPIC), "{promoted}");
}

#[tokio::test]
async fn a_frozen_server_is_left_for_its_replica() {
    let mut cluster = Cluster::start();
    let owner = cluster.owner_of(TOPIC);
    cluster.add_replica_of(owner);
    let adapter = adapter(&cluster, "");
    let mut old = adapter.connect(&options()).await.unwrap();
    cluster.servers[owner].freeze();
    expect_lost(&mut old.inbound).await;
    let mut one = reopen(&adapter, &options()).await;
    cluster.servers[owner].thaw();
    let mut two = reopen(&adapter, &options()).await;
    expect_joined(&mut one, &mut two).await;
}

/// Without a replica the slot is gone: sharded links wait for its server, classic ones meet at another.
#[tokio::test]
async fn a_lost_server_without_a_replica_stops_sharded_links_and_not_classic_ones() {
    let mut cluster = Cluster::start();
    let owner = cluster.owner_of(TOPIC);
    let sharded = adapter(&cluster, "");
    let classic = adapter(&cluster, "&pubsub=classic");
    let mut old = [
        sharded.connect(&options()).await.unwrap(),
        classic.connect(&options()).await.unwrap(),
    ];
    cluster.servers[owner].kill();
    for link in &mut old {
        expect_over(link).await;
    }
    let mut one = classic.connect(&options()).await.unwrap();
    let mut two = classic.connect(&options()).await.unwrap();
    expect_joined(&mut one, &mut two).await;
    let error = sharded.connect(&options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");

    cluster.servers[owner].restart();
    let mut one = reopen(&sharded, &options()).await;
    let mut two = reopen(&sharded, &options()).await;
    expect_joined(&mut one, &mut two).await;
}

/// The server unsubscribes its clients from a slot that it gives away.
#[tokio::test]
async fn a_slot_that_moves_takes_the_links_along() {
    let cluster = Cluster::start();
    let adapter = adapter(&cluster, "");
    let mut old = adapter.connect(&options()).await.unwrap();
    let from = cluster.owner_of(TOPIC);
    let to = (from + 1) % cluster.servers.len();
    let slot = cluster.servers[0].cli(&["cluster", "keyslot", TOPIC]);
    let new = cluster.id(to);
    // The new owner first: nobody may find the slot without one.
    for server in [to, from] {
        let said = cluster.servers[server].cli(&["cluster", "setslot", slot.trim(), "node", &new]);
        assert_eq!(said.trim(), "OK");
    }
    expect_over(&mut old).await;
    let mut one = reopen(&adapter, &options()).await;
    let mut two = reopen(&adapter, &options()).await;
    expect_joined(&mut one, &mut two).await;
    let channels = cluster.servers[to].cli(&["pubsub", "shardchannels"]);
    assert!(channels.contains(TOPIC), "{channels}");
}

#[tokio::test]
async fn one_server_that_answers_is_enough_to_find_the_others() {
    let cluster = Cluster::start();
    for server in &cluster.servers {
        let nobody = free_port();
        let uri = format!(
            "redis+cluster://127.0.0.1:{nobody},127.0.0.1:{}",
            server.port()
        );
        assert!(connect(&uri, &options()).await.is_ok());
    }
}

/// What the documentation names as the least.
#[tokio::test]
async fn a_user_with_four_commands_and_two_channels_is_enough() {
    let cluster = Cluster::start();
    let rules = |channels: [&str; 2], commands: [&str; 2]| {
        let mut rules = vec!["acl", "setuser", "node", "reset", "on", ">pw"];
        rules.extend(channels);
        rules.extend(["+cluster|keyslot", "+cluster|slots"]);
        rules.extend(commands);
        for server in &cluster.servers {
            assert_eq!(server.cli(&rules).trim(), "OK");
        }
    };
    for (pubsub, control, commands) in [
        (
            "sharded",
            "&{feathers-sync}.wb",
            ["+spublish", "+ssubscribe"],
        ),
        ("classic", "&feathers-sync.wb", ["+publish", "+subscribe"]),
    ] {
        rules(["&feathers-sync", control], commands);
        let uri = format!(
            "redis+cluster://node:pw@{}?pubsub={pubsub}",
            cluster.hosts()
        );
        let mut one = connect(&uri, &options()).await.unwrap();
        let mut two = connect(&uri, &options()).await.unwrap();
        expect_joined(&mut one, &mut two).await;

        rules(["&feathers-sync", "&other"], commands);
        let error = connect(&uri, &options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    }
}

#[tokio::test]
async fn what_no_cluster_can_do_is_a_config_error() {
    let server = RedisServer::start();
    let uri = format!("redis+cluster://127.0.0.1:{}", server.port());
    let error = connect(&uri, &options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(
        error.to_string().contains("is not a server of a cluster"),
        "{error}"
    );
    let error = connect(&uri, &LinkOptions::new("a}b")).await.unwrap_err();
    assert!(error.to_string().contains("lone brace"), "{error}");
}
