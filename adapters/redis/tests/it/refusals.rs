//! Clauses 12 and 13: what a server's no is called, and that nobody reads the password in it.

use super::*;

async fn kind(uri: &str) -> ErrorKind {
    connect(uri, &LinkOptions::new("k"))
        .await
        .unwrap_err()
        .kind()
}

#[tokio::test]
async fn clause_12_and_13_wrong_and_missing_passwords_are_refused_and_not_shown() {
    let server = RedisServer::start_with(&["--requirepass", "open sesame"]);
    let with = |credentials: &str| format!("redis://{credentials}127.0.0.1:{}", server.port());
    let options = LinkOptions::new("k");

    assert!(connect(&with(":open%20sesame@"), &options).await.is_ok());
    assert_eq!(kind(&with("")).await, ErrorKind::Refused);
    assert_eq!(
        kind(&with("nobody:open%20sesame@")).await,
        ErrorKind::Refused
    );
    let error = connect(&with(":hush@"), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}

/// What the documentation names as the least. The watchdog's question needs no permission.
#[tokio::test]
async fn a_user_with_two_commands_and_two_channels_is_enough() {
    let server = RedisServer::start();
    let rules = [
        "acl",
        "setuser",
        "node",
        "on",
        ">p@w:1",
        "resetchannels",
        "&k",
        "&k.wb",
        "-@all",
        "+publish",
        "+subscribe",
    ];
    assert_eq!(server.cli(&rules).trim(), "OK", "{rules:?}");
    let uri = format!(
        "redis://node:p%40w%3A1@127.0.0.1:{}?heartbeat=20",
        server.port()
    );
    let mut one = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    let mut two = connect(&uri, &LinkOptions::new("k")).await.unwrap();
    let quiet = timeout(Duration::from_millis(200), one.inbound.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    expect_joined(&mut one, &mut two).await;
    let list = server.cli(&["client", "list"]);
    assert_eq!(list.matches("name=wingbeat ").count(), 4, "{list}");
    assert_eq!(list.matches("user=node ").count(), 4, "{list}");
    assert_eq!(
        kind(&uri.replace("p%40w", "hush")).await,
        ErrorKind::Refused
    );

    server.cli(&["acl", "deluser", "node"]);
    expect_over(&mut one).await;
    assert_eq!(kind(&uri).await, ErrorKind::Refused);
}

#[tokio::test]
async fn a_user_who_may_not_publish_gets_each_element_refused_and_still_listens() {
    let server = RedisServer::start();
    let rules = [
        "acl", "setuser", "reader", "on", ">pw", "&*", "+@all", "-publish",
    ];
    assert_eq!(server.cli(&rules).trim(), "OK");
    let uri = format!("redis://reader:pw@127.0.0.1:{}", server.port());
    let mut options = LinkOptions::new("k");
    options.max_payload = 3;
    let mut reader = connect(&uri, &options).await.unwrap();

    let batch = ["a", "long", "b"].map(Bytes::from);
    let report = reader.outbound.publish(Lane::Events, &batch).await.unwrap();
    let failed: Vec<_> = report.failed.iter().map(|(i, e)| (*i, e.kind())).collect();
    assert_eq!(
        failed,
        [
            (0, ErrorKind::Refused),
            (1, ErrorKind::PayloadTooLarge),
            (2, ErrorKind::Refused)
        ]
    );
    let mut writer = open(&server, "k").await;
    publish(&mut writer, Lane::Events, &["c"]).await;
    expect(&mut reader.inbound, Lane::Events, &["c"]).await;
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_one_of_the_lanes_is_refused() {
    let server = RedisServer::start();
    let rules = [
        "acl",
        "setuser",
        "half",
        "on",
        ">pw",
        "resetchannels",
        "&k",
        "+@all",
    ];
    assert_eq!(server.cli(&rules).trim(), "OK");
    let uri = format!("redis://half:pw@127.0.0.1:{}", server.port());
    assert_eq!(kind(&uri).await, ErrorKind::Refused);
}

#[tokio::test]
async fn a_server_that_is_full_is_unavailable_because_it_may_have_room_later() {
    let server = RedisServer::start_with(&["--maxclients", "1"]);
    assert_eq!(kind(&server.uri()).await, ErrorKind::Unavailable);
}

#[tokio::test]
async fn options_that_make_no_sense_are_config_errors() {
    let error = connect("redis://127.0.0.1", &LinkOptions::new(""))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
