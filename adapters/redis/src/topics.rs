use wingbeat_adapter::{Lane, LinkOptions, SyncError};

use crate::config::{Deployment, PubSub, RedisConfig, wrong};

/// The channels of the two lanes, and which of the two kinds of publish/subscribe they belong to.
#[derive(Debug)]
pub(crate) struct Topics {
    pub(crate) events: String,
    pub(crate) control: String,
    pub(crate) pubsub: PubSub,
}

impl Topics {
    /// Fails with `Config` if sharded publish/subscribe cannot have both topics on one server.
    pub(crate) fn new(options: &LinkOptions, config: &RedisConfig) -> Result<Self, SyncError> {
        let scoped = |topic: &str| match config.database {
            0 => topic.to_owned(),
            n => format!("{topic}:{n}"),
        };
        let (events, control) = (scoped(&options.topic), scoped(&options.control_topic));
        let (pubsub, control) = match config.deployment {
            Deployment::Cluster(PubSub::Sharded) => (PubSub::Sharded, beside(&events, &control)?),
            _ => (PubSub::Classic, control),
        };
        Ok(Self {
            events,
            control,
            pubsub,
        })
    }

    pub(crate) fn of(&self, lane: Lane) -> &str {
        match lane {
            Lane::Events => &self.events,
            Lane::Control => &self.control,
        }
    }

    pub(crate) fn lane_of(&self, channel: &[u8]) -> Option<Lane> {
        [Lane::Events, Lane::Control]
            .into_iter()
            .find(|lane| self.of(*lane).as_bytes() == channel)
    }
}

/// Renames the control topic so that it hashes to the slot of the events topic, as one connection has to hear both.
///
/// `feathers-sync.wb` becomes `{feathers-sync}.wb`.
fn beside(events: &str, control: &str) -> Result<String, SyncError> {
    let tag = hash_tag(events);
    if hash_tag(control) == tag {
        return Ok(control.to_owned());
    }
    let rest = control.strip_prefix(events).unwrap_or(control);
    let control = format!("{{{tag}}}{rest}");
    if hash_tag(&control) == tag {
        return Ok(control);
    }
    Err(wrong(format!(
        "the topic `{events}` has a lone brace, so no other topic shares its slot of a Redis cluster"
    )))
}

/// The part of a channel's name that a cluster hashes: what stands in its first braces, or else all of it.
fn hash_tag(topic: &str) -> &str {
    topic
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .map(|(tag, _)| tag)
        .filter(|tag| !tag.is_empty())
        .unwrap_or(topic)
}

#[cfg(test)]
mod tests {
    use wingbeat_adapter::ErrorKind;

    use super::*;

    fn topics(uri: &str, topic: &str) -> Result<(String, String), SyncError> {
        let config = RedisConfig::from_uri(uri).unwrap();
        let topics = Topics::new(&LinkOptions::new(topic), &config)?;
        Ok((topics.events, topics.control))
    }

    fn pair(events: &str, control: &str) -> (String, String) {
        (events.to_owned(), control.to_owned())
    }

    #[test]
    fn sharded_topics_share_a_slot_and_the_events_topic_keeps_its_name() {
        for (topic, control) in [("k", "{k}.wb"), ("{k}", "{k}.wb"), ("a{k}b", "a{k}b.wb")] {
            let found = topics("redis+cluster://h", topic).unwrap();
            assert_eq!(found, pair(topic, control));
        }
        let mut options = LinkOptions::new("k");
        options.control_topic = "other".to_owned();
        let config = RedisConfig::from_uri("redis+cluster://h").unwrap();
        assert_eq!(Topics::new(&options, &config).unwrap().control, "{k}other");
    }

    #[test]
    fn a_lone_brace_leaves_no_slot_to_share() {
        for topic in ["a}b", "{}k", "}"] {
            let error = topics("redis+cluster://h", topic).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{topic}");
        }
    }

    #[test]
    fn classic_topics_are_the_links_own_everywhere() {
        for uri in [
            "redis://h",
            "redis+sentinel://h/s",
            "redis+cluster://h?pubsub=classic",
        ] {
            for topic in ["k", "a}b"] {
                let control = format!("{topic}.wb");
                assert_eq!(topics(uri, topic).unwrap(), pair(topic, &control), "{uri}");
            }
        }
    }

    #[test]
    fn a_database_number_becomes_part_of_both_topics() {
        for uri in ["redis://h/3", "redis+sentinel://h/s/3"] {
            assert_eq!(topics(uri, "k").unwrap(), pair("k:3", "k.wb:3"), "{uri}");
        }
    }
}
