//! Flows: the nodes and interfaces they speak of.

use std::collections::HashMap;

use super::Scene;
use super::addresses::interface_is_there;
use super::diagnostics::DiagnosticList;
use super::links::Links;
use crate::Diagnostic;
use crate::check::Family;
use crate::file::{FlowSpec, Span, Spanned, suggest};
use crate::flow::{Flow, MOST_PPS_OF_ALL, Place, Target};
use crate::model::{Kind, Node};

/// All flows, in the order of the file.
pub(super) fn resolve(
    scene: &Scene,
    links: &Links,
    nodes: &[Node],
    diagnostics: &mut DiagnosticList,
) -> Vec<Flow> {
    let mut named: HashMap<&str, &FlowSpec> = HashMap::new();
    for spec in &scene.spec.flows {
        if named.insert(&spec.flow.name, spec).is_some() {
            let message = format!("two flows are called `{}`", spec.flow.name);
            let diagnostic = Diagnostic::new(message, spec.name.span.clone(), "");
            diagnostics.add(diagnostic.help("give each a name of its own"));
        }
        check(scene, links, nodes, spec, diagnostics);
    }
    too_fast(scene, diagnostics);
    scene.spec.flows.iter().map(|spec| spec.flow.clone()).collect()
}

fn too_fast(scene: &Scene, diagnostics: &mut DiagnosticList) {
    let flows = &scene.spec.flows;
    let Some(last) = flows.last() else { return };
    let all: u64 = flows.iter().filter_map(|spec| spec.flow.pps).map(u64::from).sum();
    if all <= MOST_PPS_OF_ALL {
        return;
    }
    let message = format!("the flows have {all} packets a second together; {MOST_PPS_OF_ALL} are allowed");
    diagnostics.add(Diagnostic::new(message, last.name.span.clone(), "").help("make fewer, or slower ones"));
}

fn check(scene: &Scene, links: &Links, nodes: &[Node], spec: &FlowSpec, diagnostics: &mut DiagnosticList) {
    let to = match &spec.flow.to {
        Target::Node(place) => Some((place, &spec.to, "the receiver")),
        Target::Address(_) => None,
    };
    let family = match &spec.flow.to {
        Target::Address(address) if address.is_ipv4() => Some(Family::Ipv4),
        Target::Address(_) => Some(Family::Ipv6),
        Target::Node(_) => spec.flow.family,
    };
    let from = (&spec.flow.from, &spec.from, "the sender");
    for (place, span, what) in [from].into_iter().chain(to) {
        end(scene, links, nodes, place, span, what, family, diagnostics);
    }
}

#[expect(clippy::too_many_arguments, reason = "what is known of one end")]
fn end(
    scene: &Scene,
    links: &Links,
    nodes: &[Node],
    place: &Place,
    span: &Span,
    what: &str,
    family: Option<Family>,
    diagnostics: &mut DiagnosticList,
) {
    let Some(&at) = scene.index.get(place.node.as_str()) else {
        let message = format!("{what} `{}` is not in the lab", place.node.escape_debug());
        let help = suggest::cure(&place.node, scene.names(), "the nodes are", "add a node");
        diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
        return;
    };
    if scene.is_on_host(scene.owners[at]) {
        let message = format!("{what} `{}` is in the host's network", place.node);
        let help = "flows are between networks of the lab: name a node that has its own";
        diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
        return;
    }
    if let Some(interface) = &place.interface {
        let interface = Spanned::new(interface.clone(), span.clone());
        if !interface_is_there(scene, links, at, &interface, diagnostics) {
            return;
        }
    }
    if may_have(nodes, scene.owners[at], place, family) || scene.spec.partial_addresses {
        return;
    }
    let message = match family {
        Some(Family::Ipv4) => format!("{what} `{place}` has no IPv4 address"),
        Some(Family::Ipv6) => format!("{what} `{place}` has no IPv6 address"),
        None => format!("{what} `{place}` has no address"),
    };
    let help = "give it one: `addresses = { eth0 = [\"10.0.0.1/24\"] }`";
    diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
}

/// Whether a node may have an address when it lives: of the file, or of what runs in it.
fn may_have(nodes: &[Node], at: usize, place: &Place, family: Option<Family>) -> bool {
    let node = &nodes[at];
    let is_wanted = |interface: &str| place.interface.as_ref().is_none_or(|it| it == interface);
    let is_of = |v4: bool| family.is_none_or(|family| (family == Family::Ipv4) == v4);
    let given = node
        .addresses
        .iter()
        .any(|it| is_wanted(&it.interface) && is_of(it.net.addr().is_ipv4()));
    let runs = node.config.is_some()
        || node.image.is_some()
        || !node.exec.is_empty()
        || !node.after_ready.is_empty()
        || !node.run.is_empty();
    given || runs || node.mgmt.is_some() || node.kind == Kind::K8s || node.kubernetes.is_some()
}
