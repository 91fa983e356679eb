//! Clauses 6, 7 and 12: a link that dies says so, and another one can be opened.

use super::*;
use crate::nats_server::free_port;
use crate::proxy::Proxy;

#[tokio::test]
async fn clause_06_a_killed_server_ends_the_link_after_what_had_arrived() {
    let mut server = NatsServer::start();
    let mut link = open(&server).await;
    let mut peer = open(&server).await;
    publish(&mut link, Lane::Events, &["a", "b", "c"]).await;
    expect(&mut peer.inbound, Lane::Events, &["a", "b", "c"]).await;
    // Our own echo is on its way or here; what is here comes before the end.
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    let start = Instant::now();
    server.kill();
    let error = expect_over(&mut link).await;
    println!("a killed server was noticed after {:?}", start.elapsed());
    assert_eq!(error.to_string(), "the connection to NATS is gone");
}

#[tokio::test]
async fn clause_07_the_same_adapter_connects_again_after_a_restart() {
    let mut server = NatsServer::start();
    let adapter = NatsAdapter::from_uri(&server.uri()).unwrap();
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
    until("nothing but the new link", || server.holdings() == 3).await;
}

/// The library would dial again by itself; the server is back at once and sees nobody.
#[tokio::test]
async fn clause_07_a_lost_link_never_comes_back_by_itself() {
    let server = NatsServer::start();
    let proxy = Proxy::start(server.port());
    let mut links = Vec::new();
    for _ in 0..5 {
        links.push(open_at(&format!("nats://127.0.0.1:{}", proxy.port())).await);
    }
    proxy.cut();
    proxy.heal();
    for link in &mut links {
        expect_over(link).await;
    }
    until("nobody is connected", || server.holdings() == 0).await;
    assert!(proxy.connections().is_empty());
    let total = server.ask("/varz");
    assert!(total.contains("\"total_connections\": 5,"), "{total}");
}

#[tokio::test]
async fn clause_07_a_link_cut_by_a_proxy_is_over_and_another_one_opens_when_it_heals() {
    let server = NatsServer::start();
    let proxy = Proxy::start(server.port());
    let uri = format!("nats://127.0.0.1:{}", proxy.port());
    let mut behind = open_at(&uri).await;
    let mut direct = open(&server).await;
    let start = Instant::now();
    proxy.cut();
    expect_over(&mut behind).await;
    println!("a cut line was noticed after {:?}", start.elapsed());
    assert_eq!(refusal(&uri).await.kind(), ErrorKind::Unavailable);

    proxy.heal();
    let mut again = open_at(&uri).await;
    expect_joined(&mut again, &mut direct).await;
}

#[tokio::test]
async fn clause_12_nobody_at_home_is_unavailable_until_somebody_is() {
    let port = free_port();
    let uri = format!("nats://127.0.0.1:{port}");
    let error = refusal(&uri).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        format!("cannot open a link to NATS at 127.0.0.1:{port}")
    );
    let _server = NatsServer::start_on(port);
    open_at(&uri).await;
}

#[tokio::test]
async fn a_server_that_is_full_is_unavailable_because_it_may_have_room_later() {
    let server = NatsServer::start_with("max_connections: 1");
    let first = open(&server).await;
    let error = refusal(&server.uri()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    drop(first);
    until("there is room", || server.holdings() == 0).await;
    open(&server).await;
}

/// The server says that it goes, closes its clients one by one, and takes no new ones.
#[tokio::test]
async fn a_server_in_lame_duck_mode_is_used_until_it_closes_and_then_the_next_one_is_taken() {
    let retiring = NatsServer::start_with("lame_duck_duration: 30s\nlame_duck_grace_period: 300ms");
    let other = NatsServer::start();
    let uri = format!("{},127.0.0.1:{}", retiring.uri(), other.port());
    let mut link = open_at(&uri).await;
    assert_eq!((retiring.holdings() > 0, other.holdings()), (true, 0));
    retiring.retire();
    until("it takes no new ones", || {
        std::net::TcpStream::connect(("127.0.0.1", retiring.port())).is_err()
    })
    .await;
    publish(&mut link, Lane::Events, &["still"]).await;
    expect(&mut link.inbound, Lane::Events, &["still"]).await;

    let limit = Duration::from_secs(20);
    let (error, took) = wait_for_end(&mut link.inbound, limit).await;
    println!("a server in lame duck mode closed after {took:?}");
    assert!(error.is_transient(), "{error:?}");
    let mut next = open_at(&uri).await;
    publish(&mut next, Lane::Events, &["a"]).await;
    expect(&mut next.inbound, Lane::Events, &["a"]).await;
    assert!(other.holdings() > 0);
}
