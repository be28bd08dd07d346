//! Who a lab's supervisor is, by what the kernel says of processes. What files say is a hint where to look, and no more:
//! whoever is found here may be killed.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client;
use super::directory::LabDirectory;
use super::launch::SUPERVISOR;
use super::trust;
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::process;
use crate::kernel::process_root::NAMESPACES;

/// A lab's supervisor, for certain.
pub struct Supervisor {
    /// Its PID as seen from here.
    pub pid: i32,
    /// A descriptor that means this very process.
    pub pidfd: OwnedFd,
}

impl Supervisor {
    /// Finds the supervisor of a lab: root's own process that is the first one of a PID namespace, bears a supervisor's name,
    /// and holds the lab's lock.
    ///
    /// # Errors
    /// There is none: nobody holds the lock, or something else does.
    pub fn of(lab: &LabDirectory) -> Result<Supervisor, Failure> {
        let path = lab.lock();
        let lock = trust::open(&path)?
            .ok_or_else(|| Failure::not_ready(format!("lab {} has just gone", lab.lab)))?;
        let told = [
            client::listener(lab).ok(),
            lab.state().map(|state| state.supervisor),
        ];
        let known = told.into_iter().flatten();
        known
            .chain(processes())
            .filter(|&pid| pid > 1)
            .find_map(|pid| Supervisor::at(pid, &lock))
            .ok_or_else(|| {
                let message = format!(
                    "lab {} does not answer, and no supervisor of nslab's holds {}",
                    lab.lab,
                    path.display()
                );
                let help = format!("`fuser -v {}` tells which process does", path.display());
                Failure::not_ready(message).help(help)
            })
    }

    /// A process, if it is the supervisor that holds this lock.
    fn at(pid: i32, lock: &File) -> Option<Supervisor> {
        // Opened first: what is read of it after that is of this process if it still lives at the end.
        let pidfd = process::pidfd(pid).ok()?;
        let is_it = is_first_of_namespace(pid) && is_named(pid) && holds(pid, lock);
        (is_it && !has_ended(&pidfd, Duration::ZERO)).then_some(Supervisor { pid, pidfd })
    }

    /// Kills it, and all of its lab with it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn kill(&self) -> Result<(), Failure> {
        Ok(process::signal(&self.pidfd, libc::SIGKILL)?)
    }
}

/// Waits for a process to end, for so long at most. Returns whether it has.
pub fn has_ended(pidfd: &OwnedFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let time = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
    poll(&mut fds, time).is_ok_and(|ready| ready > 0)
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process of this user's is PID 1 of a PID namespace below this one (proc_pid_status(5), NSpid).
fn is_first_of_namespace(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        return false;
    };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let numbers = line.into_iter().flat_map(str::split_whitespace);
        numbers
            .filter_map(|number| number.parse::<u32>().ok())
            .collect::<Vec<_>>()
    };
    let numbers = field("NSpid:");
    field("Uid:").iter().all(|&uid| trust::is_trusted(uid)) && numbers.len() > 1 && numbers.last() == Some(&1)
}

/// Whether a process has the name that nslab gives to supervisors. Not its binary: that may have been replaced since.
fn is_named(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|&byte| byte == 0).next() == Some(SUPERVISOR.as_bytes())
}

/// Whether a process has a descriptor by which the lock is held (proc_pid_fdinfo(5)).
fn holds(pid: i32, lock: &File) -> bool {
    let Ok(lock) = lock.metadata() else {
        return false;
    };
    let held = |number: &str| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
        let is_locked = info
            .lines()
            .any(|line| line.starts_with("lock:") && line.contains("FLOCK") && line.contains("WRITE"));
        let file = || fs::metadata(format!("/proc/{pid}/fd/{number}"));
        is_locked && file().is_ok_and(|file| (file.dev(), file.ino()) == (lock.dev(), lock.ino()))
    };
    let numbers = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    numbers
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|number| held(&number))
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// A signal or a debugger has stopped it.
    Stopped,
    /// It waits for something; so much processor time it has taken, in the kernel's ticks.
    Waiting(u64),
    /// It runs, or would if there were a processor for it.
    Running,
    /// There is no such process.
    Gone,
}

impl Activity {
    /// What a process does now (proc_pid_stat(5)).
    pub fn of(pid: i32) -> Activity {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            return Activity::Gone;
        };
        let mut fields = text
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace();
        let state = fields.next();
        // utime and stime are the fields 14 and 15, the state is number 3.
        let mut times = fields.skip(10).map(|field| field.parse::<u64>().unwrap_or(0));
        let time = times
            .next()
            .unwrap_or(0)
            .saturating_add(times.next().unwrap_or(0));
        match state {
            Some("T" | "t") => Activity::Stopped,
            Some("S" | "I") => Activity::Waiting(time),
            None | Some("Z" | "X") => Activity::Gone,
            _ => Activity::Running,
        }
    }
}

/// Opens the network namespace that is a process's descriptor of this number.
///
/// # Errors
/// It has no such descriptor, or not of a network namespace.
pub fn network(pid: i32, number: i32) -> Result<crate::kernel::namespace::Namespace, Failure> {
    let path = PathBuf::from(format!("/proc/{pid}/fd/{number}"));
    // Not by its name, which is a path where somebody has mounted it: the pods' of a kubelet are.
    let found = rustix::fs::statfs(&path).map_err(io::Error::from);
    let found = found.attempt(|| format!("look at {}", path.display()))?;
    // Of which kind one is the kernel asks when it is entered.
    if found.f_type != NAMESPACES {
        return Err(Failure::host(format!(
            "{} is no network namespace",
            path.display()
        )));
    }
    Ok(crate::kernel::namespace::Namespace::at(&path)?)
}
