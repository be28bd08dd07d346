//! Running a command in a node, on the caller's own terminal.
//!
//! The client asks the supervisor for the node's init and forks into its namespaces: the command is the client's
//! own child, in the client's session and process group, and the client itself stays outside. Signals from the
//! terminal reach the command directly; what is sent to the client alone is passed on.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::client::Client;
use super::directory::LabDirectory;
use super::protocol::{Reply, Request};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::terminal::Modes;
use crate::kernel::{cgroup, process, users};

/// How long a command waits for a node that was just killed.
const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// Exit status when nslab itself fails to run a command.
pub const FAILED: i32 = 125;
const CANNOT_EXECUTE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// `si_code` of a signal that a process sent (sigaction(2)); the terminal's have SI_KERNEL.
const SI_USER: i32 = 0;

/// Signals the client watches: the first few are passed on when sent to it alone.
const WATCHED: [Signal; 10] = [
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
];

/// A way into a node.
pub struct Door {
    /// The node's name.
    pub node: String,
    pidfd: OwnedFd,
    cgroup: Option<OwnedFd>,
    legacy_cgroups: Vec<File>,
    env: BTreeMap<String, String>,
}

/// A command for a node.
pub struct Visit {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment on top of the node's.
    pub env: Vec<(String, String)>,
    /// The user, root where none is given.
    pub user: Option<String>,
    /// The directory, `/` where none is given.
    pub workdir: Option<String>,
}

/// Asks the lab for a way into a node. Its init is started if it has none.
///
/// # Errors
/// There is no such node, or it has failed.
pub fn door(lab: &LabDirectory, node: &str) -> Result<Door, Failure> {
    let (reply, fds) = Client::connect(lab)?.ask(&Request::Enter {
        node: node.to_owned(),
    })?;
    let Reply::Enter { env } = reply else {
        return Err(Failure::host("an unexpected answer from the lab"));
    };
    let mut fds = fds.into_iter();
    let pidfd = fds
        .next()
        .ok_or_else(|| Failure::host("the lab sent no descriptor"))?;
    Ok(Door {
        node: node.to_owned(),
        pidfd,
        cgroup: fds.next(),
        legacy_cgroups: cgroup::legacy_doors(&lab.cgroup(), node),
        env,
    })
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
    /// Runs `work` in a copy of this process inside the node.
    ///
    /// # Errors
    /// The node cannot be entered.
    pub fn inside(&self, work: impl FnOnce() -> i32) -> Result<process::Child, Turned> {
        let what = format!("enter {}", self.node);
        let cgroup = self.cgroup.as_ref().map(AsFd::as_fd);
        process::fork_into(&what, self.pidfd.as_fd(), cgroup, work).map_err(|error| {
            let help = match error.errno {
                Errno::ESRCH => return Turned::Gone,
                Errno::EINVAL => "nslab cannot be used from inside a container or node beside the lab's",
                Errno::EPERM => "a process in a user namespace of its own may not enter the lab's namespaces",
                _ => "`nslab ps` shows the node's state",
            };
            Turned::Away(Failure::host(error.to_string()).help(help))
        })
    }

    /// Runs a command in the node and waits for it. Returns its status as a shell would.
    ///
    /// # Errors
    /// nslab itself could not do its part; the command's own failures are statuses.
    fn visit(&self, visit: &Visit) -> Result<i32, Turned> {
        let modes = Modes::remember();
        let mask: SigSet = WATCHED.into_iter().collect();
        mask.thread_block().attempt(|| "block signals")?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC).attempt(|| "watch for signals")?;
        let command = self.inside(|| self.become_command(visit))?;
        accompany(Pid::from_raw(command.pid), &signals, &modes).map_err(Turned::Away)
    }

    /// The command's side: becomes the program, or says why not.
    fn become_command(&self, visit: &Visit) -> i32 {
        for mut door in &self.legacy_cgroups {
            // The node may just be going; then so is this.
            let _ = door.write_all(b"0");
        }
        // The node's init, as seen from within.
        process::limit_open_files_as(1);
        match self.prepare(visit) {
            Ok((program, arguments, environment)) => {
                execute(&visit.argv[0], &program, &arguments, &environment)
            }
            Err((status, message)) => {
                eprintln!("nslab: {message}");
                status
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn prepare(&self, visit: &Visit) -> Result<(Vec<CString>, Vec<CString>, Vec<CString>), (i32, String)> {
        let mut env = self.env.clone();
        if let Ok(terminal) = std::env::var("TERM") {
            env.insert("TERM".to_owned(), terminal);
        }
        let directory = visit.workdir.as_deref().unwrap_or("/");
        nix::unistd::chdir(directory).map_err(|errno| {
            (
                CANNOT_EXECUTE,
                format!("{}: cannot enter {directory}: {}", self.node, errno.desc()),
            )
        })?;
        if let Some(name) = &visit.user {
            let user = users::user(Path::new("/"), name)
                .ok_or_else(|| (CANNOT_EXECUTE, format!("{} has no user {name:?}", self.node)))?;
            become_user(&user)
                .map_err(|errno| (CANNOT_EXECUTE, format!("cannot become {name}: {}", errno.desc())))?;
            env.insert("HOME".to_owned(), user.home);
            if let Some(name) = user.name {
                env.insert("USER".to_owned(), name.clone());
                env.insert("LOGNAME".to_owned(), name);
            }
        }
        env.extend(visit.env.iter().cloned());
        // After the user changed, which would take it back: the command does not outlive its client.
        process::die_with_parent(libc::SIGKILL);
        // What the caller happened to have open is the host's and none of the node's business.
        process::keep_standard_descriptors();
        let programs = candidates(&visit.argv[0], env.get("PATH").map_or("", String::as_str));
        let text = |words: Vec<String>| -> Result<Vec<CString>, (i32, String)> {
            let strings = words.into_iter().map(CString::new).collect::<Result<_, _>>();
            strings.map_err(|_| {
                (
                    CANNOT_EXECUTE,
                    "a word of the command has a zero byte in it".to_owned(),
                )
            })
        };
        let environment = env
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Ok((text(programs)?, text(visit.argv.clone())?, text(environment)?))
    }
}

fn become_user(user: &users::User) -> nix::Result<()> {
    use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
    let groups: Vec<Gid> = user
        .groups
        .iter()
        .copied()
        .chain([user.gid])
        .map(Gid::from_raw)
        .collect();
    setgroups(&groups)?;
    setgid(Gid::from_raw(user.gid))?;
    setuid(Uid::from_raw(user.uid))
}

/// Where a program may be: as given when it has a slash, else along PATH.
fn candidates(program: &str, path: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    path.split(':')
        .filter(|part| !part.is_empty())
        .map(|part| format!("{part}/{program}"))
        .collect()
}

fn execute(name: &str, programs: &[CString], arguments: &[CString], environment: &[CString]) -> i32 {
    process::forget_signals();
    let mut worst = Errno::ENOENT;
    for program in programs {
        match process::execute(program, arguments, environment) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            // A script without a first line is the shell's, as execvp(3) has it.
            Errno::ENOEXEC => return execute_script(program, arguments, environment),
            errno => worst = errno,
        }
    }
    if worst == Errno::ENOENT {
        eprintln!("nslab: {name}: command not found");
        return NOT_FOUND;
    }
    eprintln!("nslab: {name}: {}", worst.desc());
    CANNOT_EXECUTE
}

fn execute_script(program: &CStr, arguments: &[CString], environment: &[CString]) -> i32 {
    let words: Vec<CString> = [c"sh".to_owned(), program.to_owned()]
        .into_iter()
        .chain(arguments.iter().skip(1).cloned())
        .collect();
    process::execute(c"/bin/sh", &words, environment);
    CANNOT_EXECUTE
}

/// Waits for the command as a shell would: stops with it, passes signals on, puts the terminal back.
fn accompany(command: Pid, signals: &SignalFd, modes: &Modes) -> Result<i32, Failure> {
    loop {
        loop {
            match waitpid(command, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::StillAlive) => break,
                Ok(WaitStatus::Stopped(..)) => {
                    // The shell that started us sees a stopped job; its `fg` continues both of us.
                    raise(Signal::SIGSTOP).attempt(|| "stop")?;
                }
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    modes.restore();
                    return Ok(128 + signal as i32);
                }
                Ok(WaitStatus::Exited(_, status)) => return Ok(status),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(crate::kernel::Error::new("wait for the command", errno).into()),
            }
        }
        let signal = match signals.read_signal() {
            Ok(Some(signal)) => signal,
            Ok(None) | Err(Errno::EINTR) => continue,
            Err(errno) => return Err(crate::kernel::Error::new("wait for signals", errno).into()),
        };
        // The terminal has sent its signals to the command itself.
        let from_somebody = signal.ssi_code <= SI_USER;
        let number = signal.ssi_signo.cast_signed();
        if from_somebody
            && number != libc::SIGCHLD
            && let Ok(signal) = Signal::try_from(number)
        {
            // It may just have ended.
            let _ = kill(command, signal);
        }
    }
}
