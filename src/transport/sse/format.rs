//! What is written: events, and what stands before and behind them.

use bytes::Bytes;
use http::HeaderValue;
use serde_json::json;

use crate::connections::WireFormat;
use crate::event::{Event, Json};

/// Writes events as `event: <path> <event>` and `data: <payload>`.
#[derive(Debug)]
pub(super) struct Events;

impl WireFormat for Events {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn encode(&self, event: &Event, payload: &Json) -> Bytes {
        let name = format!("{} {}", event.path(), event.name());
        block(&name, payload.as_bytes())
    }
}

/// A comment, which shows proxies that the connection is used and finds clients that are gone.
pub(super) const HEARTBEAT: &[u8] = b":\n\n";

/// Writes what a stream begins with. Its id says that there was a stream and nothing else: who comes back with one may have
/// missed events, and is told so.
pub(super) fn opening(id: &str, last: Option<&HeaderValue>) -> Bytes {
    let mut text = format!("retry: {RETRY}\nid: {id}\n\n").into_bytes();
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        let last = String::from_utf8_lossy(last.as_bytes());
        let gap = json!({ "lastEventId": last }).to_string();
        text.extend_from_slice(&block("gap", gap.as_bytes()));
    }
    text.into()
}

/// Writes what a stream ends with when the node shuts down. Each client gets another time to wait, or all would come back at
/// once.
pub(super) fn farewell() -> Bytes {
    let retry = rand::random_range(RETRY / 2..RETRY * 5 / 2);
    format!("retry: {retry}\n\n").into()
}

fn block(name: &str, data: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(name.len() + data.len() + ROOM);
    text.extend_from_slice(b"event: ");
    // A line break would end the field, and what follows would be another one.
    text.extend(
        name.bytes()
            .map(|byte| if is_break(&byte) { b' ' } else { byte }),
    );
    for line in data.split(is_break) {
        text.extend_from_slice(b"\ndata: ");
        text.extend_from_slice(line);
    }
    text.extend_from_slice(b"\n\n");
    text.into()
}

/// In JSON line breaks stand between values only, so it means the same however many there are.
fn is_break(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Milliseconds that a client waits before it connects again.
const RETRY: u32 = 2_000;
/// Room for names and line breaks.
const ROOM: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn data_with_line_breaks_is_several_lines() {
        let one = block("a created", br#"{"text":"x"}"#);
        assert_eq!(text(&one), "event: a created\ndata: {\"text\":\"x\"}\n\n");
        let many = block("a created", b"{\n\"a\":\r\n1,\r\"b\":2}");
        let expected =
            "event: a created\ndata: {\ndata: \"a\":\ndata: \ndata: 1,\ndata: \"b\":2}\n\n";
        assert_eq!(text(&many), expected);
    }

    #[test]
    fn no_name_can_write_fields_of_its_own() {
        let event = block("a x\nid: 1\r\ndata: evil", b"1");
        assert_eq!(text(&event), "event: a x id: 1  data: evil\ndata: 1\n\n");
    }

    #[test]
    fn who_comes_back_is_told_of_the_gap() {
        let new = "retry: 2000\nid: abc\n\n";
        assert_eq!(text(&opening("abc", None)), new);
        let last = |id| Some(HeaderValue::from_static(id));
        assert_eq!(text(&opening("abc", last("").as_ref())), new);
        let again = opening("abc", last("x\"y").as_ref());
        let gap = r#"{"lastEventId":"x\"y"}"#;
        assert_eq!(text(&again), format!("{new}event: gap\ndata: {gap}\n\n"));
    }

    #[test]
    fn clients_that_have_to_go_come_back_at_different_times() {
        let waits: Vec<u32> = (0..100)
            .map(|_| {
                let farewell = farewell();
                let wait = text(&farewell).strip_prefix("retry: ").unwrap();
                wait.trim().parse().unwrap()
            })
            .collect();
        assert!(waits.iter().all(|wait| (1_000..5_000).contains(wait)));
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
