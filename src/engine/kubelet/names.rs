//! The cluster's DNS as the API server knows it.

use serde_json::{Value, json};

use crate::dns::PORT;
use crate::engine::dns::{USER, slices_of};
use crate::lab::model::{Cluster, Dns};

/// The service kube-dns, as kubeadm makes it, and what its servers may ask for. The service leads to the address that it has
/// itself, which is each node's own: so it does whoever leads to services.
pub fn objects(cluster: &Cluster, minor: u32) -> Vec<Value> {
    let Some(address) = cluster.dns_address().filter(|_| cluster.dns == Dns::Own) else {
        return Vec::new();
    };
    let metadata = json!({
        "name": "kube-dns", "namespace": "kube-system",
        "labels": { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "KubeDNS" },
    });
    let (mut sliced, mut shown) = (metadata.clone(), metadata.clone());
    sliced["labels"]["kubernetes.io/service-name"] = json!("kube-dns");
    sliced["labels"]["endpointslice.kubernetes.io/managed-by"] = json!("nslab");
    shown["labels"]["endpointslice.kubernetes.io/skip-mirror"] = json!("true");
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
            "apiVersion": format!("discovery.k8s.io/{}", slices_of(minor)), "kind": "EndpointSlice", "metadata": sliced,
            "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" }, "ports": ports,
            "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        }),
        // For who looks at these; what follows from them would come late.
        json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": shown,
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
