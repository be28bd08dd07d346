//! `CiliumBGPPeeringPolicy` (v2alpha1).

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::parts::{self, ASN, Attributes, PORT, ServiceAddress, TTL, Timers};
use crate::cilium::instance::AddressFamily;
use crate::cilium::reading::{head, items, number, required, text, word};
use crate::cilium::selector::Selector;
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// The port of BGP.
pub(super) const BGP: u16 = 179;

/// Virtual routers for the nodes it selects.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct PeeringPolicy {
    /// None selects every node, as Cilium has it.
    pub nodes: Option<Selector>,
    pub routers: Vec<VirtualRouter>,
}

/// A virtual router.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct VirtualRouter {
    pub asn: u32,
    pub export_pod_cidr: bool,
    pub pod_pools: Option<Selector>,
    pub services: Option<Selector>,
    pub service_addresses: BTreeSet<ServiceAddress>,
    pub neighbors: Vec<Neighbor>,
}

/// A neighbor.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct Neighbor {
    pub address: IpAddr,
    pub port: u16,
    pub asn: u32,
    pub multihop: u8,
    pub timers: Timers,
    pub restart: Option<u16>,
    pub secret: Option<String>,
    pub families: BTreeSet<AddressFamily>,
    pub attributes: Vec<AttributeRule>,
}

/// Path attributes for some of what is announced.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct AttributeRule {
    pub of: Announces,
    pub selector: Option<Selector>,
    pub attributes: Attributes,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cilium) enum Announces {
    PodCidr,
    LoadBalancerPool,
    PodPool,
}

const ANNOUNCES: &[(&str, Announces)] = &[
    ("PodCIDR", Announces::PodCidr),
    ("CiliumLoadBalancerIPPool", Announces::LoadBalancerPool),
    ("CiliumPodIPPool", Announces::PodPool),
];

pub(super) fn read(reader: &mut Reader, table: &mut Table) -> Option<PeeringPolicy> {
    let nodes = table
        .get("nodeSelector")
        .and_then(|yaml| Selector::read(reader, yaml, "nodeSelector"));
    let mut routers: Vec<VirtualRouter> = Vec::new();
    let example = "{ localASN: 65010, neighbors: [{ peerAddress: 10.0.0.1/32, peerASN: 65000 }] }";
    for yaml in items(reader, table, "virtualRouters", example, 1..=usize::MAX) {
        let Some(router) = router(reader, yaml) else {
            continue;
        };
        if routers.iter().any(|known| known.asn == router.asn) {
            let message = format!("`localASN` {} stands twice in this policy", router.asn);
            let help = "a node has one virtual router an AS: put the neighbors into one";
            reader.wrong(yaml.span.start..yaml.span.start + 1, message, help);
        }
        routers.push(router);
    }
    Some(PeeringPolicy { nodes, routers })
}

fn router(reader: &mut Reader, yaml: &Yaml) -> Option<VirtualRouter> {
    let mut table = reader.table(yaml, "virtualRouters", "an item of `virtualRouters`")?;
    let local = table.get("localASN");
    let asn = local.and_then(|yaml| number(reader, yaml, "localASN", ASN));
    let asn = required(reader, &table, "localASN", "65010", asn, local.is_some());
    let export = table
        .get("exportPodCIDR")
        .and_then(|yaml| reader.boolean(yaml, "exportPodCIDR"));
    let pod_pools = table
        .get("podIPPoolSelector")
        .and_then(|yaml| Selector::read(reader, yaml, "podIPPoolSelector"));
    let services = table
        .get("serviceSelector")
        .and_then(|yaml| Selector::read(reader, yaml, "serviceSelector"));
    let addresses = table
        .get("serviceAdvertisements")
        .map(|yaml| parts::service_addresses(reader, yaml, "serviceAdvertisements"));
    let mut neighbors: Vec<Neighbor> = Vec::new();
    let example = "{ peerAddress: 10.0.0.1/32, peerASN: 65000 }";
    for yaml in items(reader, &mut table, "neighbors", example, 1..=usize::MAX) {
        let Some(neighbor) = neighbor(reader, yaml) else {
            continue;
        };
        if neighbors.iter().any(|known| known.address == neighbor.address) {
            let message = format!("the neighbor {} stands twice", neighbor.address);
            reader.wrong(yaml.span.start..yaml.span.start + 1, message, "keep one of them");
        }
        neighbors.push(neighbor);
    }
    table.finish(reader);
    Some(VirtualRouter {
        asn: asn?,
        export_pod_cidr: export.is_some_and(|it| it.value),
        pod_pools,
        services,
        service_addresses: addresses.unwrap_or_else(|| [ServiceAddress::LoadBalancer].into()),
        neighbors,
    })
}

fn neighbor(reader: &mut Reader, yaml: &Yaml) -> Option<Neighbor> {
    let mut table = reader.table(yaml, "neighbors", "an item of `neighbors`")?;
    let said = table.get("peerAddress");
    let address = said.and_then(|yaml| peer_address(reader, yaml));
    let address = required(
        reader,
        &table,
        "peerAddress",
        "10.0.0.1/32",
        address,
        said.is_some(),
    );
    let said = table.get("peerASN");
    let asn = said.and_then(|yaml| number(reader, yaml, "peerASN", ASN));
    let asn = required(reader, &table, "peerASN", "65000", asn, said.is_some());
    let port = table
        .get("peerPort")
        .and_then(|yaml| number(reader, yaml, "peerPort", PORT));
    let multihop = table
        .get("eBGPMultihopTTL")
        .and_then(|yaml| number(reader, yaml, "eBGPMultihopTTL", TTL));
    let timers = parts::timers(reader, &mut table);
    let restart = table
        .get("gracefulRestart")
        .and_then(|yaml| parts::graceful_restart(reader, yaml));
    let secret = table
        .get("authSecretRef")
        .and_then(|yaml| text(reader, yaml, "authSecretRef", "bgp-password"));
    let families = table
        .get("families")
        .and_then(|yaml| families(reader, yaml))
        .unwrap_or_default();
    let example = "{ selectorType: PodCIDR, localPreference: 150 }";
    let attributes = table
        .get("advertisedPathAttributes")
        .and_then(|yaml| reader.list(yaml, "advertisedPathAttributes", example, attribute_rule));
    table.finish(reader);
    let both = || [AddressFamily::Ipv4, AddressFamily::Ipv6].into();
    Some(Neighbor {
        address: address?,
        port: port.unwrap_or(BGP),
        asn: asn?,
        multihop: multihop.unwrap_or(1),
        timers,
        restart,
        secret,
        families: if families.is_empty() { both() } else { families },
        attributes: attributes.unwrap_or_default(),
    })
}

/// An address with the length of a prefix, of which only the address counts.
fn peer_address(reader: &mut Reader, yaml: &Yaml) -> Option<IpAddr> {
    let written = text(reader, yaml, "peerAddress", "10.0.0.1/32")?;
    if let Ok(net) = written.parse::<IpNet>() {
        return Some(net.addr());
    }
    let help = match written.parse::<IpAddr>() {
        Ok(address) if address.is_ipv4() => format!("write `peerAddress: \"{address}/32\"`"),
        Ok(address) => format!("write `peerAddress: \"{address}/128\"`"),
        Err(_) => "for example `peerAddress: \"10.0.0.1/32\"`".to_owned(),
    };
    let message = format!("`peerAddress` is not in CIDR form: `{}`", written.escape_debug());
    reader.wrong(yaml.span.clone(), message, help);
    None
}

fn families(reader: &mut Reader, yaml: &Yaml) -> Option<BTreeSet<AddressFamily>> {
    let read = reader.list(
        yaml,
        "families",
        "{ afi: ipv4, safi: unicast }",
        |reader, yaml| {
            let mut table = reader.table(yaml, "families", "an item of `families`")?;
            let family = parts::family(reader, &mut table);
            table.finish(reader);
            family
        },
    )?;
    Some(read.into_iter().collect())
}

fn attribute_rule(reader: &mut Reader, yaml: &Yaml) -> Option<AttributeRule> {
    let what = "an item of `advertisedPathAttributes`";
    let mut table = reader.table(yaml, "advertisedPathAttributes", what)?;
    let of = match table.get("selectorType") {
        Some(yaml) => word(reader, yaml, "selectorType", ANNOUNCES),
        None => {
            let help = "write `selectorType: PodCIDR`";
            reader.wrong(head(&table), "`selectorType` is missing", help);
            None
        }
    };
    let selector = table
        .get("selector")
        .and_then(|yaml| Selector::read(reader, yaml, "selector"));
    let attributes = parts::attributes(reader, &mut table);
    table.finish(reader);
    Some(AttributeRule {
        of: of?,
        selector,
        attributes,
    })
}
