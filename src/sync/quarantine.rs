//! Messages that could not be used: one bad message costs one message.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::json;

/// Why a message was put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// It is no envelope.
    Malformed,
    /// It is larger than the limit.
    TooLarge,
    /// It nests deeper than the limit.
    TooDeep,
    /// It is not sealed with the secret of this node; see [`sync_secret`](super::SyncOptions::sync_secret).
    Unauthenticated,
    /// It is of another version of the protocol.
    Version,
    /// Its service is not registered here.
    UnknownService,
    /// Its sequence can not be.
    ImplausibleSeq,
    /// It has our id and is not ours.
    ClonedIdentity,
    /// Its node writes envelopes in another encoding.
    Codec,
    /// There are more nodes than the table holds.
    TooManyPeers,
    /// The broker refused it for good.
    Refused,
}

/// One message that was put aside.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// Why.
    pub reason: Reason,
    /// What is known of it besides: its node, sequence and service, or its size.
    pub what: String,
    /// The beginning of its text, with secrets masked; empty for what is no JSON, which could not be masked.
    pub excerpt: String,
    /// How long ago, in milliseconds.
    pub age_ms: u64,
}

/// What was put aside: counts by reason, and the last [`KEPT`] messages; older ones leave, which the counts show.
#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<Reason, u64>,
    last: VecDeque<(Instant, Quarantined)>,
}

impl Quarantine {
    /// Puts a message aside and logs the first of its reason, then every hundredth.
    pub(crate) fn put(&self, reason: Reason, what: fmt::Arguments<'_>, payload: &[u8]) {
        let excerpt = excerpt(payload);
        let mut state = self.0.lock();
        let count = state.counts.entry(reason).or_default();
        *count += 1;
        if *count % 100 == 1 {
            tracing::warn!(%reason, count, "a message was quarantined: {what}");
        }
        if state.last.len() == KEPT {
            state.last.pop_front();
        }
        let quarantined = Quarantined {
            reason,
            what: what.to_string(),
            excerpt,
            age_ms: 0,
        };
        state.last.push_back((Instant::now(), quarantined));
    }

    pub(crate) fn counts(&self) -> BTreeMap<Reason, u64> {
        self.0.lock().counts.clone()
    }

    /// Returns the last messages, the oldest first.
    pub(crate) fn last(&self) -> Vec<Quarantined> {
        let aged = |(at, message): &(Instant, Quarantined)| Quarantined {
            age_ms: millis(at.elapsed()),
            ..message.clone()
        };
        self.0.lock().last.iter().map(aged).collect()
    }
}

impl Reason {
    /// Returns the reason as it stands in stats and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::Unauthenticated => "unauthenticated",
            Self::Version => "version",
            Self::UnknownService => "unknown_service",
            Self::ImplausibleSeq => "implausible_seq",
            Self::ClonedIdentity => "cloned_identity",
            Self::Codec => "codec",
            Self::TooManyPeers => "too_many_peers",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Shows the beginning of a payload; what is large or no JSON is not looked into.
fn excerpt(payload: &[u8]) -> String {
    let is_small = payload.len() <= LARGEST_SHOWN;
    let text = std::str::from_utf8(payload).ok().filter(|_| is_small);
    let Some(mut value) = text.and_then(json::parse) else {
        return String::new();
    };
    mask(&mut value);
    let mut text = value.to_string();
    let end = (0..=EXCERPT.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or_default());
    text
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(mask),
        Value::Object(object) => {
            object
                .iter_mut()
                .for_each(|(name, value)| match is_secret(name) {
                    true => *value = "***".into(),
                    false => mask(value),
                })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const KEPT: usize = 64;
const EXCERPT: usize = 256;
const LARGEST_SHOWN: usize = 64 << 10;
/// Parts of names whose values are masked.
const SECRETS: [&str; 7] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_messages_are_kept_and_all_are_counted() {
        let quarantine = Quarantine::default();
        for n in 0..100 {
            quarantine.put(Reason::Malformed, format_args!("{n}"), b"");
        }
        let last = quarantine.last();
        assert_eq!(
            (last.len(), &*last[0].what, &*last[63].what),
            (64, "36", "99")
        );
        assert_eq!(quarantine.counts()[&Reason::Malformed], 100);
    }

    #[test]
    fn secrets_are_masked_and_long_texts_cut() {
        let text = br#"{"data":{"accessToken":"abc","user":[{"Password":"x"}],"text":"hi"}}"#;
        assert_eq!(
            excerpt(text),
            r#"{"data":{"accessToken":"***","user":[{"Password":"***"}],"text":"hi"}}"#
        );
        assert_eq!(excerpt(b"password=abc"), "");
        assert!(excerpt(format!(r#"["{}"]"#, "\u{e9}".repeat(300)).as_bytes()).len() <= EXCERPT);
    }
}
