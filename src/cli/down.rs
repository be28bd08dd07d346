//! `nslab down`.

use crate::failure::Failure;
use crate::run::client::Client;
use crate::run::directory::{LabDirectory, RunDirectory};
use crate::run::launch::wait_for_end;
use crate::run::protocol::Request;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo nslab down              the only lab that is running\n  \
    sudo nslab down example\n  sudo nslab down --all"
)]
pub struct Args {
    /// The lab; not needed when only one is running
    #[arg(value_name = "LAB")]
    labs: Vec<String>,
    /// Every lab that is running
    #[arg(long, conflicts_with = "labs")]
    all: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    let directory = super::run_directory()?;
    let labs = if args.all {
        directory.living()
    } else if args.labs.is_empty() {
        vec![super::select::lab(&directory, None)?]
    } else {
        let named = args
            .labs
            .iter()
            .map(|name| super::select::lab(&directory, Some(name)));
        named.collect::<Result<_, _>>()?
    };
    // All are asked before the first is waited for: they end side by side.
    let asked: Vec<_> = labs.iter().map(|lab| (lab, ask(lab))).collect();
    for (lab, pidfd) in asked {
        if let Some(pidfd) = pidfd {
            wait_for_end(&pidfd);
        }
        super::print(&format!("lab {} is down\n", lab.lab));
    }
    finish(&directory)
}

/// Takes a lab down if it is running.
pub fn take_down(directory: &RunDirectory, name: &str) -> Result<(), Failure> {
    let lab = directory.lab(name);
    if lab.alive() {
        if let Some(pidfd) = ask(&lab) {
            wait_for_end(&pidfd);
        }
        finish(directory)?;
    }
    Ok(())
}

/// Asks a lab to end. A supervisor that does not answer is killed. Returns what becomes readable at its end.
fn ask(lab: &LabDirectory) -> Option<std::os::fd::OwnedFd> {
    let asked = Client::connect(lab).and_then(|mut client| client.ask(&Request::Down));
    if let Ok((_, fds)) = asked {
        return fds.into_iter().next();
    }
    let pid = lab
        .state()
        .map(|state| state.supervisor)
        .filter(|&pid| pid > 1 && lab.alive())?;
    let pidfd = crate::kernel::process::pidfd(pid).ok()?;
    crate::kernel::process::signal(&pidfd, libc::SIGKILL).ok()?;
    Some(pidfd)
}

fn finish(directory: &RunDirectory) -> Result<(), Failure> {
    directory.sweep()?.failures.into_iter().next().map_or(Ok(()), Err)
}
