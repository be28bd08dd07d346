//! kind's file, where a topology has nodes in the network of a cluster that no file given makes: it mostly stands beside it.

use std::path::Path;

use super::{Context, Form, Parts, kind, recognize};

/// Reads the one file beside the topology that makes the cluster, and says so.
pub(super) fn kinds_file(parts: &mut Parts, context: &mut Context) -> Option<String> {
    let wanted = wanted(parts);
    if wanted.is_empty() || !parts.clusters.is_empty() {
        return None;
    }
    let found: Vec<(String, String)> = candidates(context)
        .into_iter()
        .filter(|(_, text)| {
            let name = name(text);
            wanted.iter().any(|container| is_of(container, &name))
        })
        .collect();
    let [(file, text)] = found.as_slice() else {
        return None;
    };
    let begin = context.files.add(file.clone(), text.clone());
    for yaml in context.documents(begin, false)?.iter() {
        let cluster = kind::read(yaml, context);
        parts.clusters.push(cluster);
    }
    Some(format!(
        "{file}: a kind cluster, whose nodes have others in their network"
    ))
}

/// The names of kind's files beside the topology.
pub(super) fn names(context: &Context) -> Vec<String> {
    candidates(context).into_iter().map(|(name, _)| name).collect()
}

fn candidates(context: &Context) -> Vec<(String, String)> {
    let files = context.sources.beside().into_iter();
    let texts = files.filter_map(|name| {
        let path = context.sources.locate(Path::new(&name));
        let text = context.sources.text(&path).ok()?;
        (recognize(&text) == Some(Form::Kind)).then_some((name, text))
    });
    texts.collect()
}

/// The containers that are no nodes of a topology's, by the names that they may have.
fn wanted(parts: &Parts) -> Vec<String> {
    let mut wanted = Vec::new();
    for (_, topology) in &parts.topologies {
        // A cluster that a topology starts itself has them.
        if !topology.clusters.is_empty() {
            continue;
        }
        let prefix = &topology.container_prefix;
        let is_own = |name: &str| topology.nodes.iter().any(|(node, _)| node.value == name);
        for (_, container) in &topology.containers {
            let name = &container.value;
            let short = name.strip_prefix(prefix.as_str()).unwrap_or(name);
            if !is_own(name) && !is_own(short) {
                wanted.extend([name.clone(), format!("{prefix}{name}")]);
            }
        }
        wanted.extend(topology.external.iter().map(|(name, _)| name.value.clone()));
    }
    wanted
}

/// A cluster's name, by its line.
fn name(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("name:"));
    let name = line.map(|rest| rest.split('#').next().unwrap_or_default().trim());
    name.unwrap_or("kind").trim_matches(['"', '\'']).to_owned()
}

/// Whether a container's name is that of a cluster's node.
fn is_of(container: &str, cluster: &str) -> bool {
    let rest = container
        .strip_prefix(cluster)
        .and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.starts_with("control-plane") || rest.starts_with("worker"))
}
