//! The manifests a lab names, with their texts.

use std::path::Path;

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::model::{Kind, Manifest};

/// Reads `manifests` of `[cilium]`. What is in them is looked at by whoever knows the objects.
pub(super) fn resolve(scene: &Scene, diagnostics: &mut DiagnosticList) -> Vec<Manifest> {
    let mut manifests = Vec::new();
    let named = scene.spec.cilium.iter().flat_map(|cilium| &cilium.manifests);
    let has_nodes = (0..scene.nodes.len()).any(|at| scene.kind(at) == Kind::K8s);
    for name in named {
        if !has_nodes {
            let message = "there is no Kubernetes node that could obey this manifest";
            let help = "give the nodes it is for `kind = \"k8s\"`, or remove it";
            diagnostics.add(Diagnostic::new(message, name.span.clone(), "").help(help));
            break;
        }
        let path = scene.sources.locate(Path::new(&name.value));
        match scene.sources.text(&path) {
            Ok(text) => manifests.push(Manifest {
                name: name.value.clone(),
                text,
            }),
            Err(reason) => {
                let message = format!("cannot use `{}`: {reason}", name.value.escape_debug());
                let help = "paths are relative to the directory of the lab file";
                diagnostics.add(Diagnostic::new(message, name.span.clone(), "").help(help));
            }
        }
    }
    manifests
}
