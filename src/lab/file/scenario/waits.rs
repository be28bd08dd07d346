//! The step that waits: for a time, for quiet, for a check.

use std::time::Duration;

use super::time;
use crate::file::reader::{Reader, Table, Value, Wrong};
use crate::file::values;
use crate::scenario::Step;

/// How long nothing may change until a lab is quiet.
const QUIET: Duration = Duration::from_millis(500);
/// How long a lab may take to be so.
const WITHIN: Duration = Duration::from_secs(60);

/// Whether a text is meant as a time: a number, and letters of a unit. `3 nodes` is a check's name.
fn is_time(text: &str) -> bool {
    let is_of_time = |c: char| c.is_ascii_alphanumeric() || c == '.';
    text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_of_time)
}

/// `"2s"`, `"quiet"`, or a check's name.
pub(super) fn wait(reader: &mut Reader, value: &Value, table: &mut Table) -> Option<Step> {
    let text = reader.string(value, "wait", "quiet");
    let quiet = time(reader, table, "quiet", QUIET);
    let within = match table.get("within") {
        Some(value) => Some(reader.duration(value, "within")?.value),
        None => None,
    };
    let (text, quiet) = (text?, quiet?);
    let step = match text.value.as_str() {
        "quiet" => Step::Quiet {
            quiet,
            within: within.unwrap_or(WITHIN),
        },
        other if is_time(other) => match values::duration(other, "wait") {
            Ok(time) => Step::Wait(time),
            Err(wrong) => {
                reader.wrong(text.span, wrong);
                return None;
            }
        },
        _ => Step::Check {
            name: text.value.clone(),
            within,
        },
    };
    let unused = match step {
        Step::Quiet { .. } => None,
        Step::Wait(_) => table.key_span("within").map(|span| (span, "within")),
        _ => None,
    };
    let quiet_unused = (!matches!(step, Step::Quiet { .. }))
        .then(|| table.key_span("quiet"))
        .flatten();
    for (span, key) in unused.into_iter().chain(quiet_unused.map(|span| (span, "quiet"))) {
        let message = format!("`{key}` has no meaning here");
        let help = match key {
            "within" => "it belongs to `wait = \"quiet\"` and to the wait for a check",
            _ => "it belongs to `wait = \"quiet\"`",
        };
        reader.wrong(span, Wrong::new(message, help));
    }
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn times_are_told_from_names_of_checks() {
        for time in ["2s", "500ms", "7", "3parsecs"] {
            assert!(is_time(time), "{time}");
        }
        for name in ["quiet", "10.0.1.2 announces it", "ready 2s", "3 nodes"] {
            assert!(!is_time(name), "{name}");
        }
    }
}
