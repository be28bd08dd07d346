//! The terminal a command runs on (termios(3), ioctl_tty(2)).

use std::io::{IsTerminal, stdin};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// Puts the terminal's modes back when told to: after a program that died before it could.
pub struct Modes {
    saved: Option<Termios>,
}

impl Modes {
    /// Remembers the modes of standard input, if that is a terminal.
    pub fn remember() -> Modes {
        let saved = stdin()
            .is_terminal()
            .then(|| tcgetattr(stdin().as_fd()).ok())
            .flatten();
        Modes { saved }
    }

    /// Sets them again.
    pub fn restore(&self) {
        if let Some(saved) = &self.saved {
            // Fails only when the terminal is gone, and its modes with it.
            let _ = tcsetattr(stdin().as_fd(), SetArg::TCSANOW, saved);
        }
    }
}

/// The width of the terminal in columns, if it is one.
pub fn width(fd: impl AsFd) -> Option<u16> {
    fn size(fd: BorrowedFd<'_>) -> Option<rustix::termios::Winsize> {
        rustix::termios::tcgetwinsize(fd).ok()
    }
    size(fd.as_fd())
        .map(|size| size.ws_col)
        .filter(|&columns| columns > 0)
}
