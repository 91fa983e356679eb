//! The secret that nodes share: what leaves is sealed, and of what comes in only the sealed is believed.
//!
//! The last member of a sealed message is `"mac"`: HMAC-SHA256, in 64 lower-case hex characters, over the text in front of
//! the member, which starts at its comma. The key is the lane's own: HMAC-SHA256 with the secret over `events TOPIC` or
//! `control TOPIC`. So no message counts on the other lane, or in another topic of the same secret.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use data_encoding::HEXLOWER;
use parking_lot::RwLock;
use ring::digest::SHA256_OUTPUT_LEN;
use ring::hmac;
use wingbeat_adapter::Lane;

use super::SyncOptions;
use super::codec::{BoxError, Codec};
use super::delivery::{Item, Message, NodeId};
use super::envelope::{Envelope, decode, encode, own_echo, own_mark, write};
use super::quarantine::Reason;
use super::services::Services;
use crate::app::registered_path;

/// Seals what this node sends.
#[derive(Debug)]
pub(super) struct Seal {
    events: hmac::Key,
    control: hmac::Key,
}

impl Seal {
    /// Makes the seal of a topic.
    pub(super) fn new(secret: &str, topic: &str) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let key = |lane: &str| {
            let own = hmac::sign(&secret, format!("{lane} {topic}").as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, own.as_ref())
        };
        Self {
            events: key("events"),
            control: key("control"),
        }
    }

    /// Puts the `mac` at the end of a message, which is an object with members.
    pub(super) fn close(&self, lane: Lane, text: &mut BytesMut) {
        // The brace comes back behind the member.
        text.truncate(text.len() - 1);
        let mac = hmac::sign(self.key(lane), text);
        text.extend_from_slice(HEAD);
        text.extend_from_slice(HEXLOWER.encode(mac.as_ref()).as_bytes());
        text.extend_from_slice(TAIL);
    }

    /// Tells whether somebody who knows the secret wrote a message for this lane. It looks at nothing but the last bytes.
    fn proves(&self, lane: Lane, payload: &[u8]) -> bool {
        let parts = payload
            .split_last_chunk::<MAC>()
            .and_then(|(text, member)| Some((text, member.strip_prefix(HEAD)?)))
            .and_then(|(text, member)| Some((text, member.strip_suffix(TAIL)?)));
        let mut mac = [0; SHA256_OUTPUT_LEN];
        parts.is_some_and(|(text, hex)| {
            HEXLOWER.decode_mut(hex, &mut mac).is_ok()
                && hmac::verify(self.key(lane), text, &mac).is_ok()
        })
    }

    fn key(&self, lane: Lane) -> &hmac::Key {
        match lane {
            Lane::Events => &self.events,
            Lane::Control => &self.control,
        }
    }
}

/// Reads what comes in, as far as it can be believed.
pub(super) struct Gate {
    pub(super) seal: Option<Seal>,
    node_peers: HashSet<Arc<str>>,
    limit: usize,
    codec: Codec,
    services: Arc<Services>,
    /// How envelopes of this node end.
    own_mark: RwLock<Bytes>,
}

impl Gate {
    pub(super) fn new(options: &SyncOptions, services: Arc<Services>, node: NodeId) -> Self {
        let secret = options.sync_secret.as_ref();
        let paths = options.node_peers.iter();
        Self {
            seal: secret.map(|secret| Seal::new(secret, &options.key)),
            node_peers: paths.map(|path| registered_path(path).into()).collect(),
            limit: options.max_payload,
            codec: options.codec.clone(),
            services,
            own_mark: RwLock::new(own_mark(node)),
        }
    }

    /// Notes who this node is from here on: its own echoes need not be read in full.
    pub(super) fn know(&self, node: NodeId) {
        *self.own_mark.write() = own_mark(node);
    }

    /// Reads a message of a lane. With a secret, what has no seal is refused unread, unless a Node process may have sent
    /// it: then it must be an envelope without `wb`, of a service that Node processes have.
    pub(super) fn decode(&self, lane: Lane, payload: &Bytes) -> Result<Message<Envelope>, Reason> {
        let Some(seal) = &self.seal else {
            let echo = own_echo(payload, &self.own_mark.read()).map(|seq| Message::Echo { seq });
            return echo.map_or_else(|| self.read(payload), Ok);
        };
        if payload.len() > self.limit {
            return Err(Reason::TooLarge);
        }
        if seal.proves(lane, payload) {
            return decode(payload, self.limit, &self.services);
        }
        if lane == Lane::Control || self.node_peers.is_empty() {
            return Err(Reason::Unauthenticated);
        }
        let message = decode(payload, self.limit, &self.services).ok();
        message
            .filter(|message| self.is_foreign(message))
            .ok_or(Reason::Unauthenticated)
    }

    /// Writes one element of a batch for a lane, in the space of `text`. Only a codec of the app's own can fail on what it
    /// wrote once before.
    pub(super) fn encode(
        &self,
        text: &mut BytesMut,
        lane: Lane,
        item: &Item<Envelope>,
    ) -> Result<Bytes, BoxError> {
        let service = match item {
            Item::Event { body, .. } | Item::Again { body, .. } if !self.codec.is_json() => {
                body.service
            }
            _ => return Ok(encode(text, item, lane, self.seal.as_ref())),
        };
        write(text, item);
        let written = self
            .codec
            .write(&text.split(), self.services.dates(service));
        written.map(Bytes::from)
    }

    fn read(&self, payload: &Bytes) -> Result<Message<Envelope>, Reason> {
        if self.codec.is_json() || payload.starts_with(CONTROL) {
            return decode(payload, self.limit, &self.services);
        }
        if payload.len() > self.limit {
            return Err(Reason::TooLarge);
        }
        // As text it may be longer than it was.
        let mut message = decode(&self.codec.read(payload)?, usize::MAX, &self.services)?;
        if let Message::Event { body, .. } | Message::Again { body, .. } = &mut message {
            body.typed = self.codec.has_types().then(|| payload.clone());
        }
        Ok(message)
    }

    fn is_foreign(&self, message: &Message<Envelope>) -> bool {
        match message {
            Message::Event { wb: None, body, .. } => self.node_peers.contains(&body.path),
            Message::Event { .. }
            | Message::Again { .. }
            | Message::Echo { .. }
            | Message::Control(_)
            | Message::Stranger(_) => false,
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("is_sealed", &self.seal.is_some())
            .field("node_peers", &self.node_peers)
            .finish_non_exhaustive()
    }
}

/// Bytes that the `mac` adds to a message: its frame without the brace that was there before, and the digits.
pub(super) const SEAL_SIZE: usize = MAC - 1;
/// How control messages begin, and no envelope of any codec.
const CONTROL: &[u8] = br#"{"wb":"#;
const HEAD: &[u8] = br#","mac":""#;
const TAIL: &[u8] = br#""}"#;
const MAC: usize = HEAD.len() + 2 * SHA256_OUTPUT_LEN + TAIL.len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::delivery::{Control, VERSION, Wb};

    fn gate(secret: Option<&str>) -> Gate {
        let options = SyncOptions {
            sync_secret: secret.map(str::to_owned),
            node_peers: vec!["/messages/".to_owned()],
            ..SyncOptions::default()
        };
        Gate::new(
            &options,
            Arc::new(Services::new([])),
            NodeId::from_bytes([1; 16]),
        )
    }

    fn event(path: &str) -> Item<Envelope> {
        let body = Envelope {
            path: path.into(),
            service: None,
            event: "created".into(),
            data: Bytes::from_static(br#"{"text":"hi"}"#),
            context: None,
            trace: None,
            typed: None,
        };
        let wb = Wb {
            v: VERSION,
            node: NodeId::from_bytes([7; 16]),
            seq: 3,
            age: None,
            early: false,
        };
        Item::Event { wb, body }
    }

    fn sealed(gate: &Gate, lane: Lane) -> Bytes {
        encode(
            &mut BytesMut::new(),
            &event("messages"),
            lane,
            gate.seal.as_ref(),
        )
    }

    fn refusal(gate: &Gate, lane: Lane, text: &[u8]) -> Option<Reason> {
        gate.decode(lane, &Bytes::copy_from_slice(text)).err()
    }

    /// Made with another implementation of HMAC, so that the key of a lane and what is signed stay what they are.
    #[test]
    fn the_mac_is_the_documented_one() {
        let text = sealed(&gate(Some("s3cret")), Lane::Events);
        let (message, mac) = text.split_at(text.len() - MAC);
        let unsealed = encode(&mut BytesMut::new(), &event("messages"), Lane::Events, None);
        assert_eq!([message, b"}"].concat(), unsealed);
        assert_eq!(
            String::from_utf8_lossy(mac),
            format!(r#","mac":"{VECTOR}"}}"#)
        );
        assert_eq!(text.len(), unsealed.len() + SEAL_SIZE);
    }

    #[test]
    fn whoever_has_the_secret_is_heard() {
        let ours = gate(Some("s3cret"));
        for lane in [Lane::Events, Lane::Control] {
            assert!(
                gate(Some("s3cret"))
                    .decode(lane, &sealed(&ours, lane))
                    .is_ok()
            );
        }
        let bye = format!(r#"{{"bye":{{"node":"{}"}}}}"#, NodeId::from_bytes([7; 16]));
        let bye: Control = serde_json::from_str(&bye).unwrap();
        let text = encode(
            &mut BytesMut::new(),
            &Item::Control(bye),
            Lane::Control,
            ours.seal.as_ref(),
        );
        assert!(matches!(
            ours.decode(Lane::Control, &text),
            Ok(Message::Control(_))
        ));
    }

    #[test]
    fn another_secret_topic_or_lane_is_not_believed() {
        let ours = gate(Some("s3cret"));
        let other_topic = Gate {
            seal: Some(Seal::new("s3cret", "other")),
            ..gate(None)
        };
        for (gate, lane, heard_on) in [
            (&gate(Some("S3cret")), Lane::Events, Lane::Events),
            (&gate(None), Lane::Events, Lane::Events),
            (&other_topic, Lane::Control, Lane::Control),
            (&ours, Lane::Events, Lane::Control),
            (&ours, Lane::Control, Lane::Events),
        ] {
            let text = sealed(gate, lane);
            assert_eq!(
                refusal(&ours, heard_on, &text),
                Some(Reason::Unauthenticated),
                "{gate:?}"
            );
        }
    }

    #[test]
    fn a_changed_byte_anywhere_breaks_the_seal() {
        let ours = gate(Some("s3cret"));
        let text = sealed(&ours, Lane::Control);
        for at in 0..text.len() {
            let mut changed = text.to_vec();
            changed[at] ^= 1;
            assert_eq!(
                refusal(&ours, Lane::Control, &changed),
                Some(Reason::Unauthenticated),
                "byte {at}"
            );
        }
        for end in 0..text.len() {
            assert!(
                refusal(&ours, Lane::Control, &text[..end]).is_some(),
                "{end}"
            );
        }
        let upper = String::from_utf8_lossy(&text).to_uppercase();
        assert!(refusal(&ours, Lane::Control, upper.as_bytes()).is_some());
        let longer = [&text[..], b" "].concat();
        assert!(refusal(&ours, Lane::Control, &longer).is_some());
    }

    #[test]
    fn node_processes_are_heard_for_their_services_on_their_lane() {
        let (sealing, open) = (gate(Some("s3cret")), gate(None));
        let text = |path: &str| format!(r#"{{"event":"created","path":"{path}"}}"#);
        let wanted = Some(Reason::Unauthenticated);
        for (path, lane, wanted) in [
            ("messages", Lane::Events, None),
            ("/messages", Lane::Events, None),
            ("rooms", Lane::Events, wanted),
            ("messages", Lane::Control, wanted),
        ] {
            assert_eq!(
                refusal(&sealing, lane, text(path).as_bytes()),
                wanted,
                "{path}"
            );
            assert_eq!(refusal(&open, lane, text(path).as_bytes()), None);
        }
    }

    #[test]
    fn without_a_secret_a_mac_means_nothing() {
        let text = sealed(&gate(Some("s3cret")), Lane::Events);
        for lane in [Lane::Events, Lane::Control] {
            let message = gate(None).decode(lane, &text);
            assert!(matches!(message, Ok(Message::Event { wb: Some(_), .. })));
        }
    }

    #[test]
    fn what_is_too_large_is_not_even_hashed() {
        let mut ours = gate(Some("s3cret"));
        let text = sealed(&ours, Lane::Events);
        ours.limit = text.len() - 1;
        assert_eq!(refusal(&ours, Lane::Events, &text), Some(Reason::TooLarge));
    }

    #[test]
    fn debug_shows_no_secret() {
        let options = SyncOptions {
            sync_secret: Some("s3cret".to_owned()),
            ..SyncOptions::default()
        };
        let text = format!(
            "{options:?} {:?} {:?}",
            Gate::new(
                &options,
                Arc::new(Services::new([])),
                NodeId::from_bytes([1; 16])
            ),
            Seal::new("s3cret", "t")
        );
        assert!(!text.contains("s3cret"), "{text}");
    }

    const VECTOR: &str = "5c0ac1fe33a79dcd3185bcbccc3b957bb5254608457ec73a4d18a6ec28cc5a9f";
}
