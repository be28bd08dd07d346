//! What several answers say about neighbors and tables.

use std::collections::{BTreeSet, HashMap};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::View;
use crate::config::{Bgp, Layout, PeerName, RemoteAs};
use crate::session::State;
use crate::speaker::Peer;
use crate::table::{SourceId, Table};
use crate::wire::Family;

impl<'s> View<'s> {
    /// Whether answers are written as FRR 10 does.
    pub(super) fn is_ten(&self) -> bool {
        self.speaker.config().layout == Layout::Ten
    }

    /// `router bgp`.
    pub(super) fn bgp(&self) -> Option<&'s Bgp> {
        self.speaker.config().bgp.as_ref()
    }

    /// The neighbors in FRR's order: those by interface, those that a peer-group made, the others; by address. Those that came
    /// by themselves stand before the first that is in no group.
    pub(super) fn peers(&self) -> Vec<&'s Peer> {
        let Some(bgp) = self.bgp() else {
            return Vec::new();
        };
        let (mut guests, mut peers): (Vec<&Peer>, Vec<&Peer>) =
            self.speaker.peers().partition(|peer| peer.is_dynamic());
        peers.sort_by_key(|peer| {
            let configured = bgp.neighbors.iter().position(|it| it.name == peer.name);
            let neighbor = configured.map(|at| &bgp.neighbors[at]);
            let made_by = neighbor.filter(|it| it.made.by_group);
            let made_by = made_by.and_then(|it| it.group.as_deref());
            match &peer.name {
                PeerName::Interface(_) => (false, false, None, configured),
                PeerName::Address(_) => (true, made_by.is_none(), made_by, configured),
            }
        });
        guests.sort_by_key(|peer| peer.remote);
        let is_alone = |peer: &&Peer| {
            let configured = bgp.neighbor(&peer.name);
            configured.is_none_or(|it| it.group.is_none())
        };
        let at = peers.iter().position(is_alone).unwrap_or(peers.len());
        peers.splice(at..at, guests);
        peers
    }

    /// The neighbors that are active in a family.
    pub(super) fn peers_in(&self, family: Family) -> Vec<&'s Peer> {
        let mut peers = self.peers();
        peers.retain(|peer| peer.family(family).activate);
        peers
    }

    /// A neighbor by its address or interface.
    pub(crate) fn peer(&self, name: &str) -> Option<&'s Peer> {
        self.speaker.peers().find(|peer| {
            peer.name.to_string() == name || peer.remote.is_some_and(|it| it.to_string() == name)
        })
    }

    /// The name a neighbor has given, if names are shown (`bgp default show-hostname`).
    pub(super) fn shown_hostname(&self, peer: &'s Peer) -> Option<&'s str> {
        let shows = self.bgp().is_some_and(|bgp| bgp.flags.show_hostname);
        peer.record.name.as_deref().filter(|_| shows)
    }

    /// A neighbor in text: `10.0.0.1` or, where names are shown, `router0(10.0.0.1)`.
    pub(super) fn shown(&self, peer: &'s Peer) -> String {
        match self.shown_hostname(peer) {
            Some(name) => format!("{name}({})", peer.name),
            None => peer.name.to_string(),
        }
    }

    /// The session's state. A neighbor to which there is no way is one that is waited for.
    pub(super) fn state(&self, peer: &Peer) -> State {
        match peer.session.state() {
            State::Idle if !self.is_shut(peer) && self.waits_for_way(peer) => State::Active,
            state => state,
        }
    }

    /// Whether a session is kept down by the configuration.
    pub(super) fn is_shut(&self, peer: &Peer) -> bool {
        peer.effective.shutdown.is_some() || self.bgp().is_some_and(|bgp| bgp.flags.shutdown)
    }

    /// Whether there is no way to a neighbor whose address is known.
    pub(super) fn waits_for_way(&self, peer: &Peer) -> bool {
        matches!(peer.name, PeerName::Address(_)) && !self.speaker.is_in_reach(peer)
    }

    /// Whether policies are missing without which nothing comes from a neighbor, and nothing goes to it (RFC 8212).
    pub(super) fn lacks_policy(&self, peer: &Peer, family: Family) -> (bool, bool) {
        let required = self.bgp().is_some_and(|bgp| bgp.flags.ebgp_requires_policy);
        if !required || self.is_internal(peer) {
            return (false, false);
        }
        let it = peer.family(family);
        (!it.has_policy_in(), !it.has_policy_out())
    }

    /// Whether a neighbor is in the own AS.
    pub(crate) fn is_internal(&self, peer: &Peer) -> bool {
        match peer.effective.remote_as {
            Some(RemoteAs::Number(asn)) => asn == local_as(peer),
            Some(RemoteAs::Internal) => true,
            Some(RemoteAs::External) | None => false,
        }
    }
}

/// A neighbor's AS; 0 as long as nobody has said.
pub(crate) fn remote_as(peer: &Peer) -> u32 {
    match peer.effective.remote_as {
        Some(RemoteAs::Number(asn)) => asn,
        _ => peer.record.asn.unwrap_or(0),
    }
}

/// The AS shown to a neighbor.
pub(super) fn local_as(peer: &Peer) -> u32 {
    peer.session.settings().local_as
}

/// Whether a session is up.
pub(super) fn is_up(peer: &Peer) -> bool {
    peer.session.state() == State::Established
}

/// What kind of name a neighbor has, as FRR's JSON says.
pub(super) fn kind_of_name(peer: &Peer) -> &'static str {
    match &peer.name {
        PeerName::Interface(_) => "interface",
        PeerName::Address(address) if address.is_ipv4() => "ipv4",
        PeerName::Address(_) => "ipv6",
    }
}

/// How many prefixes each source has in a table.
pub(super) fn counts(table: &Table) -> HashMap<SourceId, usize> {
    let mut counts = HashMap::new();
    for (_, destination) in table.iter() {
        for route in destination.routes() {
            *counts.entry(route.source.id).or_default() += 1;
        }
    }
    counts
}

/// How many routes of a family each source has.
pub(super) fn counts_in(view: &View, family: Family) -> HashMap<SourceId, usize> {
    match family {
        Family::L2vpnEvpn => {
            let table = view.speaker.evpn_table();
            let peers = view.speaker.peers();
            peers.map(|peer| (peer.id, table.count(peer.id))).collect()
        }
        family => counts(view.speaker.table(family)),
    }
}

/// How many nodes FRR's tree of a family has, and the table's version. Of EVPN the tree is that of the distinguishers, and has no
/// version.
pub(super) fn size(view: &View, family: Family) -> (usize, u64) {
    if family != Family::L2vpnEvpn {
        let table = view.speaker.table(family);
        return (nodes(table), table.version());
    }
    let all = view.speaker.evpn_table().distinguishers();
    let all: Vec<u64> = all.into_iter().map(|rd| u64::from_be_bytes(rd.0)).collect();
    let partings = all.windows(2).map(|pair| {
        let alike = (pair[0] ^ pair[1]).leading_zeros();
        (pair[0] & !(u64::MAX >> alike), alike)
    });
    let partings: BTreeSet<(u64, u32)> = partings.collect();
    (all.len() + partings.len(), 0)
}

/// How many nodes FRR's tree of these prefixes has: one for each, and one where two of them part.
pub(super) fn nodes(table: &Table) -> usize {
    let prefixes: Vec<IpNet> = table.iter().map(|(prefix, _)| prefix).collect();
    let partings = prefixes.windows(2).map(|pair| common(pair[0], pair[1]));
    let nodes: BTreeSet<IpNet> = prefixes.iter().copied().chain(partings).collect();
    nodes.len()
}

/// The longest prefix that holds both.
fn common(a: IpNet, b: IpNet) -> IpNet {
    match (a, b) {
        (IpNet::V4(a), IpNet::V4(b)) => {
            let alike = (a.network().to_bits() ^ b.network().to_bits()).leading_zeros() as u8;
            let length = alike.min(a.prefix_len()).min(b.prefix_len());
            Ipv4Net::new(a.network(), length)
                .map_or(a, |net| net.trunc())
                .into()
        }
        (IpNet::V6(a), IpNet::V6(b)) => {
            let alike = (a.network().to_bits() ^ b.network().to_bits()).leading_zeros() as u8;
            let length = alike.min(a.prefix_len()).min(b.prefix_len());
            Ipv6Net::new(a.network(), length)
                .map_or(a, |net| net.trunc())
                .into()
        }
        (a, _) => a,
    }
}

/// Octets as FRR shows them: `1472 bytes`, `2172 KiB`.
pub(super) fn memory(octets: usize) -> String {
    let rounded = |shift: u32| (octets >> shift) + ((octets >> (shift - 1)) & 1);
    match octets {
        _ if octets >> 30 > 10 => format!("{} GiB", rounded(30)),
        _ if octets >> 20 > 10 => format!("{} MiB", rounded(20)),
        _ if octets >> 10 > 10 => format!("{} KiB", rounded(10)),
        _ => format!("{octets} bytes"),
    }
}
