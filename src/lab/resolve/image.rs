//! The images that nodes are, and how registries are reached.

use std::collections::BTreeMap;
use std::path::Path;

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::file::Spanned;
use crate::model::{EngineChoice, Image, Kind, Restart};
use nslab_image::source::{Registries, Registry, Source};

/// The image that a node is, where it is one.
pub(super) fn resolve(scene: &Scene, at: usize, diagnostics: &mut DiagnosticList) -> Option<Image> {
    let node = &scene.nodes[at];
    let spec = &node.image;
    let Some(written) = &spec.source else {
        // What all nodes inherit concerns those among them that are images.
        let own = scene.spec.nodes[at].1.image.given();
        for (key, span) in own {
            let message = format!("`{key}` is for nodes that are images, and this one has no `image`");
            let help =
                format!("add `image = \"…\"`, or remove `{key}`; what a plain node runs stands in `run`");
            diagnostics.add_for(at, Diagnostic::new(message, span, "").help(help));
        }
        return None;
    };
    for (obstacle, help) in obstacles(scene, at) {
        let message = format!("{} cannot be an image: {obstacle}", scene.name(at));
        diagnostics.add_for(at, Diagnostic::new(message, written.span.clone(), "").help(help));
    }
    let value = |it: &Option<Spanned<String>>| it.as_ref().map(|it| it.value.clone());
    Some(Image {
        source: source(scene, at, written, diagnostics),
        pull: spec.pull.as_ref().map(|it| it.value).unwrap_or_default(),
        entrypoint: spec.entrypoint.as_ref().map(|it| it.value.clone()),
        cmd: spec.cmd.as_ref().map(|it| it.value.clone()),
        user: value(&spec.user),
        workdir: value(&spec.workdir),
        healthcheck: spec.healthcheck.as_ref().map(|it| it.value.clone()),
        stop_signal: value(&spec.stop_signal),
        init: spec.init.as_ref().map(|it| it.value),
        restart: spec.restart.as_ref().map_or(Restart::OnFailure, |it| it.value),
        terminal: spec.terminal.as_ref().is_none_or(|it| it.value),
    })
}

/// Why a node cannot be an image, and what helps.
fn obstacles(scene: &Scene, at: usize) -> Vec<(&'static str, &'static str)> {
    let node = &scene.nodes[at];
    let mut obstacles = Vec::new();
    if matches!(scene.kind(at), Kind::K8s | Kind::Pod) {
        obstacles.push((
            "nslab brings what a Kubernetes node needs",
            "make it a host or a router, or remove `image`",
        ));
    }
    let engine = node
        .engine
        .as_ref()
        .map(|it| it.value)
        .and_then(EngineChoice::traits);
    if scene.kind(at) == Kind::Router && engine.is_some_and(|engine| !engine.is_in_images) {
        obstacles.push((
            "the built-in speaker is no part of an image",
            "remove `engine` or `image`",
        ));
    }
    if node.show_host.as_ref().is_some_and(|paths| !paths.is_empty()) {
        obstacles.push((
            "its root has nothing of the host's that `show_host` could show",
            "`binds = [\"/path:/path\"]` brings a path of the host's into it",
        ));
    }
    obstacles
}

/// Where the image is, seen from the lab file.
fn source(scene: &Scene, at: usize, written: &Spanned<Source>, diagnostics: &mut DiagnosticList) -> Source {
    let mut source = written.value.clone();
    let Some(path) = source.path_mut() else {
        return source;
    };
    let place = scene.sources.locate(Path::new(path));
    if let Err(reason) = scene.sources.entry(&place) {
        let message = format!("cannot read the image at {}: {reason}", path.display());
        let help = "paths are relative to the lab file";
        diagnostics.add_for(at, Diagnostic::new(message, written.span.clone(), "").help(help));
    }
    *path = place;
    source
}

/// How registries are reached.
pub(super) fn registries(scene: &Scene, diagnostics: &mut DiagnosticList) -> Registries {
    let Some(spec) = &scene.spec.images else {
        return Registries::default();
    };
    let mut file = |written: &Spanned<String>| {
        let place = scene.sources.locate(Path::new(&written.value));
        if let Err(reason) = scene.sources.entry(&place) {
            let message = format!("cannot read the certificates in {}: {reason}", written.value);
            let help = "paths are relative to the lab file";
            diagnostics.add(Diagnostic::new(message, written.span.clone(), "").help(help));
        }
        place
    };
    let mut insecure = spec.insecure.clone();
    let mut registry = BTreeMap::new();
    for (host, one) in &spec.registry {
        if one.insecure && !insecure.contains(host) {
            insecure.push(host.clone());
        }
        let own = one.own.as_ref().map(|(cert, key)| (file(cert), file(key)));
        let (cert, key) = own.unzip();
        let ca = one.ca.as_ref().map(&mut file);
        registry.insert(host.clone(), Registry { ca, cert, key });
    }
    Registries {
        mirrors: spec.mirrors.clone(),
        insecure,
        ca: spec.ca.as_ref().map(file),
        registry,
    }
}
