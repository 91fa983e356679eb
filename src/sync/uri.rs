//! From a URI to an adapter.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use url::Url;
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
        let mut url =
            Url::parse(uri).map_err(|error| format!("the sync URI can not be read: {error}"))?;
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
                options.set(&name, &value)?;
            } else {
                return Err(unknown(
                    &format!("option of {}://", url.scheme()),
                    &name,
                    &scheme.known(),
                ));
            }
        }
        set_query(&mut url, &theirs);
        let adapter =
            (scheme.adapter)(url.as_str()).map_err(|error| describe(url.scheme(), &error))?;
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
}

impl Default for Schemes {
    fn default() -> Self {
        let mut schemes = Self(BTreeMap::new());
        schemes.register("memory", &[], |uri| {
            let name = uri.trim_start_matches("memory:").trim_matches('/');
            Ok(Arc::new(MemoryBroker::named(name)))
        });
        #[cfg(feature = "redis")]
        for scheme in ["redis", "rediss"] {
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
const FEATURES: [(&str, &str); 2] = [("redis", "redis"), ("rediss", "redis")];

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
        assert!(text.contains("known: memory"), "{text}");
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

    #[test]
    #[cfg(not(feature = "redis"))]
    fn a_scheme_of_a_missing_feature_names_the_feature() {
        assert!(problem("redis://x").contains("needs the feature 'redis'"));
    }
}
