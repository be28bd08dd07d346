//! What came of a scenario: as data, and as text for people.

use std::fmt::Write as _;

use serde::Serialize;

use super::judge::{Healing, after, healings, milliseconds, story};
use super::observed::Observed;
use crate::lab::scenario::Scenario;

/// What came of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScenarioReport {
    /// Its name.
    pub name: String,
    /// The line of the lab file it stands in.
    pub line: usize,
    /// Whether all was as it must be.
    pub passed: bool,
    /// What was not, a line each.
    pub faults: Vec<String>,
    /// Why it was not played, if it was not.
    pub skipped: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// What was seen.
    pub observed: Observed,
}

impl ScenarioReport {
    /// Puts together what is known of a scenario that was played.
    pub fn new(scenario: &Scenario, faults: Vec<String>, observed: Observed) -> ScenarioReport {
        let took = observed.ended_ns.saturating_sub(observed.began_ns);
        ScenarioReport {
            name: scenario.name.clone(),
            line: scenario.line,
            passed: faults.is_empty(),
            faults,
            skipped: None,
            seconds: took as f64 / 1e9,
            observed,
        }
    }

    /// A scenario that was not played.
    pub fn skipped(scenario: &Scenario, reason: &str) -> ScenarioReport {
        ScenarioReport {
            name: scenario.name.clone(),
            line: scenario.line,
            passed: false,
            faults: Vec::new(),
            skipped: Some(reason.to_owned()),
            seconds: 0.0,
            observed: Observed::default(),
        }
    }

    /// Whether something was not as it must be.
    pub fn has_failed(&self) -> bool {
        !self.passed && self.skipped.is_none()
    }

    /// As lines for people.
    pub fn text(&self) -> String {
        let Self { name, seconds, .. } = self;
        if let Some(reason) = &self.skipped {
            return format!("  skip  scenario {name} ({reason})\n");
        }
        let word = if self.passed { "ok   " } else { "FAIL " };
        let mut text = format!("  {word} scenario {name} ({seconds:.2} s)\n");
        for fault in &self.faults {
            let _ = writeln!(text, "        {fault}");
        }
        text
    }

    /// All of it as lines for people: the steps, how long the lab took to heal after each, and what flows lost.
    pub fn details(&self) -> String {
        let seen = &self.observed;
        let mut text = String::new();
        let healings = healings(seen);
        for step in &seen.steps {
            let _ = writeln!(
                text,
                "        {:>9}  {}",
                after(seen.began_ns, step.began_ns),
                step.step
            );
            let healing = healings.iter().find(|healing| std::ptr::eq(healing.step, step));
            if let Some(Healing { took_ns, last, .. }) = healing.filter(|healing| healing.took_ns > 0) {
                let _ = writeln!(
                    text,
                    "{:>20} healed after {}; last: {last}",
                    "",
                    milliseconds(*took_ns)
                );
            }
        }
        for flow in &seen.flows {
            let _ = writeln!(text, "        {}", story(flow, seen));
        }
        if seen.changes_lost > 0 {
            let _ = writeln!(
                text,
                "        {} changes were lost, as there were too many at once",
                seen.changes_lost
            );
        }
        text
    }
}
