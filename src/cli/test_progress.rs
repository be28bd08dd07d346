//! How checks tell of themselves while they are made.

use std::io::Write;

use super::{color_out, print, written};
use crate::check::runner::Word;
use crate::clean;
use crate::view::{self, terminal};

/// Says how things go: what is settled as lines, what goes on as a line that is overwritten, on a terminal only.
pub struct TestProgress {
    wanted: bool,
    terminal: bool,
    color: bool,
}

impl TestProgress {
    /// One that speaks, or (for programs' formats) one that is silent.
    pub fn new(wanted: bool) -> TestProgress {
        TestProgress {
            wanted,
            terminal: terminal::is_clever(&std::io::stderr()),
            color: color_out(),
        }
    }

    /// Prints what came of it; what has failed is red on a terminal that has colors.
    pub fn summary(&self, text: &str) {
        match self.color {
            true => written(view::print_styled(&painted(text))),
            false => print(text),
        }
    }

    /// Says it.
    pub fn say(&mut self, word: Word) {
        if !self.wanted {
            return;
        }
        if self.terminal {
            // Back to the line's beginning, and clear it (ECMA-48: CR, EL 2).
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
        match word {
            Word::Settled(text) => self.summary(&text),
            Word::Now(text) if self.terminal => {
                let line = format!("{} ...", clean::line(&text));
                let _ = write!(std::io::stderr(), "{}", terminal::fitting(&line));
            }
            Word::Now(_) => {}
        }
    }
}

/// The same text with its words for failures in red, and all that is not nslab's own clean.
fn painted(text: &str) -> String {
    let red = |word: &str| format!("\x1b[31;1m{word}\x1b[0m");
    let paint = |line: &str| {
        let line = clean::line(line);
        if let Some(rest) = line.strip_prefix("  FAIL  ") {
            return format!("  {}  {rest}\n", red("FAIL"));
        }
        if let Some(rest) = line.strip_prefix("FAILED ") {
            return format!("{} {rest}\n", red("FAILED"));
        }
        match line.split_once(") FAILED: ") {
            Some((lab, why)) if !line.starts_with(' ') => format!("{lab}) {}: {why}\n", red("FAILED")),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(paint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_red_and_the_rest_is_clean() {
        let text = "lab (x.toml) ready\n  FAIL  a: \u{1b}[2Jname\n  ok    a: FAIL  x\n";
        let red = "lab (x.toml) ready\n  \u{1b}[31;1mFAIL\u{1b}[0m  a: \\x1b[2Jname\n  ok    a: FAIL  x\n";
        assert_eq!(painted(text), red);
    }
}
