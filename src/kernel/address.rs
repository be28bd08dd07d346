//! Interface addresses (rtnetlink(7), RTM_NEWADDR).

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{Netlink, Request};

/// As [`add`], but an IPv6 address is used at once: no duplicate is looked for (IFA_F_NODAD). For links whose other end is
/// known.
pub fn add_at_once(what: &str, index: u32, net: IpNet) -> Request {
    let mut message = message(index, net);
    message.header.flags |= AddressHeaderFlags::Nodad;
    Request::create(what, RouteNetlinkMessage::NewAddress(message))
}

/// Puts an address on an interface. IPv4 gets its broadcast address as `ip address add … brd +` would.
pub fn add(what: &str, index: u32, net: IpNet) -> Request {
    Request::create(what, RouteNetlinkMessage::NewAddress(message(index, net)))
}

fn message(index: u32, net: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = net.prefix_len();
    message.attributes.push(AddressAttribute::Local(net.addr()));
    message.attributes.push(AddressAttribute::Address(net.addr()));
    match net {
        IpNet::V4(net) => {
            message.header.family = AddressFamily::Inet;
            if net.prefix_len() < 31 {
                message
                    .attributes
                    .push(AddressAttribute::Broadcast(net.broadcast()));
            }
        }
        IpNet::V6(_) => message.header.family = AddressFamily::Inet6,
    }
    message
}

/// Puts an address on an interface, with what is at the other end of the link.
pub fn add_with_peer(what: &str, index: u32, own: IpAddr, peer: IpNet) -> Request {
    Request::create(what, RouteNetlinkMessage::NewAddress(with_peer(index, own, peer)))
}

/// Takes it from there.
pub fn remove_with_peer(what: &str, index: u32, own: IpAddr, peer: IpNet) -> Request {
    Request::change(what, RouteNetlinkMessage::DelAddress(with_peer(index, own, peer)))
}

fn with_peer(index: u32, own: IpAddr, peer: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = peer.prefix_len();
    message.header.family = match peer {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.attributes.push(AddressAttribute::Local(own));
    message.attributes.push(AddressAttribute::Address(peer.addr()));
    message
}

/// The addresses that name the other end of their link: interface index, own address, and what is there.
///
/// # Errors
/// What the kernel refused.
pub fn peers(netlink: &mut Netlink) -> super::Result<Vec<(u32, IpAddr, IpNet)>> {
    let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answer = netlink.dump("list addresses", question)?;
    let peers = answer.into_iter().filter_map(|message| {
        let RouteNetlinkMessage::NewAddress(message) = message else {
            return None;
        };
        let own = own(&message.attributes)?;
        let other = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) if *address != own => Some(*address),
            _ => None,
        });
        let net = IpNet::new(other?, message.header.prefix_len).ok()?;
        Some((message.header.index, own, net))
    });
    Ok(peers.collect())
}

/// Takes an address from an interface.
pub fn remove(what: &str, index: u32, net: IpNet) -> Request {
    Request::change(what, RouteNetlinkMessage::DelAddress(message(index, net)))
}

/// The addresses of the socket's namespace: interface index, address.
///
/// # Errors
/// What the kernel refused.
pub fn list(netlink: &mut Netlink) -> super::Result<Vec<(u32, IpNet)>> {
    let found = list_with_use(netlink)?;
    Ok(found.into_iter().map(|(index, net, _)| (index, net)).collect())
}

/// The addresses of the socket's namespace: interface index, address, and whether it can be used: an IPv6 address cannot
/// while the link is searched for another that has it, nor when one was found.
///
/// # Errors
/// What the kernel refused.
pub fn list_with_use(netlink: &mut Netlink) -> super::Result<Vec<(u32, IpNet, bool)>> {
    let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answer = netlink.dump("list addresses", question)?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(address) => {
                let local = own(&address.attributes)?;
                let net = IpNet::new(local, address.header.prefix_len).ok()?;
                let flags = address.header.flags;
                let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
                Some((address.header.index, net, !flags.intersects(unusable)))
            }
            _ => None,
        })
        .collect())
}

/// IPv4 names the own address `Local` (`Address` being the peer's); IPv6 has `Address` alone.
fn own(attributes: &[AddressAttribute]) -> Option<IpAddr> {
    let local = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}
