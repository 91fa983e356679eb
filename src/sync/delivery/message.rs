use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::node::NodeId;

/// The version of `wb` and of the control messages that this core speaks.
pub(crate) const VERSION: u8 = 1;

/// Sequences end here, so that arithmetic on what peers claim cannot overflow and JSON readers see exact numbers.
pub(crate) const LAST_SEQ: u64 = (1 << 53) - 2;

/// A range of sequences, both ends included, as everywhere on the wire.
pub(crate) type Span = (u64, u64);

/// What wingbeat adds to an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wb {
    pub(crate) v: u8,
    /// The origin.
    pub(crate) node: NodeId,
    pub(crate) seq: u64,
    /// Milliseconds from emit to sending by the origin's monotonic clock; only on what is sent late.
    pub(crate) age: Option<u64>,
    /// The origin's own clients heard it before the broker had it.
    pub(crate) early: bool,
}

/// The messages of the control lane that carry no envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Control {
    Hello(Hello),
    Want(Want),
    Void(Void),
    Bye(Bye),
}

/// Says that a node is there, what it keeps and what it has heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) node: NodeId,
    pub(crate) name: String,
    pub(crate) v: u8,
    pub(crate) codec: String,
    /// New with every link: only a hello that comes back with the nonce of the present link proves that link, because a
    /// frozen broker can execute a publish of a link that was dropped long ago.
    pub(crate) nonce: u64,
    /// Milliseconds since an own hello last came back on this link; left out if none did. A node that is deaf can be heard
    /// and cannot answer, so peers must not lose patience with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ear: Option<u64>,
    /// The lowest sequence that can still be asked for.
    pub(crate) low: u64,
    /// The highest sequence that was handed to a broker; left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent: Option<u64>,
    /// The highest sequence that is taken; left out if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assigned: Option<u64>,
    /// The highest sequence that was heard in order, per peer; `null` for a peer that is known and of which nothing was
    /// heard yet. Left out among many peers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) heard: Option<BTreeMap<NodeId, Option<u64>>>,
}

/// Asks the owner of a log for a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Want {
    pub(crate) from_node: NodeId,
    pub(crate) of_node: NodeId,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Milliseconds: what was emitted longer ago is of no use to the asker, whose clients are younger.
    pub(crate) max_age: u64,
    /// The asker's own clock in milliseconds. It comes back with what is too old, so that the asker can tell how old its
    /// question was by then: a frozen broker may have kept it.
    #[serde(default)]
    pub(crate) asked: u64,
}

/// Says which sequences will not come.
///
/// Without `to` they were refused for good and every peer that lacks them raises a `Gap`. The form with `to` goes beyond the
/// protocol page: it tells one asker that the range is older than its clients, so that it skips the range without a `Gap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Void {
    pub(crate) node: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<NodeId>,
    /// What the asker's `Want` said; only in the form with `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<u64>,
    pub(crate) seqs: Vec<Span>,
}

/// Says that a node leaves and how far it got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bye {
    pub(crate) node: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent: Option<u64>,
}

/// The sequence after the last: ranges are half-open inside the core and closed on the wire.
pub(crate) fn end_of(last: Option<u64>) -> u64 {
    last.map_or(0, |last| last.saturating_add(1))
}

/// The last sequence before `end`.
pub(crate) fn last_of(end: u64) -> Option<u64> {
    end.checked_sub(1)
}

/// Joins ascending sequences to ranges.
pub(crate) fn spans(seqs: impl IntoIterator<Item = u64>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for seq in seqs {
        match spans.last_mut() {
            Some((_, to)) if to.checked_add(1) == Some(seq) => *to = seq,
            _ => spans.push((seq, seq)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_have_short_lower_case_names() {
        let node = NodeId::from_bytes([0xab; 16]);
        let hex = "ab".repeat(16);
        let bye = Control::Bye(Bye {
            node,
            sent: Some(7),
        });
        assert_eq!(
            serde_json::to_string(&bye).unwrap(),
            format!(r#"{{"bye":{{"node":"{hex}","sent":7}}}}"#)
        );
    }

    #[test]
    fn unknown_fields_are_ignored_and_absent_ones_have_a_meaning() {
        let hex = "ab".repeat(16);
        let text = format!(
            r#"{{"hello":{{"node":"{hex}","name":"a","v":1,"codec":"json","nonce":5,"low":0,"new":[1]}}}}"#
        );
        let Control::Hello(hello) = serde_json::from_str(&text).unwrap() else {
            panic!("not a hello")
        };
        assert_eq!(
            (hello.sent, hello.assigned, hello.heard),
            (None, None, None)
        );
        assert_eq!(end_of(None), 0);
    }

    #[test]
    fn heard_tells_known_from_unknown() {
        let (known, silent) = (NodeId::from_bytes([1; 16]), NodeId::from_bytes([2; 16]));
        let heard = BTreeMap::from([(known, Some(4)), (silent, None)]);
        let text = serde_json::to_string(&heard).unwrap();
        assert_eq!(
            serde_json::from_str::<BTreeMap<NodeId, Option<u64>>>(&text).unwrap(),
            heard
        );
    }

    #[test]
    fn spans_join_neighbours() {
        assert_eq!(spans([1, 2, 3, 7, 9, 10]), [(1, 3), (7, 7), (9, 10)]);
        assert_eq!(spans([u64::MAX]), [(u64::MAX, u64::MAX)]);
    }
}
