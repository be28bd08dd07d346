//! Lines in the configuration mode, and whole configurations.

use super::commands::Level;
use super::message::{Complaint, Status};
use super::outcome::Outcome;
use super::{LONGEST, Stage, TOO_LONG, Terminal};
use crate::config::grammar::FaultKind;
use crate::config::{Applied, Config, Diagnostic, DiagnosticKind, Mode, Pipe, apply, pipe};
use crate::show::View;
use crate::wire::Family;

impl Terminal {
    /// A line in a place of the configuration.
    pub(super) fn configure(&mut self, view: &View, mut mode: Mode, line: &str) -> Outcome {
        let text = line.trim();
        if let Some(command) = text.strip_prefix("do ") {
            let mut outcome = self.execute(view, Level::Enable, command.trim_start());
            if outcome.answer.status == Status::NoMatch {
                outcome.answer.output = format!("% Unknown command: {line}\n");
            }
            return outcome;
        }
        if matches!(text, "list" | "list permutations") {
            return Outcome::printed(super::help::list(&self.stage));
        }
        let mut config = view.speaker.config().clone();
        let was = mode.clone();
        let own = view.speaker.itself();
        let comment = text.starts_with(['!', '#']);
        let line = match pipe(line).filter(|_| !comment) {
            Some(Pipe {
                filter: Err(refusal), ..
            }) => return Outcome::failed(Status::Failed, refusal + "\n"),
            Some(pipe) => pipe.command,
            None => line,
        };
        let (applied, said) = match apply(&mut config, &mut mode, &own, line) {
            Ok(done) => done,
            Err(diagnostic) => {
                self.stage = Stage::Configure(mode);
                return Outcome::refused(&diagnostic, line);
            }
        };
        self.stage = match applied {
            Applied::End => Stage::Enable,
            Applied::Exit if was == Mode::Configure => Stage::Enable,
            _ => Stage::Configure(mode),
        };
        let mut outcome = changed(view, config);
        outcome.answer.output = said;
        outcome
    }

    /// Lines of a configuration, as of `vtysh -f`. Those that are not taken are told, and the others count.
    pub(super) fn load(&mut self, view: &View, lines: &[String]) -> Outcome {
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
                    .map_err(|diagnostic| complaint(&diagnostic, line, self.reader.mode())),
            };
            complaints.extend(taken.err().map(|(status, message)| Complaint {
                line: at,
                message,
                status,
            }));
        }
        let mut outcome = changed(view, config);
        outcome.answer.output = output;
        outcome.answer.complaints = complaints;
        outcome
    }
}

fn changed(view: &View, config: Config) -> Outcome {
    Outcome {
        config: (config != *view.speaker.config()).then_some(config),
        ..Outcome::default()
    }
}

/// Why a line is not taken, in FRR's words.
pub fn refusal(diagnostic: &Diagnostic, line: &str) -> (Status, String) {
    match (diagnostic.fault_kind(), &diagnostic.kind) {
        (Some(FaultKind::Unknown), _) => (Status::NoMatch, format!("% Unknown command: {line}\n")),
        (Some(FaultKind::Ambiguous), _) => (Status::Ambiguous, format!("% Ambiguous command: {line}\n")),
        (Some(FaultKind::Incomplete), _) => (Status::Incomplete, format!("% Command incomplete: {line}\n")),
        (None, DiagnosticKind::NeedsFrr) => {
            let message = format!("% {}: {}\n", diagnostic.message, diagnostic.help);
            (Status::Failed, message)
        }
        (None, DiagnosticKind::Invalid(text)) if text.is_empty() => (Status::Failed, String::new()),
        (None, DiagnosticKind::Invalid(text)) => (Status::Failed, format!("{text}\n")),
        (None, DiagnosticKind::Unknown) => (Status::NoMatch, format!("% Unknown command: {line}\n")),
    }
}

/// The same of a line in a file: `vtysh -f` says in which mode it stands.
pub fn complaint(diagnostic: &Diagnostic, line: &str, mode: &Mode) -> (Status, String) {
    let number = number(mode);
    match (diagnostic.fault_kind(), refusal(diagnostic, line)) {
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
        Mode::Within(_, mode) => number(mode),
        Mode::Vrf(_) => 12,
        Mode::Configure => 4,
        Mode::Interface(_) => 17,
        Mode::Bgp => 25,
        Mode::Family(Family::Ipv4Unicast) => 28,
        Mode::Family(Family::Ipv6Unicast) => 31,
        Mode::Family(Family::L2vpnEvpn) => 36,
        Mode::Vni(_) => 37,
        Mode::RouteMap(..) => 59,
        Mode::Line => 79,
    }
}
