//! `redis+sentinel://`, against a primary, a replica and three sentinels.

use super::*;
use crate::redis_server::free_port;
use crate::redis_server::sentinel::{SERVICE, Sentinel, Watched};

fn adapter(uri: &str) -> RedisAdapter {
    RedisAdapter::from_uri(&format!("{uri}?heartbeat=500")).unwrap()
}

fn n_links(server: &RedisServer) -> usize {
    server.cli(&["client", "list"]).matches("sub=2 ").count()
}

async fn refusal(uri: &str) -> SyncError {
    connect(uri, &LinkOptions::new("k")).await.unwrap_err()
}

#[tokio::test]
async fn a_killed_primary_is_left_for_the_promoted_replica() {
    let mut watched = Watched::start();
    let adapter = adapter(&watched.uri());
    let options = LinkOptions::new("k");
    let mut old = adapter.connect(&options).await.unwrap();
    assert_eq!(
        (n_links(&watched.primary), n_links(&watched.replica)),
        (1, 0)
    );

    let start = Instant::now();
    watched.primary.kill();
    expect_over(&mut old).await;
    println!("the loss was seen after {:?}", start.elapsed());
    let mut one = reopen(&adapter, &options).await;
    println!("the next link was open after {:?}", start.elapsed());
    let mut two = reopen(&adapter, &options).await;
    assert_eq!(n_links(&watched.replica), 2);
    expect_joined(&mut one, &mut two).await;
}

/// The old primary comes back and takes itself for one for a while; the sentinels know better.
#[tokio::test]
async fn a_frozen_primary_is_left_and_not_gone_back_to() {
    let watched = Watched::start();
    let adapter = adapter(&watched.uri());
    let options = LinkOptions::new("k");
    let mut old = adapter.connect(&options).await.unwrap();
    watched.primary.freeze();
    expect_lost(&mut old.inbound).await;
    let mut one = reopen(&adapter, &options).await;
    watched.primary.thaw();
    let mut two = reopen(&adapter, &options).await;
    assert_eq!(
        (n_links(&watched.primary), n_links(&watched.replica)),
        (0, 2)
    );
    expect_joined(&mut one, &mut two).await;
}

#[tokio::test]
async fn a_failover_by_command_moves_every_link() {
    let watched = Watched::start();
    let adapter = adapter(&watched.uri());
    let options = LinkOptions::new("k");
    let mut old = adapter.connect(&options).await.unwrap();
    let said = watched.sentinels[0].cli(&["sentinel", "failover", SERVICE]);
    assert_eq!(said.trim(), "OK");
    let lost = within(FAILOVER, old.inbound.next()).await;
    assert!(matches!(lost, Some(Err(_))), "{lost:?}");
    let mut one = reopen(&adapter, &options).await;
    let mut two = reopen(&adapter, &options).await;
    assert_eq!(n_links(&watched.replica), 2);
    expect_joined(&mut one, &mut two).await;
}

/// One that answers is enough: the others are dead, frozen, or never were.
#[tokio::test]
async fn sentinels_that_do_not_answer_cost_nothing_while_one_does() {
    let mut watched = Watched::start();
    watched.sentinels[0].kill();
    watched.sentinels[1].freeze();
    let nobody = free_port();
    let uri = format!(
        "redis+sentinel://127.0.0.1:{nobody},{}/{SERVICE}",
        watched.hosts()
    );
    let start = Instant::now();
    assert!(connect(&uri, &LinkOptions::new("k")).await.is_ok());
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );

    watched.sentinels[2].kill();
    let mut options = LinkOptions::new("k");
    options.connect_timeout = Duration::from_millis(300);
    let error = connect(&uri, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// A sentinel that has not heard of the failover names a server that is a replica by now.
#[tokio::test]
async fn a_sentinel_that_names_a_replica_is_not_believed() {
    let primary = RedisServer::start();
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let hold = "sentinel down-after-milliseconds {service} 600000";
    let sentinel = Sentinel::start(primary.port(), &[hold]);
    let uri = format!("redis+sentinel://{}/{SERVICE}", sentinel.host());
    assert!(connect(&uri, &LinkOptions::new("k")).await.is_ok());

    sentinel.freeze();
    replica.cli(&["replicaof", "no", "one"]);
    let new = replica.port().to_string();
    primary.cli(&["replicaof", "127.0.0.1", &new]);
    sentinel.thaw();
    let error = refusal(&uri).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("is a replica"), "{error}");
}

#[tokio::test]
async fn what_is_no_sentinel_or_not_its_service_is_a_config_error() {
    let server = RedisServer::start();
    let sentinel = Sentinel::start(server.port(), &[]);
    for (uri, part) in [
        (
            format!("redis+sentinel://127.0.0.1:{}/{SERVICE}", server.port()),
            "is not a sentinel",
        ),
        (
            format!("redis+sentinel://{}/other", sentinel.host()),
            "watches no service `other`",
        ),
        (
            format!("redis://{}", sentinel.host()),
            "reached by redis+sentinel://",
        ),
    ] {
        let error = refusal(&uri).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{uri}: {error:?}");
        assert!(error.to_string().contains(part), "{uri}: {error}");
    }
}

#[tokio::test]
async fn servers_and_sentinels_have_passwords_of_their_own() {
    let server = RedisServer::start_with(&["--requirepass", "inner"]);
    let lines = [
        "requirepass outer",
        "sentinel auth-pass {service} inner",
        "user watcher on >eye -@all +sentinel|get-master-addr-by-name",
    ];
    let sentinel = Sentinel::start(server.port(), &lines);
    let host = sentinel.host();
    let options = LinkOptions::new("k");
    for query in [
        "sentinel_password=outer",
        "sentinel_username=watcher&sentinel_password=eye",
    ] {
        let uri = format!("redis+sentinel://:inner@{host}/{SERVICE}?{query}");
        assert!(connect(&uri, &options).await.is_ok(), "{query}");
    }
    for (password, query) in [
        ("inner", ""),
        ("inner", "sentinel_password=hush"),
        ("hush", "sentinel_password=outer"),
    ] {
        let error = refusal(&format!(
            "redis+sentinel://:{password}@{host}/{SERVICE}?{query}"
        ))
        .await;
        assert_eq!(
            error.kind(),
            ErrorKind::Refused,
            "{password} {query}: {error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn a_database_number_behind_the_service_becomes_part_of_the_topics() {
    let server = RedisServer::start();
    let sentinel = Sentinel::start(server.port(), &[]);
    let uri = format!("redis+sentinel://{}/{SERVICE}/3", sentinel.host());
    let mut three = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    server.cli(&["publish", "k:3", "a"]);
    expect(&mut three.inbound, Lane::Events, &["a"]).await;
}
