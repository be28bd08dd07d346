//! Routes (rtnetlink(7), RTM_NEWROUTE).

use std::net::IpAddr;

use ipnet::IpNet;
pub use netlink_packet_route::route::RouteType;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol, RouteScope,
    RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::error::Result;
use super::netlink::{Netlink, Request};

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
    /// Deliver here, though no interface has the address.
    Local,
}

/// The loopback's index.
const LOOPBACK: u32 = 1;

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        Target::Local => {
            (header.kind, header.scope) = (RouteType::Local, RouteScope::Host);
            header.table = libc::RT_TABLE_LOCAL;
            attributes.push(RouteAttribute::Oif(LOOPBACK));
        }
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

/// A route as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Destination.
    pub to: IpNet,
    /// `unicast`, `blackhole`, `unreachable`, `prohibit`, or another of the kernel's types.
    pub kind: RouteType,
    /// Its next hops; none for types that lead nowhere.
    pub hops: Vec<Hop>,
    /// Who installed it (rtnetlink(7), rtm_protocol).
    pub protocol: u8,
    /// Priority; 0 where the kernel says nothing.
    pub metric: u32,
    /// Routing table.
    pub table: u32,
}

/// All routes of a family in the socket's namespace.
///
/// # Errors
/// The kernel refuses.
pub fn list(netlink: &mut Netlink, v4: bool) -> Result<Vec<Found>> {
    list_where(netlink, v4, |_, _| true)
}

/// All routes of a family in the socket's namespace whose table (255 for any above it) and protocol pass.
///
/// # Errors
/// The kernel refuses.
pub fn list_where(netlink: &mut Netlink, v4: bool, passes: impl Fn(u8, u8) -> bool) -> Result<Vec<Found>> {
    let mut message = RouteMessage::default();
    message.header.address_family = if v4 {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    // struct rtmsg: the table at 4, the protocol at 5.
    let passes = |body: &[u8]| body.len() > 5 && passes(body[4], body[5]);
    let question = RouteNetlinkMessage::GetRoute(message);
    let answers = netlink.dump_where("list the routes", question, passes)?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) => found(message, v4),
            _ => None,
        })
        .collect())
}

fn found(message: RouteMessage, v4: bool) -> Option<Found> {
    let header = message.header;
    // The default route has no destination attribute.
    let mut to = if v4 {
        IpAddr::from([0; 4])
    } else {
        IpAddr::from([0; 16])
    };
    let mut single = Hop {
        via: None,
        dev: None,
        weight: 1,
    };
    let (mut hops, mut metric, mut table) = (Vec::new(), 0, u32::from(header.table));
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(&address)?,
            RouteAttribute::Oif(index) => single.dev = Some(index),
            RouteAttribute::Priority(priority) => metric = priority,
            RouteAttribute::Table(number) => table = number,
            RouteAttribute::MultiPath(several) => hops = several.iter().map(hop).collect(),
            other => single.via = via(&other).or(single.via),
        }
    }
    if hops.is_empty() && (single.dev.is_some() || single.via.is_some()) {
        hops.push(single);
    }
    Some(Found {
        to: IpNet::new(to, header.destination_prefix_length).ok()?,
        kind: header.kind,
        hops,
        protocol: u8::from(header.protocol),
        metric,
        table,
    })
}

fn hop(next: &RouteNextHop) -> Hop {
    Hop {
        via: next.attributes.iter().find_map(via),
        dev: Some(next.interface_index),
        weight: u16::from(next.hops) + 1,
    }
}

fn via(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

/// The name of a type of routes, as iproute2 has it (rtnetlink.h, RTN_*).
pub fn kind_name(kind: RouteType) -> String {
    let name = match kind {
        RouteType::Unspec => "unspec",
        RouteType::Unicast => "unicast",
        RouteType::Local => "local",
        RouteType::Broadcast => "broadcast",
        RouteType::Anycast => "anycast",
        RouteType::Multicast => "multicast",
        RouteType::BlackHole => "blackhole",
        RouteType::Unreachable => "unreachable",
        RouteType::Prohibit => "prohibit",
        RouteType::Throw => "throw",
        RouteType::Nat => "nat",
        other => return u8::from(other).to_string(),
    };
    name.to_owned()
}
