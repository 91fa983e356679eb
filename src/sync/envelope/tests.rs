use super::*;

fn envelope() -> Envelope {
    Envelope {
        path: "messages".into(),
        service: None,
        event: "created".into(),
        data: Bytes::from_static(br#"{"text":"hi"}"#),
        context: Some(Bytes::from_static(br#"{"method":"create"}"#)),
        trace: None,
        typed: None,
    }
}

fn traced() -> Envelope {
    Envelope {
        trace: TraceContext::new(u128::MAX, u64::MAX, 1),
        ..envelope()
    }
}

fn wb() -> Wb {
    Wb {
        v: VERSION,
        node: NodeId::from_bytes([7; 16]),
        seq: 3,
        age: Some(12),
        early: true,
    }
}

fn sent(item: &Item<Envelope>) -> Bytes {
    encode(&mut BytesMut::new(), item, Lane::Events, None)
}

fn read(text: &Bytes) -> Result<Message<Envelope>, Reason> {
    decode(text, 1 << 20, &Services::new([]))
}

fn refusal(text: &str) -> Reason {
    read(&Bytes::copy_from_slice(text.as_bytes())).unwrap_err()
}

#[test]
fn an_envelope_comes_back_as_it_was_and_is_never_larger_than_its_size() {
    let text = sent(&Item::Event {
        wb: wb(),
        body: traced(),
    });
    assert!(text.len() <= traced().size(false));
    assert!(text.len() + SEAL_SIZE <= traced().size(true));
    let Ok(Message::Event {
        wb: Some(read),
        body,
        ..
    }) = read(&text)
    else {
        panic!("not an event")
    };
    assert_eq!(read, wb());
    assert_eq!((&*body.path, &*body.event), ("messages", "created"));
    assert_eq!(body.trace, traced().trace);
    assert_eq!(
        (body.data, body.context),
        (envelope().data, envelope().context)
    );
}

#[test]
fn the_events_lane_is_what_feathers_sync_writes_plus_wb() {
    let text = sent(&Item::Event {
        wb: Wb {
            age: None,
            early: false,
            ..wb()
        },
        body: envelope(),
    });
    let hex = "07".repeat(16);
    let wanted = format!(
        r#"{{"event":"created","path":"messages","data":{{"text":"hi"}},"context":{{"method":"create"}},"wb":{{"v":1,"node":"{hex}","seq":3}}}}"#
    );
    assert_eq!(text, wanted);
}

/// Its names are escaped, and every number of its `wb` has all its digits.
#[test]
fn the_longest_envelope_is_no_larger_than_its_size() {
    let body = Envelope {
        path: "\u{1}".repeat(9).into(),
        event: "\u{1}".into(),
        ..traced()
    };
    let wb = Wb {
        seq: u64::MAX,
        age: Some(u64::MAX),
        ..wb()
    };
    let size = body.size(false);
    assert!(sent(&Item::Again { wb, body }).len() <= size);
}

#[test]
fn a_trace_is_one_more_member_of_wb_and_a_wrong_one_is_ignored() {
    let plain = sent(&Item::Again {
        wb: wb(),
        body: envelope(),
    });
    let text = sent(&Item::Again {
        wb: wb(),
        body: traced(),
    });
    let text = String::from_utf8_lossy(&text);
    let member = format!(r#","trace":"00-{}-{}-01""#, "f".repeat(32), "f".repeat(16));
    assert_eq!(text.replace(&member, ""), plain);
    for wrong in [r#""00-x""#, "7", r#"{"a":[]}"#, "null"] {
        let text = text.replace(&member, &format!(r#","trace":{wrong}"#));
        let Ok(Message::Again { body, .. }) = read(&text.into_bytes().into()) else {
            panic!("{wrong} costs the event")
        };
        assert_eq!(body.trace, None);
    }
}

#[test]
fn repeated_envelopes_say_so() {
    let text = sent(&Item::Again {
        wb: wb(),
        body: envelope(),
    });
    assert!(matches!(read(&text), Ok(Message::Again { .. })));
}

#[test]
fn what_node_processes_send_is_foreign() {
    let text = Bytes::from_static(br#" {"event":"typing","path":"/messages/"}"#);
    let Ok(Message::Event { wb: None, body, .. }) = read(&text) else {
        panic!("not foreign")
    };
    assert_eq!((&*body.path, &body.data[..]), ("messages", &b"null"[..]));
}

#[test]
fn hostile_messages_are_refused_with_a_reason() {
    for text in [
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{}",
        r#"["created","messages"]"#,
        "\u{feff}{}",
    ] {
        assert_eq!(refusal(text), Reason::Malformed, "{text}");
    }
    assert_eq!(refusal(r#"{"event":1,"path":"m"}"#), Reason::Malformed);
    assert_eq!(
        refusal(r#"{"event":"e","path":"m","wb":{"v":2}}"#),
        Reason::Version
    );
    assert_eq!(
        refusal(r#"{"event":"e","path":"m","wb":{"v":1,"seq":-1}}"#),
        Reason::Malformed
    );
    assert_eq!(
        refusal(r#"{"event":"e","path":"m","wb":{"v":2,"seq":"of another kind"}}"#),
        Reason::Version
    );
    assert_eq!(refusal(&"[".repeat(65)), Reason::TooDeep);
    assert_eq!(refusal(&" ".repeat((1 << 20) + 1)), Reason::TooLarge);
}

#[test]
fn the_hello_of_another_version_tells_who_speaks_it() {
    let hex = "0b".repeat(16);
    let text = format!(r#"{{"wb":{{"v":2,"control":{{"hello":{{"node":"{hex}","news":1}}}}}}}}"#);
    let message = read(&Bytes::from(text)).unwrap();
    assert!(matches!(message, Message::Stranger(node) if node == NodeId::from_bytes([11; 16])));
}

#[test]
fn an_own_echo_is_known_by_its_end() {
    let mark = own_mark(wb().node);
    let event = |wb| {
        sent(&Item::Event {
            wb,
            body: envelope(),
        })
    };
    let usual = Wb {
        age: None,
        early: false,
        ..wb()
    };
    assert_eq!(own_echo(&event(usual.clone()), &mark), Some(3));
    let traced = Item::Event {
        wb: usual,
        body: traced(),
    };
    assert_eq!(own_echo(&sent(&traced), &mark), Some(3));
    assert_eq!(own_echo(&event(wb()), &mark), None, "late");
    let node = NodeId::from_bytes([8; 16]);
    assert_eq!(own_echo(&event(Wb { node, ..wb() }), &mark), None);
    let again = Item::Again {
        wb: wb(),
        body: envelope(),
    };
    assert_eq!(own_echo(&sent(&again), &mark), None);
    let wb = str::from_utf8(&mark[br#""wb":"#.len()..]).unwrap();
    for data in [format!(r#"{{"wb":{wb}7}}}}"#), format!("{wb}7}}")] {
        let forged = format!(r#"{{"event":"e","path":"p","data":{data}}}"#);
        serde_json::from_str::<serde_json::Value>(&forged).unwrap();
        assert_eq!(own_echo(forged.as_bytes(), &mark), None, "{forged}");
    }
    assert_eq!(own_echo(b"", &mark), None);
}

#[test]
fn brackets_in_strings_do_not_nest() {
    assert_eq!(depth(br#"{"a":"[[[\"[[","b":[{}]}"#), 3);
}
