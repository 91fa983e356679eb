//! Clauses 6 and 7: a link that dies says so, and another one can be opened.

use super::*;
use crate::proxy::Proxy;
use crate::redis_server::free_port;

/// The ids of the connections whose entry in the server's list has this.
fn ids(server: &RedisServer, having: &str) -> Vec<String> {
    let list = server.cli(&["client", "list"]);
    let lines = list.lines().filter(|line| line.contains(having));
    let id = |line: &str| line.split(['=', ' ']).nth(1).unwrap().to_owned();
    lines.map(id).collect()
}

#[tokio::test]
async fn clause_06_a_killed_server_ends_the_link_after_what_had_arrived() {
    let mut server = RedisServer::start();
    let mut link = open(&server, "k").await;
    publish(&mut link, Lane::Events, &["a"]).await;
    // Our own echo and the reply travel on two connections; both have to be here before the server goes.
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    server.kill();
    expect_over(&mut link).await;
}

#[tokio::test]
async fn clause_06_a_publish_is_what_notices_a_killed_server_first() {
    let mut server = RedisServer::start();
    let mut link = open(&server, "k").await;
    server.kill();
    let batch = [Bytes::from("x")];
    let error = within(LIMIT, link.outbound.publish(Lane::Events, &batch))
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    expect_over(&mut link).await;
}

#[tokio::test]
async fn clause_06_a_link_ends_when_only_its_subscriber_or_only_its_publisher_is_killed() {
    let server = RedisServer::start();
    for half in ["sub=2 ", "sub=0 "] {
        let mut options = LinkOptions::new("k");
        options.name = "victim".to_owned();
        let mut link = connect(&server.uri(), &options).await.unwrap();
        let entry = format!(" {half}");
        let mine: Vec<_> = ids(&server, "name=victim ")
            .into_iter()
            .filter(|id| ids(&server, &entry).contains(id))
            .collect();
        assert_eq!(mine.len(), 1, "{half}");
        server.cli(&["client", "kill", "id", &mine[0]]);
        expect_over(&mut link).await;
        drop(link);
        until("the dead link's other connection is gone", || {
            ids(&server, "name=victim ").is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn clause_06_a_frozen_server_is_noticed_by_the_next_publish() {
    let server = RedisServer::start();
    let mut link = open(&server, "k").await;
    server.freeze();
    let batch = [Bytes::from("x")];
    let slow = Duration::from_secs(7);
    let error = within(slow, link.outbound.publish(Lane::Events, &batch))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Redis does not answer a publish in time");
    expect_over(&mut link).await;

    let mut options = LinkOptions::new("k");
    options.connect_timeout = Duration::from_millis(200);
    let error = connect(&server.uri(), &options).await.unwrap_err();
    assert!(
        error.to_string().contains("does not answer within 200ms"),
        "{error}"
    );
    server.thaw();
    assert!(connect(&server.uri(), &options).await.is_ok());
}

#[tokio::test]
async fn clause_07_the_same_adapter_connects_again_after_a_restart() {
    let mut server = RedisServer::start();
    let adapter = RedisAdapter::from_uri(&server.uri()).unwrap();
    let options = LinkOptions::new("k");
    let mut old = adapter.connect(&options).await.unwrap();
    server.kill();
    expect_over(&mut old).await;
    let error = adapter.connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    server.restart();
    let mut new = adapter.connect(&options).await.unwrap();
    publish(&mut new, Lane::Events, &["a"]).await;
    expect(&mut new.inbound, Lane::Events, &["a"]).await;
    let error = old.outbound.publish(Lane::Events, &[]).await.unwrap_err();
    assert!(error.is_transient(), "a lost link stays lost: {error:?}");
}

#[tokio::test]
async fn clause_07_a_link_cut_by_a_proxy_is_over_and_another_one_opens_when_it_heals() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let uri = format!("redis://127.0.0.1:{}", proxy.port());
    let options = LinkOptions::new("k");
    let mut behind = connect(&uri, &options).await.unwrap();
    let mut direct = open(&server, "k").await;
    proxy.cut();
    expect_over(&mut behind).await;
    let error = connect(&uri, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    proxy.heal();
    let mut again = connect(&uri, &options).await.unwrap();
    publish(&mut again, Lane::Events, &["a"]).await;
    expect(&mut again.inbound, Lane::Events, &["a"]).await;
    expect(&mut direct.inbound, Lane::Events, &["a"]).await;
}

#[tokio::test]
async fn a_stall_shorter_than_the_deadline_delays_and_loses_nothing() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let uri = format!("redis://127.0.0.1:{}", proxy.port());
    let mut behind = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    let mut direct = open(&server, "k").await;
    proxy.stall();
    publish(&mut direct, Lane::Events, &["a"]).await;
    expect(&mut direct.inbound, Lane::Events, &["a"]).await;
    let silence = timeout(Duration::from_millis(200), behind.inbound.next()).await;
    assert!(silence.is_err(), "nothing passes a stalled proxy");
    proxy.resume();
    expect(&mut behind.inbound, Lane::Events, &["a"]).await;
}

#[tokio::test]
async fn clause_12_nobody_at_home_is_unavailable_until_somebody_is() {
    let port = free_port();
    let uri = format!("redis://127.0.0.1:{port}");
    let options = LinkOptions::new("k");
    let error = connect(&uri, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        format!("cannot open a link to Redis at 127.0.0.1:{port}")
    );
    let _server = RedisServer::start_on(port);
    assert!(connect(&uri, &options).await.is_ok());
}
