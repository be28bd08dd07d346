//! What a reader looks for, told by the reader itself: it is led through a file that has everything once, and what it asks of
//! each value is noted. So the shape of files and the code that reads them cannot differ.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Value, Yaml};

/// What a value has to be, as far as a reader has asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Shape {
    /// Nobody has looked.
    #[default]
    Anything,
    Text,
    /// One of these.
    Word(Vec<String>),
    /// From one to the other.
    Number(i64, i64),
    Truth,
    /// Of items like this one, so many at least.
    List(usize, usize),
    /// Texts by names that are free.
    Texts,
    /// Values by their keys.
    Table(Vec<(&'static str, usize)>),
}

/// The file, and what was asked of its values.
#[derive(Debug, Default)]
pub(crate) struct SchemaProbe {
    places: Vec<Place>,
    /// The one value that is not there.
    omitted: Option<String>,
}

#[derive(Debug, Default)]
struct Place {
    path: String,
    shape: Shape,
}

/// A probe, and those who draw on it.
pub(crate) type Shared = Rc<RefCell<SchemaProbe>>;

impl SchemaProbe {
    /// A file with everything but the value at this path.
    pub fn without(omitted: Option<String>) -> SchemaProbe {
        SchemaProbe {
            places: Vec::new(),
            omitted,
        }
    }

    /// A value of which nothing is known yet; its span is its number.
    pub fn value(&mut self, path: String) -> Yaml {
        let number = self.places.len();
        self.places.push(Place {
            path,
            shape: Shape::Anything,
        });
        Yaml::new(Value::Null, number..number)
    }

    /// The value of a key of a table. It lives as long as the process: a table only lends what its file keeps, and here is no
    /// file. A probe has some tens of them.
    pub fn property(&mut self, table: usize, key: &'static str) -> Option<&'static Yaml> {
        let path = format!("{}.{key}", self.places[table].path);
        if self.omitted.as_ref() == Some(&path) {
            return None;
        }
        let value = self.value(path);
        if let Shape::Table(properties) = &mut self.places[table].shape {
            properties.push((key, value.span.start));
        }
        Some(Box::leak(Box::new(value)))
    }

    /// The one item of a list.
    pub fn item(&mut self, list: &Yaml, least: usize) -> Yaml {
        let item = self.value(format!("{}[]", self.path(list.span.start)));
        self.note(list, Shape::List(item.span.start, least));
        item
    }

    /// Notes what was asked of a value.
    pub fn note(&mut self, value: &Yaml, shape: Shape) {
        self.places[value.span.start].shape = shape;
    }

    pub fn shape(&self, number: usize) -> &Shape {
        &self.places[number].shape
    }

    pub fn path(&self, number: usize) -> &str {
        &self.places[number].path
    }

    /// The paths of all values.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| place.path.as_str())
    }
}
