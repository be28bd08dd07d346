//! What came of a check: as data, and as text for people.

use std::fmt::Write as _;
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

    /// Whether it failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    /// As lines for people.
    pub fn text(&self) -> String {
        let Self { name, node, .. } = self;
        match &self.outcome {
            Outcome::Passed => format!("  ok    {node}: {name} ({:.2} s)\n", self.seconds),
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
