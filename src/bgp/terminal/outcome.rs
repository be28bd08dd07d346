//! What a request brings about, before it is written down.

use super::message::{Answer, ClientAction, Fault, Status};
use crate::config::{Config, Diagnostic};
use crate::show::{Long, View};
use crate::speaker::Event;

/// What a request brings about.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What vtysh is told.
    pub answer: Answer,
    /// What happens to the speaker.
    pub events: Vec<Event>,
    /// The configuration that is to be, where another.
    pub config: Option<Config>,
    /// Whether the configuration is to be written.
    pub writes: bool,
    /// What is not printed yet.
    pub rest: Option<Box<Long>>,
}

impl Outcome {
    /// Something is printed.
    pub fn printed(output: impl Into<String>) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.answer.output = output.into();
        outcome
    }

    /// The first piece of something is printed.
    pub fn begun(view: &View, mut long: Box<Long>) -> Outcome {
        let mut outcome = Outcome::printed(long.next(view));
        outcome.rest = Some(long).filter(|long| !long.is_over());
        outcome
    }

    /// It is not done.
    pub fn failed(status: Status, output: String) -> Outcome {
        let mut outcome = Outcome::printed(output);
        outcome.answer.status = status;
        outcome
    }

    /// The session is over.
    pub fn ended() -> Outcome {
        let mut outcome = Outcome::default();
        outcome.answer.ends = true;
        outcome
    }

    /// vtysh has something to do.
    pub fn client_action(client_action: ClientAction) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.answer.client_action = Some(client_action);
        outcome
    }

    /// A line is not taken.
    pub fn refused(diagnostic: &Diagnostic, line: &str) -> Outcome {
        let (status, message) = super::configure::refusal(diagnostic, line);
        let mut outcome = Outcome::failed(status, message);
        let before = line.get(..diagnostic.span.start).unwrap_or(line);
        let words = line.get(diagnostic.span.clone()).unwrap_or_default();
        outcome.answer.fault = Some(Fault {
            column: before.chars().count(),
            width: words.chars().count(),
            help: diagnostic.help.clone(),
        });
        outcome
    }
}
