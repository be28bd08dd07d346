//! Checks: the nodes and names they speak of.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::check::{Check, Question};
use crate::file::{CheckSpec, QuestionSpec, Spanned, suggest};
use crate::model::{Kind, Mgmt, Node};
use crate::planner::management;
use crate::{Diagnostic, names};

/// All checks, in the order of the file but those of the phase "before" first.
pub(super) fn resolve(
    scene: &Scene,
    nodes: &[Node],
    mgmt: Option<&Mgmt>,
    diagnostics: &mut DiagnosticList,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let managed = management::addresses(mgmt, nodes);
    let nodes = Addressed {
        nodes,
        managed: &managed,
    };
    for spec in &scene.spec.checks {
        let question = question(scene, &nodes, spec, diagnostics);
        for node in &spec.nodes {
            let Some(&at) = scene.index.get(node.value.as_str()) else {
                unknown(scene, node, "the check's node", diagnostics);
                continue;
            };
            if matches!(spec.question, QuestionSpec::Bgp(_)) && scene.kind(at) != Kind::Router {
                let message = format!("`{}` is no router, and `bgp` asks a router", node.value);
                let help = "name a router; or ask a program in the node with `run`";
                diagnostics.add(Diagnostic::new(message, node.span.clone(), "").help(help));
            }
            if let Some(question) = &question {
                checks.push(Check {
                    name: spec.name.value.clone(),
                    node: node.value.clone(),
                    question: question.clone(),
                    within: spec.within,
                    stays: spec.stays,
                    not: spec.not,
                    phase: spec.phase,
                    line: spec.line,
                });
            }
        }
    }
    checks.sort_by_key(|check| check.phase);
    checks
}

/// The nodes, and what they have on the management network.
struct Addressed<'a> {
    nodes: &'a [Node],
    managed: &'a [Vec<IpNet>],
}

fn question(
    scene: &Scene,
    nodes: &Addressed<'_>,
    spec: &CheckSpec,
    diagnostics: &mut DiagnosticList,
) -> Option<Question> {
    Some(match &spec.question {
        QuestionSpec::Run { command, expect } => Question::Run {
            command: command.clone(),
            expect: expect.clone(),
        },
        QuestionSpec::Ping(ping) => {
            let to = address(scene, nodes, &ping.to, diagnostics)?;
            let from = ping.from.as_ref();
            if let Some(from) = from.filter(|from| from.value.is_ipv4() != to.is_ipv4()) {
                let message = format!("{} and {to} are not of one family", from.value);
                let help = "give a source of the destination's family";
                diagnostics.add(Diagnostic::new(message, from.span.clone(), "").help(help));
            }
            Question::Ping {
                to,
                from: from.map(|from| from.value),
            }
        }
        QuestionSpec::Tcp(tcp) => Question::Tcp(SocketAddr::new(
            address(scene, nodes, &tcp.to, diagnostics)?,
            tcp.port,
        )),
        QuestionSpec::Route(wanted) => Question::Route(wanted.clone()),
        QuestionSpec::Bgp(wanted) => Question::Bgp(wanted.clone()),
    })
}

/// An address as it stands, or a node's: the first that its name stands for in /etc/hosts.
fn address(
    scene: &Scene,
    nodes: &Addressed<'_>,
    to: &Spanned<String>,
    diagnostics: &mut DiagnosticList,
) -> Option<IpAddr> {
    if let Ok(address) = to.value.parse() {
        return Some(address);
    }
    let Some(&at) = scene.index.get(to.value.as_str()) else {
        unknown(scene, to, "the destination", diagnostics);
        return None;
    };
    let owner = scene.owners[at];
    let found = names::addresses(&nodes.nodes[owner].addresses, &nodes.managed[owner]).next();
    if found.is_none() {
        let message = format!("node `{}` has no address", to.value);
        diagnostics.add(Diagnostic::new(message, to.span.clone(), "").help("write the address you mean"));
    }
    found
}

fn unknown(scene: &Scene, name: &Spanned<String>, what: &str, diagnostics: &mut DiagnosticList) {
    let message = format!("{what} `{}` is not in the lab", name.value.escape_debug());
    let help = suggest::cure(&name.value, scene.names(), "the nodes are", "add a node");
    diagnostics.add(Diagnostic::new(message, name.span.clone(), "").help(help));
}
