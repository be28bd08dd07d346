//! What of the routes goes into the kernel.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use ipnet::IpNet;

use super::next_hops::together;
use super::{AGGREGATE, Action, Hop, Interface, Speaker, Special, Way, family_of};
use crate::policy::{Subject, Verdict};
use crate::table::{Route, SourceKind};
use crate::wire::Family;

/// FRR's distances: of what a neighbor in another AS told, of what one in the same AS did, and of aggregates.
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
            self.next_hops.recheck(prefix);
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

    /// Chooses ways that others may hang on, and remembers what is in the kernel meanwhile.
    pub(super) fn forward_for_now(&mut self, changed: &[IpNet], before: &mut BTreeMap<IpNet, Option<Way>>) {
        for prefix in changed {
            let known = || self.forwarded.get(prefix).cloned();
            before.entry(*prefix).or_insert_with(known);
        }
        self.forward(changed, &mut Vec::new());
    }

    /// Puts into the kernel what came of that, once.
    pub(super) fn forward_at_last(&self, before: BTreeMap<IpNet, Option<Way>>, actions: &mut Vec<Action>) {
        for (prefix, before) in before {
            let way = self.forwarded.get(&prefix);
            if way != before.as_ref() {
                actions.push(Action::Forward(prefix, way.cloned()));
            }
        }
    }

    /// The way of packets to a prefix; none where a route that is not BGP's is nearer.
    fn way(&self, prefix: &IpNet) -> Option<Way> {
        let family = family_of(prefix);
        let destination = self.tables.get(family).get(prefix)?;
        let best = destination.best()?;
        let distance = self.distance(family, best);
        let is_used = best.table.is_some() || !self.has_nearer(prefix, distance);
        if !is_forwarded(best) || distance == NEVER || !is_used {
            return None;
        }
        if best.source.id == AGGREGATE {
            return Some(Way::Blackhole);
        }
        let leading = destination
            .multipath()
            .filter(|route| !self.leads_to_itself(prefix, route));
        let ways: Vec<Vec<Hop>> = leading
            .filter_map(|route| self.ways(route))
            .map(|(_, hops)| hops)
            .collect();
        let hops = (!ways.is_empty()).then(|| together(ways))?;
        match hops.is_empty() {
            true => Some(Way::Blackhole),
            false => self.placed(prefix, best, hops),
        }
    }

    /// A route into the kernel as route-maps have it; none if one keeps it out.
    fn placed(&self, prefix: &IpNet, best: &Route, hops: Vec<Hop>) -> Option<Way> {
        let source = match self.protocol_map(prefix) {
            Some(map) => self.seen_by_kernel(map, prefix, best)?.source,
            None => None,
        };
        let table = best.table.map(NonZeroU32::get);
        Some(match (source, table) {
            (None, None) => Way::Hops(hops),
            (source, table) => Way::Special(Box::new(Special { hops, source, table })),
        })
    }

    /// `ip protocol bgp route-map`.
    fn protocol_map(&self, prefix: &IpNet) -> Option<&str> {
        let map = match family_of(prefix) {
            Family::Ipv4Unicast => &self.config.protocol_map,
            Family::Ipv6Unicast => &self.config.protocol_map6,
        };
        map.as_deref()
    }

    /// A route as a route-map on the way to the kernel changes it; none if it keeps it out.
    fn seen_by_kernel(&self, map: &str, prefix: &IpNet, best: &Route) -> Option<Subject> {
        let bgp = self.config.bgp.as_ref()?;
        let index = self
            .ways(best)
            .and_then(|(_, hops)| hops.first().map(|hop| hop.interface));
        let out = self.interfaces.iter().find(|it| Some(it.index) == index);
        let context = self.context_own(bgp, out.map(|it| it.name.as_str()), false);
        let mut subject = Subject::of(*prefix, best);
        let verdict = self.policy.apply(map, &mut subject, &context);
        (verdict == Verdict::Permit).then_some(subject)
    }

    /// Whether a route is kept out of the kernel (`ip protocol bgp route-map`).
    pub fn is_kept_out(&self, prefix: &IpNet, best: &Route) -> bool {
        let map = self.protocol_map(prefix);
        map.is_some_and(|map| self.seen_by_kernel(map, prefix, best).is_none())
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
        let is_in_main = best.table.is_none();
        (is_forwarded(best) && is_in_main && distance != NEVER).then_some(distance)
    }
}

/// Of this router's own routes only aggregates are not in the kernel already.
fn is_forwarded(best: &Route) -> bool {
    best.source.kind != SourceKind::Local || best.source.id == AGGREGATE
}
