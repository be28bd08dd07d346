//! Bytes carried between the caller's terminal and a command that does not get the terminal itself.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags};

/// As much as is read at once, and waits to be written.
const BLOCK: usize = 16 * 1024;
/// Ctrl-D, which ends the input of a program on a terminal (VEOF, termios(3)).
const END_OF_INPUT: u8 = 4;

/// One direction.
pub struct Channel {
    from: File,
    to: File,
    waiting: Vec<u8>,
    is_over: bool,
    /// Whether it may be read: the caller's terminal may not while the caller is in the background.
    pub is_open: bool,
    /// Whether the other end is a terminal, where the end of the input is typed.
    types_end: bool,
    /// A byte that the reader of [`Channel::took`] wants to hear of.
    pub watched: Option<u8>,
    has_passed: bool,
    /// Whether it matters that something does not arrive, and whether that has happened.
    is_counted: bool,
    has_lost: bool,
}

impl Channel {
    /// From one descriptor to another, which is to be a non-blocking one where it may be slow.
    pub fn new(from: impl Into<OwnedFd>, to: impl Into<OwnedFd>, types_end: bool) -> Channel {
        Channel {
            from: File::from(from.into()),
            to: File::from(to.into()),
            waiting: Vec::new(),
            is_over: false,
            is_open: true,
            types_end,
            watched: None,
            has_passed: false,
            is_counted: false,
            has_lost: false,
        }
    }

    /// The same of results, whose loss is a failure.
    pub fn counted(self) -> Channel {
        Channel {
            is_counted: true,
            ..self
        }
    }

    /// Whether results have not arrived.
    pub fn has_lost(&self) -> bool {
        self.is_counted && self.has_lost
    }

    /// Whether the watched byte was passed on since this was asked last.
    pub fn took(&mut self) -> bool {
        std::mem::take(&mut self.has_passed)
    }

    /// What to wait for: room where something waits to be written, else something to be read.
    pub fn poll(&self) -> PollFd<'_> {
        if !self.waiting.is_empty() {
            return PollFd::new(self.to.as_fd(), PollFlags::POLLOUT);
        }
        let wanted = match self.is_open && !self.is_over {
            true => PollFlags::POLLIN,
            false => PollFlags::empty(),
        };
        PollFd::new(self.from.as_fd(), wanted)
    }

    /// Whether there is something to wait for.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty() || (self.is_open && !self.is_over)
    }

    /// Whether nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.is_over && self.waiting.is_empty()
    }

    /// Where it reads from.
    pub fn source(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// Carries one block. To be called when what it waited for has come.
    pub fn carry(&mut self) {
        if self.waiting.is_empty() {
            self.read();
        }
        while !self.waiting.is_empty() {
            match self.to.write(&self.waiting) {
                Ok(size @ 1..) => {
                    let watched = self.watched;
                    self.has_passed |= self.waiting.drain(..size).any(|byte| Some(byte) == watched);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody reads there any more.
                _ => {
                    self.waiting.clear();
                    (self.is_over, self.has_lost) = (true, true);
                }
            }
        }
    }

    fn read(&mut self) {
        let mut block = [0; BLOCK];
        match self.from.read(&mut block) {
            Ok(size @ 1..) => self.waiting.extend_from_slice(&block[..size]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            // A terminal without programs on it answers EIO.
            _ => {
                self.is_over = true;
                if self.types_end {
                    self.waiting.push(END_OF_INPUT);
                }
            }
        }
    }

    /// Carries what is there already, and no more than what fits into a pipe or a terminal: a program left behind may go on
    /// writing for ever.
    pub fn drain(&mut self) {
        const MOST: usize = 64;
        for _ in 0..MOST {
            let mut ready = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
            let is_ready =
                nix::poll::poll(&mut ready, nix::poll::PollTimeout::ZERO).is_ok_and(|count| count > 0);
            if self.is_over || !is_ready {
                return;
            }
            self.carry();
        }
    }
}
