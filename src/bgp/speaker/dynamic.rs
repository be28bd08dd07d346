//! Neighbors that nobody has named and that come by themselves, from a prefix (`bgp listen range`).

use std::net::IpAddr;

use super::{Action, Endpoints, Peer, Speaker};
use crate::config::{Bgp, Effective, PeerName};
use crate::session::Time;
use crate::table::SourceId;

/// The peer-group that lets an address in: that of the longest range it is in.
fn group_for(bgp: &Bgp, address: IpAddr) -> Option<&String> {
    bgp.range_around(address).map(|(_, group)| group)
}

impl Speaker {
    /// What holds for a neighbor that a group lets in. It is never dialled.
    fn effective_of_guest(&self, bgp: &Bgp, group: &str) -> Option<Effective> {
        let mut effective = self.config.effective_of_group(bgp, bgp.groups.get(group)?);
        effective.passive = true;
        (effective.remote_as.is_some() && effective.shutdown.is_none()).then_some(effective)
    }

    /// Lets a neighbor in that dials from a range, as long as there are not too many (`bgp listen limit`).
    pub(super) fn accept_dynamic(
        &mut self,
        endpoints: &Endpoints,
        now: Time,
        actions: &mut Vec<Action>,
    ) -> Option<SourceId> {
        let bgp = self.config.bgp.clone()?;
        let group = group_for(&bgp, endpoints.remote)?;
        let guests = self.peers.values().filter(|peer| peer.is_dynamic()).count();
        if guests >= usize::from(bgp.listen_limit) {
            return None;
        }
        let effective = self.effective_of_guest(&bgp, group)?;
        let name = PeerName::Address(endpoints.remote);
        let settings = self.session_settings(&bgp, &name, &effective);
        let id = SourceId(self.next_peer);
        self.next_peer += 1;
        let mut peer = Peer::new(id, name, effective, settings, self.seed);
        peer.let_in_by = Some(group.clone());
        self.peers.insert(id, peer);
        self.allow(id, now, actions);
        Some(id)
    }

    /// Whether a neighbor that came by itself may stay: a range lets it in as it did when it came. One for which
    /// something else holds now comes again.
    pub(super) fn is_accepted(&self, peer: &Peer, bgp: Option<&Bgp>) -> bool {
        let (Some(bgp), Some(group), Some(address)) = (bgp, &peer.let_in_by, peer.remote) else {
            return false;
        };
        group_for(bgp, address) == Some(group)
            && self.effective_of_guest(bgp, group).as_ref() == Some(&peer.effective)
    }

    /// Forgets a neighbor that came by itself, once it has no connection any more.
    pub(super) fn part(&mut self, id: SourceId) {
        let peer = self.peers.get(&id);
        let dynamic = peer.is_some_and(|peer| peer.is_dynamic() && peer.away.is_none());
        if dynamic && !self.connections.values().any(|peer| *peer == id) {
            self.peers.remove(&id);
        }
    }
}
