//! Rows as a sequence diagram of Mermaid's, which GitHub renders: a line of life for each node, a note for each change.

use std::fmt::Write as _;

use crate::row::{Kind, Row};

/// No more nodes and notes are drawn: neither people nor Mermaid read more.
const MOST_NODES: usize = 24;
const MOST_NOTES: usize = 120;

/// Draws rows since a mark. The last sentence stands at the end.
pub fn draw(mark: u64, rows: &[&Row], last: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().filter_map(|row| row.node.as_deref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let left_out = names.len().saturating_sub(MOST_NODES);
    names.truncate(MOST_NODES);
    let mut text = "sequenceDiagram\n".to_owned();
    for (number, name) in names.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    participant n{number} as {}", clean(name));
    }
    if names.is_empty() {
        text += "    participant n0 as lab\n";
    }
    let everybody = match names.len() {
        0 | 1 => "n0".to_owned(),
        count => format!("n0,n{}", count - 1),
    };
    let mut drawn = 0;
    let mut passed = 0;
    for row in rows {
        let over = match row.node.as_deref() {
            None => Some(everybody.clone()),
            Some(node) => names
                .iter()
                .position(|name| *name == node)
                .map(|it| format!("n{it}")),
        };
        let Some(over) = over.filter(|_| drawn < MOST_NOTES) else {
            passed += 1;
            continue;
        };
        drawn += 1;
        let after = (i128::from(row.monotonic) - i128::from(mark)) as f64 / 1e6;
        let text_of = match row.kind {
            Kind::Mark => &row.change,
            _ => &row.text,
        };
        let _ = writeln!(text, "    Note over {over}: {after:+.1} ms {}", clean(text_of));
    }
    if passed > 0 {
        let nodes = if left_out > 0 {
            format!(" ({left_out} nodes are not drawn)")
        } else {
            String::new()
        };
        let _ = writeln!(text, "    Note over {everybody}: {passed} more changes{nodes}");
    }
    let _ = writeln!(text, "    Note over {everybody}: {}", clean(last));
    text
}

/// Text in which nothing means anything to Mermaid, or to the page that shows it.
fn clean(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            ' ' | '.' | ',' | '/' | ':' | '+' | '-' | '_' | '(' | ')' | '=' => out.push(character),
            it if it.is_alphanumeric() => out.push(it),
            it => {
                let _ = write!(out, "#{};", it as u32);
            }
        }
    }
    out
}
