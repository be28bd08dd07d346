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
    Text(String),
    List(Rc<[Value]>),
    Map(Rc<BTreeMap<String, Value>>),
}

impl Value {
    /// What YAML (or JSON, which is YAML) says.
    pub fn of(yaml: &Yaml) -> Self {
        if let Some(entries) = yaml.entries() {
            let entries = entries.iter();
            let entries: BTreeMap<String, Value> = entries
                .map(|(key, value)| (key.name.to_string(), Value::of(value)))
                .collect();
            return Value::Map(Rc::new(entries));
        }
        if let Some(items) = yaml.items() {
            return Value::List(items.iter().map(Value::of).collect());
        }
        match &yaml.value {
            Written::Plain(text) => Value::plain(text),
            _ => yaml
                .scalar()
                .map_or(Value::Nil, |text| Value::Text(text.to_owned())),
        }
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
                _ => Value::Text(text.to_owned()),
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
            Value::List(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
        }
    }

    /// A field of a map, or an item of a list; nothing where there is none.
    pub fn inner(&self, key: &Value) -> Value {
        let found = match (self, key) {
            (Value::Map(entries), key) => entries.get(&key.to_string()),
            (Value::List(items), Value::Whole(at)) => usize::try_from(*at).ok().and_then(|at| items.get(at)),
            _ => None,
        };
        found.cloned().unwrap_or(Value::Nil)
    }

    /// A field by its name.
    pub fn field(&self, name: &str) -> Value {
        match self {
            Value::Map(entries) => entries.get(name).cloned().unwrap_or(Value::Nil),
            _ => Value::Nil,
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
            Value::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
            Value::Map(entries) => {
                f.write_str("map[")?;
                for (at, (key, item)) in entries.iter().enumerate() {
                    write!(f, "{}{key}:{item}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
        }
    }
}
