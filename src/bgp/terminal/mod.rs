//! A vtysh session on nslab's own speaker: lines in, answers and events for the speaker out. No input or output.
//!
//! A session is where vtysh stands: in the exec mode, or in a place of the configuration. The configuration itself is the
//! speaker's; a line that changes it becomes an [`Event::Configure`] of the whole new one.

#[cfg(test)]
mod answers;
mod clear;
mod commands;
mod configure;
mod exec;
mod filter;
#[cfg(test)]
mod guests;
mod help;
#[cfg(test)]
mod lines;
mod message;
mod outcome;
#[cfg(test)]
mod parts;
mod running;

#[cfg(test)]
mod tests;

use super::config::{Mode, Reader};
use super::show::{Long, View};
use super::speaker::Event;
pub use configure::{complaint, refusal};
pub use help::layout;
pub use message::{Answer, Candidate, ClientAction, Complaint, Fault, Request, Saved, Status};
use outcome::Outcome;

/// Longest command, as in FRR.
const LONGEST: usize = 4096;
/// What is said of a longer one.
const TOO_LONG: &str = "% A line has at most 4096 octets\n";

/// What a line brings about.
#[derive(Debug, Default)]
pub struct Reply {
    /// What goes back to vtysh.
    pub answer: Answer,
    /// What happens to the speaker.
    pub events: Vec<Event>,
    /// Whether the running configuration is to be written to the node's /etc/frr/frr.conf before vtysh is answered: what has come
    /// of that belongs to the answer, see [`Answer::is_saved`].
    pub writes: bool,
    /// The rest of an answer of which more follows.
    pub rest: Option<Rest>,
}

/// The rest of an answer: whoever runs the speaker asks for the next piece when vtysh has taken the one before.
#[derive(Debug)]
pub struct Rest {
    long: Box<Long>,
    /// What goes with each piece.
    answer: Answer,
}

impl Rest {
    /// The next piece, and what is left then.
    pub fn next(mut self, view: &View) -> (Answer, Option<Rest>) {
        let output = self.long.next(view);
        let more = !self.long.is_over();
        let answer = Answer {
            output,
            more,
            ..self.answer.clone()
        };
        (answer, more.then_some(self))
    }
}

/// A session.
#[derive(Debug, Default)]
pub struct Terminal {
    stage: Stage,
    /// What a configuration is loaded by.
    reader: Reader,
    /// What was said with `debug` in the exec mode.
    debugging: Vec<String>,
    /// Whether FRR's bgpd would not be running here.
    without_bgp: bool,
}

/// Where a session stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Stage {
    /// Where one can only look.
    View,
    /// The exec mode.
    #[default]
    Enable,
    /// In the configuration.
    Configure(Mode),
}

impl Terminal {
    /// A session where FRR's bgpd would not be running.
    pub fn without_bgp() -> Terminal {
        Terminal {
            without_bgp: true,
            ..Terminal::default()
        }
    }

    /// Takes a line that came from vtysh.
    pub fn line(&mut self, view: &View, line: &str) -> Reply {
        let mut outcome = match Request::decode(line) {
            Some(request) => self.take(view, request),
            None => Outcome::failed(
                Status::Failed,
                "% This is no request of this vtysh's\n".to_owned(),
            ),
        };
        let config = outcome.config.as_ref().unwrap_or(view.speaker.config());
        let hostname = config.hostname.as_deref().unwrap_or(view.speaker.hostname());
        outcome.answer.prompt = self.prompt(hostname);
        let mut events = outcome.events;
        events.extend(outcome.config.map(|config| Event::Configure(Box::new(config))));
        let rest = outcome.rest.map(|long| Rest {
            long,
            answer: Answer {
                output: String::new(),
                ..outcome.answer.clone()
            },
        });
        outcome.answer.more = rest.is_some();
        Reply {
            rest,
            answer: outcome.answer,
            events,
            writes: outcome.writes,
        }
    }

    fn take(&mut self, view: &View, request: Request) -> Outcome {
        let is_too_long = match &request {
            Request::Run(line) | Request::Complete(line) | Request::Help(line) => line.len() > LONGEST,
            Request::Hello | Request::Load(_) => false,
        };
        if is_too_long {
            return Outcome::failed(Status::Failed, TOO_LONG.to_owned());
        }
        match request {
            Request::Hello => Outcome::default(),
            Request::Run(line) => self.run(view, &line),
            Request::Load(lines) => self.load(view, &lines),
            Request::Complete(line) => help::complete(&self.stage, view, &line),
            Request::Help(line) => help::help(&self.stage, view, &line),
        }
    }

    /// A command, wherever the session stands.
    fn run(&mut self, view: &View, line: &str) -> Outcome {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['!', '#']) {
            return Outcome::default();
        }
        if self.without_bgp && is_for_bgpd(&self.stage, text) {
            return Outcome::failed(Status::Failed, "bgpd is not running\n".to_owned());
        }
        match &self.stage {
            Stage::Configure(mode) => {
                let mode = mode.clone();
                self.configure(view, mode, line)
            }
            Stage::View => self.execute(view, commands::Level::View, line),
            Stage::Enable => self.execute(view, commands::Level::Enable, line),
        }
    }

    fn prompt(&self, hostname: &str) -> String {
        match &self.stage {
            Stage::View => format!("{hostname}> "),
            Stage::Enable => format!("{hostname}# "),
            Stage::Configure(mode) => format!("{hostname}({})# ", mode.prompt()),
        }
    }
}

/// Whether only bgpd would have an answer to a command.
fn is_for_bgpd(stage: &Stage, text: &str) -> bool {
    let text = text.strip_prefix("do ").map_or(text, str::trim_start);
    let mut words = text.split_whitespace();
    let short_for = |word: Option<&str>, long: &str| word.is_some_and(|word| long.starts_with(word));
    let first = words.next();
    if matches!(stage, Stage::Configure(_)) && short_for(first, "router") {
        return short_for(words.next(), "bgp");
    }
    // `show ip` is zebra's, but for its `bgp`.
    if !(short_for(first, "show") || short_for(first, "clear")) {
        return false;
    }
    match words.next() {
        Some("ip" | "ipv6") => short_for(words.next(), "bgp"),
        word => short_for(word, "bgp"),
    }
}
