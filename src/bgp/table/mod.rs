//! Routes by prefix: what each source says, and which of it is used (RFC 4271 section 9.1).

mod decision;
mod reason;
mod route;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ipnet::IpNet;

pub use decision::{MultipathRule, Rules};
pub use reason::Reason;
pub use route::{NextHopState, Route, Source, SourceId, SourceKind};

/// So many prefixes may wait twice.
const FEW: usize = 1024;

/// Everything known about the prefixes of one family.
#[derive(Debug, Default)]
pub struct Table {
    destinations: BTreeMap<IpNet, Destination>,
    /// Prefixes about which something has changed since the last decision; some may be in it several times.
    pending: Vec<IpNet>,
    /// How many times a best route has changed.
    version: u64,
    /// How many routes each source has told.
    counts: BTreeMap<SourceId, usize>,
}

/// What is known about a prefix.
#[derive(Debug, Default)]
pub struct Destination {
    /// In the order in which they came; the selection, if there is one, refers to them.
    routes: Vec<Route>,
    selection: Option<Selection>,
    /// What decided for the best route when it was chosen last.
    reason: Option<Reason>,
    /// The table's version when the best route changed last; 0 where there never was one.
    version: u64,
    /// Whether the best route says something else since the last decision.
    renewed: bool,
}

/// Which routes to a prefix are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The best one's source and path identifier.
    pub best: (SourceId, u32),
    /// Those that packets are shared among beside it, the better first: mostly none, which takes no memory.
    pub beside: Box<[(SourceId, u32)]>,
}

impl Destination {
    /// All routes, in the order in which they came.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The best route.
    pub fn best(&self) -> Option<&Route> {
        let selection = self.selection.as_ref()?;
        self.route(selection.best)
    }

    /// The routes packets are shared among, the best first.
    pub fn multipath(&self) -> impl Iterator<Item = &Route> {
        let selections = self.selection.iter();
        let chosen = selections.flat_map(|it| std::iter::once(&it.best).chain(&it.beside));
        chosen.filter_map(|key| self.route(*key))
    }

    /// What decided for the best route.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The table's version when the best route changed last; 0 where there never was one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The best route of each neighboring AS, of those that can be used; the newest first.
    pub fn best_of_each_as(&self, rules: &Rules) -> Vec<&Route> {
        let best = decision::best_of_each(&self.routes, self.best_key(), rules, false);
        let newest_first = self.routes.iter().rev();
        newest_first
            .filter(|route| best.iter().any(|it| it.key() == route.key()))
            .collect()
    }

    fn best_key(&self) -> Option<(SourceId, u32)> {
        self.selection.as_ref().map(|selection| selection.best)
    }

    fn route(&self, key: (SourceId, u32)) -> Option<&Route> {
        self.routes.iter().find(|route| route.key() == key)
    }
}

impl Table {
    /// Puts a route in, in the place of the one its source had told before under the same path identifier.
    pub fn insert(&mut self, prefix: IpNet, route: Route) {
        let destination = self.destinations.entry(prefix).or_default();
        let is_best = destination.best_key() == Some(route.key());
        match destination
            .routes
            .iter_mut()
            .find(|known| known.key() == route.key())
        {
            // A source that says the same again changes nothing.
            Some(known) if known.says_the_same(&route) => {
                known.stale = route.stale;
                return;
            }
            Some(known) => {
                *known = route;
                destination.renewed |= is_best;
            }
            None => {
                *self.counts.entry(route.source.id).or_default() += 1;
                // Most prefixes have one route: room for more would be the greater part of a table's memory.
                if destination.routes.is_empty() {
                    destination.routes.reserve_exact(1);
                }
                destination.routes.push(route);
            }
        }
        self.note(prefix);
    }

    /// A prefix is to be decided about. A list that is sorted once costs less than a set; it is kept from growing without
    /// end where nothing is decided for long.
    fn note(&mut self, prefix: IpNet) {
        self.pending.push(prefix);
        if self.pending.len() > 2 * self.destinations.len() + FEW {
            self.pending.sort_unstable();
            self.pending.dedup();
        }
    }

    /// Takes a route out. Returns whether there was one.
    pub fn remove(&mut self, prefix: IpNet, source: SourceId, path_id: u32) -> bool {
        let Some(destination) = self.destinations.get_mut(&prefix) else {
            return false;
        };
        let before = destination.routes.len();
        destination
            .routes
            .retain(|route| route.key() != (source, path_id));
        let removed = destination.routes.len() < before;
        if removed {
            uncount(&mut self.counts, source);
            self.note(prefix);
        }
        removed
    }

    /// Takes everything out that a source has told.
    pub fn remove_source(&mut self, source: SourceId) {
        if self.count(source) > 0 {
            self.retain(|_, route| route.source.id != source);
        }
    }

    /// Marks all routes of a source as ones that it has to tell again.
    pub fn mark_stale(&mut self, source: SourceId) {
        if self.count(source) == 0 {
            return;
        }
        let routes = self.destinations.values_mut().flat_map(|it| &mut it.routes);
        for route in routes.filter(|route| route.source.id == source) {
            route.stale = true;
        }
    }

    /// Takes out what a source has not told again.
    pub fn remove_stale(&mut self, source: SourceId) {
        if self.count(source) > 0 {
            self.retain(|_, route| route.source.id != source || !route.stale);
        }
    }

    /// Keeps only routes that a condition holds for.
    pub fn retain(&mut self, mut keeps: impl FnMut(&IpNet, &Route) -> bool) {
        for (prefix, destination) in &mut self.destinations {
            let before = destination.routes.len();
            destination.routes.retain(|route| {
                let stays = keeps(prefix, route);
                if !stays {
                    uncount(&mut self.counts, route.source.id);
                }
                stays
            });
            if destination.routes.len() < before {
                self.pending.push(*prefix);
            }
        }
    }

    /// Looks anew at the ways to next hops, where there is something to see. Those prefixes are decided about again: though
    /// there is a way as before, it may be another.
    pub fn resolve(&mut self, mut state: impl FnMut(&IpNet, &Route) -> Option<NextHopState>) {
        for (prefix, destination) in &mut self.destinations {
            for route in &mut destination.routes {
                if let Some(now) = state(prefix, route) {
                    route.next_hop_state = now;
                    self.pending.push(*prefix);
                }
            }
        }
    }

    /// Decides about all prefixes that something has changed about. Returns those whose selection, or whose selected
    /// routes, are not what they were.
    pub fn decide(&mut self, rules: &Rules) -> Vec<IpNet> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable();
        pending.dedup();
        for prefix in &pending {
            let Some(destination) = self.destinations.get_mut(prefix) else {
                continue;
            };
            let current = destination.best_key();
            destination.selection = decision::select(&destination.routes, current, rules);
            destination.reason = destination
                .best()
                .map(|_| reason::of(&destination.routes, current, rules));
            if std::mem::take(&mut destination.renewed) || destination.best_key() != current {
                self.version += 1;
                destination.version = self.version;
            }
            if destination.routes.is_empty() {
                self.destinations.remove(prefix);
            }
        }
        pending
    }

    /// Lets all prefixes be decided about anew, because rules have changed.
    pub fn reconsider(&mut self) {
        self.pending.extend(self.destinations.keys());
    }

    /// What is known about a prefix.
    pub fn get(&self, prefix: &IpNet) -> Option<&Destination> {
        self.destinations.get(prefix)
    }

    /// All prefixes in order.
    pub fn iter(&self) -> impl Iterator<Item = (&IpNet, &Destination)> {
        self.destinations.iter()
    }

    /// How many times a best route has changed, or come, or gone.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The prefixes that lie in a network, itself included, in order.
    pub fn within(&self, net: IpNet) -> impl Iterator<Item = (&IpNet, &Destination)> {
        let from = self.destinations.range(net..);
        from.take_while(move |(prefix, _)| net.contains(*prefix))
    }

    /// How many routes a source has told.
    pub fn count(&self, source: SourceId) -> usize {
        self.counts.get(&source).copied().unwrap_or(0)
    }

    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.destinations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty()
    }
}

fn uncount(counts: &mut BTreeMap<SourceId, usize>, source: SourceId) {
    if let Some(count) = counts.get_mut(&source) {
        *count = count.saturating_sub(1);
    }
}
