//! A broker that has no memory left stops reading from whoever publishes, and goes on with everything else.

use super::*;

/// Raises or clears the alarm and waits until the broker has told its connections.
async fn set_alarm(server: &RabbitMq, is_raised: bool) {
    let watermark = if is_raised { "0.000001" } else { "0.4" };
    server.eval(&format!(
        "vm_memory_monitor:set_vm_memory_high_watermark({watermark})"
    ));
    let state = if is_raised { "false" } else { "true" };
    until("the alarm is as it should be", || {
        server.eval("rabbit_alarm:get_alarms() =:= []") == state
    })
    .await;
}

#[tokio::test]
async fn a_memory_alarm_delays_a_publish_and_loses_nothing() {
    let server = RabbitMq::start();
    let mut one = open(&server.uri(), "k").await;
    let mut two = open(&server.uri(), "k").await;
    expect_joined(&mut one, &mut two).await;
    set_alarm(&server, true).await;
    let batch = [Bytes::from("in the alarm")];
    let waiting = one.outbound.publish(Lane::Events, &batch);
    let early = timeout(Duration::from_secs(1), waiting).await;
    assert!(early.is_err(), "a publish waits: {early:?}");
    set_alarm(&server, false).await;
    publish(&mut one, Lane::Events, &["afterwards"]).await;
    for link in [&mut one, &mut two] {
        expect(
            &mut link.inbound,
            Lane::Events,
            &["in the alarm", "afterwards"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_memory_alarm_that_stays_ends_the_links_that_publish_and_leaves_nothing() {
    let server = RabbitMq::start();
    let mut sender = open(&server.uri(), "k").await;
    let mut listener = open(&server.uri(), "k").await;
    set_alarm(&server, true).await;
    let start = Instant::now();
    let batch = [Bytes::from("x")];
    let slow = Duration::from_secs(10);
    let error = within(slow, sender.outbound.publish(Lane::Events, &batch))
        .await
        .unwrap_err();
    println!(
        "an alarm ended a link that publishes after {:?}",
        start.elapsed()
    );
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("does not confirm"), "{error}");
    expect_over(&mut sender).await;

    // Who only listens is not concerned, and a link can be opened all the time.
    let silence = timeout(Duration::from_millis(100), listener.inbound.next()).await;
    assert!(silence.is_err(), "the listener lives: {silence:?}");
    let mut parting = open(&server.uri(), "k").await;
    let waiting = parting.outbound.publish(Lane::Events, &batch);
    assert!(timeout(Duration::from_millis(300), waiting).await.is_err());
    let parted = within(LIMIT, parting.outbound.close()).await;
    assert!(parted.is_err(), "a goodbye does not get through either");
    assert!(within(LIMIT, parting.inbound.next()).await.is_none());

    set_alarm(&server, false).await;
    until("only the listener is left", || server.holdings("/") == 2).await;
    drop(sender);
    publish(&mut listener, Lane::Events, &["on"]).await;
}
