//! The inside of a node as engines and stages use it: commands, services, probes, logs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::health;
use super::init::{InitHandle, Start, Started};
use super::logs;
use super::long_running::Service;
use super::printed::Kept;
use super::probe::{self, exists, listens, rest};
use super::protocol::{ServiceState, ServiceStatus};
use super::stages;
use super::state::Living;
use crate::engine::{self, Finished};
use crate::failure::Failure;
use crate::kernel::error::Attempt;
use crate::lab::model::{Command, Probe, Process};

/// How long the end of a process is kept back until its last words are in the log.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(100);

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
                    let answered = &self.lab.nodes[self.node].answered;
                    answered
                        .borrow_mut()
                        .get_or_insert_with(|| "nothing yet".to_owned());
                    let finished = engine::Inside::command(self, "ready", &command.argv()).await;
                    let holds = matches!(&finished, Ok(finished) if finished.status == 0);
                    answered.replace((!holds).then(|| probe::answer(finished)));
                    holds
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
pub(super) fn starts_frr(argv: &[String]) -> bool {
    Command::Argv(argv.to_vec()).starts_frr()
}

fn gone(inside: &Inside) -> Failure {
    Failure::not_ready(format!("the init of {} ended", engine::Inside::node(inside)))
}
