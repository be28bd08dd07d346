//! Kubernetes' own objects, as far as Cilium's BGP looks at them: services and secrets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::cilium::reading::{address, number, required, text, texts, word};
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct Service {
    pub load_balancer: bool,
    /// Addresses that are wanted of the load balancer's.
    pub wanted: Vec<IpAddr>,
    pub families: Policy,
    pub cluster: Vec<IpAddr>,
    /// Whether it has an address in the cluster that it need not name.
    pub wants_cluster: bool,
    /// The name outside of the cluster that it stands for (type ExternalName).
    pub stands_for: Option<String>,
    pub external: Vec<IpAddr>,
    /// Whether its addresses outside lead to pods of the node alone, which announces them only where it has such pods.
    pub local: bool,
    /// Labels of the pods that answer; none where somebody else says who does.
    pub selector: BTreeMap<String, String>,
    pub ports: Vec<Port>,
    /// Whether all that one client sends goes to one pod (`sessionAffinity: ClientIP`).
    pub sticks: bool,
    /// Whether ports without one of the nodes' are given some.
    pub wants_node_ports: bool,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cilium) struct Port {
    /// Empty where it has none.
    pub name: String,
    pub protocol: Protocol,
    /// At the service's addresses.
    pub port: u16,
    /// At the pods'.
    pub target: Target,
    /// At the nodes' own.
    pub node: Option<u16>,
}

impl Port {
    /// One that stands for none.
    pub fn none() -> Port {
        Port {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: 0,
            target: Target::Number(0),
            node: None,
        }
    }
}

/// A port of pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cilium) enum Target {
    Number(u16),
    /// The one that has this name in each pod.
    Name(String),
}

/// Who answers for a service, as somebody says who is not asked for pods: Endpoints, or a slice of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::cilium) struct Answering {
    pub hosts: Vec<Host>,
    /// Name, protocol and number.
    pub ports: Vec<(String, Protocol, u16)>,
}

/// One that answers.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct Host {
    pub address: IpAddr,
    pub name: Option<String>,
    pub node: Option<String>,
}

/// What a port is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Which families of addresses a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cilium) struct Policy {
    pub v4: bool,
    pub v6: bool,
    /// The other family too, where there are addresses of it.
    pub both_if_possible: bool,
}

/// Passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cilium) struct Secret {
    pub values: BTreeMap<String, Vec<u8>>,
}

/// Load balancers that are Cilium's.
const CLASSES: &[&str] = &["io.cilium/bgp-control-plane"];
/// Annotations that ask for addresses, the one of today first.
const WANTED: &[&str] = &["lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips"];
const TYPES: &[(&str, Type)] = &[
    ("LoadBalancer", Type::LoadBalancer),
    ("ClusterIP", Type::Inner),
    ("NodePort", Type::NodePort),
    ("ExternalName", Type::ExternalName),
];
pub(super) const PROTOCOLS: &[(&str, Protocol)] = &[
    ("TCP", Protocol::Tcp),
    ("UDP", Protocol::Udp),
    ("SCTP", Protocol::Sctp),
];

#[derive(Clone, Copy, PartialEq)]
enum Type {
    LoadBalancer,
    /// One whose addresses are the cluster's.
    Inner,
    /// One that has ports of the nodes' besides.
    NodePort,
    ExternalName,
}

pub(super) fn service(
    reader: &mut Reader,
    table: &mut Table,
    annotations: &BTreeMap<String, String>,
) -> Option<Service> {
    let kind = table
        .get("type")
        .and_then(|yaml| word(reader, yaml, "type", TYPES))
        .unwrap_or(Type::Inner);
    let class = table
        .get("loadBalancerClass")
        .and_then(|yaml| text(reader, yaml, "loadBalancerClass", CLASSES[0]));
    let ours = class.is_none_or(|class| CLASSES.contains(&class.as_str()));
    let asked = table
        .get("loadBalancerIP")
        .and_then(|yaml| address(reader, yaml, "loadBalancerIP", "192.0.2.10"));
    let mut wanted: Vec<IpAddr> = WANTED
        .iter()
        .find_map(|name| annotations.get(*name))
        .into_iter()
        .flat_map(|list| list.split(','))
        .filter_map(|text| text.trim().parse().ok())
        .collect();
    wanted.extend(asked);
    let external = table
        .get("externalIPs")
        .map(|yaml| addresses(reader, yaml, "externalIPs"))
        .unwrap_or_default();
    let (cluster, is_headless) = cluster_addresses(reader, table);
    let families = families(reader, table);
    let policy = table.get("externalTrafficPolicy");
    let policies = [("Cluster", false), ("Local", true)];
    let local = policy.and_then(|yaml| word(reader, yaml, "externalTrafficPolicy", &policies));
    let selector = table
        .get("selector")
        .map(|yaml| texts(reader, yaml, "selector"))
        .unwrap_or_default();
    let ports = table.get("ports").and_then(|yaml| {
        reader.list(yaml, "ports", "{ port: 80 }", |reader, yaml| {
            let mut table = reader.table(yaml, "ports", "an item of `ports`")?;
            let port = port(reader, &mut table);
            table.finish(reader);
            port
        })
    });
    let affinity = table.get("sessionAffinity");
    let affinities = [("None", false), ("ClientIP", true)];
    let sticks = affinity.and_then(|yaml| word(reader, yaml, "sessionAffinity", &affinities));
    let allocate = table
        .get("allocateLoadBalancerNodePorts")
        .and_then(|yaml| reader.boolean(yaml, "allocateLoadBalancerNodePorts"))
        .map(|it| it.value);
    let stands_for = table
        .get("externalName")
        .and_then(|yaml| text(reader, yaml, "externalName", "example.com"));
    table.ignore(
        &[
            "sessionAffinityConfig",
            "internalTrafficPolicy",
            "healthCheckNodePort",
            "publishNotReadyAddresses",
            "loadBalancerSourceRanges",
            "trafficDistribution",
        ],
        reader,
    );
    Some(Service {
        load_balancer: kind == Type::LoadBalancer && ours,
        wanted,
        families,
        cluster,
        wants_cluster: kind != Type::ExternalName && !is_headless,
        stands_for: stands_for.filter(|_| kind == Type::ExternalName),
        external,
        local: local.unwrap_or(false),
        selector,
        ports: ports.unwrap_or_default(),
        sticks: sticks.unwrap_or(false),
        wants_node_ports: match kind {
            Type::NodePort => true,
            Type::LoadBalancer => allocate.unwrap_or(true),
            Type::Inner | Type::ExternalName => false,
        },
    })
}

/// An item of `ports`.
fn port(reader: &mut Reader, table: &mut Table) -> Option<Port> {
    let target = table.get("targetPort").and_then(|said| target(reader, said));
    let mut numbered =
        |key: &'static str, reader: &mut Reader| number(reader, table.get(key)?, key, 1..=65535);
    let said = numbered("port", reader);
    let node = numbered("nodePort", reader);
    let stands = table.has("port");
    let port: Option<u16> = required(reader, table, "port", "80", said, stands);
    let protocol = table
        .get("protocol")
        .and_then(|yaml| word(reader, yaml, "protocol", PROTOCOLS));
    let name = table
        .get("name")
        .and_then(|yaml| text(reader, yaml, "name", "http"));
    table.ignore(&["appProtocol"], reader);
    let port = port?;
    Some(Port {
        name: name.unwrap_or_default(),
        protocol: protocol.unwrap_or(Protocol::Tcp),
        port,
        target: target.unwrap_or(Target::Number(port)),
        node,
    })
}

/// A number, or the name that pods' ports have.
fn target(reader: &mut Reader, said: &Yaml) -> Option<Target> {
    let is_name = said.scalar().is_some_and(|text| text.parse::<i64>().is_err());
    match is_name {
        true => text(reader, said, "targetPort", "http").map(Target::Name),
        false => number(reader, said, "targetPort", 1..=65535).map(Target::Number),
    }
}

fn addresses(reader: &mut Reader, yaml: &Yaml, key: &str) -> Vec<IpAddr> {
    let read = reader.list(yaml, key, "192.0.2.10", |reader, yaml| {
        address(reader, yaml, key, "192.0.2.10")
    });
    read.unwrap_or_default()
}

/// `clusterIP` and `clusterIPs`, of which the first is the same, and whether there is to be none.
fn cluster_addresses(reader: &mut Reader, table: &mut Table) -> (Vec<IpAddr>, bool) {
    let (one, all) = (table.get("clusterIP"), table.get("clusterIPs"));
    let is_headless = one.and_then(Yaml::scalar) == Some("None");
    let is_none = |yaml: &Yaml| {
        yaml.scalar()
            .is_some_and(|text| text == "None" || text.is_empty())
    };
    let one = one.filter(|yaml| !is_none(yaml));
    let mut found: Vec<IpAddr> = one
        .and_then(|yaml| address(reader, yaml, "clusterIP", "10.96.0.10"))
        .into_iter()
        .collect();
    let items = all.and_then(Yaml::items).unwrap_or_default();
    for yaml in items.iter().filter(|yaml| !is_none(yaml)) {
        let read = address(reader, yaml, "clusterIPs", "10.96.0.10");
        found.extend(read.filter(|address| !found.contains(address)));
    }
    (found, is_headless)
}

fn families(reader: &mut Reader, table: &mut Table) -> Policy {
    let named = table.get("ipFamilies").and_then(|yaml| {
        reader.list(yaml, "ipFamilies", "IPv4", |reader, yaml| {
            word(reader, yaml, "ipFamilies", &[("IPv4", true), ("IPv6", false)])
        })
    });
    let policies = [
        ("SingleStack", false),
        ("PreferDualStack", true),
        ("RequireDualStack", true),
    ];
    let both = table
        .get("ipFamilyPolicy")
        .and_then(|yaml| word(reader, yaml, "ipFamilyPolicy", &policies));
    let named = named.unwrap_or_default();
    Policy {
        v4: named.is_empty() || named.contains(&true),
        v6: named.contains(&false),
        both_if_possible: both.unwrap_or(false),
    }
}

pub(super) fn secret(reader: &mut Reader, table: &mut Table) -> Secret {
    let mut values = BTreeMap::new();
    if let Some(yaml) = table.get("data") {
        for (key, yaml) in reader.map(yaml, "data", "data: { password: c2VjcmV0 }") {
            let Some(written) = text(reader, yaml, &key.name, "c2VjcmV0") else {
                continue;
            };
            match base64(&written) {
                Some(value) => drop(values.insert(key.name.to_string(), value)),
                None => {
                    let message = format!("`{}` is not base64", key.name.escape_debug());
                    let help = "plain text stands under `stringData`";
                    reader.wrong(yaml.span.clone(), message, help);
                }
            }
        }
    }
    if let Some(yaml) = table.get("stringData") {
        let plain = texts(reader, yaml, "stringData");
        values.extend(plain.into_iter().map(|(key, value)| (key, value.into_bytes())));
    }
    table.ignore(&["type", "immutable"], reader);
    Secret { values }
}

/// RFC 4648 section 4. Line ends are no part of it.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|it| !it.is_ascii_whitespace()).collect();
    let padding = digits.iter().rev().take_while(|it| **it == b'=').count();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for four in digits[..digits.len() - padding].chunks(4) {
        let mut bits = 0u32;
        for digit in four {
            bits = bits << 6 | u32::from(value(*digit)?);
        }
        bits <<= 6 * (4 - four.len());
        bytes.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    Some(bytes)
}

/// What a digit of base64 stands for.
fn value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("c2VjcmV0", Some(b"secret")),
            ("c2VjcmU=", Some(b"secre")),
            ("c2Vjcg==", Some(b"secr")),
            ("c2Vj\ncg==\n", Some(b"secr")),
            ("c2V", None),
            ("c2V!", None),
            ("====", None),
        ] {
            assert_eq!(base64(text).as_deref(), bytes, "{text}");
        }
    }
}
