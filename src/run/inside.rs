//! The inside of a node as engines and stages use it: commands, services, probes, logs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufRead as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::events::What;
use super::health;
use super::init::{End, InitHandle, KILLED, Start, Started, own_first};
use super::logs;
use super::memory;
use super::on_terminal;
use super::printed::Kept;
use super::protocol::{ServiceState, ServiceStatus};
use super::stages;
use super::state::{Living, Member};
use crate::engine::{self, Finished};
use crate::failure::Failure;
use crate::kernel::error::{Attempt, Error};
use crate::kernel::process_root::{self, Root};
use crate::lab::model::{Command, Kind, Probe, Process, Restart};
use crate::lab::plan::NodeStep;
use crate::lab::planner;

/// Pause before a process is started again: doubled each time it ends soon, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A process that ran this long starts again without a pause.
const STEADY: Duration = Duration::from_secs(10);
/// How long the end of a process is kept back until its last words are in the log.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Between two looks at a condition the kernel has no event for.
const LOOK: Duration = Duration::from_millis(10);
/// The longest there is.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// How often a part of an engine may end before the node is given up.
const PATIENCE: u32 = 2;
/// How many lines of a log are quoted.
const QUOTED: usize = 4;

/// A node whose init runs.
pub struct Inside {
    /// The lab.
    pub lab: Rc<Living>,
    /// The node.
    pub node: usize,
    /// Its init.
    pub init: Rc<InitHandle>,
    /// Its long-running processes; they are let go when this is dropped.
    services: RefCell<JoinSet<()>>,
    /// Its /dev/log is read until this is dropped.
    syslog: RefCell<Option<oneshot::Sender<()>>>,
}

/// The name of health checks in the log.
const HEALTH: &str = "health";

/// How long a program may take that is asked something.
const ANSWER: Duration = Duration::from_secs(120);

impl Inside {
    /// The inside of a node.
    pub fn new(lab: Rc<Living>, node: usize, init: Rc<InitHandle>) -> Inside {
        lab.nodes[node].services.borrow_mut().clear();
        Inside {
            lab,
            node,
            init,
            services: RefCell::default(),
            syslog: RefCell::default(),
        }
    }

    /// The same inside, for what is done for as long as the node lives: it keeps nothing itself.
    pub fn view(&self) -> Inside {
        Inside {
            lab: Rc::clone(&self.lab),
            node: self.node,
            init: Rc::clone(&self.init),
            services: RefCell::default(),
            syslog: RefCell::default(),
        }
    }

    /// Does something for as long as the node lives.
    pub fn keep(&self, task: impl Future<Output = ()> + 'static) {
        self.services.borrow_mut().spawn_local(task);
    }

    fn env(&self) -> BTreeMap<String, String> {
        engine::environment(&self.lab.plan.nodes[self.node])
    }

    /// Writes what programs log through the node's /dev/log, for as long as this value lives.
    ///
    /// # Errors
    /// The logs cannot be written.
    pub fn watch_syslog(&self, socket: OwnedFd) -> Result<(), Failure> {
        let stays = self.lab.printed()?.syslog(self.node, socket);
        self.syslog.replace(Some(stays));
        Ok(())
    }

    /// Notes that a process is ready.
    pub fn set_ready(&self, index: usize) {
        if let Some(status) = self.lab.nodes[self.node].services.borrow_mut().get_mut(index) {
            status.state = ServiceState::Ready;
        }
    }

    /// How often a process was started again.
    pub fn restarts(&self, index: usize) -> u32 {
        self.of_service(index, |status| status.restarts)
    }

    /// Whether a process runs.
    pub fn runs(&self, index: usize) -> bool {
        self.of_service(index, |status| health::is_running(&status.state))
    }

    /// The name of a process.
    pub fn service_name(&self, index: usize) -> String {
        self.of_service(index, |status| status.name.clone())
    }

    fn of_service<T: Default>(&self, index: usize, ask: impl FnOnce(&ServiceStatus) -> T) -> T {
        let services = self.lab.nodes[self.node].services.borrow();
        services.get(index).map(ask).unwrap_or_default()
    }

    /// Notes that a process is not well, and why, or that it is.
    pub fn set_health(&self, index: usize, illness: Option<String>) {
        if let Some(status) = self.lab.nodes[self.node].services.borrow_mut().get_mut(index) {
            status.state = illness.map_or(ServiceState::Ready, ServiceState::Unhealthy);
        }
    }

    /// Asks a program whether it is well. One that says nothing in time is ended.
    ///
    /// # Errors
    /// What it said, if it is not.
    pub async fn health(&self, argv: &[String], limit: Duration) -> Result<(), String> {
        let (reader, started) = self
            .begin(HEALTH, argv)
            .await
            .map_err(|failure| failure.message)?;
        let kept = Kept::default();
        let printed = self.lab.printed().map_err(|failure| failure.message)?;
        let reading = printed.pipe(self.node, HEALTH, reader.into(), Some(Arc::clone(&kept)));
        let end = timeout(limit, started.end).await;
        if end.is_err() {
            self.init.end(started.id).await;
        }
        let _ = reading.ended.send(());
        let end = end.map_err(|_| format!("no answer within {} s", limit.as_secs_f64()))?;
        let end = end.map_err(|_| "the node ended".to_owned())?;
        if end.status == 0 {
            return Ok(());
        }
        let _ = timeout(LAST_WORDS, reading.drained).await;
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&kept);
        let said = end.reason.or_else(|| {
            said.lines()
                .rev()
                .find(|line| !line.is_empty())
                .map(str::to_owned)
        });
        Err(said.unwrap_or_else(|| format!("status {}", end.status)))
    }

    /// Starts a command whose output somebody here reads.
    async fn begin(&self, name: &str, argv: &[String]) -> Result<(io::PipeReader, Started), Failure> {
        let (reader, writer) = io::pipe().attempt(|| format!("make a pipe for {name}"))?;
        let errors = writer.try_clone().attempt(|| "share a pipe")?;
        let image = self.lab.plan.nodes[self.node].image.as_ref();
        let start = Start {
            argv: argv.to_vec(),
            env: self.env(),
            user: image.and_then(|image| image.user.clone()),
            workdir: image.and_then(|image| image.workdir.clone()),
            engine: starts_frr(argv),
            main: false,
            terminal: false,
        };
        let started = self.init.start(start, writer.into(), errors.into()).await?;
        Ok((reader, started))
    }
}

impl engine::Inside for Inside {
    async fn command(&self, name: &str, argv: &[String]) -> Result<Finished, Failure> {
        let kept = Kept::default();
        let (reader, started) = self.begin(name, argv).await?;
        // A daemon the command leaves behind may go on writing: it is read until none can.
        let printed = self.lab.printed()?;
        let reading = printed.pipe(self.node, name, reader.into(), Some(Arc::clone(&kept)));
        let end = started.end.await.map_err(|_| gone(self))?;
        let _ = reading.ended.send(());
        let _ = reading.drained.await;
        if let Some(reason) = end.reason {
            return Ok(Finished {
                status: end.status,
                output: reason,
            });
        }
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let output = String::from_utf8_lossy(&kept).trim_end().to_owned();
        Ok(Finished {
            status: end.status,
            output,
        })
    }

    async fn answer(&self, name: &str, argv: &[String], most: usize) -> Result<Finished, Failure> {
        let (reader, started) = self.begin(name, argv).await?;
        let what = || format!("read what {name} says");
        let reader = pipe::Receiver::from_owned_fd(reader.into()).attempt(what)?;
        let mut said = Vec::new();
        let mut reader = reader.take(most as u64);
        let late = |_| Failure::not_ready(format!("{name} has not ended within {} s", ANSWER.as_secs()));
        // What it has started may keep the pipe.
        let read = timeout(ANSWER, reader.read_to_end(&mut said));
        read.await.map_err(late)?.attempt(what)?;
        // Whoever says more finds nobody listening.
        drop(reader);
        let end = timeout(ANSWER, started.end).await.map_err(late)?;
        let end = end.map_err(|_| gone(self))?;
        Ok(Finished {
            status: end.status,
            output: end
                .reason
                .unwrap_or_else(|| String::from_utf8_lossy(&said).into_owned()),
        })
    }

    fn service(&self, process: Process) {
        let index = {
            let mut services = self.lab.nodes[self.node].services.borrow_mut();
            services.push(ServiceStatus {
                name: process.name.clone(),
                state: ServiceState::Starting,
                restarts: 0,
                reason: None,
            });
            services.len() - 1
        };
        let service = Service {
            lab: Rc::clone(&self.lab),
            node: self.node,
            init: Rc::clone(&self.init),
            env: self.env(),
            process,
            index,
        };
        self.services.borrow_mut().spawn_local(service.live());
    }

    async fn until(&self, probe: &Probe) {
        loop {
            let began = Instant::now();
            let holds = match probe {
                Probe::Tcp(port) => listens(&self.init, *port),
                Probe::File(path) => exists(&self.init, path),
                Probe::Exec(command) => {
                    let finished = engine::Inside::command(self, "ready", &command.argv()).await;
                    finished.is_ok_and(|finished| finished.status == 0)
                }
            };
            if holds {
                return;
            }
            // A command's own time is not the lab's.
            let look = match probe {
                Probe::Exec(_) => Duration::ZERO,
                Probe::Tcp(_) | Probe::File(_) => began.elapsed(),
            };
            tokio::time::sleep(rest(look)).await;
        }
    }

    fn waits(&self, what: &str) {
        stages::waits(&self.lab, self.node, what.to_owned());
    }

    async fn hopeless(&self) -> Failure {
        let state = &self.lab.nodes[self.node];
        let name = engine::Inside::node(self);
        loop {
            let is_lost = |service: &&ServiceStatus| {
                service.restarts >= PATIENCE || matches!(service.state, ServiceState::NotStarted(_))
            };
            let lost = state.services.borrow().iter().find(is_lost).cloned();
            let Some(service) = lost else {
                state.service_changed.notified().await;
                continue;
            };
            let why = match (service.state, service.reason) {
                (ServiceState::NotStarted(reason), _) => format!("could not be started: {reason}"),
                (_, Some(reason)) => format!("keeps ending: {reason}"),
                _ => "keeps ending".to_owned(),
            };
            let words = logs::last_words(&state.log, &service.name, QUOTED);
            return Failure::not_ready(format!("{} of {name} {why}", service.name))
                .detail(words.join("\n"))
                .help(format!("`nslab logs {name}` has the rest, while the lab lives; `up` without `-d` and with a longer --timeout too"));
        }
    }

    fn node(&self) -> &str {
        &self.lab.plan.nodes[self.node].name
    }
}

/// Whether a command starts daemons of FRR's, which have rights of their own where the plan says so.
fn starts_frr(argv: &[String]) -> bool {
    Command::Argv(argv.to_vec()).starts_frr()
}

fn gone(inside: &Inside) -> Failure {
    Failure::not_ready(format!("the init of {} ended", engine::Inside::node(inside)))
}

/// A long-running process, started again as its policy says.
struct Service {
    lab: Rc<Living>,
    node: usize,
    init: Rc<InitHandle>,
    env: BTreeMap<String, String>,
    process: Process,
    index: usize,
}

impl Service {
    async fn live(self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let began = Instant::now();
            let Some((end, teller)) = self.run_once().await else {
                return;
            };
            let reason = end.reason.clone().or_else(|| self.missing_in(&end, began));
            let is_given_up = self.process.may_fail && reason.is_some();
            let wanted = match self.process.restart {
                _ if is_given_up => false,
                Restart::No => false,
                Restart::OnFailure => end.status != 0,
                Restart::Always => true,
            };
            let restarting = wanted && !*self.lab.stopping.borrow();
            let over = match reason.clone() {
                None => ServiceState::Ended(end.status),
                Some(reason) if is_given_up => ServiceState::Exited(reason),
                Some(reason) => ServiceState::NotStarted(reason),
            };
            // A process that is started again is not over for those who wait for it.
            let seen = if restarting && reason.is_none() {
                ServiceState::Starting
            } else {
                over
            };
            let killed = (end.status == KILLED)
                .then(|| memory::reason(&self.lab, self.node))
                .flatten();
            self.set(|status| {
                status.state = seen;
                status.reason.clone_from(&killed);
            });
            if let Some(reason) = &reason {
                let message = format!("{} could not be started: {reason}", self.process.name);
                self.lab.tell(What::Trouble {
                    node: self.name(),
                    message,
                });
            }
            self.lab.tell(What::ProcessEnded {
                node: self.name(),
                process: self.process.name.clone(),
                status: end.status,
                restarting,
                reason: killed,
            });
            drop(teller);
            if !restarting {
                return;
            }
            pause = if began.elapsed() >= STEADY {
                SHORTEST_PAUSE
            } else {
                pause
            };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.set(|status| status.restarts += 1);
        }
    }

    /// Why a process that the lab may go on without ended at once: as a shell says it, what it runs is not there or cannot be
    /// executed.
    fn missing_in(&self, end: &End, began: Instant) -> Option<String> {
        let is_brief = self.process.may_fail && began.elapsed() < STEADY;
        let what = match end.status {
            127 => "a program that it runs is not there",
            126 => "a program that it runs cannot be executed",
            _ => return None,
        };
        is_brief.then(|| format!("{what} (status {})", end.status))
    }

    fn step(&self) -> &NodeStep {
        &self.lab.plan.nodes[self.node]
    }

    /// Whether it is what the node's image is for.
    fn is_main_of_image(&self) -> bool {
        let image = self.step().image.as_ref();
        image.is_some_and(|image| image.has_program) && self.process.name == planner::IMAGES_PROGRAM
    }

    /// Whether it is the program of an image that is a router: the daemons that it starts want what those of an engine do.
    fn is_router_of_image(&self) -> bool {
        self.step().kind == Kind::Router && self.is_main_of_image()
    }

    /// A program on a terminal that the node does not have: who plays the terminal would find out too late.
    fn missing_on_terminal(&self, argv: &[String]) -> Option<End> {
        let program = argv.first().filter(|_| self.process.terminal)?;
        let path = self.env.get("PATH").map_or("", String::as_str);
        let is_there = match program.contains('/') {
            true => exists(&self.init, program),
            false => path
                .split(':')
                .any(|directory| exists(&self.init, &format!("{directory}/{program}"))),
        };
        (!is_there).then(|| End {
            status: 127,
            reason: Some(format!("{program}: command not found")),
        })
    }

    /// Runs the process once; `None` when the node itself is gone. The lab waits for its end to be told.
    async fn run_once(&self) -> Option<(End, Member<'_>)> {
        let pipes = self.pipes().map_err(Failure::from);
        let (printed, (reader, output, errors)) = match self.lab.printed().and_then(|it| Ok((it, pipes?))) {
            Ok(both) => both,
            Err(failure) => {
                let end = End {
                    status: 126,
                    reason: Some(failure.message),
                };
                return Some((end, self.lab.events.tellers.join()));
            }
        };
        let mut env = self.env.clone();
        env.extend(self.process.env.clone());
        let argv = self.process.command.argv();
        if let Some(end) = self.missing_on_terminal(&argv) {
            return Some((end, self.lab.events.tellers.join()));
        }
        let user = self.process.user.clone();
        let engine = starts_frr(&argv) || self.is_router_of_image();
        let main = self.is_main_of_image();
        let is_first = main && own_first(self.step());
        let has_own_home = self.process.env.contains_key("HOME") || self.step().env.contains_key("HOME");
        if self.process.terminal && user.is_some() && !has_own_home {
            // That of the user, which whoever plays the terminal looks up.
            env.remove("HOME");
        }
        if self.process.terminal && is_first {
            env.entry("TERM".to_owned())
                .or_insert_with(|| on_terminal::TERMINAL.to_owned());
        }
        let start = match self.process.terminal && !is_first {
            // Whoever plays the terminal becomes the user only for the program on it.
            true => Start {
                argv: on_terminal::words(argv, user),
                env,
                user: None,
                workdir: self.process.workdir.clone(),
                engine,
                main,
                terminal: false,
            },
            false => Start {
                argv,
                env,
                user,
                workdir: self.process.workdir.clone(),
                engine,
                main,
                terminal: self.process.terminal,
            },
        };
        let started = self.init.start(start, output, errors).await.ok()?;
        if started.running.await.is_ok() {
            self.set(|status| status.state = ServiceState::Running);
            self.lab.tell(What::ProcessStarted {
                node: self.name(),
                process: self.process.name.clone(),
            });
        }
        let reading = printed.pipe(self.node, &self.process.name, reader, None);
        let end = started.end.await.ok();
        let teller = self.lab.events.tellers.join();
        // Who hears of the end finds the last words in the log. What its children go on writing is read, too.
        let _ = reading.ended.send(());
        let _ = tokio::time::timeout(LAST_WORDS, reading.drained).await;
        end.map(|end| (end, teller))
    }

    /// Where the process writes to, twice, and where that is read.
    fn pipes(&self) -> Result<(OwnedFd, OwnedFd, OwnedFd), Error> {
        let what = || "make a pipe for its output";
        let (reader, writer) = io::pipe().attempt(what)?;
        let errors = writer.try_clone().attempt(what)?;
        Ok((reader.into(), writer.into(), errors.into()))
    }

    fn set(&self, change: impl FnOnce(&mut ServiceStatus)) {
        if let Some(status) = self.lab.nodes[self.node]
            .services
            .borrow_mut()
            .get_mut(self.index)
        {
            change(status);
        }
        self.lab.nodes[self.node].service_changed.notify_one();
    }

    fn name(&self) -> String {
        self.lab.plan.nodes[self.node].name.clone()
    }
}

/// Whether something listens on a TCP port in the network namespace of a node's init: the kernel's own list,
/// where state 0A is LISTEN (proc_pid_net(5)).
fn listens(init: &InitHandle, port: u16) -> bool {
    let found = ["tcp", "tcp6"].iter().any(|table| {
        let table = std::fs::File::open(format!("/proc/{}/net/{table}", init.pid));
        table.is_ok_and(|table| is_listed(io::BufReader::new(table), port))
    });
    // The number is another process's once the init is gone.
    found && !process_root::has_ended(&init.pidfd).unwrap_or(true)
}

/// Whether a list of TCP sockets has one that listens on a port. It ends where the list becomes longer than any that counts.
fn is_listed(table: impl io::BufRead, port: u16) -> bool {
    const LONGEST: u64 = 32 << 20;
    let port = format!(":{port:04X}");
    let lines = table.take(LONGEST).lines().map_while(Result::ok).skip(1);
    let mut listeners = lines.filter(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().is_some_and(|local| local.ends_with(&port));
        local && fields.nth(1) == Some("0A")
    });
    listeners.next().is_some()
}

/// How long to wait after a look at a condition that took so long: a node can make looks take long, and is not to get all the time
/// of the lab for that.
pub(super) fn rest(look: Duration) -> Duration {
    (look * 20).clamp(LOOK, LONGEST_REST)
}

/// Whether a path exists in the root of a node. Asked by the inode alone: the name is the lab file's.
fn exists(init: &InitHandle, path: &str) -> bool {
    open(init, path).is_ok()
}

/// The inode of a path in the root of a node; no link in it leads out of there.
///
/// # Errors
/// There is none, or the node has just ended.
pub fn open(init: &InitHandle, path: &str) -> io::Result<OwnedFd> {
    Root::of(&init.pidfd)?.find(Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_from_connections() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   \
            1: 0100007F:0050 0200007F:1F91 01 00000000:00000000\n";
        let listed = |port| is_listed(table.as_bytes(), port);
        assert!(listed(8080));
        assert!(!listed(80) && !listed(8081) && !listed(0x90));
        assert!(!is_listed(&b""[..], 80));
    }

    #[test]
    fn looks_that_take_long_are_rare() {
        assert_eq!(rest(Duration::ZERO), LOOK);
        assert_eq!(rest(Duration::from_millis(20)), Duration::from_millis(400));
        assert_eq!(rest(Duration::from_secs(60)), LONGEST_REST);
    }
}
