//! The timeline as lines for people.

use crate::clean;
use crate::timeline::row::{Kind, Row};

/// The head of the lines, with room for names as long as the longest.
pub fn head(width: usize) -> String {
    format!("{:>12}  {:<width$}  CHANGE\n", "MS", "NODE")
}

/// A row as a line: milliseconds from the mark, the node, what changed.
pub fn line(mark: u64, row: &Row, width: usize) -> String {
    let after = (i128::from(row.monotonic) - i128::from(mark)) as f64 / 1e6;
    let node = row.node.as_deref().unwrap_or_default();
    let text = match row.kind {
        Kind::Mark => format!("-- {} --", row.change),
        _ => row.text.clone(),
    };
    let found = if row.found { " (found by looking)" } else { "" };
    format!("{after:>+12.3}  {node:<width$}  {}{found}\n", clean::line(&text))
}
