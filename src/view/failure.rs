//! Failures on the terminal.

use std::fmt::Write as _;

use crate::clean;
use crate::failure::Failure;

/// A failure as lines: what is wrong, what was seen (indented), what to do. What a terminal would obey is shown as escapes.
pub fn render(failure: &Failure) -> String {
    let mut text = format!("nslab: {}\n", clean::text(&failure.message));
    for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
        let _ = writeln!(text, "  | {}", clean::text(line));
    }
    if let Some(help) = &failure.help {
        let _ = writeln!(text, "  help: {}", clean::text(help));
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
        let failure = Failure::wrong("\u{1b}c").detail("\u{1b}[2Ja\r\nb").help("\u{9b}");
        assert_eq!(
            render(&failure),
            "nslab: \\x1bc\n  | \\x1b[2Ja\n  | b\n  help: \\x9b\n"
        );
    }
}
