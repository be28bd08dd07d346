//! `nslab check`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;

use super::select::{self, Which};
use super::test_progress::TestProgress;
use super::{Format, complete, print_json};
use crate::check::report::CheckReport;
use crate::check::stop::Stop;
use crate::check::{ask, runner};
use crate::failure::{Code, Failure};
use crate::lab::check::Phase;
use crate::run::client::Client;
use crate::run::protocol::Request;
use crate::run::user_files;
use crate::trial::junit;
use crate::trial::report::{LabReport, Life, summary};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab check\n  sudo nslab check --name rack --within 2s\n  \
    sudo nslab check --format json | jq '.checks[] | select(.outcome == \"failed\")'\n\n\
    Exit codes: 0 all hold, 1 one does not."
)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Only the checks that have this in their name
    #[arg(long, value_name = "TEXT", add = complete::checks())]
    name: Option<String>,
    /// The checks of which phase: those for the time before the manifests are applied, or for after
    #[arg(long, value_enum, default_value = "after")]
    phase: When,
    /// Give up after this time, whatever the file allows
    #[arg(long, value_name = "TIME", value_parser = super::values::duration)]
    within: Option<Duration>,
    /// How results are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write a JUnit report to this file as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// Ahead of the manifests
    Before,
    /// When everything is there
    After,
}

#[derive(Serialize)]
struct Results<'a> {
    lab: &'a str,
    passed: bool,
    seconds: f64,
    checks: &'a [CheckReport],
}

/// Returns the exit code.
pub fn run(args: Args) -> Result<i32, Failure> {
    if let Some(path) = &args.junit {
        user_files::may_write(path)?;
    }
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, args.which.word())?;
    let mut checks = ask::checks_of(&lab)?;
    let phase = match args.phase {
        When::Before => Phase::Before,
        When::After => Phase::After,
    };
    checks.retain(|check| check.phase == phase);
    if checks.is_empty() {
        return Err(Failure::wrong(format!("lab {} has no checks", lab.lab))
            .help("add `[[checks]]` to its file and bring it up again; `nslab schema` and docs/checks.md have the keys"));
    }
    if let Some(text) = &args.name {
        checks.retain(|check| check.name.contains(text.as_str()));
        if checks.is_empty() {
            return Err(Failure::wrong(format!("no check has {text:?} in its name")));
        }
    }
    if let Some(within) = args.within {
        for check in &mut checks {
            check.within = check.within.min(within);
        }
    }
    // A lab that does not answer is told at once, not by every check in its own time.
    Client::connect(&lab)?.ask(&Request::Status)?;
    let stop = Stop::on_signals()?;
    let began = Instant::now();
    let mut progress = TestProgress::new(args.format == Format::Text);
    let Some(checks) = runner::check_all(&lab, &checks, &stop, &mut |word| progress.say(word)) else {
        return Err(Failure::not_ready(
            "interrupted; the checks that are not told above were not made",
        ));
    };
    let seconds = began.elapsed().as_secs_f64();
    let report = LabReport {
        file: lab.state().map(|state| state.file).unwrap_or_default(),
        lab: lab.lab,
        life: Life::Ready,
        ready_seconds: None,
        checked_seconds: Some(seconds),
        seconds,
        checks,
        scenarios: Vec::new(),
        kept: None,
    };
    let labs = [report];
    if let Some(path) = &args.junit {
        let text = junit::document(&labs, Duration::from_secs_f64(seconds)).map_err(Failure::host)?;
        user_files::write(path, text.as_bytes(), user_files::OPEN)?;
    }
    let [report] = &labs;
    match args.format {
        Format::Text => progress.summary(&summary(&labs, seconds)),
        Format::Json => print_json(&Results {
            lab: &report.lab,
            passed: !report.has_failed(),
            seconds,
            checks: &report.checks,
        })?,
    }
    Ok(if report.has_failed() {
        Code::NotReady as i32
    } else {
        0
    })
}
