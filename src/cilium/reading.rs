//! Values of manifests, as the API server takes them: unlike topologies of people's making, `"65010"` is no number
//! and `65010` no text.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::{Map, Number, Value as Json};

use crate::yaml::reader::{Reader, Table};
use crate::yaml::schema_probe::Shape;
use crate::yaml::{Value, Yaml};

/// What a scalar without quotes stands for.
fn plain(text: &str) -> Json {
    match text {
        "true" | "True" | "TRUE" => return Json::Bool(true),
        "false" | "False" | "FALSE" => return Json::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Json::Number(number.into());
    }
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && text
            .bytes()
            .all(|it| it.is_ascii_digit() || b".eE+-".contains(&it));
    let number = is_number.then(|| text.parse::<f64>().ok()).flatten();
    match number.and_then(Number::from_f64) {
        Some(number) => Json::Number(number),
        None => Json::String(text.to_owned()),
    }
}

/// A value as JSON.
pub(super) fn json(yaml: &Yaml) -> Json {
    match &yaml.value {
        Value::Null => Json::Null,
        Value::Plain(text) => plain(text),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.name.to_string(), json(value)));
            Json::Object(entries.collect::<Map<_, _>>())
        }
    }
}

/// A text.
pub(super) fn text(reader: &mut Reader, yaml: &Yaml, key: &str, example: &str) -> Option<String> {
    if reader.is_probe(yaml, || Shape::Text) {
        return Some(example.to_owned());
    }
    match json(yaml) {
        Json::String(text) => Some(text),
        Json::Number(_) | Json::Bool(_) => {
            let written = yaml.scalar().unwrap_or_default().to_owned();
            let message = format!("`{key}` must be text, and `{written}` is none to the API server");
            reader.wrong(
                yaml.span.clone(),
                message,
                format!("write `{key}: \"{written}\"`"),
            );
            None
        }
        _ => {
            reader.mistyped(yaml, key, "text", &format!("{key}: {example}"));
            None
        }
    }
}

/// A whole number within a range.
pub(super) fn number<T: TryFrom<i64>>(
    reader: &mut Reader,
    yaml: &Yaml,
    key: &str,
    range: RangeInclusive<i64>,
) -> Option<T> {
    if let Value::Text(text) = &yaml.value {
        let message = format!("`{key}` must be a number, and in quotes it is text");
        let help = format!("write `{key}: {}`", text.escape_debug());
        reader.wrong(yaml.span.clone(), message, help);
        return None;
    }
    Some(reader.integer(yaml, key, range)?.value)
}

/// One of several words.
pub(super) fn word<T: Copy>(reader: &mut Reader, yaml: &Yaml, key: &str, words: &[(&str, T)]) -> Option<T> {
    Some(reader.word(yaml, key, words)?.value)
}

/// An address.
pub(super) fn address(reader: &mut Reader, yaml: &Yaml, key: &str, example: &str) -> Option<IpAddr> {
    let written = text(reader, yaml, key, example)?;
    let address = written.parse().ok();
    if address.is_none() {
        let message = format!("`{key}` is not an IP address: `{}`", written.escape_debug());
        reader.wrong(
            yaml.span.clone(),
            message,
            format!("for example `{key}: {example}`"),
        );
    }
    address
}

/// Texts by names that are free, as labels are.
pub(super) fn texts(reader: &mut Reader, yaml: &Yaml, key: &str) -> BTreeMap<String, String> {
    let entries = reader.map(yaml, key, &format!("{key}: {{ rack: rack0 }}"));
    let read = entries
        .iter()
        .filter_map(|(name, yaml)| Some((name.name.to_string(), text(reader, yaml, &name.name, "rack0")?)));
    read.collect()
}

/// Says that something has to be there.
pub(super) fn required<T>(
    reader: &mut Reader,
    table: &Table,
    key: &str,
    example: &str,
    value: Option<T>,
    stands: bool,
) -> Option<T> {
    if value.is_none() && !stands {
        let message = format!("`{key}` is missing");
        reader.wrong(head(table), message, format!("write `{key}: {example}`"));
    }
    value
}

/// Where a table begins: a missing key has no place of its own.
pub(super) fn head(table: &Table) -> std::ops::Range<usize> {
    let span = table.span();
    span.start..span.end.min(span.start + 1)
}

/// A list that is not too short or too long.
pub(super) fn items<'y>(
    reader: &mut Reader,
    table: &mut Table<'y>,
    key: &'static str,
    example: &str,
    range: RangeInclusive<usize>,
) -> &'y [Yaml] {
    let Some(yaml) = table.get(key) else {
        if *range.start() > 0 {
            let help = format!("write `{key}: [{example}]`");
            reader.wrong(head(table), format!("`{key}` is missing"), help);
        }
        return &[];
    };
    if let Some(item) = reader.probed_item(yaml, *range.start()) {
        // As with the values of tables: a probe has no file that would keep it.
        return std::slice::from_ref(Box::leak(Box::new(item)));
    }
    let Some(items) = yaml.items() else {
        reader.mistyped(yaml, key, "a list", &format!("{key}: [{example}]"));
        return &[];
    };
    if !range.contains(&items.len()) {
        let message = format!("`{key}` has {} items", items.len());
        let help = format!("{} to {} are allowed", range.start(), range.end());
        reader.wrong(yaml.span.clone(), message, help);
    }
    items
}
