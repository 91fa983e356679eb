//! What a user may and may not do, which NATS says on the side: it answers no publish.

use super::*;

/// A server with one user `node` who has these permissions beside those to hear everything.
fn server_with(permissions: &str) -> (NatsServer, String) {
    let user = format!("{{ user: node, password: pw, permissions: {{ {permissions} }} }}");
    let admin = "{ user: admin, password: pw }";
    let server = NatsServer::start_with(&format!("authorization {{ users: [ {user}, {admin} ] }}"));
    let uri = format!("nats://node:pw@127.0.0.1:{}", server.port());
    (server, uri)
}

/// What the documentation names as the least.
#[tokio::test]
async fn a_user_with_two_subjects_is_enough() {
    let (_server, uri) = server_with("publish: [\"k\", \"k.wb\"], subscribe: [\"k\", \"k.wb\"]");
    let mut one = open_at(&uri).await;
    let mut two = open_at(&uri).await;
    expect_joined(&mut one, &mut two).await;
    one.outbound.close().await.unwrap();
}

/// Only what asks whether the server is there is denied, in each of the two ways.
#[tokio::test]
async fn the_denial_of_the_question_is_an_answer() {
    for permissions in [
        "publish: \">\", subscribe: [\"k\", \"k.wb\"]",
        "publish: [\"k\", \"k.wb\"], subscribe: \">\"",
    ] {
        let (_server, uri) = server_with(permissions);
        let mut one = open_at(&uri).await;
        let mut two = open_at(&uri).await;
        expect_joined(&mut one, &mut two).await;
    }
}

#[tokio::test]
async fn a_user_who_may_not_publish_gets_each_element_refused_and_still_listens() {
    let (server, uri) = server_with("publish: \"other\", subscribe: \">\"");
    let mut options = LinkOptions::new("k");
    options.max_payload = 3;
    let mut reader = connect(&uri, &options).await.unwrap();
    let batch = ["a", "long", "b"].map(Bytes::from);
    // It is no matter of the first batch alone.
    for lane in [Lane::Events, Lane::Control, Lane::Events] {
        let failed = failures(&mut reader, lane, &batch).await;
        assert_eq!(
            failed,
            [
                (0, ErrorKind::Refused),
                (1, ErrorKind::PayloadTooLarge),
                (2, ErrorKind::Refused)
            ],
            "{lane:?}"
        );
    }
    let admin = format!("nats://admin:pw@127.0.0.1:{}", server.port());
    let mut writer = open_at(&admin).await;
    publish(&mut writer, Lane::Events, &["c"]).await;
    expect(&mut reader.inbound, Lane::Events, &["c"]).await;
}

#[tokio::test]
async fn a_user_who_may_publish_on_one_lane_only_is_told_about_the_other() {
    let (_server, uri) = server_with("publish: \"k.wb\", subscribe: \">\"");
    let mut link = open_at(&uri).await;
    let batch = [Bytes::from("a")];
    let failed = failures(&mut link, Lane::Events, &batch).await;
    assert_eq!(failed, [(0, ErrorKind::Refused)]);
    publish(&mut link, Lane::Control, &["b"]).await;
    expect(&mut link.inbound, Lane::Control, &["b"]).await;
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_one_of_the_lanes_is_refused() {
    for subscribe in ["k", "k.wb"] {
        let (_server, uri) = server_with(&format!("subscribe: \"{subscribe}\""));
        let error = refusal(&uri).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        assert!(
            format!("{error:?}").contains("Permissions Violation"),
            "{error:?}"
        );
    }
}
