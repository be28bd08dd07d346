//! What of the routes goes into the kernel.

use ipnet::IpNet;

use super::{AGGREGATE, Action, Interface, Speaker, Way, family_of};
use crate::bgp::table::{Route, SourceKind};
use crate::bgp::wire::Family;

/// FRR's distances: of what a neighbour in another AS told, of what one in the same AS did, and of aggregates.
const DISTANCES: (u8, u8, u8) = (20, 200, 200);

/// The distance of a route that is not to be used by the kernel.
const NEVER: u8 = 255;

impl Speaker {
    /// Puts what was chosen into the kernel.
    pub(super) fn forward(&mut self, changed: &[IpNet], actions: &mut Vec<Action>) {
        for prefix in changed {
            let way = self.way(prefix);
            let before = self.forwarded.get(prefix);
            if before.is_none() && way.is_none() {
                continue;
            }
            // The ways may be the same, and cost something else.
            self.next_hops.doubt(prefix);
            if before == way.as_ref() {
                continue;
            }
            match &way {
                Some(way) => drop(self.forwarded.insert(*prefix, way.clone())),
                None => drop(self.forwarded.remove(prefix)),
            }
            actions.push(Action::Forward(*prefix, way));
        }
    }

    /// The way of packets to a prefix; none where a route that is not BGP's is nearer.
    fn way(&self, prefix: &IpNet) -> Option<Way> {
        let family = family_of(prefix);
        let destination = self.tables.get(family).get(prefix)?;
        let best = destination.best()?;
        let distance = self.distance(family, best);
        if !is_forwarded(best) || distance == NEVER || self.has_nearer(prefix, distance) {
            return None;
        }
        if best.source.id == AGGREGATE {
            return Some(Way::Blackhole);
        }
        let ways = destination.multipath().filter_map(|route| self.ways(route));
        let mut hops: Vec<_> = ways.flat_map(|(_, hops)| hops).collect();
        hops.sort();
        hops.dedup();
        (!hops.is_empty()).then_some(Way::Hops(hops))
    }

    /// Whether this router is in a network itself, or has a route of another kind that is at least as near.
    fn has_nearer(&self, prefix: &IpNet, distance: u8) -> bool {
        let up = self.interfaces.iter().filter(|it| it.up);
        up.flat_map(Interface::networks).any(|net| net == *prefix)
            || self
                .routes
                .iter()
                .any(|route| route.to == *prefix && route.distance <= distance)
    }

    /// The administrative distance of a route: what a route-map has set, else what holds for its kind (`distance bgp`).
    pub fn distance(&self, family: Family, route: &Route) -> u8 {
        if let Some(distance) = route.distance {
            return distance.get();
        }
        let bgp = self.config.bgp.as_ref();
        let configured = bgp.and_then(|bgp| bgp.family(family).distance);
        let (external, internal, local) = configured.unwrap_or(DISTANCES);
        match route.source.kind {
            SourceKind::External => external,
            SourceKind::Internal => internal,
            SourceKind::Local => local,
        }
    }

    /// The distance of the route to a prefix that BGP would have the kernel use.
    pub fn learned_distance(&self, prefix: &IpNet) -> Option<u8> {
        let family = family_of(prefix);
        let best = self.tables.get(family).get(prefix)?.best()?;
        let distance = self.distance(family, best);
        (is_forwarded(best) && distance != NEVER).then_some(distance)
    }
}

/// Of this router's own routes only aggregates are not in the kernel already.
fn is_forwarded(best: &Route) -> bool {
    best.source.kind != SourceKind::Local || best.source.id == AGGREGATE
}
