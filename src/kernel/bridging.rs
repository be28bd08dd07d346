//! VXLAN devices, and the entries of bridges, VXLAN devices and neighbor tables that lead over them (rtnetlink(7), bridge(8)).

use std::net::IpAddr;

use netlink_packet_route::link::{InfoData, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::Result;
use super::netlink::{Netlink, Request};

/// The protocol of what zebra puts into neighbor tables (rtm_protocol): whoever sees it there knows whose it is.
const ZEBRA: u8 = 11;

/// A VXLAN device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vxlan {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The VXLAN network identifier.
    pub vni: u32,
    /// The address packets are sent from.
    pub local: Option<IpAddr>,
    /// The bridge it is in.
    pub master: Option<u32>,
    /// Whether it is raised.
    pub up: bool,
}

/// An entry of a bridge's forwarding database, or of a VXLAN device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The MAC address.
    pub mac: [u8; 6],
    /// The port's index.
    pub port: u32,
    /// The bridge; none for an entry of the device itself.
    pub bridge: Option<u32>,
    /// Where a VXLAN device sends frames.
    pub to: Option<IpAddr>,
    /// Whether it was learned by the bridge: neither written down by somebody nor the port's own.
    pub is_learned: bool,
    /// Whether a routing protocol has put it in (`extern_learn`).
    pub is_external: bool,
}

/// A neighbor whose MAC address is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The interface's index.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Whether a routing protocol has put it in.
    pub is_external: bool,
}

/// The VXLAN devices that are there.
///
/// # Errors
/// What the kernel refused.
pub fn devices(netlink: &mut Netlink) -> Result<Vec<Vxlan>> {
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = netlink.dump("list VXLAN devices", question)?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    });
    Ok(links.filter_map(device).collect())
}

fn device(link: LinkMessage) -> Option<Vxlan> {
    let (mut name, mut master, mut vni, mut local) = (None, None, None, None);
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Controller(index) => master = Some(index).filter(|index| *index > 0),
            LinkAttribute::LinkInfo(infos) => {
                let data = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Data(InfoData::Vxlan(data)) => Some(data),
                    _ => None,
                });
                for info in data? {
                    match info {
                        InfoVxlan::Id(id) => vni = Some(id),
                        InfoVxlan::Local(address) => local = Some(IpAddr::V4(address)),
                        InfoVxlan::Local6(address) => local = Some(IpAddr::V6(address)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(Vxlan {
        index: link.header.index,
        name: name?,
        vni: vni?,
        local: local.filter(|it| !it.is_unspecified()),
        master,
        up: link.header.flags.contains(LinkFlags::Up),
    })
}

fn neighbors(netlink: &mut Netlink, what: &str, family: AddressFamily) -> Result<Vec<NeighbourMessage>> {
    let mut question = NeighbourMessage::default();
    question.header.family = family;
    let answers = netlink.dump(what, RouteNetlinkMessage::GetNeighbour(question))?;
    let messages = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewNeighbour(message) => Some(message),
        _ => None,
    });
    Ok(messages.collect())
}

/// The entries of all forwarding databases.
///
/// # Errors
/// What the kernel refused.
pub fn entries(netlink: &mut Netlink) -> Result<Vec<Entry>> {
    let all = neighbors(netlink, "list forwarding databases", AddressFamily::Bridge)?;
    Ok(all.iter().filter_map(entry).collect())
}

fn entry(message: &NeighbourMessage) -> Option<Entry> {
    let (mut mac, mut bridge, mut to) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(octets) => mac = octets.as_slice().try_into().ok(),
            NeighbourAttribute::Controller(index) => bridge = Some(*index),
            NeighbourAttribute::Destination(NeighbourAddress::Inet(it)) => to = Some(IpAddr::V4(*it)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(it)) => to = Some(IpAddr::V6(*it)),
            // The address's family is that of the message, which is the bridge's.
            NeighbourAttribute::Destination(NeighbourAddress::Other(octets)) => {
                let v4 = <[u8; 4]>::try_from(octets.as_slice()).map(IpAddr::from);
                let v6 = <[u8; 16]>::try_from(octets.as_slice()).map(IpAddr::from);
                to = v4.or(v6).ok();
            }
            _ => {}
        }
    }
    let flags = message.header.flags;
    let is_external = flags.contains(NeighbourFlags::ExtLearned);
    let is_written = matches!(
        message.header.state,
        NeighbourState::Permanent | NeighbourState::Noarp
    );
    Some(Entry {
        mac: mac?,
        port: message.header.ifindex,
        bridge,
        to,
        is_learned: bridge.is_some() && !is_external && !is_written,
        is_external,
    })
}

/// The neighbors whose MAC addresses are known.
///
/// # Errors
/// What the kernel refused.
pub fn resolved(netlink: &mut Netlink) -> Result<Vec<Resolved>> {
    let all = neighbors(netlink, "list the neighbors", AddressFamily::Unspec)?;
    Ok(all.iter().filter_map(one_resolved).collect())
}

fn one_resolved(message: &NeighbourMessage) -> Option<Resolved> {
    let (mut mac, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::LinkLayerAddress(octets) => mac = octets.as_slice().try_into().ok(),
            NeighbourAttribute::Destination(NeighbourAddress::Inet(it)) => address = Some(IpAddr::V4(*it)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(it)) => address = Some(IpAddr::V6(*it)),
            _ => {}
        }
    }
    let is_external = message.header.flags.contains(NeighbourFlags::ExtLearned);
    let is_known = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => {
            true
        }
        NeighbourState::Noarp | NeighbourState::Permanent => is_external,
        _ => false,
    };
    is_known.then_some(Resolved {
        interface: message.header.ifindex,
        address: address?,
        mac: mac?,
        is_external,
    })
}

fn of_bridge(index: u32, mac: [u8; 6], to: Option<IpAddr>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = index;
    let lladdr = NeighbourAttribute::LinkLayerAddress(mac.to_vec());
    message.attributes.push(lladdr);
    message.attributes.extend(to.map(destination));
    message
}

fn destination(address: IpAddr) -> NeighbourAttribute {
    NeighbourAttribute::Destination(match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    })
}

/// Frames to a host go by a VXLAN device to a router: entries of the device and of the bridge it is in.
pub fn place_mac(what: &str, vxlan: u32, mac: [u8; 6], to: IpAddr) -> Request {
    let mut message = of_bridge(vxlan, mac, Some(to));
    message.header.flags = NeighbourFlags::Own | NeighbourFlags::Controller | NeighbourFlags::ExtLearned;
    message.header.state = NeighbourState::Reachable;
    Request::replace(what, RouteNetlinkMessage::NewNeighbour(message))
}

/// Takes both entries out.
pub fn remove_mac(what: &str, vxlan: u32, mac: [u8; 6], to: IpAddr) -> Request {
    let mut message = of_bridge(vxlan, mac, Some(to));
    message.header.flags = NeighbourFlags::Own | NeighbourFlags::Controller;
    Request::change(what, RouteNetlinkMessage::DelNeighbour(message))
}

/// Frames to hosts that nobody knows, and to all, go to a router as well.
pub fn place_flood(what: &str, vxlan: u32, to: IpAddr) -> Request {
    let mut message = of_bridge(vxlan, [0; 6], Some(to));
    message.header.flags = NeighbourFlags::Own;
    message.header.state =
        NeighbourState::Other(u16::from(NeighbourState::Noarp) | u16::from(NeighbourState::Permanent));
    Request::append(what, RouteNetlinkMessage::NewNeighbour(message))
}

/// They go there no longer.
pub fn remove_flood(what: &str, vxlan: u32, to: IpAddr) -> Request {
    let mut message = of_bridge(vxlan, [0; 6], Some(to));
    message.header.flags = NeighbourFlags::Own;
    Request::change(what, RouteNetlinkMessage::DelNeighbour(message))
}

fn neighbor(interface: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.ifindex = interface;
    message.attributes.push(destination(address));
    message
}

/// An address behind an interface is that of a host: nobody need be asked.
pub fn place_neighbor(what: &str, interface: u32, address: IpAddr, mac: [u8; 6]) -> Request {
    let mut message = neighbor(interface, address);
    message.header.flags = NeighbourFlags::ExtLearned;
    message.header.state = NeighbourState::Noarp;
    let lladdr = NeighbourAttribute::LinkLayerAddress(mac.to_vec());
    message.attributes.push(lladdr);
    message
        .attributes
        .push(NeighbourAttribute::Protocol(ZEBRA.into()));
    Request::replace(what, RouteNetlinkMessage::NewNeighbour(message))
}

/// It is no longer.
pub fn remove_neighbor(what: &str, interface: u32, address: IpAddr) -> Request {
    let message = neighbor(interface, address);
    Request::change(what, RouteNetlinkMessage::DelNeighbour(message))
}
