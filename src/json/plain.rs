//! JSON text that is already as it would be written, so that nobody has to parse it to keep it or to send it.
//!
//! Most of what clients send is: `JSON.stringify` and we write nearly the same text. A text counts as plain only where that is
//! certain at a glance; all others are parsed and written anew.
//!
//! Invariant: what is plain is valid, and `serde_json` writes its value as the same text.

use std::ops::Range;

use smallvec::SmallVec;

use super::{RESERVED, is_special};

/// Tells whether a text is one plain value.
pub(crate) fn is_plain(text: &str) -> bool {
    whole(text, |scanner| scanner.value(0)).is_some()
}

/// Cuts a plain array into the texts of its elements; `None` for any other text.
pub(crate) fn elements(text: &str) -> Option<SmallVec<[&str; FEW]>> {
    let mut elements = SmallVec::new();
    whole(text, |scanner| {
        scanner.array(0, |element| elements.push(&text[element]))
    })?;
    Some(elements)
}

/// Returns what stands between the quotes of a plain string; `None` for any other plain value.
pub(crate) fn string(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// Returns the text of a member's value, if the plain object has that member; `None` for a plain value that is no object.
pub(crate) fn member<'a>(plain: &'a [u8], wanted: &str) -> Option<Option<&'a [u8]>> {
    let mut found = None;
    let scanned = Scanner::new(plain).object(0, |name, value| {
        found = (name == wanted.as_bytes()).then(|| &plain[value]);
        // What is behind it is plain, too.
        found.is_none().then_some(())
    });
    found.map_or_else(|| scanned.map(|()| None), |found| Some(Some(found)))
}

/// Scans a text to its end.
fn whole<'a>(text: &'a str, scan: impl FnOnce(&mut Scanner<'a>) -> Option<()>) -> Option<()> {
    let mut scanner = Scanner::new(text.as_bytes());
    scan(&mut scanner)?;
    scanner.rest.is_empty().then_some(())
}

/// Goes through a text; each method takes what it is named after, or returns `None` for what is not plain.
struct Scanner<'a> {
    length: usize,
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            length: text.len(),
            rest: text,
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.string().map(drop),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1, |_, _| Some(())),
            b'[' if depth < MAX_DEPTH => self.array(depth + 1, |_| {}),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    /// An object in which no name stands twice.
    fn object(
        &mut self,
        depth: usize,
        mut found: impl FnMut(&[u8], Range<usize>) -> Option<()>,
    ) -> Option<()> {
        let mut names = SmallVec::<[&[u8]; MAX_NAMES]>::new();
        self.list(*b"{}", |scanner| {
            let name = scanner.string()?;
            scanner.take(b':')?;
            let value = scanner.taken(|scanner| scanner.value(depth))?;
            let is_reserved = name == RESERVED.as_bytes();
            if names.len() == MAX_NAMES || names.contains(&name) || is_reserved {
                return None;
            }
            names.push(name);
            found(name, value)
        })
    }

    fn array(&mut self, depth: usize, mut found: impl FnMut(Range<usize>)) -> Option<()> {
        self.list(*b"[]", |scanner| {
            found(scanner.taken(|scanner| scanner.value(depth))?);
            Some(())
        })
    }

    fn list(
        &mut self,
        [open, close]: [u8; 2],
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            if self.take(b',').is_none() {
                return self.take(close);
            }
        }
    }

    /// A string without escapes; returns what is between its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.take(b'"')?;
        let string = self.skip(unescaped(self.rest));
        self.take(b'"').map(|()| string)
    }

    /// An integer, or a decimal fraction that a double holds to the last digit and that needs no exponent.
    fn number(&mut self) -> Option<()> {
        let sign = self.take(b'-');
        let whole = self.digits()?;
        if whole.starts_with(b"0") && whole.len() > 1 || whole.len() > INTEGER_DIGITS {
            return None;
        }
        if self.take(b'.').is_none() {
            return (whole != b"0" || sign.is_none()).then_some(());
        }
        let fraction = self.digits()?;
        let is_exact = whole.len() + fraction.len() <= FRACTION_DIGITS;
        let is_shortest = !fraction.ends_with(b"0") && !fraction.starts_with(b"000");
        (is_exact && is_shortest).then_some(())
    }

    fn digits(&mut self) -> Option<&'a [u8]> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = self.skip(digits.count());
        (!digits.is_empty()).then_some(digits)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| self.rest = rest)
    }

    /// Takes so many bytes, or all there are.
    fn skip(&mut self, n: usize) -> &'a [u8] {
        let (skipped, rest) = self.rest.split_at_checked(n).unwrap_or((self.rest, &[]));
        self.rest = rest;
        skipped
    }

    /// Returns where the text is that was scanned.
    fn taken(&mut self, scan: impl FnOnce(&mut Self) -> Option<()>) -> Option<Range<usize>> {
        let start = self.length - self.rest.len();
        scan(self)?;
        Some(start..self.length - self.rest.len())
    }
}

/// Returns how many bytes there are before a quote, an escape or a control character.
fn unescaped(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (at, word) in words.iter().enumerate() {
        let specials = specials(u64::from_le_bytes(*word));
        if specials != 0 {
            return at * size_of::<u64>() + (specials.trailing_zeros() / u8::BITS) as usize;
        }
    }
    let rest = rest.iter().take_while(|byte| !is_special(byte));
    words.len() * size_of::<u64>() + rest.count()
}

/// Sets the highest bit of the first special byte, of eight that are looked at together, and maybe of some behind it.
fn specials(word: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let below = |word: u64, limit: u8| word.wrapping_sub(LOW * u64::from(limit)) & !word;
    let is = |byte: u8| below(word ^ (LOW * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & HIGH
}

/// As many elements as most messages have.
pub(super) const FEW: usize = 6;
/// Names of one object are compared one by one, so there may not be many.
const MAX_NAMES: usize = 24;
const MAX_DEPTH: usize = 32;
/// So many digits fit into 64 bits.
const INTEGER_DIGITS: usize = 18;
/// A double holds so many digits, whichever they are.
const FRACTION_DIGITS: usize = 15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::from_str;

    /// What is plain is valid and is written as it stands.
    fn check(text: &str) {
        if is_plain(text) {
            let written = from_str(text).map(|value| value.to_string());
            assert_eq!(written.ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn what_clients_mostly_send_is_plain() {
        for text in [
            r#"{"id":1,"author":"ä","text":"it's 😀","likes":-3,"isRead":false,"tags":["a",null,true,{}],"in":{"x":[]}}"#,
            r#"[0,-1,0.5,-12.25,0.001,123456789012345678,12345678901234.5,48.137154]"#,
            r#""text""#,
            "7",
            "{}",
        ] {
            assert!(is_plain(text), "{text}");
            check(text);
        }
    }

    #[test]
    fn what_would_be_written_in_another_way_is_not() {
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        let many = Value::Object((0..30).map(|n| (n.to_string(), json!(n))).collect());
        for text in [
            "",
            " 1",
            "1 ",
            "[1, 2]",
            r#"{"a": 1}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"$serde_json::private::RawValue":"1"}"#,
            r#""a\n""#,
            "\"a\n\"",
            "\"a",
            "[1,]",
            "[1",
            "{\"a\"}",
            "{1:2}",
            "-0",
            "00",
            "01",
            "-",
            "1.",
            ".5",
            "1.0",
            "0.0001",
            "1e3",
            "1234567890123456.5",
            "1234567890123456789",
            "nul",
            "[1]2",
            &deep,
            &many.to_string(),
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn arrays_and_objects_are_cut() {
        let cut = elements(r#"["find",[1,{"a":2}],7]"#).unwrap();
        assert_eq!(cut.as_slice(), [r#""find""#, r#"[1,{"a":2}]"#, "7"]);
        assert_eq!(elements("[]").map(|cut| cut.len()), Some(0));
        assert_eq!(elements("{}"), None);

        let object = br#"{"a":{"id":1},"id":"x"}"#;
        assert_eq!(member(object, "id"), Some(Some(&br#""x""#[..])));
        assert_eq!(member(object, "x"), Some(None));
        assert_eq!(member(b"[1]", "id"), None);
    }

    proptest! {
        #[test]
        fn a_plain_text_is_what_its_value_is_written_as(
            any: String,
            soup in r#"[\[\]{},:"\\0-9.eE+\-a truefalsn]{0,12}"#,
            number in r"-?[0-9]{1,19}(\.[0-9]{1,16})?",
            value in crate::json::tests::value(),
        ) {
            for text in [&any, &soup, &number, &value.to_string()] {
                check(text);
            }
        }

        #[test]
        fn numbers_with_few_digits_are_exact(digits in 1_u64..1_000_000_000_000_000, point in 0_usize..15) {
            let digits = format!("{digits:015}");
            let (whole, fraction) = digits.split_at(point);
            let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty());
            check(&format!("{}.{}", whole.unwrap_or("0"), fraction.trim_end_matches('0')));
        }
    }
}
