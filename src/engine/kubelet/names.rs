//! The cluster's DNS as the API server knows it.

use serde_json::{Value, json};

use crate::dns::PORT;
use crate::engine::dns::USER;
use crate::lab::model::{Cluster, Dns};

/// The service kube-dns, as kubeadm makes it, and what its servers may ask for. The service leads to the address that it has
/// itself, which is each node's own: so it does whoever leads to services.
pub fn objects(cluster: &Cluster) -> Vec<Value> {
    let Some(address) = cluster.dns_address().filter(|_| cluster.dns == Dns::Own) else {
        return Vec::new();
    };
    let metadata = json!({
        "name": "kube-dns", "namespace": "kube-system",
        "labels": { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "KubeDNS" },
    });
    let port = |name: &str, protocol: &str| json!({ "name": name, "port": PORT, "protocol": protocol });
    let ports = [port("dns", "UDP"), port("dns-tcp", "TCP")];
    let rbac = "rbac.authorization.k8s.io";
    let may = json!(["list", "watch"]);
    vec![
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": { "clusterIP": address, "ports": ports },
        }),
        json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata,
            "subsets": [{ "addresses": [{ "ip": address }], "ports": ports }],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": { "name": USER },
            "rules": [
                { "apiGroups": [""], "resources": ["services", "namespaces"], "verbs": may },
                { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": may },
            ],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": { "name": USER },
            "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": USER },
            "subjects": [{ "apiGroup": rbac, "kind": "User", "name": USER }],
        }),
    ]
}
