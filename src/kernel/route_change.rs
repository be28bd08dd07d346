//! Many changes of routes at once (rtnetlink(7), RTM_NEWROUTE and RTM_DELROUTE): put in the place of the ones there are, or
//! taken out.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use nix::errno::Errno;

use super::error::{Error, Result};
use super::netlink::Netlink;
use super::netlink_batch::Batch;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const ANY_SCOPE: u8 = libc::RT_SCOPE_NOWHERE;
/// RTNH_F_ONLINK (linux/rtnetlink.h).
const ONLINK: u8 = 4;

/// Whose routes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// rtm_protocol.
    pub protocol: u8,
    /// Their priority.
    pub metric: u32,
}

/// A way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Gateway, possibly of the other family.
    pub via: Option<IpAddr>,
    /// Interface index.
    pub interface: u32,
    /// Whether the gateway is on the link though no network there says so.
    pub onlink: bool,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// One or more hops.
    Hops(Vec<Hop>),
    /// Drop silently.
    Blackhole,
    /// ICMP unreachable.
    Unreachable,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Destination.
    pub to: IpNet,
    /// Where it leads from now on; none to take it out.
    pub way: Option<Way>,
    /// The table it is in; none is the main one.
    pub table: Option<u32>,
    /// The source address of packets that are sent here.
    pub source: Option<IpAddr>,
}

impl Change {
    /// A route of the main table.
    pub fn of(to: IpNet, way: Option<Way>) -> Change {
        Change {
            to,
            way,
            table: None,
            source: None,
        }
    }
}

/// Makes changes. Returns those that the kernel refused; that a route to be taken out is gone already is none.
///
/// # Errors
/// The socket is broken.
pub fn apply(netlink: &mut Netlink, owner: Owner, changes: &[Change]) -> Result<Vec<(IpNet, Error)>> {
    let mut failures = Vec::new();
    let mut batch = Batch::default();
    let mut first = 0;
    for (number, change) in changes.iter().enumerate() {
        write(&mut batch, owner, change);
        if batch.end() || number + 1 == changes.len() {
            let sent = &changes[first..=number];
            first = number + 1;
            netlink.send_batch(&mut batch, |place, errno, said| {
                failures.extend(sent.get(place).and_then(|change| failure(change, errno, said)));
            })?;
        }
    }
    Ok(failures)
}

fn failure(change: &Change, errno: Errno, said: Option<String>) -> Option<(IpNet, Error)> {
    let what = match change.way {
        // The kernel itself takes routes out over interfaces that go down.
        None if matches!(errno, Errno::ESRCH | Errno::ENOENT) => return None,
        None => format!("delete the route to {}", change.to),
        Some(_) => format!("set the route to {}", change.to),
    };
    Some((change.to, Error { what, errno, said }))
}

fn write(batch: &mut Batch, owner: Owner, change: &Change) {
    let (kind, flags) = match change.way {
        Some(_) => (RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE),
        None => (RTM_DELROUTE, 0),
    };
    batch.begin(kind, flags, &header(owner, change));
    match change.to.addr() {
        IpAddr::V4(address) => batch.attribute(libc::RTA_DST, &[&address.octets()]),
        IpAddr::V6(address) => batch.attribute(libc::RTA_DST, &[&address.octets()]),
    }
    batch.attribute(libc::RTA_PRIORITY, &[&owner.metric.to_ne_bytes()]);
    if let Some(table) = change.table {
        batch.attribute(libc::RTA_TABLE, &[&table.to_ne_bytes()]);
    }
    match change.source {
        Some(IpAddr::V4(address)) => batch.attribute(libc::RTA_PREFSRC, &[&address.octets()]),
        Some(IpAddr::V6(address)) => batch.attribute(libc::RTA_PREFSRC, &[&address.octets()]),
        None => {}
    }
    match &change.way {
        Some(Way::Hops(hops)) => match hops.as_slice() {
            [hop] => {
                gateway(batch, change.to, hop);
                batch.attribute(libc::RTA_OIF, &[&hop.interface.to_ne_bytes()]);
            }
            hops => several(batch, change.to, hops),
        },
        // IPv6 has them all on the loopback, and takes them without it; so does IPv4.
        Some(Way::Blackhole | Way::Unreachable) | None => {}
    }
}

/// struct rtmsg.
fn header(owner: Owner, change: &Change) -> [u8; 12] {
    let v4 = change.to.addr().is_ipv4();
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    let (kind, scope, onlink) = match &change.way {
        // FRR gives this scope to routes without a gateway as well.
        Some(Way::Hops(hops)) => {
            let onlink = matches!(hops.as_slice(), [hop] if hop.onlink);
            (libc::RTN_UNICAST, libc::RT_SCOPE_UNIVERSE, onlink)
        }
        Some(Way::Blackhole) => (libc::RTN_BLACKHOLE, libc::RT_SCOPE_UNIVERSE, false),
        Some(Way::Unreachable) => (libc::RTN_UNREACHABLE, libc::RT_SCOPE_UNIVERSE, false),
        None => (libc::RTN_UNSPEC, ANY_SCOPE, false),
    };
    let flags = if onlink { ONLINK } else { 0 };
    let mut header = [0; 12];
    header[0] = family as u8;
    header[1] = change.to.prefix_len();
    // A number that does not fit stands in RTA_TABLE alone.
    header[4] = match change.table {
        None => libc::RT_TABLE_MAIN,
        Some(table) => u8::try_from(table).unwrap_or(libc::RT_TABLE_UNSPEC),
    };
    header[5] = owner.protocol;
    header[6] = scope;
    header[7] = kind;
    header[8..].copy_from_slice(&u32::from(flags).to_ne_bytes());
    header
}

/// RTA_GATEWAY for a gateway of the destination's family, RTA_VIA for one of the other.
fn gateway(batch: &mut Batch, to: IpNet, hop: &Hop) {
    match (to.addr(), hop.via) {
        (_, None) => {}
        (IpAddr::V4(_), Some(IpAddr::V4(via))) => batch.attribute(libc::RTA_GATEWAY, &[&via.octets()]),
        (IpAddr::V6(_), Some(IpAddr::V6(via))) => batch.attribute(libc::RTA_GATEWAY, &[&via.octets()]),
        (IpAddr::V4(_), Some(IpAddr::V6(via))) => other_family(batch, libc::AF_INET6, &via.octets()),
        (IpAddr::V6(_), Some(IpAddr::V4(via))) => other_family(batch, libc::AF_INET, &via.octets()),
    }
}

/// struct rtvia.
fn other_family(batch: &mut Batch, family: libc::c_int, address: &[u8]) {
    batch.attribute(libc::RTA_VIA, &[&(family as u16).to_ne_bytes(), address]);
}

/// RTA_MULTIPATH: one struct rtnexthop after the other.
fn several(batch: &mut Batch, to: IpNet, hops: &[Hop]) {
    let start = batch.position();
    batch.raw(&[0, 0]);
    batch.raw(&libc::RTA_MULTIPATH.to_ne_bytes());
    for hop in hops {
        let start = batch.position();
        let flags = if hop.onlink { ONLINK } else { 0 };
        batch.raw(&[0, 0, flags, 0]);
        batch.raw(&hop.interface.to_ne_bytes());
        gateway(batch, to, hop);
        batch.close(start);
    }
    batch.close(start);
}
