//! The terminal a command runs on (termios(3), ioctl_tty(2), pty(7)).
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, IsTerminal, stdin};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::pty::{Winsize, openpty};
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

/// Opens a terminal of 80 columns and 24 lines: the screen, and the line that programs are on.
///
/// # Errors
/// There are no more, or none at all (/dev/ptmx).
pub fn open() -> io::Result<(File, File)> {
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pair = openpty(&size, None)?;
    for end in [&pair.master, &pair.slave] {
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    Ok((pair.master.into(), pair.slave.into()))
}

/// Makes the terminal that is a command's input its own: it begins a session on it, and hears when it is gone.
pub fn take(command: &mut Command) {
    // SAFETY: between fork and exec only plain system calls are made.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            // SAFETY: TIOCSCTTY takes a number.
            match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}
