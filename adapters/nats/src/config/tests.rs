use super::*;

fn parse(uri: &str) -> NatsConfig {
    NatsConfig::from_uri(uri).unwrap()
}

fn refuse(uri: &str) -> String {
    let error = NatsConfig::from_uri(uri).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{uri}");
    format!("{error} {error:?}")
}

#[test]
fn a_bare_host_gets_the_defaults() {
    for uri in [
        "nats://localhost",
        "nats://localhost/",
        "nats://localhost:4222",
    ] {
        assert_eq!(parse(uri), NatsConfig::new("localhost"), "{uri}");
    }
}

#[test]
fn every_part_is_read() {
    let mut full = NatsConfig::new("");
    full.addresses = vec![Address::new("::1", 7000), Address::new("two", 4222)];
    full.tls = true;
    full.username = Some("node a".to_owned());
    full.password = Some("a/b?c#d@e:f%".to_owned());
    full.connect_timeout = Some(Duration::from_millis(250));
    full.heartbeat = Duration::from_millis(300);
    full.ca_cert = Some(PathBuf::from("/etc/ca file.pem"));
    let uri = "tls://node%20a:a%2Fb%3Fc%23d%40e%3Af%25@[::1]:7000,two?connect_timeout=250\
               &heartbeat=300&ca_cert=/etc/ca%20file.pem";
    assert_eq!(parse(uri), full);
}

#[test]
fn the_other_credentials_are_read() {
    assert_eq!(parse("nats://t%40k@h").token.as_deref(), Some("t@k"));
    let path = |text: &str| Some(PathBuf::from(text));
    assert_eq!(parse("nats://h?nkey=/n.nk").nkey, path("/n.nk"));
    assert_eq!(parse("nats://h?creds=/n.creds").creds, path("/n.creds"));
}

#[test]
fn each_mistake_is_named() {
    for (uri, part) in [
        ("", "relative URL without a base"),
        ("localhost:4222", "not localhost"),
        ("http://localhost", "one of nats, tls,"),
        ("nats://", "no host"),
        ("nats:///k", "no host"),
        ("nats://:4222", "cannot parse"),
        ("nats://h:70000", "invalid port number"),
        ("nats://h,i:x", "invalid port number"),
        ("nats://h,,i", "no host"),
        ("nats://h/subject", "has a path"),
        ("nats://:pw@h", "password without a user name"),
        ("nats://u:%ff@h", "password in the NATS URI is not UTF-8"),
        ("nats://h#insecure", "a # behind its host"),
        (
            "nats://h?connect_timeout=0",
            "`connect_timeout` is a number",
        ),
        ("nats://h?heartbeat=1s", "`heartbeat` is a number"),
        ("nats://h?creds=", "`creds` is the path of a file"),
        ("nats://h?echo=false", "unknown option `echo`"),
        ("nats://h?ca_cert=/ca.pem", "`ca_cert` needs tls://"),
        ("nats://t@h?nkey=/n.nk", "one of a user"),
        ("nats://u:p@h?creds=/n.creds", "one of a user"),
        ("nats://h?nkey=/n.nk&creds=/n.creds", "one of a user"),
    ] {
        let message = refuse(uri);
        assert!(message.contains(part), "{uri}: {message}");
    }
}

#[test]
fn a_password_that_was_not_escaped_is_not_shown() {
    for uri in [
        "nats://user:7/hush@h",
        "nats://user:7?hush@h",
        "nats://user:7#hush@h",
        "nats://user:hush#hush@h",
        "nats://user:hush hush@h:port",
        "nats://u:hush@",
        "nats://u:hush@h/hush",
        "nats://:hush@h",
        "nats://hush@h,i:x",
        "nats://u:7,hush/hush@h",
        "nats://u:hush@h,hush:hush",
        "nats://u:hush@h?nkey=/n",
        "hush://u:p@h?x=hush",
    ] {
        let message = refuse(uri);
        let hidden = message.replace("not hush", "");
        assert!(!hidden.contains("hush"), "{uri}: {message}");
    }
}

#[test]
fn debug_shows_neither_password_nor_token() {
    for uri in ["nats://user:hush@h", "nats://hush@h"] {
        let config = parse(uri);
        assert!(!format!("{config:?}").contains("hush"));
        let adapter = crate::NatsAdapter::new(config).unwrap();
        assert!(!format!("{adapter:?}").contains("hush"));
    }
}

#[test]
fn a_host_that_is_none_is_found_when_the_adapter_is_made() {
    for host in ["a/b", "a@b", "a?b", "a b", ""] {
        let error = crate::NatsAdapter::new(NatsConfig::new(host)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{host}");
    }
    for host in ["localhost", "10.0.0.1", "::1"] {
        assert!(crate::NatsAdapter::new(NatsConfig::new(host)).is_ok());
    }
}

#[test]
fn files_are_read_when_the_adapter_is_made() {
    let manifest = env!("CARGO_MANIFEST_PATH");
    for (uri, part) in [
        (
            "tls://h?ca_cert=/no/such.pem".to_owned(),
            "cannot read the file of `ca_cert`",
        ),
        (
            format!("tls://h?ca_cert={manifest}"),
            "holds no PEM certificate",
        ),
        (
            "nats://h?nkey=/no/such.nk".to_owned(),
            "cannot read the file of `nkey`",
        ),
        (
            format!("nats://h?nkey={manifest}"),
            "holds no seed of a user",
        ),
        (
            "nats://h?creds=/no/such".to_owned(),
            "cannot read the file of `creds`",
        ),
        (
            format!("nats://h?creds={manifest}"),
            "holds no JWT with its seed",
        ),
    ] {
        let error = crate::NatsAdapter::from_uri(&uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(part), "{uri}: {error}");
    }
}
