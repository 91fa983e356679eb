//! The query-string grammar of Node's `qs`, as Express' extended parser calls it; and forms, as its body parser does.
//!
//! A query comes in as the raw text behind the `?`, a JSON object goes out. The result equals what
//! Express 4.22 (`qs` 6.16) hands to Feathers, the order of the keys included: keys that look like
//! array indices stand first, in ascending order.
//!
//! The limits are Express': five bracket groups in a key, the rest is one literal key; 1,000
//! parameters, the rest is ignored; list indices below 1,000, larger ones are object keys. So the
//! work is linear in the length of the query, and a result nests at most 22 deep: a name, five
//! groups, the rest, a list of duplicates, and at most two lists around each of the first seven
//! where one query gives both a value and an object.
//!
//! Forms have up to 32 groups in a key, and lists as long as there are parameters, at least 100; so they nest at most 100
//! deep. Too many parameters or groups are refused there, and not ignored.
//!
//! Invariant: every query has a result, and every leaf is a string.

#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use self::tree::{Node, Table};
use crate::json::properties::Properties;

/// Turns a query string, without its `?`, into the object that a Feathers service on Express sees.
///
/// Leaves are always strings. A name or value with a malformed percent escape stays as it is written;
/// `__proto__` keys are dropped.
///
/// # Examples
///
/// ```
/// let query = wingbeat::transport::query::parse("a[$gt]=1&b[]=x&b[]=y");
///
/// assert_eq!(query["a"]["$gt"], "1");
/// assert_eq!(query["b"], serde_json::json!(["x", "y"]));
/// ```
#[must_use]
pub fn parse(query: &str) -> Map<String, Value> {
    if query.is_empty() {
        return Map::new();
    }
    let limits = Limits {
        depth: QUERY_DEPTH,
        is_strict: false,
        list: QUERY_LIST,
    };
    read(query, limits).unwrap_or_default()
}

/// Turns the text of a form into the object that a Feathers service on Express sees: the grammar of [`parse`] with the limits
/// of Express' body parser.
///
/// # Errors
/// `FormLimit` says which limit the form passes.
pub(crate) fn parse_form(form: &str) -> Result<Map<String, Value>, FormLimit> {
    let n_parameters = form.split('&').count();
    if n_parameters > PARAMETER_LIMIT {
        return Err(FormLimit::Parameters);
    }
    let limits = Limits {
        depth: FORM_DEPTH,
        is_strict: true,
        list: n_parameters.max(FORM_LIST),
    };
    read(form, limits).ok_or(FormLimit::Depth)
}

/// The limit that a form passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormLimit {
    /// Its parameters are too many.
    Parameters,
    /// A key has too many groups.
    Depth,
}

/// What a text may ask for.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The bracket groups of a key.
    depth: usize,
    /// Whether a key with more of them is refused; otherwise the rest is one literal key.
    is_strict: bool,
    /// The length of a list; longer ones are objects.
    list: usize,
}

/// `None` when strict limits are passed.
fn read(text: &str, limits: Limits) -> Option<Map<String, Value>> {
    let mut root = Table::default();
    for (key, values) in parameters(text) {
        if !key.is_empty() {
            root.merge(branch(&key, values, limits)?, limits.list);
        }
    }
    Some(root.into_map())
}

/// Groups the decoded values by their decoded key; the brackets in the keys are not looked at yet.
fn parameters(query: &str) -> Properties<Vec<String>> {
    let mut parameters = Properties::default();
    for part in bare_brackets(query).split('&').take(PARAMETER_LIMIT) {
        let (key, value) = split_pair(part);
        let values: &mut Vec<String> = parameters.entry(decode(key));
        values.push(decode(value));
    }
    parameters
}

/// Escaped brackets mean the same as bare ones, also in values whose other escapes are malformed.
fn bare_brackets(query: &str) -> Cow<'_, str> {
    if !query.contains("%5") {
        return Cow::Borrowed(query);
    }
    let replaced = query.replace("%5B", "[").replace("%5b", "[");
    Cow::Owned(replaced.replace("%5D", "]").replace("%5d", "]"))
}

/// A key ends at the first `]=`, or else at the first `=`.
fn split_pair(part: &str) -> (&str, &str) {
    let end = part.find("]=").map(|bracket| bracket + 1);
    match end.or_else(|| part.find('=')) {
        Some(end) => (&part[..end], &part[end + 1..]),
        None => (part, ""),
    }
}

/// `+` is a space. One malformed escape, or escapes that are not UTF-8, keep all others of the text
/// undecoded.
fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    if !has_valid_escapes(&spaced) {
        return spaced;
    }
    let decoded = percent_decode_str(&spaced).decode_utf8();
    match decoded {
        Ok(Cow::Owned(decoded)) => decoded,
        _ => spaced,
    }
}

fn has_valid_escapes(text: &str) -> bool {
    let mut after_percent = text.split('%').skip(1).map(str::as_bytes);
    after_percent.all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit))
}

/// The tree with a single path that one key and its values stand for.
fn branch(key: &str, values: Vec<String>, limits: Limits) -> Option<Node> {
    let path = segments(key, limits)?.into_iter();
    let leaf = Node::leaf(values);
    Some(path.rfold(leaf, |node, segment| node.under(segment, limits.list)))
}

/// One step of the path that a key describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'a> {
    /// The text before the first bracket: never an index.
    Name(&'a str),
    /// The text inside a pair of brackets: an index if it looks like one.
    Bracketed(&'a str),
    /// An empty pair of brackets: a new list element.
    Push,
}

fn segments(key: &str, limits: Limits) -> Option<Vec<Segment<'_>>> {
    let (name, mut rest) = key.split_at(key.find('[').unwrap_or(key.len()));
    let mut segments = Vec::new();
    if !name.is_empty() {
        segments.push(Segment::Name(name));
    }
    let mut left = limits.depth;
    while left > 0
        && let Some(close) = closing_bracket(rest)
    {
        segments.push(Segment::bracketed(&rest[1..close]));
        // What stands between two groups (`a[b]here[c]`) is ignored.
        let between = &rest[close + 1..];
        rest = between.find('[').map_or("", |open| &between[open..]);
        left -= 1;
    }
    if !rest.is_empty() {
        segments.push(Segment::Bracketed(rest));
    }
    let is_too_deep = limits.is_strict && left == 0 && !rest.is_empty();
    (!is_too_deep).then_some(segments)
}

/// Where the group closes that `rest` begins with; groups nest, as in `a[[b]]`.
fn closing_bracket(rest: &str) -> Option<usize> {
    let mut level = 0_usize;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'[' => level += 1,
            b']' if level == 1 => return Some(at),
            b']' => level -= 1,
            _ => {}
        }
    }
    None
}

impl<'a> Segment<'a> {
    fn bracketed(text: &'a str) -> Self {
        if text.is_empty() {
            Self::Push
        } else {
            Self::Bracketed(text)
        }
    }
}

const PARAMETER_LIMIT: usize = 1_000;
const QUERY_DEPTH: usize = 5;
const QUERY_LIST: usize = 1_000;
const FORM_DEPTH: usize = 32;
/// Forms with more parameters may have lists as long as these are many.
const FORM_LIST: usize = 100;
