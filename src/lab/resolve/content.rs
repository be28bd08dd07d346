//! What comes from the host's disk into a node, and what runs there.

use std::collections::HashMap;
use std::path::Path;

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::file::{ConfigSpec, ContentSpec, FileSpec, MountSpec, NodeSpec, Span, Spanned};
use crate::model::{Bind, ConfigPlace, Content, File, Mount, Node};
use crate::sources::Entry;

pub(super) fn fill(node: &mut Node, scene: &Scene, at: usize, diagnostics: &mut DiagnosticList) {
    let spec = &scene.nodes[at];
    let config = spec.config.as_ref();
    (node.config, node.config_place) = config
        .and_then(|config| self::config(scene, at, config, diagnostics))
        .unzip();
    node.files = spec
        .files
        .iter()
        .filter_map(|spec| file(scene, at, spec, diagnostics))
        .collect();
    for bind in &spec.binds {
        let source = scene.sources.locate(Path::new(&bind.source.value));
        match scene.sources.entry(&source) {
            Ok(_) => node.binds.push(Bind {
                source,
                target: bind.target.clone(),
                read_only: bind.read_only,
            }),
            Err(reason) => missing(at, &bind.source.value, reason, &bind.source.span, diagnostics),
        }
    }
    node.mounts = mounts(node, spec, at, diagnostics);
    let mut names: HashMap<&str, &Span> = HashMap::new();
    for process in spec.run.iter().flatten() {
        if let Some(first) = names.insert(&process.value.name, &process.span) {
            let message = format!(
                "two processes of node `{}` are called `{}`",
                node.name, process.value.name
            );
            let diagnostic = Diagnostic::new(message, process.span.clone(), "again here")
                .and(first.clone(), "first here")
                .help("give one of them another name: it names the log");
            diagnostics.add_for(at, diagnostic);
        }
        node.run.push(process.value.clone());
    }
}

/// Volumes and file systems in memory; a bind at the same path is a slip.
fn mounts(node: &Node, spec: &NodeSpec, at: usize, diagnostics: &mut DiagnosticList) -> Vec<Mount> {
    let mounts = spec.mounts.iter().map(|MountSpec { target, what }| {
        if node.binds.iter().any(|bind| bind.target == target.value) {
            let message = format!("node `{}` has a bind at `{}` as well", node.name, target.value);
            let diagnostic = Diagnostic::new(message, target.span.clone(), "again here")
                .help("remove one, or give it another path");
            diagnostics.add_for(at, diagnostic);
        }
        Mount {
            target: target.value.clone(),
            what: what.clone(),
        }
    });
    let mut mounts: Vec<Mount> = mounts.collect();
    // One in another comes after it.
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts
}

/// A router's configuration; an empty one is none.
fn config(
    scene: &Scene,
    at: usize,
    config: &Spanned<ConfigSpec>,
    diagnostics: &mut DiagnosticList,
) -> Option<(String, ConfigPlace)> {
    let (text, place) = match &config.value {
        ConfigSpec::Text { text, line } => (
            text.clone(),
            ConfigPlace {
                file: None,
                line: *line,
            },
        ),
        ConfigSpec::File(file) => {
            let path = scene.sources.locate(Path::new(&file.value));
            match scene.sources.text(&path) {
                Ok(text) => (
                    text,
                    ConfigPlace {
                        file: Some(path),
                        line: 1,
                    },
                ),
                Err(reason) => {
                    missing(at, &file.value, reason, &file.span, diagnostics);
                    return None;
                }
            }
        }
    };
    (!text.trim().is_empty()).then_some((text, place))
}

fn file(scene: &Scene, at: usize, spec: &FileSpec, diagnostics: &mut DiagnosticList) -> Option<File> {
    let content = match &spec.content {
        ContentSpec::Text(text) => Content::Text(text.clone()),
        ContentSpec::From(from) => {
            let path = scene.sources.locate(Path::new(&from.value));
            match scene.sources.entry(&path) {
                Ok(Entry::Directory | Entry::File) => Content::From(path),
                Ok(Entry::Special(what)) => {
                    let message = format!("cannot copy `{}`: it is {what}", from.value.escape_debug());
                    let help = "`files` takes regular files and directories; `binds` shows the node anything of the host's";
                    diagnostics.add_for(at, Diagnostic::new(message, from.span.clone(), "").help(help));
                    return None;
                }
                Err(reason) => {
                    missing(at, &from.value, reason, &from.span, diagnostics);
                    return None;
                }
            }
        }
    };
    Some(File {
        path: spec.path.value.clone(),
        content,
        mode: spec.mode,
        owner: spec.owner.clone(),
    })
}

fn missing(at: usize, written: &str, reason: String, span: &Span, diagnostics: &mut DiagnosticList) {
    let message = format!("cannot use `{}`: {reason}", written.escape_debug());
    let help = "paths are relative to the directory of the lab file";
    diagnostics.add_for(at, Diagnostic::new(message, span.clone(), "").help(help));
}
