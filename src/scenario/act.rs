//! Takes the steps of a scenario, and takes back what they did.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::instruments;
use crate::check::answer::Answer;
use crate::check::stop::Stop;
use crate::check::{ask, runner};
use crate::failure::Failure;
use crate::lab::check::{Check, Expect, Question};
use crate::lab::model::Command;
use crate::lab::scenario::{End, Step};
use crate::run::client::Client;
use crate::run::directory::LabDirectory;
use crate::run::protocol::{LinkAction, Request, Whom};

/// How long a command of a step may take.
const COMMAND: Duration = Duration::from_secs(60);
const SIGSTOP: i32 = libc::SIGSTOP;
const SIGCONT: i32 = libc::SIGCONT;

/// A lab that scenarios are played on.
pub struct Stage<'a> {
    /// The lab.
    pub lab: &'a LabDirectory,
    /// Its checks.
    pub checks: &'a [Check],
    /// The user's wish to end.
    pub stop: &'a Stop,
}

/// What steps did that has to be taken back.
#[derive(Debug, Default)]
pub struct Undo {
    links: BTreeSet<End>,
    frozen: BTreeSet<String>,
}

/// Why a step did not come to its end.
#[derive(Debug)]
pub enum Halt {
    /// The user wants to end.
    Wish,
    /// It failed.
    Failed(String),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Halt {
        let detail = failure.detail.map(|detail| format!(": {detail}"));
        Halt::Failed(failure.message + &detail.unwrap_or_default())
    }
}

impl Stage<'_> {
    /// Takes a step.
    ///
    /// # Errors
    /// It cannot be taken, what it waits for did not come, or the user wants to end.
    pub fn take(&self, step: &Step, undo: &mut Undo) -> Result<(), Halt> {
        match step {
            Step::LinkDown(links) => self.links(links, &LinkAction::Down, undo),
            Step::LinkUp(links) => self.links(links, &LinkAction::Up, undo),
            Step::Silence(links) => self.links(links, &LinkAction::Silence, undo),
            Step::Clear(links) => self.links(links, &LinkAction::Clear, undo),
            Step::Impair {
                links,
                impairment,
                direction,
            } => {
                let direction = *direction;
                let impairment = impairment.clone();
                self.links(
                    links,
                    &LinkAction::Set {
                        impairment,
                        direction,
                    },
                    undo,
                )
            }
            Step::Flap {
                links,
                count,
                down,
                up,
            } => self.flap(links, *count, *down, *up, undo),
            Step::Kill {
                nodes,
                process,
                signal,
            } => {
                let whom = process.clone().map_or(Whom::Init, Whom::Named);
                // A process that is stopped by a signal goes on with all others.
                if *signal == SIGSTOP {
                    undo.frozen.extend(nodes.iter().cloned());
                }
                self.signal(nodes, &whom, *signal)
            }
            Step::Restart(nodes) => self.of_each(nodes, |node| Request::Restart { node }),
            Step::Stop(nodes) => {
                undo.frozen.extend(nodes.iter().cloned());
                self.signal(nodes, &Whom::All, SIGSTOP)
            }
            Step::Continue(nodes) => self.signal(nodes, &Whom::All, SIGCONT),
            Step::Exec {
                nodes,
                command,
                may_fail,
            } => nodes
                .iter()
                .try_for_each(|node| self.run(node, command, *may_fail)),
            Step::Apply(manifest) => self.ask(&Request::Apply {
                manifests: vec![manifest.clone()],
            }),
            Step::Delete(manifest) => self.ask(&Request::Delete {
                manifests: vec![manifest.clone()],
            }),
            Step::Wait(time) => self.wait(*time),
            Step::Quiet { quiet, within } => instruments::until_quiet(self.lab, *quiet, *within, self.stop),
            Step::Check { name, within } => self.until_check(name, *within),
        }
    }

    fn links(&self, links: &[End], action: &LinkAction, undo: &mut Undo) -> Result<(), Halt> {
        undo.links.extend(links.iter().cloned());
        for end in links {
            instruments::link(self.lab, end, action)?;
        }
        Ok(())
    }

    fn flap(
        &self,
        links: &[End],
        count: u32,
        down: Duration,
        up: Duration,
        undo: &mut Undo,
    ) -> Result<(), Halt> {
        for at in 0..count {
            self.links(links, &LinkAction::Down, undo)?;
            self.wait(down)?;
            self.links(links, &LinkAction::Up, undo)?;
            if at + 1 < count {
                self.wait(up)?;
            }
        }
        Ok(())
    }

    fn signal(&self, nodes: &[String], whom: &Whom, signal: i32) -> Result<(), Halt> {
        self.of_each(nodes, |node| Request::Signal {
            node,
            whom: whom.clone(),
            signal,
        })
    }

    fn of_each(&self, nodes: &[String], request: impl Fn(String) -> Request) -> Result<(), Halt> {
        nodes.iter().try_for_each(|node| self.ask(&request(node.clone())))
    }

    fn ask(&self, request: &Request) -> Result<(), Halt> {
        Client::connect(self.lab)?.ask(request)?;
        Ok(())
    }

    fn run(&self, node: &str, command: &Command, may_fail: bool) -> Result<(), Halt> {
        let question = Question::Run {
            command: command.clone(),
            expect: Expect::default(),
        };
        let answer = ask::ask(self.lab, node, &question, Instant::now() + COMMAND, self.stop);
        if self.stop.wanted() {
            return Err(Halt::Wish);
        }
        match answer {
            Answer::Command { status: 0, .. } => Ok(()),
            Answer::Command { .. } if may_fail => Ok(()),
            Answer::Command { status, out, errors } => {
                let said = if errors.trim().is_empty() { out } else { errors };
                let last = said.trim().lines().next_back().unwrap_or_default().to_owned();
                Err(Halt::Failed(format!(
                    "it ended with status {status} in {node}: {last}"
                )))
            }
            Answer::Broken(why) => Err(Halt::Failed(format!("{node}: {why}"))),
            _ => Err(Halt::Failed(format!("{node} gave no answer"))),
        }
    }

    fn wait(&self, time: Duration) -> Result<(), Halt> {
        let deadline = Instant::now() + time;
        // A signal of any kind ends a wait early.
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.stop.wait(&[], left) || self.stop.wanted() {
                return Err(Halt::Wish);
            }
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    fn until_check(&self, name: &str, within: Option<Duration>) -> Result<(), Halt> {
        for check in self.checks.iter().filter(|check| check.name == name) {
            let mut check = check.clone();
            check.within = within.unwrap_or(check.within);
            let report = runner::make(self.lab, &check, self.stop).ok_or(Halt::Wish)?;
            if report.has_failed() {
                return Err(Halt::Failed(report.text().trim().to_owned()));
            }
        }
        Ok(())
    }

    /// Takes back what steps did: links are as the lab file says, and nothing is frozen. All is tried; the failures are returned.
    pub fn take_back(&self, undo: Undo) -> Vec<String> {
        let mut failures = Vec::new();
        for end in &undo.links {
            // What the file itself says of the link comes back.
            if let Err(failure) = instruments::link(self.lab, end, &LinkAction::Reset) {
                failures.push(format!("link {end}: {}", failure.message));
            }
        }
        for node in undo.frozen {
            let request = Request::Signal {
                node: node.clone(),
                whom: Whom::All,
                signal: SIGCONT,
            };
            if let Err(Halt::Failed(why)) = self.ask(&request) {
                failures.push(format!("{node}: {why}"));
            }
        }
        failures
    }
}
