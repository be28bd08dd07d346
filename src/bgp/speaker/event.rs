//! What happens to a speaker, and what it wants done: all that passes between it and whoever runs it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::Link;
use crate::config::Config;
use crate::evpn::{LocalVni, Overlay};
use crate::session::ConnectionId;
use crate::table::SourceId;
use crate::wire::Family;

/// An interface as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether packets pass.
    pub up: bool,
    /// Its addresses with their networks' lengths, link-local ones included.
    pub addresses: Vec<IpNet>,
    /// Of addresses that name the other end of the link (`ip address A peer B`): the own one, and what is there.
    pub peers: Vec<(IpAddr, IpNet)>,
    /// What it is on.
    pub link: Link,
}

impl Interface {
    /// The networks that its addresses are in, or those at the other end of the link where they name them.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> {
        let has_peer = |net: &&IpNet| self.peers.iter().any(|(own, _)| *own == net.addr());
        let own = self.addresses.iter().filter(move |net| !has_peer(net)).copied();
        own.chain(self.peers.iter().map(|(_, net)| *net))
    }

    /// Whether an address is its own.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.addr() == address)
    }

    /// Its link-local address.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            _ => None,
        })
    }

    /// Its first address that means something elsewhere, too.
    pub(super) fn global_v6(&self) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V6(address) if !address.is_unicast_link_local() && !address.is_loopback() => {
                Some(address)
            }
            _ => None,
        })
    }

    /// The same of IPv4.
    pub(super) fn v4(&self) -> Option<Ipv4Addr> {
        self.addresses.iter().find_map(|net| match net.addr() {
            IpAddr::V4(address) if !address.is_loopback() => Some(address),
            _ => None,
        })
    }
}

/// A route of the kernel's that is not the speaker's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// Where to.
    pub to: IpNet,
    /// The ways; none for one that drops.
    pub hops: Vec<Hop>,
    /// What becomes of packets where there is none.
    pub drop: Drop,
    /// Its priority.
    pub metric: u32,
    /// Whether somebody configured it on this router (`redistribute static`); else it is `kernel`.
    pub is_static: bool,
    /// The administrative distance: of a route of BGP's to the same place the nearer one is used.
    pub distance: u8,
    /// The tag, which route-maps ask for.
    pub tag: u32,
}

/// What becomes of packets that go nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drop {
    /// Nobody hears of it.
    #[default]
    Blackhole,
    /// The sender is told that the destination cannot be reached.
    Unreachable,
    /// The sender is told that it is forbidden.
    Prohibit,
}

/// A way of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hop {
    /// The next router; none where the destination is on the link.
    pub via: Option<IpAddr>,
    /// The interface's index.
    pub interface: u32,
}

/// What becomes of packets to a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Way {
    /// They go one of these ways; at least one.
    Hops(Vec<Hop>),
    /// They are dropped: an aggregate stands for more than there is a way to.
    Blackhole,
    /// They go one of several ways as well, but by a route that is not like the others.
    Special(Box<Special>),
}

/// A route into the kernel of which route-maps have said more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Special {
    /// The ways; at least one.
    pub hops: Vec<Hop>,
    /// The source address of packets that this router itself sends (`set src`).
    pub source: Option<IpAddr>,
    /// A table beside the main one (`set table`).
    pub table: Option<u32>,
}

impl Way {
    /// The ways; none for one that drops.
    pub fn hops(&self) -> &[Hop] {
        match self {
            Way::Hops(hops) => hops,
            Way::Special(special) => &special.hops,
            Way::Blackhole => &[],
        }
    }

    /// Whether it is in the main table, by which packets go that nobody has said more about.
    pub fn is_in_main(&self) -> bool {
        !matches!(self, Way::Special(special) if special.table.is_some())
    }
}

/// What happens to a speaker.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It is to do as this configuration says.
    Configure(Box<Config>),
    /// All of the kernel's interfaces, as they are now.
    Interfaces(Vec<Interface>),
    /// All of the kernel's routes that are not connected networks and not the speaker's own, as they are now.
    Routes(Vec<KernelRoute>),
    /// All of the kernel's VXLAN devices that are in bridges, and what those have learned, as they are now.
    Bridging(Vec<LocalVni>),
    /// A router has made itself known on an interface (RFC 4861 section 4.2).
    Discovered(u32, Ipv6Addr),
    /// Somebody has opened a connection. For link-local addresses the interface's index says which link.
    Accepted(ConnectionId, Endpoints),
    /// A connection that was dialled is open.
    Dialled(SourceId, ConnectionId, Endpoints),
    /// Dialling failed.
    DialFailed(SourceId),
    /// Octets came.
    Received(ConnectionId, Vec<u8>),
    /// A connection is over.
    Closed(ConnectionId),
    /// All that was to be sent on a connection before it was asked for a report is sent.
    Sent(ConnectionId),
    /// Whether octets that are to be sent on a connection have been stuck for a while.
    Stuck(ConnectionId, bool),
    /// A neighbor's session is to begin anew.
    Reset(SourceId),
    /// A neighbor's routes are to pass policy again, of a family or all.
    SoftIn(SourceId, Option<Family>),
    /// A neighbor is to be told everything again, of a family or all.
    SoftOut(SourceId, Option<Family>),
    /// An earlier life of this router has left routes in the kernel.
    Returned,
    /// Only time has passed.
    Tick,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// This side's address.
    pub local: IpAddr,
    /// The neighbor's.
    pub remote: IpAddr,
    /// The interface of link-local addresses.
    pub interface: Option<u32>,
    /// The ports, this side's first.
    pub ports: (u16, u16),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Open a connection to a neighbor.
    Dial(SourceId, Box<Dial>),
    /// Give up the one that is being opened.
    HangUp(SourceId),
    /// Send octets.
    Send(ConnectionId, Vec<u8>),
    /// Report with [`Event::Sent`] as soon as all is sent that was to be sent so far.
    Report(ConnectionId),
    /// Close a connection once all is sent.
    Close(ConnectionId),
    /// Put a route into the kernel, in the place of the one there is; without a way, take it out.
    Forward(IpNet, Option<Arc<Way>>),
    /// The same of a VRF's route, into the kernel's table of this number. Its ways need no network on their interfaces.
    ForwardIn(u32, IpNet, Option<Arc<Way>>),
    /// Put an entry into a bridge, a VXLAN device or a neighbor table, in the place of the one there is.
    Place(Overlay),
    /// Take one out.
    TakeOut(Overlay),
    /// Something a router's log tells.
    Log(String),
}

/// How a connection is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// To where.
    pub remote: IpAddr,
    /// The port.
    pub port: u16,
    /// The interface, for link-local addresses.
    pub interface: Option<u32>,
    /// From where, if that is said.
    pub local: Option<IpAddr>,
    /// How far packets may travel.
    pub hops: u8,
    /// The neighbor is at most so many hops away, and proves it (RFC 5082).
    pub security_hops: Option<u8>,
    /// The key of TCP MD5 signatures (RFC 2385).
    pub password: Option<String>,
    /// The longest TCP segment, in octets; 0 is no limit.
    pub segment: Option<u16>,
}
