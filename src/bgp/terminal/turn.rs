//! What a request brings about, before it is written down.

use super::message::{Answer, Errand, Fault, Status};
use crate::config::{Config, Mistake};
use crate::speaker::Event;

/// What a request brings about.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// What vtysh is told.
    pub answer: Answer,
    /// What happens to the speaker.
    pub events: Vec<Event>,
    /// The configuration that is to be, where another.
    pub config: Option<Config>,
    /// Whether the configuration is to be written.
    pub writes: bool,
}

impl Turn {
    /// Something is printed.
    pub fn printed(output: impl Into<String>) -> Turn {
        let mut turn = Turn::default();
        turn.answer.output = output.into();
        turn
    }

    /// It is not done.
    pub fn failed(status: Status, output: String) -> Turn {
        let mut turn = Turn::printed(output);
        turn.answer.status = status;
        turn
    }

    /// The session is over.
    pub fn ended() -> Turn {
        let mut turn = Turn::default();
        turn.answer.ends = true;
        turn
    }

    /// vtysh has something to do.
    pub fn errand(errand: Errand) -> Turn {
        let mut turn = Turn::default();
        turn.answer.errand = Some(errand);
        turn
    }

    /// A line is not taken.
    pub fn refused(mistake: &Mistake, line: &str) -> Turn {
        let (status, message) = super::configure::refusal(mistake, line);
        let mut turn = Turn::failed(status, message);
        let before = line.get(..mistake.span.start).unwrap_or(line);
        let words = line.get(mistake.span.clone()).unwrap_or_default();
        turn.answer.fault = Some(Fault {
            column: before.chars().count(),
            width: words.chars().count(),
            help: mistake.help.clone(),
        });
        turn
    }
}
