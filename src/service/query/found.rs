//! What a `find` answers, with its type.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// The records that a `find` answers: a list, or one page of it, as the service is set up.
///
/// It reads as a slice of the records.
///
/// ```
/// use serde_json::json;
/// use wingbeat::service::query::Found;
///
/// # fn main() -> Result<(), serde_json::Error> {
/// let page: Found<String> = serde_json::from_value(json!({ "total": 9, "limit": 2, "skip": 4, "data": ["a", "b"] }))?;
/// assert_eq!((page.len(), page.total()), (2, 9));
/// assert_eq!(page.page.map(|page| page.skip), Some(4));
///
/// let list = Found::from(vec!["a", "b"]);
/// assert_eq!((list.total(), serde_json::to_value(list)?), (2, json!(["a", "b"])));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found<T> {
    /// The records, in the order of the answer.
    pub data: Vec<T>,
    /// Where they stand among all that match; `None` for a list.
    pub page: Option<Page>,
}

/// Where the records of a page stand among all that match (feathers.md §6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many records match.
    pub total: u64,
    /// How many a page has at most; `None` is no bound.
    pub limit: Option<i64>,
    /// How many of the records that match were left out before these; a negative number counts from their end.
    pub skip: i64,
}

/// A page as JSON has it.
#[derive(Serialize, serde::Deserialize)]
struct Form<D> {
    total: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    skip: i64,
    data: D,
}

impl<T> Found<T> {
    /// Returns how many records match, those on other pages too.
    #[must_use]
    pub fn total(&self) -> u64 {
        let here = || u64::try_from(self.data.len()).unwrap_or(u64::MAX);
        self.page.map_or_else(here, |page| page.total)
    }
}

impl<T> From<Vec<T>> for Found<T> {
    fn from(data: Vec<T>) -> Self {
        Self { data, page: None }
    }
}

impl<T> Deref for Found<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data
    }
}

impl<T> IntoIterator for Found<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.data.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Found<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.data.iter()
    }
}

impl<T: Serialize> Serialize for Found<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(Page { total, limit, skip }) = self.page else {
            return self.data.serialize(serializer);
        };
        let data = &self.data;
        let form = Form {
            total,
            limit,
            skip,
            data,
        };
        form.serialize(serializer)
    }
}

/// By hand, because an untagged enum would not say which record is wrong.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Found<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

struct Either<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = Found<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records or a page of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Found<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Found::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, page: A) -> Result<Found<T>, A::Error> {
        let Form {
            total,
            limit,
            skip,
            data,
        } = Form::deserialize(MapAccessDeserializer::new(page))?;
        let page = Some(Page { total, limit, skip });
        Ok(Found { data, page })
    }
}
