//! JSON as JavaScript writes it.

use serde_json::Value;

/// Parses JSON; `None` for what is none.
///
/// A JavaScript string that was cut in the middle of an emoji has half of a surrogate pair, which `JSON.stringify` writes as
/// an escape that stands for no character. Such a half becomes U+FFFD, or one cut text would cost a client its connection.
pub(super) fn parse(text: &str) -> Option<Value> {
    let repaired = || serde_json::from_str(&without_halves(text)).ok();
    serde_json::from_str(text).ok().or_else(repaired)
}

fn without_halves(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        let (escape, after) = rest[at..].split_at(escape_length(&rest[at..]));
        let is_half = escape.len() == UNIT && unit(escape).is_some_and(is_surrogate);
        whole.push_str(if is_half { REPLACEMENT } else { escape });
        rest = after;
    }
    whole + rest
}

/// Returns the length of the escape at the start; the two of a surrogate pair are one.
fn escape_length(text: &str) -> usize {
    let following = text.get(UNIT..).and_then(unit);
    match (unit(text), following) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * UNIT,
        (Some(_), _) => UNIT,
        (None, _) => text.chars().take(2).map(char::len_utf8).sum(),
    }
}

fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn is_surrogate(unit: u16) -> bool {
    (0xD800..=0xDFFF).contains(&unit)
}

/// The length of `\uXXXX`.
const UNIT: usize = 6;
const REPLACEMENT: &str = "\\ufffd";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn halves_of_surrogate_pairs_are_replaced_and_pairs_stay() {
        let table = [
            (r#""\ud83d\ude00""#, json!("😀")),
            (r#""cut \ud83d""#, json!("cut \u{fffd}")),
            (r#""\ud83d\ud83d\ude00""#, json!("\u{fffd}😀")),
            (r#""\ude00\ud83d""#, json!("\u{fffd}\u{fffd}")),
            (r#""\\ud83d \ud83d""#, json!("\\ud83d \u{fffd}")),
            (
                r#"{"\udead":"\n\ud83d"}"#,
                json!({ "\u{fffd}": "\n\u{fffd}" }),
            ),
        ];
        for (text, value) in table {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in [
            "",
            "{",
            "[1,]",
            r#""\ud83"#,
            r#""\ud83""#,
            r#""\x""#,
            "\"\\é\"",
            "\"\\",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"["\\u0-9a-fé]{0,60}"#) {
            let _ = parse(&text);
            let _ = without_halves(&text);
        }
    }
}
