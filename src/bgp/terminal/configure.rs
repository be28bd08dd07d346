//! Lines in the configuration mode, and whole configurations.

use super::commands::Level;
use super::message::{Complaint, Status};
use super::turn::Turn;
use super::{LONGEST, Stage, TOO_LONG, Terminal};
use crate::config::grammar::FaultKind;
use crate::config::{Applied, Config, Mistake, MistakeKind, Mode, Pipe, apply, pipe};
use crate::show::View;
use crate::wire::Family;

impl Terminal {
    /// A line in a place of the configuration.
    pub(super) fn configure(&mut self, view: &View, mut mode: Mode, line: &str) -> Turn {
        let text = line.trim();
        if let Some(command) = text.strip_prefix("do ") {
            let mut turn = self.execute(view, Level::Enable, command.trim_start());
            if turn.answer.status == Status::NoMatch {
                turn.answer.output = format!("% Unknown command: {line}\n");
            }
            return turn;
        }
        if matches!(text, "list" | "list permutations") {
            return Turn::printed(super::help::list(&self.stage));
        }
        let mut config = view.speaker.config().clone();
        let was = mode.clone();
        let own = view.speaker.itself();
        let comment = text.starts_with(['!', '#']);
        let line = match pipe(line).filter(|_| !comment) {
            Some(Pipe {
                filter: Err(refusal), ..
            }) => return Turn::failed(Status::Failed, refusal + "\n"),
            Some(pipe) => pipe.command,
            None => line,
        };
        let (applied, said) = match apply(&mut config, &mut mode, &own, line) {
            Ok(done) => done,
            Err(mistake) => return Turn::refused(&mistake, line),
        };
        self.stage = match applied {
            Applied::End => Stage::Enable,
            Applied::Exit if was == Mode::Configure => Stage::Enable,
            _ => Stage::Configure(mode),
        };
        let mut turn = changed(view, config);
        turn.answer.output = said;
        turn
    }

    /// Lines of a configuration, as of `vtysh -f`. Those that are not taken are told, and the others count.
    pub(super) fn load(&mut self, view: &View, lines: &[String]) -> Turn {
        let mut config = view.speaker.config().clone();
        let (mut complaints, mut output) = (Vec::new(), String::new());
        self.reader.own = view.speaker.itself();
        for (at, line) in lines.iter().enumerate() {
            let taken = match line.len() > LONGEST {
                true => Err((Status::Failed, TOO_LONG.to_owned())),
                false => self
                    .reader
                    .take(&mut config, line)
                    .map(|said| output.push_str(&said))
                    .map_err(|mistake| complaint(&mistake, line, self.reader.mode())),
            };
            complaints.extend(taken.err().map(|(status, message)| Complaint {
                line: at,
                message,
                status,
            }));
        }
        let mut turn = changed(view, config);
        turn.answer.output = output;
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

/// Why a line is not taken, in FRR's words.
pub fn refusal(mistake: &Mistake, line: &str) -> (Status, String) {
    match (mistake.fault_kind(), &mistake.kind) {
        (Some(FaultKind::Unknown), _) => (Status::NoMatch, format!("% Unknown command: {line}\n")),
        (Some(FaultKind::Ambiguous), _) => (Status::Ambiguous, format!("% Ambiguous command: {line}\n")),
        (Some(FaultKind::Incomplete), _) => (Status::Incomplete, format!("% Command incomplete: {line}\n")),
        (None, MistakeKind::NeedsFrr) => {
            let message = format!("% {}: {}\n", mistake.message, mistake.help);
            (Status::Failed, message)
        }
        (None, MistakeKind::Invalid(text)) if text.is_empty() => (Status::Failed, String::new()),
        (None, MistakeKind::Invalid(text)) => (Status::Failed, format!("{text}\n")),
        (None, MistakeKind::Unknown) => (Status::NoMatch, format!("% Unknown command: {line}\n")),
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
