//! The command line: one file a verb. Arguments in, one call, something printed.

use std::io::{stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand, ValueEnum};

use crate::failure::{Code, Failure};
use crate::kernel::rootless::is_rootless;
use crate::run::directory::RunDirectory;
use crate::run::rootless;
use crate::trace::{Telling, Wanted};
use crate::view::{self, terminal};

mod apply;
mod capture;
mod capture_lines;
mod check;
mod cilium;
mod complete;
mod completions;
mod config_review;
mod cp;
mod doctor;
mod down;
mod engine;
mod events;
mod exec;
mod file;
mod flow;
pub mod frrinit;
mod gc;
mod get;
mod graph;
mod image;
mod image_lock;
mod import;
mod import_args;
mod imported;
mod kinds;
mod kubeconfig;
mod labs;
mod link;
mod logs;
mod man;
mod manifests;
mod ps;
mod restart;
mod save;
mod scenario;
mod schema;
mod select;
mod shell;
mod survive;
mod test;
mod test_progress;
mod timeline;
mod tools;
mod up;
mod validate;
mod values;
mod version;
pub mod vtysh;

/// Network labs on one Linux host, from one file, in seconds, without Docker.
#[derive(Debug, Parser)]
#[command(
    name = "nslab",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:\n  \
        sudo nslab up labs/quickstart.toml       bring a lab up; Ctrl-C takes it all down\n  \
        sudo nslab exec a ping -c1 server        in another terminal: run something in node a\n  \
        sudo nslab ps                            what the nodes are and do\n\n\
        Exit codes: 0 done, 1 a check failed or a lab did not become ready, \n\
        2 the file or the arguments are wrong, 3 the host lacks something. `nslab exec` passes the command's own."
)]
struct Cli {
    /// Say what nslab does, on standard error; twice or three times for more (NSLAB_LOG says it more exactly)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring a lab up, and keep it until Ctrl-C (or, with -d, until `nslab down`)
    #[command(visible_alias = "deploy")]
    Up(up::Args),
    /// Take labs down
    #[command(visible_alias = "destroy")]
    Down(down::Args),
    /// List the labs that are running
    #[command(visible_aliases = ["ls", "list"])]
    Labs(labs::Args),
    /// Run a command in a node
    Exec(exec::Args),
    /// Open a shell in a node
    Shell(shell::Args),
    /// Copy files between the host and a node
    Cp(cp::Args),
    /// Show the nodes of a running lab
    #[command(visible_alias = "inspect")]
    Ps(ps::Args),
    /// Show what the processes of nodes have printed and logged
    Logs(logs::Args),
    /// Start nodes again; their links stay
    Restart(restart::Args),
    /// Stop nodes; their links go down
    Stop(restart::StopArgs),
    /// Start nodes that were stopped
    Start(restart::StartArgs),
    /// Take links down and up, and say what they do to packets
    Link(link::Args),
    /// What containerlab calls tools: `tools netem`, as its users type it
    #[command(hide = true)]
    Tools(tools::Args),
    /// Have nodes keep the configurations that run in them
    Save(save::Args),
    /// Apply Kubernetes objects to a running lab
    Apply(apply::Args),
    /// Delete Kubernetes objects of a running lab
    Delete(apply::DeleteArgs),
    /// Show the Kubernetes objects of a running lab
    Get(get::Args),
    /// Write how kubectl reaches the API server of a running lab
    Kubeconfig(kubeconfig::Args),
    /// Show what Cilium's agents know
    Cilium(cilium::Args),
    /// Show what has happened in a running lab
    Events(events::Args),
    /// Send numbered packets between nodes, and show what becomes of them
    Flow(flow::Args),
    /// Show who lost and gained which way when, and how long a lab took to be quiet again
    Timeline(timeline::Args),
    /// Capture the packets of interfaces of a running lab
    Capture(capture::Args),
    /// Draw the topology of a lab
    Graph(graph::Args),
    /// Bring container images for nodes into the store, and manage them
    Image(image::Args),
    /// Write files of containerlab, kind and Cilium as one lab file
    Import(import::Args),
    /// List the kinds of nodes that are data, and show their files
    Kinds(kinds::Args),
    /// Look for errors in lab files without making anything
    Validate(validate::Args),
    /// Bring labs up, make their checks, take them down
    Test(test::Args),
    /// Make the checks of a running lab
    Check(check::Args),
    /// Play what a living lab's file says happens to it, and see that what must be true is
    Scenario(scenario::Args),
    /// Let every link and node fail in turn, and see that what is still connected heals
    Survive(survive::Args),
    /// Print the JSON Schema of lab files, for editors
    Schema(schema::Args),
    /// Find out what this host can do, and what to do where it cannot
    Doctor(doctor::Args),
    /// Sweep up what killed labs left
    Gc(gc::Args),
    /// Print which nslab this is
    Version(version::Args),
    /// Print the completions of a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Reads the command line and does what it says. Returns the exit code: 1, where all went well and what was printed did
/// not arrive.
pub fn main() -> i32 {
    if complete::answer() {
        return 0;
    }
    match obey() {
        0 if !terminal::has_arrived() => Code::NotReady as i32,
        code => code,
    }
}

fn obey() -> i32 {
    if let Some(args) = exec::plain(std::env::args_os()) {
        return exec::run(args).unwrap_or_else(exec::failed);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help asked for goes to standard output with status 0, errors to standard error with 2.
            match error.use_stderr() {
                true if color() => view::tell_styled(&error.render().ansi().to_string()),
                true => view::tell(&error.render().to_string()),
                false => drop(terminal::note(error.print())),
            }
            return error.exit_code();
        }
    };
    let failed_with = |failure: Failure| {
        report(&failure);
        failure.code as i32
    };
    let done = |result: Result<(), Failure>| result.map_or_else(failed_with, |()| 0);
    let spans = matches!(&cli.verb, Verb::Up(args) if args.traces());
    let telling = match Wanted::new(cli.verbose, spans) {
        Ok(wanted) => Telling {
            spans: wanted.begin(u64::MAX),
            wanted,
        },
        Err(reason) => return failed_with(Failure::wrong(reason)),
    };
    match cli.verb {
        Verb::Up(args) => done(up::run(args, telling)),
        Verb::Down(args) => done(down::run(args)),
        Verb::Labs(args) => done(labs::run(args)),
        // exec's own failures must not look like the command's.
        Verb::Exec(args) => exec::run(args).unwrap_or_else(exec::failed),
        Verb::Shell(args) => shell::run(args).unwrap_or_else(exec::failed),
        Verb::Cp(args) => done(cp::run(args)),
        Verb::Ps(args) => done(ps::run(args)),
        Verb::Logs(args) => done(logs::run(args)),
        Verb::Restart(args) => done(restart::run(args)),
        Verb::Stop(args) => done(restart::stop(args)),
        Verb::Start(args) => done(restart::start(args)),
        Verb::Link(args) => done(link::run(args)),
        Verb::Tools(args) => done(tools::run(&args)),
        Verb::Save(args) => save::run(args).unwrap_or_else(failed_with),
        Verb::Version(args) => done(version::run(args)),
        Verb::Apply(args) => done(apply::run(args)),
        Verb::Delete(args) => done(apply::delete(args)),
        Verb::Get(args) => done(get::run(args)),
        Verb::Kubeconfig(args) => done(kubeconfig::run(args)),
        Verb::Cilium(args) => done(cilium::run(args)),
        Verb::Events(args) => done(events::run(args)),
        Verb::Flow(args) => done(flow::run(args)),
        Verb::Timeline(args) => done(timeline::run(args)),
        Verb::Capture(args) => done(capture::run(args)),
        Verb::Graph(args) => done(graph::run(args)),
        Verb::Image(args) => done(image::run(args)),
        Verb::Import(args) => done(import::run(args)),
        Verb::Kinds(args) => done(kinds::run(args)),
        Verb::Validate(args) => done(validate::run(args)),
        Verb::Test(args) => test::run(args).unwrap_or_else(failed_with),
        Verb::Check(args) => check::run(args).unwrap_or_else(failed_with),
        Verb::Scenario(args) => scenario::run(args).unwrap_or_else(failed_with),
        Verb::Survive(args) => survive::run(args).unwrap_or_else(failed_with),
        Verb::Schema(args) => done(schema::run(args)),
        Verb::Doctor(args) => done(doctor::run(args)),
        Verb::Gc(args) => done(gc::run(args)),
        Verb::Completions(args) => done(completions::run(args)),
        Verb::Man(args) => done(man::run(args)),
    }
}

/// Prints a failure on standard error.
fn report(failure: &Failure) {
    view::tell(&view::failure::render(failure));
}

/// Prints to standard output. Of a reader that has gone (`nslab ps | head -1`) only the exit code tells; a full disk is told.
fn print(text: &str) {
    written(view::print(text));
}

fn written(result: std::io::Result<()>) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if let Err(error) = result
        && !TOLD.swap(true, Ordering::Relaxed)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        report(&Failure::host(format!("cannot write the result: {error}")));
    }
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::host(error.to_string()))?;
    written(view::print_json(&(text + "\n")));
    Ok(())
}

/// Whether standard error takes colors.
fn color() -> bool {
    terminal::has_colors(&stderr())
}

/// Whether standard output takes colors.
fn color_out() -> bool {
    terminal::has_colors(&stdout())
}

/// The line that was typed, to be typed again by root.
fn with_sudo() -> String {
    let words: Vec<String> = std::env::args().collect();
    let line = shell_words::join(words.iter().map(String::as_str));
    format!("sudo {line}")
}

/// The program by which a shell finds this nslab: as it was called now, or by its name.
fn program() -> String {
    let own = std::env::args().next().unwrap_or_default();
    match own.contains('/') && !is_on_path(&own) {
        true => own,
        false => "nslab".to_owned(),
    }
}

/// How nslab is called in a line that is to be typed next: as it was called now.
fn call() -> String {
    let program = program();
    let program = shell_words::quote(&program);
    // Not everybody who is root has come by sudo, or has it; and sudo passes no variable on.
    let by_sudo = std::env::var_os("SUDO_UID").is_some();
    let directory = std::env::var("NSLAB_RUN_DIR").ok().filter(|it| !it.is_empty());
    match (is_rootless() || !by_sudo, directory) {
        (true, _) => program.into_owned(),
        (false, None) => format!("sudo {program}"),
        (false, Some(directory)) => {
            format!("sudo NSLAB_RUN_DIR={} {program}", shell_words::quote(&directory))
        }
    }
}

/// Whether a shell finds this very program by the name `nslab`.
fn is_on_path(own: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join("nslab"))
        .find(|it| it.is_file());
    let whole = |path: &std::path::Path| std::fs::canonicalize(path).ok();
    found.is_some_and(|found| whole(&found) == whole(own.as_ref()))
}

/// The run directory.
///
/// # Errors
/// It is root's, and this user is not.
fn find_run_directory() -> Result<RunDirectory, Failure> {
    let directory = RunDirectory::find();
    if rootless::is_roots(directory.path()) {
        let message = format!("the labs in {} are root's", directory.path().display());
        return Err(Failure::host(message).help(with_sudo()));
    }
    Ok(directory)
}

/// The run directory, with what dead labs left swept away.
///
/// # Errors
/// It is not nslab's, or not this user's.
fn run_directory() -> Result<RunDirectory, Failure> {
    let directory = find_run_directory()?;
    for failure in directory.sweep()?.failures {
        report(&failure);
    }
    Ok(directory)
}
