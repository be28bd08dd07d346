//! Which way a packet would take (rtnetlink(7), RTM_GETROUTE): the kernel decides as it does for the packet itself, the choice
//! among several ways of the same cost included.

use std::net::IpAddr;

use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::error::Result;
use super::netlink::Netlink;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Its source, if it has one already.
    pub from: Option<IpAddr>,
    /// Its destination.
    pub to: IpAddr,
    /// Its protocol's number.
    pub protocol: u8,
    /// Its ports, where the protocol has any.
    pub ports: Option<(u16, u16)>,
    /// Its code point of differentiated services.
    pub dscp: u8,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is for this machine.
    Here,
    /// It leaves.
    Out {
        /// By this interface.
        interface: u32,
        /// To this machine on the link; none where that is the destination.
        via: Option<IpAddr>,
        /// The source that it gets, where it had none.
        source: Option<IpAddr>,
    },
    /// It is dropped.
    Nowhere,
}

/// Asks for the way of a packet which came in by an interface, or begins here.
///
/// # Errors
/// There is no way (ENETUNREACH, EHOSTUNREACH), or the kernel refuses the question.
pub fn way(netlink: &mut Netlink, packet: &Packet, came_by: Option<u32>) -> Result<Way> {
    let mut message = RouteMessage::default();
    let bits = if packet.to.is_ipv4() { 32 } else { 128 };
    message.header.address_family = match packet.to {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.destination_prefix_length = bits;
    message.header.tos = packet.dscp << 2;
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Destination(address(packet.to)));
    if let Some(from) = packet.from {
        message.header.source_prefix_length = bits;
        attributes.push(RouteAttribute::Source(address(from)));
    }
    attributes.extend(came_by.map(RouteAttribute::Iif));
    attributes.push(RouteAttribute::IpProto(packet.protocol));
    if let Some((from, to)) = packet.ports {
        attributes.extend([RouteAttribute::Sport(from), RouteAttribute::Dport(to)]);
    }
    let question = RouteNetlinkMessage::GetRoute(message);
    let answer = netlink.get(&format!("find the way to {}", packet.to), question)?;
    Ok(match answer {
        Some(RouteNetlinkMessage::NewRoute(message)) => read(&message),
        _ => Way::Nowhere,
    })
}

fn read(message: &RouteMessage) -> Way {
    match message.header.kind {
        RouteType::Local => return Way::Here,
        RouteType::Unicast => {}
        _ => return Way::Nowhere,
    }
    let (mut interface, mut via, mut source) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => via = Some(IpAddr::V4(*address)),
            RouteAttribute::Via(RouteVia::Inet6(address)) => via = Some(IpAddr::V6(*address)),
            RouteAttribute::PrefSource(address) => source = ip(address),
            _ => {}
        }
    }
    interface.map_or(Way::Nowhere, |interface| Way::Out {
        interface,
        via,
        source,
    })
}

fn address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
