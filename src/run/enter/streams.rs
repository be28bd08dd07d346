//! What a command has as its standard input, output and errors. Never the caller's terminal itself: whoever has that open can
//! read what is typed there later, and what is in the node can open what the command has.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use super::relay::Channel;
use super::{Terminal, Visit};
use crate::kernel::error::Attempt as _;
use crate::kernel::{Result, process};

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// The caller's own: a file, a pipe, a socket.
    Same,
    /// A terminal of the node's.
    Line,
    /// Nothing to be read.
    Empty,
    /// A pipe to or from the caller's terminal.
    Piped,
}

/// What they are, by what the caller's own three are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Streams {
    pub all: [Stream; 3],
    /// Which of the caller's are terminals.
    terminals: [bool; 3],
}

impl Streams {
    /// For the caller's own three.
    pub fn here(visit: &Visit) -> Streams {
        let terminals = [
            io::stdin().is_terminal(),
            io::stdout().is_terminal(),
            io::stderr().is_terminal(),
        ];
        Streams::of(terminals, visit.terminal, visit.interactive)
    }

    fn of(terminals: [bool; 3], wish: Terminal, interactive: bool) -> Streams {
        let [input, output, errors] = terminals;
        let has_line = match wish {
            Terminal::Always => true,
            Terminal::Never => false,
            // A program that asks and answers has both.
            Terminal::WhereCallerHasOne => input && output,
        };
        let is_asked = wish == Terminal::Always;
        let out = |is_terminal| match is_terminal {
            _ if has_line && (is_terminal || is_asked) => Stream::Line,
            true => Stream::Piped,
            false => Stream::Same,
        };
        let first = match input {
            _ if has_line && (input || is_asked) => Stream::Line,
            true if interactive => Stream::Piped,
            // Somebody else may be reading there: `nslab exec a COMMAND | less`.
            true => Stream::Empty,
            false => Stream::Same,
        };
        Streams {
            all: [first, out(output), out(errors)],
            terminals,
        }
    }

    /// Whether a terminal in the node is needed.
    pub fn has_line(&self) -> bool {
        self.all.contains(&Stream::Line)
    }

    /// Whether what is typed at the caller's terminal is the command's.
    pub fn takes_keys(&self) -> bool {
        self.terminals[0] && self.all[0] == Stream::Line
    }

    /// The channels between the caller and the screen of the node's terminal.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn carried_to(&self, screen: &OwnedFd) -> Result<[Channel; 2]> {
        let what = || "carry what is typed and printed";
        let copy = || screen.try_clone().attempt(what);
        let input = io::stdin().as_fd().try_clone_to_owned().attempt(what)?;
        let output = io::stdout().as_fd().try_clone_to_owned().attempt(what)?;
        Ok([
            Channel::new(input, copy()?, !self.terminals[0]),
            Channel::new(copy()?, output, false),
        ])
    }

    /// Pipes for the streams that need them.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn pipes(&self) -> Result<Pipes> {
        let what = || "make a pipe";
        let mut pipes = Pipes::default();
        for (number, stream) in self.all.into_iter().enumerate() {
            if stream != Stream::Piped {
                continue;
            }
            let (reader, writer) = io::pipe().attempt(what)?;
            let own = process::standard(number as i32)
                .try_clone_to_owned()
                .attempt(what)?;
            let (theirs, channel) = match number {
                0 => (OwnedFd::from(reader), Channel::new(own, writer, false)),
                _ => (OwnedFd::from(writer), Channel::new(reader, own, false)),
            };
            pipes.theirs.push((number, theirs));
            pipes.channels.push(channel);
        }
        Ok(pipes)
    }

    /// In the command's process: puts them where programs look for them.
    ///
    /// # Errors
    /// There is no /dev/null.
    pub fn take(&self, line: Option<BorrowedFd<'_>>, piped: &[(usize, RawFd)]) -> Result<()> {
        for (number, stream) in self.all.into_iter().enumerate() {
            let pipe = piped.iter().find(|(of, _)| *of == number).map(|(_, fd)| *fd);
            let empty: File;
            let from = match stream {
                Stream::Same => continue,
                Stream::Line => line.map(|line| line.as_raw_fd()),
                Stream::Piped => pipe,
                Stream::Empty => {
                    empty = process::null()?;
                    Some(empty.as_raw_fd())
                }
            };
            if let Some(from) = from {
                process::put_standard(from, number)?;
            }
        }
        Ok(())
    }
}

/// The pipes of a command without a terminal.
#[derive(Default)]
pub(super) struct Pipes {
    /// The command's ends, by the stream they are for.
    pub theirs: Vec<(usize, OwnedFd)>,
    /// What carries bytes at the caller's.
    pub channels: Vec<Channel>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Empty, Line, Piped, Same};

    fn all(terminals: [bool; 3], wish: Terminal, interactive: bool) -> [Stream; 3] {
        Streams::of(terminals, wish, interactive).all
    }

    #[test]
    fn no_command_has_the_callers_terminal() {
        for terminals in (0..8).map(|bits| [bits & 1 > 0, bits & 2 > 0, bits & 4 > 0]) {
            for wish in [Terminal::Always, Terminal::Never, Terminal::WhereCallerHasOne] {
                for interactive in [false, true] {
                    let streams = all(terminals, wish, interactive);
                    for (is_terminal, stream) in terminals.into_iter().zip(streams) {
                        assert!(!is_terminal || stream != Same, "{terminals:?} {wish:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_terminal_is_for_those_who_ask_and_answer() {
        let auto = Terminal::WhereCallerHasOne;
        assert_eq!(all([true, true, true], auto, false), [Line, Line, Line]);
        assert_eq!(all([true, true, false], auto, false), [Line, Line, Same]);
        assert_eq!(all([true, false, true], auto, false), [Empty, Same, Piped]);
        assert_eq!(all([true, false, true], auto, true), [Piped, Same, Piped]);
        assert_eq!(all([false, true, true], auto, false), [Same, Piped, Piped]);
        assert_eq!(
            all([false, false, false], Terminal::Always, false),
            [Line, Line, Line]
        );
        assert_eq!(
            all([true, true, true], Terminal::Never, false),
            [Empty, Piped, Piped]
        );
    }
}
