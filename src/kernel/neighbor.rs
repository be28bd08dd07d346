//! Neighbors: which link-layer address belongs to which address (rtnetlink(7), ARP and RFC 4861).

use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use super::Result;
use super::netlink::Netlink;

/// A neighbor as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// Its address.
    pub address: IpAddr,
    /// The index of the interface by which it is reached.
    pub interface: u32,
    /// Its link-layer address, where that is known.
    pub mac: Option<String>,
    /// Whether that is known, as `ip neigh` says: REACHABLE, STALE, FAILED …
    pub state: String,
}

/// The neighbors in the socket's namespace.
///
/// # Errors
/// The kernel refuses.
pub fn list(netlink: &mut Netlink) -> Result<Vec<Neighbor>> {
    let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    let answers = netlink.dump("list the neighbors", question)?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(message) => found(&message),
            _ => None,
        })
        .collect())
}

fn found(message: &NeighbourMessage) -> Option<Neighbor> {
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(it)) => address = Some(IpAddr::V4(*it)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(it)) => address = Some(IpAddr::V6(*it)),
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                mac = Some(parts.join(":"));
            }
            _ => {}
        }
    }
    // What needs no neighbor (multicast, the loopback) is nobody's.
    (message.header.state != NeighbourState::Noarp).then_some(Neighbor {
        address: address?,
        interface: message.header.ifindex,
        mac,
        state: message.header.state.to_string().to_uppercase(),
    })
}
