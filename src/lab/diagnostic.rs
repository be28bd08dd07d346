//! An error in a lab file: what is wrong, where, and what would be right.

use std::ops::Range;

/// One error in a lab file. Rendering it (with the file's text and the place underlined) is `view`'s work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The places it concerns; the first is where the error is, others give context.
    pub labels: Vec<Label>,
    /// What to write instead.
    pub help: Option<String>,
}

/// A place in the lab file, with what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Byte offsets into the lab file's text.
    pub span: Range<usize>,
    /// A few words put under the underlined text; may be empty.
    pub text: String,
}

impl Diagnostic {
    /// An error at one place.
    pub fn new(message: impl Into<String>, span: Range<usize>, text: impl Into<String>) -> Self {
        Diagnostic {
            message: message.into(),
            labels: vec![Label {
                span,
                text: text.into(),
            }],
            help: None,
        }
    }

    /// Adds a second place, for example where a name was first used.
    #[must_use]
    pub fn and(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds the cure.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
