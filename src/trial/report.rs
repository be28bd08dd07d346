//! What came of labs that were tried: as data, and as text for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::check::report::{CheckReport, Outcome};
pub use crate::check::up::Life;
use crate::scenario::report::ScenarioReport;

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
    /// Its scenarios.
    pub scenarios: Vec<ScenarioReport>,
    /// How to look at it, where it was left alive.
    pub kept: Option<String>,
}

impl LabReport {
    /// Whether it, or one of its checks, failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.life, Life::Failed { .. })
            || self.checks.iter().any(CheckReport::has_failed)
            || self.scenarios.iter().any(ScenarioReport::has_failed)
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
        if self.life == Life::Ready && self.checks.is_empty() && self.scenarios.is_empty() {
            text.push_str("  it has no checks; that it came up is all that is known\n");
        }
        for check in &self.checks {
            text.push_str(&check.text());
        }
        for scenario in &self.scenarios {
            text.push_str(&scenario.text());
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
        for scenario in lab.scenarios.iter().filter(|scenario| scenario.has_failed()) {
            let ScenarioReport { line, name, .. } = scenario;
            let _ = writeln!(text, "FAILED {}:{line}: scenario {name}", lab.file.display());
        }
    }
    text
}

/// What failed, and the sum of all in one line.
pub fn summary(labs: &[LabReport], seconds: f64) -> String {
    let checks = || labs.iter().flat_map(|lab| &lab.checks);
    let passed = checks().filter(|check| check.outcome == Outcome::Passed).count();
    let scenarios = || labs.iter().flat_map(|lab| &lab.scenarios);
    let failed_checks = checks().filter(|check| check.has_failed()).count();
    let failed = failed_checks + scenarios().filter(|it| it.has_failed()).count();
    let skipped =
        checks().count() - passed - failed_checks + scenarios().filter(|it| it.skipped.is_some()).count();
    let mut text = failures(labs);
    let played = match scenarios().count() {
        0 => String::new(),
        _ => format!(
            " and {}",
            counted(scenarios().filter(|it| it.passed).count(), "scenario")
        ),
    };
    let _ = write!(
        text,
        "{}: {}{played} passed",
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
