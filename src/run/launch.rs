//! Starts a lab's supervisor, and stands by it: from the terminal for the lab's whole life, or (detached)
//! until it is ready, leaving a watcher that only sweeps when the supervisor dies.

use std::ffi::CString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::directory::{LabDirectory, NewLab, RunDirectory, State};
use super::events::{Event, What};
use super::host_state::{self, HostRequest};
use super::init::memory_file;
use super::protocol::{self, Reply};
use super::supervisor::{self, Setup};
use super::{links, mounts, nat, neighbors, outside, trust};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::kernel::message::{Assembler, Received};
use crate::kernel::process::{self, Child};
use crate::kernel::rootless;
use crate::kernel::signals;
use crate::kernel::spawn::{self, Spawn, early};
use crate::kernel::user_namespace::Pair;
use crate::lab::Lab;
use crate::lab::plan::{NodeStep, Plan};
use crate::trace;

/// No more of a supervisor's own words are read.
const LAST_WORDS: u64 = 1 << 20;

/// What a supervisor is called in lists of processes. All versions call it so: it is known by it.
pub const SUPERVISOR: &str = "nslab: supervisor";

/// A lab to be started.
pub struct Launch {
    /// What to make.
    pub plan: Plan,
    /// Where it says that it lives.
    pub run_directory: RunDirectory,
    /// The lab file.
    pub file: PathBuf,
    /// The lab as it is meant, for whoever wants to see it later.
    pub lab: Lab,
    /// Whether it lives on without this process.
    pub detached: bool,
    /// How long it may take to be ready.
    pub timeout: Duration,
    /// Whether the manifests of the lab file are left to `nslab apply`.
    pub hold_manifests: bool,
    /// Octets that the lab's timeline may have; 0 for none.
    pub timeline: u64,
    /// What the supervisor says of its work.
    pub telling: trace::Wanted,
}

/// A launched lab, seen from outside.
pub struct Launched {
    run_directory: RunDirectory,
    lab: String,
    child: Child,
    events: UnixStream,
    assembler: Assembler,
    signals: UnixStream,
    stops: u32,
    failure: Option<Failure>,
}

/// What happened last.
pub enum LaunchEvent {
    /// An event of the lab.
    Event(Event),
    /// The user wants the lab to end, and said so for the first time.
    Asked,
    /// The lab is over; whether it was asked to end.
    Over(Result<(), Failure>),
}

/// Starts the supervisor. The calling process must have a single thread.
///
/// # Errors
/// The lab is running already, the run directory cannot be written, or the kernel refuses the namespaces.
pub fn launch(launch: Launch) -> Result<Launched, Failure> {
    let run_directory = launch.run_directory.clone();
    let signals = signals::watch()?;
    let new_lab = run_directory.create_lab(&launch.plan.lab)?;
    match start(launch, &new_lab) {
        Ok((lab, child, events)) => Ok(Launched {
            run_directory,
            lab,
            child,
            events,
            assembler: Assembler::default(),
            signals,
            stops: 0,
            failure: None,
        }),
        Err(failure) => {
            // Let go of the lock first, or the sweep would take the lab for a living one; and of what else is
            // open, as being short of descriptors may be what failed.
            drop((new_lab, signals));
            let _ = run_directory.sweep();
            Err(failure)
        }
    }
}

/// Writes a new file for its owner alone: what a lab file says may hold passwords.
fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

fn start(mut launch: Launch, new_lab: &NewLab) -> Result<(String, Child, UnixStream), Failure> {
    let directory = &new_lab.directory;
    for path in [
        directory.logs(),
        directory.path.join("root"),
        directory.path.join("base"),
        mounts::kept(&directory.path),
    ] {
        fs::create_dir(&path).attempt(|| format!("make {}", path.display()))?;
    }
    let controls = |step: &NodeStep| step.cluster.as_ref().is_some_and(|it| it.controls);
    if launch.plan.nodes.iter().any(controls) {
        let path = directory.etcd();
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.attempt(|| format!("make {}", path.display()))?;
    }
    let log_path = directory.supervisor_log();
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&log_path);
    let log = log.attempt(|| format!("write {}", log_path.display()))?;
    reserve(&mut launch.plan, directory)?;
    let state = state(&launch);
    let topology = serde_json::to_vec(&launch.lab).map_err(|error| Failure::host(error.to_string()))?;
    let topology_path = directory.topology();
    write_secret(&topology_path, &topology).attempt(|| format!("write {}", topology_path.display()))?;
    let checks = serde_json::to_vec(&launch.plan.checks).map_err(|error| Failure::host(error.to_string()))?;
    let checks_path = directory.checks();
    write_secret(&checks_path, &checks).attempt(|| format!("write {}", checks_path.display()))?;
    let carrier = outside::wanted(&launch.plan).map(|(carrier, nat)| (carrier, nat.clone()));
    let setup = Setup {
        plan: launch.plan,
        directory: directory.path.clone(),
        detached: launch.detached,
        timeout: launch.timeout.as_secs_f64(),
        hold_manifests: launch.hold_manifests,
        timeline: launch.timeline,
        telling: launch.telling,
        impair: links::forced()?,
    };
    // Written once before the supervisor lives, so that a full disk is found out in time.
    directory.write_state(&state)?;
    let setup = memory_file(&setup)?;
    let (ours, theirs) = UnixStream::pair().attempt(|| "make a socket pair")?;
    let pair = match rootless::is_rootless() {
        true => Some(rootless::begin().map_err(|error| super::rootless::explain(error.into()))?),
        false => None,
    };
    let carrier = pair.as_ref().and(carrier);
    if let Some((carrier, _)) = &carrier {
        carrier.prepare(&directory.path)?;
    }
    let child = spawn(
        &new_lab.lock.as_fd(),
        &theirs.as_fd(),
        &setup.as_fd(),
        &log.as_fd(),
        pair.as_ref(),
    )?;
    if let (Some(pair), Some((carrier, nat))) = (&pair, carrier) {
        carrier.start(&nat, pair, &child, &directory.path, &log.into());
    }
    let written = directory.write_state(&State {
        supervisor: child.pid,
        ..state.clone()
    });
    if let Err(failure) = written {
        // What is swept next is not to live.
        let _ = process::signal(&child.pidfd, libc::SIGKILL);
        exit_status(&child.pidfd);
        return Err(failure);
    }
    Ok((state.lab, child, ours))
}

/// Makes the host ready for what the lab needs of it beyond its own namespaces.
fn reserve(plan: &mut Plan, directory: &LabDirectory) -> Result<(), Failure> {
    if rootless::is_rootless() {
        return Ok(());
    }
    let mut request = HostRequest {
        neighbors: neighbors::needed(plan),
        ..HostRequest::default()
    };
    let mut nat = None;
    if let Some(host) = &mut plan.host
        && let Some(step) = &mut host.nat
    {
        request.interface = Some(host.interface.clone());
        request.on = nat::needs(step)?;
        nat = Some(step);
    }
    if nat.is_none() && request.neighbors == 0 {
        return Ok(());
    }
    let changed = host_state::reserve(directory, request)?;
    if let Some(step) = nat {
        nat::note_opened(step, &changed);
    }
    Ok(())
}

fn state(launch: &Launch) -> State {
    State {
        lab: launch.plan.lab.clone(),
        file: launch.file.clone(),
        started: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs()),
        supervisor: 0,
        detached: launch.detached,
        named: Vec::new(),
        nodes: launch.plan.nodes.iter().map(|node| node.name.clone()).collect(),
        protocol: protocol::VERSION,
    }
}

fn spawn(
    lock: &impl AsFd,
    launcher: &impl AsFd,
    setup: &impl AsFd,
    log: &impl AsFd,
    pair: Option<&Pair>,
) -> Result<Child, Failure> {
    let keep = [lock.as_fd(), launcher.as_fd(), setup.as_fd()];
    let words = [SUPERVISOR.to_owned(), supervisor::VERB.to_owned()];
    let arguments: Vec<CString> = words
        .into_iter()
        .chain(spawn::slots(keep.len()))
        .filter_map(|word| CString::new(word).ok())
        .collect();
    let null = process::null()?;
    let log = log.as_fd().as_raw_fd();
    let what = "create the lab's PID and mount namespaces";
    let spawn = |more: CloneFlags| {
        let wanted = Spawn {
            flags: CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | more,
            program: c"/proc/self/exe",
            arguments: &arguments,
            environment: &[],
            keep: &keep,
            stdio: Some([null.as_raw_fd(), log, log]),
            parent_death: Some(libc::SIGKILL),
            session: true,
        };
        spawn::spawn(what, &wanted)
    };
    let Some(pair) = pair else {
        return Ok(spawn(CloneFlags::empty())?);
    };
    let started = rootless::start(what, pair, || spawn(CloneFlags::CLONE_PARENT));
    started.map_err(|error| super::rootless::explain(error.into()))
}

impl Launched {
    /// Waits for what happens next. A first signal to this process asks the lab to end, a second kills it.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub fn next_event(&mut self) -> Result<LaunchEvent, Failure> {
        loop {
            if let Some(frame) = self.assembler.frame()? {
                if let Ok(Reply::Event(event)) = serde_json::from_slice(&frame.bytes) {
                    if let What::Failed { failure } = &event.what {
                        self.failure = Some(failure.clone());
                    }
                    return Ok(LaunchEvent::Event(event));
                }
                continue;
            }
            let [events, signals, end] = self.wait()?;
            if events && self.assembler.read(&self.events)? == Received::Some {
                continue;
            }
            if signals {
                self.obey_signals()?;
                if self.stops == 1 {
                    return Ok(LaunchEvent::Asked);
                }
            } else if end {
                return Ok(LaunchEvent::Over(self.reap()));
            }
        }
    }

    /// Which of events, signals and the supervisor's end are there.
    fn wait(&self) -> Result<[bool; 3], Failure> {
        let mut fds = [
            PollFd::new(self.events.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.child.pidfd.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(crate::kernel::Error::new("wait for the lab", errno).into()),
        }
        let end = fds[2].any().unwrap_or(true);
        // At the end of the stream its descriptor stays readable; then only the supervisor's end counts.
        let data = fds[0]
            .revents()
            .is_some_and(|events| events.contains(PollFlags::POLLIN));
        Ok([data, fds[1].any().unwrap_or(false), end])
    }

    fn obey_signals(&mut self) -> Result<(), Failure> {
        let mut bytes = [0u8; 64];
        while let Ok(1..) = (&self.signals).read(&mut bytes) {}
        self.stops += 1;
        let signal = if self.stops == 1 {
            libc::SIGTERM
        } else {
            libc::SIGKILL
        };
        Ok(process::signal(&self.child.pidfd, signal)?)
    }

    /// Reaps the supervisor and sweeps after it.
    fn reap(&mut self) -> Result<(), Failure> {
        let status = exit_status(&self.child.pidfd);
        let lab = self.run_directory.lab(&self.lab);
        let said = trust::read_end(&lab.supervisor_log(), LAST_WORDS).unwrap_or_default();
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        let swept = sweep_after(&self.run_directory, &self.lab, self.child.pid);
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        swept?;
        match status {
            Some(0) => Ok(()),
            Some(early::DESCRIPTOR) => {
                Err(crate::kernel::Error::new("pass descriptors on to the supervisor", Errno::EMFILE).into())
            }
            _ if self.stops > 1 => Ok(()),
            _ => Err(died(&self.lab, said.trim())),
        }
    }

    /// Leaves the lab alone, with a watcher that sweeps the moment the supervisor dies.
    ///
    /// # Errors
    /// The watcher cannot be forked; the lab lives all the same, and the next command sweeps.
    pub fn detach(self) -> Result<(), Failure> {
        let Launched {
            run_directory,
            child,
            lab,
            ..
        } = self;
        let (mut let_go, holding) = std::io::pipe().attempt(|| "make a pipe")?;
        process::fork("start the lab's watcher", move || {
            let _ = nix::unistd::setsid();
            let _ = nix::unistd::chdir("/");
            if let Ok(null) = process::null() {
                let _ = process::replace_stdio(&null, &null);
            }
            // The other end of the pipe is closed with all that our caller had left open.
            process::keep_only(&child.pidfd);
            wait_for_end(&child.pidfd);
            let _ = sweep_after(&run_directory, &lab, child.pid);
            0
        })?;
        drop(holding);
        let _ = let_go.read(&mut [0]);
        Ok(())
    }

    /// The directory labs say in that they live.
    pub fn run_directory(&self) -> &RunDirectory {
        &self.run_directory
    }
}

/// Sweeps after a supervisor that has ended, also where the lab's directory was deleted under it and no sweep would find it.
fn sweep_after(run_directory: &RunDirectory, lab: &str, supervisor: i32) -> Result<(), Failure> {
    let swept = run_directory.sweep();
    run_directory.forget(lab, supervisor)?;
    swept?.failures.into_iter().next().map_or(Ok(()), Err)
}

/// Why a supervisor ended that sent no failure: its last words, if it found some, were the failure itself.
fn died(lab: &str, said: &str) -> Failure {
    if let Some(failure) = said
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
    {
        return failure;
    }
    let failure = Failure::not_ready(format!(
        "the supervisor of lab {lab} was killed; nothing of the lab is left"
    ));
    if said.is_empty() {
        failure
    } else {
        failure.detail(said.to_owned())
    }
}

/// Exit status of an ended child; none when it was killed.
fn exit_status(pidfd: &OwnedFd) -> Option<i32> {
    match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED) {
        Ok(nix::sys::wait::WaitStatus::Exited(_, status)) => Some(status),
        _ => None,
    }
}

/// Waits until a process (not necessarily a child) has ended.
pub fn wait_for_end(pidfd: &OwnedFd) {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    while matches!(poll(&mut fds, PollTimeout::NONE), Err(Errno::EINTR)) {}
}
