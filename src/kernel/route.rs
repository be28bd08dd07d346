//! Routes (rtnetlink(7), RTM_NEWROUTE).

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol, RouteScope,
    RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Request;

/// Where a route leads.
pub enum Target {
    /// One or more next hops.
    Hops(Vec<Hop>),
    /// Drop silently.
    Blackhole,
    /// ICMP unreachable.
    Unreachable,
    /// ICMP administratively prohibited.
    Prohibit,
}

/// A next hop.
pub struct Hop {
    /// Gateway, possibly of the other family.
    pub via: Option<IpAddr>,
    /// Interface index.
    pub dev: Option<u32>,
    /// 1 to 256.
    pub weight: u16,
}

/// Adds a static route.
pub fn add(what: &str, to: IpNet, target: &Target, metric: Option<u32>, table: Option<u32>) -> Request {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family(to.addr());
    header.destination_prefix_length = to.prefix_len();
    header.protocol = RouteProtocol::Static;
    header.scope = RouteScope::Universe;
    header.kind = RouteType::Unicast;
    header.table = RouteHeader::RT_TABLE_MAIN;
    let attributes = &mut message.attributes;
    if let Some(table) = table {
        // Tables above 255 do not fit into the header; the attribute holds any.
        header.table = u8::try_from(table).unwrap_or(0);
        attributes.push(RouteAttribute::Table(table));
    }
    attributes.push(RouteAttribute::Destination(match to.addr() {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }));
    attributes.extend(metric.map(RouteAttribute::Priority));
    match target {
        Target::Blackhole => header.kind = RouteType::BlackHole,
        Target::Unreachable => header.kind = RouteType::Unreachable,
        Target::Prohibit => header.kind = RouteType::Prohibit,
        Target::Hops(hops) => match hops.as_slice() {
            [hop] => {
                if hop.via.is_none() && to.addr().is_ipv4() {
                    header.scope = RouteScope::Link;
                }
                attributes.extend(hop.via.map(|via| gateway(to, via)));
                attributes.extend(hop.dev.map(RouteAttribute::Oif));
            }
            hops => {
                let hops = hops.iter().map(|hop| next_hop(to, hop)).collect();
                attributes.push(RouteAttribute::MultiPath(hops));
            }
        },
    }
    Request::create(what, RouteNetlinkMessage::NewRoute(message))
}

fn next_hop(to: IpNet, hop: &Hop) -> RouteNextHop {
    let mut next = RouteNextHop::default();
    // The kernel counts weights from 0 (struct rtnexthop, rtnh_hops).
    next.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    next.interface_index = hop.dev.unwrap_or(0);
    next.attributes.extend(hop.via.map(|via| gateway(to, via)));
    next
}

/// RTA_GATEWAY for a gateway of the destination's family, RTA_VIA for IPv4 through an IPv6 gateway.
fn gateway(to: IpNet, via: IpAddr) -> RouteAttribute {
    match (to.addr(), via) {
        (IpAddr::V4(_), IpAddr::V4(via)) => RouteAttribute::Gateway(RouteAddress::Inet(via)),
        (IpAddr::V6(_), IpAddr::V6(via)) => RouteAttribute::Gateway(RouteAddress::Inet6(via)),
        (IpAddr::V4(_), IpAddr::V6(via)) => RouteAttribute::Via(RouteVia::Inet6(via)),
        (IpAddr::V6(_), IpAddr::V4(via)) => RouteAttribute::Via(RouteVia::Inet(via)),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}
