//! Values as JSON, as Go writes it.

use std::io::{Error, Write};

use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::value::{HEAVIEST, Value};

/// In one line.
///
/// # Errors
/// It is too long, or no JSON.
pub(super) fn compact(words: &[Value]) -> Result<Value, String> {
    let value = of(words.first().unwrap_or(&Value::Nil))?;
    let mut out = Bounded::default();
    serde_json::to_writer(&mut out, &value).map_err(|_| out.reason())?;
    out.text("")
}

/// A line for each item: `ToJSONPretty VALUE PREFIX INDENT`.
///
/// # Errors
/// It is too long, or no JSON.
pub(super) fn pretty(words: &[Value]) -> Result<Value, String> {
    let value = of(words.first().unwrap_or(&Value::Nil))?;
    let word = |at: usize| words.get(at).map(ToString::to_string);
    let (prefix, indent) = (
        word(1).unwrap_or_default(),
        word(2).unwrap_or_else(|| "  ".into()),
    );
    let mut out = Bounded::default();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = Serializer::with_formatter(&mut out, formatter);
    let written = value.serialize(&mut serializer);
    written.map_err(|_| out.reason())?;
    out.text(&prefix)
}

fn of(value: &Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Truth(truth) => (*truth).into(),
        Value::Whole(whole) => (*whole).into(),
        Value::Broken(broken) => (*broken).into(),
        Value::Text(text) => (&**text).into(),
        Value::List(items, _) => items.iter().map(of).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Map(entries, _) => {
            let mut map = serde_json::Map::new();
            for (key, item) in entries.iter() {
                map.insert(key.clone(), of(item)?);
            }
            map.into()
        }
    })
}

/// What is written, as long as it is not too long.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Bounded {
    fn reason(&self) -> String {
        format!("a text is longer than {HEAVIEST} bytes")
    }

    /// The text; `prefix` stands before each line but the first.
    fn text(self, prefix: &str) -> Result<Value, String> {
        let reason = self.reason();
        let text = String::from_utf8(self.0).map_err(|_| reason.clone())?;
        let lines = text.matches('\n').count();
        if text.len().saturating_add(lines.saturating_mul(prefix.len())) > HEAVIEST {
            return Err(reason);
        }
        let text = text.replace('\n', &format!("\n{prefix}"));
        // Go writes these so that a web page can have them.
        let text = text
            .replace('<', "\\u003c")
            .replace('>', "\\u003e")
            .replace('&', "\\u0026");
        Value::text(text)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > HEAVIEST {
            return Err(Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
