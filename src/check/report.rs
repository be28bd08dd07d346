//! What came of checks: as data, and as text for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::lab::check::Check;

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// Its name.
    pub name: String,
    /// The node it was made in.
    pub node: String,
    /// What was asked, in words.
    pub question: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Seconds it took.
    pub seconds: f64,
    /// How often it was asked.
    pub questions: u32,
    /// The line of the lab file it stands in.
    pub line: usize,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// The answer was right.
    Passed,
    /// It was not.
    Failed {
        /// How the last answer differed.
        message: String,
        /// The last answer, as far as it helps.
        detail: String,
    },
    /// It was not asked.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl CheckReport {
    /// Puts together what is known of a check.
    pub fn new(check: &Check, outcome: Outcome, took: Duration, questions: u32) -> Self {
        CheckReport {
            name: check.name.clone(),
            node: check.node.clone(),
            question: check.question.to_string(),
            outcome,
            seconds: took.as_secs_f64(),
            questions,
            line: check.line,
        }
    }

    /// A check that was not asked.
    pub fn skipped(check: &Check, reason: &str) -> Self {
        let reason = reason.to_owned();
        CheckReport::new(check, Outcome::Skipped { reason }, Duration::ZERO, 0)
    }

    /// Whether it failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    /// As lines for people.
    pub fn text(&self) -> String {
        let Self { name, node, .. } = self;
        match &self.outcome {
            Outcome::Passed => format!("  ok    {node}: {name} ({:.2} s)\n", self.seconds),
            Outcome::Skipped { reason } => format!("  skip  {node}: {name} ({reason})\n"),
            Outcome::Failed { message, detail } => {
                let mut text = format!("  FAIL  {node}: {name} ({:.2} s)\n", self.seconds);
                let _ = writeln!(text, "        {}: {message}", self.question);
                for line in detail.lines() {
                    let _ = writeln!(text, "        | {line}");
                }
                text
            }
        }
    }
}

/// What came of one lab.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabReport {
    /// The lab.
    pub lab: String,
    /// Its file.
    pub file: PathBuf,
    /// What came of bringing it up.
    #[serde(flatten)]
    pub life: Life,
    /// Seconds until it was ready; none when it never was.
    pub ready_seconds: Option<f64>,
    /// Seconds until the last check was done.
    pub checked_seconds: Option<f64>,
    /// Seconds from first to last, taking it down included.
    pub seconds: f64,
    /// Its checks.
    pub checks: Vec<CheckReport>,
    /// How to look at it, where it was left alive.
    pub kept: Option<String>,
}

/// What came of bringing a lab up.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "up", rename_all = "lowercase")]
pub enum Life {
    /// It was ready.
    Ready,
    /// It was not.
    Failed {
        /// Why.
        reason: String,
        /// What was seen.
        detail: String,
        /// The exit code of `nslab up`.
        code: i32,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}

impl LabReport {
    /// Whether it, or one of its checks, failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.life, Life::Failed { .. }) || self.checks.iter().any(CheckReport::has_failed)
    }

    /// The line that begins a lab's part of the text.
    pub fn head(file: &Path, lab: &str, life: &Life, ready_seconds: Option<f64>) -> String {
        let file = file.display();
        match life {
            Life::Ready => format!(
                "{lab} ({file}) ready in {:.2} s\n",
                ready_seconds.unwrap_or_default()
            ),
            Life::Skipped { reason } => format!("{lab} ({file}) skipped: {reason}\n"),
            Life::Failed { reason, detail, .. } => {
                let mut text = format!("{lab} ({file}) FAILED: {reason}\n");
                for line in detail.lines() {
                    let _ = writeln!(text, "        | {line}");
                }
                text
            }
        }
    }

    /// As lines for people.
    pub fn text(&self) -> String {
        let mut text = Self::head(&self.file, &self.lab, &self.life, self.ready_seconds);
        if self.life == Life::Ready && self.checks.is_empty() {
            text.push_str("  it has no checks; that it came up is all that is known\n");
        }
        for check in &self.checks {
            text.push_str(&check.text());
        }
        if let Some(kept) = &self.kept {
            text.push_str(kept);
        }
        text
    }
}

/// What failed, again, where it may have scrolled away: a line each, when there are several labs.
fn failures(labs: &[LabReport]) -> String {
    let mut text = String::new();
    for lab in labs.iter().filter(|_| labs.len() > 1) {
        if let Life::Failed { reason, .. } = &lab.life {
            let _ = writeln!(text, "FAILED {}: {reason}", lab.file.display());
        }
        for check in lab.checks.iter().filter(|check| check.has_failed()) {
            let CheckReport { line, node, name, .. } = check;
            let _ = writeln!(text, "FAILED {}:{line}: {node}: {name}", lab.file.display());
        }
    }
    text
}

/// What failed, and the sum of all in one line.
pub fn summary(labs: &[LabReport], seconds: f64) -> String {
    let checks = || labs.iter().flat_map(|lab| &lab.checks);
    let passed = checks().filter(|check| check.outcome == Outcome::Passed).count();
    let failed = checks().filter(|check| check.has_failed()).count();
    let skipped = checks().count() - passed - failed;
    let mut text = failures(labs);
    let _ = write!(
        text,
        "{}: {} passed",
        counted(labs.len(), "lab"),
        counted(passed, "check")
    );
    if failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    if skipped > 0 {
        let _ = write!(text, ", {skipped} skipped");
    }
    let down = labs
        .iter()
        .filter(|lab| matches!(lab.life, Life::Failed { .. }))
        .count();
    if down > 0 {
        let _ = write!(text, "; {} did not come up", counted(down, "lab"));
    }
    let untried = labs
        .iter()
        .filter(|lab| matches!(lab.life, Life::Skipped { .. }))
        .count();
    if untried > 0 {
        let _ = write!(text, "; {} skipped", counted(untried, "lab"));
    }
    let _ = writeln!(text, " ({seconds:.2} s)");
    text
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
