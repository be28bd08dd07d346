//! Nodes that run their images.

use std::collections::BTreeMap;
use std::path::Path;

use super::definition::Definition;
use super::{Topology, node};
use crate::import::Context;
use crate::import::images::Role;
use crate::lab::file::image::{self, ImageSpec};
use crate::lab::file::{ConfigSpec, NodeSpec, Spanned};
use crate::lab::model::{Command, Exec, Kind};

/// How many links a node has, as containerlab tells it.
const LINKS: &str = "CLAB_INTFS";
/// How the names of variables begin that say a node's labels.
const LABELS: &str = "CLAB_LABEL_";

/// A node that is its image; `kind` is what a file says of it beside.
pub(super) fn node(
    context: &mut Context,
    name: &Spanned<String>,
    mut merged: Definition,
    kind: Option<Spanned<String>>,
    containers: &mut Vec<(usize, Spanned<String>)>,
    at: usize,
) -> NodeSpec {
    node::prepare(context, name, &mut merged);
    let mut node = NodeSpec {
        env: node::environment(context, &merged),
        image: image(context, name, &merged),
        ..NodeSpec::default()
    };
    let is_of_kind = kind.is_some();
    match kind {
        Some(kind) => node.vendor = Some(kind),
        None => {
            let span = merged
                .kind
                .as_ref()
                .map_or(name.span.clone(), |kind| kind.span.clone());
            node.kind = Some(Spanned::new(Kind::Host, span));
        }
    }
    let own_network = node::network(&mut context.reader, name, &merged, &mut node, containers, at);
    if own_network && !is_of_kind {
        for sysctl in node::FORWARDING {
            let one = Spanned::new("1".to_owned(), name.span.clone());
            node.sysctls.insert(sysctl.to_owned(), one);
        }
    }
    for (label, value) in &merged.labels {
        let value = Spanned::new(value.value.clone(), value.span.clone());
        node.env.entry(variable(label)).or_insert(value);
    }
    node.sysctls.extend(std::mem::take(&mut merged.sysctls));
    node.hostname = merged.hostname.clone();
    node.aliases = node::aliases(context, name, &merged);
    configuration(context, name, &mut merged, is_of_kind, &mut node);
    // A system with a kind of its own takes commands when it is ready.
    let place = if is_of_kind {
        &mut node.after_ready
    } else {
        &mut node.exec
    };
    *place = exec(context, &merged);
    node.labels = merged.labels;
    node.binds = merged.binds;
    node.mounts = merged.mounts;
    node.mounts.extend(merged.shm);
    node.ports = merged.ports.filter(|ports| !ports.is_empty());
    node.wait_for = (!merged.wait_for.is_empty()).then_some(merged.wait_for);
    node.startup_delay = merged.startup_delay;
    node.cpu = merged.cpu;
    node.memory = merged.memory;
    node.privileged = merged.privileged;
    node.capabilities = merged
        .capabilities
        .map(|it| it.value)
        .filter(|capabilities| !capabilities.is_empty());
    if merged.of_images.contains("devices") && node.privileged.as_ref().is_none_or(|it| !it.value) {
        context.reader.ignored.insert("devices".to_owned());
    }
    node
}

/// What is said of the image itself.
fn image(context: &mut Context, name: &Spanned<String>, merged: &Definition) -> ImageSpec {
    let source = merged
        .image
        .as_ref()
        .and_then(|image| match image::source(&image.value) {
            Ok(source) => Some(Spanned::new(source, image.span.clone())),
            Err(wrong) => {
                context
                    .reader
                    .wrong(image.span.clone(), wrong.message, wrong.help);
                None
            }
        });
    let restart = merged
        .restart
        .map(|restart| Spanned::new(restart, name.span.clone()));
    ImageSpec {
        source,
        pull: merged.pull.clone(),
        entrypoint: merged.entrypoint.clone(),
        cmd: merged.cmd.clone(),
        user: merged.user.clone(),
        healthcheck: merged.healthcheck.clone(),
        restart,
        ..ImageSpec::default()
    }
}

/// The first configuration, the model and the license, which the kind's file gives a place, and other files that keys stand for.
fn configuration(
    context: &mut Context,
    name: &Spanned<String>,
    merged: &mut Definition,
    is_of_kind: bool,
    node: &mut NodeSpec,
) {
    let known = node
        .vendor
        .as_ref()
        .and_then(|kind| context.kinds().find(&kind.value));
    let takes_config = known.is_some_and(|kind| !kind.startup_config.is_empty() || kind.base == Kind::Router);
    let takes_license = known.is_some_and(|kind| kind.license.is_some());
    let remote = merged
        .startup_config
        .as_ref()
        .is_some_and(|it| node::is_remote(&it.value));
    let is_frr = node::is_frr(merged);
    if !remote && !is_frr {
        // One that is to be fetched is told with other files.
        let config = merged.startup_config.take();
        match config {
            Some(config) if takes_config => {
                let line = context.files.line(config.span.start).1;
                // What has several lines is the configuration itself.
                let span = config.span.clone();
                let spec = match config.value.contains('\n') {
                    true => ConfigSpec::Text {
                        text: config.value,
                        line,
                    },
                    false => ConfigSpec::File(config),
                };
                node.config = Some(Spanned::new(spec, span));
            }
            Some(_) => drop(context.reader.ignored.insert("startup-config".to_owned())),
            None => {}
        }
    }
    let role = if is_frr { Role::Frr } else { Role::Tools };
    node::files(&mut context.reader, merged, role, node);
    match merged.model.take() {
        Some(model) if is_of_kind => node.model = Some(model),
        Some(_) => drop(context.reader.ignored.insert("type".to_owned())),
        None => {}
    }
    match merged.license.take() {
        Some(license) if takes_license => {
            let path = context.sources.locate(Path::new(&license.value));
            if context.sources.entry(&path).is_ok() {
                node.license = Some(license);
            } else {
                let nodes = context.remarks.unlicensed.entry(license.value).or_default();
                nodes.insert(name.value.clone());
            }
        }
        Some(_) => drop(context.reader.ignored.insert("license".to_owned())),
        None => {}
    }
    if let Some(kind) = merged.kind.as_ref().filter(|_| !is_of_kind && !is_linux(merged)) {
        let nodes = context.remarks.bare.entry(kind.value.clone()).or_default();
        nodes.insert(name.value.clone());
    }
}

/// Whether its kind says nothing of what is in its image.
fn is_linux(merged: &Definition) -> bool {
    let is = |kind: &str| kind == "linux" || kind == "ext-container" || super::kinds::runs_frr(kind);
    merged.kind.as_ref().is_none_or(|kind| is(&kind.value))
}

/// Its commands, as they are: the image has the programs.
fn exec(context: &Context, merged: &Definition) -> Option<Vec<Exec>> {
    let commands = merged.early.iter().chain(&merged.exec);
    let exec: Vec<Exec> = commands
        .map(|command| Exec {
            command: Command::Argv(command.value.clone()),
            may_fail: !context.options.strict,
            line: context.files.line(command.span.start).1,
        })
        .collect();
    (!exec.is_empty()).then_some(exec)
}

/// The variable that says a label.
fn variable(label: &str) -> String {
    let upper = label.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    LABELS.chars().chain(upper).collect()
}

/// Tells the nodes that are images how many links they have.
pub(super) fn count_links(topology: &mut Topology) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for end in topology.links.iter().flat_map(|link| &link.endpoints) {
        *counts.entry(&end.node.value).or_default() += 1;
    }
    for (name, node) in &mut topology.nodes {
        if node.image.source.is_some() || node.vendor.is_some() {
            let count = counts.get(name.value.as_str()).copied().unwrap_or_default();
            let count = Spanned::new(count.to_string(), name.span.clone());
            node.env.entry(LINKS.to_owned()).or_insert(count);
        }
    }
}
