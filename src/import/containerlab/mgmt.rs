//! `mgmt`: the management network.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::Topology;
use crate::import::reader::Reader;
use crate::import::yaml::Yaml;
use crate::lab::file::{MgmtSpec, Spanned, values};

/// The IPv6 subnet of a topology that says none, and the one that older versions had.
const IPV6_SUBNET: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0x172, 0x20, 0x20, 0, 0, 0, 0), 64);
const OLDER_IPV6_SUBNET: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0x172, 0x20, 0x20, 0, 0, 0, 0), 64);

/// Parts of the subnets that addresses are given from.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    ipv4: Option<Spanned<Ipv4Net>>,
    ipv6: Option<Spanned<Ipv6Net>>,
    gateways: (Option<Ipv4Addr>, Option<Ipv6Addr>),
    skip_when_unused: bool,
}

pub(super) fn read(reader: &mut Reader, yaml: &Yaml) -> Option<(MgmtSpec, Ranges)> {
    let mut table = reader.table(yaml, "mgmt", "`mgmt`")?;
    let mut spec = MgmtSpec {
        span: table.span(),
        ..MgmtSpec::default()
    };
    spec.network = table
        .get("network")
        .and_then(|yaml| reader.parsed(yaml, "network", "mgmt", values::network_name));
    spec.bridge = table
        .get("bridge")
        .and_then(|yaml| reader.parsed(yaml, "bridge", "br-mgmt", values::interface));
    spec.ipv4_subnet = table
        .either("ipv4-subnet", "ipv4_subnet")
        .filter(|yaml| yaml.scalar() != Some("auto"))
        .and_then(|yaml| {
            reader.parsed(yaml, "ipv4-subnet", "172.20.20.0/24", |text| {
                values::subnet(text, values::ipv4_net, Ipv4Net::trunc)
            })
        });
    spec.ipv6_subnet = table
        .either("ipv6-subnet", "ipv6_subnet")
        .filter(|yaml| yaml.scalar() != Some("auto"))
        .and_then(|yaml| {
            reader.parsed(yaml, "ipv6-subnet", "3fff:172:20:20::/64", |text| {
                values::subnet(text, values::ipv6_net, Ipv6Net::trunc)
            })
        });
    spec.ipv4_gw = table
        .either("ipv4-gw", "ipv4_gw")
        .and_then(|yaml| reader.parsed(yaml, "ipv4-gw", "172.20.20.1", values::ipv4));
    spec.ipv6_gw = table
        .either("ipv6-gw", "ipv6_gw")
        .and_then(|yaml| reader.parsed(yaml, "ipv6-gw", "3fff:172:20:20::1", values::ipv6));
    spec.mtu = table
        .get("mtu")
        .and_then(|yaml| reader.integer(yaml, "mtu", 68..=65535));
    spec.nat = table
        .get("external-access")
        .and_then(|yaml| reader.boolean(yaml, "external-access"));
    let ranges = Ranges {
        ipv4: table
            .either("ipv4-range", "ipv4_range")
            .and_then(|yaml| reader.parsed(yaml, "ipv4-range", "172.20.20.128/25", values::ipv4_net)),
        ipv6: table
            .either("ipv6-range", "ipv6_range")
            .and_then(|yaml| reader.parsed(yaml, "ipv6-range", "3fff:172:20:20::/80", values::ipv6_net)),
        gateways: (
            spec.ipv4_gw.as_ref().map(|gateway| gateway.value),
            spec.ipv6_gw.as_ref().map(|gateway| gateway.value),
        ),
        skip_when_unused: table
            .get("skip-when-unused")
            .and_then(|yaml| reader.boolean(yaml, "skip-when-unused"))
            .is_some_and(|skip| skip.value),
    };
    table.ignore(&["driver-opts", "external"], reader);
    table.finish(reader);
    Some((spec, ranges))
}

impl Ranges {
    /// Gives an address of the ranges to every node that has a management port and no fixed address.
    pub fn give(&self, topology: &mut Topology, reader: &mut Reader) {
        let ports = || topology.nodes.iter().filter_map(|(_, node)| node.mgmt.as_ref());
        let mut taken4: HashSet<Ipv4Addr> = ports()
            .filter_map(|port| Some(port.ipv4.as_ref()?.value))
            .collect();
        let mut taken6: HashSet<Ipv6Addr> = ports()
            .filter_map(|port| Some(port.ipv6.as_ref()?.value))
            .collect();
        taken4.extend(self.gateways.0);
        taken6.extend(self.gateways.1);
        let mut hosts4 = self.ipv4.as_ref().map(|range| range.value.hosts());
        let mut hosts6 = self.ipv6.as_ref().map(|range| range.value.hosts());
        for (name, node) in &mut topology.nodes {
            let Some(port) = node.mgmt.as_mut().filter(|port| port.value.wanted) else {
                continue;
            };
            if let (Some(range), Some(hosts), None) = (&self.ipv4, &mut hosts4, &port.value.ipv4) {
                let free = hosts.find(|host| !taken4.contains(host));
                port.value.ipv4 = free.map(|free| Spanned::new(free, range.span.clone()));
                if free.is_none() {
                    full(reader, range.span.clone(), &name.value);
                    hosts4 = None;
                }
            }
            if let (Some(range), Some(hosts), None) = (&self.ipv6, &mut hosts6, &port.value.ipv6) {
                // The first address of a subnet belongs to its routers (RFC 4291, 2.6.1).
                let free = hosts.find(|host| !taken6.contains(host) && *host != range.value.network());
                port.value.ipv6 = free.map(|free| Spanned::new(free, range.span.clone()));
            }
        }
    }
}

/// Gives the topology the management network that containerlab would: with its own default subnet, and none at all where nobody
/// is on it and none is wanted then.
pub(super) fn settle(topology: &mut Topology, ranges: Option<&Ranges>) {
    let ports = || {
        let ports = topology.nodes.iter().filter_map(|(_, node)| node.mgmt.as_ref());
        ports.filter(|port| port.value.wanted)
    };
    if ports().next().is_none() && ranges.is_some_and(|ranges| ranges.skip_when_unused) {
        topology.mgmt = None;
        return;
    }
    let Some(span) = ports().next().map(|port| port.span.clone()) else {
        return;
    };
    // A topology that was written for an older version goes on working.
    let gateway = ranges.and_then(|ranges| ranges.gateways.1);
    let range = ranges.and_then(|ranges| Some(ranges.ipv6.as_ref()?.value.addr()));
    let fixed = ports().filter_map(|port| Some(port.value.ipv6.as_ref()?.value));
    let is_older = fixed
        .chain(gateway)
        .chain(range)
        .any(|address| OLDER_IPV6_SUBNET.contains(&address));
    let subnet = if is_older { OLDER_IPV6_SUBNET } else { IPV6_SUBNET };
    let spec = topology.mgmt.get_or_insert_with(|| MgmtSpec {
        span: span.clone(),
        ..MgmtSpec::default()
    });
    if spec.ipv6_subnet.is_none() {
        spec.ipv6_subnet = Some(Spanned::new(Some(subnet), span));
    }
}

fn full(reader: &mut Reader, span: crate::lab::file::Span, node: &str) {
    let message = format!("the range has no address left for node `{}`", node.escape_debug());
    reader.wrong(span, message, "give a larger range, or leave it out");
}
