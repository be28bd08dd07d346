//! Pods of the lab file as Pods of the cluster: their containers only wait, and what the lab file says of them is done beside
//! those, in the network of the same sandbox.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde_json::{Value, json};

use super::image;
use crate::failure::Failure;
use crate::lab::model::{Cluster, Kind, Stage, Wait};
use crate::lab::plan::{Device, NamespaceStep, Plan, PortStep, RouteStepAction, SandboxStep};

/// The namespace of Kubernetes' that they are in.
const NAMESPACE: &str = "default";
/// The interface of a sandbox (kubelets ask for no other).
const INTERFACE: &str = "eth0";
const LOOPBACK: u32 = 1;

/// A pod of the lab file.
pub struct Pod {
    /// The index of its node.
    pub node: usize,
    /// The name it has in the lab.
    full: String,
    /// Its addresses, which nslab's plugin keeps for it.
    pub addresses: Vec<IpNet>,
    labels: BTreeMap<String, String>,
    ports: BTreeMap<String, u16>,
}

impl Pod {
    /// The name of its Pod: names are the cluster's, so its node's comes first.
    fn name(&self) -> String {
        self.full.replace('/', "-")
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{NAMESPACE}/{}", self.name())
    }

    /// As the API server is told: on its node whatever the scheduler thinks, and staying there.
    pub fn object(&self) -> Value {
        let ports = self.ports.iter();
        let ports: Vec<Value> = ports
            .map(|(name, number)| json!({ "name": name, "containerPort": number }))
            .collect();
        let (node, pod) = self.full.split_once('/').unwrap_or(("", &self.full));
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name(), "namespace": NAMESPACE, "labels": self.labels },
            "spec": {
                "nodeName": node, "hostname": pod, "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false, "enableServiceLinks": false,
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "pause", "image": image::NAME, "imagePullPolicy": "Never", "ports": ports }],
            },
        })
    }
}

/// The account of Pods that name none, which the controller manager makes only once it runs.
pub fn account() -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default", "namespace": NAMESPACE } })
}

/// Leaves the networks of the pods on these nodes to their kubelets. Returns the pods.
pub fn take_over(plan: &mut Plan, members: &[usize]) -> Vec<Pod> {
    let mut pods = Vec::new();
    for at in 0..plan.nodes.len() {
        let step = &plan.nodes[at];
        let host = step.name.split_once('/').map(|(node, _)| node);
        let on = |member: &&usize| Some(plan.nodes[**member].name.as_str()) == host;
        let Some(node) = members
            .iter()
            .find(on)
            .copied()
            .filter(|_| step.kind == Kind::Pod)
        else {
            continue;
        };
        let Some(namespace) = step.namespace else { continue };
        let pod = Pod {
            node,
            full: step.name.clone(),
            addresses: plan.namespaces[namespace]
                .addresses
                .iter()
                .map(|(_, net)| *net)
                .collect(),
            labels: step.labels.clone(),
            ports: step.named_ports.clone(),
        };
        unplug(plan, namespace);
        plan.namespaces[namespace].sandbox = Some(SandboxStep {
            node,
            pod: pod.key(),
            interface: INTERFACE.to_owned(),
        });
        plan.nodes[at].wait_for.push(Wait {
            node,
            stage: Stage::Ready,
        });
        pods.push(pod);
    }
    pods
}

/// Whether the pods can be as the lab file has them.
///
/// # Errors
/// Nobody gives them a network, or two would have one name in the cluster.
pub fn check(pods: &[Pod], settings: &Cluster) -> Result<(), Failure> {
    if let Some(pod) = pods.first().filter(|_| settings.leaves_network) {
        let message = format!(
            "pod {} has no network: its cluster's is left to what is installed",
            pod.full
        );
        return Err(Failure::wrong(message)
            .help("remove `pods` from the nodes, or `cni` and `agent` from the cluster"));
    }
    let mut names = BTreeMap::new();
    for pod in pods {
        if let Some(other) = names.insert(pod.name(), &pod.full) {
            let message = format!(
                "pods {other} and {} would both be called {} in the cluster",
                pod.full,
                pod.name()
            );
            return Err(Failure::wrong(message).help("give one of them another name"));
        }
    }
    Ok(())
}

/// Takes out the links of a namespace, and what is said of their other ends.
fn unplug(plan: &mut Plan, namespace: usize) {
    let ends = |device: &Device| -> Option<PortStep> {
        match device {
            Device::Veth(a, b) if b.namespace == namespace => Some(a.clone()),
            Device::Veth(a, b) if a.namespace == namespace => Some(b.clone()),
            _ => None,
        }
    };
    let gone: Vec<PortStep> = plan.links.iter().filter_map(|link| ends(&link.device)).collect();
    plan.links.retain(|link| ends(&link.device).is_none());
    for port in gone {
        let step = &mut plan.namespaces[port.namespace];
        let is_other = |index: &u32| *index != port.index;
        step.up.retain(is_other);
        step.addresses.retain(|(index, _)| is_other(index));
        step.routes.retain(|route| match &route.action {
            RouteStepAction::Forward(hops) => hops.iter().all(|hop| hop.dev != Some(port.index)),
            _ => true,
        });
        let concerns = |path: &str| path.split('/').any(|part| part == port.name);
        step.late_sysctls.retain(|(path, _)| !concerns(path));
        step.no_offload.retain(|name| *name != port.name);
    }
    let step = &mut plan.namespaces[namespace];
    let addresses = std::mem::take(&mut step.addresses);
    *step = NamespaceStep {
        node: step.node.clone(),
        sysctls: std::mem::take(&mut step.sysctls),
        late_sysctls: std::mem::take(&mut step.late_sysctls),
        up: vec![LOOPBACK],
        addresses,
        ..NamespaceStep::default()
    };
}

/// What is kept for the pods of a node by nslab's plugin.
pub fn reserved(pods: &[Pod], node: usize) -> BTreeMap<String, BTreeSet<IpNet>> {
    let own = pods.iter().filter(|pod| pod.node == node);
    own.map(|pod| (pod.key(), pod.addresses.iter().copied().collect()))
        .collect()
}
