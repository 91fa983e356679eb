//! Which of the records that match the caller gets (feathers.md §6.2).

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::found::{Found, Page};
use crate::event::Json;

/// How `find` is cut into pages of `{ total, limit, skip, data }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Paginate {
    /// Records on a page when the query has no `$limit`; 0 by default. With a `max` that is a page without records.
    pub default: u64,
    /// The most records that a `$limit` gets; `None`, the default, is no bound. Without a `default` and a `max` above 0 a page
    /// holds all records.
    pub max: Option<u64>,
}

impl Paginate {
    /// Makes pages of `default` records, or as many as `$limit` says up to `max`.
    #[must_use]
    pub fn new(default: u64, max: u64) -> Self {
        Self {
            default,
            max: Some(max),
        }
    }

    fn limits(&self) -> bool {
        self.default > 0 || self.max.is_some_and(|max| max > 0)
    }

    fn limit(&self, asked: Option<i64>) -> i64 {
        let bound = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let wanted = asked.filter(|limit| *limit >= 0);
        let wanted = wanted.unwrap_or(bound(self.default));
        self.max.map_or(wanted, |max| wanted.min(bound(max)))
    }
}

/// A number as JavaScript's `parseInt` reads it; `None` is what it calls `NaN`.
pub(super) type Parsed = Option<i64>;

/// Which of the records that match a caller gets, and whether they come as a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    is_page: bool,
    limit: Option<Parsed>,
    skip: i64,
}

impl Window {
    pub(super) fn new(
        limit: Option<Parsed>,
        skip: Option<Parsed>,
        paginate: Option<&Paginate>,
    ) -> Self {
        let skip = skip.flatten().unwrap_or(0);
        let limit = match paginate {
            Some(paginate) if paginate.limits() => Some(Some(paginate.limit(limit.flatten()))),
            Some(_) => limit,
            None => limit.filter(|limit| limit.is_some_and(|limit| limit >= 0)),
        };
        let is_page = paginate.is_some();
        Self {
            is_page,
            limit,
            skip: if is_page { skip } else { skip.max(0) },
        }
    }

    /// Tells whether the answer is a page, which needs to know how many records match.
    #[must_use]
    pub fn is_page(&self) -> bool {
        self.is_page
    }

    /// Returns which of `total` records that match, in their order, the caller gets.
    ///
    /// Who does not know their number passes `usize::MAX` when the answer is no page; the end is then the same for all.
    #[must_use]
    pub fn range(&self, total: usize) -> Range<usize> {
        let start = slice_index(self.skip, total);
        let count = match self.limit {
            None => total - start,
            Some(None) => 0,
            Some(Some(limit)) => slice_index(limit, total - start),
        };
        start..start + count
    }

    /// Makes the answer of `find` from the records within the range: an array, or a page of `total` records.
    #[must_use]
    pub fn answer(&self, total: usize, data: Vec<Value>) -> Value {
        if !self.is_page {
            return data.into();
        }
        let mut page = Map::new();
        page.insert("total".to_owned(), total.into());
        if let Some(limit) = self.limit {
            page.insert("limit".to_owned(), json!(limit));
        }
        page.insert("skip".to_owned(), self.skip.into());
        page.insert("data".to_owned(), data.into());
        page.into()
    }

    /// Makes the answer of `find` from the JSON text of the records within the range.
    pub(crate) fn answer_text<'a>(
        &self,
        total: usize,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Json {
        let empty = self.answer(total, Vec::new()).to_string();
        // The records are the last thing in it.
        let (head, tail) = empty.split_at(empty.rfind(']').unwrap_or(empty.len()));
        let length: usize = records.clone().map(|record| record.len() + 1).sum();
        let mut text = Vec::with_capacity(empty.len() + length);
        text.extend_from_slice(head.as_bytes());
        for (at, record) in records.enumerate() {
            text.extend_from_slice(if at > 0 { b"," } else { b"" });
            text.extend_from_slice(record);
        }
        text.extend_from_slice(tail.as_bytes());
        Json::from_valid_text(text.into())
    }

    /// Makes the answer of `find` with its type; otherwise as [`answer`](Self::answer), but for a `$limit` that is no number,
    /// which is left out.
    ///
    /// ```
    /// use wingbeat::service::query::{Paginate, Query, QueryBuilder, QueryOptions};
    ///
    /// # fn main() -> wingbeat::error::Result<()> {
    /// let letters = ['a', 'b', 'c', 'd'];
    /// let query = QueryBuilder::new().skip(3).build();
    /// let window = Query::parse(&query, &QueryOptions::default())?.window(Some(&Paginate::new(2, 10)));
    /// let found = window.found(letters.len(), letters[window.range(letters.len())].to_vec());
    /// assert_eq!((found.data.as_slice(), found.total()), (['d'].as_slice(), 4));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn found<T>(&self, total: usize, data: Vec<T>) -> Found<T> {
        let page = || Page {
            total: u64::try_from(total).unwrap_or(u64::MAX),
            limit: self.limit.flatten(),
            skip: self.skip,
        };
        let page = self.is_page.then(page);
        Found { data, page }
    }
}

/// Resolves an index as JavaScript's `slice` does: a negative one counts from the end.
fn slice_index(index: i64, length: usize) -> usize {
    let distance = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    if index < 0 {
        length.saturating_sub(distance)
    } else {
        distance.min(length)
    }
}

/// Reads a number as JavaScript's `parseInt(value, 10)` does.
pub(super) fn parse_int(value: &Value) -> Parsed {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| leading(&number.to_string())),
        Value::String(text) => leading(text),
        Value::Array(elements) => elements.first().and_then(parse_int),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

/// Reads the integer that a text begins with; beyond 64 bits it is the largest.
fn leading(text: &str) -> Parsed {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let largest = if text.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(text[..sign + digits].parse().unwrap_or(largest))
}
