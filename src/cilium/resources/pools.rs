//! `CiliumLoadBalancerIPPool` and `CiliumPodIPPool`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cilium::reading::{address, head, items, number, text, word};
use crate::cilium::selector::Selector;
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// Addresses for services of type LoadBalancer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct LoadBalancerPool {
    pub blocks: Vec<Block>,
    pub services: Option<Selector>,
    pub disabled: bool,
}

/// Addresses in a row, the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cilium) struct Block {
    pub first: IpAddr,
    pub last: IpAddr,
}

/// Addresses for pods: nodes get networks of these.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cilium) struct PodPool {
    /// Subnets, and how long the prefix of a node's network is.
    pub subnets: Vec<(IpNet, u8)>,
}

pub(super) fn load_balancer(reader: &mut Reader, table: &mut Table) -> Option<LoadBalancerPool> {
    let ends = table
        .get("allowFirstLastIPs")
        .and_then(|yaml| word(reader, yaml, "allowFirstLastIPs", &[("Yes", true), ("No", false)]));
    let ends = ends.unwrap_or(true);
    let services = table
        .get("serviceSelector")
        .and_then(|yaml| Selector::read(reader, yaml, "serviceSelector"));
    let disabled = table
        .get("disabled")
        .and_then(|yaml| reader.boolean(yaml, "disabled"));
    // Until Cilium 1.15 the list was called so.
    let key = if table.has("cidrs") { "cidrs" } else { "blocks" };
    table.ignore(&["cidrs"], reader);
    let items = items(reader, table, key, "{ cidr: 192.0.2.0/24 }", 0..=usize::MAX);
    let blocks = items.iter().filter_map(|yaml| block(reader, yaml, ends));
    Some(LoadBalancerPool {
        blocks: blocks.collect(),
        services,
        disabled: disabled.is_some_and(|it| it.value),
    })
}

fn block(reader: &mut Reader, yaml: &Yaml, ends: bool) -> Option<Block> {
    let mut table = reader.table(yaml, "blocks", "an item of `blocks`")?;
    let cidr = table.get("cidr");
    let net = cidr.and_then(|yaml| network(reader, yaml, "cidr"));
    let (start, stop) = (table.get("start"), table.get("stop"));
    let first = start.and_then(|yaml| address(reader, yaml, "start", "192.0.2.10"));
    let last = stop.and_then(|yaml| address(reader, yaml, "stop", "192.0.2.20"));
    let place = head(&table);
    table.finish(reader);
    if cidr.is_some() == start.is_some() {
        let help = "write `cidr: 192.0.2.0/24`, or `start: 192.0.2.10` and perhaps `stop: 192.0.2.20`";
        reader.wrong(place, "a block is a `cidr`, or begins at `start`", help);
        return None;
    }
    if let Some(net) = net {
        return Some(whole(net, ends));
    }
    let first = first?;
    let last = last.unwrap_or(first);
    if first.is_ipv4() != last.is_ipv4() || first > last {
        let message = format!("a block cannot go from {first} to {last}");
        reader.wrong(place, message, "`start` comes before `stop`");
        return None;
    }
    Some(Block { first, last })
}

/// All of a network; without its ends where those are not to be given, unless it has nothing else.
fn whole(net: IpNet, ends: bool) -> Block {
    let (first, last) = (net.network(), net.broadcast());
    if ends || net.max_prefix_len() - net.prefix_len() < 2 {
        return Block { first, last };
    }
    let (after, before) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (
            IpAddr::V4((first.to_bits() + 1).into()),
            IpAddr::V4((last.to_bits() - 1).into()),
        ),
        (IpAddr::V6(first), IpAddr::V6(last)) => (
            IpAddr::V6((first.to_bits() + 1).into()),
            IpAddr::V6((last.to_bits() - 1).into()),
        ),
        both => both,
    };
    Block {
        first: after,
        last: before,
    }
}

pub(super) fn network(reader: &mut Reader, yaml: &Yaml, key: &str) -> Option<IpNet> {
    let written = text(reader, yaml, key, "192.0.2.0/24")?;
    let net = written.parse::<IpNet>().ok();
    if net.is_none() {
        let message = format!("`{key}` is not a network: `{}`", written.escape_debug());
        reader.wrong(
            yaml.span.clone(),
            message,
            format!("for example `{key}: 192.0.2.0/24`"),
        );
    }
    net.map(|net| net.trunc())
}

pub(super) fn pod(reader: &mut Reader, table: &mut Table) -> Option<PodPool> {
    let mut subnets = Vec::new();
    for (key, longest) in [("ipv4", 32), ("ipv6", 128)] {
        if let Some(yaml) = table.get(key) {
            subnets.extend(family(reader, yaml, key, longest));
        }
    }
    if subnets.is_empty() {
        let help = "write `ipv4: { cidrs: [10.10.0.0/16], maskSize: 24 }`";
        reader.wrong(head(table), "this pool has no networks", help);
    }
    Some(PodPool { subnets })
}

fn family(reader: &mut Reader, yaml: &Yaml, key: &'static str, longest: u8) -> Vec<(IpNet, u8)> {
    let Some(mut table) = reader.table(yaml, key, format!("`{key}`")) else {
        return Vec::new();
    };
    let items = items(reader, &mut table, "cidrs", "10.10.0.0/16", 1..=usize::MAX);
    let subnets: Vec<IpNet> = items
        .iter()
        .filter_map(|yaml| network(reader, yaml, "cidrs"))
        .collect();
    let said = table.get("maskSize");
    let mask: Option<u8> = said.and_then(|yaml| number(reader, yaml, "maskSize", 1..=longest.into()));
    if said.is_none() {
        reader.wrong(head(&table), "`maskSize` is missing", "write `maskSize: 24`");
    }
    table.finish(reader);
    let Some(mask) = mask else { return Vec::new() };
    let family = |net: &IpNet| net.max_prefix_len() == longest;
    if let Some(net) = subnets.iter().find(|net| !family(net) || net.prefix_len() > mask) {
        let message = format!("{net} cannot be cut into networks of length {mask} of `{key}`");
        reader.wrong(
            yaml.span.clone(),
            message,
            "`maskSize` is longer than the prefixes of `cidrs`",
        );
        return Vec::new();
    }
    subnets.into_iter().map(|net| (net, mask)).collect()
}
