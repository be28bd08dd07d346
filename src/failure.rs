//! Why a command did not do what was asked, in a form for people, with the exit code that belongs to it.

use std::fmt;

use crate::kernel::{self, capability};

mod cure;

/// Exit codes of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Code {
    /// The lab did not become ready, or a command in it failed.
    NotReady = 1,
    /// The file or the arguments are wrong.
    Wrong = 2,
    /// The host lacks something.
    Host = 3,
}

/// A failure: one sentence, possibly what was seen, possibly a cure.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What was seen: a command's output, a log's last lines.
    pub detail: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Failure {
    /// A failure with its exit code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Failure {
            code,
            message: message.into(),
            detail: None,
            help: None,
        }
    }

    /// The file or the arguments are wrong.
    pub fn wrong(message: impl Into<String>) -> Self {
        Failure::new(Code::Wrong, message)
    }

    /// The host lacks something.
    pub fn host(message: impl Into<String>) -> Self {
        Failure::new(Code::Host, message)
    }

    /// The lab did not become ready.
    pub fn not_ready(message: impl Into<String>) -> Self {
        Failure::new(Code::NotReady, message)
    }

    /// Adds the cure.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what was seen.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with no more of each text than anybody reads: who asked may have said something without measure, which is said back.
    #[must_use]
    pub fn in_few_words(mut self) -> Self {
        shorten(&mut self.message, LONGEST);
        self.help.iter_mut().for_each(|help| shorten(help, LONGEST));
        self.detail
            .iter_mut()
            .for_each(|detail| shorten(detail, LONGEST_DETAIL));
        self
    }
}

/// What is left of a sentence, and of what was seen, in bytes.
const LONGEST: usize = 16 << 10;
const LONGEST_DETAIL: usize = 256 << 10;

fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push_str(" …");
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An image that cannot be had.
impl From<nslab_image::Error> for Failure {
    fn from(error: nslab_image::Error) -> Self {
        use nslab_image::error::Kind;
        let code = match error.kind {
            Kind::Wrong | Kind::Missing => Code::Wrong,
            Kind::Busy => Code::NotReady,
            Kind::Denied | Kind::Host | Kind::Disk => Code::Host,
        };
        let failure = Failure::new(code, error.message);
        match error.help {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}

/// A refusal of the kernel is the host's lack of something; the cure depends on what it refused.
impl From<kernel::Error> for Failure {
    fn from(error: kernel::Error) -> Self {
        let failure = Failure::host(error.to_string());
        match cure::of(&error, capability::has_roots()) {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}
