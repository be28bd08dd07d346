//! The way of a flow's packets: every node's kernel is asked, from the sender on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_route::link::InfoKind;

use super::networks::Networks;
use super::topology::End;
use crate::failure::Failure;
use crate::kernel::address;
use crate::kernel::clock::monotonic;
use crate::kernel::link::{self, Interface};
use crate::kernel::route_question::{Packet, Way, way};
use crate::run::protocol::FlowPath;

/// No way has more routers, nor more interfaces.
const HOPS: usize = 64;
const LONGEST: usize = 256;
/// So many bridges and ports of bridges are looked behind for a machine.
const LOOKED_AT: usize = 4096;

/// Follows packets.
pub struct Walker<'a> {
    networks: &'a mut Networks,
    peers: Arc<HashMap<End, End>>,
    /// What was learned on this walk.
    links: HashMap<usize, Vec<Interface>>,
    interfaces: Vec<String>,
}

/// What comes next on the way.
enum Next {
    /// A machine, and the interface by which it is reached.
    Machine(usize, u32),
    /// Nothing that is known.
    Unknown(String),
}

/// The way of a packet that begins in a namespace.
pub fn walk(networks: &mut Networks, from: usize, packet: &Packet) -> FlowPath {
    let peers = Arc::clone(&networks.peers);
    let mut walker = Walker {
        networks,
        peers,
        links: HashMap::new(),
        interfaces: Vec::new(),
    };
    let ends = walker.follow(from, packet);
    FlowPath {
        at_ns: monotonic(),
        interfaces: walker.interfaces,
        ends: ends.unwrap_or_else(|failure| Some(failure.message)),
    }
}

impl Walker<'_> {
    /// Returns why the way is not whole, if it is not.
    fn follow(&mut self, from: usize, packet: &Packet) -> Result<Option<String>, Failure> {
        let (mut at, mut came_by) = (from, None);
        let mut seen: HashSet<(usize, Option<u32>)> = HashSet::new();
        for _ in 0..HOPS {
            if !seen.insert((at, came_by)) {
                return Ok(Some(format!(
                    "the way is a loop: it comes to {} again",
                    self.name(at)
                )));
            }
            let found = match way(self.networks.netlink(at)?, packet, came_by) {
                Ok(found) => found,
                Err(error) => {
                    return Ok(Some(format!(
                        "{} has no way to {}: {}",
                        self.name(at),
                        packet.to,
                        error.errno.desc()
                    )));
                }
            };
            let (out, via) = match found {
                Way::Here => return Ok(None),
                Way::Nowhere => {
                    return Ok(Some(format!(
                        "{} drops what goes to {}",
                        self.name(at),
                        packet.to
                    )));
                }
                Way::Out { interface, via, .. } => (interface, via),
            };
            let next = self.cross(at, out, via.unwrap_or(packet.to))?;
            if self.interfaces.len() > LONGEST {
                return Ok(Some("the way is too long".to_owned()));
            }
            match next {
                Next::Machine(machine, interface) => (at, came_by) = (machine, Some(interface)),
                Next::Unknown(why) => return Ok(Some(why)),
            }
        }
        Ok(Some(format!("the way has more than {HOPS} routers")))
    }

    fn name(&self, at: usize) -> &str {
        self.networks
            .topology
            .namespaces
            .get(at)
            .map_or("", |it| it.node.as_str())
    }

    /// Over the link by which a machine sends to another.
    fn cross(&mut self, at: usize, out: u32, to: IpAddr) -> Result<Next, Failure> {
        let shown = self.label(at, out)?;
        self.interfaces.push(shown);
        let ports = self.below(at, out)?;
        let mut unknown = true;
        // By each port: the bridges behind it are looked through in the order of their distance.
        let mut queue: VecDeque<(End, Vec<End>)> = VecDeque::new();
        let mut seen: HashSet<End> = HashSet::new();
        for port in ports {
            if let Some(peer) = self.peers.get(&(at, port)).copied() {
                unknown = false;
                let own = if port == out { vec![] } else { vec![(at, port)] };
                queue.push_back((peer, own));
            }
        }
        if unknown {
            let label = self.label(at, out)?;
            return Ok(Next::Unknown(format!(
                "what is behind {label} is not known: it is the end of no link"
            )));
        }
        let alone = queue.len() == 1;
        while let Some((end, passed)) = queue.pop_front() {
            if !seen.insert(end) || seen.len() > LOOKED_AT {
                continue;
            }
            let passed = [passed, vec![end]].concat();
            let bridge = self.bridge(end)?;
            if let Some(interface) = self.holder(end, bridge, to)? {
                return self.arrive(passed, end.0, interface);
            }
            match bridge {
                // On a link with two ends there is nobody else: an address that is not there is that of a protocol.
                None if alone && seen.len() == 1 => return self.arrive(passed, end.0, end.1),
                None => {}
                Some(bridge) => {
                    for port in self.members(end.0, bridge)? {
                        if let Some(peer) = self.peers.get(&(end.0, port)).copied()
                            && (end.0, port) != end
                        {
                            let passed = [passed.clone(), vec![(end.0, port)]].concat();
                            queue.push_back((peer, passed));
                        }
                    }
                }
            }
        }
        let label = self.label(at, out)?;
        Ok(Next::Unknown(format!("no machine behind {label} has {to}")))
    }

    fn arrive(&mut self, passed: Vec<End>, machine: usize, interface: u32) -> Result<Next, Failure> {
        for (at, index) in passed {
            let label = self.label(at, index)?;
            self.interfaces.push(label);
        }
        Ok(Next::Machine(machine, interface))
    }

    fn links(&mut self, at: usize) -> Result<&[Interface], Failure> {
        if !self.links.contains_key(&at) {
            let found = link::list(self.networks.netlink(at)?)?;
            self.links.insert(at, found);
        }
        Ok(self.links.get(&at).map_or(&[], Vec::as_slice))
    }

    fn interface(&mut self, at: usize, index: u32) -> Result<Option<Interface>, Failure> {
        Ok(self.links(at)?.iter().find(|it| it.index == index).cloned())
    }

    fn label(&mut self, at: usize, index: u32) -> Result<String, Failure> {
        let name = self
            .interface(at, index)?
            .map_or_else(|| index.to_string(), |it| it.name);
        Ok(format!("{}:{name}", self.name(at)))
    }

    /// The ends of links by which what an interface sends leaves: itself, what it is on, or what is in it.
    fn below(&mut self, at: usize, index: u32) -> Result<Vec<u32>, Failure> {
        let mut index = index;
        for _ in 0..8 {
            if self.peers.contains_key(&(at, index)) {
                return Ok(vec![index]);
            }
            let Some(interface) = self.interface(at, index)? else {
                break;
            };
            let members = self.members(at, index)?;
            match interface.kind {
                Some(InfoKind::Bond) => return Ok(members.into_iter().take(1).collect()),
                Some(InfoKind::Bridge) => return Ok(members),
                _ => {}
            }
            match interface.parent.filter(|_| !interface.parent_is_elsewhere) {
                Some(parent) => index = parent,
                None => break,
            }
        }
        Ok(Vec::new())
    }

    /// What is in a bridge or bond, as far as packets pass.
    fn members(&mut self, at: usize, master: u32) -> Result<Vec<u32>, Failure> {
        let all = self.links(at)?.iter();
        let members = all.filter(|it| it.master == Some(master) && it.running);
        Ok(members.map(|it| it.index).collect())
    }

    /// The bridge that the end of a link is in.
    fn bridge(&mut self, end: End) -> Result<Option<u32>, Failure> {
        let Some(master) = self.interface(end.0, end.1)?.and_then(|it| it.master) else {
            return Ok(None);
        };
        let is_bridge = |it: Interface| it.kind == Some(InfoKind::Bridge);
        Ok(self
            .interface(end.0, master)?
            .filter(|it| is_bridge(it.clone()))
            .map(|_| master))
    }

    /// The interface by which the machine at an end of a link takes what is for an address, if it has that.
    fn holder(&mut self, end: End, bridge: Option<u32>, to: IpAddr) -> Result<Option<u32>, Failure> {
        let all = address::list(self.networks.netlink(end.0)?)?;
        let having: Vec<u32> = all
            .iter()
            .filter(|(_, net)| net.addr() == to)
            .map(|(index, _)| *index)
            .collect();
        // It may be on top of the end, or in the whole machine: behind a bridge, only what is of the bridge counts.
        for index in having {
            let is_on = index == end.1 || bridge == Some(index) || self.is_above(end, index)?;
            if is_on {
                return Ok(Some(index));
            }
            if bridge.is_none() {
                return Ok(Some(end.1));
            }
        }
        Ok(None)
    }

    /// Whether an interface is on top of the end of a link: a VLAN, a bond, a bridge.
    fn is_above(&mut self, end: End, index: u32) -> Result<bool, Failure> {
        let master = self.interface(end.0, end.1)?.and_then(|it| it.master);
        let parent = self
            .interface(end.0, index)?
            .filter(|it| !it.parent_is_elsewhere && it.kind != Some(InfoKind::Veth));
        let parent = parent.and_then(|it| it.parent);
        Ok(master == Some(index) || parent == Some(end.1) || (parent.is_some() && parent == master))
    }
}
