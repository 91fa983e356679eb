//! Clauses 12 and 13: who is let in, and that nobody reads a secret in the refusal.

use super::*;
use crate::keys;
use crate::nats_server::Scratch;

#[tokio::test]
async fn clause_12_and_13_wrong_and_missing_passwords_are_refused_and_not_shown() {
    let server = NatsServer::start_with("authorization { user: node, password: \"open sesame\" }");
    let with = |credentials: &str| format!("nats://{credentials}127.0.0.1:{}", server.port());
    open_at(&with("node:open%20sesame@")).await;
    for credentials in ["", "token@", "nobody:open%20sesame@", "node:hush@"] {
        let error = refusal(&with(credentials)).await;
        assert_eq!(error.kind(), ErrorKind::Refused, "{credentials}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_is_what_stands_alone_before_the_host() {
    let server = NatsServer::start_with("authorization { token: \"s/cret\" }");
    let with = |token: &str| format!("nats://{token}@127.0.0.1:{}", server.port());
    open_at(&with("s%2Fcret")).await;
    let error = refusal(&with("hush")).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}

#[tokio::test]
async fn an_nkey_signs_for_its_user_and_for_nobody_else() {
    let users = format!("authorization {{ users: [ {{ nkey: {} }} ] }}", keys::USER);
    let server = NatsServer::start_with(&users);
    let files = Scratch::new();
    let remark = format!("# of the node\n{}\n", keys::USER_SEED);
    let right = files.write("node.nk", &remark);
    let wrong = files.write("other.nk", keys::OTHER_SEED);
    let with = |file: &str| format!("{}?nkey={file}", server.uri());

    let mut one = open_at(&with(&right)).await;
    let mut two = open_at(&with(&right)).await;
    expect_joined(&mut one, &mut two).await;
    assert_eq!(refusal(&with(&wrong)).await.kind(), ErrorKind::Refused);
    assert_eq!(refusal(&server.uri()).await.kind(), ErrorKind::Refused);
}

/// The file of credentials may change while the process runs, as tools that renew it do.
#[tokio::test]
async fn a_creds_file_lets_its_user_in_and_is_read_again_for_every_link() {
    let (operator, account, jwt) = (keys::OPERATOR_JWT, keys::ACCOUNT, keys::ACCOUNT_JWT);
    let server = NatsServer::start_with(&format!(
        "operator: \"{operator}\"\nresolver: MEMORY\nresolver_preload: {{ {account}: \"{jwt}\" }}"
    ));
    let files = Scratch::new();
    let path = files.write("node.creds", &creds(keys::USER_JWT));
    let adapter = NatsAdapter::from_uri(&format!("{}?creds={path}", server.uri())).unwrap();
    let options = LinkOptions::new("k");

    let mut one = adapter.connect(&options).await.unwrap();
    let mut two = adapter.connect(&options).await.unwrap();
    expect_joined(&mut one, &mut two).await;

    files.write("node.creds", &creds(keys::STRANGER_JWT));
    let error = adapter.connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    files.write("node.creds", "nothing");
    let error = adapter.connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    files.write("node.creds", &creds(keys::USER_JWT));
    adapter.connect(&options).await.unwrap();
}

#[tokio::test]
async fn a_user_who_is_removed_loses_the_link_and_is_refused_then() {
    let user = |name: &str| format!("{{ user: {name}, password: pw }}");
    let users = |list: &str| format!("authorization {{ users: [ {list} ] }}");
    let both = users(&format!("{}, {}", user("node"), user("other")));
    let server = NatsServer::start_with(&both);
    let uri = |name: &str| format!("nats://{name}:pw@127.0.0.1:{}", server.port());
    let mut revoked = open_at(&uri("node")).await;
    let mut other = open_at(&uri("other")).await;
    expect_joined(&mut revoked, &mut other).await;

    let start = Instant::now();
    server.reload(&users(&user("other")));
    let error = expect_over(&mut revoked).await;
    println!(
        "a removed user lost the link after {:?}: {error:?}",
        start.elapsed()
    );
    let error = refusal(&uri("node")).await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{error:?}");
    publish(&mut other, Lane::Events, &["on"]).await;
    expect(&mut other.inbound, Lane::Events, &["on"]).await;
}

#[tokio::test]
async fn options_that_make_no_sense_are_config_errors() {
    for topic in ["", "a b", "a.*", "a.>", "a..b"] {
        let options = LinkOptions::new(topic);
        let error = connect("nats://127.0.0.1", &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{topic:?}");
    }
}

fn creds(jwt: &str) -> String {
    let seed = keys::USER_SEED;
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}
