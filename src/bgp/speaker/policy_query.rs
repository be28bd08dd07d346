//! What policy says about routes that are not on their way anywhere: for those who ask.

use std::sync::Arc;

use ipnet::IpNet;

use super::{Peer, Received, Speaker};
use crate::policy::{Context, Direction, NextHopChange, Policy, Subject, Verdict};
use crate::table::Route;
use crate::wire::{Attributes, Family};

/// A route that a neighbor told, as its lists and its route-map let it in.
pub struct Filtered {
    /// Its attributes, as far as the route-map has changed them.
    pub attributes: Arc<Attributes>,
    /// Whether it gets in.
    pub passes: bool,
}

impl Speaker {
    /// Lists and route-maps.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a route-map lets a route of the table pass.
    pub fn is_permitted(&self, name: &str, prefix: IpNet, route: &Route) -> bool {
        let peer = self.peers.get(&route.source.id);
        let context = Context {
            direction: Direction::Own,
            own_as: self.config.bgp.as_ref().map_or(0, |bgp| bgp.asn),
            peer: peer.map(|peer| &peer.name),
            peer_address: route.source.address,
            interface: None,
            blackhole: false,
            seed: self.seed,
        };
        self.policy.permits(name, &Subject::of(prefix, route), &context)
    }

    /// What a neighbor's lists and its route-map make of a route as it came. Loops and the like are none of theirs.
    pub fn filter(&self, peer: &Peer, family: Family, prefix: IpNet, told: &Received) -> Filtered {
        let settings = peer.family(family);
        let mut subject = Subject {
            prefix,
            attributes: Arc::clone(&told.attributes),
            next_hop: told.next_hop,
            next_hop_change: NextHopChange::None,
            weight: 0,
            tag: 0,
            distance: None,
            table: None,
            source: None,
        };
        let by_lists = self.passes_lists_in(family, settings, &prefix, &told.attributes.as_path);
        let mut by_map = || {
            let (Some(name), Some(bgp)) = (&settings.route_map_in, &self.config.bgp) else {
                return true;
            };
            let context = self.context_in(peer, bgp, told.next_hop, Default::default());
            self.policy.apply(name, &mut subject, &context) == Verdict::Permit
        };
        let passes = by_lists && by_map();
        Filtered {
            attributes: subject.attributes,
            passes,
        }
    }
}
