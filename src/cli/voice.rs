//! How checks tell of themselves while they are made.

use std::io::{IsTerminal, Write};

use super::print;
use crate::check::trial::Word;
use crate::clean;

/// Says how things go: what is settled as lines, what goes on as a line that is overwritten, on a terminal only.
pub struct Voice {
    wanted: bool,
    terminal: bool,
}

impl Voice {
    /// One that speaks, or (for programs' formats) one that is silent.
    pub fn new(wanted: bool) -> Voice {
        Voice {
            wanted,
            terminal: std::io::stderr().is_terminal(),
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
            Word::Settled(text) => print(&text),
            Word::Now(text) if self.terminal => {
                let _ = write!(std::io::stderr(), "{} …", clean::line(&text));
            }
            Word::Now(_) => {}
        }
    }
}
