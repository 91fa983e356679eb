//! From a URI to an adapter.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use url::{Position, Url};
use wingbeat_adapter::{MemoryBroker, SyncAdapter, SyncError};

use super::options::unknown;
use super::{SyncOptions, SyncParts};
use crate::words::nearest;

type Factory = Arc<dyn Fn(&str) -> Result<Arc<dyn SyncAdapter>, SyncError> + Send + Sync>;

/// The URI schemes that lead to an adapter.
pub(crate) struct Schemes(BTreeMap<&'static str, Scheme>);

struct Scheme {
    options: &'static [&'static str],
    adapter: Factory,
}

impl Schemes {
    pub(crate) fn register<F>(
        &mut self,
        scheme: &'static str,
        options: &'static [&'static str],
        adapter: F,
    ) where
        F: Fn(&str) -> Result<Arc<dyn SyncAdapter>, SyncError> + Send + Sync + 'static,
    {
        self.0.insert(
            scheme,
            Scheme {
                options,
                adapter: Arc::new(adapter),
            },
        );
    }

    /// Opens the adapter of a URI. The options of sync itself are taken out of the query, the adapter sees the others.
    pub(crate) fn open(&self, uri: &str, mut options: SyncOptions) -> Result<SyncParts, String> {
        let (uri, hosts) = cut_hosts(uri);
        let mut url =
            Url::parse(&uri).map_err(|error| format!("the sync URI can not be read: {error}"))?;
        let scheme = self
            .0
            .get(url.scheme())
            .ok_or_else(|| self.unknown_scheme(url.scheme()))?;
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut theirs = Vec::new();
        for (name, value) in pairs {
            if scheme.options.contains(&name.as_str()) {
                theirs.push((name, value));
            } else if SyncOptions::IN_URI.contains(&name.as_str()) {
                let problem = |text| scheme.without_password(&url, text);
                options.set(&name, &value).map_err(problem)?;
            } else {
                let text = scheme.unknown_option(url.scheme(), &name);
                return Err(scheme.without_password(&url, text));
            }
        }
        check_node_peers(url.scheme(), &theirs, &options)?;
        set_query(&mut url, &theirs);
        let uri = put_hosts(url.as_str(), hosts);
        let adapter = (scheme.adapter)(&uri).map_err(|error| describe(url.scheme(), &error))?;
        Ok(SyncParts::new(adapter, options))
    }

    fn unknown_scheme(&self, scheme: &str) -> String {
        let known: Vec<&str> = self.0.keys().copied().collect();
        if let Some((_, feature)) = FEATURES.iter().find(|(known, _)| *known == scheme) {
            return format!("the scheme '{scheme}://' needs the feature '{feature}' of wingbeat");
        }
        let hint = nearest(
            scheme,
            known
                .iter()
                .copied()
                .chain(FEATURES.iter().map(|(scheme, _)| *scheme)),
        );
        let hint = hint
            .map(|scheme| format!(", did you mean '{scheme}://'?"))
            .unwrap_or_default();
        format!(
            "unknown scheme '{scheme}://'{hint} (known: {})",
            known.join(", ")
        )
    }
}

impl Scheme {
    fn known(&self) -> Vec<&str> {
        SyncOptions::IN_URI
            .iter()
            .chain(self.options)
            .copied()
            .collect()
    }

    fn unknown_option(&self, scheme: &str, name: &str) -> String {
        unknown(&format!("option of {scheme}://"), name, &self.known())
    }

    /// Replaces a text that quotes an option or its value if that may be the rest of a password which was not escaped.
    fn without_password(&self, url: &Url, text: String) -> String {
        let tail = &url[Position::AfterPort..];
        if !tail.contains(['@', '#']) && !tail.contains("password=") {
            return text;
        }
        let known = self.known().join(", ");
        format!(
            "the sync URI has an unknown option or value, or a password in which / ? # @ : % or & is not percent-encoded \
             (known: {known})"
        )
    }
}

impl Default for Schemes {
    fn default() -> Self {
        let mut schemes = Self(BTreeMap::new());
        schemes.register("memory", &[], |uri| {
            let name = uri.trim_start_matches("memory:").trim_matches('/');
            Ok(Arc::new(MemoryBroker::named(name)))
        });
        #[cfg(feature = "amqp")]
        for scheme in wingbeat_amqp::SCHEMES {
            schemes.register(scheme, wingbeat_amqp::OPTIONS, |uri| {
                Ok(Arc::new(wingbeat_amqp::AmqpAdapter::from_uri(uri)?))
            });
        }
        #[cfg(feature = "nats")]
        for scheme in wingbeat_nats::SCHEMES {
            schemes.register(scheme, wingbeat_nats::OPTIONS, |uri| {
                Ok(Arc::new(wingbeat_nats::NatsAdapter::from_uri(uri)?))
            });
        }
        #[cfg(feature = "redis")]
        for scheme in wingbeat_redis::SCHEMES {
            schemes.register(scheme, wingbeat_redis::OPTIONS, |uri| {
                Ok(Arc::new(wingbeat_redis::RedisAdapter::from_uri(uri)?))
            });
        }
        schemes
    }
}

impl fmt::Debug for Schemes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Takes all hosts but the first out of a list of hosts, which a URL can not have: `,b:1` of `redis+cluster://a,b:1/0`.
fn cut_hosts(uri: &str) -> (String, &str) {
    let (start, end) = authority(uri);
    let start = uri[start..end].rfind('@').map_or(start, |at| start + at);
    let comma = uri[start..end].find(',').map_or(end, |at| start + at);
    (
        format!("{}{}", &uri[..comma], &uri[end..]),
        &uri[comma..end],
    )
}

fn put_hosts(uri: &str, hosts: &str) -> String {
    let (_, end) = authority(uri);
    format!("{}{hosts}{}", &uri[..end], &uri[end..])
}

/// Where the part between `//` and the path begins and ends.
fn authority(uri: &str) -> (usize, usize) {
    let start = uri.find("://").map_or(uri.len(), |at| at + 3);
    let end = uri[start..].find(['/', '?', '#']);
    (start, end.map_or(uri.len(), |at| start + at))
}

/// Node processes subscribe in the classic way; on a cluster they would never hear a sharded topic, and nobody would know.
fn check_node_peers(
    scheme: &str,
    pairs: &[(String, String)],
    options: &SyncOptions,
) -> Result<(), String> {
    let is_classic = pairs
        .iter()
        .any(|(name, value)| name == "pubsub" && value == "classic");
    if scheme.ends_with("+cluster") && !options.node_peers.is_empty() && !is_classic {
        return Err(format!(
            "node_peers needs 'pubsub=classic' in the query of {scheme}://"
        ));
    }
    Ok(())
}

fn set_query(url: &mut Url, pairs: &[(String, String)]) {
    url.set_query(None);
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
}

fn describe(scheme: &str, error: &SyncError) -> String {
    let mut text = format!("the {scheme}:// adapter: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Schemes that a feature of this crate enables.
const FEATURES: [(&str, &str); 11] = [
    ("amqp", "amqp"),
    ("amqps", "amqp"),
    ("rabbitmq", "amqp"),
    ("nats", "nats"),
    ("tls", "nats"),
    ("redis", "redis"),
    ("rediss", "redis"),
    ("redis+sentinel", "redis"),
    ("rediss+sentinel", "redis"),
    ("redis+cluster", "redis"),
    ("rediss+cluster", "redis"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(uri: &str) -> String {
        Schemes::default()
            .open(uri, SyncOptions::default())
            .map(|_| ())
            .unwrap_err()
    }

    #[test]
    fn an_unknown_scheme_names_the_known_ones() {
        let text = problem("memry://x");
        assert!(
            text.contains("unknown scheme 'memry://', did you mean 'memory://'?"),
            "{text}"
        );
        let (_, known) = text.split_once("(known: ").unwrap();
        assert!(known.contains("memory"), "{text}");
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let text = problem("memory://x?delivry=ordered");
        assert!(
            text.contains("unknown option of memory:// 'delivry', did you mean 'delivery'?"),
            "{text}"
        );
        let text = problem("memory://x?delivery=orderd");
        assert!(
            text.contains("unknown delivery 'orderd', did you mean 'ordered'?"),
            "{text}"
        );
    }

    #[test]
    #[cfg(feature = "redis")]
    fn node_peers_on_a_cluster_need_classic_topics() {
        let mut options = SyncOptions::default();
        options.node_peers.push("messages".to_owned());
        let open = |uri| Schemes::default().open(uri, options.clone()).map(|_| ());
        let error = open("redis+cluster://a:1,b:2").unwrap_err();
        assert!(error.contains("pubsub=classic"), "{error}");
        assert_eq!(open("redis+cluster://a:1,b:2?pubsub=classic"), Ok(()));
    }

    #[test]
    fn options_of_sync_are_read_from_the_uri() {
        let parts = Schemes::default()
            .open(
                "memory://x?key=k&delivery=local_first",
                SyncOptions::default(),
            )
            .unwrap();
        assert_eq!(parts.options.key, "k");
        assert_eq!(parts.options.delivery, super::super::Delivery::LocalFirst);
    }

    /// What reaches the adapter of a URI.
    fn passed_on(uri: &str) -> Result<String, String> {
        let seen = Arc::new(parking_lot::Mutex::new(String::new()));
        let mut schemes = Schemes(BTreeMap::new());
        let copy = Arc::clone(&seen);
        schemes.register("many", &["theirs", "password"], move |uri| {
            uri.clone_into(&mut copy.lock());
            Ok(Arc::new(MemoryBroker::new()))
        });
        schemes.open(uri, SyncOptions::default())?;
        let seen = seen.lock().clone();
        Ok(seen)
    }

    #[test]
    fn a_list_of_hosts_reaches_the_adapter_as_it_was_written() {
        for uri in [
            "many://a",
            "many://a:1,b:2,[::1]:3/service/0",
            "many://u,v:p%40,q@a,b?theirs=1",
            "many://a,b",
        ] {
            assert_eq!(passed_on(uri).as_deref(), Ok(uri));
        }
        let both = passed_on("many://a,b/s?key=k&theirs=1").unwrap();
        assert_eq!(both, "many://a,b/s?theirs=1");
    }

    #[test]
    fn a_password_that_was_not_escaped_is_not_shown() {
        for uri in [
            "many://u:7?hush@a",
            "many://u:7,b?hush@a",
            "many://u:7?hush#@a",
            "many://a?password=x&hush",
            "many://u:hush/hush@a",
            "many://u:x@y?codec=hush@a",
            "many://u:x@y?key=&delivery=hush@a",
            "many://u:hush,hush:hush",
        ] {
            if let Err(text) = passed_on(uri) {
                assert!(!text.contains("hush"), "{uri}: {text}");
            }
        }
        assert!(passed_on("many://u:7?hush@a").is_err());
    }

    #[test]
    #[cfg(feature = "redis")]
    fn every_scheme_of_redis_is_known_and_names_its_own_mistakes() {
        for (uri, part) in [
            ("redis+sentinel://a:1,b:2", "begins with the service's name"),
            ("rediss+sentinel://a:1,b:x/s", "invalid port number"),
            ("redis+cluster://a,b/3", "has only database 0"),
            ("rediss+cluster://a,b?pubsub=x", "sharded or classic"),
            ("redis+clusters://a,b", "did you mean 'redis+cluster://'?"),
        ] {
            let text = problem(uri);
            assert!(text.contains(part), "{uri}: {text}");
        }
        for uri in ["redis+sentinel://a,b/s?key=k", "redis+cluster://a,b?key=k"] {
            assert!(Schemes::default().open(uri, SyncOptions::default()).is_ok());
        }
    }

    #[test]
    #[cfg(feature = "amqp")]
    fn every_scheme_of_amqp_is_known_and_names_its_own_mistakes() {
        for (uri, part) in [
            ("amqp://a/b/c", "one virtual host"),
            ("amqps://u@a", "without the other"),
            ("rabbitmq://a?heartbeat=0", "a number of seconds"),
            ("amq://a", "did you mean 'amqp://'?"),
            ("amqp://a?hartbeat=5", "did you mean 'heartbeat'?"),
        ] {
            let text = problem(uri);
            assert!(text.contains(part), "{uri}: {text}");
        }
        for uri in ["amqp://a,b/v?key=k&heartbeat=5", "rabbitmq://u:p%40@a"] {
            let parts = Schemes::default().open(uri, SyncOptions::default());
            assert_eq!(parts.unwrap().adapter.name(), "amqp");
        }
    }

    #[test]
    #[cfg(not(feature = "amqp"))]
    fn the_schemes_of_amqp_name_their_feature() {
        for scheme in ["amqp", "amqps", "rabbitmq"] {
            let text = problem(&format!("{scheme}://x"));
            assert!(text.contains("needs the feature 'amqp'"), "{text}");
        }
    }

    #[test]
    #[cfg(feature = "nats")]
    fn every_scheme_of_nats_is_known_and_names_its_own_mistakes() {
        for (uri, part) in [
            ("nats://a:1,b:x", "invalid port number"),
            ("tls://a,b/subject", "has a path"),
            ("tls://t@a?nkey=/n", "one of a user"),
            ("nats://a?ca_cert=/ca.pem", "needs tls://"),
            ("nats://a?nkye=/n", "did you mean 'nkey'?"),
            ("nts://a", "did you mean 'nats://'?"),
        ] {
            let text = problem(uri);
            assert!(text.contains(part), "{uri}: {text}");
        }
        for uri in [
            "nats://u:p@a:1,b?key=k&heartbeat=500",
            "tls://token@a?key=k",
        ] {
            let opened = Schemes::default()
                .open(uri, SyncOptions::default())
                .map(|_| ());
            assert_eq!(opened, Ok(()), "{uri}");
        }
    }

    #[test]
    #[cfg(not(feature = "nats"))]
    fn nats_without_its_feature_names_the_feature() {
        assert!(problem("nats://x").contains("needs the feature 'nats'"));
    }

    #[test]
    #[cfg(not(feature = "redis"))]
    fn a_scheme_of_a_missing_feature_names_the_feature() {
        assert!(problem("redis://x").contains("needs the feature 'redis'"));
    }
}
