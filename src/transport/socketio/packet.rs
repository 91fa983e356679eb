//! Socket.IO packets as text (feathers.md §2.1).

use serde_json::Value;

use crate::json;
use crate::json::elements::Elements;

/// One packet from a client.
#[derive(Debug, PartialEq)]
pub(crate) struct Packet<'a> {
    /// The namespace; `/` is the default one.
    pub(crate) namespace: &'a str,
    /// How many binary attachments follow.
    pub(crate) n_attachments: usize,
    pub(crate) body: Body<'a>,
}

/// What a packet says.
#[derive(Debug, PartialEq)]
pub(crate) enum Body<'a> {
    /// Connects the namespace. What a client adds is for middleware, which Feathers has none of.
    Connect,
    /// Leaves the namespace.
    Disconnect,
    /// An event with its name first; empty when nothing came with it.
    Event {
        ack: Option<u64>,
        arguments: Elements<'a>,
    },
    /// Answers an event of ours, none of which asks for an answer.
    Ack,
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` for what is malformed, and for a refusal, which only servers send.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let kind = text.chars().next()?;
        let rest = &text[kind.len_utf8()..];
        let (n_attachments, rest) = match kind {
            '5' | '6' => attachments(rest)?,
            _ => (0, rest),
        };
        let (namespace, rest) = namespace(rest);
        let (ack, rest) = ack(rest)?;
        let plain = (kind == '2').then(|| Elements::plain(rest)).flatten();
        let body = match plain {
            Some(arguments) => Body::event(ack, arguments)?,
            None => Body::new(kind, ack, payload(rest)?)?,
        };
        Some(Self {
            namespace,
            n_attachments,
            body,
        })
    }
}

impl<'a> Body<'a> {
    /// Makes an event of what is not parsed.
    fn event(ack: Option<u64>, arguments: Elements<'a>) -> Option<Self> {
        let is_name = match arguments.first_string() {
            Some(name) => !RESERVED.contains(&name),
            None => arguments.clone().next()?.is_number(),
        };
        is_name.then_some(Self::Event { ack, arguments })
    }

    fn new(kind: char, ack: Option<u64>, payload: Option<Value>) -> Option<Self> {
        match (kind, payload) {
            ('0', None | Some(Value::Object(_))) => Some(Self::Connect),
            ('1', None) => Some(Self::Disconnect),
            ('2' | '5', None) => Some(Self::Event {
                ack,
                arguments: Vec::new().into(),
            }),
            ('2' | '5', Some(Value::Array(arguments))) => is_event_name(arguments.first()?)
                .then_some(Self::Event {
                    ack,
                    arguments: arguments.into(),
                }),
            ('3' | '6', None | Some(Value::Array(_))) => Some(Self::Ack),
            _ => None,
        }
    }
}

/// Reads what follows all else; `None` within is none at all.
fn payload(text: &str) -> Option<Option<Value>> {
    match text {
        "" => Some(None),
        text => json::parse(text).map(Some),
    }
}

/// Reads `<n>-`.
fn attachments(text: &str) -> Option<(usize, &str)> {
    let (n, rest) = text.split_once('-')?;
    let is_decimal = n.bytes().all(|byte| byte.is_ascii_digit());
    let n = n.parse().ok().filter(|_| is_decimal)?;
    (1..=MAX_ATTACHMENTS).contains(&n).then_some((n, rest))
}

/// Reads `/name,`; a packet without it is one of the default namespace.
fn namespace(text: &str) -> (&str, &str) {
    if text.starts_with('/') {
        text.split_once(',').unwrap_or((text, ""))
    } else {
        (ROOT, text)
    }
}

/// Reads the digits of an ack id; `None` for one that no counter reaches.
fn ack(text: &str) -> Option<(Option<u64>, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit);
    match text.split_at(digits.count()) {
        ("", rest) => Some((None, rest)),
        (digits, rest) => Some((Some(digits.parse().ok()?), rest)),
    }
}

fn is_event_name(name: &Value) -> bool {
    match name {
        Value::Number(_) => true,
        Value::String(name) => !RESERVED.contains(&name.as_str()),
        _ => false,
    }
}

/// The default namespace.
pub(super) const ROOT: &str = "/";
/// The names of a socket's own events, on either side.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];
/// The default of Node's parser, in servers and clients.
pub(super) const MAX_ATTACHMENTS: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn root(body: Body<'static>) -> Option<Packet<'static>> {
        Some(Packet {
            namespace: ROOT,
            n_attachments: 0,
            body,
        })
    }

    fn event(ack: Option<u64>, arguments: Value) -> Body<'static> {
        let Value::Array(arguments) = arguments else {
            panic!("arguments are an array");
        };
        Body::Event {
            ack,
            arguments: arguments.into(),
        }
    }

    #[test]
    fn well_formed_packets_are_read() {
        let table = [
            ("0", root(Body::Connect)),
            (r#"0{"token":"x"}"#, root(Body::Connect)),
            ("0/,{}", root(Body::Connect)),
            ("1", root(Body::Disconnect)),
            (
                r#"2["find","messages",{}]"#,
                root(event(None, json!(["find", "messages", {}]))),
            ),
            (
                r#"27["get","a",1]"#,
                root(event(Some(7), json!(["get", "a", 1]))),
            ),
            (r#"2007["x"]"#, root(event(Some(7), json!(["x"])))),
            (
                r#"218446744073709551615["x"]"#,
                root(event(Some(u64::MAX), json!(["x"]))),
            ),
            (
                r#"2[5,"numeric"]"#,
                root(event(None, json!([5, "numeric"]))),
            ),
            ("2", root(event(None, json!([])))),
            ("27", root(event(Some(7), json!([])))),
            ("37[]", root(Body::Ack)),
            ("3", root(Body::Ack)),
        ];
        for (text, packet) in table {
            assert_eq!(Packet::parse(text), packet, "{text}");
        }
    }

    #[test]
    fn namespaces_and_attachments_are_read() {
        let packet = Packet::parse("0/foo").unwrap();
        assert_eq!((packet.namespace, packet.body), ("/foo", Body::Connect));
        let packet = Packet::parse(r#"2/foo,7["x"]"#).unwrap();
        assert_eq!(
            (packet.namespace, packet.body),
            ("/foo", event(Some(7), json!(["x"])))
        );
        let packet = Packet::parse(r#"51-22["x",{"_placeholder":true,"num":0}]"#).unwrap();
        assert_eq!(packet.n_attachments, 1);
        assert_eq!(
            packet.body,
            event(Some(22), json!(["x", { "_placeholder": true, "num": 0 }]))
        );
        let packet = Packet::parse("62-/foo,1[]").unwrap();
        assert_eq!((packet.n_attachments, packet.namespace), (2, "/foo"));
    }

    #[test]
    fn malformed_packets_are_none() {
        let table = [
            "",
            "7",
            "9[]",
            "é",
            "4{}",
            "4",
            r#"0"x""#,
            "0[]",
            "0null",
            "0{",
            "1{}",
            "1[]",
            "2[]",
            "2{}",
            "2null",
            r#"2"find""#,
            "2[",
            "2[null]",
            "2[true]",
            "2[{}]",
            r#"2-1["x"]"#,
            r#"21.5["x"]"#,
            r#"218446744073709551616["x"]"#,
            "3{}",
            r#"3"x""#,
            r#"2["connect"]"#,
            r#"2["connect_error"]"#,
            r#"2["disconnect"]"#,
            r#"2["disconnecting"]"#,
            r#"2["newListener"]"#,
            r#"2["removeListener"]"#,
            r#"5["x"]"#,
            r#"5-["x"]"#,
            r#"50-["x"]"#,
            r#"511-["x"]"#,
            r#"5+1-["x"]"#,
            r#"5-1-["x"]"#,
            r#"51["x"]"#,
            r#"51é-["x"]"#,
            "5",
            "51",
            "5999999999999999999999-",
        ];
        for text in table {
            assert_eq!(Packet::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Packet::parse(&text);
        }

        #[test]
        fn nothing_that_looks_like_a_packet_makes_it_panic(text in r#"[0-6]([0-9é]{0,3}-)?(/[a-z,é]{0,4})?[0-9]{0,22}[\[\]{}",:a-zé0-9\\]{0,20}"#) {
            let _ = Packet::parse(&text);
        }

        #[test]
        fn an_event_comes_back_as_it_was_written(ack in any::<Option<u64>>(), name in "[a-z]{1,9}", rest in prop::collection::vec(any::<i64>(), 0..4)) {
            let arguments: Vec<Value> = [Value::from(name)].into_iter().chain(rest.into_iter().map(Value::from)).collect();
            let is_reserved = RESERVED.contains(&arguments[0].as_str().unwrap());
            let id = ack.map(|ack| ack.to_string()).unwrap_or_default();
            let text = format!("2{id}{}", Value::from(arguments.clone()));
            let packet = Packet::parse(&text).map(|packet| packet.body);
            let arguments = Elements::from(arguments);
            prop_assert_eq!(packet, (!is_reserved).then_some(Body::Event { ack, arguments }));
        }
    }
}
