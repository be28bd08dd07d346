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
        other if looks_like_a_time(other) => match values::duration(other, "wait") {
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
        reader.wrong(span, Wrong::new(message, "it belongs to `wait = \"quiet\"`"));
    }
    Some(step)
}

/// A number and perhaps a unit, right or wrong. A check may be called by an address.
fn looks_like_a_time(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    unit.len() < text.len() && unit.trim_start().chars().all(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::looks_like_a_time;

    #[test]
    fn times_are_told_from_names_of_checks() {
        for time in ["2s", "500ms", "1.5 s", "7", "3 parsecs"] {
            assert!(looks_like_a_time(time), "{time}");
        }
        for name in ["quiet", "10.0.1.2 announces it", "ready 2s"] {
            assert!(!looks_like_a_time(name), "{name}");
        }
    }
}
