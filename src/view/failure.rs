//! Failures on the terminal.

use std::fmt::Write as _;

use crate::failure::Failure;

/// A failure as lines: what is wrong, what was seen (indented), what to do.
pub fn render(failure: &Failure) -> String {
    let mut text = format!("nslab: {}\n", failure.message);
    for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
        let _ = writeln!(text, "  | {line}");
    }
    if let Some(help) = &failure.help {
        let _ = writeln!(text, "  help: {help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_set_apart() {
        let failure = Failure::wrong("no").detail("a\nb").help("yes");
        assert_eq!(render(&failure), "nslab: no\n  | a\n  | b\n  help: yes\n");
    }
}
