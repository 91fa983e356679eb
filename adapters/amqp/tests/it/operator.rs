//! What whoever runs the broker may do to a link.

use super::*;

#[tokio::test]
async fn a_deleted_queue_ends_the_link_although_its_connection_lives() {
    let place = Place::new();
    let mut link = place.open("k").await;
    place.server.eval(&format!(
        "rabbit_amqqueue:delete(hd(rabbit_amqqueue:list(<<\"{}\">>)), false, false, <<\"test\">>)",
        place.vhost
    ));
    let (error, took) = wait_for_end(&mut link.inbound, LIMIT).await;
    println!("a deleted queue was noticed after {took:?}: {error:?}");
    assert!(error.to_string().contains("its queue is gone"), "{error}");
    expect_over_too(&mut link).await;
    until("its connection is gone too", || place.holdings() == 0).await;
}

async fn expect_over_too(link: &mut Link) {
    let batch = [Bytes::from("x")];
    let error = link
        .outbound
        .publish(Lane::Events, &batch)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_closed_connection_ends_the_link_and_another_one_opens() {
    let place = Place::new();
    let mut link = place.open("k").await;
    place.eval_for_each_connection("rabbit_networking:close_connection(P, \"maintenance\")");
    let (error, took) = wait_for_end(&mut link.inbound, LIMIT).await;
    println!("a connection that the operator closed was noticed after {took:?}: {error:?}");
    expect_over_too(&mut link).await;
    let mut again = place.open("k").await;
    let mut other = place.open("k").await;
    expect_joined(&mut again, &mut other).await;
}

/// The exchange goes with a restart of the broker as well, and comes back with the next link.
#[tokio::test]
async fn a_deleted_exchange_ends_the_link_with_its_next_publish_and_comes_back() {
    let place = Place::new();
    let mut link = place.open("k").await;
    place.server.eval(&format!(
        "rabbit_exchange:delete(rabbit_misc:r(<<\"{}\">>, exchange, <<\"k\">>), false, <<\"test\">>)",
        place.vhost
    ));
    let batch = [Bytes::from("x")];
    let error = link
        .outbound
        .publish(Lane::Events, &batch)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    expect_over(&mut link).await;
    let mut again = place.open("k").await;
    let mut other = place.open("k").await;
    expect_joined(&mut again, &mut other).await;
}

#[tokio::test]
async fn a_removed_virtual_host_ends_its_links() {
    let place = Place::new();
    let mut link = place.open("k").await;
    let deleted = format!("rabbit_vhost:delete(<<\"{}\">>, <<\"test\">>)", place.vhost);
    place.server.eval(&deleted);
    wait_for_end(&mut link.inbound, LIMIT).await;
    let error = connect(&place.uri(), &LinkOptions::new("k"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
}

/// Nothing is left to hear in the queue: what is put there by hand is no event, and it is said.
#[tokio::test]
async fn what_is_put_into_the_queue_by_hand_is_told_as_lost() {
    let place = Place::new();
    let mut link = place.open("k").await;
    let stray = lapin::Connection::connect(&place.uri(), lapin::ConnectionProperties::default())
        .await
        .unwrap();
    let channel = stray.create_channel().await.unwrap();
    let queue = place.server.eval(&format!(
        "element(4, amqqueue:get_name(hd(rabbit_amqqueue:list(<<\"{}\">>))))",
        place.vhost
    ));
    let queue = queue.trim_start_matches("<<\"").trim_end_matches("\">>");
    channel
        .basic_publish(
            "".into(),
            queue.into(),
            lapin::options::BasicPublishOptions::default(),
            b"by hand",
            lapin::BasicProperties::default(),
        )
        .await
        .unwrap();
    let told = within(LIMIT, link.inbound.next()).await;
    assert!(matches!(told, Some(Ok(Incoming::Lost(1)))), "{told:?}");
    publish(&mut link, Lane::Events, &["on"]).await;
    expect(&mut link.inbound, Lane::Events, &["on"]).await;
}
