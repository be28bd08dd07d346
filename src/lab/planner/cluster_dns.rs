//! The names of a Kubernetes cluster: which nodes answer for them, and what their pods are told.
//!
//! As with NodeLocal DNSCache the server's address is that of the service kube-dns and each node's own, so that names are known
//! whatever becomes of the routes between nodes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::{Content, Dns, File, Kind, Lab, Network};
use crate::plan::{NodeStep, Plan, RouteStep, RouteStepAction};

/// The domain of a cluster.
pub const DOMAIN: &str = "cluster.local";
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The namespace of the lab's pods.
const NAMESPACE: &str = "default";

/// Adds what concerns the cluster's names to a plan of all nodes.
pub(super) fn plan(lab: &Lab, plan: &mut Plan) {
    let Some(address) = lab.cluster.dns_address() else {
        return;
    };
    let pods = plan.nodes.iter().filter(|step| step.kind == Kind::Pod);
    let with_pods: BTreeSet<String> = pods
        .filter_map(|step| Some(step.name.split_once('/')?.0.to_owned()))
        .collect();
    for (node, step) in lab.nodes.iter().zip(&mut plan.nodes) {
        if step.kind == Kind::Pod && !has_its_own(step) {
            step.files.insert(0, resolv_conf(address));
        }
        let has_pods = step.is_kubernetes() || with_pods.contains(&step.name);
        let answers = step.kind == Kind::K8s && node.network == Network::Own && has_pods;
        if let Some(namespace) = step.namespace.filter(|_| answers && lab.cluster.dns == Dns::Own) {
            step.dns = Some(address);
            plan.namespaces[namespace].routes.push(RouteStep {
                to: address.into(),
                action: RouteStepAction::Local,
                metric: None,
                table: None,
            });
        }
    }
}

/// Whether the lab file says what is there.
fn has_its_own(step: &NodeStep) -> bool {
    let files = step.files.iter().map(|file| &file.path);
    let mut paths = files.chain(step.binds.iter().map(|bind| &bind.target));
    paths.any(|path| path == RESOLV_CONF || path == "/etc")
}

/// As a kubelet writes it for pods whose `dnsPolicy` is ClusterFirst.
fn resolv_conf(address: IpAddr) -> File {
    File {
        path: RESOLV_CONF.to_owned(),
        content: Content::Text(format!(
            "search {NAMESPACE}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\nnameserver {address}\noptions ndots:5\n"
        )),
        mode: Some(0o644),
        owner: None,
    }
}
