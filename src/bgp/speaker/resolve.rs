//! Ways to next hops, and what of the routes goes into the kernel.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::{Action, Hop, Interface, Peer, Speaker, family_of};
use crate::bgp::config::{Bgp, PeerName, RemoteAs};
use crate::bgp::table::{NextHopState, Route, SourceKind};
use crate::bgp::wire::{Family, NextHop};

/// Whether a session with a neighbour makes sense: one in another AS has to be on a network of this router's unless it is
/// said to be further away.
pub(super) fn is_near_enough(peer: &Peer, bgp: &Bgp, interfaces: &[Interface]) -> bool {
    let effective = &peer.effective;
    let internal = match effective.remote_as {
        Some(RemoteAs::Internal) => true,
        Some(RemoteAs::Number(asn)) => asn == bgp.asn,
        Some(RemoteAs::External) => false,
        // FRR does nothing with a neighbour whose AS nobody has said.
        None => return false,
    };
    let far = effective.ebgp_multihop.is_some()
        || effective.ttl_security.is_some_and(|hops| hops > 1)
        || effective.disable_connected_check
        || bgp.flags.disable_connected_check;
    match (&peer.name, peer.remote) {
        (PeerName::Interface(_), _) => peer.interface.is_some(),
        (_, Some(remote)) => internal || far || connected(interfaces, remote).is_some(),
        (_, None) => false,
    }
}

/// The interface on whose network an address is, by the longest of those that match.
fn connected(interfaces: &[Interface], address: IpAddr) -> Option<&Interface> {
    let up = interfaces.iter().filter(|it| it.up);
    let networks = up.flat_map(|it| it.addresses.iter().map(move |net| (it, net)));
    let matching =
        networks.filter(|(_, net)| net.contains(&address) && net.prefix_len() < net.max_prefix_len());
    let longest = matching.max_by_key(|(_, net)| net.prefix_len());
    longest.map(|(interface, _)| interface)
}

impl Speaker {
    /// Whether a neighbour is where a session with it makes sense.
    pub fn is_in_reach(&self, peer: &Peer) -> bool {
        let bgp = self.config.bgp.as_ref();
        bgp.is_some_and(|bgp| is_near_enough(peer, bgp, &self.interfaces))
    }

    /// Whether there is a way to a route's next hop.
    pub(super) fn resolve(&self, route: &Route) -> NextHopState {
        if route.source.kind == SourceKind::Local {
            return NextHopState::Reachable(0);
        }
        self.ways(route).map_or(NextHopState::Unreachable, |(cost, _)| {
            NextHopState::Reachable(cost)
        })
    }

    /// The cost of a route's next hop, and the ways to it.
    pub fn ways(&self, route: &Route) -> Option<(u32, Vec<Hop>)> {
        if let Some(hop) = self.on_the_link(route) {
            return Some((0, vec![hop]));
        }
        let address = route.next_hop.address();
        if let Some(interface) = connected(&self.interfaces, address) {
            let via = Some(address);
            return Some((
                0,
                vec![Hop {
                    via,
                    interface: interface.index,
                }],
            ));
        }
        // A default route leads everywhere and says nothing (FRR: no `ip nht resolve-via-default`).
        let matching = self
            .routes
            .iter()
            .filter(|it| it.to.contains(&address) && it.to.prefix_len() > 0);
        let longest = matching.max_by_key(|it| it.to.prefix_len())?;
        let hops = longest.hops.iter().map(|hop| Hop {
            via: hop.via.or(Some(address)),
            interface: hop.interface,
        });
        let hops: Vec<Hop> = hops.collect();
        (!hops.is_empty()).then_some((longest.metric, hops))
    }

    /// A link-local next hop is on the link to whoever told it.
    fn on_the_link(&self, route: &Route) -> Option<Hop> {
        let address: Ipv6Addr = route.next_hop.link_local()?;
        let peer = self.peers.get(&route.source.id)?;
        let interface = self.interface_of(peer).filter(|it| it.up)?;
        Some(Hop {
            via: Some(address.into()),
            interface: interface.index,
        })
    }

    /// Looks anew at all next hops, and at all that is in the kernel.
    pub(super) fn resolve_all(&mut self) {
        let mut tables = std::mem::take(&mut self.tables);
        for family in Family::ALL {
            let table = tables.get_mut(family);
            table.resolve(|route| self.resolve(route));
            table.reconsider();
        }
        self.tables = tables;
    }

    /// Puts what was chosen into the kernel.
    pub(super) fn forward(&mut self, changed: &[IpNet], actions: &mut Vec<Action>) {
        for prefix in changed {
            let hops = self.hops(prefix);
            let before = self.forwarded.get(prefix).map_or(&[][..], Vec::as_slice);
            if before == hops {
                continue;
            }
            if hops.is_empty() {
                self.forwarded.remove(prefix);
            } else {
                self.forwarded.insert(*prefix, hops.clone());
            }
            actions.push(Action::Forward(*prefix, hops));
        }
    }

    /// The ways of packets to a prefix; none where this router is in that network, or has a route of another kind to it:
    /// those are nearer (FRR's distances: connected 0, static 1, BGP 20 and 200).
    fn hops(&self, prefix: &IpNet) -> Vec<Hop> {
        let Some(destination) = self.tables.get(family_of(prefix)).get(prefix) else {
            return Vec::new();
        };
        let up = self.interfaces.iter().filter(|it| it.up);
        let taken = up.flat_map(Interface::networks).any(|net| net == *prefix)
            || self.routes.iter().any(|route| route.to == *prefix);
        let foreign = destination
            .multipath()
            .filter(|route| route.source.kind != SourceKind::Local);
        if taken {
            return Vec::new();
        }
        let mut hops: Vec<Hop> = foreign
            .filter_map(|route| self.ways(route))
            .flat_map(|(_, hops)| hops)
            .collect();
        hops.sort();
        hops.dedup();
        hops
    }

    /// Whether a next hop is on the network that this router shares with a neighbour: then it is told unchanged
    /// (RFC 4271 section 5.1.3).
    pub(super) fn shares_network(&self, peer: &Peer, next_hop: NextHop) -> bool {
        let Some(interface) = self.interface_of(peer) else {
            return false;
        };
        let address = next_hop.address();
        let remote = peer.remote;
        let both = |net: &&IpNet| net.contains(&address) && remote.is_some_and(|it| net.contains(&it));
        next_hop.link_local().is_none() && interface.addresses.iter().find(both).is_some()
    }
}
