//! Who is on a network of this router's, and who is further away.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Interface, Peer, Speaker};
use crate::config::{Bgp, Effective, PeerName, RemoteAs};
use crate::wire::NextHop;

/// Whether a session with a neighbor makes sense: one in another AS has to be on a network of this router's unless it is
/// said to be further away.
pub(super) fn is_near_enough(peer: &Peer, bgp: &Bgp, interfaces: &[Interface]) -> bool {
    let effective = &peer.effective;
    let internal = match effective.remote_as {
        Some(RemoteAs::Internal) => true,
        Some(RemoteAs::Number(asn)) => asn == bgp.asn,
        Some(RemoteAs::External) => false,
        // FRR does nothing with a neighbor whose AS nobody has said.
        None => return false,
    };
    let far = is_far(effective, bgp);
    match (&peer.name, peer.remote) {
        (PeerName::Interface(_), _) => peer.interface.is_some(),
        (_, Some(remote)) => internal || far || connected(interfaces, remote).is_some(),
        (_, None) => false,
    }
}

/// Whether a neighbor in another AS may be on no network of this router's.
pub(super) fn is_far(effective: &Effective, bgp: &Bgp) -> bool {
    effective.ebgp_multihop.is_some()
        || effective.ttl_security.is_some_and(|hops| hops > 1)
        || effective.disable_connected_check
        || bgp.flags.disable_connected_check
}

/// The interface on whose network an address is, and that network: the longest of those that match.
pub(super) fn connected(interfaces: &[Interface], address: IpAddr) -> Option<(&Interface, IpNet)> {
    let up = interfaces.iter().filter(|it| it.up);
    let networks = up.flat_map(|it| it.nets().map(move |net| (it, net)));
    let is_on = |it: &Interface, net: IpNet| net.prefix_len() < net.max_prefix_len() || !it.has(address);
    let matching = networks.filter(|(it, net)| net.contains(&address) && is_on(it, *net));
    matching.max_by_key(|(_, net)| net.prefix_len())
}

impl Speaker {
    /// Whether a neighbor is where a session with it makes sense.
    pub fn is_in_reach(&self, peer: &Peer) -> bool {
        let bgp = self.config.bgp.as_ref();
        bgp.is_some_and(|bgp| is_near_enough(peer, bgp, &self.interfaces))
    }

    /// Whether a next hop is on the network that this router shares with a neighbor: then it is told unchanged
    /// (RFC 4271 section 5.1.3).
    pub(super) fn shares_network(&self, peer: &Peer, next_hop: NextHop) -> bool {
        let Some(interface) = self.interface_of(peer) else {
            return false;
        };
        let address = next_hop.address();
        let remote = peer.remote;
        let both = |net: IpNet| net.contains(&address) && remote.is_some_and(|it| net.contains(&it));
        interface.nets().any(both)
    }
}
