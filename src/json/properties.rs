//! An object's properties in the order in which JavaScript lists them.

use std::collections::{BTreeMap, btree_map};

use indexmap::{IndexMap, map};

/// Keys that are array indices in ascending order, then all others in the order of their insertion.
#[derive(Debug)]
pub(crate) struct Properties<V> {
    indexed: BTreeMap<u32, V>,
    named: IndexMap<String, V>,
}

impl<V> Properties<V> {
    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        match array_index(key) {
            Some(index) => self.indexed.get(&index),
            None => self.named.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        match array_index(key) {
            Some(index) => self.indexed.get_mut(&index),
            None => self.named.get_mut(key),
        }
    }

    /// Puts a value in, in the place of another of the same key, which it returns.
    pub(crate) fn insert(&mut self, key: impl AsRef<str> + Into<String>, value: V) -> Option<V> {
        match array_index(key.as_ref()) {
            Some(index) => self.indexed.insert(index, value),
            None => self.named.insert(key.into(), value),
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        match array_index(key) {
            Some(index) => self.indexed.remove(&index),
            None => self.named.shift_remove(key),
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.indexed.values().chain(self.named.values())
    }

    pub(crate) fn len(&self) -> usize {
        self.indexed.len() + self.named.len()
    }

    /// The largest key that is a number, be it an array index or beyond.
    pub(crate) fn max_number(&self) -> Option<f64> {
        let index = self.indexed.keys().next_back().copied().map(f64::from);
        let names = self.named.keys().filter_map(|name| number(name));
        names.chain(index).reduce(f64::max)
    }
}

impl<V: Default> Properties<V> {
    pub(crate) fn entry(&mut self, key: String) -> &mut V {
        match array_index(&key) {
            Some(index) => self.indexed.entry(index).or_default(),
            None => self.named.entry(key).or_default(),
        }
    }
}

impl<V> Default for Properties<V> {
    fn default() -> Self {
        Self {
            indexed: BTreeMap::new(),
            named: IndexMap::new(),
        }
    }
}

impl<V> IntoIterator for Properties<V> {
    type Item = (String, V);
    type IntoIter = IntoIter<V>;

    fn into_iter(self) -> IntoIter<V> {
        IntoIter {
            indexed: self.indexed.into_iter(),
            named: self.named.into_iter(),
        }
    }
}

/// Yields what [`Properties`] held, in its order.
#[derive(Debug)]
pub(crate) struct IntoIter<V> {
    indexed: btree_map::IntoIter<u32, V>,
    named: map::IntoIter<String, V>,
}

impl<V> Iterator for IntoIter<V> {
    type Item = (String, V);

    fn next(&mut self) -> Option<Self::Item> {
        let indexed = self
            .indexed
            .next()
            .map(|(index, value)| (index.to_string(), value));
        indexed.or_else(|| self.named.next())
    }
}

/// The number that JavaScript prints exactly as `key`.
///
/// A double, since two of the large ones can be the same to JavaScript: 2^53 and 2^53 + 1.
pub(crate) fn number(key: &str) -> Option<f64> {
    if !is_decimal(key) || key.len() > DIGITS {
        return None;
    }
    key.parse()
        .ok()
        .filter(|number: &f64| number.to_string() == key)
}

/// JavaScript's array indices end one below `u32::MAX`.
pub(crate) fn array_index(key: &str) -> Option<u32> {
    if !is_decimal(key) {
        return None;
    }
    key.parse().ok().filter(|index| *index != u32::MAX)
}

fn is_decimal(key: &str) -> bool {
    match key.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// From 10^21 on JavaScript prints numbers with an exponent.
const DIGITS: usize = 21;
