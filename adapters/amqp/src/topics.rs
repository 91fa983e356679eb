use std::fmt::Display;

use lapin::types::ShortString;
use wingbeat_adapter::{Lane, LinkOptions, SyncError};

use crate::config::wrong;

/// The exchanges of the two lanes and the queue in which both meet.
#[derive(Debug)]
pub(crate) struct Topics {
    pub(crate) events: ShortString,
    pub(crate) control: ShortString,
    /// `feathers-sync.1f…9c.7`: of one link and of no other.
    pub(crate) queue: ShortString,
}

impl Topics {
    /// Fails with `Config` if a topic is too long for a name, or the broker keeps such names to itself.
    pub(crate) fn new(options: &LinkOptions, link: &impl Display) -> Result<Self, SyncError> {
        for topic in [&options.topic, &options.control_topic] {
            if topic.starts_with(RESERVED) {
                return Err(wrong(format!(
                    "the topic `{topic}` begins with `{RESERVED}`, which RabbitMQ keeps to itself"
                )));
            }
        }
        Ok(Self {
            events: name(&options.topic)?,
            control: name(&options.control_topic)?,
            queue: name(&format!("{}.{link}", options.topic))?,
        })
    }

    pub(crate) fn of(&self, lane: Lane) -> &ShortString {
        match lane {
            Lane::Events => &self.events,
            Lane::Control => &self.control,
        }
    }

    pub(crate) fn lane_of(&self, exchange: &ShortString) -> Option<Lane> {
        [Lane::Events, Lane::Control]
            .into_iter()
            .find(|lane| self.of(*lane) == exchange)
    }
}

fn name(text: &str) -> Result<ShortString, SyncError> {
    ShortString::try_new(text).map_err(|error| {
        wrong("the topic is too long for the name of an exchange or a queue").caused_by(error)
    })
}

const RESERVED: &str = "amq.";

#[cfg(test)]
mod tests {
    use wingbeat_adapter::ErrorKind;

    use super::*;

    #[test]
    fn names_that_the_broker_would_refuse_are_config_errors() {
        for topic in ["amq.fanout".to_owned(), "x".repeat(252)] {
            let error = Topics::new(&LinkOptions::new(topic), &"0.0").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
        }
        let topics = Topics::new(&LinkOptions::new("k"), &"ab.7").unwrap();
        assert_eq!(topics.queue.as_str(), "k.ab.7");
    }

    #[test]
    fn a_lane_is_known_by_its_exchange_and_nothing_else_is_a_lane() {
        let topics = Topics::new(&LinkOptions::new("k"), &"0.0").unwrap();
        assert_eq!(topics.lane_of(&"k".into()), Some(Lane::Events));
        assert_eq!(topics.lane_of(&"k.wb".into()), Some(Lane::Control));
        assert_eq!(topics.lane_of(&"".into()), None);
    }
}
