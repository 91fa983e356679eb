//! What is sent: how large events are, and who hears them.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::Outcome;
use crate::frame::{EVENT_BYTES, event_of};

/// What the client and a wingbeat node agree on before the first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of an event's JSON.
    pub(crate) bytes: usize,
    pub(crate) audience: Audience,
}

/// Who hears an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// All connections, in one channel.
    Everybody,
    /// All connections, in three channels, each of which gets data of its own.
    Variants,
    /// One of so many channels, in turn; every connection is in one of them.
    OneOf(usize),
    /// All of so many channels; every connection is in one of them.
    AllOf(usize),
}

impl Shape {
    /// What the table of peers is measured with.
    pub(crate) const PLAIN: Self = Self {
        bytes: EVENT_BYTES,
        audience: Audience::Everybody,
    };

    /// Returns the data of an event as it is created.
    pub(crate) fn event(self, seq: u64) -> Value {
        event_of(self.bytes, seq)
    }

    /// Returns the data of an event as clients get it, one for each variant.
    pub(crate) fn variants(self, seq: u64) -> impl Iterator<Item = Value> {
        (0..self.audience.variants()).map(move |variant| in_variant(self.event(seq), variant))
    }

    /// Returns how many of the connections hear an event.
    pub(crate) fn hearers(self, seq: u64, connections: usize) -> usize {
        match self.audience {
            Audience::OneOf(channels) => {
                let rest = usize::from(turn(seq, channels) < connections % channels);
                connections / channels + rest
            }
            _ => connections,
        }
    }
}

impl Audience {
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Everybody => 1,
            Self::Variants => VARIANTS,
            Self::OneOf(channels) | Self::AllOf(channels) => channels,
        }
    }

    /// Returns the channel that a connection joins.
    pub(crate) fn channel_of(self, connection: usize) -> usize {
        connection % self.channels()
    }

    /// Returns which of an event's variants a channel gets.
    pub(crate) fn variant_of(self, channel: usize) -> usize {
        channel % self.variants()
    }

    fn variants(self) -> usize {
        if self == Self::Variants { VARIANTS } else { 1 }
    }
}

/// Returns which of so many channels hears an event.
pub(crate) fn turn(seq: u64, channels: usize) -> usize {
    usize::try_from(seq).unwrap_or(usize::MAX) % channels
}

/// Changes an event as a publisher does for one of its channels; the first gets it as it is.
pub(crate) fn in_variant(mut event: Value, variant: usize) -> Value {
    if let Some(fields) = event.as_object_mut().filter(|_| variant > 0) {
        fields.insert("variant".to_owned(), variant.into());
    }
    event
}

/// As an argument of a process.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.audience {
            Audience::Everybody => "everybody",
            Audience::Variants => "variants",
            Audience::OneOf(_) => "one-of",
            Audience::AllOf(_) => "all-of",
        };
        write!(f, "{},{word},{}", self.bytes, self.audience.channels())
    }
}

impl FromStr for Shape {
    type Err = Box<dyn std::error::Error>;

    fn from_str(text: &str) -> Outcome<Self> {
        let words: Vec<&str> = text.split(',').collect();
        let [bytes, word, channels] = words.as_slice() else {
            return Err(format!("'{text}' is no shape of events").into());
        };
        let channels = channels.parse()?;
        let audience = match *word {
            "everybody" => Audience::Everybody,
            "variants" => Audience::Variants,
            "one-of" => Audience::OneOf(channels),
            "all-of" => Audience::AllOf(channels),
            _ => return Err(format!("'{word}' is no audience").into()),
        };
        Ok(Self {
            bytes: bytes.parse()?,
            audience,
        })
    }
}

pub(crate) const VARIANTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_hears_its_share() {
        let shape = Shape {
            bytes: 100,
            audience: Audience::OneOf(7),
        };
        let in_a_turn: usize = (0..7).map(|seq| shape.hearers(seq, 100)).sum();
        assert_eq!(in_a_turn, 100);
        let of_first = (0..100).filter(|at| shape.audience.channel_of(*at) == 0);
        assert_eq!(of_first.count(), shape.hearers(7, 100));
    }

    #[test]
    fn events_have_the_bytes_that_are_asked_for() {
        for bytes in [100, 300, 65_536] {
            assert_eq!(event_of(bytes, 12).to_string().len(), bytes);
        }
    }

    #[test]
    fn shapes_survive_the_way_to_a_process() {
        for text in [
            "300,everybody,1",
            "64,variants,3",
            "1,one-of,9",
            "1,all-of,9",
        ] {
            assert_eq!(text.parse::<Shape>().unwrap().to_string(), text);
        }
        assert!("300,nobody,1".parse::<Shape>().is_err());
    }
}
