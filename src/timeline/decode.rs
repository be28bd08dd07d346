//! What a kept announcement says.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::attributes::{Attributes, half, word};
use crate::trim::{
    DEL_ADDRESS, DEL_LINK, DEL_NEIGHBOR, DEL_ROUTE, NEW_ADDRESS, NEW_LINK, NEW_NEIGHBOR, NEW_ROUTE, RUNNING,
    UP,
};

const AF_INET: u8 = 2;
const TABLE_MAIN: u32 = 254;
/// RTNH_F_DEAD.
const DEAD: u8 = 1;

/// What was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announced {
    /// An interface is so.
    Link(Link),
    /// An interface is gone.
    LinkGone(u32),
    /// An interface has an address, or has it no longer.
    Address(u32, IpNet, Change),
    /// A neighbor on a link was found, was not found, or is forgotten.
    Neighbor(Neighbor, Change),
    /// There is a route.
    Route(RouteKey, Route),
    /// There is no such route any more; of IPv6's, perhaps these hops of it alone.
    RouteGone(RouteKey, Vec<Hop>),
}

/// Whether it came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there.
    Is,
    /// It is not.
    Gone,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub up: bool,
    /// Whether it has a carrier.
    pub running: bool,
    /// Its MTU.
    pub mtu: u32,
    /// The index of the bridge, bond or VRF it is in; 0 for none.
    pub master: u32,
}

/// A neighbor on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// The index of the interface.
    pub interface: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address, where it is known.
    pub mac: Option<String>,
}

/// What tells routes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// The table.
    pub table: u32,
    /// The destination.
    pub to: IpNet,
    /// rtm_tos.
    pub tos: u8,
    /// The metric.
    pub metric: u32,
}

impl RouteKey {
    /// Whether it is in the main table.
    pub fn is_main(&self) -> bool {
        self.table == TABLE_MAIN
    }
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// rtm_protocol.
    pub protocol: u8,
    /// rtm_type.
    pub kind: u8,
    /// Whether its hops are nexthop objects of the kernel's (ip-nexthop(8)).
    pub by_objects: bool,
    /// Where it leads.
    pub hops: Vec<Hop>,
}

/// A next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The index of the interface.
    pub interface: u32,
    /// The gateway.
    pub gateway: Option<IpAddr>,
    /// Whether the kernel passes it over, as its interface is down.
    pub dead: bool,
}

/// Reads a kept announcement.
pub fn announced(body: &[u8]) -> Option<Announced> {
    let kind = half(body, 0)?;
    let message = body.get(2..)?;
    match kind {
        NEW_LINK | DEL_LINK => link(kind, message),
        NEW_ADDRESS | DEL_ADDRESS => address(kind, message),
        NEW_ROUTE | DEL_ROUTE => route(kind, message),
        NEW_NEIGHBOR | DEL_NEIGHBOR => neighbor(kind, message),
        _ => None,
    }
}

fn link(kind: u16, message: &[u8]) -> Option<Announced> {
    let (index, flags) = (word(message, 4)?, word(message, 8)?);
    if kind == DEL_LINK {
        return Some(Announced::LinkGone(index));
    }
    let mut link = Link {
        index,
        name: format!("interface {index}"),
        up: flags & UP != 0,
        running: flags & RUNNING != 0,
        mtu: 0,
        master: 0,
    };
    for (kind, value, _) in Attributes(message.get(16..)?) {
        match kind {
            3 => {
                let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
                link.name = String::from_utf8_lossy(&value[..end]).into_owned();
            }
            4 => link.mtu = word(value, 0)?,
            10 => link.master = word(value, 0)?,
            _ => {}
        }
    }
    Some(Announced::Link(link))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        _ => None,
    }
}

fn address(kind: u16, message: &[u8]) -> Option<Announced> {
    let (length, index) = (*message.get(1)?, word(message, 4)?);
    let mut found = None;
    for (kind, value, _) in Attributes(message.get(8..)?) {
        match (kind, ip(value)) {
            // IFA_LOCAL is the own one where IFA_ADDRESS is the other end's.
            (2, Some(address)) => found = Some(address),
            (1, Some(address)) => found = found.or(Some(address)),
            _ => {}
        }
    }
    let change = if kind == NEW_ADDRESS {
        Change::Is
    } else {
        Change::Gone
    };
    Some(Announced::Address(
        index,
        IpNet::new(found?, length).ok()?,
        change,
    ))
}

fn neighbor(kind: u16, message: &[u8]) -> Option<Announced> {
    /// NUD_FAILED.
    const FAILED: u16 = 0x20;
    let (interface, state) = (word(message, 4)?, half(message, 8)?);
    let (mut address, mut mac) = (None, None);
    for (kind, value, _) in Attributes(message.get(12..)?) {
        match kind {
            1 => address = ip(value),
            2 if value.len() == 6 => {
                let octets: Vec<String> = value.iter().map(|octet| format!("{octet:02x}")).collect();
                mac = Some(octets.join(":"));
            }
            _ => {}
        }
    }
    let is_there = kind == NEW_NEIGHBOR && state & FAILED == 0;
    let change = if is_there { Change::Is } else { Change::Gone };
    let neighbor = Neighbor {
        interface,
        address: address?,
        mac,
    };
    Some(Announced::Neighbor(neighbor, change))
}

fn route(kind: u16, message: &[u8]) -> Option<Announced> {
    let fixed = message.get(..12)?;
    let (family, length, tos, protocol, of) = (fixed[0], fixed[1], fixed[2], fixed[5], fixed[7]);
    let mut to = match family {
        AF_INET => IpAddr::from([0; 4]),
        _ => IpAddr::from([0; 16]),
    };
    let (mut table, mut metric, mut interface, mut gateway) = (u32::from(fixed[4]), 0, None, None);
    let mut hops = Vec::new();
    let mut by_objects = false;
    for (kind, value, _) in Attributes(&message[12..]) {
        match kind {
            1 => to = ip(value)?,
            4 => interface = word(value, 0),
            5 => gateway = ip(value),
            6 => metric = word(value, 0)?,
            9 => hops = multipath(value),
            15 => table = word(value, 0)?,
            // struct rtvia: the family, then the address.
            18 => gateway = ip(value.get(2..)?),
            30 => by_objects = true,
            _ => {}
        }
    }
    if let (true, Some(interface)) = (hops.is_empty(), interface) {
        hops.push(Hop {
            interface,
            gateway,
            dead: fixed[8] & DEAD != 0,
        });
    }
    hops.sort_unstable();
    let key = RouteKey {
        table,
        to: IpNet::new(to, length).ok()?.trunc(),
        tos,
        metric,
    };
    Some(match kind {
        NEW_ROUTE => {
            let route = Route {
                protocol,
                kind: of,
                by_objects,
                hops,
            };
            Announced::Route(key, route)
        }
        _ => Announced::RouteGone(key, hops),
    })
}

/// RTA_MULTIPATH: one struct rtnexthop with its attributes after the other.
fn multipath(mut value: &[u8]) -> Vec<Hop> {
    let mut hops = Vec::new();
    while let (Some(length), Some(interface)) = (half(value, 0), word(value, 4)) {
        let length = usize::from(length);
        let Some(attributes) = value.get(8..length) else {
            break;
        };
        let gateway = Attributes(attributes).find_map(|(kind, value, _)| match kind {
            5 => ip(value),
            18 => ip(value.get(2..)?),
            _ => None,
        });
        hops.push(Hop {
            interface,
            gateway,
            dead: value[2] & DEAD != 0,
        });
        value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trim;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_none(kind in 14u16..32, bytes in proptest::collection::vec(0u8.., 0..120)) {
            let mut kept = Vec::new();
            if trim::body(kind, &bytes, &mut kept).is_some() {
                let _ = announced(&kept);
            }
            let mut raw = kind.to_ne_bytes().to_vec();
            raw.extend(&bytes);
            let _ = announced(&raw);
        }
    }
}
