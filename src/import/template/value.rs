//! What variables of templates can be.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::yaml::{Value as Written, Yaml};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Truth(bool),
    Whole(i64),
    Broken(f64),
    Text(Rc<str>),
    List(Rc<[Value]>, Size),
    Map(Rc<BTreeMap<String, Value>>, Size),
}

/// How large a value is that has others in it: it may have the same one many times over.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Size {
    depth: usize,
    weight: usize,
}

/// Values are no deeper in each other than this.
const DEEPEST: usize = 64;
/// What the items of a value count beside what they are.
const ITEM: usize = 4;
/// No value is heavier, nor any text longer.
pub(super) const HEAVIEST: usize = 1 << 20;
/// Lists are no longer.
pub(super) const LONGEST_LIST: usize = 100_000;

impl Size {
    fn of<'a>(items: impl Iterator<Item = (usize, &'a Value)>) -> Result<Self, String> {
        let mut size = Size {
            depth: 1,
            weight: ITEM + 1,
        };
        for (key, item) in items {
            size.depth = size.depth.max(item.size().depth + 1);
            size.weight = size.weight.saturating_add(item.weight() + key + ITEM);
        }
        if size.depth > DEEPEST {
            return Err(format!("values are more than {DEEPEST} deep in each other"));
        }
        match size.weight > HEAVIEST {
            true => Err(format!("a value is larger than {HEAVIEST} bytes")),
            false => Ok(size),
        }
    }
}

impl Value {
    /// A list.
    ///
    /// # Errors
    /// It is too large.
    pub fn list(items: Vec<Value>) -> Result<Self, String> {
        if items.len() > LONGEST_LIST {
            return Err(format!("a list is longer than {LONGEST_LIST}"));
        }
        let size = Size::of(items.iter().map(|item| (0, item)))?;
        Ok(Value::List(items.into(), size))
    }

    /// A map.
    ///
    /// # Errors
    /// It is too large.
    pub fn map(entries: BTreeMap<String, Value>) -> Result<Self, String> {
        let size = Size::of(entries.iter().map(|(key, item)| (key.len(), item)))?;
        Ok(Value::Map(Rc::new(entries), size))
    }

    /// A text.
    ///
    /// # Errors
    /// It is too long.
    pub fn text(text: String) -> Result<Self, String> {
        match text.len() > HEAVIEST {
            true => Err(format!("a text is longer than {HEAVIEST} bytes")),
            false => Ok(Value::Text(text.into())),
        }
    }

    fn size(&self) -> Size {
        match self {
            Value::List(_, size) | Value::Map(_, size) => *size,
            _ => Size::default(),
        }
    }

    /// How many bytes it has at least room for when it is shown.
    pub fn weight(&self) -> usize {
        match self {
            Value::List(_, size) | Value::Map(_, size) => size.weight,
            Value::Text(text) => text.len(),
            other => other.to_string().len(),
        }
    }

    /// What YAML (or JSON, which is YAML) says.
    ///
    /// # Errors
    /// It is too large.
    pub fn of(yaml: &Yaml) -> Result<Self, String> {
        // What is in it many times over is counted as often.
        Value::within(yaml, &mut HEAVIEST.clone())
    }

    fn within(yaml: &Yaml, left: &mut usize) -> Result<Self, String> {
        let own = ITEM + yaml.scalar().map_or(0, str::len);
        *left = left
            .checked_sub(own)
            .ok_or_else(|| format!("the variables are larger than {HEAVIEST} bytes"))?;
        if let Some(entries) = yaml.entries() {
            let mut map = BTreeMap::new();
            for (key, value) in entries {
                map.insert(key.name.to_string(), Value::within(value, left)?);
            }
            return Value::map(map);
        }
        if let Some(items) = yaml.items() {
            let items: Result<Vec<Value>, String> =
                items.iter().map(|item| Value::within(item, left)).collect();
            return Value::list(items?);
        }
        Ok(match &yaml.value {
            Written::Plain(text) => Value::plain(text),
            _ => yaml.scalar().map_or(Value::Nil, |text| Value::Text(text.into())),
        })
    }

    /// A word without quotes.
    fn plain(text: &str) -> Self {
        match text {
            "true" => Value::Truth(true),
            "false" => Value::Truth(false),
            "" | "~" | "null" => Value::Nil,
            _ => match (text.parse(), text.parse::<f64>()) {
                (Ok(whole), _) => Value::Whole(whole),
                (_, Ok(broken)) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                    Value::Broken(broken)
                }
                _ => Value::Text(text.into()),
            },
        }
    }

    /// Whether `if` takes it for true: nothing, zero and what is empty are not.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Truth(truth) => *truth,
            Value::Whole(whole) => *whole != 0,
            Value::Broken(broken) => *broken != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items, _) => !items.is_empty(),
            Value::Map(entries, _) => !entries.is_empty(),
        }
    }

    /// A field of a map, or an item of a list; nothing where there is none.
    pub fn inner(&self, key: &Value) -> Value {
        let found = match (self, key) {
            (Value::Map(entries, _), Value::Text(key)) => entries.get(&**key),
            (Value::Map(entries, _), key) => entries.get(&key.to_string()),
            (Value::List(items, _), Value::Whole(at)) => {
                usize::try_from(*at).ok().and_then(|at| items.get(at))
            }
            _ => None,
        };
        found.cloned().unwrap_or(Value::Nil)
    }

    /// A field by its name.
    pub fn field(&self, name: &str) -> Value {
        match self {
            Value::Map(entries, _) => entries.get(name).cloned().unwrap_or(Value::Nil),
            _ => Value::Nil,
        }
    }

    /// As a number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Broken(broken) => Some(*broken),
            Value::Text(text) => text.trim().parse().ok().filter(|it: &f64| it.is_finite()),
            _ => self.whole().map(|whole| whole as f64),
        }
    }

    /// As a whole number.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Value::Whole(whole) => Some(*whole),
            // What is beyond the numbers that a program counts with is none.
            Value::Broken(broken) if broken.abs() < 1e15 => Some(broken.trunc() as i64),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Truth(truth) => Some(i64::from(*truth)),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // As templates show what is not there.
            Value::Nil => f.write_str("<no value>"),
            Value::Truth(truth) => write!(f, "{truth}"),
            Value::Whole(whole) => write!(f, "{whole}"),
            Value::Broken(broken) => write!(f, "{broken}"),
            Value::Text(text) => f.write_str(text),
            Value::List(items, _) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
            Value::Map(entries, _) => {
                f.write_str("map[")?;
                for (at, (key, item)) in entries.iter().enumerate() {
                    write!(f, "{}{key}:{item}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
        }
    }
}
