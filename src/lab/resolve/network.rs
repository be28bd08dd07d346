//! Nodes that live in another's network namespace.

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::file::suggest;
use crate::model::Kind;

/// What `network` says of a node that lives in the host's; no node has this name.
pub(super) const HOST: &str = "host";

/// For each node, the node in whose namespace it lives; chains lead to their end.
pub(super) fn owners(scene: &Scene, diagnostics: &mut DiagnosticList) -> Vec<usize> {
    let next: Vec<Option<usize>> = (0..scene.nodes.len())
        .map(|at| target(scene, at, diagnostics))
        .collect();
    let mut owners: Vec<usize> = (0..next.len()).collect();
    // 0: not seen, 1: on the way, 2: its owner is known.
    let mut state = vec![0u8; next.len()];
    for start in 0..next.len() {
        let mut way = Vec::new();
        let mut at = start;
        while state[at] == 0 {
            state[at] = 1;
            way.push(at);
            let Some(further) = next[at] else { break };
            at = further;
        }
        let loops = state[at] == 1 && next[at].is_some();
        if loops {
            cycle(scene, &way, at, diagnostics);
        }
        // In a cycle nobody owns the namespace; each keeps its own, so that other checks can go on.
        let owner = if state[at] == 2 { owners[at] } else { at };
        for passed in way {
            owners[passed] = if loops { passed } else { owner };
            state[passed] = 2;
        }
    }
    owners
}

/// The node that `network` names.
fn target(scene: &Scene, at: usize, diagnostics: &mut DiagnosticList) -> Option<usize> {
    let network = scene.nodes[at].network.as_ref().filter(|it| it.value != HOST)?;
    let found = scene.index.get(network.value.as_str()).copied();
    if found.is_none() {
        let help = suggest::cure(&network.value, scene.names(), "the nodes are", "add the node");
        let message = format!("there is no node `{}`", network.value.escape_debug());
        diagnostics.add_for(
            at,
            Diagnostic::new(message, network.span.clone(), "unknown node").help(help),
        );
    }
    found
}

/// The nodes of a cycle, as a path.
fn cycle(scene: &Scene, way: &[usize], back: usize, diagnostics: &mut DiagnosticList) {
    let begin = way.iter().position(|at| *at == back).unwrap_or_default();
    let members = &way[begin..];
    let mut path: Vec<&str> = members.iter().map(|at| scene.name(*at)).collect();
    path.push(scene.name(back));
    let message = match members.len() {
        1 => format!("node `{}` cannot share its own network", scene.name(back)),
        _ => format!(
            "these nodes share each other's network and none has one: {}",
            path.join(" → ")
        ),
    };
    let mut spans = members.iter().filter_map(|at| scene.nodes[*at].network.as_ref());
    let Some(first) = spans.next() else { return };
    let mut diagnostic = Diagnostic::new(message, first.span.clone(), "");
    for span in spans {
        diagnostic = diagnostic.and(span.span.clone(), "");
    }
    diagnostics.add(diagnostic.help("remove `network` from the node that is to have a network of its own"));
}

/// What a node in the host's network cannot have: that stays as it is.
fn check_on_host(scene: &mut Scene, at: usize, diagnostics: &mut DiagnosticList) {
    let Some(network) = scene.nodes[at].network.clone() else {
        return;
    };
    let kind = scene.kind(at);
    if kind != Kind::Host {
        let message = "only a node of kind `host` can live in the host's network";
        let diagnostic = Diagnostic::new(message, network.span.clone(), "");
        diagnostics.add_for(at, diagnostic.help("make it a host, or remove `network`"));
    }
    let node = &scene.nodes[at];
    let given = [
        ("addresses", !node.addresses.is_empty()),
        ("routes", node.routes.is_some()),
        ("interfaces", !node.interfaces.is_empty()),
        ("sysctls", !node.sysctls.is_empty()),
        ("ports", node.ports.is_some()),
        ("masquerade", node.masquerade.is_some()),
        ("ready", node.ready_routes.is_some()),
        (
            "mgmt",
            scene.spec.nodes[at]
                .1
                .mgmt
                .as_ref()
                .is_some_and(|mgmt| mgmt.wanted),
        ),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        let message = format!(
            "node `{}` lives in the host's network, which has no `{key}` of it",
            scene.name(at)
        );
        let help = format!("remove `{key}`, or `network`");
        diagnostics.add_for(at, Diagnostic::new(message, network.span.clone(), "").help(help));
    }
    // Inherited, it concerns the nodes that have a network.
    scene.nodes[at].mgmt = None;
}

/// What a node in another's namespace cannot have.
pub(super) fn check(scene: &mut Scene, diagnostics: &mut DiagnosticList) {
    for at in 0..scene.nodes.len() {
        if scene.is_on_host(at) {
            check_on_host(scene, at, diagnostics);
            continue;
        }
        let owner = scene.owners[at];
        let Some(network) = scene.nodes[at].network.clone().filter(|_| owner != at) else {
            continue;
        };
        if let Some(kind) = scene.nodes[at]
            .kind
            .as_ref()
            .filter(|kind| kind.value == Kind::Bridge)
        {
            let message = "a bridge needs a network of its own";
            let diagnostic = Diagnostic::new(message, network.span.clone(), "")
                .and(kind.span.clone(), "its kind")
                .help("remove `network`, or make it a host");
            diagnostics.add_for(at, diagnostic);
        }
        let own = scene.spec.nodes[at].1.mgmt.as_ref();
        if let Some(mgmt) = own.filter(|mgmt| mgmt.wanted) {
            let message = format!(
                "node `{}` has no network of its own for a management port",
                scene.name(at)
            );
            let help = format!(
                "write `mgmt` in `[nodes.{}]`, whose network it shares",
                scene.name(owner)
            );
            let diagnostic = Diagnostic::new(message, mgmt.span.clone(), "")
                .and(network.span.clone(), "shared here")
                .help(help);
            diagnostics.add_for(at, diagnostic);
        }
        // Inherited, it concerns the nodes that have a network.
        scene.nodes[at].mgmt = None;
    }
}
