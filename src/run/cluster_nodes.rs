//! The nodes of a cluster, as its API server would show them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::state::Living;
use crate::cilium::{Kind, Store};
use crate::lab::model::{KubernetesNode, Stage};
use crate::lab::plan::NodeStep;

/// What a label that tells a node's role begins with.
const ROLE: &str = "node-role.kubernetes.io/";

/// All nodes, with what objects of theirs add to them.
pub fn nodes(lab: &Living, store: &Store) -> Vec<Value> {
    let mut all = Vec::new();
    for (number, step) in lab.plan.nodes.iter().enumerate() {
        let Some(node) = &step.kubernetes else { continue };
        let view = lab.cluster.line.view(&step.name);
        let is_ready = match &view {
            Some(view) => view.ready,
            None => *lab.nodes[number].stage.borrow() == Some(Stage::Ready),
        };
        let written = store
            .of_kind(Kind::Node)
            .find(|it| it.reference.name == step.name);
        let written = written.map(|object| store.shown(object)).unwrap_or_default();
        all.push(shown(step, node, is_ready, view.map(|it| it.version), written));
    }
    all
}

fn shown(
    step: &NodeStep,
    node: &KubernetesNode,
    is_ready: bool,
    version: Option<String>,
    written: Value,
) -> Value {
    let mut shown = json!({ "apiVersion": "v1", "kind": "Node" });
    shown["metadata"] = written["metadata"].clone();
    shown["metadata"]["name"] = json!(step.name);
    let mut labels = serde_json::to_value(&node.labels).unwrap_or_default();
    merge(&mut labels, &written["metadata"]["labels"]);
    shown["metadata"]["labels"] = labels;
    shown["spec"] = json!({ "podCIDRs": node.pod_cidrs });
    if let Some(first) = node.pod_cidrs.first() {
        shown["spec"]["podCIDR"] = json!(first);
    }
    let addresses = node
        .addresses
        .iter()
        .map(|it| json!({ "type": "InternalIP", "address": it }));
    let name = json!({ "type": "Hostname", "address": step.name });
    let ready = json!({ "type": "Ready", "status": if is_ready { "True" } else { "False" } });
    shown["status"] = json!({
        "addresses": addresses.chain([name]).collect::<Vec<_>>(),
        "conditions": [ready],
    });
    if let Some(version) = version {
        shown["status"]["nodeInfo"] = json!({ "kubeletVersion": version });
    }
    shown
}

fn merge(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else {
        return;
    };
    into.extend(from.iter().map(|(key, value)| (key.clone(), value.clone())));
}

/// The roles of a node by its labels, as kubectl has them.
pub fn roles(node: &Value) -> Vec<String> {
    let labels: BTreeMap<String, String> =
        serde_json::from_value(node["metadata"]["labels"].clone()).unwrap_or_default();
    let role = |(label, value): (&String, &String)| match label.strip_prefix(ROLE) {
        Some("") | None if label == "kubernetes.io/role" => Some(value.clone()),
        Some(role) if !role.is_empty() => Some(role.to_owned()),
        _ => None,
    };
    labels.iter().filter_map(role).collect()
}
