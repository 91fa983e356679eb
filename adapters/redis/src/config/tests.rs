use super::*;

fn parse(uri: &str) -> RedisConfig {
    RedisConfig::from_uri(uri).unwrap()
}

fn refuse(uri: &str) -> String {
    let error = RedisConfig::from_uri(uri).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{uri}");
    format!("{error} {error:?}")
}

#[test]
fn a_bare_host_gets_the_defaults() {
    for uri in [
        "redis://localhost",
        "redis://localhost/",
        "redis://localhost:6379/0",
    ] {
        assert_eq!(parse(uri), RedisConfig::new("localhost"), "{uri}");
    }
}

#[test]
fn every_part_is_read() {
    let mut full = RedisConfig::new("::1");
    full.port = 7000;
    full.tls = true;
    full.username = Some("node a".to_owned());
    full.password = Some("a/b?c#d@e:f%".to_owned());
    full.database = 12;
    full.connect_timeout = Some(Duration::from_millis(250));
    full.ca_cert = Some(PathBuf::from("/etc/ca file.pem"));
    let uri = "rediss://node%20a:a%2Fb%3Fc%23d%40e%3Af%25@[::1]:7000/12\
               ?connect_timeout=250&ca_cert=/etc/ca%20file.pem";
    assert_eq!(parse(uri), full);
}

#[test]
fn a_password_without_a_user_is_for_the_default_user() {
    let config = parse("redis://:secret@h");
    assert_eq!(
        (config.username, config.password.as_deref()),
        (None, Some("secret"))
    );
}

#[test]
fn each_mistake_is_named() {
    for (uri, part) in [
        ("", "relative URL without a base"),
        ("localhost:6379", "not localhost"),
        ("http://localhost", "redis or rediss, not http"),
        ("redis://", "no host"),
        ("redis:///0", "no host"),
        ("redis://:6379", "cannot parse"),
        ("redis://h:70000", "invalid port number"),
        ("redis://h/one", "database number"),
        ("redis://h/-1", "database number"),
        ("redis://h/0/1", "database number"),
        ("redis://user@h", "user name without a password"),
        ("redis://:%ff@h", "password in the Redis URI is not UTF-8"),
        ("redis://h#insecure", "a # behind its host"),
        (
            "redis://h?connect_timeout=0",
            "`connect_timeout` is a number",
        ),
        (
            "redis://h?connect_timeout=1s",
            "`connect_timeout` is a number",
        ),
        ("redis://h?protocol=3", "unknown option `protocol`"),
    ] {
        let message = refuse(uri);
        assert!(message.contains(part), "{uri}: {message}");
    }
}

#[test]
fn a_password_that_was_not_escaped_is_not_shown() {
    for uri in [
        "redis://:7hush/hush@h/0",
        "redis://user:7/hush@h",
        "redis://user:7?hush@h",
        "redis://user:7#hush@h",
        "redis://user:hush#hush@h",
        "redis://user:hush hush@h:port",
        "redis://u:hush@",
        "redis://u:hush@h/hush",
        "hush://u:p@h?x=hush",
    ] {
        let message = refuse(uri);
        let hidden = message.replace("not hush", "");
        assert!(!hidden.contains("hush"), "{uri}: {message}");
    }
}

#[test]
fn debug_shows_no_password() {
    let config = parse("redis://user:hush@h");
    assert!(!format!("{config:?}").contains("hush"));
    let adapter = crate::RedisAdapter::new(config).unwrap();
    assert!(!format!("{adapter:?}").contains("hush"));
}

#[test]
fn a_ca_certificate_needs_tls_and_a_readable_pem_file() {
    for (uri, part) in [
        ("redis://h?ca_cert=/x.pem", "needs rediss://"),
        (
            "rediss://h?ca_cert=/no/such/file.pem",
            "cannot read the file of `ca_cert`",
        ),
        (
            concat!("rediss://h?ca_cert=", env!("CARGO_MANIFEST_PATH")),
            "holds no PEM certificate",
        ),
    ] {
        let error = crate::RedisAdapter::from_uri(uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(part), "{uri}: {error}");
    }
}
