//! JUnit XML, as the readers of CI services take it: a suite a lab, a case a check, and one for the lab's own coming up.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::report::{LabReport, Life};
use crate::check::report::{CheckReport, Outcome};
use crate::scenario::report::ScenarioReport;

/// The document. Characters that XML cannot carry are left out.
///
/// # Errors
/// It cannot be written; in words.
pub fn document(labs: &[LabReport], took: Duration) -> Result<String, String> {
    let mut report = Report::new("nslab");
    report.set_time(took);
    for lab in labs {
        let mut suite = TestSuite::new(lab.lab.as_str());
        suite.set_time(seconds(lab.seconds));
        suite
            .extra
            .insert("file".into(), lab.file.display().to_string().into());
        suite.add_test_case(life(lab));
        suite.add_test_cases(lab.checks.iter().map(|check| case(lab, check)));
        suite.add_test_cases(lab.scenarios.iter().map(|it| scenario(lab, it)));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// That the lab comes up is a case of its own.
fn life(lab: &LabReport) -> TestCase {
    let status = match &lab.life {
        Life::Ready => TestCaseStatus::success(),
        Life::Skipped { reason } => skipped(reason),
        Life::Failed { reason, detail, .. } => failed(reason, detail),
    };
    let took = seconds(lab.ready_seconds.unwrap_or(lab.seconds));
    placed(lab, "the lab comes up", status, took)
}

fn case(lab: &LabReport, check: &CheckReport) -> TestCase {
    let status = match &check.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed { message, detail } => {
            failed(message, &format!("{}: {}\n{detail}", check.node, check.question))
        }
    };
    let name = format!("{}: {}", check.node, check.name);
    let mut case = placed(lab, &name, status, seconds(check.seconds));
    case.extra.insert("line".into(), check.line.to_string().into());
    case
}

fn scenario(lab: &LabReport, scenario: &ScenarioReport) -> TestCase {
    let status = match (&scenario.skipped, scenario.faults.as_slice()) {
        (Some(reason), _) => skipped(reason),
        (None, []) => TestCaseStatus::success(),
        (None, [first, ..]) => failed(first, &scenario.text()),
    };
    let name = format!("scenario: {}", scenario.name);
    let mut case = placed(lab, &name, status, seconds(scenario.seconds));
    case.extra.insert("line".into(), scenario.line.to_string().into());
    case
}

fn placed(lab: &LabReport, name: &str, status: TestCaseStatus, took: Duration) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(lab.lab.as_str());
    case.set_time(took);
    case.extra
        .insert("file".into(), lab.file.display().to_string().into());
    case
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status
}

fn failed(message: &str, detail: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status.set_type("check");
    status.set_description(format!("{message}\n{detail}"));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_output_stays_inside() {
        let check = CheckReport {
            name: "<a href=\"x\">&".to_owned(),
            node: "a".to_owned(),
            question: "]]>".to_owned(),
            outcome: Outcome::Failed {
                message: "\u{1b}[31mred\u{0}".to_owned(),
                detail: "</failure></testcase>".to_owned(),
            },
            seconds: 0.5,
            questions: 1,
            line: 7,
        };
        let lab = LabReport {
            lab: "x".to_owned(),
            file: "labs/x.toml".into(),
            life: Life::Ready,
            ready_seconds: Some(1.0),
            checked_seconds: Some(1.5),
            seconds: 2.0,
            checks: vec![check],
            scenarios: Vec::new(),
            kept: None,
        };
        let text = document(&[lab], Duration::from_secs(2)).unwrap();
        assert_eq!(text.matches("</failure>").count(), 1, "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\0'));
        let read = Report::deserialize_from_str(&text).unwrap();
        assert_eq!(read.test_suites[0].test_cases.len(), 2);
    }
}
