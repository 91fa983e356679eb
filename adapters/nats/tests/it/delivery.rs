//! Clauses 1 to 5: what arrives, and where.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use super::*;

#[tokio::test]
async fn clause_01_every_link_hears_each_payload_once_the_sender_included() {
    let server = NatsServer::start();
    let mut links = [
        open(&server).await,
        open(&server).await,
        open(&server).await,
    ];
    publish(&mut links[0], Lane::Events, &["a", "b"]).await;
    for link in &mut links {
        expect(&mut link.inbound, Lane::Events, &["a", "b"]).await;
    }
    publish(&mut links[1], Lane::Events, &["end"]).await;
    for link in &mut links {
        expect(&mut link.inbound, Lane::Events, &["end"]).await;
    }
}

#[tokio::test]
async fn clause_02_ten_thousand_in_batches_of_all_sizes_arrive_in_order_on_every_link() {
    let server = NatsServer::start();
    let mut sender = open(&server).await;
    let mut peer = open(&server).await;
    let payloads: Vec<Bytes> = (0..10_000).map(|n| Bytes::from(format!("{n}"))).collect();

    let mut rest = &payloads[..];
    // The library's own queue holds 2,048 commands.
    for size in [1, 63, 64, 0, 3_000].into_iter().cycle() {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let report = sender.outbound.publish(Lane::Events, batch).await.unwrap();
        assert!(report.failed.is_empty());
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    for link in [&mut sender, &mut peer] {
        for payload in &payloads {
            assert_eq!(
                next(&mut link.inbound).await,
                (Lane::Events, payload.clone())
            );
        }
    }
}

#[tokio::test]
async fn clause_03_empty_binary_and_longest_payloads_arrive_unchanged() {
    let server = NatsServer::start();
    let mut link = open(&server).await;
    assert_eq!(link.max_payload, None, "the server takes what we send");
    let all_bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let batch = [
        Bytes::new(),
        Bytes::from_static(b"\r\nPUB k 0\r\n\0\xff"),
        Bytes::from(all_bytes),
        Bytes::from(vec![7; 1024 * 1024]),
        Bytes::new(),
    ];
    let report = link.outbound.publish(Lane::Events, &batch).await.unwrap();
    assert!(report.failed.is_empty());
    for payload in batch {
        assert_eq!(next(&mut link.inbound).await, (Lane::Events, payload));
    }
}

#[tokio::test]
async fn clause_03_the_lower_limit_of_the_server_is_known_and_what_exceeds_it_fails_alone() {
    let server = NatsServer::start_with("max_payload: 1000");
    let mut link = open(&server).await;
    assert_eq!(link.max_payload, Some(1_000));
    let sizes = [1_001, 1_000, 5_000, 0];
    let batch = sizes.map(|size| Bytes::from(vec![b'x'; size]));
    let too_large = ErrorKind::PayloadTooLarge;
    let failed = failures(&mut link, Lane::Events, &batch).await;
    assert_eq!(failed, [(0, too_large), (2, too_large)]);
    for size in [1_000, 0] {
        assert_eq!(next(&mut link.inbound).await.1.len(), size);
    }
}

#[tokio::test]
async fn clause_05_what_is_published_right_after_connect_is_heard_on_both_lanes() {
    let server = NatsServer::start();
    let mut sender = open(&server).await;
    for round in 0..50 {
        let mut fresh = open(&server).await;
        let (event, control) = (format!("e{round}"), format!("c{round}"));
        publish(&mut sender, Lane::Control, &[&control]).await;
        expect(&mut fresh.inbound, Lane::Control, &[&control]).await;
        publish(&mut sender, Lane::Events, &[&event]).await;
        expect(&mut fresh.inbound, Lane::Events, &[&event]).await;
    }
}

/// As a Node peer does it: no reply subject, no headers, no queue group.
#[tokio::test]
async fn a_foreign_client_on_the_bare_subject_hears_us_and_is_heard() {
    let server = NatsServer::start();
    let mut link = connect(&server.uri(), &LinkOptions::new("feathers-sync"))
        .await
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert!(line().starts_with("INFO "));
    stream
        .write_all(b"CONNECT {\"headers\":true}\r\nSUB feathers-sync 1\r\nPING\r\n")
        .unwrap();
    while line() != "PONG" {}

    publish(&mut link, Lane::Events, &["from us"]).await;
    assert_eq!(line(), "MSG feathers-sync 1 7");
    assert_eq!(line(), "from us");
    expect(&mut link.inbound, Lane::Events, &["from us"]).await;

    stream
        .write_all(b"PUB feathers-sync 12\r\nfrom outside\r\n")
        .unwrap();
    expect(&mut link.inbound, Lane::Events, &["from outside"]).await;
}
