//! Clause 12: who is not let in is told why.

use super::*;

async fn refusal(uri: &str) -> SyncError {
    within(LIMIT, connect(uri, &LinkOptions::new("k")))
        .await
        .unwrap_err()
}

fn causes(error: &SyncError) -> String {
    format!("{error:?}")
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_refused() {
    let place = Place::new();
    for credentials in ["guest:wrong", "nobody:open-sesame"] {
        let error = refusal(&place.uri().replace("guest:open-sesame", credentials)).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
        assert!(causes(&error).contains("ACCESS_REFUSED"), "{error:?}");
    }
}

#[tokio::test]
async fn a_virtual_host_that_is_missing_is_a_config_error_and_one_that_is_forbidden_is_refused() {
    let place = Place::new();
    let error = refusal(&format!("{}x", place.uri())).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(causes(&error).contains("not found"), "{error:?}");

    let user = format!("outsider-{}", place.vhost);
    place.server.add_user(&user, "pw");
    let error = refusal(
        &place
            .uri()
            .replace("guest:open-sesame", &format!("{user}:pw")),
    )
    .await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
}

#[tokio::test]
async fn an_exchange_of_another_kind_is_a_config_error() {
    let place = Place::new();
    place.server.eval(&format!(
        "rabbit_exchange:declare(rabbit_misc:r(<<\"{}\">>, exchange, <<\"k\">>), topic, \
         true, false, false, [], <<\"test\">>)",
        place.vhost
    ));
    let error = refusal(&place.uri()).await;
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(causes(&error).contains("inequivalent arg"), "{error:?}");
    until("nothing is left", || place.holdings() == 0).await;
}

/// AMQP closes the channel on whoever publishes without leave, so the link is over and not only the element refused.
#[tokio::test]
async fn a_user_who_may_not_publish_hears_until_it_publishes() {
    let place = Place::new();
    let user = format!("listener-{}", place.vhost);
    place.server.add_user(&user, "pw");
    // A queue is bound by whoever may write to it.
    place
        .server
        .permit(&user, &place.vhost, "k[.][0-9a-f]+[.].*");
    let uri = place
        .uri()
        .replace("guest:open-sesame", &format!("{user}:pw"));
    let mut listener = open(&uri, "k").await;
    let mut speaker = place.open("k").await;
    publish(&mut speaker, Lane::Events, &["a"]).await;
    expect(&mut listener.inbound, Lane::Events, &["a"]).await;
    let batch = [Bytes::from("x")];
    let error = listener
        .outbound
        .publish(Lane::Events, &batch)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    assert!(causes(&error).contains("exchange 'k'"), "{error:?}");
}

#[tokio::test]
async fn the_least_rights_that_docs_name_are_enough() {
    let place = Place::new();
    let user = format!("least-{}", place.vhost);
    place.server.add_user(&user, "pw");
    let pattern = "^feathers-sync([.].+)?$";
    let permitted = place.server.eval(&format!(
        "rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, <<\"{}\">>, \
         <<\"{pattern}\">>, <<\"{pattern}\">>, <<\"{pattern}\">>, <<\"test\">>)",
        place.vhost
    ));
    assert_eq!(permitted, "ok");
    let uri = place
        .uri()
        .replace("guest:open-sesame", &format!("{user}:pw"));
    let mut one = open(&uri, "feathers-sync").await;
    let mut two = open(&uri, "feathers-sync").await;
    expect_joined(&mut one, &mut two).await;
    let error = connect(&uri, &LinkOptions::new("other")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
}

#[tokio::test]
async fn what_does_not_speak_amqp_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let page = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut socket, page)
            .await
            .unwrap();
        socket
    };
    let uri = format!("amqp://127.0.0.1:{port}");
    let (error, _socket) = tokio::join!(refusal(&uri), answering);
    println!("a web server: {error:?}");
    assert_ne!(error.kind(), ErrorKind::Refused, "{error:?}");
}
