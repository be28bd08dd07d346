//! A node's own init: PID 1 of its namespaces. Builds the node's root, then starts, reaps and reports in a
//! small poll loop. When it ends, the kernel ends everything in the node.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::first::First;
use super::protocol::{Common, Order, Report, Setup};
use super::root;
use crate::failure::Failure;
use crate::kernel::capability::Capabilities;
use crate::kernel::error::Attempt;
use crate::kernel::message::{self, Assembler, Received};
use crate::kernel::overlay::Confinement;
use crate::kernel::seccomp::Filter;
use crate::kernel::{cgroup, mount, process, spawn, users};
use crate::lab::model::Restart;
use crate::lab::names;
use crate::lab::rights::{RightsStep, USUAL};
use crate::node_tools;

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
    fn filter(&self, capabilities: Option<&Capabilities>) -> Result<Filter, Failure> {
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
    /// What asks that process, or all of them, to end; SIGTERM where the image says nothing.
    stop_signal: Option<i32>,
    /// What becomes of the node when that process ends.
    restart: Restart,
    /// Set when the node is to end, with this status.
    over: Option<i32>,
    waiting_for_quiet: bool,
}

/// What programs of the node are started with.
pub(super) struct Starter {
    /// Where programs are limited. The init itself is not in there: if it ran out of memory, all of the node would go.
    legacy_cgroups: Vec<fs::File>,
    /// What programs may do; none in a privileged node, where they may do everything.
    limits: Option<Limits>,
    users: Option<Users>,
    /// Whether the root is an image's.
    is_image: bool,
}

/// The user namespace of a node's programs, and the filter that binds each of them.
struct Users {
    users: OwnedFd,
    filter: Filter,
}

/// What a node's programs may do.
struct Limits {
    usual: Capabilities,
    engine: Option<Capabilities>,
}

impl Limits {
    fn of(rights: &RightsStep) -> Option<Limits> {
        (!rights.privileged).then(|| Limits {
            usual: Capabilities::named(&rights.capabilities),
            engine: rights.engine_capabilities.as_deref().map(Capabilities::named),
        })
    }

    /// What the init itself needs from here on: what it starts may have no more. A program that may look into other processes
    /// (SYS_PTRACE) finds nothing there that it lacks.
    fn own(&self) -> Capabilities {
        match &self.engine {
            Some(engine) => self.usual.with(engine),
            None => self.usual.clone(),
        }
    }

    /// Limits a program that is about to be started.
    fn put_on(&self, command: &mut Command, is_engine: bool) {
        match &self.engine {
            // Nothing it executes gains anything: what is one of the engine's files may have been changed in the node.
            Some(engine) if is_engine => process::limit(command, engine.clone(), true),
            _ => process::limit(command, self.usual.clone(), false),
        }
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
            let mut fds = [
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return 1,
            }
            let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
            let (orders, ended) = (ready(&fds[0]), ready(&fds[1]));
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

/// A program to be started.
#[derive(Serialize, Deserialize)]
pub(super) struct Program<'a> {
    /// It and its arguments.
    pub argv: Cow<'a, [String]>,
    /// Its whole environment.
    pub env: Cow<'a, BTreeMap<String, String>>,
    /// As whom, and where.
    pub user: Option<Cow<'a, str>>,
    pub workdir: Option<Cow<'a, str>>,
    /// Whether it has the rights of the node's engine.
    pub engine: bool,
    /// Whether it is what the image is for.
    pub main: bool,
}

impl Init {
    /// Starts a program; on failure, the shell's exit status for it and the reason.
    fn start(
        &mut self,
        program: &Program<'_>,
        output: OwnedFd,
        errors: OwnedFd,
    ) -> Result<Pid, (i32, String)> {
        let Some(name) = program.argv.first() else {
            return Err((127, "there is no command".into()));
        };
        if let Some(first) = self.first.as_mut().filter(|_| program.main) {
            first.become_program(program, &output, &errors)?;
            return Ok(Pid::from_raw(first.child.pid));
        }
        let command = self.starter.command(program, output, errors)?;
        match spawn_command(command, name, program.workdir.as_deref()) {
            Err((127, why)) if self.starter.is_image => Err((127, of_image(name).unwrap_or(why))),
            other => other,
        }
    }

    fn is_first(&self, pid: Pid) -> bool {
        self.first
            .as_ref()
            .is_some_and(|first| first.child.pid == pid.as_raw())
    }
}

impl Starter {
    fn make(
        ready: &Ready,
        setup: &Setup,
        users: Option<OwnedFd>,
        legacy_cgroups: Vec<fs::File>,
    ) -> Result<Starter, Failure> {
        let limits = Limits::of(&setup.rights);
        let filter = ready.filter(limits.as_ref().map(|it| &it.usual))?;
        let users = match users {
            // Programs enter their user namespace first, which the filter does not let anybody do.
            Some(users) => Some(Users { users, filter }),
            // From here on for this process and all that it starts.
            None => {
                filter.attach()?;
                None
            }
        };
        Ok(Starter {
            legacy_cgroups,
            limits,
            users,
            is_image: setup.image.is_some(),
        })
    }

    /// Gives up what this process does not need for what it starts.
    fn restrict(&self, setup: &Setup) -> Result<(), Failure> {
        process::limit_open_files(setup.limits.open_files, setup.limits.most_open_files);
        match &self.limits {
            Some(limits) => Ok(limits.own().keep()?),
            None => Ok(()),
        }
    }

    /// A program as it is started in the node; what cannot be is a shell's exit status and the reason.
    pub(super) fn command(
        &self,
        program: &Program<'_>,
        output: OwnedFd,
        errors: OwnedFd,
    ) -> Result<Command, (i32, String)> {
        let Some((name, arguments)) = program.argv.split_first() else {
            return Err((127, "there is no command".into()));
        };
        let in_place = self.in_place_of(name, &program.env);
        let mut command = Command::new(in_place.unwrap_or(name));
        // It goes by the name that it was called by.
        command
            .arg0(name)
            .args(arguments)
            .env_clear()
            .envs(program.env.as_ref())
            .current_dir(program.workdir.as_deref().unwrap_or("/"));
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        process::unblock_signals(&mut command);
        process::enter_cgroups(&mut command, &self.legacy_cgroups);
        if let Some(Users { users, filter }) = &self.users {
            let users = users.try_clone().map_err(|error| (126, error.to_string()))?;
            process::enter_users(&mut command, users, filter.clone());
        }
        // Before it becomes another user, who lacks the right to do so.
        if let Some(limits) = &self.limits {
            limits.put_on(&mut command, program.engine);
        }
        if let Some(name) = program.user.as_deref() {
            let user =
                users::user(Path::new("/"), name).ok_or((126, format!("the node has no user {name:?}")))?;
            become_user(&mut command, user);
        }
        Ok(command)
    }

    /// nslab's own program, where that stands for one that the node's image lacks.
    fn in_place_of(&self, name: &str, env: &BTreeMap<String, String>) -> Option<&'static str> {
        let stands_for = self.is_image && node_tools::PINGS.contains(&name);
        let path = env.get("PATH").map_or("", String::as_str);
        let is_there = || path.split(':').any(|place| Path::new(place).join(name).exists());
        (stands_for && !is_there()).then_some(crate::engine::ITSELF)
    }
}

/// Why an image does not have a program, where what is to be done about it is not the host's business.
fn of_image(name: &str) -> Option<String> {
    let is_missing = !name.contains('/') || !Path::new(name).exists();
    is_missing.then(|| format!("{name}: command not found (the image has no such program)"))
}

fn spawn_command(mut command: Command, program: &str, workdir: Option<&str>) -> Result<Pid, (i32, String)> {
    match command.spawn() {
        // Reaped by number in `reap`; the handle is not needed.
        Ok(child) => {
            let pid = Pid::from_raw(child.id().cast_signed());
            offer_first(pid);
            Ok(pid)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = match workdir {
                Some(directory) if !Path::new(directory).is_dir() => {
                    format!("its directory {directory} is not there")
                }
                _ if Path::new(program).exists() => "its interpreter is not there".to_owned(),
                _ => match node_tools::advice(program) {
                    Some(advice) => format!("command not found ({advice})"),
                    None => "command not found".to_owned(),
                },
            };
            Err((127, format!("{program}: {why}")))
        }
        Err(error) => {
            let why = match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EAGAIN) => "no more processes may be started".to_owned(),
                Some(errno) => errno.desc().to_owned(),
                None => error.to_string(),
            };
            Err((126, format!("{program}: {why}")))
        }
    }
}

/// Where memory runs out, a program is to be killed and not this init, with which the whole node would go: half of what
/// there is counts as the program's beforehand (proc_pid_oom_score_adj(5)).
fn offer_first(pid: Pid) {
    // One that has ended already cannot be offered; nothing else is lost where the kernel does not take it.
    let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
}

fn become_user(command: &mut Command, user: users::User) {
    command.env("HOME", &user.home);
    if let Some(name) = &user.name {
        command.env("USER", name).env("LOGNAME", name);
    }
    crate::kernel::process::run_as(command, &user);
}
