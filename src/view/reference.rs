//! The reference of the lab file as Markdown, made from its JSON Schema: one table of keys for each table of the file.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde_json::{Map, Value};

const DEFINITIONS: &str = "#/$defs/";
/// What stands in front of the tables.
const HEAD: &str = "# The lab file, key by key

`nslab schema --markdown` writes this page from what the program knows; `nslab schema` gives the same as a JSON Schema, which editors
check a file with as it is written. [The README](../../README.md) has examples. Keys marked * must be there.
";

/// The page for a schema.
pub fn page(schema: &Value) -> String {
    let definitions = schema["$defs"].as_object().cloned().unwrap_or_default();
    let mut page = Page {
        text: HEAD.to_owned(),
        definitions: &definitions,
        waiting: VecDeque::new(),
        seen: Vec::new(),
    };
    page.table("The file", schema);
    while let Some(name) = page.waiting.pop_front() {
        let title = title(&name);
        page.section(&title, &definitions[&name]);
    }
    page.text
}

struct Page<'a> {
    text: String,
    definitions: &'a Map<String, Value>,
    /// Definitions that are linked to and not yet written.
    waiting: VecDeque<String>,
    seen: Vec<String>,
}

impl Page<'_> {
    fn section(&mut self, title: &str, definition: &Value) {
        if definition["properties"].is_object() {
            return self.table(title, definition);
        }
        self.heading(title, definition);
        for choice in definition["oneOf"].as_array().into_iter().flatten() {
            let meaning = choice["description"].as_str().unwrap_or_default();
            let shape = self.shape(choice);
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "- {shape}: {}", one_line(meaning));
        }
        if !definition["oneOf"].is_array() {
            let shape = self.shape(definition);
            let _ = writeln!(self.text, "{}", sentence(&shape));
        }
    }

    fn heading(&mut self, title: &str, definition: &Value) {
        let _ = write!(self.text, "\n## {title}\n\n");
        if let Some(text) = definition["description"].as_str() {
            let _ = write!(self.text, "{}\n\n", one_line(text));
        }
    }

    fn table(&mut self, title: &str, definition: &Value) {
        self.heading(title, definition);
        self.text.push_str("| key | value | |\n| --- | --- | --- |\n");
        let required = definition["required"].as_array().cloned().unwrap_or_default();
        let kinds = definition["allOf"].as_array().cloned().unwrap_or_default();
        for (key, value) in definition["properties"].as_object().into_iter().flatten() {
            // What a key looks like hangs on the type: it stands in that type's table.
            if !kinds.is_empty() && value.as_object().is_some_and(|it| it.len() == 1) {
                continue;
            }
            let mark = if required.iter().any(|it| it == key) {
                " *"
            } else {
                ""
            };
            let shape = self.shape(value).replace('|', "\\|");
            let meaning = one_line(value["description"].as_str().unwrap_or_default()).replace('|', "\\|");
            let _ = writeln!(self.text, "| `{key}`{mark} | {shape} | {meaning} |");
        }
        for kind in &kinds {
            self.kind(title, kind);
        }
    }

    /// The keys that a table has with one `type`.
    fn kind(&mut self, title: &str, kind: &Value) {
        let Some(name) = kind["if"]["properties"]["type"]["const"].as_str() else {
            return;
        };
        let mut definition = kind["then"].clone();
        if let Some(properties) = definition["properties"].as_object_mut() {
            properties.retain(|_, value| value.is_object());
            if !properties.is_empty() {
                self.table(&format!("{title} of type {name}"), &definition);
            }
        }
    }

    /// What a value looks like, in a few words.
    fn shape(&mut self, value: &Value) -> String {
        if let Some(name) = value["$ref"].as_str().and_then(|it| it.strip_prefix(DEFINITIONS)) {
            return self.reference(name);
        }
        if let Some(fixed) = value["const"].as_str() {
            return format!("`\"{fixed}\"`");
        }
        if let Some(choices) = value["anyOf"].as_array().or(value["oneOf"].as_array()) {
            let shapes: Vec<_> = choices.iter().map(|choice| self.shape(choice)).collect();
            return shapes.join(", or ");
        }
        match value["type"].as_str() {
            Some("array") => format!("list of {}", self.shape(&value["items"])),
            Some("object") if value["additionalProperties"].is_object() => {
                format!(
                    "table, by name, of {}",
                    self.shape(&value["additionalProperties"])
                )
            }
            Some("string") => text_shape(value),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some(kind @ ("integer" | "number")) => number_shape(kind, value),
            Some("object") if value["properties"].is_object() => {
                let keys = value["properties"].as_object().into_iter().flatten();
                let keys: Vec<_> = keys.map(|(key, _)| format!("`{key}`")).collect();
                format!("table of {}", keys.join(", "))
            }
            Some("object") => "table".to_owned(),
            _ => "any value".to_owned(),
        }
    }

    /// A link to a section, which is written later; what is no more than a text with a form is said in place.
    fn reference(&mut self, name: &str) -> String {
        let definition = &self.definitions[name];
        if definition["type"] == "string" && definition["pattern"].is_string() {
            let description = definition["description"].as_str().unwrap_or_default();
            return lower_first(one_line(description).trim_end_matches('.'));
        }
        if !self.seen.iter().any(|it| it == name) {
            self.seen.push(name.to_owned());
            self.waiting.push_back(name.to_owned());
        }
        let title = title(name);
        format!(
            "[{}](#{})",
            lower_first(&title),
            title.to_lowercase().replace(' ', "-")
        )
    }
}

fn text_shape(value: &Value) -> String {
    match value["enum"].as_array() {
        None => "text".to_owned(),
        Some(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
    }
}

fn number_shape(kind: &str, value: &Value) -> String {
    let noun = if kind == "integer" {
        "whole number"
    } else {
        "number"
    };
    match (&value["minimum"], &value["maximum"]) {
        (Value::Number(least), Value::Number(most)) => format!("{noun} from {least} to {most}"),
        (Value::Number(least), _) => format!("{noun} from {least}"),
        _ => noun.to_owned(),
    }
}

/// `NodeReadyTable` is "Node ready", and `LinkWord` "Words of link".
fn title(name: &str) -> String {
    if let Some(name) = name.strip_suffix("Word") {
        return format!("Words of {}", lower_first(&title(name)));
    }
    let name = ["Table", "Value", "Text"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name);
    let mut title = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            title.push(' ');
        }
        match at {
            0 => title.push(letter),
            _ => title.extend(letter.to_lowercase()),
        }
    }
    title
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let text: String = letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
    format!("{text}.")
}
