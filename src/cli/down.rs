//! `nslab down`.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::complete;
use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, Life, RunDirectory};
use crate::run::holder::{Activity, Supervisor, has_ended};

/// How long a lab that is just being started may have no supervisor.
const BIRTH: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);
/// How long a lab may take to end by itself: its processes have two seconds, the kernel needs some more for large labs.
const ORDERLY: Duration = Duration::from_secs(30);
/// How long the kernel may take to end what was killed.
const KILLED: Duration = Duration::from_secs(60);
/// How often a supervisor that is ending is looked at.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab down              the only lab that is running\n  \
    sudo nslab down example\n  sudo nslab down labs/example.toml\n  sudo nslab down --all"
)]
pub struct Args {
    /// The labs, by their names or their files; not needed when only one is running
    #[arg(value_name = "LAB", add = complete::labs_and_files())]
    labs: Vec<String>,
    /// A lab by its file, as containerlab has it
    #[arg(short = 't', short_alias = 'f', long = "topo", value_name = "FILE")]
    topo: Vec<String>,
    /// A lab by its name
    #[arg(long = "lab", alias = "name", value_name = "LAB", add = complete::labs())]
    lab: Vec<String>,
    /// Every lab that is running, also those that `nslab test --keep` has left alive
    #[arg(short, long, conflicts_with_all = ["labs", "topo", "lab"])]
    all: bool,
    /// Containerlab's option, which is always so here: nothing of a lab is left
    #[arg(short = 'c', long, hide = true)]
    cleanup: bool,
    /// Containerlab's option; nothing is asked here
    #[arg(short = 'y', long, hide = true)]
    yes: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let words: Vec<&String> = args.labs.iter().chain(&args.topo).chain(&args.lab).collect();
    let labs = if args.all {
        directory.visible()
    } else if words.is_empty() {
        vec![super::select::lab(&directory, None)?]
    } else {
        let named = words
            .iter()
            .map(|name| super::select::lab(&directory, Some(name)));
        named.collect::<Result<_, _>>()?
    };
    if labs.is_empty() {
        super::print("no lab is running\n");
    }
    // All are asked before the first is waited for: they end side by side.
    let asked: Vec<_> = labs.iter().map(|lab| (lab, Ending::begin(lab))).collect();
    let mut failed = None;
    for (lab, ending) in asked {
        match ending.and_then(|ending| ending.finish(lab)) {
            Ok(()) => super::print(&format!("lab {} is down\n", lab.lab)),
            Err(failure) => {
                failed.iter().for_each(super::report);
                failed = Some(failure);
            }
        }
    }
    let finished = finish(&directory);
    failed.map_or(finished, Err)
}

/// Takes a lab down if it is running.
pub fn take_down(directory: &RunDirectory, name: &str) -> Result<(), Failure> {
    let lab = directory.lab(name);
    match lab.life() {
        Life::Dead => Ok(()),
        Life::Unknown(failure) => Err(failure),
        Life::Living => {
            Ending::begin(&lab)?.finish(&lab)?;
            finish(directory)
        }
    }
}

/// A lab that has been asked to end.
enum Ending {
    /// It has just ended by itself.
    Over,
    /// It says that it will.
    Asked {
        /// Readable when it has ended.
        pidfd: OwnedFd,
        /// Its PID.
        supervisor: i32,
    },
    /// It did not answer, and was killed.
    Killed(Supervisor),
}

impl Ending {
    /// Asks a lab to end. A supervisor that does not answer is killed.
    fn begin(lab: &LabDirectory) -> Result<Ending, Failure> {
        let asked = Client::connect(lab).and_then(|mut client| Ok((client.ask_down()?, client.supervisor())));
        if let Ok((Some(pidfd), supervisor)) = asked {
            return Ok(Ending::Asked { pidfd, supervisor });
        }
        let end = Instant::now() + BIRTH;
        loop {
            if matches!(lab.life(), Life::Dead) {
                return Ok(Ending::Over);
            }
            match Supervisor::of(lab) {
                Ok(supervisor) => {
                    supervisor.kill()?;
                    return Ok(Ending::Killed(supervisor));
                }
                // The lock is its launcher's until there is a supervisor.
                Err(_) if Instant::now() < end => std::thread::sleep(PAUSE),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Waits for the end. A supervisor that does not come to it is killed.
    fn finish(self, lab: &LabDirectory) -> Result<(), Failure> {
        let supervisor = match self {
            Ending::Over => return Ok(()),
            Ending::Asked { pidfd, supervisor } => {
                if ends(&pidfd, supervisor) {
                    return Ok(());
                }
                let supervisor = match Supervisor::of(lab) {
                    Err(_) if matches!(lab.life(), Life::Dead) => return Ok(()),
                    other => other?,
                };
                supervisor.kill()?;
                supervisor
            }
            Ending::Killed(supervisor) => supervisor,
        };
        if has_ended(&supervisor.pidfd, KILLED) {
            return Ok(());
        }
        let message = format!(
            "lab {} was killed, and its supervisor (process {}) has not ended within {} s",
            lab.lab,
            supervisor.pid,
            KILLED.as_secs()
        );
        Err(Failure::not_ready(message).help("the kernel's log (`dmesg`) may tell what it waits for"))
    }
}

/// Waits for a supervisor that said it would end. Returns false where it hangs or is stopped.
fn ends(pidfd: &OwnedFd, supervisor: i32) -> bool {
    let end = Instant::now() + ORDERLY;
    while !has_ended(pidfd, LOOK) {
        if Instant::now() >= end || Activity::of(supervisor) == Activity::Stopped {
            return false;
        }
    }
    true
}

fn finish(directory: &RunDirectory) -> Result<(), Failure> {
    directory.sweep()?.failures.into_iter().next().map_or(Ok(()), Err)
}
