//! Clause 6 for servers that are there and of no use: frozen, demoted, or tired of a slow reader.

use super::*;
use crate::proxy::Proxy;

/// The error that ends a stream, and when it came.
async fn wait_for_end(inbound: &mut Inbound, limit: Duration) -> (SyncError, Duration) {
    let start = Instant::now();
    loop {
        match within(limit, inbound.next()).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return (error, start.elapsed()),
            None => panic!("a lost link ends with an error"),
        }
    }
}

async fn connect_with(server: &RedisServer, query: &str) -> Result<Link, SyncError> {
    let uri = format!("{}?{query}", server.uri());
    connect(&uri, &LinkOptions::new("k")).await
}

/// Makes a server a replica of another one and waits until they are in step.
async fn demote(server: &RedisServer, below: &RedisServer) {
    below.cli(&["config", "set", "repl-diskless-sync-delay", "0"]);
    let port = below.port().to_string();
    server.cli(&["replicaof", "127.0.0.1", &port]);
    until("the replica is in step", || {
        let state = server.cli(&["info", "replication"]);
        state.contains("master_link_status:up")
    })
    .await;
}

#[tokio::test]
async fn clause_06_a_frozen_server_ends_an_idle_link_within_five_seconds() {
    let server = RedisServer::start();
    let mut link = open(&server, "k").await;
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    server.freeze();
    let (error, took) = wait_for_end(&mut link.inbound, LIMIT).await;
    println!("a frozen server was noticed after {took:?}");
    assert!(
        error.to_string().ends_with("does not answer within 2s"),
        "{error}"
    );
    assert!(within(LIMIT, link.inbound.next()).await.is_none());

    drop(link);
    server.thaw();
    let clients = || {
        server
            .cli(&["client", "list"])
            .matches("name=wingbeat ")
            .count()
    };
    until("the dead link's connections are gone", || clients() == 0).await;
    assert!(connect(&server.uri(), &LinkOptions::new("k")).await.is_ok());
}

#[tokio::test]
async fn clause_06_a_half_open_line_ends_the_link_within_the_heartbeat() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let uri = format!("redis://127.0.0.1:{}?heartbeat=300", proxy.port());
    let mut behind = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    proxy.stall();
    let (_, took) = wait_for_end(&mut behind.inbound, LIMIT).await;
    assert!(took < Duration::from_millis(1_500), "{took:?}");
}

/// The answer comes in while this process stands still, which ends long after the deadline.
#[tokio::test]
async fn a_process_that_stands_still_is_not_deaf() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let uri = format!("redis://127.0.0.1:{}?heartbeat=200", proxy.port());
    let mut link = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    for _ in 0..3 {
        proxy.stall();
        // A question is under way when the process stops.
        let reading = timeout(Duration::from_millis(300), link.inbound.next()).await;
        assert!(reading.is_err(), "{reading:?}");
        proxy.resume();
        #[allow(clippy::disallowed_methods, reason = "it is what is tested")]
        std::thread::sleep(Duration::from_millis(600));
    }
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
}

#[tokio::test]
async fn a_quiet_link_lives_on_through_many_heartbeats() {
    let server = RedisServer::start();
    let mut link = connect_with(&server, "heartbeat=10").await.unwrap();
    let quiet = timeout(Duration::from_secs(1), link.inbound.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let stats = server.cli(&["info", "commandstats"]);
    let hellos = stats.lines().find(|line| line.contains("cmdstat_hello:"));
    let calls = hellos
        .and_then(|line| line.split(['=', ',']).nth(1))
        .unwrap();
    assert!(calls.parse::<u32>().unwrap() > 50, "{stats}");
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
}

#[tokio::test]
async fn a_replica_is_unavailable_until_it_is_promoted() {
    let primary = RedisServer::start();
    let replica = RedisServer::start();
    demote(&replica, &primary).await;
    let error = connect_with(&replica, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("is a replica"), "{error}");
    replica.cli(&["replicaof", "no", "one"]);
    assert!(connect_with(&replica, "").await.is_ok());
}

#[tokio::test]
async fn a_primary_that_is_demoted_ends_its_links() {
    let primary = RedisServer::start();
    let other = RedisServer::start();
    let mut link = connect_with(&primary, "heartbeat=200").await.unwrap();
    demote(&primary, &other).await;
    let (error, _) = wait_for_end(&mut link.inbound, LIMIT).await;
    assert!(error.to_string().contains("is a replica"), "{error}");
    let error = link.outbound.publish(Lane::Events, &[]).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

/// What the option allows, and why it is off: the replica hears everybody, and nobody else hears the replica.
#[tokio::test]
async fn allow_replica_takes_a_replica_that_hears_its_primary_and_is_heard_by_nobody() {
    let primary = RedisServer::start();
    let replica = RedisServer::start();
    demote(&replica, &primary).await;
    let query = "allow_replica=true&heartbeat=100";
    let mut below = connect_with(&replica, query).await.unwrap();
    let mut above = open(&primary, "k").await;
    publish(&mut above, Lane::Events, &["from above"]).await;
    expect(&mut below.inbound, Lane::Events, &["from above"]).await;
    publish(&mut below, Lane::Events, &["from below"]).await;
    expect(&mut below.inbound, Lane::Events, &["from below"]).await;
    expect(&mut above.inbound, Lane::Events, &["from above"]).await;
    let unheard = timeout(Duration::from_millis(500), above.inbound.next()).await;
    assert!(unheard.is_err(), "{unheard:?}");
}

/// The reader's side of the line stands still, so that the server's buffer for it grows over its limit.
#[tokio::test]
async fn an_output_buffer_over_its_limit_ends_the_link_of_the_slow_reader_alone() {
    let limit = ["--client-output-buffer-limit", "pubsub 1mb 0 0"];
    let server = RedisServer::start_with(&limit);
    let proxy = Proxy::start(server.port());
    let uri = format!("redis://127.0.0.1:{}?heartbeat=30000", proxy.port());
    let mut slow = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    let mut quick = open(&server, "k").await;
    proxy.stall();

    let subscribers = || server.cli(&["pubsub", "numsub", "k"]).lines().nth(1) == Some("2");
    let batch = vec![Bytes::from(vec![1; 64 * 1024]); 4];
    let mut sent = 0;
    while subscribers() {
        quick.outbound.publish(Lane::Events, &batch).await.unwrap();
        for _ in &batch {
            next(&mut quick.inbound).await;
        }
        sent += batch.len();
        assert!(
            sent < 4_096,
            "256 MiB and the server still waits for its reader"
        );
    }
    proxy.resume();
    let (error, _) = wait_for_end(&mut slow.inbound, LIMIT).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    publish(&mut quick, Lane::Events, &["on"]).await;
    expect(&mut quick.inbound, Lane::Events, &["on"]).await;
    assert!(connect(&uri, &LinkOptions::new("k")).await.is_ok());
}

/// As a Sentinel does with the clients of a primary that it demotes.
#[tokio::test]
async fn client_kill_by_type_ends_every_link() {
    let server = RedisServer::start();
    for kind in ["pubsub", "normal"] {
        let mut links = [open(&server, "k").await, open(&server, "k").await];
        let killed = server.cli(&["client", "kill", "type", kind]);
        assert_eq!(killed.trim(), "2", "{kind}");
        for link in &mut links {
            expect_over(link).await;
        }
    }
}
