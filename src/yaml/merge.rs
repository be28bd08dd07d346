//! Merge keys (`<<: *defaults`) and keys that stand twice.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Key, Value, Yaml};
use crate::lab::Diagnostic;
use crate::lab::file::Span;

/// The entries of a mapping with what its merge keys bring in: what stands in the mapping itself holds, and of what
/// is merged the first.
pub(super) fn merged(entries: Vec<(Key, Yaml)>, diagnostics: &mut Vec<Diagnostic>) -> Vec<(Key, Yaml)> {
    let mut seen: HashMap<Rc<str>, Span> = HashMap::with_capacity(entries.len());
    let mut own = Vec::with_capacity(entries.len());
    let mut brought = Vec::new();
    for (key, value) in entries {
        if &*key.name == "<<" {
            brought.push(value);
        } else if let Some(first) = seen.insert(key.name.clone(), key.span.clone()) {
            let message = format!("`{}` stands twice", key.name.escape_debug());
            diagnostics.push(
                Diagnostic::new(message, key.span, "again here")
                    .and(first, "first here")
                    .help("a key stands once in its mapping: rename one, or join the two"),
            );
        } else {
            own.push((key, value));
        }
    }
    for value in brought {
        bring(&value, &mut own, &mut seen, diagnostics);
    }
    own
}

fn bring(
    value: &Yaml,
    own: &mut Vec<(Key, Yaml)>,
    seen: &mut HashMap<Rc<str>, Span>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    match &value.value {
        Value::Map(entries) => {
            for (key, value) in entries.iter() {
                if !seen.contains_key(&key.name) {
                    seen.insert(key.name.clone(), key.span.clone());
                    own.push((key.clone(), value.clone()));
                }
            }
        }
        Value::List(items) if items.iter().all(|item| item.entries().is_some()) => {
            for item in items.iter() {
                bring(item, own, seen, diagnostics);
            }
        }
        _ => diagnostics.push(
            Diagnostic::new("`<<` merges mappings only", value.span.clone(), "")
                .help("name the anchor of a mapping, `<<: *defaults`, or a list of such anchors"),
        ),
    }
}
