//! Signals to processes of a node.
//!
//! The supervisor sees the processes of its lab and no others, so a PID that it finds is never one of the host's.

use std::fs;

use super::events::What;
use super::init::InitHandle;
use super::protocol::Whom;
use super::state::Living;
use super::status::{pid_in_lab, pid_namespace};
use crate::failure::Failure;
use crate::kernel::process;

/// Signals of the kernel have numbers up to this one (signal(7)).
const LAST: i32 = 64;
/// What processes are called that are nslab.
const OWN: &str = "nslab";

/// Sends a signal to those of a node's processes that are meant.
///
/// # Errors
/// The node runs nothing, nothing of that name, or the kernel refuses.
pub fn send(lab: &Living, node: usize, whom: &Whom, signal: i32) -> Result<(), Failure> {
    let name = &lab.plan.nodes[node].name;
    if !(1..=LAST).contains(&signal) {
        return Err(Failure::wrong(format!("there is no signal {signal}")));
    }
    let Some(init) = lab.nodes[node].init.borrow().clone() else {
        return Err(Failure::not_ready(format!("nothing runs in {name}"))
            .help("a node without processes cannot be killed; take its links down"));
    };
    let (told, sent) = match whom {
        Whom::Init => {
            process::signal(&init.pidfd, signal)?;
            ("init".to_owned(), 1)
        }
        Whom::All => ("all".to_owned(), to_each(&init, signal, |_| true)?),
        Whom::Named(program) => (
            program.clone(),
            to_each(&init, signal, |pid| is_called(pid, program))?,
        ),
    };
    if sent == 0 {
        let message = match whom {
            Whom::Named(_) => format!("no process of {name} is called {told:?}"),
            Whom::All | Whom::Init => format!("no process runs in {name} but nslab's own"),
        };
        let help = format!("`nslab exec {name} ps -A -o comm` lists them");
        return Err(Failure::not_ready(message).help(help));
    }
    lab.tell(What::Signaled {
        node: name.clone(),
        process: told,
        signal,
    });
    Ok(())
}

/// Whether a process is one of this program. Those that are nslab itself are called by what they do: `cilium-agent`.
fn is_called(pid: i32, program: &str) -> bool {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let comm = comm.trim_end_matches('\n');
    if comm != OWN {
        return comm == program;
    }
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    program == OWN || words.split(|octet| *octet == 0).nth(1) == Some(program.as_bytes())
}

/// Sends it to those of the node's processes, its init apart, that pass. Returns how many there were.
fn to_each(init: &InitHandle, signal: i32, passes: impl Fn(i32) -> bool) -> Result<usize, Failure> {
    let below = init.first.get().and_then(pid_in_lab);
    let namespaces: Vec<u64> = std::iter::once(init.pid)
        .chain(below)
        .filter_map(pid_namespace)
        .collect();
    let is_meant = |pid: i32| pid_namespace(pid).is_some_and(|it| namespaces.contains(&it)) && passes(pid);
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut sent = 0;
    for pid in pids.filter(|pid| *pid != init.pid) {
        if !is_meant(pid) {
            continue;
        }
        // It may end at any time, and its number may go to another: what the descriptor stands for is looked at again.
        let Ok(pidfd) = process::pidfd(pid) else { continue };
        if is_meant(pid) && process::signal(&pidfd, signal).is_ok() {
            sent += 1;
        }
    }
    Ok(sent)
}
