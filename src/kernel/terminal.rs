//! The terminal a command runs on (termios(3), ioctl_tty(2), pty(7)).
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, IsTerminal, stdin};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{
    FlushArg, LocalFlags, SetArg, SpecialCharacterIndices, Termios, cfmakeraw, tcflush, tcgetattr, tcsetattr,
};

use super::error::{Attempt, Error, Result};

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

    /// Gives them to another terminal.
    pub fn give(&self, line: BorrowedFd<'_>) {
        if let Some(saved) = &self.saved {
            // A fresh terminal's own modes do as well.
            let _ = tcsetattr(line, SetArg::TCSANOW, saved);
        }
    }

    /// Makes the terminal pass on every key as it is.
    pub fn raw(&self) {
        if let Some(raw) = self.without_keys() {
            let _ = tcsetattr(stdin().as_fd(), SetArg::TCSADRAIN, &raw);
        }
    }

    /// These modes with no key that means anything.
    fn without_keys(&self) -> Option<Termios> {
        let mut raw = self.saved.clone()?;
        cfmakeraw(&mut raw);
        Some(raw)
    }

    /// Sets them again where the terminal still is as [`Modes::raw`] left it.
    pub fn restore_from_raw(&self) {
        let now = tcgetattr(stdin().as_fd()).ok();
        let is_raw = now.zip(self.without_keys()).is_some_and(|(now, raw)| {
            let flags = |modes: &Termios| (modes.input_flags, modes.output_flags, modes.local_flags);
            flags(&now) == flags(&raw)
        });
        if is_raw {
            self.restore();
        }
    }

    /// The key that stops the job in the foreground, where there is one (VSUSP, termios(3)).
    pub fn suspend_key(&self) -> Option<u8> {
        let saved = self.saved.as_ref()?;
        let key = saved.control_chars[SpecialCharacterIndices::VSUSP as usize];
        // Zero is no key (_POSIX_VDISABLE).
        (saved.local_flags.contains(LocalFlags::ISIG) && key != 0).then_some(key)
    }

    /// Sets them again.
    pub fn restore(&self) {
        if let Some(saved) = &self.saved {
            // Fails only when the terminal is gone, and its modes with it.
            let _ = tcsetattr(stdin().as_fd(), SetArg::TCSANOW, saved);
        }
    }
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

/// Opens a terminal on the file system of terminals (devpts) that the calling process sees: the screen, and the line that
/// programs are on. Neither is found by a name that somebody else could change.
///
/// # Errors
/// There is no such file system, or it has no more terminals.
pub fn open_here() -> Result<(OwnedFd, OwnedFd)> {
    let what = || "open a terminal in the node";
    let screen = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open("/dev/pts/ptmx")
        .attempt(what)?;
    let kind = nix::sys::statfs::fstatfs(&screen).attempt(what)?;
    if kind.filesystem_type() != DEVPTS {
        return Err(Error::new(what(), Errno::ENODEV));
    }
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int; TIOCGPTPEER takes flags and makes a descriptor, which is taken over at once.
    unsafe {
        Errno::result(libc::ioctl(
            screen.as_raw_fd(),
            libc::TIOCSPTLCK,
            &raw const unlocked,
        ))
        .attempt(what)?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let line = libc::ioctl(screen.as_raw_fd(), libc::TIOCGPTPEER, flags);
        let line = OwnedFd::from_raw_fd(Errno::result(line).attempt(what)?);
        Ok((screen.into(), line))
    }
}

/// Of devpts (statfs(2)).
const DEVPTS: nix::sys::statfs::FsType = nix::sys::statfs::FsType(0x1cd1);

/// Begins a session on a terminal.
///
/// # Errors
/// This process leads a session or a group already, or the terminal has one.
pub fn begin_session(line: BorrowedFd<'_>) -> Result<()> {
    let what = || "begin a session on the terminal";
    nix::unistd::setsid().attempt(what)?;
    // SAFETY: TIOCSCTTY takes a number.
    let taken = unsafe { libc::ioctl(line.as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(taken).map(drop).attempt(what)
}

/// Throws away what was typed on standard input and not read yet.
pub fn forget_keys() {
    // Fails only where that is no terminal.
    let _ = tcflush(stdin().as_fd(), FlushArg::TCIFLUSH);
}

/// The group of processes in the foreground of the terminal with this screen.
pub fn foreground(screen: BorrowedFd<'_>) -> Option<i32> {
    nix::unistd::tcgetpgrp(screen).ok().map(nix::unistd::Pid::as_raw)
}

/// Makes one terminal as large as another.
pub fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    if let Ok(size) = rustix::termios::tcgetwinsize(from) {
        // Where it cannot be told, programs take 80 columns for granted.
        let _ = rustix::termios::tcsetwinsize(to, size);
    }
}

/// Whether the calling process may read from this terminal: it is in its foreground, or the terminal is not that of its session,
/// where nobody keeps jobs apart.
pub fn is_in_foreground(terminal: BorrowedFd<'_>) -> bool {
    nix::unistd::tcgetpgrp(terminal).map_or(true, |group| group == nix::unistd::getpgrp())
}
