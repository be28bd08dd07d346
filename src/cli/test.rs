//! `nslab test`.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::file::LabFile;
use super::import_args::ImportArgs;
use super::test_progress::TestProgress;
use super::{Format, color, complete, file, imported, print_json, report};
use crate::check::runner::Word;
use crate::check::stop::Stop;
use crate::engine::{self, Engine as _};
use crate::failure::{Code, Failure};
use crate::kernel::error::Attempt;
use crate::lab::engines::Engine;
use crate::lab::model::{EngineChoice, Kind, Lab};
use crate::run::directory::RunDirectory;
use crate::run::preflight;
use crate::run::user_files;
use crate::scenario::html;
use crate::trial::report::{LabReport, Life, summary};
use crate::trial::{Trial, junit};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo nslab test labs/cilium-bgp.toml\n  \
    sudo nslab test labs/*.toml -j 4 --junit report.xml\n  \
    sudo nslab test --keep labs/clos.toml         leave the lab alive if a check fails\n  \
    sudo nslab test topo.clab.yml cluster.yaml    one lab of several files of other tools\n\n\
    Each lab lives in a run directory of its own, apart from those that are up already.\n\
    Exit codes: 0 all checks passed, 1 one failed or a lab did not come up, 2 a file is wrong,\n\
    3 the host lacks something. A lab whose file `requires` a program that is not here is skipped,\n\
    and so is one that needs FRR where the built-in speaker is to play.")]
pub struct Args {
    /// The lab files, or files of containerlab, kind and Cilium: with one topology among them they are one lab together
    #[arg(value_name = "FILE", add = complete::files(), required_unless_present = "topo")]
    files: Vec<PathBuf>,
    /// The same, as containerlab has it
    #[arg(short = 't', short_alias = 'f', long, value_name = "FILE")]
    topo: Vec<PathBuf>,
    /// How many labs live at the same time
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Write a JUnit report to this file as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Leave a lab alive in which a check failed; `nslab ps`, `exec`, `down` and the others find it
    #[arg(long)]
    keep: bool,
    /// Write a report to look at for each lab, one HTML file, into this directory
    #[arg(long, value_name = "DIRECTORY")]
    report: Option<PathBuf>,
    /// Save the logs of labs that failed below this directory
    #[arg(long, value_name = "DIRECTORY")]
    logs: Option<PathBuf>,
    /// Which program plays routers and Kubernetes nodes, whatever the files say: auto, frr, builtin or kubelet
    #[arg(long, value_name = "ENGINE", value_parser = super::engine::words())]
    engine: Vec<String>,
    /// How long a lab may take to be ready, such as 90s or 5m; 2m, or as long as kinds of its nodes may take, where nothing is said
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// How results are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Serialize)]
struct Results<'a> {
    passed: bool,
    seconds: f64,
    labs: &'a [LabReport],
}

/// Returns the exit code.
pub fn run(args: Args) -> Result<i32, Failure> {
    if let Some(timeout) = &args.timeout {
        super::values::duration(timeout).map_err(Failure::wrong)?;
    }
    // Before the labs, which take their time.
    if let Some(path) = &args.junit {
        user_files::may_write(path)?;
    }
    if let Some(report) = &args.report {
        user_files::make_directory(report)?;
    }
    let files = load(&args)?;
    let directory = super::run_directory()?;
    let stop = Stop::on_signals()?;
    let began = Instant::now();
    let mut progress = TestProgress::new(args.format == Format::Text);
    let (labs, untried) = try_all(&args, &files, &directory, &stop, &mut progress)?;
    let seconds = began.elapsed().as_secs_f64();
    // Before anything else is said: a report that cannot be written is a failure, whatever it would say.
    if let Some(path) = &args.junit {
        let text = junit::document(&labs, Duration::from_secs_f64(seconds)).map_err(Failure::host)?;
        user_files::write(path, text.as_bytes(), user_files::OPEN)?;
    }
    if let Some(directory) = &args.report {
        // A lab without scenarios, or one that they were not played on, has nothing to show.
        for report in labs.iter().filter(|report| !report.scenarios.is_empty()) {
            let Some(at) = files.iter().position(|tried| tried.paths[0] == report.file) else {
                continue;
            };
            let page = html::page(&files[at].file.lab, &report.scenarios);
            let name = format!("{}.html", unique(&files, at));
            user_files::write(&directory.join(name), page.as_bytes(), user_files::OPEN)?;
        }
    }
    match args.format {
        Format::Text => progress.summary(&summary(&labs, seconds)),
        Format::Json => print_json(&Results {
            passed: !labs.iter().any(LabReport::has_failed),
            seconds,
            labs: &labs,
        })?,
    }
    if stop.wanted() {
        let failure = Failure::not_ready("interrupted; nothing is left of the labs");
        return Err(match untried.as_slice() {
            [] => failure,
            files => failure.detail(format!("not run to the end: {}", files.join(", "))),
        });
    }
    Ok(exit_code(&labs))
}

/// A check that failed counts most: the host was good enough to find that out.
fn exit_code(labs: &[LabReport]) -> i32 {
    let codes: Vec<i32> = labs
        .iter()
        .filter(|lab| lab.has_failed())
        .map(|lab| match lab.life {
            Life::Failed { code, .. } => code,
            _ => Code::NotReady as i32,
        })
        .collect();
    let failed = Code::NotReady as i32;
    match codes.as_slice() {
        [] => 0,
        codes if codes.contains(&failed) => failed,
        [first, ..] => *first,
    }
}

/// What is tried together: a lab, and the files it comes from.
struct Tried {
    paths: Vec<PathBuf>,
    file: LabFile,
}

/// All labs, or every error of every one.
fn load(args: &Args) -> Result<Vec<Tried>, Failure> {
    let paths: Vec<PathBuf> = args.files.iter().chain(&args.topo).cloned().collect();
    if paths.iter().any(|path| file::is_standard_input(path)) {
        return Err(Failure::wrong(
            "a lab that is tested is read more than once: write it into a file",
        ));
    }
    let plain: Vec<_> = paths.iter().map(|path| (path.clone(), None)).collect();
    let groups: Vec<Vec<PathBuf>> =
        match imported::is_foreign(&plain) && !imported::are_labs_of_their_own(&paths) {
            true => vec![paths],
            false => paths.into_iter().map(|path| vec![path]).collect(),
        };
    let (mut tried, mut failures) = (Vec::new(), Vec::new());
    for paths in groups {
        match imported::load(&paths, &ImportArgs::default(), color()) {
            Ok(file) => tried.push(Tried { paths, file }),
            Err(refusal) => failures.push(refusal.into_failure(&paths[0])),
        }
    }
    let last = failures.pop();
    for failure in &failures {
        report(failure);
    }
    match last {
        Some(failure) => Err(failure),
        None => Ok(tried),
    }
}

/// The last engine that was asked for which plays nodes of this kind.
fn asked(args: &Args, kind: Kind) -> Option<EngineChoice> {
    let mut choices = args.engine.iter().rev().filter_map(|word| EngineChoice::of(word));
    choices.find(|choice| choice.plays(kind))
}

/// Why a lab cannot be tried here, though nothing is wrong with it.
fn reason_to_skip(args: &Args, lab: &Lab) -> Option<String> {
    let missing = preflight::missing_programs(lab);
    if !missing.is_empty() {
        return Some(format!("requires {}, not found here", missing.join(", ")));
    }
    reason_to_skip_cluster(args, lab).or_else(|| reason_to_skip_routers(args, lab))
}

/// Why its routers cannot be tried: their configurations are for another engine.
fn reason_to_skip_routers(args: &Args, lab: &Lab) -> Option<String> {
    let (asked, auto) = (asked(args, Kind::Router), engine::auto());
    let better = lab.nodes.iter().filter_map(|node| {
        let chosen = Engine::chosen(asked.unwrap_or(node.engine), auto);
        Some((chosen.better(node.config.as_deref()?)?, node.name.as_str()))
    });
    let better: Vec<(Engine, &str)> = better.collect();
    let (first, _) = better.first()?;
    let names: Vec<&str> = better.iter().map(|(_, name)| *name).collect();
    Some(format!("{} needs the {} engine", names.join(", "), first.name()))
}

/// Why its Kubernetes nodes cannot be tried: the file wants the real thing, and that is not here or not asked for.
fn reason_to_skip_cluster(args: &Args, lab: &Lab) -> Option<String> {
    let (node, engine) = lab.nodes.iter().find_map(|node| match node.engine {
        EngineChoice::Engine(it) if node.kind == Kind::K8s && it.traits().is_kubernetes => Some((node, it)),
        _ => None,
    })?;
    match asked(args, Kind::K8s) {
        Some(other) if !other.is_kubernetes() => {
            Some(format!("{} needs the {} engine", node.name, engine.name()))
        }
        _ => engine.lacks(&lab.cluster).map(|failure| failure.message),
    }
}

/// Tries labs on as many threads as were asked for. The reports are in the order of the files; those of labs that were not
/// run to the end when the user wanted to end are missing, and their files are returned as well.
fn try_all(
    args: &Args,
    files: &[Tried],
    directory: &RunDirectory,
    stop: &Stop,
    progress: &mut TestProgress,
) -> Result<(Vec<LabReport>, Vec<String>), Failure> {
    let mut options = Vec::new();
    if let Some(timeout) = &args.timeout {
        options.extend(["--timeout".to_owned(), timeout.clone()]);
    }
    for engine in &args.engine {
        options.extend(["--engine".to_owned(), engine.clone()]);
    }
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let alone = args.jobs == 1 || files.len() == 1;
    let progress = Mutex::new(progress);
    let say = |word: Word| {
        if let Ok(mut progress) = progress.lock() {
            progress.say(word);
        }
    };
    let one = |at: usize| {
        let Tried { paths, file } = &files[at];
        let skip = reason_to_skip(args, &file.lab);
        let logs = args.logs.as_ref().map(|logs| logs.join(unique(files, at)));
        let trial = Trial {
            files: paths,
            lab: &file.lab.name,
            skip,
            options: &options,
            scenarios: &file.lab.scenarios,
            keep: args.keep,
            logs: logs.as_deref(),
            capture: file.lab.capture,
        };
        // Of several at once each is told as a whole.
        let mut quiet = |_| {};
        let mut loud = |word| say(word);
        let saying: &mut dyn FnMut(Word) = if alone { &mut loud } else { &mut quiet };
        let report = trial.run(directory, stop, saying);
        if let (Ok(Some(report)), false) = (&report, alone) {
            say(Word::Settled(report.text()));
            let done = 1 + finished.fetch_add(1, Ordering::Relaxed);
            say(Word::Now(format!("{done} of {} labs are done", files.len())));
        }
        report
    };
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= files.len() || stop.wanted() {
                return done;
            }
            done.push((at, one(at)));
        }
    };
    let done = thread::scope(|scope| {
        // A lab's processes die with the thread that started them, so each lab stays on its thread.
        let threads: Vec<_> = (0..usize::from(args.jobs).min(files.len()))
            .map(|_| thread::Builder::new().spawn_scoped(scope, worker))
            .collect();
        let mut done = Vec::new();
        for thread in threads {
            let thread = thread.attempt(|| "start a thread")?;
            let reports = thread.join();
            done.extend(reports.map_err(|_| Failure::host("a thread of nslab's panicked"))?);
        }
        Ok::<_, Failure>(done)
    })?;
    // Clears what stands on the terminal's last line.
    say(Word::Settled(String::new()));
    let mut reports: Vec<Option<LabReport>> = vec![None; files.len()];
    for (at, report) in done {
        reports[at] = report?;
    }
    let untried = files.iter().zip(&reports).filter(|(_, report)| report.is_none());
    let untried = untried
        .map(|(tried, _)| tried.paths[0].display().to_string())
        .collect();
    Ok((reports.into_iter().flatten().collect(), untried))
}

/// The lab's name, with a number where several files name theirs so.
fn unique(files: &[Tried], at: usize) -> String {
    let name = &files[at].file.lab.name;
    let before = files[..at].iter().filter(|tried| tried.file.lab.name == *name);
    match before.count() {
        0 => name.clone(),
        before => format!("{name}-{}", before + 1),
    }
}
