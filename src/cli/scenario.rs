//! `nslab scenario`.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::select::{self, Which};
use super::test_progress::TestProgress;
use super::{Format, complete, print, print_json};
use crate::check::ask;
use crate::check::runner::Word;
use crate::check::stop::Stop;
use crate::failure::{Code, Failure};
use crate::lab::scenario::Scenario;
use crate::run::directory::LabDirectory;
use crate::run::user_files;
use crate::scenario::act::Stage;
use crate::scenario::play::play;
use crate::scenario::report::ScenarioReport;
use crate::scenario::{html, topology};
use crate::trial::recording::{self, Recording};
use crate::view::table;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab scenario list\n  sudo nslab scenario run\n  \
    sudo nslab scenario run 'a spine link is cut' --report out/\n  \
    sudo nslab scenario run --format json | jq '.scenarios[].faults'\n\n\
    `nslab test FILE` brings a lab up, makes its checks and plays its scenarios. docs/scenarios.md teaches them."
)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Plays scenarios of a living lab's file, and takes back what they did
    Run(RunArgs),
    /// Lists the scenarios of a living lab's file
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    which: Which,
    /// The scenarios, by their names or parts of them; all where none is given
    #[arg(value_name = "NAME", add = complete::scenarios())]
    names: Vec<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write a report to look at, one HTML file, into this directory
    #[arg(long, value_name = "DIRECTORY")]
    report: Option<PathBuf>,
    /// Play on after a scenario that left the lab otherwise than it was
    #[arg(long)]
    go_on: bool,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Results<'a> {
    lab: &'a str,
    passed: bool,
    scenarios: &'a [ScenarioReport],
}

/// Returns the exit code.
pub fn run(args: Args) -> Result<i32, Failure> {
    match args.verb {
        Verb::Run(args) => play_them(args),
        Verb::List(args) => list(&args).map(|()| 0),
    }
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, args.which.word())?;
    let scenarios = topology::of(&lab)?.scenarios;
    if args.format == Format::Json {
        return print_json(&scenarios);
    }
    let mut table = table::table(&["SCENARIO", "FLOWS", "STEPS"]);
    for scenario in &scenarios {
        let steps: Vec<String> = scenario.steps.iter().map(ToString::to_string).collect();
        let flows = match scenario.flows.is_empty() {
            true => "-".to_owned(),
            false => scenario.flows.join(" "),
        };
        table.add_row([scenario.name.clone(), flows, steps.join("; ")]);
    }
    print(&table::render(&mut table));
    Ok(())
}

fn play_them(args: RunArgs) -> Result<i32, Failure> {
    if let Some(report) = &args.report {
        user_files::make_directory(report)?;
    }
    let directory = super::run_directory()?;
    let lab = select::lab(&directory, args.which.word())?;
    let topology = topology::of(&lab)?;
    let scenarios = chosen(&lab, &topology.scenarios, &args.names)?;
    let checks = ask::checks_of(&lab)?;
    let stop = Stop::on_signals()?;
    let stage = Stage {
        lab: &lab,
        checks: &checks,
        stop: &stop,
    };
    let mut progress = TestProgress::new(args.format == Format::Text);
    let (mut reports, mut spoiled) = (Vec::new(), None);
    for scenario in scenarios {
        let kept = args.report.as_deref().filter(|_| scenario.capture);
        let recording = kept.map(|_| Recording::begin(&lab)).transpose()?;
        let Some(played) = play(&stage, scenario, &mut |word| progress.say(word))? else {
            return Err(Failure::not_ready(
                "interrupted; what the scenario did was taken back",
            ));
        };
        if let (Some(recording), Some(directory)) = (recording, kept) {
            let place = topology.scenarios.iter().position(|it| it.name == scenario.name);
            let file = recording::file_of(place.unwrap_or_default(), &scenario.name);
            recording.keep(&directory.join(file), played.report.has_failed())?;
        }
        progress.say(Word::Settled(played.report.details()));
        let dirty = played.dirty;
        reports.push(played.report);
        if let Some(why) = dirty.filter(|_| !args.go_on) {
            let message = format!(
                "after scenario {:?} the lab is not as it was: {why}",
                scenario.name
            );
            spoiled = Some(Failure::not_ready(message).help(
                "bring it up anew, or play on all the same with `--go-on`; `nslab test` brings it up anew by itself",
            ));
            break;
        }
    }
    progress.say(Word::Settled(String::new()));
    if let Some(directory) = &args.report {
        let page = html::page(&topology, &reports);
        user_files::write(
            &directory.join("scenarios.html"),
            page.as_bytes(),
            user_files::OPEN,
        )?;
    }
    let passed = reports.iter().all(|report| report.passed);
    if args.format == Format::Json {
        print_json(&Results {
            lab: &lab.lab,
            passed,
            scenarios: &reports,
        })?;
    }
    match spoiled {
        Some(failure) => Err(failure),
        None => Ok(if passed { 0 } else { Code::NotReady as i32 }),
    }
}

/// The scenarios that are meant.
fn chosen<'s>(
    lab: &LabDirectory,
    all: &'s [Scenario],
    names: &[String],
) -> Result<Vec<&'s Scenario>, Failure> {
    if all.is_empty() {
        return Err(Failure::wrong(format!("lab {} has no scenarios", lab.lab))
            .help("add `[[scenarios]]` to its file and bring it up again; docs/scenarios.md has the keys"));
    }
    for name in names {
        if !all.iter().any(|scenario| scenario.name.contains(name.as_str())) {
            let all: Vec<String> = all
                .iter()
                .map(|scenario| format!("{:?}", scenario.name))
                .collect();
            return Err(Failure::wrong(format!("no scenario has {name:?} in its name"))
                .help(format!("there are {}", all.join(", "))));
        }
    }
    let is_meant = |scenario: &&Scenario| {
        names.is_empty() || names.iter().any(|name| scenario.name.contains(name.as_str()))
    };
    Ok(all.iter().filter(is_meant).collect())
}
