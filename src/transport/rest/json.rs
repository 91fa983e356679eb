//! JSON bodies, and what is said of bad ones: the words of Node 20, which clients of Feathers know.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::json;

/// Reads an object or an array; a byte order mark and white space around it are fine.
///
/// # Errors
/// `BadRequest` that says what is wrong and where.
pub(super) fn parse(bytes: &[u8]) -> Result<Value> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let start = text.len() - text.trim_start_matches(WHITE_SPACE).len();
    match text[start..].chars().next() {
        Some(first) if first != '{' && first != '[' => {
            Err(Error::bad_request(unexpected_token(text, start)))
        }
        _ => json::from_str(text).map_err(|error| Error::bad_request(explain(&error, text))),
    }
}

fn explain(error: &serde_json::Error, text: &str) -> String {
    let reason = error.to_string();
    let is = |known: &str| reason.starts_with(known);
    if is("EOF while parsing a string") {
        return at("Unterminated string in JSON", text, text.len());
    }
    if let Some(words) = missing(&reason, text) {
        return at(words, text, text.len());
    }
    if let Some(words) = unfinished_number(&reason, text, place(error, text)) {
        return words;
    }
    if error.is_eof() {
        return "Unexpected end of JSON input".to_owned();
    }
    if is("recursion limit") {
        return "JSON is nested too deep".to_owned();
    }
    let place = place(error, text);
    let known = WORDS.iter().find(|(reason, _)| is(reason));
    match known {
        // In a list V8 finds the bracket that follows unexpected, in an object it misses the name.
        Some((TRAILING_COMMA, _)) if text[place..].starts_with(']') => {
            unexpected_token(text, place)
        }
        Some((_, words)) => at(words, text, place),
        None => unexpected_token(text, place),
    }
}

/// Says what a list or an object lacks that ends behind a whole name or value, or behind a comma.
fn missing(reason: &str, text: &str) -> Option<&'static str> {
    let end = text.trim_end_matches(WHITE_SPACE).as_bytes().last()?;
    let words = match (reason.split(" at line").next()?, end) {
        ("EOF while parsing a list", b'[') => return None,
        ("EOF while parsing a list", _) => NO_COMMA_IN_LIST,
        ("EOF while parsing an object", b'{') => NO_NAME,
        ("EOF while parsing an object", b'"') if goes_on(text, ":") => NO_COLON,
        ("EOF while parsing an object", _) => NO_COMMA_IN_OBJECT,
        ("EOF while parsing a value", b',') if goes_on(text, "\"\":") => NO_QUOTED_NAME,
        _ => return None,
    };
    Some(words)
}

/// Tells whether the text could go on so.
fn goes_on(text: &str, more: &str) -> bool {
    json::from_str(&format!("{text}{more}")).is_err_and(|error| error.is_eof())
}

/// Says what a number lacks, or that it begins with a zero.
fn unfinished_number(reason: &str, text: &str, place: usize) -> Option<String> {
    let is_cut = reason.starts_with("EOF while parsing a value");
    let place = if is_cut { text.len() } else { place };
    let words = match text.as_bytes().get(..place)? {
        _ if !is_cut && !reason.starts_with("invalid number") => return None,
        [.., b'.'] => "Unterminated fractional number in JSON",
        [.., b'e' | b'E'] | [.., b'e' | b'E', b'+' | b'-'] => {
            "Exponent part is missing a number in JSON"
        }
        [.., b'-'] => "No number after minus sign in JSON",
        _ if is_cut => return None,
        _ => "Unexpected number in JSON",
    };
    Some(at(words, text, place))
}

/// Returns the offset of the character that an error is about.
fn place(error: &serde_json::Error, text: &str) -> usize {
    let lines = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    let mut place = (before + error.column()).saturating_sub(1).min(text.len());
    while !text.is_char_boundary(place) {
        place -= 1;
    }
    place
}

fn at(words: &str, text: &str, place: usize) -> String {
    let position = text[..place].encode_utf16().count();
    format!("{words} at position {position}")
}

/// Shows the character, and up to ten others on each side.
fn unexpected_token(text: &str, place: usize) -> String {
    let Some(token) = text[place..].chars().next() else {
        return "Unexpected end of JSON input".to_owned();
    };
    let mut before: Vec<char> = text[..place].chars().rev().take(CONTEXT + 1).collect();
    let mut behind: Vec<char> = text[place..].chars().take(CONTEXT + 1).collect();
    let (mut head, mut tail) = ("", "");
    if text.chars().nth(2 * CONTEXT).is_some() {
        head = shorten(&mut before);
        tail = shorten(&mut behind);
    } else {
        before = text[..place].chars().rev().collect();
        behind = text[place..].chars().collect();
    }
    let around: String = before.into_iter().rev().chain(behind).collect();
    format!("Unexpected token '{token}', {head}\"{around}\"{tail} is not valid JSON")
}

/// Cuts to the context and returns what stands for the part that is cut off.
fn shorten(side: &mut Vec<char>) -> &'static str {
    let is_cut = side.len() > CONTEXT;
    side.truncate(CONTEXT);
    if is_cut { "..." } else { "" }
}

const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
const CONTEXT: usize = 10;
const TRAILING_COMMA: &str = "trailing comma";
const NO_NAME: &str = "Expected property name or '}' in JSON";
const NO_QUOTED_NAME: &str = "Expected double-quoted property name in JSON";
const NO_COLON: &str = "Expected ':' after property name in JSON";
const NO_COMMA_IN_LIST: &str = "Expected ',' or ']' after array element in JSON";
const NO_COMMA_IN_OBJECT: &str = "Expected ',' or '}' after property value in JSON";

/// What our parser says, and what V8 says. Everything else is an unexpected token.
const WORDS: &[(&str, &str)] = &[
    ("key must be a string", NO_NAME),
    (TRAILING_COMMA, NO_QUOTED_NAME),
    ("expected `:`", NO_COLON),
    ("expected `,` or `}`", NO_COMMA_IN_OBJECT),
    ("expected `,` or `]`", NO_COMMA_IN_LIST),
    (
        "trailing characters",
        "Unexpected non-whitespace character after JSON",
    ),
    ("invalid escape", "Bad escaped character in JSON"),
    // To V8 it is infinite.
    ("number out of range", "Number out of range in JSON"),
    (
        "control character",
        "Bad control character in string literal in JSON",
    ),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_around_json_is_ignored_and_the_last_of_equal_keys_counts() {
        let text = "\u{feff} \n{\"a\":1,\"__proto__\":{},\"a\":2}\t\r\n";
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            json!({ "a": 2, "__proto__": {} })
        );
        assert_eq!(parse(b"[\"\xff\"]").unwrap(), json!(["\u{fffd}"]));
    }

    #[test]
    fn bad_json_is_explained_in_the_words_of_node() {
        for line in RECORDED.lines() {
            let (text, message) = line.split_once(" => ").unwrap();
            let error = parse(text.replace("\\n", "\n").as_bytes()).unwrap_err();
            assert_eq!(error.message().replace('\n', "\\n"), message);
        }
    }

    /// Recorded from Node 20.20.
    const RECORDED: &str = r#"   => Unexpected end of JSON input
{"a": => Unexpected end of JSON input
[1, => Unexpected end of JSON input
{ => Expected property name or '}' in JSON at position 1
{"a":"x => Unterminated string in JSON at position 7
[1 => Expected ',' or ']' after array element in JSON at position 2
[1  => Expected ',' or ']' after array element in JSON at position 3
["é😀" => Expected ',' or ']' after array element in JSON at position 6
[{"a":1} => Expected ',' or ']' after array element in JSON at position 8
[ => Unexpected end of JSON input
[tr => Unexpected end of JSON input
{"a" => Expected ':' after property name in JSON at position 4
{"a"  => Expected ':' after property name in JSON at position 5
{"a":1 => Expected ',' or '}' after property value in JSON at position 6
{"a":"x" => Expected ',' or '}' after property value in JSON at position 8
{"a":1,  => Expected double-quoted property name in JSON at position 8
{"a":tr => Unexpected end of JSON input
42 => Unexpected token '4', "42" is not valid JSON
 "x" => Unexpected token '"', " "x"" is not valid JSON
null => Unexpected token 'n', "null" is not valid JSON
[1,] => Unexpected token ']', "[1,]" is not valid JSON
[.5] => Unexpected token '.', "[.5]" is not valid JSON
{"a":1,} => Expected double-quoted property name in JSON at position 7
{"a":1 "b"} => Expected ',' or '}' after property value in JSON at position 7
[1 2] => Expected ',' or ']' after array element in JSON at position 3
{a:1} => Expected property name or '}' in JSON at position 1
{"a" 1} => Expected ':' after property name in JSON at position 5
{"a":1} x => Unexpected non-whitespace character after JSON at position 8
["a\nb"] => Bad control character in string literal in JSON at position 3
["a\x"] => Bad escaped character in JSON at position 4
{"a":01} => Unexpected number in JSON at position 6
[-01] => Unexpected number in JSON at position 3
[-] => No number after minus sign in JSON at position 2
[- => No number after minus sign in JSON at position 2
[1.e5] => Unterminated fractional number in JSON at position 3
[1. => Unterminated fractional number in JSON at position 3
[1e+] => Exponent part is missing a number in JSON at position 4
[1e => Exponent part is missing a number in JSON at position 3
{"a":tru} => Unexpected token '}', "{"a":tru}" is not valid JSON
{"ü€😀":x} => Unexpected token 'x', "{"ü€😀":x}" is not valid JSON
[\n 1,\n } => Unexpected token '}', "[\n 1,\n }" is not valid JSON
{"aaaaaaaaaaaaaaaaaaaaaaaaaa":bogus,"bbbbbbbbbbbbbbbbbbbbbbb":1} => Unexpected token 'b', ..."aaaaaaaa":bogus,"bbb"... is not valid JSON
{"aaaaaaaaaaaaaaaaaaaa":bogus} => Unexpected token 'b', ..."aaaaaaaa":bogus}" is not valid JSON"#;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_explained(bytes: Vec<u8>, soup in "[\\[\\]{},:\"\\\\\n ü😀0e.+trunlfase-]{0,40}") {
            for text in [&bytes[..], soup.as_bytes()] {
                let is_explained = parse(text).is_ok_and(|value| value.is_object() || value.is_array())
                    || parse(text).is_err_and(|error| error.message().contains("JSON"));
                prop_assert!(is_explained);
            }
        }
    }

    #[test]
    fn deep_json_is_refused_and_does_not_end_the_process() {
        let deep = "[".repeat(100_000);
        let error = parse(deep.as_bytes()).unwrap_err();
        assert_eq!(error.message(), "JSON is nested too deep");
    }
}
