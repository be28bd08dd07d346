//! Cilium's Helm values: what changes the network that a node shows. The rest has no effect here, and is listed.

use ipnet::{Ipv4Net, Ipv6Net};

use super::Context;
use super::reader::{Reader, Table};
use super::yaml::Yaml;
use crate::lab::file::kubernetes::{IPAMS, ROUTINGS};
use crate::lab::file::{CiliumSpec, Ipam, KubernetesSpec, Routing, Spanned, values};

/// Reads Helm values into what is known of Cilium and of the pods' networks.
pub(super) fn values(
    yaml: &Yaml,
    context: &mut Context,
    cilium: &mut CiliumSpec,
    kubernetes: &mut KubernetesSpec,
) {
    let reader = &mut context.reader;
    let Some(entries) = yaml.entries() else {
        reader.mistyped(yaml, "values", "a mapping", "ipam: { mode: kubernetes }");
        return;
    };
    cilium.span = yaml.span.start..yaml.span.start + 1;
    for (key, value) in entries {
        let known = one(reader, &key.name, value, cilium, kubernetes);
        if !known {
            context.without_effect.insert(key.name.to_string());
        }
    }
}

/// One of the values; false where it has no effect here.
fn one(
    reader: &mut Reader,
    key: &str,
    yaml: &Yaml,
    cilium: &mut CiliumSpec,
    kubernetes: &mut KubernetesSpec,
) -> bool {
    match key {
        // The spelling of today, and the one until Cilium 1.14: `tunnel: disabled`, or the tunnel's protocol.
        "routingMode" => cilium.routing = reader.word(yaml, key, ROUTINGS),
        "tunnel" => {
            let words = [
                ("disabled", Routing::Native),
                ("vxlan", Routing::Tunnel),
                ("geneve", Routing::Tunnel),
            ];
            cilium.routing = reader.word(yaml, key, &words);
        }
        "ipv4NativeRoutingCIDR" | "nativeRoutingCIDR" => {
            cilium.ipv4_native_cidr = reader.parsed(yaml, key, "10.0.0.0/8", |text| {
                values::subnet(text, values::ipv4_net, Ipv4Net::trunc)
            });
        }
        "ipv6NativeRoutingCIDR" => {
            cilium.ipv6_native_cidr = reader.parsed(yaml, key, "fd00::/48", |text| {
                values::subnet(text, values::ipv6_net, Ipv6Net::trunc)
            });
        }
        "ipv4" => cilium.ipv4 = enabled(reader, key, yaml),
        "ipv6" => cilium.ipv6 = enabled(reader, key, yaml),
        "enableIPv4Masquerade" | "masquerade" => cilium.ipv4_masquerade = reader.boolean(yaml, key),
        "enableIPv6Masquerade" => cilium.ipv6_masquerade = reader.boolean(yaml, key),
        "bgpControlPlane" => cilium.bgp_control_plane = enabled(reader, key, yaml),
        "ipam" => ipam(reader, yaml, cilium, kubernetes),
        _ => return false,
    }
    true
}

/// `{ enabled: true }`, whatever stands beside it.
fn enabled(reader: &mut Reader, key: &str, yaml: &Yaml) -> Option<Spanned<bool>> {
    if yaml.entries().is_none() {
        reader.mistyped(yaml, key, "a mapping", &format!("{key}: {{ enabled: true }}"));
        return None;
    }
    yaml.get("enabled")
        .and_then(|yaml| reader.boolean(yaml, "enabled"))
}

fn ipam(reader: &mut Reader, yaml: &Yaml, cilium: &mut CiliumSpec, kubernetes: &mut KubernetesSpec) {
    let Some(mut table) = reader.table(yaml, "ipam", "`ipam`") else {
        return;
    };
    cilium.ipam = table
        .get("mode")
        .and_then(|yaml| reader.word(yaml, "mode", IPAMS));
    if let Some(yaml) = table.get("operator") {
        operator(reader, yaml, cilium, kubernetes);
    }
    table.ignore(
        &["ciliumNodeUpdateRate", "installUplinkRoutesForDelegatedIPAM"],
        reader,
    );
    table.finish(reader);
}

/// Cluster-pool's pools take the place of Kubernetes' pod subnets.
fn operator(reader: &mut Reader, yaml: &Yaml, cilium: &CiliumSpec, kubernetes: &mut KubernetesSpec) {
    let Some(mut table) = reader.table(yaml, "operator", "`ipam.operator`") else {
        return;
    };
    let pools = matches!(&cilium.ipam, Some(mode) if mode.value == Ipam::ClusterPool);
    let mut subnets = Vec::new();
    for (list, older) in [
        ("clusterPoolIPv4PodCIDRList", "clusterPoolIPv4PodCIDR"),
        ("clusterPoolIPv6PodCIDRList", "clusterPoolIPv6PodCIDR"),
    ] {
        let Some(yaml) = table.either(list, older) else {
            continue;
        };
        let one = |reader: &mut Reader, yaml: &Yaml| reader.parsed(yaml, list, "10.0.0.0/8", values::net);
        match yaml.items() {
            Some(items) => subnets.extend(items.iter().filter_map(|yaml| one(reader, yaml))),
            None => subnets.extend(one(reader, yaml)),
        }
    }
    let v4 = mask(reader, &mut table, "clusterPoolIPv4MaskSize", 32);
    let v6 = mask(reader, &mut table, "clusterPoolIPv6MaskSize", 128);
    table.ignore(
        &[
            "autoCreateCiliumPodIPPools",
            "externalAPILimitBurstSize",
            "externalAPILimitQPS",
        ],
        reader,
    );
    table.finish(reader);
    if pools {
        kubernetes.node_mask_v4 = v4;
        kubernetes.node_mask_v6 = v6;
        if !subnets.is_empty() {
            kubernetes.pod_subnet = subnets;
        }
    }
}

fn mask(reader: &mut Reader, table: &mut Table, key: &'static str, longest: i64) -> Option<Spanned<u8>> {
    table
        .get(key)
        .and_then(|yaml| reader.integer(yaml, key, 1..=longest))
}
