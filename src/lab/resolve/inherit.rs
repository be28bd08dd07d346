//! Inheritance: defaults, then the kind's table, then the group's, then the node's own. Scalars override, maps
//! merge, lists replace, binds merge by destination.

use std::collections::HashMap;
use std::hash::Hash;

use super::diagnostics::DiagnosticList;
use super::expand::{self, Expansion};
use crate::Diagnostic;
use crate::definition::Definition;
use crate::file::{NodeSpec, Span, Spanned, Spec, suggest};
use crate::model::Kind;

/// Every node with what it inherits.
pub(super) fn apply<'a>(
    spec: &Spec,
    expansion: &Expansion<'a>,
    diagnostics: &mut DiagnosticList,
) -> Vec<(NodeSpec, Option<&'a Definition>)> {
    for name in spec
        .vendor_kinds
        .values()
        .filter_map(|table| table.vendor.as_ref())
    {
        expand::check_table(expansion.kinds, name, diagnostics);
    }
    let nodes = spec.nodes.iter().enumerate();
    nodes
        .map(|(at, (name, node))| one(spec, at, name, node, expansion, diagnostics))
        .collect()
}

fn one<'a>(
    spec: &Spec,
    at: usize,
    name: &Spanned<String>,
    node: &NodeSpec,
    expansion: &Expansion<'a>,
    diagnostics: &mut DiagnosticList,
) -> (NodeSpec, Option<&'a Definition>) {
    let group = group(spec, at, node, diagnostics);
    let says = [Some(node), group, Some(&spec.defaults)]
        .into_iter()
        .flatten()
        .find(|layer| layer.kind.is_some() || layer.vendor.is_some());
    let vendor = says.and_then(|layer| layer.vendor.clone());
    let definition = vendor
        .as_ref()
        .and_then(|vendor| expand::find(expansion.kinds, vendor, at, diagnostics));
    // One that nobody knows has been told; the kind with the fewest limits stands in for it.
    let base = definition.map_or(Kind::Router, |definition| definition.base);
    let kind = match &vendor {
        Some(vendor) => Some(Spanned::new(base, vendor.span.clone())),
        None => says.and_then(|layer| layer.kind.clone()),
    };
    if kind.is_none() {
        diagnostics.add_for(at, without_kind(name, node));
    }
    if kind.as_ref().is_some_and(|kind| kind.value == Kind::Pod) {
        let mut pod = node.clone();
        routers_only(at, kind.as_ref(), None, node, &mut pod, diagnostics);
        return (pod, None);
    }
    let by_kind = match (&vendor, definition) {
        (None, _) => kind.as_ref().and_then(|kind| spec.kinds.get(&kind.value)),
        (_, Some(definition)) => {
            let mut tables = spec.vendor_kinds.iter();
            tables
                .find(|(name, _)| definition.is_called(name))
                .map(|(_, table)| table)
        }
        _ => None,
    };
    let mut merged = spec.defaults.clone();
    for layer in [by_kind, group, Some(node)].into_iter().flatten() {
        overlay(&mut merged, layer);
    }
    if let (Some(definition), Some(vendor)) = (definition, &vendor) {
        merged = expand::apply(
            expansion,
            spec,
            at,
            (definition, &vendor.span),
            merged,
            diagnostics,
        );
    } else if vendor.is_none() && kind.is_some() {
        without_file(at, &mut merged, diagnostics);
    }
    routers_only(at, kind.as_ref(), by_kind, node, &mut merged, diagnostics);
    kubernetes_only(at, kind.as_ref(), by_kind, node, &mut merged, diagnostics);
    merged.kind = kind;
    merged.vendor = vendor;
    (merged, definition)
}

/// What has a meaning only where the file of a kind gives it one.
fn without_file(at: usize, merged: &mut NodeSpec, diagnostics: &mut DiagnosticList) {
    for (key, said) in [("type", merged.model.take()), ("license", merged.license.take())] {
        if let Some(said) = said {
            let message = format!("`{key}` means nothing to a node of nslab's own kinds");
            let help = "it is for kinds that are data (`nslab kinds`); remove it";
            diagnostics.add_for(at, Diagnostic::new(message, said.span, "").help(help));
        }
    }
}

fn without_kind(name: &Spanned<String>, node: &NodeSpec) -> Diagnostic {
    let message = format!("node `{}` has no `kind`", name.value);
    let add = "add `kind = \"host\"`, `\"router\"`, `\"bridge\"` or `\"k8s\"`";
    let diagnostic = Diagnostic::new(message, name.span.clone(), "");
    match &node.model {
        // What other tools call its kind is the model of a vendor's here.
        Some(model) => diagnostic
            .and(model.span.clone(), "this is a vendor's model")
            .help(format!("did you mean `kind`? {add}")),
        None => diagnostic.help(add),
    }
}

/// The table of the node's group.
fn group<'a>(
    spec: &'a Spec,
    at: usize,
    node: &NodeSpec,
    diagnostics: &mut DiagnosticList,
) -> Option<&'a NodeSpec> {
    let name = node.group.as_ref().or(spec.defaults.group.as_ref())?;
    let group = spec.groups.get(&name.value);
    if group.is_none() {
        let known = spec.groups.keys().map(String::as_str);
        let none = format!("write a table `[groups.{}]`, which may be empty", name.value);
        let help = suggest::cure(&name.value, known, "the groups are", &none);
        let message = format!("there is no group `{}`", name.value.escape_debug());
        diagnostics.add_for(
            at,
            Diagnostic::new(message, name.span.clone(), "unknown group").help(help),
        );
    }
    group
}

/// A configuration or an engine on a node that is no router: an error where it was written for this node or
/// its kind. Engines that all nodes inherit concern the routers among them.
fn routers_only(
    at: usize,
    kind: Option<&Spanned<Kind>>,
    by_kind: Option<&NodeSpec>,
    node: &NodeSpec,
    merged: &mut NodeSpec,
    diagnostics: &mut DiagnosticList,
) {
    let Some(kind) = kind.filter(|kind| kind.value != Kind::Router) else {
        return;
    };
    let word = match kind.value {
        Kind::Bridge => "bridge",
        Kind::K8s => "Kubernetes node",
        Kind::Pod => "pod",
        _ => "host",
    };
    let why = format!("a {word} runs no routing engine");
    let mut useless = |key, span| {
        diagnostics.add_for(
            at,
            without_use(key, span, &why, &kind.span, "a router (`kind = \"router\"`)"),
        );
    };
    if let Some(config) = merged.config.take() {
        useless("config", config.span);
    }
    if kind.value == Kind::K8s {
        return kubernetes_engine(at, merged, diagnostics);
    }
    let written = node
        .engine
        .as_ref()
        .or(by_kind.and_then(|layer| layer.engine.as_ref()));
    merged.engine = None;
    if let Some(engine) = written {
        useless("engine", engine.span.clone());
    }
}

/// A key that has no effect on nodes of its node's kind, and on what node it would have one.
fn without_use(key: &str, span: Span, why: &str, kind: &Span, node: &str) -> Diagnostic {
    Diagnostic::new(format!("{why}, so it has no use for `{key}`"), span, "")
        .and(kind.clone(), "its kind")
        .help(format!("make it {node}, or remove `{key}`"))
}

/// What a node is to its cluster, on one that is in none: an error where it was written for this node or its kind. What all nodes
/// inherit concerns the Kubernetes nodes among them.
fn kubernetes_only(
    at: usize,
    kind: Option<&Spanned<Kind>>,
    by_kind: Option<&NodeSpec>,
    node: &NodeSpec,
    merged: &mut NodeSpec,
    diagnostics: &mut DiagnosticList,
) {
    let Some(kind) = kind.filter(|kind| kind.value != Kind::K8s) else {
        return;
    };
    (merged.role, merged.taints, merged.node_ips) = (None, None, None);
    let layers = || [Some(node), by_kind].into_iter().flatten();
    let written = [
        (
            "role",
            layers().find_map(|layer| Some(layer.role.as_ref()?.span.clone())),
        ),
        ("taints", layers().find_map(|layer| first(&layer.taints))),
        ("node_ips", layers().find_map(|layer| first(&layer.node_ips))),
    ];
    for (key, span) in written {
        let Some(span) = span else { continue };
        let why = "this node is in no Kubernetes cluster";
        let node = "a Kubernetes node (`kind = \"k8s\"`)";
        diagnostics.add_for(at, without_use(key, span, why, &kind.span, node));
    }
}

/// Where the first item of a list stands.
fn first<T>(list: &Option<Vec<Spanned<T>>>) -> Option<Span> {
    let item = list.as_ref()?.first()?;
    Some(item.span.clone())
}

/// A Kubernetes node is played by nslab itself or by a kubelet; engines of routers that it inherits are not meant for it.
fn kubernetes_engine(at: usize, merged: &mut NodeSpec, diagnostics: &mut DiagnosticList) {
    let Some(engine) = &merged.engine else { return };
    if !engine.value.plays(Kind::K8s) {
        let message = "a Kubernetes node is no router: FRR does not play it";
        let help = "`engine = \"builtin\"` or `engine = \"kubelet\"`, or none";
        diagnostics.add_for(at, Diagnostic::new(message, engine.span.clone(), "").help(help));
    }
}

/// Puts one layer over another.
pub(super) fn overlay(base: &mut NodeSpec, over: &NodeSpec) {
    scalar(&mut base.model, &over.model);
    scalar(&mut base.license, &over.license);
    scalar(&mut base.of_kind, &over.of_kind);
    scalar(&mut base.group, &over.group);
    scalar(&mut base.engine, &over.engine);
    base.image.overlay(&over.image);
    scalar(&mut base.hostname, &over.hostname);
    scalar(&mut base.aliases, &over.aliases);
    scalar(&mut base.network, &over.network);
    scalar(&mut base.mgmt, &over.mgmt);
    scalar(&mut base.ports, &over.ports);
    scalar(&mut base.routes, &over.routes);
    scalar(&mut base.masquerade, &over.masquerade);
    scalar(&mut base.ready_routes, &over.ready_routes);
    scalar(&mut base.dad, &over.dad);
    scalar(&mut base.config, &over.config);
    scalar(&mut base.exec, &over.exec);
    scalar(&mut base.after_ready, &over.after_ready);
    scalar(&mut base.run, &over.run);
    scalar(&mut base.wait_for, &over.wait_for);
    scalar(&mut base.startup_delay, &over.startup_delay);
    scalar(&mut base.cpu, &over.cpu);
    scalar(&mut base.memory, &over.memory);
    scalar(&mut base.privileged, &over.privileged);
    scalar(&mut base.capabilities, &over.capabilities);
    scalar(&mut base.show_host, &over.show_host);
    scalar(&mut base.user_namespace, &over.user_namespace);
    scalar(&mut base.limits.processes, &over.limits.processes);
    scalar(&mut base.limits.disk, &over.limits.disk);
    scalar(&mut base.limits.log, &over.limits.log);
    scalar(&mut base.limits.open_files, &over.limits.open_files);
    scalar(&mut base.role, &over.role);
    scalar(&mut base.taints, &over.taints);
    scalar(&mut base.node_ips, &over.node_ips);
    scalar(&mut base.pods, &over.pods);
    for (name, value) in &over.labels {
        base.labels.insert(name.clone(), value.clone());
    }
    for (name, value) in &over.sysctls {
        base.sysctls.insert(name.clone(), value.clone());
    }
    for (name, value) in &over.env {
        base.env.insert(name.clone(), value.clone());
    }
    merge_by(&mut base.addresses, &over.addresses, |item| {
        item.interface.value.clone()
    });
    merge_by(&mut base.interfaces, &over.interfaces, |item| {
        item.name.value.clone()
    });
    merge_by(&mut base.files, &over.files, |item| item.path.value.clone());
    merge_by(&mut base.binds, &over.binds, |item| item.target.clone());
    merge_by(&mut base.mounts, &over.mounts, |item| item.target.value.clone());
}

/// Lists replace as scalars override: what is said last holds.
fn scalar<T: Clone>(base: &mut Option<T>, over: &Option<T>) {
    if over.is_some() {
        base.clone_from(over);
    }
}

/// Items with the same key replace those they inherit; others are added.
fn merge_by<T: Clone, K: Eq + Hash>(base: &mut Vec<T>, over: &[T], key: impl Fn(&T) -> K) {
    if base.is_empty() {
        base.extend_from_slice(over);
        return;
    }
    let places: HashMap<K, usize> = base
        .iter()
        .enumerate()
        .map(|(at, item)| (key(item), at))
        .collect();
    for item in over {
        match places.get(&key(item)) {
            Some(at) => base[*at] = item.clone(),
            None => base.push(item.clone()),
        }
    }
}
