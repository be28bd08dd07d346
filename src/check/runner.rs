//! Makes a check: asks until the answer is right, and for as long as it has to stay so.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::answer::{Difference, judge};
use super::ask;
use super::report::{CheckReport, Outcome};
use super::stop::Stop;
use crate::kernel::netlink::Netlink;
use crate::lab::check::{Check, Question};
use crate::run::client::Client;
use crate::run::directory::LabDirectory;
use crate::run::evaluate::evaluate;
use crate::run::protocol::Request;

/// Pauses between questions: doubled each time, up to the longest. Whatever happens in the lab cuts them short.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a command may take at least, however short the check's time.
const LEAST: Duration = Duration::from_secs(10);

/// What there is to say while checks are made.
pub enum Word {
    /// What it does just now.
    Now(String),
    /// What is settled.
    Settled(String),
}

/// Makes checks in order. Returns none when the user wants to end.
pub fn check_all(
    lab: &LabDirectory,
    checks: &[Check],
    stop: &Stop,
    say: &mut dyn FnMut(Word),
) -> Option<Vec<CheckReport>> {
    let mut reports = Vec::with_capacity(checks.len());
    for check in checks {
        say(Word::Now(format!("  wait  {}: {}", check.node, check.name)));
        let report = make(lab, check, stop)?;
        say(Word::Settled(report.text()));
        reports.push(report);
    }
    Some(reports)
}

/// Makes one check. Returns none when the user wants to end.
pub fn make(lab: &LabDirectory, check: &Check, stop: &Stop) -> Option<CheckReport> {
    let began = Instant::now();
    let deadline = began + check.within;
    let mut watch = Watch::default();
    let mut pause = SHORTEST_PAUSE;
    let mut right_since: Option<Instant> = None;
    let mut questions = 0;
    let outcome = loop {
        let asked = Instant::now();
        let command_deadline = (deadline + check.stays).max(asked + LEAST);
        let answer = ask::ask(lab, &check.node, &check.question, command_deadline, stop);
        questions += 1;
        if stop.wanted() {
            return None;
        }
        let judged = judge(check, &answer, &|expression, text| {
            evaluate(expression, text, deadline + check.stays, Some(stop))
        });
        if stop.wanted() {
            return None;
        }
        let now = Instant::now();
        let left = match judged {
            Ok(()) => {
                let since = *right_since.get_or_insert(asked);
                match check.stays.checked_sub(now - since) {
                    None | Some(Duration::ZERO) => break Outcome::Passed,
                    Some(left) => left,
                }
            }
            Err(difference) => {
                let was_right = right_since.take();
                if now >= deadline {
                    break failed(difference, was_right.map(|since| now - since));
                }
                deadline - now
            }
        };
        if watch.wait(lab, check, pause.min(left), stop) {
            return None;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    Some(CheckReport::new(check, outcome, began.elapsed(), questions))
}

fn failed(difference: Difference, right_for: Option<Duration>) -> Outcome {
    let message = match right_for {
        Some(time) => format!(
            "it held for {:.1} s only: {}",
            time.as_secs_f64(),
            difference.message
        ),
        None => difference.message,
    };
    Outcome::Failed {
        message,
        detail: difference.detail,
    }
}

/// What wakes a check that waits: the lab's events, and for routes the node's own kernel.
#[derive(Default)]
struct Watch {
    opened: bool,
    events: Option<Client>,
    routes: Option<Netlink>,
}

impl Watch {
    /// Waits. Returns whether the user wants to end.
    fn wait(&mut self, lab: &LabDirectory, check: &Check, pause: Duration, stop: &Stop) -> bool {
        if !self.opened {
            self.opened = true;
            self.open(lab, check);
            // What happened meanwhile is answered by asking once more.
            return stop.wait(&[], Duration::ZERO);
        }
        let mut fds = Vec::new();
        fds.extend(self.events.as_ref().map(AsFd::as_fd));
        fds.extend(self.routes.as_ref().map(AsFd::as_fd));
        let over = stop.wait(&fds, pause);
        if !self
            .events
            .as_mut()
            .is_some_and(|events| events.drain().unwrap_or(false))
        {
            self.events = None;
        }
        if let Some(routes) = &mut self.routes {
            routes.drain();
        }
        over
    }

    /// Without one or the other the pauses alone do.
    fn open(&mut self, lab: &LabDirectory, check: &Check) {
        self.events = Client::connect(lab).ok().and_then(|mut client| {
            client.tell(&Request::Events { follow: true }).ok()?;
            Some(client)
        });
        if matches!(check.question, Question::Route(_)) {
            self.routes = ask::watch(lab, &check.node).ok();
        }
    }
}
