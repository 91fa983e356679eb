use super::*;

fn parse(uri: &str) -> AmqpConfig {
    AmqpConfig::from_uri(uri).unwrap()
}

fn refuse(uri: &str) -> String {
    let error = AmqpConfig::from_uri(uri).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{uri}");
    format!("{error} {error:?}")
}

#[test]
fn a_bare_host_gets_the_defaults() {
    for uri in [
        "amqp://localhost",
        "amqp://localhost/",
        "amqp://localhost:5672/%2f",
        "rabbitmq://localhost",
        "amqp://guest:guest@localhost?heartbeat=5",
    ] {
        assert_eq!(parse(uri), AmqpConfig::new("localhost"), "{uri}");
    }
}

#[test]
fn every_part_is_read() {
    let mut full = AmqpConfig::new("");
    full.addresses = vec![
        Address::new("::1", 7000),
        Address::new("two", 5671),
        Address::new("10.0.0.1", 7001),
    ];
    full.tls = true;
    full.username = "node a".to_owned();
    full.password = "a/b?c#d@e:f%,".to_owned();
    full.vhost = "a/b c".to_owned();
    full.connect_timeout = Some(Duration::from_millis(250));
    full.heartbeat = Duration::from_secs(2);
    full.ca_cert = Some(PathBuf::from("/etc/ca file.pem"));
    let uri = "amqps://node%20a:a%2Fb%3Fc%23d%40e%3Af%25%2C@[::1]:7000,two,10.0.0.1:7001/a%2Fb%20c\
               ?connect_timeout=250&heartbeat=2&ca_cert=/etc/ca%20file.pem";
    assert_eq!(parse(uri), full);
}

#[test]
fn each_mistake_is_named() {
    for (uri, part) in [
        ("", "relative URL without a base"),
        ("localhost:5672", "not localhost"),
        ("http://localhost", "one of amqp, amqps, rabbitmq"),
        ("amqp://", "no host"),
        ("amqp:///v", "no host"),
        ("amqp://:5672", "cannot parse"),
        ("amqp://h:70000", "invalid port number"),
        ("amqp://h,", "no host"),
        ("amqp://h,,i", "no host"),
        ("amqp://h,i:x", "invalid port number"),
        ("amqp://h/one/two", "a / in its name is written %2F"),
        ("amqp://h/%ff", "virtual host in the AMQP URI is not UTF-8"),
        ("amqp://user@h", "without the other"),
        ("amqp://:secret@h", "without the other"),
        ("amqp://u:%ff@h", "password in the AMQP URI is not UTF-8"),
        ("amqp://h#insecure", "a # behind its host"),
        (
            "amqp://h?connect_timeout=0",
            "`connect_timeout` is a number",
        ),
        (
            "amqp://h?connect_timeout=1s",
            "`connect_timeout` is a number",
        ),
        ("amqp://h?heartbeat=0", "`heartbeat` is a number"),
        ("amqp://h?heartbeat=65536", "`heartbeat` is a number"),
        ("amqp://h?hearbeat=5", "unknown option `hearbeat`"),
        (
            "amqp://h?hearbeat=5",
            "known: ca_cert, connect_timeout, heartbeat",
        ),
        ("amqp://h?ca_cert=/x.pem", "needs amqps://"),
    ] {
        let message = refuse(uri);
        assert!(message.contains(part), "{uri}: {message}");
    }
}

#[test]
fn fields_that_a_uri_cannot_express_are_checked_too() {
    let mut nobody = AmqpConfig::new("h");
    nobody.addresses.clear();
    let mut half = AmqpConfig::new("h");
    half.heartbeat = Duration::from_millis(1_500);
    let mut none = AmqpConfig::new("h");
    none.heartbeat = Duration::ZERO;
    for config in [nobody, half, none] {
        let error = crate::AmqpAdapter::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
}

#[test]
fn a_password_that_was_not_escaped_is_not_shown() {
    for uri in [
        "amqp://u:7hush/hush@h/v",
        "amqp://user:7/hush@h",
        "amqp://user:7?hush@h",
        "amqp://user:7#hush@h",
        "amqp://user:hush#hush@h",
        "amqp://user:hush hush@h:port",
        "amqp://u:hush@",
        "amqp://:hush@h",
        "amqp://u:hush@hush,h@h/s/x",
        "amqp://u:hush@h,hush:hush/s",
        "hush://u:p@h?x=hush",
    ] {
        let message = refuse(uri);
        let hidden = message.replace("not hush", "");
        assert!(!hidden.contains("hush"), "{uri}: {message}");
    }
}

#[test]
fn debug_shows_no_password() {
    let config = parse("amqp://user:hush@h");
    assert!(!format!("{config:?}").contains("hush"));
    let adapter = crate::AmqpAdapter::new(config).unwrap();
    assert!(!format!("{adapter:?}").contains("hush"));
}

#[test]
fn a_ca_certificate_needs_a_readable_pem_file() {
    for (uri, part) in [
        (
            "amqps://h?ca_cert=/no/such/file.pem",
            "cannot read the file of `ca_cert`",
        ),
        (
            concat!("amqps://h?ca_cert=", env!("CARGO_MANIFEST_PATH")),
            "holds no PEM certificate",
        ),
    ] {
        let error = crate::AmqpAdapter::from_uri(uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(part), "{uri}: {error}");
    }
}
