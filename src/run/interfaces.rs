//! The interfaces of the nodes of a living lab, as the kernel has them now.

use std::collections::HashMap;

use netlink_packet_route::link::InfoKind;

use super::links::TAP;
use super::protocol::{InterfaceStatus, LinkState};
use super::state::Living;
use crate::kernel::link::{self, Interface};
use crate::kernel::namespace::Namespace;
use crate::kernel::{Result, address};
use crate::lab::plan::{Device, Plan};

/// Those of every node of a lab, in the order of the plan's. A node that is in the host's network has none here, nor has one
/// whose namespace does not answer.
pub fn of(lab: &Living) -> Vec<Vec<InterfaceStatus>> {
    let peers = peers(&lab.plan);
    let namespaces = lab.namespaces.borrow();
    let all = namespaces.iter().enumerate();
    let found: Vec<_> = all
        .map(|(at, namespace)| look(namespace, at, &peers).unwrap_or_default())
        .collect();
    let nodes = lab.plan.nodes.iter();
    nodes
        .map(|node| {
            node.namespace
                .and_then(|at| found.get(at).cloned())
                .unwrap_or_default()
        })
        .collect()
}

/// What is at the other end of an interface: by namespace and index, with the index that the kernel has there.
pub type Peers = HashMap<(usize, u32), (Option<u32>, String)>;

/// The other ends of a plan's links.
pub fn peers(plan: &Plan) -> Peers {
    let node_of = |namespace: usize| plan.namespaces.get(namespace).map_or("", |it| it.node.as_str());
    let mut peers = Peers::new();
    for link in &plan.links {
        match &link.device {
            Device::Veth(a, b) => {
                for (here, there) in [(a, b), (b, a)] {
                    let name = format!("{}:{}", node_of(there.namespace), there.name);
                    peers.insert((here.namespace, here.index), (Some(there.index), name));
                }
            }
            Device::Host { host_interface, .. } => {
                for port in link.device.ports() {
                    let name = format!("host:{host_interface}");
                    peers.insert((port.namespace, port.index), (None, name));
                }
            }
            Device::Device { .. } | Device::Mgmt(_) => {}
        }
    }
    peers
}

fn look(namespace: &Namespace, at: usize, peers: &Peers) -> Result<Vec<InterfaceStatus>> {
    let mut netlink = namespace.netlink()?;
    let addresses = address::list(&mut netlink)?;
    let links = link::list(&mut netlink)?;
    let names: HashMap<u32, String> = links.iter().map(|it| (it.index, it.name.clone())).collect();
    let named = |index: Option<u32>| names.get(&index?).cloned();
    let own = |index: u32| addresses.iter().filter(move |(of, _)| *of == index);
    let status = |link: Interface| InterfaceStatus {
        addresses: own(link.index).map(|(_, net)| net.to_string()).collect(),
        peer: peer(&link, at, peers),
        link: named(below(&link)),
        master: named(link.master),
        state: state(&link),
        kind: link.kind.as_ref().map(ToString::to_string),
        mac: mac(&link.address),
        mtu: link.mtu,
        rx_bytes: link.traffic.bytes[0],
        tx_bytes: link.traffic.bytes[1],
        rx_packets: link.traffic.packets[0],
        tx_packets: link.traffic.packets[1],
        lost_packets: link.traffic.lost.iter().sum(),
        index: link.index,
        name: link.name,
    };
    // What leads to nslab's own queues is no interface of the lab's.
    let shown = links.into_iter().filter(|link| !link.name.starts_with(TAP));
    let mut found: Vec<InterfaceStatus> = shown.map(status).collect();
    // What others reach it by comes first.
    found.sort_by_key(|interface| interface.name == "lo");
    Ok(found)
}

/// Whether packets pass.
pub fn state(link: &Interface) -> LinkState {
    match (link.up, link.running) {
        (false, _) => LinkState::Down,
        (true, false) => LinkState::NoCarrier,
        (true, true) => LinkState::Up,
    }
}

/// The other end that the plan gave it, if it still is that interface: one that was deleted may have left its index to another.
fn peer(link: &Interface, at: usize, peers: &Peers) -> Option<String> {
    let (index, name) = peers.get(&(at, link.index))?;
    let is_same = index.is_none() || *index == link.parent;
    is_same.then(|| name.clone())
}

/// What it is on top of in its own network: of a veth that number means the other end.
fn below(link: &Interface) -> Option<u32> {
    let is_here = !link.parent_is_elsewhere && link.kind != Some(InfoKind::Veth);
    link.parent.filter(|_| is_here)
}

fn mac(bytes: &[u8]) -> Option<String> {
    let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    (bytes.len() == 6 && bytes.iter().any(|byte| *byte != 0)).then(|| octets.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ethernet_has_a_mac() {
        assert_eq!(mac(&[2, 0, 0, 0, 0, 0x1f]).as_deref(), Some("02:00:00:00:00:1f"));
        assert_eq!(mac(&[0; 6]), None);
        assert_eq!(mac(&[1, 2]), None);
    }
}
