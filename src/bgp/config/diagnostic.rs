//! What is wrong with a line.

use std::fmt;
use std::ops::Range;

use super::grammar::{Candidate, Fault, FaultKind};

/// A line that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, from 1.
    pub line: usize,
    /// The words at fault, in bytes of the line.
    pub span: Range<usize>,
    /// The sort of error.
    pub kind: DiagnosticKind,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
}

/// Sorts of errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiagnosticKind {
    /// No such command.
    Unknown,
    /// FRR has the command, this engine has not.
    NeedsFrr,
    /// The command cannot be done; what vtysh prints, without the last line's end.
    Invalid(String),
}

/// Why a command that was understood is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be done, and the word at fault, else the whole line.
    Invalid(String, Option<Range<usize>>),
    /// It cannot be done; what FRR says of it, whose lines do not all begin with `% `.
    Bare(String),
    /// There is no such command.
    Unknown,
    /// More must follow.
    Incomplete,
}

impl Refusal {
    /// The whole line is at fault.
    pub fn invalid(message: impl Into<String>) -> Self {
        Refusal::Invalid(message.into(), None)
    }
}

/// The reason where a line ends too early.
const INCOMPLETE: &str = "incomplete command";
/// The reason where a word is short for several.
const AMBIGUOUS: &str = "ambiguous command";

impl Diagnostic {
    /// What the line is to the table of commands; none where it is a command that cannot be done.
    pub fn fault_kind(&self) -> Option<FaultKind> {
        match &self.kind {
            DiagnosticKind::Unknown => Some(FaultKind::Unknown),
            DiagnosticKind::Invalid(reason) if reason == INCOMPLETE => Some(FaultKind::Incomplete),
            DiagnosticKind::Invalid(reason) if reason == AMBIGUOUS => Some(FaultKind::Ambiguous),
            DiagnosticKind::Invalid(_) | DiagnosticKind::NeedsFrr => None,
        }
    }

    pub(super) fn refused(refusal: Refusal, line: &str) -> Self {
        let whole = line.len() - line.trim_start().len()..line.trim_end().len();
        match refusal {
            Refusal::Invalid(message, span) => Diagnostic {
                line: 1,
                span: span.unwrap_or(whole),
                kind: DiagnosticKind::Invalid(format!("% {message}")),
                message,
                help: String::new(),
            },
            Refusal::Bare(text) => Diagnostic {
                line: 1,
                span: whole,
                message: match sentence(&text) {
                    message if message.is_empty() => "there is nothing to be taken back".to_owned(),
                    message => message,
                },
                kind: DiagnosticKind::Invalid(text),
                help: String::new(),
            },
            Refusal::Incomplete => Diagnostic {
                line: 1,
                message: format!("`{}` is incomplete", line.trim()),
                span: whole.end..whole.end,
                kind: DiagnosticKind::Invalid(INCOMPLETE.to_owned()),
                help: String::new(),
            },
            Refusal::Unknown => Diagnostic {
                line: 1,
                message: format!("`{}` is not known here", line.trim()),
                span: whole,
                kind: DiagnosticKind::Unknown,
                help: String::new(),
            },
        }
    }

    /// Only FRR has the command.
    pub fn foreign(line: &str) -> Self {
        Diagnostic {
            line: 1,
            message: format!("`{}` needs the frr engine", line.trim()),
            span: line.len() - line.trim_start().len()..line.trim_end().len(),
            kind: DiagnosticKind::NeedsFrr,
            help: "give the node `engine = \"frr\"`, or remove the line".to_owned(),
        }
    }

    /// A line that is no command.
    pub fn fault(fault: Fault, line: &str) -> Self {
        let word = line.get(fault.span.clone()).unwrap_or_default();
        let kind = match fault.kind {
            FaultKind::Unknown => DiagnosticKind::Unknown,
            FaultKind::Incomplete => DiagnosticKind::Invalid(INCOMPLETE.to_owned()),
            FaultKind::Ambiguous => DiagnosticKind::Invalid(AMBIGUOUS.to_owned()),
        };
        let message = match fault.kind {
            FaultKind::Unknown => format!("`{word}` is not known here"),
            FaultKind::Incomplete => format!("`{}` is incomplete", line.trim()),
            FaultKind::Ambiguous => format!("`{word}` is short for more than one word"),
        };
        Diagnostic {
            line: 1,
            span: fault.span,
            kind,
            message,
            help: expectation(word, &fault.expected),
        }
    }
}

/// What FRR prints in several lines, in one.
fn sentence(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start_matches("% ").trim());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.message)
    }
}

/// What could stand at a place: the nearest keyword, or the few there are.
fn expectation(word: &str, expected: &[Candidate]) -> String {
    let keywords = expected.iter().filter(|candidate| candidate.is_keyword);
    let near = keywords.map(|candidate| (strsim::jaro_winkler(word, &candidate.text), candidate));
    let nearest = near.max_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some((likeness, candidate)) = nearest
        && likeness > 0.8
        && !word.is_empty()
        && !candidate.text.starts_with(word)
    {
        return format!("did you mean `{}`?", candidate.text);
    }
    let texts: Vec<&str> = expected.iter().map(|candidate| candidate.text.as_str()).collect();
    match texts.as_slice() {
        [] => String::new(),
        ["<cr>"] => "the line should end here".to_owned(),
        texts if texts.len() > 12 => String::new(),
        texts => format!("expected {}", texts.join(", ")),
    }
}
