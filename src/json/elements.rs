//! The elements of a JSON array that a client sent, the next one first.

use std::borrow::Cow;
use std::vec;

use bytes::Bytes;
use serde_json::Value;
use smallvec::{IntoIter, SmallVec};

use super::plain;
use crate::event::Json;

/// Elements that are parsed one by one as they are taken, if the array is plain text; otherwise they are parsed already.
#[derive(Clone, Debug)]
pub(crate) enum Elements<'a> {
    Texts(IntoIter<[&'a str; plain::FEW]>),
    Values(vec::IntoIter<Value>),
}

impl<'a> Elements<'a> {
    /// Takes a plain array apart; `None` for any other text.
    pub(crate) fn plain(text: &'a str) -> Option<Self> {
        let elements = plain::elements(text)?;
        Some(Self::Texts(SmallVec::into_iter(elements)))
    }

    /// Returns the next element if it is a string.
    pub(crate) fn first_string(&self) -> Option<&str> {
        match self {
            Self::Texts(texts) => plain::string(texts.as_slice().first()?),
            Self::Values(values) => values.as_slice().first()?.as_str(),
        }
    }

    /// Takes the next element if it is a string.
    pub(crate) fn next_string(&mut self) -> Option<Cow<'a, str>> {
        match self {
            Self::Texts(texts) => plain::string(texts.next()?).map(Cow::Borrowed),
            Self::Values(values) => match values.next()? {
                Value::String(string) => Some(Cow::Owned(string)),
                _ => None,
            },
        }
    }

    /// Takes the next element as text, if nobody has parsed it yet.
    pub(crate) fn next_json(&mut self) -> Option<Json> {
        match self {
            Self::Texts(texts) => {
                let text = Bytes::copy_from_slice(texts.next()?.as_bytes());
                Some(Json::from_plain_text(text))
            }
            Self::Values(values) => values.next().map(Json::from),
        }
    }
}

impl From<Vec<Value>> for Elements<'_> {
    fn from(values: Vec<Value>) -> Self {
        Self::Values(values.into_iter())
    }
}

impl Iterator for Elements<'_> {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        match self {
            Self::Texts(texts) => super::from_str(texts.next()?).ok(),
            Self::Values(values) => values.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Texts(texts) => texts.size_hint(),
            Self::Values(values) => values.size_hint(),
        }
    }
}

impl ExactSizeIterator for Elements<'_> {}

impl PartialEq for Elements<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}
