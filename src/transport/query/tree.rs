//! What the keys of a query add up to: texts, sparse lists and tables, and how `qs` merges them. `limit` is everywhere the
//! length of a list.

use std::collections::BTreeMap;
use std::mem;

use serde_json::{Map, Value};

use super::Segment;
use crate::json::properties::{Properties, number};

/// A value while the query is read.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    List(Box<List>),
    Table(Box<Table>),
}

/// An array with holes; the holes vanish at the end, but until then they count in its length.
#[derive(Debug, Default)]
pub(super) struct List {
    items: BTreeMap<usize, Node>,
    length: usize,
    /// The list holds an object and a value that the query gave for the same key.
    is_conflict: bool,
}

/// An object. Some go on counting like the list they came from, so that a value finds a place.
#[derive(Debug, Default)]
pub(super) struct Table {
    properties: Properties<Node>,
    /// The highest index of what would be a list if it were not too long for one.
    overflow: Option<f64>,
    /// The highest index of what was a list with `is_conflict`.
    conflict: Option<f64>,
}

impl Node {
    pub(super) fn leaf(mut values: Vec<String>) -> Self {
        match values.len() {
            1 => Self::Text(values.remove(0)),
            _ => values.into_iter().map(Self::Text).collect::<List>().into(),
        }
    }

    /// Puts the node one step down, under the segment.
    pub(super) fn under(self, segment: Segment<'_>, limit: usize) -> Self {
        match segment {
            Segment::Push => self.into_list(),
            Segment::Name(name) => Table::with(name, self).into(),
            Segment::Bracketed(text) => match number(text) {
                Some(index) => self.at(index, text, limit),
                None => Table::with(text, self).into(),
            },
        }
    }

    /// A list stays the list that it is: `a[][]=x` is no deeper than `a[]=x`.
    fn into_list(self) -> Self {
        match self {
            Self::List(_) => self,
            Self::Table(table) if table.overflow.is_some() => Self::Table(table),
            node => List::from_iter([node]).into(),
        }
    }

    fn at(self, index: f64, text: &str, limit: usize) -> Self {
        match text.parse() {
            Ok(index) if index < limit => List::sparse(index, self).into(),
            _ => Table {
                overflow: Some(index),
                ..Table::with(text, self)
            }
            .into(),
        }
    }

    fn merge(&mut self, source: Self, limit: usize) {
        if matches!(&source, Self::Text(text) if text.is_empty()) {
            return;
        }
        *self = match (mem::take(self), source) {
            (Self::Table(table), source) => table.merged(source, limit),
            (Self::List(list), source) => list.merged(source, limit),
            (text, Self::List(list)) => list.behind(text, limit),
            (text, Self::Table(table)) if table.overflow.is_some() => table.behind(text).into(),
            (text, source) => List::from_iter([text, source]).into(),
        };
    }

    fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text),
            Self::List(list) => list.items.into_values().map(Self::into_value).collect(),
            Self::Table(table) => Value::Object(table.into_map()),
        }
    }
}

impl List {
    fn sparse(index: usize, node: Node) -> Self {
        Self {
            items: BTreeMap::from([(index, node)]),
            length: index + 1,
            is_conflict: false,
        }
    }

    fn push(&mut self, node: Node) {
        self.items.insert(self.length, node);
        self.length += 1;
    }

    fn set(&mut self, index: usize, node: Node) {
        self.items.insert(index, node);
        self.length = self.length.max(index + 1);
    }

    fn merged(mut self, source: Node, limit: usize) -> Node {
        match source {
            Node::Text(_) => self.push(source),
            Node::List(list) => self.merge_items(list.items, limit),
            Node::Table(_) => return self.into_table().merged(source, limit),
        }
        self.bounded(limit)
    }

    /// Two objects at the same index become one; anything else that meets an element goes last.
    fn merge_items(&mut self, items: BTreeMap<usize, Node>, limit: usize) {
        for (index, item) in items {
            match self.items.get_mut(&index) {
                Some(own) if !own.is_text() && !item.is_text() => own.merge(item, limit),
                Some(_) => self.push(item),
                None => self.set(index, item),
            }
        }
    }

    /// The list with one element more, in front of all others.
    fn behind(self, first: Node, limit: usize) -> Node {
        let mut list = Self::from_iter([first]);
        for (index, item) in self.items {
            list.set(index + 1, item);
        }
        list.length = self.length + 1;
        list.bounded(limit)
    }

    fn bounded(self, limit: usize) -> Node {
        if self.length <= limit {
            return self.into();
        }
        let overflow = Some(self.last_index());
        Table {
            overflow,
            conflict: None,
            ..self.into_table()
        }
        .into()
    }

    fn into_table(self) -> Table {
        let conflict = self.is_conflict.then(|| self.last_index());
        let mut properties = Properties::default();
        for (index, item) in self.items {
            properties.insert(index.to_string(), item);
        }
        Table {
            properties,
            overflow: None,
            conflict,
        }
    }

    /// Lists stay below twice their limit, so the conversion is exact.
    fn last_index(&self) -> f64 {
        u32::try_from(self.length.saturating_sub(1)).map_or(f64::MAX, f64::from)
    }
}

impl Table {
    /// `__proto__` would reach the prototype of a JavaScript object: it is dropped with its value.
    fn with(key: &str, node: Node) -> Self {
        let mut table = Self::default();
        if key != "__proto__" {
            table.properties.insert(key, node);
        }
        table
    }

    /// Merges a list or a table into this one; a text would need a place of its own, see `merged`.
    pub(super) fn merge(&mut self, source: Node, limit: usize) {
        match source {
            Node::Text(_) => {}
            Node::List(list) => self.merge(list.into_table().into(), limit),
            Node::Table(table) => {
                for (key, value) in table.properties {
                    self.merge_property((key, value), table.overflow, limit);
                }
            }
        }
    }

    fn merge_property(
        &mut self,
        (key, value): (String, Node),
        source_overflow: Option<f64>,
        limit: usize,
    ) {
        let index = number(&key);
        match self.properties.get_mut(&key) {
            Some(own) => own.merge(value, limit),
            None => {
                self.properties.insert(key, value);
            }
        }
        if self.overflow.is_none() {
            self.overflow = source_overflow.map(|least| self.max_index(least));
        }
        if let Some(index) = index {
            self.overflow = self.overflow.map(|highest| highest.max(index));
            self.conflict = self.conflict.map(|highest| highest.max(index));
        }
    }

    fn max_index(&self, least: f64) -> f64 {
        self.properties
            .max_number()
            .map_or(least, |number| number.max(least))
    }

    fn merged(mut self, source: Node, limit: usize) -> Node {
        if !source.is_text() {
            self.merge(source, limit);
            return self.into();
        }
        let Some(highest) = self.overflow.as_mut().or(self.conflict.as_mut()) else {
            let list = List::from_iter([self.into(), source]);
            return List {
                is_conflict: true,
                ..list
            }
            .into();
        };
        *highest += 1.0;
        let key = highest.to_string();
        self.properties.insert(key, source);
        self.into()
    }

    /// The table of an overflown list with one element more, in front of all others.
    fn behind(self, first: Node) -> Self {
        let mut table = Self::with("0", first);
        table.overflow = self.overflow.map(|highest| highest + 1.0);
        for (key, value) in self.properties {
            let shifted = number(&key).map_or(key, |index| (index + 1.0).to_string());
            table.properties.insert(shifted, value);
        }
        table
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.properties
            .into_iter()
            .map(|(key, node)| (key, node.into_value()))
            .collect()
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<List> for Node {
    fn from(list: List) -> Self {
        Self::List(Box::new(list))
    }
}

impl From<Table> for Node {
    fn from(table: Table) -> Self {
        Self::Table(Box::new(table))
    }
}

impl FromIterator<Node> for List {
    fn from_iter<I: IntoIterator<Item = Node>>(nodes: I) -> Self {
        let mut list = Self::default();
        nodes.into_iter().for_each(|node| list.push(node));
        list
    }
}
