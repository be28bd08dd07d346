//! What a command has as its standard input, output and errors. Nothing of the caller's but pipes: what is in the node can open
//! again what the command has, with other rights, and keep it. Whoever has the caller's terminal open can read what is typed there
//! later; a file could be read, written and changed, a directory and a socket lead to the host.

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
    /// The caller's own: a pipe.
    Same,
    /// A terminal of the node's.
    Line,
    /// Nothing to be read.
    Empty,
    /// A pipe to or from what the caller has.
    Piped,
}

/// What the caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Terminal,
    Pipe,
    /// What is always empty and takes everything, or not open at all.
    Nothing,
    /// A file, a socket, a device.
    Other,
}

impl Own {
    fn of(number: i32) -> Own {
        let stream = process::standard(number);
        if stream.is_terminal() {
            return Own::Terminal;
        }
        let Ok(found) = rustix::fs::fstat(stream) else {
            return Own::Nothing;
        };
        match rustix::fs::FileType::from_raw_mode(found.st_mode) {
            rustix::fs::FileType::Fifo => Own::Pipe,
            rustix::fs::FileType::CharacterDevice
                if (rustix::fs::major(found.st_rdev), rustix::fs::minor(found.st_rdev)) == NULL =>
            {
                Own::Nothing
            }
            _ => Own::Other,
        }
    }
}

/// The number of /dev/null (Documentation/admin-guide/devices.txt).
const NULL: (u32, u32) = (1, 3);

/// What they are, by what the caller's own three are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Streams {
    pub all: [Stream; 3],
    own: [Own; 3],
}

impl Streams {
    /// For the caller's own three.
    pub fn here(visit: &Visit) -> Streams {
        Streams::of([0, 1, 2].map(Own::of), visit.terminal, visit.interactive)
    }

    fn of(own: [Own; 3], wish: Terminal, interactive: bool) -> Streams {
        let [input, output, errors] = own;
        let has_line = match wish {
            Terminal::Always => true,
            Terminal::Never => false,
            // A program that asks and answers has both.
            Terminal::WhereCallerHasOne => input == Own::Terminal && output == Own::Terminal,
        };
        let is_asked = wish == Terminal::Always;
        let out = |own| match own {
            _ if has_line && (own == Own::Terminal || is_asked) => Stream::Line,
            Own::Pipe => Stream::Same,
            Own::Nothing => Stream::Empty,
            Own::Terminal | Own::Other => Stream::Piped,
        };
        let first = match input {
            _ if has_line && (input == Own::Terminal || is_asked) => Stream::Line,
            Own::Pipe => Stream::Same,
            Own::Other => Stream::Piped,
            Own::Terminal if interactive => Stream::Piped,
            // Somebody else may be reading there: `nslab exec a COMMAND | less`.
            Own::Terminal | Own::Nothing => Stream::Empty,
        };
        Streams {
            all: [first, out(output), out(errors)],
            own,
        }
    }

    /// Whether a terminal in the node is needed.
    pub fn has_line(&self) -> bool {
        self.all.contains(&Stream::Line)
    }

    /// Whether what is typed at the caller's terminal is the command's.
    pub fn takes_keys(&self) -> bool {
        self.own[0] == Own::Terminal && self.all[0] == Stream::Line
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
            Channel::new(input, copy()?, self.own[0] != Own::Terminal),
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
                1 => (OwnedFd::from(writer), Channel::new(reader, own, false).counted()),
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

    use Own::{Nothing, Other, Pipe, Terminal as Tty};

    fn all(own: [Own; 3], wish: Terminal, interactive: bool) -> [Stream; 3] {
        Streams::of(own, wish, interactive).all
    }

    #[test]
    fn no_command_has_anything_of_the_callers_but_pipes() {
        let kinds = [Tty, Pipe, Nothing, Other];
        for own in (0..64).map(|at| [kinds[at % 4], kinds[at / 4 % 4], kinds[at / 16]]) {
            for wish in [Terminal::Always, Terminal::Never, Terminal::WhereCallerHasOne] {
                for interactive in [false, true] {
                    let streams = all(own, wish, interactive);
                    for (own, stream) in own.into_iter().zip(streams) {
                        assert!(own == Pipe || stream != Same, "{own:?} {wish:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_terminal_is_for_those_who_ask_and_answer() {
        let auto = Terminal::WhereCallerHasOne;
        assert_eq!(all([Tty, Tty, Tty], auto, false), [Line, Line, Line]);
        assert_eq!(all([Tty, Tty, Pipe], auto, false), [Line, Line, Same]);
        assert_eq!(all([Tty, Tty, Other], auto, false), [Line, Line, Piped]);
        assert_eq!(all([Tty, Pipe, Tty], auto, false), [Empty, Same, Piped]);
        assert_eq!(all([Tty, Pipe, Tty], auto, true), [Piped, Same, Piped]);
        assert_eq!(all([Pipe, Tty, Tty], auto, false), [Same, Piped, Piped]);
        assert_eq!(all([Other, Nothing, Other], auto, false), [Piped, Empty, Piped]);
        assert_eq!(
            all([Pipe, Pipe, Pipe], Terminal::Always, false),
            [Line, Line, Line]
        );
        assert_eq!(
            all([Tty, Tty, Tty], Terminal::Never, false),
            [Empty, Piped, Piped]
        );
    }
}
