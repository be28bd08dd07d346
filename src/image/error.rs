//! Why something could not be done with an image: what was wrong, and the cure.

use std::fmt;
use std::io;
use std::path::Path;

/// What kind of failure it is: who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The name or the file that was given is wrong, or the image is not one that can be used.
    Wrong,
    /// There is no such image.
    Missing,
    /// A registry wants other credentials.
    Denied,
    /// It is in use.
    Busy,
    /// The host, the network or the registry does not do its part.
    Host,
    /// This host's disk does not take what is written.
    Disk,
}

/// A failure: one sentence, and possibly a cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind it is.
    pub kind: Kind,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// What can fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            help: None,
        }
    }

    /// What was given is wrong.
    pub fn wrong(message: impl Into<String>) -> Self {
        Error::new(Kind::Wrong, message)
    }

    /// The host, the network or the registry does not do its part.
    pub fn host(message: impl Into<String>) -> Self {
        Error::new(Kind::Host, message)
    }

    /// Adds the cure.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Puts what it concerns before the message.
    #[must_use]
    pub fn of(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// A system call failed. A full disk is told apart, because the cure is another one.
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let failure = Error::host(format!("cannot {what}: {error}"));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.help(
                "make room: `nslab image gc` removes what no image needs; or choose another place with NSLAB_IMAGE_DIR",
            ),
            io::ErrorKind::PermissionDenied => failure.help("images in the usual place of root's are root's"),
            _ => failure,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Says what was attempted when a system call fails.
pub(crate) trait Attempt<T> {
    /// `what` follows "cannot".
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T>;

    /// `verb` and a path follow "cannot".
    fn at(self, verb: &str, path: &Path) -> Result<T>
    where
        Self: Sized,
    {
        self.attempt(|| format!("{verb} {}", path.display()))
    }
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::io(what(), &error))
    }
}

impl<T> Attempt<T> for rustix::io::Result<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::io(what(), &error.into()))
    }
}
