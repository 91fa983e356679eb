use wingbeat_adapter::{Lane, LinkOptions, SyncError};

use crate::config::wrong;

/// The subjects of a link's two lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subjects {
    events: String,
    control: String,
}

impl Subjects {
    /// Takes topics as they stand and refuses those that NATS would read as something else.
    pub(crate) fn new(options: &LinkOptions) -> Result<Self, SyncError> {
        Ok(Self {
            events: subject(&options.topic)?,
            control: subject(&options.control_topic)?,
        })
    }

    pub(crate) fn of(&self, lane: Lane) -> &str {
        match lane {
            Lane::Events => &self.events,
            Lane::Control => &self.control,
        }
    }

    pub(crate) fn lane_of(&self, subject: &str) -> Option<Lane> {
        LANES.into_iter().find(|lane| self.of(*lane) == subject)
    }
}

/// A wildcard counts only as a whole token, but what merely looks like one is an accident, too.
fn subject(topic: &str) -> Result<String, SyncError> {
    let is_foreign = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
    if topic.contains(is_foreign) || topic.split('.').any(str::is_empty) {
        return Err(wrong(format!(
            "the topic {topic:?} is no NATS subject: it has a blank, * or >, or a dot with nothing beside it"
        )));
    }
    Ok(topic.to_owned())
}

pub(crate) const LANES: [Lane; 2] = [Lane::Events, Lane::Control];

#[cfg(test)]
mod tests {
    use wingbeat_adapter::ErrorKind;

    use super::*;

    #[test]
    fn topics_stand_as_they_are() {
        let subjects = Subjects::new(&LinkOptions::new("feathers-sync")).unwrap();
        assert_eq!(subjects.of(Lane::Events), "feathers-sync");
        assert_eq!(subjects.of(Lane::Control), "feathers-sync.wb");
        assert_eq!(subjects.lane_of("feathers-sync.wb"), Some(Lane::Control));
        assert_eq!(subjects.lane_of("feathers-sync.w"), None);
    }

    #[test]
    fn patterns_and_broken_subjects_are_refused() {
        for topic in [
            "a.*",
            "a.>",
            "*",
            ">",
            "a*",
            "a b",
            "a\r\nPUB b",
            ".a",
            "a..b",
            "a.",
        ] {
            let error = Subjects::new(&LinkOptions::new(topic)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{topic}");
        }
    }
}
