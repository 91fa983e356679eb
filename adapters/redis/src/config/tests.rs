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
    let mut full = RedisConfig::new("");
    full.addresses = vec![Address::new("::1", 7000)];
    full.tls = true;
    full.username = Some("node a".to_owned());
    full.password = Some("a/b?c#d@e:f%".to_owned());
    full.database = 12;
    full.connect_timeout = Some(Duration::from_millis(250));
    full.heartbeat = Duration::from_millis(300);
    full.allow_replica = true;
    full.ca_cert = Some(PathBuf::from("/etc/ca file.pem"));
    let uri = "rediss://node%20a:a%2Fb%3Fc%23d%40e%3Af%25@[::1]:7000/12?connect_timeout=250\
               &heartbeat=300&allow_replica=true&ca_cert=/etc/ca%20file.pem";
    assert_eq!(parse(uri), full);
}

fn addresses(list: &[(&str, u16)]) -> Vec<Address> {
    let address = |(host, port): &(&str, u16)| Address::new(*host, *port);
    list.iter().map(address).collect()
}

#[test]
fn sentinels_are_a_list_of_hosts_and_the_path_names_the_service() {
    let config = parse(
        "rediss+sentinel://u:p%2C@one,two:7000,[::1]:7001,10.0.0.1/my%20master/2\
         ?sentinel_username=watcher&sentinel_password=s%26t",
    );
    let mut sentinel = Sentinel::new("my master");
    sentinel.username = Some("watcher".to_owned());
    sentinel.password = Some("s&t".to_owned());
    assert_eq!(config.deployment, Deployment::Sentinel(sentinel));
    let places = [
        ("one", 26_379),
        ("two", 7000),
        ("::1", 7001),
        ("10.0.0.1", 26_379),
    ];
    assert_eq!(config.addresses, addresses(&places));
    assert_eq!((config.tls, config.database), (true, 2));
    assert_eq!(config.password.as_deref(), Some("p,"));
}

#[test]
fn a_cluster_is_a_list_of_hosts_and_sharded_unless_told_otherwise() {
    for (tail, pubsub) in [
        ("", PubSub::Sharded),
        ("/", PubSub::Sharded),
        ("/0?pubsub=sharded", PubSub::Sharded),
        ("?pubsub=classic", PubSub::Classic),
    ] {
        let config = parse(&format!("redis+cluster://:p@one,two:7000{tail}"));
        assert_eq!(config.deployment, Deployment::Cluster(pubsub), "{tail}");
        assert_eq!(config.addresses, addresses(&[("one", 6379), ("two", 7000)]));
        assert_eq!(config.password.as_deref(), Some("p"));
    }
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
        ("http://localhost", "one of redis, rediss,"),
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
        ("redis://h?heartbeat=0", "`heartbeat` is a number"),
        (
            "redis://h?allow_replica=yes",
            "`allow_replica` is true or false",
        ),
        (
            "redis://one,two",
            "several Redis hosts need redis+sentinel://",
        ),
        (
            "redis://h?pubsub=classic",
            "`pubsub` is for redis+cluster://",
        ),
        ("redis://h?sentinel_username=u", "for redis+sentinel://"),
        ("redis+sentinel://h", "begins with the service's name"),
        ("redis+sentinel://h//1", "begins with the service's name"),
        ("redis+sentinel://h/s/x", "database number"),
        ("redis+sentinel://h/s/1/2", "database number"),
        ("redis+sentinel://h,/s", "no host"),
        ("redis+sentinel://h,,i/s", "no host"),
        ("redis+sentinel://h,i:x/s", "invalid port number"),
        (
            "redis+sentinel://h/s?sentinel_username=u",
            "needs `sentinel_password`",
        ),
        (
            "redis+sentinel://h/s?allow_replica=true",
            "`allow_replica` is for redis://",
        ),
        ("redis+cluster://h/1", "has only database 0"),
        ("redis+cluster://h?pubsub=both", "sharded or classic"),
        ("redis+cluster:h", "no host"),
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
        "redis+sentinel://u:7,hush/hush@h/s",
        "redis+sentinel://u:hush@hush,h@h/s/x",
        "redis+sentinel://u:hush@h,hush:hush/s",
        "redis+sentinel://h/s?sentinel_password=a&hush",
        "redis+sentinel://h/s?sentinel_password=a#hush",
        "redis+sentinel://h/s?sentinel_password=hush@hush",
        "redis+cluster://u:hush@h/hush",
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
    let uri = "redis+sentinel://:hush@h/s?sentinel_password=hush";
    let adapter = crate::RedisAdapter::from_uri(uri).unwrap();
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
