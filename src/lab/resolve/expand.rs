//! Nodes of kinds that files say: what the kind's file says comes below what the lab does, variables get their values, interfaces the
//! names that the kernel has for them.

mod place;
mod spans;
mod values;

use std::cell::Cell;
use std::collections::HashSet;
use std::path::Path;

use super::diagnostics::DiagnosticList;
use super::inherit::overlay;
use super::scenarios;
use crate::Diagnostic;
use crate::definition::{Definition, Kinds};
use crate::file::{
    ConfigSpec, ContentSpec, FileSpec, FlowSpec, NodeSpec, QuestionSpec, RouteActionSpec, Span, Spanned,
    Spec, kind_file, suggest,
};
use crate::flow::Target;
use crate::model::{Exec, OfKind};
use crate::sources::Sources;
pub(super) use values::Managed;
use values::Values;

/// What all texts of kinds in a lab come to together is no longer, in bytes.
const MOST: usize = 256 << 20;

/// What expanding needs beside the node.
pub(super) struct Expansion<'a> {
    pub sources: &'a dyn Sources,
    pub kinds: &'a Kinds,
    /// The nodes' addresses on the management network, once they are known.
    pub managed: Option<&'a Managed>,
    /// Whether one of them was asked for before it was known.
    early: Cell<bool>,
    /// How many bytes texts may still come to.
    left: Cell<usize>,
    /// Whether one was too long.
    overlong: Cell<bool>,
}

impl<'a> Expansion<'a> {
    /// Before addresses on the management network are known.
    pub fn new(sources: &'a dyn Sources, kinds: &'a Kinds) -> Self {
        Expansion {
            sources,
            kinds,
            managed: None,
            early: Cell::new(false),
            left: Cell::new(MOST),
            overlong: Cell::new(false),
        }
    }

    /// Whether an address on the management network was asked for before it was known.
    pub fn is_early(&self) -> bool {
        self.early.get()
    }

    /// Whether so many bytes more are not too many.
    fn take(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }

    /// Whether a text was too long since this was last asked.
    fn is_overlong(&self) -> bool {
        self.overlong.take()
    }
}

/// Whether a lab has nodes of kinds that files say.
pub(super) fn is_wanted(spec: &Spec) -> bool {
    let layers = spec.groups.values().chain([&spec.defaults]);
    let nodes = spec.nodes.iter().map(|(_, node)| node);
    layers.chain(nodes).any(|layer| layer.vendor.is_some()) || !spec.vendor_kinds.is_empty()
}

/// The kind of a name that nslab does not play itself; one that there is not is told.
pub(super) fn find<'a>(
    kinds: &'a Kinds,
    name: &Spanned<String>,
    at: usize,
    diagnostics: &mut DiagnosticList,
) -> Option<&'a Definition> {
    if let Some(found) = kinds.find(&name.value) {
        return Some(found);
    }
    let message = format!("`kind` cannot be `{}`", name.value.escape_debug());
    diagnostics.add_for(at, unknown(kinds, name, message));
    None
}

/// Tells a table `[kinds.…]` that is for no kind.
pub(super) fn check_table(kinds: &Kinds, name: &Spanned<String>, diagnostics: &mut DiagnosticList) {
    if kinds.find(&name.value).is_none() {
        let message = format!("there is no kind `{}`", name.value.escape_debug());
        diagnostics.add(unknown(kinds, name, message));
    }
}

/// What people call nodes of a cluster.
const OF_KUBERNETES: [&str; 6] = ["cluster", "k3s", "kubelet", "kubernetes", "k8s-kind", "k8s-node"];

fn unknown(kinds: &Kinds, name: &Spanned<String>, message: String) -> Diagnostic {
    let shown = name.value.escape_debug();
    if let Some(broken) = kinds.broken.iter().find(|it| it.name == name.value) {
        let message = format!("the kind `{shown}` cannot be used: {}", broken.reason);
        let help = format!("`nslab kinds show {shown}` tells all that is wrong with it");
        return Diagnostic::new(message, name.span.clone(), "").help(help);
    }
    let own = kind_file::OWN_KINDS.iter().copied();
    let known: Vec<&str> = own.chain(kinds.names()).collect();
    let help = match suggest::nearest(&name.value, known.iter().copied()) {
        _ if OF_KUBERNETES.contains(&name.value.as_str()) => {
            "write `kind = \"k8s\"` for a node of a Kubernetes cluster".to_owned()
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let own = suggest::list(kind_file::OWN_KINDS);
            format!(
                "`kind` is one of: {own}, or one that `nslab kinds` lists; a file `kinds/NAME.toml` adds another"
            )
        }
    };
    Diagnostic::new(message, name.span.clone(), "").help(help)
}

/// The names of the interfaces that a node has by links, as written.
fn interfaces<'a>(spec: &'a Spec, node: &'a str) -> impl Iterator<Item = &'a str> {
    let ends = spec.links.iter().flat_map(|link| &link.endpoints);
    let own = ends.filter(move |end| end.node.value == node);
    own.map(|end| end.interface.value.as_str())
}

/// Puts what a lab says of a node over what its kind's file does.
pub(super) fn apply(
    expansion: &Expansion,
    spec: &Spec,
    at: usize,
    kind: (&Definition, &Span),
    own: NodeSpec,
    diagnostics: &mut DiagnosticList,
) -> NodeSpec {
    let (definition, span) = kind;
    let name = &spec.nodes[at].0;
    let mut own = own;
    let model = model(definition, own.model.as_ref(), at, diagnostics);
    let mut seen = HashSet::new();
    let links: Vec<String> = interfaces(spec, &name.value)
        .map(|written| kernel(definition, written))
        .filter(|kernel| seen.insert(kernel.clone()))
        .collect();
    let values = Values::new(definition, spec, at, model.as_deref(), &links, expansion);
    let mut layer = definition.node.clone();
    place::place(&mut layer, span, &values);
    layer.binds.retain(|bind| {
        // What a kind shows of the host is left out where the host has it not.
        let source = expansion.sources.locate(Path::new(&bind.source.value));
        expansion.sources.entry(&source).is_ok()
    });
    let mut after_ready: Vec<Exec> = Vec::new();
    let mut run_after = |commands: &[crate::model::Command]| {
        after_ready.extend(commands.iter().map(|command| Exec {
            command: place::command(command, &values),
            may_fail: false,
            line: 0,
        }));
    };
    run_after(&definition.after_ready);
    if let Some(license) = own.license.take() {
        match &definition.license {
            Some(place) => {
                run_after(&place.apply);
                put(
                    &mut layer,
                    &place.path,
                    &license.span,
                    ContentSpec::From(license.clone()),
                );
            }
            None => useless(at, "license", &license.span, definition, diagnostics),
        }
    }
    if let Some(config) = own.config.take_if(|_| !definition.startup_config.is_empty()) {
        let (text, content) = match &config.value {
            ConfigSpec::Text { text, .. } => (text.clone(), ContentSpec::Text(text.clone())),
            ConfigSpec::File(file) => {
                let path = expansion.sources.locate(Path::new(&file.value));
                // A file that cannot be read is told where it is put into the node.
                let text = expansion.sources.text(&path).unwrap_or_default();
                (text, ContentSpec::From(file.clone()))
            }
        };
        match definition.startup(&text) {
            Some(startup) => {
                run_after(&startup.apply);
                put(&mut layer, &startup.path, &config.span, content);
            }
            None => useless(at, "config", &config.span, definition, diagnostics),
        }
    }
    let shown = links.iter().filter_map(|kernel| {
        let shown = definition.shown_name(kernel);
        (shown != *kernel).then(|| (kernel.clone(), shown))
    });
    let of_kind = OfKind {
        kind: definition.name.clone(),
        model: model.clone(),
        needs: definition.needs.clone(),
        ready: definition
            .ready
            .as_ref()
            .filter(|_| own.image.healthcheck.is_none())
            .map(|ready| place::probe(ready, &values)),
        ready_within: definition.ready_within,
        after_ready,
        save: definition.save.as_ref().map(|save| place::command(save, &values)),
        interfaces: shown.collect(),
        odd_interfaces: interfaces(spec, &name.value)
            .filter(|written| definition.is_odd_name(written))
            .map(str::to_owned)
            .collect(),
    };
    if expansion.is_overlong() {
        let message = format!(
            "what the kind `{}` says is too long with the values of node `{}`",
            definition.name,
            name.value.escape_debug()
        );
        let help =
            "in the file of the kind, let fewer or shorter variables stand in one text: it may come to 1 MiB";
        diagnostics.add_for(at, Diagnostic::new(message, span.clone(), "").help(help));
    }
    translate(definition, &mut own);
    overlay(&mut layer, &own);
    tell_systemd(&mut layer, &own);
    layer.of_kind = Some(Box::new(of_kind));
    if definition.needs_image && layer.image.source.is_none() {
        let message = format!(
            "node `{}` is of kind `{}` and names no image",
            name.value.escape_debug(),
            definition.name
        );
        let help = "add `image`: where the image is, such as `registry.example/router:1.0` or `oci-archive:router.tar`";
        diagnostics.add_for(at, Diagnostic::new(message, span.clone(), "").help(help));
    }
    layer
}

/// How an argument of systemd begins that sets a variable of its services.
const SETENV: &str = "systemd.setenv=";

/// Where a kind's command line gives systemd variables, those that the lab says are given as well.
fn tell_systemd(layer: &mut NodeSpec, own: &NodeSpec) {
    let Some(entrypoint) = layer.image.entrypoint.as_mut() else {
        return;
    };
    let words = &mut entrypoint.value;
    let is_told = words.iter().any(|word| word.starts_with(SETENV));
    if !is_told || own.image.entrypoint.is_some() {
        return;
    }
    for (name, value) in &own.env {
        let begin = format!("{SETENV}{name}=");
        words.retain(|word| !word.starts_with(&begin));
        words.push(format!("{begin}{}", value.value));
    }
}

/// The node's model.
fn model(
    definition: &Definition,
    said: Option<&Spanned<String>>,
    at: usize,
    diagnostics: &mut DiagnosticList,
) -> Option<String> {
    let Some(said) = said else {
        return definition.default_type.clone();
    };
    if !definition.types.is_empty() && !definition.types.contains_key(&said.value) {
        let known = definition.types.keys().map(String::as_str);
        let help = suggest::cure(&said.value, known, "its types are", "remove `type`");
        let message = format!(
            "the kind `{}` has no type `{}`",
            definition.name,
            said.value.escape_debug()
        );
        diagnostics.add_for(at, Diagnostic::new(message, said.span.clone(), "").help(help));
        return definition.default_type.clone();
    }
    Some(said.value.clone())
}

/// Puts a file into the node, in the place of one that the kind has there.
fn put(layer: &mut NodeSpec, path: &str, span: &Span, content: ContentSpec) {
    layer.files.retain(|file| file.path.value != path);
    layer.files.push(FileSpec {
        path: Spanned::new(path.to_owned(), span.clone()),
        content,
        mode: None,
        owner: None,
    });
}

fn useless(at: usize, key: &str, span: &Span, definition: &Definition, diagnostics: &mut DiagnosticList) {
    let message = format!("nodes of kind `{}` have no use for `{key}`", definition.name);
    let help = "remove it, or put the file where the node's programs read it by `files`";
    diagnostics.add_for(at, Diagnostic::new(message, span.clone(), "").help(help));
}

/// The kernel's name of an interface.
fn kernel(definition: &Definition, written: &str) -> String {
    definition
        .kernel_name(written)
        .unwrap_or_else(|| written.to_owned())
}

/// Gives the interfaces in a node's own table the kernel's names.
fn translate(definition: &Definition, node: &mut NodeSpec) {
    let rename = |name: &mut Spanned<String>| {
        if let Some(kernel) = definition.kernel_name(&name.value) {
            name.value = kernel;
        }
    };
    for addresses in &mut node.addresses {
        rename(&mut addresses.interface);
    }
    node.masquerade.iter_mut().flatten().for_each(rename);
    for interface in &mut node.interfaces {
        rename(&mut interface.name);
    }
    for route in node.routes.iter_mut().flatten() {
        if let RouteActionSpec::Forward(hops) = &mut route.value.action {
            hops.iter_mut()
                .filter_map(|hop| hop.dev.as_mut())
                .for_each(rename);
        }
    }
}

/// The lab with the kernel's names at the ends of links and in checks; `kinds` are those of its nodes.
pub(super) fn renamed(spec: &Spec, kinds: &[Option<&Definition>]) -> Spec {
    let mut spec = spec.clone();
    let names: std::collections::HashMap<String, &Definition> = spec
        .nodes
        .iter()
        .zip(kinds)
        .filter_map(|((name, _), kind)| Some((name.value.clone(), (*kind)?)))
        .collect();
    for end in spec.links.iter_mut().flat_map(|link| &mut link.endpoints) {
        if let Some(definition) = names.get(&end.node.value) {
            end.interface.value = kernel(definition, &end.interface.value);
        }
    }
    for step in spec.scenarios.iter_mut().flat_map(|scenario| &mut scenario.steps) {
        for end in scenarios::ends_mut(&mut step.value) {
            if let Some(definition) = names.get(&end.node) {
                end.interface = kernel(definition, &end.interface);
            }
        }
    }
    for check in &mut spec.checks {
        let of_first = check.nodes.first().and_then(|node| names.get(&node.value));
        if let (Some(definition), QuestionSpec::Route(wanted)) = (of_first, &mut check.question)
            && let Some(dev) = &mut wanted.dev
        {
            *dev = kernel(definition, dev);
        }
    }
    for FlowSpec { flow, .. } in &mut spec.flows {
        let to = match &mut flow.to {
            Target::Node(place) => Some(place),
            Target::Address(_) => None,
        };
        for place in [&mut flow.from].into_iter().chain(to) {
            if let (Some(definition), Some(interface)) = (names.get(&place.node), &mut place.interface) {
                *interface = kernel(definition, interface);
            }
        }
    }
    spec
}
