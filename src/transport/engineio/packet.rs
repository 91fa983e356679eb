//! Engine.IO packets as text (feathers.md §2.1).

use bytes::Bytes;
use data_encoding::BASE64;

/// One packet from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The client is about to go.
    Close,
    /// Only servers ping in version 4; a probe comes as a ping too.
    Ping,
    /// The answer to a ping.
    Pong,
    /// A Socket.IO packet.
    Message(&'a str),
    /// An attachment from a client that is told to send no binary frames.
    Binary(Bytes),
    /// Open, upgrade and noop mean nothing when a client sends them over a websocket.
    Meaningless,
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` for what is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let kind = text.chars().next()?;
        let rest = &text[kind.len_utf8()..];
        match kind {
            '1' => Some(Self::Close),
            '2' => Some(Self::Ping),
            '3' => Some(Self::Pong),
            '4' => Some(Self::Message(rest)),
            '0' | '5' | '6' => Some(Self::Meaningless),
            'b' => Some(Self::Binary(BASE64.decode(rest.as_bytes()).ok()?.into())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type_has_its_meaning() {
        let table = [
            ("0{}", Some(Packet::Meaningless)),
            ("1", Some(Packet::Close)),
            ("2", Some(Packet::Ping)),
            ("2probe", Some(Packet::Ping)),
            ("3", Some(Packet::Pong)),
            ("3probe", Some(Packet::Pong)),
            ("40", Some(Packet::Message("0"))),
            ("4", Some(Packet::Message(""))),
            ("5", Some(Packet::Meaningless)),
            ("6", Some(Packet::Meaningless)),
            (
                "bAQID",
                Some(Packet::Binary(Bytes::from_static(&[1, 2, 3]))),
            ),
            ("b?", None),
            ("7", None),
            ("", None),
            ("é", None),
        ];
        for (text, packet) in table {
            assert_eq!(Packet::parse(text), packet, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Packet::parse(&text);
        }
    }
}
