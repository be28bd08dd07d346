//! A long-running process of a node: its starts, its ends, and what is told of them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, STEADY};
use super::events::What;
use super::init::{End, InitHandle, KILLED, Start, own_first};
use super::inside::{LAST_WORDS, starts_frr};
use super::memory;
use super::on_terminal;
use super::probe::exists;
use super::protocol::{ServiceState, ServiceStatus};
use super::state::{Living, Member};
use crate::failure::Failure;
use crate::kernel::error::{Attempt, Error};
use crate::lab::model::{Kind, Process, Restart};
use crate::lab::plan::NodeStep;
use crate::lab::planner;

/// Pause before a process is started again, doubled each time it ends soon.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// A long-running process, started again as its policy says.
pub(super) struct Service {
    pub(super) lab: Rc<Living>,
    pub(super) node: usize,
    pub(super) init: Rc<InitHandle>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) process: Process,
    pub(super) index: usize,
}

impl Service {
    /// Until it has ended for good, or the node has.
    pub(super) async fn live(self) {
        let mut backoff = Backoff::new(SHORTEST_PAUSE);
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
            tokio::time::sleep(backoff.after(began.elapsed())).await;
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
