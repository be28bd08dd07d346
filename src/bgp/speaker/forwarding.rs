//! What of the routes goes into the kernel.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use super::interner::{Interner, ValueId};
use super::next_hops::together;
use super::{AGGREGATE, Action, Hop, Interface, Speaker, Special, Way, family_of};
use crate::policy::{Subject, Verdict};
use crate::table::{Path, PrefixId, Route, SourceKind};
use crate::wire::{Family, PerFamily};

/// FRR's distances: of what a neighbor in another AS told, of what one in the same AS did, and of aggregates.
const DISTANCES: (u8, u8, u8) = (20, 200, 200);

/// The distance of a route that is not to be used by the kernel.
const NEVER: u8 = 255;

/// What of the routes is in the kernel, by the numbers of prefixes. Most lead one of few ways.
#[derive(Debug, Default)]
pub(super) struct Fib {
    ways: Interner<Arc<Way>>,
    entries: PerFamily<Vec<Option<ValueId>>>,
}

impl Fib {
    fn id(&self, family: Family, id: PrefixId) -> Option<ValueId> {
        self.entries.get(family).get(id.index()).copied().flatten()
    }

    fn get(&self, family: Family, id: PrefixId) -> Option<&Arc<Way>> {
        self.ways.get(self.id(family, id)?)
    }

    fn set(&mut self, family: Family, id: PrefixId, way: Option<ValueId>) {
        let entries = self.entries.get_mut(family);
        if id.index() >= entries.len() {
            if way.is_none() {
                return;
            }
            entries.resize(id.index() + 1, None);
        }
        entries[id.index()] = way;
    }

    /// Whether there is a route to a prefix.
    pub(super) fn has(&self, family: Family, id: PrefixId) -> bool {
        self.id(family, id).is_some()
    }

    fn tidy(&mut self) {
        if self.ways.is_full() {
            let all = Family::ALL.map(|family| self.entries.get(family));
            self.ways.keep(all.into_iter().flatten().filter_map(|it| *it));
        }
    }
}

/// What the speaker has in the kernel.
#[derive(Clone, Copy)]
pub struct Forwarded<'s> {
    speaker: &'s Speaker,
}

impl<'s> Forwarded<'s> {
    /// The way to a prefix.
    pub fn get(&self, prefix: &IpNet) -> Option<&'s Way> {
        let family = family_of(prefix);
        let id = self.speaker.tables.get(family).id(prefix)?;
        self.speaker.fib.get(family, id).map(|way| &**way)
    }

    /// Whether there is one.
    pub fn contains_key(&self, prefix: &IpNet) -> bool {
        self.get(prefix).is_some()
    }

    /// All of it, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &'s Way)> {
        let speaker = self.speaker;
        Family::ALL.into_iter().flat_map(move |family| {
            let all = 0..speaker.fib.entries.get(family).len();
            let table = speaker.tables.get(family);
            all.filter_map(move |number| {
                let id = PrefixId(number as u32);
                let way = speaker.fib.get(family, id)?;
                Some((table.prefix(id), &**way))
            })
        })
    }
}

/// Ways of routes that differ in nothing but their prefix: what is found for one holds for all, until the way to a next hop
/// may be another.
#[derive(Default)]
struct Ways {
    known: FxHashMap<*const Path, Option<ValueId>>,
    last: Option<(*const Path, Option<ValueId>)>,
}

impl Speaker {
    /// What the speaker has in the kernel.
    pub fn forwarded(&self) -> Forwarded<'_> {
        Forwarded { speaker: self }
    }

    /// Puts what was chosen into the kernel.
    pub(super) fn forward(&mut self, family: Family, changed: &[PrefixId], actions: &mut Vec<Action>) {
        let mut ways = Ways::default();
        let asks_each = self
            .protocol_map(family)
            .is_some_and(|map| self.policy.looks_at_prefixes(map));
        for id in changed {
            let way = match asks_each {
                true => self.way_id(family, *id),
                false => self.way_like(family, *id, &mut ways),
            };
            let before = self.fib.id(family, *id);
            if before.is_none() && way.is_none() {
                continue;
            }
            let prefix = self.tables.get(family).prefix(*id);
            // The ways may be the same, and cost something else.
            if self.next_hops.recheck(&prefix) {
                ways = Ways::default();
            }
            if before == way {
                continue;
            }
            self.fib.set(family, *id, way);
            let way = way.and_then(|way| self.fib.ways.get(way)).map(Arc::clone);
            actions.push(Action::Forward(prefix, way));
        }
        self.fib.tidy();
    }

    /// Chooses ways that others may hang on, and remembers what is in the kernel meanwhile.
    pub(super) fn forward_for_now(
        &mut self,
        family: Family,
        changed: &[PrefixId],
        before: &mut BTreeMap<(Family, PrefixId), Option<Arc<Way>>>,
    ) {
        for id in changed {
            let known = || self.fib.get(family, *id).map(Arc::clone);
            before.entry((family, *id)).or_insert_with(known);
        }
        self.forward(family, changed, &mut Vec::new());
    }

    /// Puts into the kernel what came of that, once.
    pub(super) fn forward_at_last(
        &self,
        before: BTreeMap<(Family, PrefixId), Option<Arc<Way>>>,
        actions: &mut Vec<Action>,
    ) {
        for ((family, id), before) in before {
            let way = self.fib.get(family, id);
            if way != before.as_ref() {
                let prefix = self.tables.get(family).prefix(id);
                actions.push(Action::Forward(prefix, way.map(Arc::clone)));
            }
        }
    }

    /// The way to a prefix as to another with the same path, where nothing hangs on the prefix.
    fn way_like(&mut self, family: Family, id: PrefixId, ways: &mut Ways) -> Option<ValueId> {
        let table = self.tables.get(family);
        let only = table.at(id)?.only();
        let Some(only) = only.filter(|it| it.source.kind != SourceKind::Local && it.is_reachable()) else {
            return self.way_id(family, id);
        };
        let prefix = table.prefix(id);
        if prefix.contains(&only.next_hop.address()) || self.nearer.contains_key(&prefix) {
            return self.way_id(family, id);
        }
        let path = Arc::as_ptr(only.path());
        match (ways.last, ways.known.get(&path)) {
            (Some((last, way)), _) if last == path => return way,
            (_, Some(way)) => return *way,
            _ => {}
        }
        let way = self.way_id(family, id);
        ways.known.insert(path, way);
        ways.last = Some((path, way));
        way
    }

    fn way_id(&mut self, family: Family, id: PrefixId) -> Option<ValueId> {
        let way = self.way(family, id)?;
        let ways = &mut self.fib.ways;
        Some(ways.id(&way, || Arc::new(way.clone())))
    }

    /// The way of packets to a prefix; none where a route that is not BGP's is nearer.
    fn way(&self, family: Family, id: PrefixId) -> Option<Way> {
        let table = self.tables.get(family);
        let (prefix, destination) = (&table.prefix(id), table.at(id)?);
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
        let source = match self.protocol_map(family_of(prefix)) {
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
    fn protocol_map(&self, family: Family) -> Option<&str> {
        let map = match family {
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
        let map = self.protocol_map(family_of(prefix));
        map.is_some_and(|map| self.seen_by_kernel(map, prefix, best).is_none())
    }

    /// Whether this router is in a network itself, or has a route of another kind that is at least as near.
    fn has_nearer(&self, prefix: &IpNet, distance: u8) -> bool {
        let nearer = self.nearer.get(prefix);
        nearer.is_some_and(|nearest| *nearest <= distance)
    }

    /// Finds the distances of what is not BGP's: of networks this router is in, and of the kernel's routes.
    pub(super) fn find_nearer(&mut self) {
        self.nearer.clear();
        let up = self.interfaces.iter().filter(|it| it.up);
        let connected = up.flat_map(Interface::networks).map(|net| (net, 0));
        let kernel = self.routes.iter().map(|route| (route.to, route.distance));
        for (prefix, distance) in connected.chain(kernel) {
            let known = self.nearer.entry(prefix).or_insert(distance);
            *known = distance.min(*known);
        }
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
