//! Lines in the configuration mode, and whole configurations.

use super::commands::Level;
use super::message::{Complaint, Status};
use super::turn::Turn;
use super::{LONGEST, Stage, TOO_LONG, Terminal};
use crate::bgp::config::grammar::FaultKind;
use crate::bgp::config::{Config, Mistake, MistakeKind, Mode, apply};
use crate::bgp::show::View;
use crate::bgp::wire::Family;

/// Words that belong to the session in every place of the configuration, and how few letters of them do.
const LEAVING: &[(&str, usize)] = &[("exit", 2), ("quit", 1), ("end", 2)];

impl Terminal {
    /// A line in a place of the configuration.
    pub(super) fn configure(&mut self, view: &View, mut mode: Mode, line: &str) -> Turn {
        let text = line.trim();
        if let Some(command) = text.strip_prefix("do ") {
            return self.execute(view, Level::Enable, command.trim_start());
        }
        if matches!(text, "list" | "list permutations") {
            return Turn::printed(super::help::list(&self.stage));
        }
        match leaving(text) {
            Some("end") => {
                self.stage = Stage::Enable;
                Turn::default()
            }
            Some(_) => {
                self.stage = mode.parent().map_or(Stage::Enable, Stage::Configure);
                Turn::default()
            }
            None => {
                let mut config = view.speaker.config().clone();
                if let Err(mistake) = apply(&mut config, &mut mode, line) {
                    return Turn::refused(&mistake, line);
                }
                self.stage = Stage::Configure(mode);
                changed(view, config)
            }
        }
    }

    /// Lines of a configuration, as of `vtysh -f`. Those that are not taken are told, and the others count.
    pub(super) fn load(&mut self, view: &View, lines: &[String]) -> Turn {
        let mut config = view.speaker.config().clone();
        let mut complaints = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let taken = match line.len() > LONGEST {
                true => Err((Status::Failed, TOO_LONG.to_owned())),
                false => self
                    .reader
                    .take(&mut config, line)
                    .map_err(|mistake| complaint(&mistake, line, self.reader.mode())),
            };
            complaints.extend(taken.err().map(|(status, message)| Complaint {
                line: at,
                message,
                status,
            }));
        }
        let mut turn = changed(view, config);
        turn.answer.complaints = complaints;
        turn
    }
}

fn changed(view: &View, config: Config) -> Turn {
    Turn {
        config: (config != *view.speaker.config()).then_some(config),
        ..Turn::default()
    }
}

/// `exit`, `quit` or `end`, which may be shortened.
fn leaving(text: &str) -> Option<&'static str> {
    let long_enough = |(word, least): &&(&'static str, usize)| text.len() >= *least && word.starts_with(text);
    LEAVING.iter().find(long_enough).map(|(word, _)| *word)
}

/// Why a line is not taken, in FRR's words.
pub(super) fn refusal(mistake: &Mistake, line: &str) -> (Status, String) {
    match (mistake.fault_kind(), &mistake.kind) {
        (Some(FaultKind::Unknown), _) => (Status::NoMatch, format!("% Unknown command: {line}\n")),
        (Some(FaultKind::Ambiguous), _) => (Status::Ambiguous, format!("% Ambiguous command: {line}\n")),
        (Some(FaultKind::Incomplete), _) => (Status::Incomplete, format!("% Command incomplete: {line}\n")),
        (None, MistakeKind::NeedsFrr) => {
            let message = format!("% {}: {}\n", mistake.message, mistake.help);
            (Status::Failed, message)
        }
        (None, _) => (
            Status::Failed,
            format!("% {}\n", mistake.message.trim_start_matches("% ")),
        ),
    }
}

/// The same of a line in a file: `vtysh -f` says in which mode it stands.
pub fn complaint(mistake: &Mistake, line: &str, mode: &Mode) -> (Status, String) {
    let number = number(mode);
    match (mistake.fault_kind(), refusal(mistake, line)) {
        (Some(FaultKind::Unknown), (status, _)) => (status, format!("% Unknown command[{number}]: {line}\n")),
        (Some(FaultKind::Ambiguous), (status, _)) => {
            (status, format!("% Ambiguous command[{number}]: {line}\n\n"))
        }
        (Some(FaultKind::Incomplete), (status, _)) => {
            (status, format!("% Command incomplete[{number}]: {line}\n\n"))
        }
        (None, refused) => refused,
    }
}

/// FRR 8.4's number of a mode.
fn number(mode: &Mode) -> u8 {
    match mode {
        Mode::Configure => 4,
        Mode::Interface(_) => 17,
        Mode::Bgp => 25,
        Mode::Family(Family::Ipv4Unicast) => 28,
        Mode::Family(Family::Ipv6Unicast) => 31,
        Mode::RouteMap(..) => 59,
        Mode::Line => 79,
    }
}
