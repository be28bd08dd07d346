//! YAML as other tools' files are written in it: a tree in which every value knows its place.
//!
//! Scalars keep their text: what a `10.0` or a `no` means is for the key to say that it stands under. Aliases share
//! what they name, so that a tree is never larger than its file; [`MOST`] bounds what walking it can cost.

mod build;
pub mod files;
mod json;
mod merge;
pub(crate) mod reader;
pub(crate) mod schema_probe;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use crate::lab::file::Span;

pub(crate) use build::documents;

/// The most values a file may have once every alias stands for what it names. Topologies of thousands of nodes have
/// some 100,000.
const MOST: usize = 2_000_000;
/// How deep values may be nested.
const DEEPEST: usize = 64;
/// The longest file, in bytes.
pub(crate) const LONGEST: usize = 8 << 20;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Yaml {
    pub value: Value,
    /// In bytes of all files together, see [`files`].
    pub span: Span,
    /// How many values it holds, itself among them, with aliases followed.
    weight: usize,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text without quotes, which may stand for a number or a truth value.
    Plain(Rc<str>),
    /// Text in quotes or in a block, which is text.
    Text(Rc<str>),
    /// A list.
    List(Rc<[Yaml]>),
    /// A mapping, in the order of the file, with merges (`<<`) done.
    Map(Rc<[(Key, Yaml)]>),
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub name: Rc<str>,
    pub span: Span,
}

impl Yaml {
    fn new(value: Value, span: Span) -> Self {
        let below: usize = match &value {
            Value::List(items) => items.iter().fold(0, |sum, item| sum.saturating_add(item.weight)),
            Value::Map(entries) => entries
                .iter()
                .fold(0, |sum, (_, value)| sum.saturating_add(value.weight)),
            _ => 0,
        };
        Yaml {
            value,
            span,
            weight: below.saturating_add(1),
        }
    }

    /// The text of a scalar, quoted or not.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[(Key, Yaml)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<&[Yaml]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        let entries = self.entries()?;
        entries
            .iter()
            .find(|(name, _)| &*name.name == key)
            .map(|(_, value)| value)
    }

    /// What it is, in words.
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Plain(_) | Value::Text(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
