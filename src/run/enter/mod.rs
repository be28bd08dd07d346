//! Running a command in a node.
//!
//! The client asks the supervisor for the node's init and starts the command in its namespaces, with the rights of the node;
//! the client itself stays outside. Without a terminal the command is the client's own child, with the client's own input and
//! output where those are files and pipes (`direct`). At a terminal it gets one of the node's, as in a container, and the
//! client carries keys and text to and fro (`session`).

mod command;
mod direct;
pub(super) mod relay;
mod session;
mod streams;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::client::Client;
use super::directory::LabDirectory;
use super::protocol::{Reply, Request};
use crate::failure::Failure;
use crate::kernel::capability::Capabilities;
use crate::kernel::enter::Entrance;
use crate::kernel::error::Attempt;
use crate::kernel::process_root::Root;
use crate::kernel::seccomp::Filter;
use crate::kernel::{cgroup, process, rootless};
use crate::lab::rights::RightsStep;
use streams::Streams;

/// How long a command waits for a node that was just killed.
const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// Exit status when nslab itself fails to run a command.
pub const FAILED: i32 = 125;
/// `si_code` of a signal that a process sent (sigaction(2)); the terminal's have SI_KERNEL.
const SI_USER: i32 = 0;

/// Signals the client watches: the first few are passed on.
const WATCHED: [Signal; 12] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCHLD,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// A way into a node.
pub struct Door {
    /// The node's name.
    pub node: String,
    pidfd: OwnedFd,
    cgroup: Option<OwnedFd>,
    legacy_cgroups: Vec<File>,
    env: BTreeMap<String, String>,
    rights: RightsStep,
    /// As whom, and where, commands run that say nothing.
    user: Option<String>,
    workdir: Option<String>,
    /// Whether it is an image.
    image: bool,
    /// The user namespace of a lab without root.
    owner: Option<OwnedFd>,
    users: Option<OwnedFd>,
}

/// When a command gets a terminal in the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Terminal {
    /// Where both the caller's input and output are one.
    #[default]
    WhereCallerHasOne,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// A command for a node.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment on top of the node's.
    pub env: Vec<(String, String)>,
    /// The user, root where none is given.
    pub user: Option<String>,
    /// The directory, `/` where none is given.
    pub workdir: Option<String>,
    /// Whether it gets a terminal.
    pub terminal: Terminal,
    /// Whether it reads from the caller's terminal though its output goes elsewhere.
    pub interactive: bool,
}

/// Asks the lab for a way into a node. Its init is started if it has none.
///
/// # Errors
/// There is no such node, or it has failed.
pub fn door(lab: &LabDirectory, node: &str) -> Result<Door, Failure> {
    let mut client = Client::connect(lab)?;
    let (reply, fds) = client.ask(&Request::Enter {
        node: node.to_owned(),
    })?;
    let Reply::Enter {
        env,
        rights,
        users,
        user,
        workdir,
        image,
    } = reply
    else {
        return Err(Failure::host("an unexpected answer from the lab"));
    };
    let mut fds = fds.into_iter();
    let pidfd = fds
        .next()
        .ok_or_else(|| Failure::host("the lab sent no descriptor"))?;
    let users = if users { fds.next() } else { None };
    Ok(Door {
        node: node.to_owned(),
        pidfd,
        owner: owner(client.supervisor())?,
        users,
        cgroup: fds.next(),
        legacy_cgroups: cgroup::legacy_doors(&lab.cgroup(), node),
        env,
        rights,
        user,
        workdir,
        image,
    })
}

/// The user namespace of a supervisor, for users who are not root.
fn owner(supervisor: i32) -> Result<Option<OwnedFd>, Failure> {
    if !rootless::is_rootless() {
        return Ok(None);
    }
    let path = format!("/proc/{supervisor}/ns/user");
    let file = File::open(&path).attempt(|| format!("open {path}"))?;
    Ok(Some(file.into()))
}

/// Runs a command in a node and waits for it. A node whose init has just been killed is being started again:
/// the command then waits for the next one.
///
/// # Errors
/// There is no such node, it has failed, or nslab itself could not do its part.
pub fn run(lab: &LabDirectory, node: &str, visit: &Visit) -> Result<i32, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match door(lab, node)?.visit(visit) {
            Err(Turned::Gone) if Instant::now() < deadline => std::thread::sleep(BETWEEN_TRIES),
            Err(Turned::Gone) => {
                return Err(Failure::not_ready(format!("{node} is killed again and again"))
                    .help(format!("`nslab logs {node}` and `nslab events` may tell why")));
            }
            Err(Turned::Away(failure)) => return Err(failure),
            Ok(status) => return Ok(status),
        }
    }
}

/// Why a node was not entered.
pub enum Turned {
    /// Its init has just ended.
    Gone,
    /// For good.
    Away(Failure),
}

impl From<Turned> for Failure {
    fn from(turned: Turned) -> Self {
        match turned {
            Turned::Gone => Failure::not_ready("the node has just ended").help("try again"),
            Turned::Away(failure) => failure,
        }
    }
}

impl From<crate::kernel::Error> for Turned {
    fn from(error: crate::kernel::Error) -> Self {
        Turned::Away(error.into())
    }
}

impl Door {
    /// Runs `work` in a copy of this process inside the node, with the node's rights and no other descriptors than the standard
    /// ones and these.
    ///
    /// # Errors
    /// The node cannot be entered.
    pub fn inside(&self, keep: &[RawFd], work: impl FnOnce() -> i32) -> Result<process::Child, Turned> {
        let what = self.what();
        let entrance = self.entrance(&what, keep);
        entrance
            .start(|| self.limited(work))
            .map_err(|error| turned(&error))
    }

    /// The node's root, as its first process has it.
    ///
    /// # Errors
    /// That has ended.
    pub fn root(&self) -> std::io::Result<Root> {
        Root::of(&self.pidfd)
    }

    fn what(&self) -> String {
        format!("enter {}", self.node)
    }

    fn entrance<'a>(&'a self, what: &'a str, keep: &'a [RawFd]) -> Entrance<'a> {
        Entrance {
            what,
            target: self.pidfd.as_fd(),
            cgroup: self.cgroup.as_ref().map(AsFd::as_fd),
            cgroup_doors: &self.legacy_cgroups,
            owner: self.owner.as_ref().map(AsFd::as_fd),
            users: self.users.as_ref().map(AsFd::as_fd),
            keep,
        }
    }

    /// Does `work` with the rights of the node's processes.
    fn limited(&self, work: impl FnOnce() -> i32) -> i32 {
        match self.limit() {
            Ok(()) => work(),
            Err(error) => {
                eprintln!("nslab: {error}");
                FAILED
            }
        }
    }

    fn limit(&self) -> crate::kernel::Result<()> {
        let capabilities = (!self.rights.privileged).then(|| Capabilities::named(&self.rights.capabilities));
        // First: it takes a capability that is given up after it.
        Filter::new(capabilities.as_ref())?.attach()?;
        capabilities.map_or(Ok(()), |capabilities| {
            capabilities.bound()?;
            capabilities.keep()
        })
    }

    /// Runs a command in the node and waits for it. Returns its status as a shell would.
    ///
    /// # Errors
    /// nslab itself could not do its part; the command's own failures are statuses.
    fn visit(&self, visit: &Visit) -> Result<i32, Turned> {
        let mask: SigSet = WATCHED.into_iter().collect();
        mask.thread_block().attempt(|| "block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).attempt(|| "watch for signals")?;
        let streams = Streams::here(visit);
        match streams.has_line() {
            true => session::run(self, visit, streams, &signals),
            false => direct::run(self, visit, streams, &signals),
        }
    }
}

fn turned(error: &crate::kernel::Error) -> Turned {
    let help = match error.errno {
        Errno::ESRCH => return Turned::Gone,
        Errno::EINVAL => "nslab cannot be used from inside a container or node beside the lab's",
        Errno::ENOSPC => {
            "the node's terminals are all open, or the host's (`kernel.pty.max`): `nslab exec -T` needs none"
        }
        Errno::EPERM => "a process in a user namespace of its own may not enter the lab's namespaces",
        _ => "`nslab ps` shows the node's state",
    };
    Turned::Away(Failure::host(error.to_string()).help(help))
}

/// The terminal's kind, which commands are told.
fn kind_of_terminal() -> Option<String> {
    std::env::var("TERM").ok()
}
