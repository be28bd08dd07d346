//! What nodes' processes may do.

use super::Scene;
use super::diagnostics::DiagnosticList;
use crate::Diagnostic;
use crate::file::{NodeSpec, Spanned};
use crate::model::Kind;
use crate::rights::Rights;

/// The rights a node asks for.
pub(super) fn resolve(scene: &Scene, at: usize, diagnostics: &mut DiagnosticList) -> Rights {
    let spec = &scene.nodes[at];
    let values = |list: &Option<Vec<Spanned<String>>>| -> Vec<String> {
        list.iter().flatten().map(|it| it.value.clone()).collect()
    };
    Rights {
        privileged: spec.privileged.as_ref().is_some_and(|it| it.value),
        capabilities: values(&spec.capabilities),
        show_host: values(&spec.show_host).into_iter().map(Into::into).collect(),
        user_namespace: user_namespace(scene, at, diagnostics),
    }
}

/// Whether the node's users are its own. What such a node cannot be as well is told.
fn user_namespace(scene: &Scene, at: usize, diagnostics: &mut DiagnosticList) -> bool {
    let spec = &scene.nodes[at];
    let Some(wish) = spec.user_namespace.as_ref().filter(|it| it.value) else {
        return false;
    };
    if let Some((reason, help)) = obstacle(scene, at, spec) {
        let message = format!(
            "{} cannot have a user namespace of its own: {reason}",
            scene.name(at)
        );
        diagnostics.add_for(at, Diagnostic::new(message, wish.span.clone(), "").help(help));
        return false;
    }
    true
}

fn obstacle(scene: &Scene, at: usize, spec: &NodeSpec) -> Option<(&'static str, &'static str)> {
    let kind = scene.kind(at);
    let is_kubernetes = spec.engine.as_ref().is_some_and(|it| it.value.is_kubernetes());
    if spec.privileged.as_ref().is_some_and(|it| it.value) {
        return Some(("it is privileged", "keep one of the two"));
    }
    if scene.owners[at] != at || scene.is_on_host(at) {
        return Some((
            "its network is another's",
            "leave `network` out, or give the namespace to the node whose network it is",
        ));
    }
    if kind == Kind::Pod || (kind == Kind::K8s && is_kubernetes) {
        return Some(("Kubernetes makes the namespaces of its pods", "leave it out"));
    }
    None
}
