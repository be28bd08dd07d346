//! A vtysh session on nslab's own speaker: lines in, answers and events for the speaker out. No input or output.

use super::show::View;
use super::speaker::Event;

/// What a line brings about.
#[derive(Debug, Default)]
pub struct Reply {
    /// What is printed.
    pub output: String,
    /// What happens to the speaker.
    pub events: Vec<Event>,
    /// Whether the running configuration is to be written to the node's /etc/frr/frr.conf.
    pub writes: bool,
    /// Whether the line was refused.
    pub failed: bool,
    /// Whether the session is over.
    pub ends: bool,
}

/// A session.
#[derive(Debug, Default)]
pub struct Terminal {}

impl Terminal {
    /// Takes a line.
    pub fn line(&mut self, _view: &View, _line: &str) -> Reply {
        Reply::default()
    }
}
