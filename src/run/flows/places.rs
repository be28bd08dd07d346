//! Which addresses a flow has, as the nodes' kernels have them now.

use std::net::IpAddr;

use super::networks::Networks;
use super::topology::Topology;
use crate::failure::Failure;
use crate::kernel::route_question::{Packet, Way, way};
use crate::kernel::{address, link};
use crate::lab::check::Family;
use crate::lab::flow::{Flow, Place, Target};

/// The loopback's index.
const LOOPBACK: u32 = 1;
/// Number of UDP (RFC 768).
const UDP: u8 = 17;

/// The two ends of a flow.
#[derive(Debug, Clone)]
pub struct Ends {
    /// The sender's namespace.
    pub from: usize,
    /// The packets' source.
    pub source: IpAddr,
    /// The packets' destination.
    pub destination: IpAddr,
    /// The namespaces of those who have it.
    pub to: Vec<usize>,
}

/// Finds the ends of a flow.
///
/// # Errors
/// There is no such node or interface, or it has no address that would do.
pub fn find(networks: &mut Networks, flow: &Flow) -> Result<Ends, Failure> {
    let from = namespace(&networks.topology, &flow.from.node)?;
    let (destination, to) = match &flow.to {
        Target::Address(address) => (*address, holders(networks, *address)?),
        Target::Node(place) => {
            let at = namespace(&networks.topology, &place.node)?;
            (receiver(networks, flow, from, at, place)?, vec![at])
        }
    };
    let v4 = destination.is_ipv4();
    let own = usable(networks, from, &flow.from, v4)?;
    let chosen = match flow.from.interface {
        Some(_) => None,
        None => chosen(networks, from, destination, flow.dscp),
    };
    let source = chosen.filter(|it| own.contains(it)).or(own.first().copied());
    let source = source.ok_or_else(|| lacks(&flow.from, Some(v4)))?;
    Ok(Ends {
        from,
        source,
        destination,
        to,
    })
}

fn receiver(
    networks: &mut Networks,
    flow: &Flow,
    from: usize,
    at: usize,
    place: &Place,
) -> Result<IpAddr, Failure> {
    let families: &[bool] = match flow.family {
        Some(Family::Ipv4) => &[true],
        Some(Family::Ipv6) => &[false],
        None => &[true, false],
    };
    let mut last = None;
    for v4 in families {
        let found = usable(networks, at, place, *v4)?;
        let has_own = !usable(networks, from, &flow.from, *v4)?.is_empty();
        match found.first() {
            Some(address) if has_own => return Ok(*address),
            Some(address) => last = Some(*address),
            None => {}
        }
    }
    // Then it is the sender that lacks one, which is told next.
    last.ok_or_else(|| lacks(place, flow.family.map(|family| family == Family::Ipv4)))
}

fn lacks(place: &Place, v4: Option<bool>) -> Failure {
    let family = match v4 {
        Some(true) => "IPv4 address",
        Some(false) => "IPv6 address",
        None => "address",
    };
    Failure::wrong(format!("{place} has no {family} for a flow"))
        .help("`nslab ps --wide` shows the addresses; link-local ones and those of the loopback network do not count")
}

/// The namespace of a node.
fn namespace(topology: &Topology, node: &str) -> Result<usize, Failure> {
    let found = topology.nodes.iter().find(|(name, _)| name == node);
    let at = match found {
        None => {
            return Err(
                Failure::wrong(format!("the lab has no node {node:?}")).help("`nslab ps` lists the nodes")
            );
        }
        Some((_, None)) => {
            return Err(Failure::wrong(format!("{node} is in the host's network"))
                .help("name a node that has a network of its own"));
        }
        Some((_, Some(at))) => *at,
    };
    match topology
        .namespaces
        .get(at)
        .is_some_and(|network| network.is_sandbox)
    {
        true => Err(Failure::wrong(format!(
            "{node} is a pod whose network a kubelet makes, where no flow can begin or end"
        ))
        .help("give its address as the receiver of a flow of icmp")),
        false => Ok(at),
    }
}

/// The addresses of a node that others can use, the one that is meant first.
fn usable(networks: &mut Networks, at: usize, place: &Place, v4: bool) -> Result<Vec<IpAddr>, Failure> {
    let netlink = networks.netlink(at)?;
    let only = match &place.interface {
        Some(name) => match link::named(netlink, name)? {
            Some(interface) => Some(interface.index),
            None => {
                return Err(Failure::wrong(format!("{} has no interface {name}", place.node))
                    .help("`nslab ps --wide` shows the interfaces"));
            }
        },
        None => None,
    };
    let all = address::list_with_use(netlink)?;
    let is_router = networks
        .topology
        .namespaces
        .get(at)
        .is_some_and(|it| it.is_router);
    let is_managed = |index: u32| networks.topology.management.contains(&(at, index));
    let mut found: Vec<(u32, IpAddr)> = all
        .into_iter()
        .filter(|(index, net, is_usable)| {
            *is_usable
                && net.addr().is_ipv4() == v4
                && is_public(net.addr())
                && only.is_none_or(|it| it == *index)
        })
        .map(|(index, net, _)| (index, net.addr()))
        .collect();
    found.sort_by_key(|(index, _)| match *index {
        LOOPBACK if is_router => 0,
        LOOPBACK => 3,
        index if is_managed(index) => 2,
        _ => 1,
    });
    Ok(found.into_iter().map(|(_, address)| address).collect())
}

fn is_public(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !is_link_local && !address.is_loopback()
}

/// The source that the kernel would take.
fn chosen(networks: &mut Networks, from: usize, to: IpAddr, dscp: u8) -> Option<IpAddr> {
    let packet = Packet {
        from: None,
        to,
        protocol: UDP,
        ports: None,
        dscp,
    };
    match way(networks.netlink(from).ok()?, &packet, None) {
        Ok(Way::Out { source, .. }) => source,
        _ => None,
    }
}

/// The namespaces in which an address is: several where it is an anycast address.
fn holders(networks: &mut Networks, address: IpAddr) -> Result<Vec<usize>, Failure> {
    let mut found = Vec::new();
    for at in 0..networks.topology.namespaces.len() {
        if networks.topology.namespaces[at].is_sandbox {
            continue;
        }
        let all = address::list(networks.netlink(at)?)?;
        if all.iter().any(|(_, net)| net.addr() == address) {
            found.push(at);
        }
    }
    Ok(found)
}
