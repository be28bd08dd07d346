//! How programs of a node are started: their rights, their users, and what is said where they cannot be.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::node::Ready;
use super::on_terminal;
use super::protocol::Setup;
use crate::failure::Failure;
use crate::kernel::capability::Capabilities;
use crate::kernel::seccomp::Filter;
use crate::kernel::{process, terminal, users};
use crate::lab::rights::RightsStep;
use crate::node_tools;

/// What programs of the node are started with.
pub(super) struct Starter {
    /// Where programs are limited. The init itself is not in there: if it ran out of memory, all of the node would go.
    legacy_cgroups: Vec<fs::File>,
    /// What programs may do; none in a privileged node, where they may do everything.
    limits: Option<Limits>,
    users: Option<Users>,
    /// Whether the root is an image's.
    is_image: bool,
    /// The id on the host of the node's root, where its users are its own.
    first_id: Option<u32>,
    /// Whether programs are in a PID namespace below the init's, as /proc shows it.
    is_below: bool,
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
    /// Whether its output is a terminal, which is its input as well and begins its session.
    pub terminal: bool,
}

impl Starter {
    /// Makes it, and binds this process to the filter where it is to bind what it starts.
    ///
    /// # Errors
    /// The kernel takes no filter.
    pub(super) fn make(
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
            first_id: setup.rights.first_id,
            is_below: setup.own_first,
        })
    }

    /// Gives up what this process does not need for what it starts.
    pub(super) fn restrict(&self, setup: &Setup) -> Result<(), Failure> {
        process::limit_open_files(setup.limits.open_files, setup.limits.most_open_files);
        match &self.limits {
            Some(limits) => Ok(limits.own().keep()?),
            None => Ok(()),
        }
    }

    /// Starts a program; on failure, the shell's exit status for it and the reason.
    pub(super) fn spawn(
        &self,
        program: &Program<'_>,
        output: OwnedFd,
        errors: OwnedFd,
    ) -> Result<Pid, (i32, String)> {
        let name = program.argv.first().map_or("", String::as_str);
        let command = self.command(program, output, errors)?;
        match spawn_command(command, name, program.workdir.as_deref(), !self.is_below) {
            Err((127, why)) if self.is_image => Err((127, of_image(name).unwrap_or(why))),
            other => other,
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
        match program.terminal {
            // Who begins a session must not lead a group before.
            true => {
                let input = output.try_clone().map_err(|error| (126, error.to_string()))?;
                command.stdin(input);
                terminal::take(&mut command);
            }
            false => {
                command.stdin(Stdio::null()).process_group(0);
            }
        }
        command.stdout(output).stderr(errors);
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
        if self.is_image && !program.env.contains_key("HOME") && !is_on_terminal(&program.argv) {
            let home = users::user(Path::new("/"), "root").map(|root| root.home);
            command.env("HOME", home.as_deref().unwrap_or("/root"));
        }
        if let Some(name) = program.user.as_deref() {
            let user =
                users::user(Path::new("/"), name).ok_or((126, format!("the node has no user {name:?}")))?;
            become_user(&mut command, user, self.is_image.then_some(&program.env));
        }
        Ok(command)
    }

    /// Makes a terminal its program's user's, who opens it by the names that it has in the node.
    pub(super) fn give(&self, line: &OwnedFd, program: &Program<'_>) {
        let user = program
            .user
            .as_deref()
            .and_then(|name| users::user(Path::new("/"), name));
        let uid = self
            .first_id
            .unwrap_or(0)
            .saturating_add(user.map_or(0, |user| user.uid));
        // One that cannot be had is open to the program all the same.
        let _ = nix::unistd::fchown(line, Some(uid.into()), None);
    }

    /// nslab's own program, where that stands for one that the node's image lacks.
    fn in_place_of(&self, name: &str, env: &BTreeMap<String, String>) -> Option<&'static str> {
        let stands_for = self.is_image && (name == "nslab" || node_tools::PINGS.contains(&name));
        let path = env.get("PATH").map_or("", String::as_str);
        let is_there = || path.split(':').any(|place| Path::new(place).join(name).exists());
        (stands_for && !is_there()).then_some(crate::engine::ITSELF)
    }
}

/// Whether what is started plays a terminal for the program that is meant, whose home it finds itself.
fn is_on_terminal(argv: &[String]) -> bool {
    argv.first().is_some_and(|it| it == crate::engine::ITSELF)
        && argv.get(1).is_some_and(|it| it == on_terminal::VERB)
}

/// Why an image does not have a program, where what is to be done about it is not the host's business.
fn of_image(name: &str) -> Option<String> {
    let is_missing = !name.contains('/') || !Path::new(name).exists();
    is_missing.then(|| format!("{name}: command not found (the image has no such program)"))
}

/// Starts a program; on failure, the shell's exit status for it and the reason.
fn spawn_command(
    mut command: Command,
    program: &str,
    workdir: Option<&str>,
    is_in_proc: bool,
) -> Result<Pid, (i32, String)> {
    match command.spawn() {
        // Reaped by number in `reap`; the handle is not needed.
        Ok(child) => {
            let pid = Pid::from_raw(child.id().cast_signed());
            // Elsewhere its number is that of another process, or of none.
            if is_in_proc {
                offer_first(pid);
            }
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

/// `kept` is an environment whose own word on the user's home holds: an image's.
fn become_user(command: &mut Command, user: users::User, kept: Option<&BTreeMap<String, String>>) {
    if kept.is_none_or(|env| !env.contains_key("HOME")) {
        command.env("HOME", &user.home);
    }
    if let Some(name) = user.name.as_ref().filter(|_| kept.is_none()) {
        command.env("USER", name).env("LOGNAME", name);
    }
    crate::kernel::process::run_as(command, &user);
}
