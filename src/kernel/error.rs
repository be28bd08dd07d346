//! What the kernel refused, as a sentence.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// A refused system call or netlink request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was attempted, to be read after "cannot": `create the network namespace of tor0`.
    pub what: String,
    /// The kernel's error number.
    pub errno: Errno,
    /// The kernel's own words (netlink's extended acknowledgement), where it gave any.
    pub said: Option<String>,
}

/// Result of a system call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with the number alone.
    pub fn new(what: impl Into<String>, errno: Errno) -> Self {
        Error {
            what: what.into(),
            errno,
            said: None,
        }
    }

    /// From the standard library's error.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
        let said = error.raw_os_error().is_none().then(|| error.to_string());
        Error {
            what: what.into(),
            errno,
            said,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: ", self.what)?;
        match &self.said {
            Some(said) if self.errno == Errno::UnknownErrno => f.write_str(said),
            Some(said) => write!(f, "{said} ({})", self.reason()),
            None => f.write_str(self.reason()),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The error number in words a user understands.
    fn reason(&self) -> &'static str {
        let starts = ["start ", "create "]
            .iter()
            .any(|word| self.what.starts_with(word));
        match self.errno {
            Errno::EPERM | Errno::EACCES => "the kernel does not permit it",
            Errno::ENOSPC => "no space is left, or a limit of the kernel is reached",
            Errno::EOPNOTSUPP => "this kernel does not support it",
            Errno::EMFILE => "too many open files in this process (see ulimit -n)",
            Errno::ENFILE => "too many open files on this host (see sysctl fs.file-max)",
            Errno::EAGAIN if starts => "no more processes or threads may be started",
            Errno::EAGAIN => "it did not answer in time",
            Errno::EROFS => "the file system is read-only",
            Errno::ENOTDIR => "something on the way there is not a directory",
            Errno::ENOMEM => "the kernel is out of memory for it",
            other => other.desc(),
        }
    }
}

/// Says what was attempted when a call fails.
pub trait Attempt<T> {
    /// Adds the attempt, to be read after "cannot". Made only on failure.
    ///
    /// # Errors
    /// The error it was called on, with the sentence.
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Attempt<T> for nix::Result<T> {
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error::new(what(), errno))
    }
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error::io(what(), &error))
    }
}
