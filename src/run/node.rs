//! A node's own init: PID 1 of its namespaces. Builds the node's root, then starts, reaps and reports in a
//! small poll loop. When it ends, the kernel ends everything in the node.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::enter::relay::Channel;
use super::first::First;
use super::protocol::{Common, Order, Report, Setup};
use super::root;
use super::starter::{Program, Starter};
use crate::failure::Failure;
use crate::kernel::capability::Capabilities;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::message::{self, Assembler, Received};
use crate::kernel::overlay::Confinement;
use crate::kernel::seccomp::Filter;
use crate::kernel::{cgroup, mount, output, process, spawn, terminal};
use crate::lab::model::Restart;
use crate::lab::names;
use crate::lab::rights::USUAL;

/// A longer reason for which a program was not started is cut, in bytes.
const LONGEST_REASON: usize = 4096;

/// The hidden verb by which lists of processes show a node's init.
pub const VERB: &str = "node-init";

/// What all inits of a lab find ready.
pub struct Ready {
    /// What they have to know.
    common: Common,
    /// How those that are not privileged are kept from what is the host's.
    confinement: Confinement,
    /// What programs in most nodes may do.
    usual: Capabilities,
    /// The filter for nodes with these.
    filter: Filter,
}

impl Ready {
    /// Makes it, with the base of all roots in this process's mount namespace.
    ///
    /// # Errors
    /// The kernel refuses a mount, memory is short, or the machine's architecture has no filters.
    pub fn make(common: Common, program: Option<&OwnedFd>) -> Result<Ready, Failure> {
        let confinement = root::make_base(&common, program)?;
        mount::put_below(&common.scratch)?;
        let usual = Capabilities::named(&USUAL.map(str::to_owned));
        let filter = Filter::new(Some(&usual))?;
        Ok(Ready {
            common,
            confinement,
            usual,
            filter,
        })
    }

    /// Makes sure that nodes can be given nslab's program, see [`root::keep_program`].
    ///
    /// # Errors
    /// The kernel refuses, or memory is short.
    pub fn keep_program(&self) -> Result<(), Failure> {
        root::keep_program(&self.common)
    }

    /// The filter for nodes with these capabilities, see [`Filter::new`].
    pub(super) fn filter(&self, capabilities: Option<&Capabilities>) -> Result<Filter, Failure> {
        match capabilities {
            Some(capabilities) if *capabilities == self.usual => Ok(self.filter.clone()),
            other => Ok(Filter::new(other)?),
        }
    }
}

/// What a node's init is given.
pub struct Given {
    /// The way to the supervisor.
    pub control: UnixStream,
    /// A file with the [`Setup`].
    pub setup: OwnedFd,
    /// The namespace of its users, where it is not the host's.
    pub users: Option<OwnedFd>,
    /// Its network namespace, where it is not the host's.
    pub network: Option<OwnedFd>,
    /// Whether it was born in a cgroup of its own (version 2).
    pub in_cgroup: bool,
}

/// Runs a node's init in a process that was just made for it.
pub fn main(ready: &Ready, given: Given) -> i32 {
    match prepare(ready, given) {
        Ok(mut init) => init.serve(),
        // Nobody to tell: the supervisor sees the status, and its log has the sentence.
        Err(failure) => {
            eprintln!("{failure}");
            1
        }
    }
}

struct Init {
    control: UnixStream,
    children: SignalFd,
    assembler: Assembler,
    programs: HashMap<Pid, u64>,
    starter: Starter,
    /// The image's first process, where that is its own.
    first: Option<First>,
    /// The terminal of that process.
    screen: Option<Screen>,
    /// What asks that process, or all of them, to end; SIGTERM where the image says nothing.
    stop_signal: Option<i32>,
    /// What becomes of the node when that process ends.
    restart: Restart,
    /// Set when the node is to end, with this status.
    over: Option<i32>,
    waiting_for_quiet: bool,
}

/// A terminal at which nobody sits: what is written there is output like any other. Its line is kept open, so that a program may let
/// go of it for a while.
struct Screen {
    channel: Channel,
    line: OwnedFd,
}

impl Screen {
    /// Opens one in the node, on file systems of which a program has no say.
    fn open(starter: &Starter, program: &Program<'_>, output: OwnedFd) -> Result<Screen, (i32, String)> {
        let refused = |error: Error| (126, error.to_string());
        let (screen, line) = terminal::open_here().map_err(refused)?;
        for end in [&screen, &output] {
            output::never_wait(end).map_err(refused)?;
        }
        starter.give(&line, program);
        let channel = Channel::new(screen, output, false);
        Ok(Screen { channel, line })
    }
}

fn prepare(ready: &Ready, given: Given) -> Result<Init, Failure> {
    let Given {
        control,
        setup,
        users,
        network,
        in_cgroup,
    } = given;
    let setup: Setup = read_setup(setup)?;
    // SIGCHLD is read as a descriptor; started programs get an empty mask.
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().attempt(|| "block SIGCHLD")?;
    let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .attempt(|| "watch for ended processes")?;
    let stands = spawn::settle(network, in_cgroup)
        .map_err(Failure::from)
        .and_then(|()| stand_up(ready, &setup, users.as_ref()));
    let Stands {
        syslog,
        legacy_cgroups,
        first,
    } = match stands {
        Ok(stands) => stands,
        Err(failure) => {
            tell(&control, &Report::Failed(failure), &[])?;
            return Err(Failure::host("the node's root could not be made"));
        }
    };
    let starter = Starter::make(ready, &setup, users, legacy_cgroups)?;
    // Without privileges, and with few open files, no descriptor may be sent while others of many nodes are on their way
    // (ETOOMANYREFS, unix(7)).
    let mut fds = vec![syslog];
    if let Some(first) = &first {
        fds.push(
            first
                .child
                .pidfd
                .try_clone()
                .attempt(|| "pass on the first process")?,
        );
    }
    tell(&control, &Report::Up, &fds)?;
    starter.restrict(&setup)?;
    // The supervisor's log is a file of the host's, and there is nothing more to be said to it.
    let null = process::null()?;
    process::replace_stdio(&null, &null)?;
    let (assembler, programs) = (Assembler::default(), HashMap::new());
    Ok(Init {
        control,
        children,
        assembler,
        programs,
        starter,
        first,
        screen: None,
        stop_signal: setup.stop_signal,
        restart: setup.restart,
        over: None,
        waiting_for_quiet: false,
    })
}

fn read_setup(file: OwnedFd) -> Result<Setup, Failure> {
    let text = io::read_to_string(fs::File::from(file)).attempt(|| "read the node's setup")?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::host(format!("the node's setup is damaged: {error}")))
}

/// What stands before anything runs in a node.
struct Stands {
    /// Its /dev/log.
    syslog: OwnedFd,
    /// The ways into the cgroups of its programs.
    legacy_cgroups: Vec<fs::File>,
    /// The image's first process, where that is its own.
    first: Option<First>,
}

/// The hostname, the root, and /dev/log, on which every program of the node can log.
fn stand_up(ready: &Ready, setup: &Setup, users: Option<&OwnedFd>) -> Result<Stands, Failure> {
    let (common, place) = (&ready.common, names::place(&setup.node));
    // They are not to be seen from within the node's root.
    if setup.makes_cgroups {
        cgroup::enter_all(&cgroup::Trees::find(), &common.cgroup, &place)?;
    }
    let legacy_cgroups = cgroup::legacy_doors(&common.cgroup, &place);
    nix::unistd::sethostname(&setup.hostname).attempt(|| "set the node's hostname")?;
    let build = || root::build(common, &ready.confinement, setup, users);
    let first = match setup.own_first {
        true => Some(First::start(|| {
            if setup.rules_cgroups {
                let owner = setup.rights.first_id;
                cgroup::enter_own(&cgroup::Trees::find(), &common.cgroup, &place, owner)?;
            }
            build()?;
            let users = users.map(|it| it.try_clone().attempt(|| "pass on a namespace"));
            let doors = legacy_cgroups
                .iter()
                .map(fs::File::try_clone)
                .collect::<Result<_, _>>();
            let doors = doors.attempt(|| "pass on the ways into cgroups")?;
            let starter = Starter::make(ready, setup, users.transpose()?, doors)?;
            starter.restrict(setup)?;
            Ok(starter)
        })?),
        false => {
            build()?;
            None
        }
    };
    let syslog = UnixDatagram::bind("/dev/log").attempt(|| "make the node's /dev/log")?;
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions("/dev/log", everyone).attempt(|| "open the node's /dev/log to all")?;
    Ok(Stands {
        syslog: syslog.into(),
        legacy_cgroups,
        first,
    })
}

fn tell(control: &UnixStream, report: &Report, fds: &[OwnedFd]) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(report).map_err(|error| Failure::host(error.to_string()))?;
    Ok(message::send(control, &bytes, fds)?)
}

impl Init {
    /// Until the supervisor is gone; then the kernel takes the node down with this process.
    fn serve(&mut self) -> i32 {
        loop {
            let mut fds = vec![
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
            ];
            fds.extend(self.screen.as_ref().map(|screen| screen.channel.poll()));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return 1,
            }
            let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
            let (orders, ended) = (ready(&fds[0]), ready(&fds[1]));
            let is_shown = fds.get(2).is_some_and(ready);
            if let Some(screen) = self.screen.as_mut().filter(|_| is_shown) {
                screen.channel.carry();
            }
            // Nobody reads any more.
            self.screen.take_if(|screen| screen.channel.is_over());
            if ended && self.reap().is_err() {
                return 1;
            }
            if let Some(status) = self.over {
                return status;
            }
            if orders && !matches!(self.obey(), Ok(true)) {
                return 0;
            }
        }
    }

    /// Returns false when the supervisor is gone.
    fn obey(&mut self) -> Result<bool, Failure> {
        if self.assembler.read(&self.control)? == Received::End {
            return Ok(false);
        }
        while let Some(frame) = self.assembler.frame()? {
            let order = serde_json::from_slice(&frame.bytes)
                .map_err(|error| Failure::host(format!("a damaged order: {error}")))?;
            match order {
                Order::Start {
                    id,
                    argv,
                    env,
                    user,
                    workdir,
                    engine,
                    main,
                    terminal,
                } => {
                    let mut fds = frame.fds.into_iter();
                    let (Some(output), Some(errors)) = (fds.next(), fds.next()) else {
                        continue;
                    };
                    let program = Program {
                        argv: argv.into(),
                        env: Cow::Owned(env),
                        user: user.map(Cow::Owned),
                        workdir: workdir.map(Cow::Owned),
                        engine,
                        main,
                        terminal,
                    };
                    match self.start(&program, output, errors) {
                        Ok(pid) => {
                            self.programs.insert(pid, id);
                            self.report(&Report::Started { id })?;
                        }
                        Err((status, mut reason)) => {
                            // A program's name may be as long as a report may be.
                            reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
                            self.report(&Report::NotStarted { id, reason, status })?;
                        }
                    }
                }
                Order::Kill { id } => {
                    let program = self.programs.iter().find(|(_, other)| **other == id);
                    if let Some((pid, _)) = program {
                        // It leads a group of its own, and is not reaped yet.
                        let _ = nix::sys::signal::killpg(*pid, Signal::SIGKILL);
                    }
                }
                Order::SignalAll { signal } => {
                    self.ask_to_end(signal);
                    self.waiting_for_quiet = true;
                    self.reap()?;
                }
            }
        }
        Ok(true)
    }

    /// Nothing can be started any more in a PID namespace whose first process has ended: where that is to be started again, so is the
    /// node.
    fn first_ended(&mut self, status: i32) {
        let is_program = self.first.as_ref().is_some_and(|first| first.is_program);
        let stays = match self.restart {
            Restart::No => is_program,
            Restart::OnFailure => is_program && status == 0,
            Restart::Always => false,
        };
        if !stays {
            self.over = Some(status);
        }
    }

    /// An image's own init ends what it has started itself; else everybody is asked.
    fn ask_to_end(&self, signal: i32) {
        let signal = self.stop_signal.unwrap_or(signal);
        match &self.first {
            // One that has ended need not.
            Some(first) => drop(process::signal(&first.child.pidfd, signal)),
            None => process::signal_everybody(signal),
        }
    }

    fn reap(&mut self) -> Result<(), Failure> {
        while let Ok(Some(_)) = self.children.read_signal() {}
        loop {
            let status = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(_) => {
                    if std::mem::take(&mut self.waiting_for_quiet) {
                        self.report(&Report::Quiet)?;
                    }
                    break;
                }
            };
            if status.pid().is_some_and(|pid| self.is_first(pid)) {
                // Its last words go before the word of its end.
                if let Some(mut screen) = self.screen.take() {
                    screen.channel.drain();
                }
                self.first_ended(process::exit_code(status));
            }
            let program = status.pid().and_then(|pid| self.programs.remove(&pid));
            if let Some(id) = program {
                self.report(&Report::Ended {
                    id,
                    status: process::exit_code(status),
                })?;
            }
        }
        Ok(())
    }

    fn report(&self, report: &Report) -> Result<(), Failure> {
        tell(&self.control, report, &[])
    }
}

impl Init {
    /// Starts a program; on failure, the shell's exit status for it and the reason.
    fn start(
        &mut self,
        program: &Program<'_>,
        output: OwnedFd,
        errors: OwnedFd,
    ) -> Result<Pid, (i32, String)> {
        if let Some(first) = self.first.as_mut().filter(|_| program.main) {
            match program.terminal {
                false => first.become_program(program, &output, &errors)?,
                true => {
                    let screen = Screen::open(&self.starter, program, output)?;
                    first.become_program(program, &screen.line, &screen.line)?;
                    self.screen = Some(screen);
                }
            }
            return Ok(Pid::from_raw(first.child.pid));
        }
        self.starter.spawn(program, output, errors)
    }

    fn is_first(&self, pid: Pid) -> bool {
        self.first
            .as_ref()
            .is_some_and(|first| first.child.pid == pid.as_raw())
    }
}
