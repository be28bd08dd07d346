//! nslab's own BGP speaker in a node: its core joined to sockets, timers and netlink, in a process of its own.

use super::configuration::{self, integrated, line_name};
use super::{Engine, ITSELF, Inside, frr, own_start};
use crate::bgp::config::{Config, Diagnostic, DiagnosticKind, Own};
use crate::failure::Failure;
use crate::lab::daemons;
use crate::lab::engines::Engine as Chosen;
use crate::lab::model::{ConfigPlace, Content, File, Node, Probe, Process};
use crate::lab::plan::NodeStep;

mod advertisement;
mod bridging;
pub(super) mod connections;
mod discovery;
mod forwarding;
mod interfaces;
mod lines;
pub(super) mod network;
pub(super) mod process;
mod router;
mod saving;
mod sessions;
mod statics;

pub use process::main;

/// The hidden verb of a speaker.
pub const VERB: &str = "speaker";
/// The option of a speaker that plays those of FRR's daemons that run, and no others.
const AS_DAEMONS: &str = "--as-daemons";
/// The option of one whose node will turn bgpd on: it plays BGP from the beginning, so that it need not begin again for that.
const BGP_COMES: &str = "--bgp-comes";
/// There once a node has started FRR by its own script.
pub const STARTED: &str = "/run/frr/nslab.started";
/// Where a node's configuration stands, as with FRR.
pub const CONFIGURATION: &str = "/etc/frr/frr.conf";
/// Which of FRR's daemons run in a node that starts them itself.
pub const DAEMONS: &str = "/etc/frr/daemons";
/// Where vtysh finds the speaker.
pub const SOCKET: &str = "/run/frr/nslab.vty";
/// Where FRR's zebra says which process it is.
pub const PID_FILE: &str = "/run/frr/zebra.pid";
/// Where FRR's bgpd says which process it is; there while BGP is played.
pub const BGP_PID_FILE: &str = "/run/frr/bgpd.pid";
/// The engine.
pub struct Builtin;

/// Whether a node's own commands start FRR and configure it, as those written for a container do. The speaker is there before
/// the first of them, without a configuration, and FRR's files are there to be edited.
pub fn starts_itself(node: &NodeStep) -> bool {
    node.config.is_none()
}

fn file(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        content: Content::Text(text),
        mode: Some(0o640),
        owner: None,
    }
}

/// What is wrong with the configuration of a node that has these addresses, as text; none if nothing is.
fn complaints(text: &str, place: Option<&ConfigPlace>, own: &Own) -> Option<String> {
    let (_, diagnostics) = Config::parse_at(text, own);
    let complaints: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| complaint(text, place, diagnostic))
        .collect();
    (!complaints.is_empty()).then(|| complaints.join("\n"))
}

/// An error with its line, the words at fault underlined.
fn complaint(text: &str, place: Option<&ConfigPlace>, diagnostic: &Diagnostic) -> String {
    let line = text.lines().nth(diagnostic.line - 1).unwrap_or_default();
    underlined(
        &format!("{}: ", line_name(place, diagnostic.line)),
        line,
        diagnostic,
    )
}

/// A line behind its number, with the words at fault underlined.
pub fn underlined(number: &str, line: &str, diagnostic: &Diagnostic) -> String {
    let before = line
        .get(..diagnostic.span.start)
        .unwrap_or_default()
        .chars()
        .count();
    let words = line
        .get(diagnostic.span.clone())
        .unwrap_or_default()
        .chars()
        .count();
    let mark = format!("{}{}", " ".repeat(before), "^".repeat(words.max(1)));
    let kind = match &diagnostic.kind {
        DiagnosticKind::Unknown => "unknown",
        DiagnosticKind::NeedsFrr => "needs the frr engine",
        DiagnosticKind::Invalid(_) => diagnostic.message.as_str(),
    };
    let help = match (&diagnostic.kind, diagnostic.help.as_str()) {
        // Told once for the whole node.
        (DiagnosticKind::NeedsFrr, _) | (_, "") => String::new(),
        (_, help) => format!(" ({help})"),
    };
    let indent = " ".repeat(number.chars().count());
    format!("{number}{line}\n{indent}{mark} {kind}{help}")
}

impl Engine for Builtin {
    fn judge(&self, node: &Node, config: &str) -> Result<bool, Failure> {
        let own = node.addresses.iter().map(|it| it.net.addr()).collect();
        match complaints(config, node.config_place.as_ref(), &own) {
            None => Ok(true),
            Some(complaints) => Err(refusal(&node.name, complaints)),
        }
    }

    fn better(&self, config: &str) -> Option<Chosen> {
        let (_, diagnostics) = Config::parse(config);
        // A line that is wrong on every engine is to be told, whatever else the text needs.
        let only = diagnostics.iter().all(|it| it.kind == DiagnosticKind::NeedsFrr);
        (only && Config::needs_frr(&diagnostics)).then_some(Chosen::Frr)
    }

    fn preflight(&self, node: &NodeStep, own: &Own) -> Result<(), Failure> {
        match complaints(
            node.config.as_deref().unwrap_or_default(),
            node.config_place.as_ref(),
            own,
        ) {
            None => Ok(()),
            Some(complaints) => Err(refusal(&node.name, complaints)),
        }
    }

    fn files(&self, node: &NodeStep) -> Vec<File> {
        let mut files = vec![file(CONFIGURATION, integrated(node))];
        if starts_itself(node) {
            files.push(file("/etc/frr/daemons", daemons::file(&[])));
            files.push(file("/etc/frr/vtysh.conf", frr::VTYSH_CONF.to_owned()));
        }
        files
    }

    fn links(&self, node: &NodeStep) -> Vec<(&'static str, &'static str)> {
        let mut links = vec![("/usr/bin/vtysh", ITSELF)];
        links.extend(starts_itself(node).then_some((frr::START, ITSELF)));
        links
    }

    async fn start(&self, node: &NodeStep, inside: &impl Inside) -> Result<(), Failure> {
        let mut argv = vec![ITSELF.to_owned(), VERB.to_owned()];
        if starts_itself(node) {
            argv.push(AS_DAEMONS.to_owned());
            let commands = node.exec.iter().map(|exec| &exec.command);
            argv.extend(own_start::turn_bgp_on(commands).then(|| BGP_COMES.to_owned()));
        }
        inside.service(Process::service(VERB, argv));
        inside.until(&Probe::File(SOCKET.to_owned())).await;
        Ok(())
    }
}

/// Why a node is not brought up.
fn refusal(node: &str, complaints: String) -> Failure {
    Failure::wrong(format!(
        "the builtin engine does not take the configuration of {node}"
    ))
    .detail(complaints)
    .help(format!(
        "{}; where FRR is needed, give the node `engine = \"frr\"`; to go on without these lines, `up --lossy`",
        configuration::LINES
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_an_error_is_not_said_to_be_for_another_engine() {
        let ospf = "router ospf\n network 10.0.0.0/8 area 0\n";
        assert!(Builtin.better(ospf).is_some());
        let error = "router bgp 65001\n neigbhor 10.0.0.1 remote-as 65002\n";
        assert!(Builtin.better(error).is_none());
        assert!(Builtin.better(&format!("{ospf}{error}")).is_none());
    }

    #[test]
    fn errors_are_underlined_all_at_once() {
        let text = "router bgp 65000\n neighbr 192.0.2.1 remote-as 1\n neighbor 192.0.2.2 remote-as 2\n neighbor 192.0.2.2 bfd\n";
        let complaints = complaints(text, None, &Own::default()).unwrap();
        let lines: Vec<&str> = complaints.lines().collect();
        assert_eq!(lines.len(), 4, "{complaints}");
        assert_eq!(lines[0], "line 2:  neighbr 192.0.2.1 remote-as 1");
        assert!(lines[1].starts_with("         ^^^^^^^ unknown"), "{complaints}");
        assert!(lines[3].ends_with(" needs the frr engine"), "{complaints}");
    }
}
