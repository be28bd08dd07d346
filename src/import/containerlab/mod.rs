//! containerlab's topologies.

mod container;
mod definition;
pub(super) mod exports;
mod extras;
mod image;
mod kinds;
mod life;
mod links;
mod magic;
mod mgmt;
mod node;
mod startup;

use std::collections::HashMap;

use super::kind::Cluster;
use super::reader::Reader;
use super::yaml::Yaml;
use super::{Context, kind};
use crate::lab::file::{LinkSpec, MgmtSpec, NodeSpec, Span, Spanned, suggest, values};
use definition::Definition;
use kinds::Sort;

/// What containerlab calls its containers by when the file does not say: `clab-LAB-NODE`.
const PREFIX: &str = "clab";

/// A topology as lab files have it, but for the nodes that live in a Kubernetes node's network.
#[derive(Debug, Default)]
pub(super) struct Topology {
    pub name: Option<Spanned<String>>,
    pub mgmt: Option<MgmtSpec>,
    pub nodes: Vec<(Spanned<String>, NodeSpec)>,
    pub links: Vec<LinkSpec>,
    /// kind's clusters that the topology starts itself.
    pub clusters: Vec<Cluster>,
    /// Whether a cluster's own file is missing: what its nodes are called is not known then.
    pub lacks_cluster: bool,
    /// What a container is called before the node's own name.
    pub container_prefix: String,
    /// For nodes that live in another's network: what `container:` names, by the place of the node.
    pub containers: Vec<(usize, Spanned<String>)>,
    /// Nodes that stand for containers made elsewhere, by name.
    pub external: Vec<(Spanned<String>, usize)>,
    pub partial_links: bool,
}

/// Reads a topology.
pub(super) fn read(yaml: &Yaml, context: &mut Context) -> Topology {
    let mut topology = Topology::default();
    let reader = &mut context.reader;
    let Some(mut table) = reader.table(yaml, "topology", "a containerlab topology") else {
        return topology;
    };
    match table.get("name") {
        Some(yaml) => topology.name = reader.parsed(yaml, "name", "my-lab", name),
        None => reader.wrong(
            first_line(yaml),
            "a containerlab topology has no `name`",
            "add `name: my-lab`",
        ),
    }
    let prefix = table
        .raw("prefix")
        .map(|yaml| yaml.scalar().map(str::to_owned).unwrap_or_default());
    let written = yaml.get("name").and_then(Yaml::scalar).unwrap_or_default();
    topology.container_prefix = container_prefix(prefix.as_deref(), written);
    context.prefix.clone_from(&topology.container_prefix);
    let range = table.get("mgmt").and_then(|yaml| {
        let (spec, range) = mgmt::read(&mut context.reader, yaml)?;
        topology.mgmt = Some(spec);
        Some(range)
    });
    let reader = &mut context.reader;
    table.ignore(&["settings", "debug", "vars"], reader);
    match table.get("topology") {
        Some(yaml) => inner(yaml, context, &mut topology),
        None => reader.wrong(
            first_line(yaml),
            "a containerlab topology has no `topology`",
            "add `topology:` with `nodes:` and `links:` below it",
        ),
    }
    table.finish(&mut context.reader);
    mgmt::settle(&mut topology, range.as_ref());
    // Before addresses of a range are given: containerlab's templates know those only that the file says.
    startup::render(context, &mut topology);
    if let Some(range) = range {
        range.give(&mut topology, &mut context.reader);
    }
    topology
}

/// A topology's name may have capitals, underscores and dots, which a lab's, being a path, has not.
fn name(text: &str) -> Result<String, crate::lab::file::reader::Wrong> {
    Ok(text.to_ascii_lowercase().replace(['_', '.'], "-"))
}

/// `<prefix>-<lab>-`; an empty prefix leaves the node's name alone, `__lab-name` the lab's.
fn container_prefix(prefix: Option<&str>, lab: &str) -> String {
    match prefix {
        Some("") => String::new(),
        Some("__lab-name") => format!("{lab}-"),
        Some(prefix) => format!("{prefix}-{lab}-"),
        None => format!("{PREFIX}-{lab}-"),
    }
}

fn first_line(yaml: &Yaml) -> Span {
    let first = yaml.entries().and_then(<[_]>::first);
    first.map_or(yaml.span.clone(), |(key, _)| key.span.clone())
}

/// Definitions by the name of a kind or a group.
type Definitions = HashMap<String, Definition>;

fn inner(yaml: &Yaml, context: &mut Context, topology: &mut Topology) {
    let Some(mut table) = context.reader.table(yaml, "topology", "`topology`") else {
        return;
    };
    let defaults = table.get("defaults").map_or_else(Definition::default, |yaml| {
        definition::read(&mut context.reader, yaml, "defaults", "`defaults`".into())
    });
    let kinds = table.get("kinds").map_or_else(Definitions::new, |yaml| {
        definitions(context, yaml, "kinds", kinds::check_name)
    });
    let groups = table.get("groups").map_or_else(Definitions::new, |yaml| {
        definitions(context, yaml, "groups", |_, _| {})
    });
    let mut sorts = HashMap::new();
    if let Some(yaml) = table.get("nodes") {
        let nodes = context
            .reader
            .map(yaml, "nodes", "nodes: { web: { kind: linux } }");
        for (name, yaml) in nodes {
            let what = format!("node `{}`", name.name.escape_debug());
            let own = definition::read(&mut context.reader, yaml, &name.name, what);
            let own_exec = own.exec.clone();
            let name = Spanned::new(name.name.to_string(), name.span.clone());
            let merged = inherit(&mut context.reader, &defaults, &kinds, &groups, &own);
            context.described.insert(name.value.clone(), described(&merged));
            if let Some(sort) = kinds::sort(context, &name, &merged) {
                sorts.insert(name.value.clone(), sort);
                let merged = Definition { own_exec, ..merged };
                add(context, topology, name, sort, merged);
            } else {
                // A node of a kind that cannot be has been told; it stays, so that its links are no errors too.
                let stand_in = node::stand_in(&name);
                topology.nodes.push((name, stand_in));
            }
        }
    }
    if let Some(yaml) = table.get("links") {
        links::read(&mut context.reader, yaml, &sorts, topology);
    }
    image::count_links(topology);
    table.finish(&mut context.reader);
}

/// What the files say that tools read about a lab.
fn described(merged: &Definition) -> exports::Described {
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|it| it.value.clone());
    exports::Described {
        kind: text(&merged.kind).unwrap_or_default(),
        image: text(&merged.image).unwrap_or_default(),
        group: text(&merged.group).unwrap_or_default(),
    }
}

fn definitions(
    context: &mut Context,
    yaml: &Yaml,
    key: &'static str,
    check: impl Fn(&mut Context, &Spanned<String>),
) -> Definitions {
    let mut definitions = Definitions::new();
    for (name, yaml) in context
        .reader
        .map(yaml, key, &format!("{key}: {{ linux: {{ image: alpine }} }}"))
    {
        let name = Spanned::new(name.name.to_string(), name.span.clone());
        check(context, &name);
        let what = format!("`{key}.{}`", name.value.escape_debug());
        let definition = definition::read(&mut context.reader, yaml, &name.value, what);
        definitions.insert(name.value, definition);
    }
    definitions
}

/// Defaults, then the kind's, then the group's, then the node's own.
fn inherit(
    reader: &mut Reader,
    defaults: &Definition,
    kinds: &Definitions,
    groups: &Definitions,
    own: &Definition,
) -> Definition {
    let group_name = own.group.as_ref().or(defaults.group.as_ref());
    let group = group_name.and_then(|name| groups.get(&name.value));
    if let Some(name) = group_name.filter(|_| group.is_none() && !groups.is_empty()) {
        let known = groups.keys().map(String::as_str);
        let help = suggest::cure(&name.value, known, "the groups are", "remove `group`");
        let message = format!("there is no group `{}`", name.value.escape_debug());
        reader.wrong(name.span.clone(), message, help);
    }
    let layers = [Some(own), group, Some(defaults)];
    let kind = layers.into_iter().flatten().find_map(|layer| layer.kind.clone());
    let by_kind = kind.as_ref().and_then(|kind| kinds.get(&kind.value));
    let mut merged = defaults.clone();
    for layer in [by_kind, group, Some(own)].into_iter().flatten() {
        merged.overlay(layer);
    }
    merged.kind = kind;
    merged
}

/// Adds a node of a kind that nslab has an answer to.
fn add(
    context: &mut Context,
    topology: &mut Topology,
    name: Spanned<String>,
    sort: Sort,
    merged: Definition,
) {
    match sort {
        // Its links lead to the host, and it is nothing else.
        Sort::Host => {}
        Sort::Cluster => cluster(context, topology, &name, &merged),
        Sort::External => {
            let node = node::linux(
                context,
                &name,
                merged,
                &mut topology.containers,
                topology.nodes.len(),
            );
            topology.external.push((name.clone(), topology.nodes.len()));
            topology.nodes.push((name, node));
        }
        Sort::OfKind | Sort::Bare => {
            let kind = (sort == Sort::OfKind).then(|| merged.kind.clone()).flatten();
            let at = topology.nodes.len();
            let node = image::node(context, &name, merged, kind, &mut topology.containers, at);
            topology.nodes.push((name, node));
        }
        Sort::Linux => {
            let node = node::linux(
                context,
                &name,
                merged,
                &mut topology.containers,
                topology.nodes.len(),
            );
            topology.nodes.push((name, node));
        }
        Sort::Bridge => topology
            .nodes
            .push((name.clone(), node::bridge(context, &name, merged))),
    }
}

/// A cluster that containerlab has kind start: its configuration is in a file of its own.
fn cluster(context: &mut Context, topology: &mut Topology, name: &Spanned<String>, merged: &Definition) {
    let Some(file) = &merged.startup_config else {
        let one = kind::Cluster::of_one_node(name.clone());
        topology.clusters.push(one);
        return;
    };
    let Some(documents) = context.open(file) else {
        topology.lacks_cluster = true;
        return;
    };
    for yaml in &documents {
        let mut cluster = kind::read(yaml, context);
        cluster.name = name.clone();
        topology.clusters.push(cluster);
    }
}

/// The interface's name, checked.
fn interface(reader: &mut Reader, text: &str, span: &Span) -> Option<Spanned<String>> {
    match values::written_interface(text) {
        Ok(name) => Some(Spanned::new(name, span.clone())),
        Err(wrong) => {
            reader.wrong(span.clone(), wrong.message, wrong.help);
            None
        }
    }
}
