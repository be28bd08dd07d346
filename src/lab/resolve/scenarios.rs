//! Scenarios: the nodes, interfaces, checks and files they speak of.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::diagnostics::DiagnosticList;
use super::{Scene, addresses, links};
use crate::Diagnostic;
use crate::check::Check;
use crate::file::{ScenarioSpec, Span, Spanned, suggest};
use crate::model::{Kind, Manifest};
use crate::scenario::{End, MOST_MANIFESTS, Names, Scenario, Step};

/// What the steps of all scenarios are looked at with.
struct Known<'s> {
    scene: &'s Scene<'s>,
    links: &'s links::Links,
    checks: BTreeSet<&'s str>,
    flows: HashSet<&'s str>,
    /// How many bytes the manifests of steps may have, from here on.
    room: usize,
}

/// All scenarios, in the order of the file.
pub(super) fn resolve(
    scene: &Scene,
    links: &links::Links,
    checks: &[Check],
    diagnostics: &mut DiagnosticList,
) -> Vec<Scenario> {
    let mut known = Known {
        scene,
        links,
        checks: checks.iter().map(|check| check.name.as_str()).collect(),
        flows: scene
            .spec
            .flows
            .iter()
            .map(|flow| flow.name.value.as_str())
            .collect(),
        room: MOST_MANIFESTS,
    };
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut scenarios = Vec::new();
    for spec in &scene.spec.scenarios {
        if !names.insert(&spec.name.value) {
            let message = format!("there are two scenarios {:?}", spec.name.value);
            let help = "give each a name of its own";
            diagnostics.add(Diagnostic::new(message, spec.name.span.clone(), "").help(help));
        }
        let mut steps: Vec<Step> = spec.steps.iter().map(|step| step.value.clone()).collect();
        for (step, at) in steps.iter_mut().zip(&spec.steps) {
            look_at(&mut known, step, &at.span, diagnostics);
        }
        if let Names::These(wanted) = &spec.expect.checks {
            for name in wanted {
                has_check(&known.checks, name, &spec.name.span, diagnostics);
            }
        }
        needs_flows(spec, diagnostics);
        has_flows(&known, spec, diagnostics);
        scenarios.push(Scenario {
            name: spec.name.value.clone(),
            flows: spec.flows.iter().map(|flow| flow.value.clone()).collect(),
            steps,
            expect: spec.expect.clone(),
            capture: spec.capture,
            line: spec.line,
        });
    }
    scenarios
}

/// What is expected of flows needs flows.
fn needs_flows(spec: &ScenarioSpec, diagnostics: &mut DiagnosticList) {
    let of_flows = spec.expect.outage.is_some() || spec.expect.lost.is_some();
    if of_flows && spec.flows.is_empty() {
        let message = format!(
            "the scenario {:?} expects something of flows, and has none",
            spec.name.value
        );
        let help = "name the flows that run while it is played: `flows = \"*\"`";
        diagnostics.add(Diagnostic::new(message, spec.name.span.clone(), "").help(help));
    }
    let named = |names: &Names| match names {
        Names::These(names) => names.clone(),
        Names::All | Names::Nothing => Vec::new(),
    };
    let outage = spec.expect.outage.iter().flat_map(|bound| named(&bound.flows));
    let lost = spec.expect.lost.iter().flat_map(|bound| named(&bound.flows));
    let played: HashSet<&str> = spec.flows.iter().map(|flow| flow.value.as_str()).collect();
    let plays = |name: &str| played.contains("*") || played.contains(name);
    for name in outage.chain(lost).filter(|name| !plays(name)) {
        let message = format!("flow `{}` does not run in this scenario", name.escape_debug());
        let help = format!("add it to the scenario's `flows`: `flows = [{name:?}]`");
        diagnostics.add(Diagnostic::new(message, spec.name.span.clone(), "").help(help));
    }
}

/// The flows must be in the file.
fn has_flows(known: &Known<'_>, spec: &ScenarioSpec, diagnostics: &mut DiagnosticList) {
    let names = || known.scene.spec.flows.iter().map(|flow| flow.name.value.as_str());
    for flow in &spec.flows {
        let is_there = match flow.value.as_str() {
            "*" => !known.flows.is_empty(),
            name => known.flows.contains(name),
        };
        if is_there {
            continue;
        }
        let message = match flow.value.as_str() {
            "*" => "the lab has no flows".to_owned(),
            name => format!("there is no flow `{}`", name.escape_debug()),
        };
        let example = "add one: `[[flows]]` with lines `name = …`, `from = …` and `to = …`";
        let help = match known.flows.is_empty() {
            true => example.to_owned(),
            false => suggest::cure(&flow.value, names(), "the flows are", ""),
        };
        diagnostics.add(Diagnostic::new(message, flow.span.clone(), "").help(help));
    }
}

/// Looks whether what a step speaks of is there, and reads the file it names.
fn look_at(known: &mut Known<'_>, step: &mut Step, span: &Span, diagnostics: &mut DiagnosticList) {
    let scene = known.scene;
    for end in ends_mut(step) {
        has_end(scene, known.links, end, span, diagnostics);
    }
    match step {
        Step::Kill { nodes, .. }
        | Step::Restart(nodes)
        | Step::Stop(nodes)
        | Step::Continue(nodes)
        | Step::Exec { nodes, .. } => {
            for node in nodes {
                has_node(scene, node, span, diagnostics);
            }
        }
        Step::Apply(manifest) | Step::Delete(manifest) => {
            read(scene, manifest, &mut known.room, span, diagnostics)
        }
        Step::Check { name, .. } => has_check(&known.checks, name, span, diagnostics),
        _ => {}
    }
}

/// The ends of links that a step speaks of.
pub(super) fn ends_mut(step: &mut Step) -> &mut [End] {
    match step {
        Step::LinkDown(links)
        | Step::LinkUp(links)
        | Step::Silence(links)
        | Step::Clear(links)
        | Step::Impair { links, .. }
        | Step::Flap { links, .. } => links,
        _ => &mut [],
    }
}

fn has_node(scene: &Scene, node: &str, span: &Span, diagnostics: &mut DiagnosticList) -> bool {
    if scene.index.contains_key(node) {
        return true;
    }
    let message = format!("the step's node `{}` is not in the lab", node.escape_debug());
    let help = suggest::cure(node, scene.names(), "the nodes are", "add a node");
    diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
    false
}

fn has_end(scene: &Scene, links: &links::Links, end: &End, span: &Span, diagnostics: &mut DiagnosticList) {
    if !has_node(scene, &end.node, span, diagnostics) {
        return;
    }
    let node = scene.index[end.node.as_str()];
    let interface = Spanned::new(end.interface.clone(), span.clone());
    addresses::interface_is_there(scene, links, node, &interface, diagnostics);
}

fn has_check(checks: &BTreeSet<&str>, name: &str, span: &Span, diagnostics: &mut DiagnosticList) {
    if checks.contains(name) {
        return;
    }
    let message = format!("there is no check {name:?}");
    let help = match checks.is_empty() {
        true => {
            "the lab has no `[[checks]]`; `wait` takes a time, `quiet`, or the name of a check".to_owned()
        }
        false => suggest::cure(name, checks.iter().copied(), "the checks are", ""),
    };
    diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
}

fn read(
    scene: &Scene,
    manifest: &mut Manifest,
    room: &mut usize,
    span: &Span,
    diagnostics: &mut DiagnosticList,
) {
    if !(0..scene.nodes.len()).any(|at| scene.kind(at) == Kind::K8s) {
        let message = "there is no Kubernetes node that could obey this manifest";
        let help = "give the nodes it is for `kind = \"k8s\"`, or remove the step";
        diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
        return;
    }
    let path = scene.sources.locate(Path::new(&manifest.name));
    if *room == 0 {
        // That they are too long is told already.
        return;
    }
    match scene.sources.text(&path) {
        Ok(text) => match room.checked_sub(text.len().max(1)) {
            Some(left) => {
                *room = left;
                manifest.text = text;
            }
            None => {
                *room = 0;
                let most = MOST_MANIFESTS >> 20;
                let message = format!("the manifests of all steps are longer than {most} MiB together");
                let help = "make several lab files of it, or name smaller manifests";
                diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
            }
        },
        Err(reason) => {
            let message = format!("cannot use `{}`: {reason}", manifest.name.escape_debug());
            let help = "paths are relative to the directory of the lab file";
            diagnostics.add(Diagnostic::new(message, span.clone(), "").help(help));
        }
    }
}
