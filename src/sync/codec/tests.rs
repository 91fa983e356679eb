use serde_json::json;

use super::*;

fn through(codec: &Codec, envelope: &Value) -> Value {
    let written = codec
        .write(&serde_json::to_vec(envelope).unwrap(), &[])
        .unwrap();
    serde_json::from_slice(&codec.read(&written.into()).unwrap()).unwrap()
}

fn envelope() -> Value {
    json!({
        "event": "created", "path": "messages",
        "data": { "text": "\u{1f600}", "n": [0, -1, 2_147_483_648_u64, 1.5, 9_007_199_254_740_991_u64], "no": null, "is": true },
        "wb": { "v": 1, "node": "00", "seq": 7 },
    })
}

/// JSON that begins with the version of a form that does not exist yet.
#[derive(Debug)]
struct Prefixed;

impl Serializer for Prefixed {
    fn name(&self) -> &str {
        "prefixed"
    }

    fn serialize(&self, envelope: &Value) -> Result<Vec<u8>, BoxError> {
        Ok(format!("9{envelope}").into_bytes())
    }

    fn deserialize(&self, payload: &[u8]) -> Result<Value, BoxError> {
        let text = payload.strip_prefix(b"9").ok_or("another version")?;
        Ok(serde_json::from_slice(text)?)
    }
}

#[test]
fn what_is_written_is_read_again() {
    let codecs = [
        Codec::Json,
        Codec::Custom(Arc::new(Prefixed)),
        #[cfg(feature = "msgpack")]
        Codec::MessagePack,
        #[cfg(feature = "bson")]
        Codec::Bson,
    ];
    for codec in codecs {
        assert_eq!(through(&codec, &envelope()), envelope(), "{codec}");
    }
}

#[test]
fn what_can_not_be_read_is_malformed() {
    let codecs = [
        Codec::Custom(Arc::new(Prefixed)),
        #[cfg(feature = "msgpack")]
        Codec::MessagePack,
        #[cfg(feature = "bson")]
        Codec::Bson,
    ];
    for codec in codecs {
        for payload in [&b""[..], b"{}", b"\xc1", &[0; 5], &[0xff; 300]] {
            let read = codec.read(&Bytes::from_static(payload));
            assert_eq!(read.unwrap_err(), Reason::Malformed, "{codec} {payload:?}");
        }
    }
}

#[test]
fn a_codec_is_known_by_its_name() {
    assert!("json".parse::<Codec>().unwrap().is_json());
    let error = "bsom".parse::<Codec>().unwrap_err();
    assert!(error.contains("did you mean 'bson'"), "{error}");
    assert_eq!(Codec::Custom(Arc::new(Prefixed)).to_string(), "prefixed");
}

#[cfg(feature = "msgpack")]
#[test]
fn message_pack_has_text_keys() {
    let written = Codec::MessagePack.write(br#"{"a":1}"#, &[]).unwrap();
    assert_eq!(written, [0x81, 0xa1, b'a', 1]);
}

#[cfg(feature = "bson")]
mod bson {
    use ::bson::oid::ObjectId;
    use ::bson::spec::BinarySubtype;
    use ::bson::{Binary, Bson, DateTime, doc};
    use data_encoding::HEXLOWER;

    use super::*;

    fn read(document: &::bson::Document) -> Result<Value, Reason> {
        let text = Codec::Bson.read(&document.to_vec().unwrap().into())?;
        Ok(serde_json::from_slice(&text).unwrap())
    }

    /// The bytes are what js-bson wrote (feathers.md §9.4).
    #[test]
    fn what_js_bson_writes_is_written_and_read() {
        let custom = json!({ "event": "typing", "path": "messages", "data": { "user": 1 } });
        let bare = json!({ "event": "typing", "path": "messages" });
        let vectors = [
            (
                custom,
                "3f000000026576656e740007000000747970696e6700027061746800090000006d65737361676573000364617461000f000000107573657200010000000000",
            ),
            (
                bare,
                "2a000000026576656e740007000000747970696e6700027061746800090000006d657373616765730000",
            ),
        ];
        for (envelope, hex) in vectors {
            let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
            let written = Codec::Bson.write(&serde_json::to_vec(&envelope).unwrap(), &[]);
            assert_eq!(written.unwrap(), bytes);
            let text = Codec::Bson.read(&bytes.into()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), envelope);
        }
    }

    #[test]
    fn types_are_for_clients_what_json_stringify_makes_of_them() {
        let id = ObjectId::from_bytes([0xab; 12]);
        let document = doc! {
            "date": DateTime::from_millis(1_700_000_000_000),
            "late": DateTime::from_millis(1_700_000_000_120),
            "id": id,
            "bytes": Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 2, 3] },
            "long": 5_000_000_000_i64,
            "whole": 3.0, "half": 0.5, "none": f64::NAN,
        };
        let wanted = json!({
            "date": "2023-11-14T22:13:20.000Z", "late": "2023-11-14T22:13:20.120Z",
            "id": "ab".repeat(12), "bytes": "AQID", "long": 5_000_000_000_i64,
            "whole": 3, "half": 0.5, "none": null,
        });
        assert_eq!(read(&document), Ok(wanted));
    }

    #[test]
    fn named_dates_leave_as_dates_and_only_they() {
        let envelope = json!({ "data": { "at": "2023-11-14T22:13:20Z", "text": "2023-11-14T22:13:20Z", "in": [{ "at": "soon" }] } });
        let dates = [Arc::from("at")];
        let payload = Codec::Bson.write(&serde_json::to_vec(&envelope).unwrap(), &dates);
        let Some(Bson::Document(data)) = data(&payload.unwrap()) else {
            panic!("no document")
        };
        let date = DateTime::from_millis(1_700_000_000_000);
        assert_eq!(data.get_datetime("at").unwrap(), &date);
        assert_eq!(data.get_str("text").unwrap(), "2023-11-14T22:13:20Z");
        assert_eq!(
            data.get_array("in").unwrap(),
            &[Bson::from(doc! { "at": "soon" })]
        );
    }

    #[test]
    fn what_nests_without_end_does_not_end_the_stack() {
        let mut bytes = 5_i32.to_le_bytes().to_vec();
        bytes.push(0);
        for _ in 0..20_000 {
            let mut outer = i32::try_from(bytes.len() + 8)
                .unwrap()
                .to_le_bytes()
                .to_vec();
            outer.extend(b"\x03a\0");
            outer.extend(&bytes);
            outer.push(0);
            bytes = outer;
        }
        assert_eq!(
            Codec::Bson.read(&bytes.into()).unwrap_err(),
            Reason::TooDeep
        );
    }

    #[test]
    fn a_name_that_bson_can_not_have_is_an_error() {
        let envelope = json!({ "data": { "a\0b": 1 } });
        let written = Codec::Bson.write(&serde_json::to_vec(&envelope).unwrap(), &[]);
        assert!(written.is_err());
    }
}
