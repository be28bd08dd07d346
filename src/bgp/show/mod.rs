//! vtysh's answers: what FRR 8.4 says about a router, as text and as JSON, of nslab's own speaker.

use std::time::Duration;

use super::config::Arguments;
use super::session::Time;
use super::speaker::Speaker;

/// A speaker as it is shown at a moment.
#[derive(Clone, Copy)]
pub struct View<'s> {
    /// The speaker.
    pub speaker: &'s Speaker,
    /// The moment, on the speaker's own clock.
    pub now: Time,
    /// The same moment as the time since 1970: some answers tell the hour.
    pub unix: Duration,
}

/// Gives an answer: all its lines, each ended.
pub type Show = fn(&View, &Arguments) -> String;

/// The commands that only show, their patterns in the form of `config::grammar`.
pub const ROWS: &[(&str, Show)] = &[];
