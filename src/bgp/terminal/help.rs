//! What could come next in a line: completion, and the help of `?`.

use super::Stage;
use super::commands::{Level, TABLE};
use super::message::Candidate;
use super::outcome::Outcome;
use crate::config::grammar::{self, CandidateKind};
use crate::config::{self, Mode, PeerName, Place};
use crate::show::View;

/// Words of the session in every place of the configuration.
const SESSION: &[(&str, &str)] = &[
    ("do", "To run exec commands in config mode"),
    ("end", "End current mode and change to enable mode"),
    ("exit", "Exit current mode and down to previous mode"),
    ("list", "Print command list"),
    ("quit", "Exit current mode and down to previous mode"),
];

/// The words that could complete a line: each is an answer's candidate, without a sentence.
pub(super) fn complete(stage: &Stage, view: &View, line: &str) -> Outcome {
    let last = last_word(line);
    let mut words: Vec<String> = Vec::new();
    for candidate in candidates(stage, line) {
        match candidate.is_keyword {
            true => words.push(candidate.text),
            false => words.extend(names(view, candidate.kind)),
        }
    }
    words.retain(|word| word.starts_with(last));
    words.sort();
    words.dedup();
    let candidates = words.into_iter().map(|text| Candidate {
        text,
        help: String::new(),
        names: Vec::new(),
    });
    told(candidates.collect())
}

/// What `?` tells at a line's end.
pub(super) fn help(stage: &Stage, view: &View, line: &str) -> Outcome {
    told(explained(candidates(stage, line), view, line))
}

/// The same of a command of the exec mode.
pub(super) fn of_exec(level: Level, view: &View, line: &str) -> Vec<Candidate> {
    explained(TABLE.complete(level, line), view, line)
}

fn explained(candidates: Vec<grammar::Candidate>, view: &View, line: &str) -> Vec<Candidate> {
    let last = last_word(line);
    let explained = candidates.into_iter().map(|candidate| {
        let mut names = names(view, candidate.kind);
        names.retain(|name| name.starts_with(last));
        Candidate {
            text: candidate.text,
            help: candidate.help.to_owned(),
            names,
        }
    });
    explained.collect()
}

/// All commands where a session stands.
pub(super) fn list(stage: &Stage) -> String {
    let patterns: Vec<&str> = match stage {
        Stage::View => patterns(Level::View),
        Stage::Enable => patterns(Level::Enable),
        Stage::Configure(mode) => {
            let words = SESSION.iter().map(|(word, _)| *word);
            words.chain(config::patterns(mode)).collect()
        }
    };
    let lines = patterns.iter().map(|pattern| format!("    {pattern}\n"));
    lines.collect()
}

/// As FRR lays the help out.
pub fn layout(candidates: &[Candidate]) -> String {
    if candidates.is_empty() {
        return "% There is no matched command.\n".to_owned();
    }
    let width = candidates.iter().map(|it| it.text.chars().count()).max();
    let width = width.unwrap_or(0);
    let lines = candidates.iter().map(|it| {
        let line = format!("  {:width$}  {}", it.text, it.help);
        let names = match it.names.is_empty() {
            true => String::new(),
            false => format!("     {}\n", it.names.join(" ")),
        };
        format!("{}\n{names}", line.trim_end())
    });
    lines.collect()
}

fn patterns(level: Level) -> Vec<&'static str> {
    let commands = TABLE.commands().iter();
    let commands = commands.filter(|command| command.modes.contains(&level));
    commands.map(|command| command.pattern).collect()
}

fn told(candidates: Vec<Candidate>) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.answer.candidates = candidates;
    outcome
}

fn candidates(stage: &Stage, line: &str) -> Vec<grammar::Candidate> {
    match stage {
        Stage::View => TABLE.complete(Level::View, line),
        Stage::Enable => TABLE.complete(Level::Enable, line),
        Stage::Configure(mode) => match line.trim_start().strip_prefix("do ") {
            Some(command) => TABLE.complete(Level::Enable, command),
            None => in_configuration(mode, line),
        },
    }
}

fn in_configuration(mode: &Mode, line: &str) -> Vec<grammar::Candidate> {
    let mut candidates = config::help(mode, line);
    let is_first = !line.trim_start().contains(char::is_whitespace);
    if is_first {
        let last = last_word(line);
        let closing = (
            "exit-address-family",
            "Exit from Address Family configuration mode",
        );
        let closing = matches!(mode.place(), Place::Ipv4 | Place::Ipv6 | Place::Evpn).then_some(&closing);
        let own = SESSION.iter().chain(closing);
        let own = own.filter(|(word, _)| word.starts_with(last));
        candidates.extend(own.map(|(word, help)| grammar::Candidate {
            text: (*word).to_owned(),
            help,
            is_keyword: true,
            kind: None,
        }));
        candidates.sort();
    }
    candidates
}

/// The word a line ends with; empty after a blank.
fn last_word(line: &str) -> &str {
    line.rsplit(char::is_whitespace).next().unwrap_or_default()
}

/// What is known to stand in the place of an argument.
fn names(view: &View, kind: Option<CandidateKind>) -> Vec<String> {
    match kind {
        Some(CandidateKind::Peer) => {
            let bgp = view.speaker.config().bgp.as_ref();
            let groups = bgp.into_iter().flat_map(|bgp| bgp.groups.keys().cloned());
            let peers = view.speaker.peers().map(|peer| match &peer.name {
                PeerName::Address(address) => address.to_string(),
                PeerName::Interface(name) => name.clone(),
            });
            peers.chain(groups).collect()
        }
        Some(CandidateKind::Interface) => {
            let interfaces = view.speaker.interfaces().iter();
            interfaces.map(|interface| interface.name.clone()).collect()
        }
        None => Vec::new(),
    }
}
