//! What the commands of the exec mode do.

use regex::Regex;

use super::commands::{Exec, Level, TABLE};
use super::filter::Filtered;
use super::message::{ClientAction, Status};
use super::outcome::Outcome;
use super::{Stage, Terminal, help};
use crate::config::{self, Arguments, Diagnostic, Mode};
use crate::show::{self, Beginning, View};

impl Terminal {
    /// A command of the exec mode.
    pub(super) fn execute(&mut self, view: &View, level: Level, line: &str) -> Outcome {
        let filtered = match Filtered::of(line) {
            Ok(filtered) => filtered,
            Err(refusal) => return Outcome::printed(refusal),
        };
        // A question in the middle of a command that was not typed is asked as help.
        if let Some(question) = filtered.command.trim_end().strip_suffix('?') {
            return Outcome::printed(help::layout(&help::of_exec(level, view, question)));
        }
        let found = match TABLE.find(level, filtered.command) {
            Ok(found) => found,
            Err(fault) => {
                let is_known = TABLE.find(Level::Enable, filtered.command).is_ok();
                let diagnostic = match !is_known && config::executes(filtered.command) {
                    true => Diagnostic {
                        help: "give the node `engine = \"frr\"`".to_owned(),
                        ..Diagnostic::foreign(filtered.command)
                    },
                    false => Diagnostic::fault(fault, filtered.command),
                };
                return Outcome::refused(&diagnostic, filtered.command);
            }
        };
        let mut outcome = match found.id {
            Exec::Show(answer) => Outcome::printed(show::answer(*answer, view, &found.arguments)),
            Exec::Said(_) if view.speaker.uses_evpn() && is_about_evpn(filtered.command) => Outcome::printed(
                "% nslab's speaker has EVPN and does not show this of it; the engine `frr` does\n",
            ),
            // What is made piece by piece is made of the router's own tables.
            Exec::Long((_, whole)) if found.arguments.has("vrf") => {
                Outcome::printed(show::answer(*whole, view, &found.arguments))
            }
            Exec::Long((begin, _)) => match begin(view, &found.arguments) {
                Beginning::Whole(answer) => Outcome::printed(answer),
                Beginning::Long(long) if filtered.is_whole() => Outcome::begun(view, long),
                Beginning::Long(long) => Outcome::printed(long.rest(view)),
            },
            Exec::Said(answer) => Outcome::printed((*answer).to_owned()),
            Exec::Do(handler) => handler(self, view, &found.arguments),
        };
        outcome.answer.output = filtered.take(outcome.answer.output);
        outcome
    }
}

/// Whether a command asks about EVPN, however short it is written. Its multihoming is never there.
fn is_about_evpn(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_evpn = |word: &str| word.len() >= 2 && "evpn".starts_with(word);
    words.any(is_evpn) && !words.next().is_some_and(|word| word.starts_with("es"))
}

/// Nothing is to be done.
pub(super) fn nothing(_: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    Outcome::default()
}

pub(super) fn enable(terminal: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    enter(terminal, Stage::Enable)
}

pub(super) fn disable(terminal: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    enter(terminal, Stage::View)
}

pub(super) fn configure(terminal: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    enter(terminal, Stage::Configure(Mode::Configure))
}

/// In the configuration, where `do` leads here, a command leaves the session where it is.
fn enter(terminal: &mut Terminal, stage: Stage) -> Outcome {
    if !matches!(terminal.stage, Stage::Configure(_)) {
        terminal.stage = stage;
    }
    Outcome::default()
}

pub(super) fn leave(_: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    Outcome::ended()
}

pub(super) fn list(terminal: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    Outcome::printed(help::list(&terminal.stage))
}

pub(super) fn find(_: &mut Terminal, _: &View, arguments: &Arguments) -> Outcome {
    let expression = arguments.get("expression").unwrap_or_default();
    let Ok(expression) = Regex::new(expression) else {
        let message = format!("% Bad regexp '{expression}'\n");
        return Outcome::failed(Status::Failed, message);
    };
    let commands = TABLE.commands().iter();
    let found = commands.filter(|command| expression.is_match(command.pattern));
    let lines = found.map(|command| {
        let mode = match command.modes.contains(&Level::View) {
            true => "view",
            false => "enable",
        };
        format!("  ({mode})  {}\n", command.pattern)
    });
    Outcome::printed(lines.collect::<String>())
}

pub(super) fn history(_: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    Outcome::client_action(ClientAction::History)
}

pub(super) fn version(_: &mut Terminal, view: &View, _: &Arguments) -> Outcome {
    Outcome::printed(format!(
        "nslab {} ({}), answering as FRRouting 8.4.4 does.\n",
        env!("CARGO_PKG_VERSION"),
        view.hostname()
    ))
}

/// What FRR has a daemon for is all in one process here.
pub(super) fn daemons(_: &mut Terminal, _: &View, _: &Arguments) -> Outcome {
    Outcome::printed(" zebra bgpd watchfrr staticd\n")
}

/// The node's own program looks whether others answer.
pub(super) fn probe(_: &mut Terminal, _: &View, arguments: &Arguments) -> Outcome {
    let host = arguments.get("host").unwrap_or_default();
    if host.starts_with('-') {
        return Outcome::failed(Status::Failed, format!("% `{host}` is no host\n"));
    }
    let program = arguments.one_of(&["ping", "traceroute"]).unwrap_or("ping");
    let family = arguments.one_of(&["ip", "ipv6"]).map(|family| match family {
        "ip" => "-4",
        _ => "-6",
    });
    let words = family.into_iter().chain([host]).map(str::to_owned);
    Outcome::client_action(ClientAction::Run(program.to_owned(), words.collect()))
}

/// The file itself is written by whoever runs the speaker.
pub(super) fn write(_: &mut Terminal, _: &View, arguments: &Arguments) -> Outcome {
    let note = match arguments.has("integrated") {
        true => "",
        false => "Note: this version of vtysh never writes vtysh.conf\n",
    };
    Outcome {
        writes: true,
        ..Outcome::printed(format!("{note}Building Configuration...\n"))
    }
}

/// What is said in the exec mode holds for the session and is in no configuration, as with FRR.
pub(super) fn debug(terminal: &mut Terminal, _: &View, arguments: &Arguments) -> Outcome {
    let words = arguments.get("words").unwrap_or_default();
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    terminal.debugging.retain(|known| !known.starts_with(&words));
    let state = match arguments.no() {
        true => "off",
        false => {
            terminal.debugging.push(words.clone());
            "on"
        }
    };
    let (words, way) = sentence(&words);
    Outcome::printed(format!("{words} debugging is {state}{way}\n"))
}

pub(super) fn debugging(terminal: &mut Terminal, view: &View, _: &Arguments) -> Outcome {
    let configured = view.speaker.config().kept.iter();
    let configured = configured.filter_map(|line| line.strip_prefix("debug "));
    let said = configured.chain(terminal.debugging.iter().map(String::as_str));
    let said: std::collections::BTreeSet<&str> = said.collect();
    let of = |daemon: &str| {
        let lines = said.iter().filter(|words| words.starts_with(daemon));
        let lines = lines.map(|words| {
            let (words, way) = sentence(words);
            format!("  {words} debugging is on{way}\n")
        });
        lines.collect::<String>()
    };
    Outcome::printed(format!(
        "Zebra debugging status:\n{}\nBGP debugging status:\n{}\n\nStaticd debugging status\n{}\n",
        of("zebra"),
        of("bgp"),
        of("static")
    ))
}

/// `bgp updates in` as FRR says it, and the way at the end.
fn sentence(words: &str) -> (String, &'static str) {
    let (words, way) = match words {
        words if words.ends_with(" in") => (&words[..words.len() - 3], " (inbound)"),
        words if words.ends_with(" out") => (&words[..words.len() - 4], " (outbound)"),
        words => (words, ""),
    };
    let (daemon, rest) = words.split_once(' ').unwrap_or((words, ""));
    let daemon = match daemon {
        "bgp" => "BGP",
        "zebra" => "Zebra",
        "static" => "Static",
        other => other,
    };
    (format!("{daemon} {rest}").trim_end().to_owned(), way)
}
