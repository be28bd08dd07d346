//! What nodes wait for, and that no node waits for itself in the end.

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::file::{Span, suggest};
use crate::model::{Stage, Wait};

/// An entry, and where it stands.
struct Edge {
    wait: Wait,
    span: Span,
}

/// For each node, what it waits for.
pub(super) fn resolve(scene: &Scene, diagnostics: &mut DiagnosticList) -> Vec<Vec<Wait>> {
    let edges: Vec<Vec<Edge>> = (0..scene.nodes.len())
        .map(|at| edges(scene, at, diagnostics))
        .collect();
    cycles(scene, &edges, diagnostics);
    let waits = |edges: Vec<Edge>| edges.into_iter().map(|edge| edge.wait).collect();
    edges.into_iter().map(waits).collect()
}

fn edges(scene: &Scene, at: usize, diagnostics: &mut DiagnosticList) -> Vec<Edge> {
    let own = scene.spec.nodes[at].1.wait_for.is_some();
    let mut edges: Vec<Edge> = Vec::new();
    for wait in scene.nodes[at].wait_for.iter().flatten() {
        let Some(&node) = scene.index.get(wait.value.node.as_str()) else {
            let help = suggest::cure(&wait.value.node, scene.names(), "the nodes are", "add the node");
            let message = format!("there is no node `{}`", wait.value.node.escape_debug());
            diagnostics.add_for(
                at,
                Diagnostic::new(message, wait.span.clone(), "unknown node").help(help),
            );
            continue;
        };
        if node == at {
            // What all nodes of a group wait for may be one of them.
            if own {
                let message = format!("node `{}` waits for itself", scene.name(at));
                let diagnostic = Diagnostic::new(message, wait.span.clone(), "").help("remove this entry");
                diagnostics.add_for(at, diagnostic);
            }
            continue;
        }
        let wait_for = Wait {
            node,
            stage: wait.value.stage,
        };
        if edges.iter().all(|edge| edge.wait != wait_for) {
            edges.push(Edge {
                wait: wait_for,
                span: wait.span.clone(),
            });
        }
    }
    edges
}

/// The colors of a depth-first search.
#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Finds cycles without recursion: a chain may be as long as the lab.
fn cycles(scene: &Scene, edges: &[Vec<Edge>], diagnostics: &mut DiagnosticList) {
    let mut state = vec![State::New; edges.len()];
    for start in 0..edges.len() {
        if state[start] != State::New {
            continue;
        }
        state[start] = State::Open;
        // The way from the start: a node, and which of its edges is looked at.
        let mut way = vec![(start, 0)];
        while let Some((at, next)) = way.last_mut() {
            let Some(edge) = edges[*at].get(*next) else {
                state[*at] = State::Done;
                way.pop();
                continue;
            };
            *next += 1;
            // Namespaces and links are made for all nodes before any waits, so nothing can hang on them.
            if edge.wait.stage < Stage::Configured {
                continue;
            }
            match state[edge.wait.node] {
                State::Done => {}
                State::Open => tell(scene, edges, &way, edge.wait.node, diagnostics),
                State::New => {
                    state[edge.wait.node] = State::Open;
                    way.push((edge.wait.node, 0));
                }
            }
        }
    }
}

/// Tells a cycle as a path, each step where it is written.
fn tell(
    scene: &Scene,
    edges: &[Vec<Edge>],
    way: &[(usize, usize)],
    back: usize,
    diagnostics: &mut DiagnosticList,
) {
    let begin = way.iter().position(|(at, _)| *at == back).unwrap_or_default();
    let steps = way[begin..]
        .iter()
        .filter_map(|(at, next)| edges[*at].get(next.checked_sub(1)?));
    let mut path = scene.name(back).to_owned();
    for edge in steps.clone() {
        path.push_str(" → ");
        path.push_str(scene.name(edge.wait.node));
        path.push(':');
        path.push_str(stage_name(edge.wait.stage));
    }
    let mut spans = steps.map(|edge| edge.span.clone());
    let Some(first) = spans.next() else { return };
    let mut diagnostic = Diagnostic::new(format!("these nodes wait for each other: {path}"), first, "");
    for span in spans {
        diagnostic = diagnostic.and(span, "");
    }
    diagnostics.add(
        diagnostic.help("remove one of these entries, or wait for an earlier stage (`created`, `links`)"),
    );
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Created => "created",
        Stage::Links => "links",
        Stage::Configured => "configured",
        Stage::Ready => "ready",
    }
}
