//! Routes by prefix: what each source says, and which of it is used (RFC 4271 section 9.1).
//!
//! A prefix has a number ([`PrefixId`]) from when it is told first until nobody needs it any more. What is known about it is
//! found by that number, here and wherever else something is kept for each prefix. Order is made where it is shown.

mod decision;
mod destination;
mod prefixes;
mod reason;
mod route;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

pub(crate) use decision::compare;
pub use decision::{MultipathRule, Rules};
pub use destination::Destination;
pub use prefixes::PrefixId;
use prefixes::Prefixes;
pub use reason::Reason;
pub(crate) use reason::between as reason_between;
pub use route::{NextHopState, Path, Route, Source, SourceId, SourceKind};

use crate::wire::Family;

/// So many numbers that nobody may need are not worth a look.
const FEW: usize = 1024;

/// Everything known about the prefixes of one family.
#[derive(Debug)]
pub struct Table {
    prefixes: Prefixes,
    /// By the numbers of prefixes.
    destinations: Vec<Destination>,
    /// Prefixes about which something has changed since the last decision, each once.
    pending: Vec<PrefixId>,
    /// Prefixes without routes, whose numbers somebody may still need; each once. Some may have routes again.
    vacant: Vec<PrefixId>,
    /// How many of those there may be before it is looked.
    enough: usize,
    /// Whether there are more numbers than when it was last thought of looking.
    has_grown: bool,
    /// How many prefixes have routes.
    count: usize,
    /// How many times numbers were taken back.
    releases: u64,
    /// How many times a best route has changed.
    version: u64,
    /// How many routes each source has told.
    counts: FxHashMap<SourceId, usize>,
    /// All prefixes that have routes, where somebody needs them in order again and again.
    in_order: Option<BTreeMap<IpNet, PrefixId>>,
}

impl Table {
    /// A table without routes.
    pub fn new(family: Family) -> Table {
        Table {
            prefixes: Prefixes::new(family),
            destinations: Vec::new(),
            pending: Vec::new(),
            vacant: Vec::new(),
            enough: FEW,
            has_grown: false,
            count: 0,
            releases: 0,
            version: 0,
            counts: FxHashMap::default(),
            in_order: None,
        }
    }

    /// The number of a prefix, which it is given if it has none; none for a prefix of another family.
    pub fn number(&mut self, prefix: &IpNet) -> Option<PrefixId> {
        let id = self.prefixes.number(prefix)?;
        if id.index() == self.destinations.len() {
            self.destinations.push(Destination::default());
            self.has_grown = true;
        }
        if self.destinations[id.index()].is_empty() {
            self.note_vacant(id);
        }
        Some(id)
    }

    /// The number of a prefix, if it has one.
    pub fn id(&self, prefix: &IpNet) -> Option<PrefixId> {
        self.prefixes.find(prefix)
    }

    /// The prefix that has a number.
    pub fn prefix(&self, id: PrefixId) -> IpNet {
        self.prefixes.prefix(id)
    }

    /// Puts numbers into the order of their prefixes.
    pub fn sort(&self, ids: &mut [PrefixId]) {
        self.prefixes.sort(ids);
    }

    /// So many numbers there are, given or not.
    #[cfg(test)]
    fn numbers(&self) -> usize {
        self.destinations.len()
    }

    /// Puts a route in, in the place of the one its source had told before under the same path identifier. One of another
    /// family is left out.
    pub fn insert(&mut self, prefix: &IpNet, route: Route) {
        let Some(id) = self.prefixes.number(prefix) else {
            return;
        };
        if id.index() == self.destinations.len() {
            self.destinations.push(Destination::default());
            self.has_grown = true;
        }
        let destination = &mut self.destinations[id.index()];
        let is_first = destination.is_empty();
        let source = route.source.id;
        match destination.put(route) {
            destination::Put::Same => return,
            destination::Put::Replaced => {}
            destination::Put::New => *self.counts.entry(source).or_default() += 1,
        }
        if is_first {
            self.count += 1;
            if let Some(all) = &mut self.in_order {
                all.insert(*prefix, id);
            }
        }
        self.note(id);
    }

    /// A prefix is to be decided about.
    fn note(&mut self, id: PrefixId) {
        if self.destinations[id.index()].begin_pending() {
            self.pending.push(id);
        }
    }

    /// Its number may be free.
    fn note_vacant(&mut self, id: PrefixId) {
        if self.destinations[id.index()].begin_vacant() {
            self.vacant.push(id);
        }
    }

    /// Routes of a prefix are gone.
    fn note_removed(&mut self, id: PrefixId) {
        if self.destinations[id.index()].is_empty() {
            self.count -= 1;
            if let Some(all) = &mut self.in_order {
                all.remove(&self.prefixes.prefix(id));
            }
        }
        self.note(id);
    }

    /// Takes a route out. Returns whether there was one.
    pub fn remove(&mut self, prefix: &IpNet, source: SourceId, path_id: u32) -> bool {
        let id = self.prefixes.find(prefix);
        id.is_some_and(|id| self.remove_at(id, source, path_id))
    }

    /// The same of a prefix with a number.
    pub(crate) fn remove_at(&mut self, id: PrefixId, source: SourceId, path_id: u32) -> bool {
        let destination = &mut self.destinations[id.index()];
        let before = destination.routes().len();
        destination.retain(|route| route.key() != (source, path_id));
        let removed = destination.routes().len() < before;
        if removed {
            uncount(&mut self.counts, source);
            self.note_removed(id);
        }
        removed
    }

    /// Takes everything out that a source has told.
    pub fn remove_source(&mut self, source: SourceId) {
        if self.count(source) > 0 {
            self.retain(|route| route.source.id != source);
        }
    }

    /// Marks all routes of a source as ones that it has to tell again.
    pub fn mark_stale(&mut self, source: SourceId) {
        if self.count(source) == 0 {
            return;
        }
        let routes = self.destinations.iter_mut().flat_map(Destination::routes_mut);
        for route in routes.filter(|route| route.source.id == source) {
            route.set_stale(true);
        }
    }

    /// Takes out what a source has not told again.
    pub fn remove_stale(&mut self, source: SourceId) {
        if self.count(source) > 0 {
            self.retain(|route| route.source.id != source || !route.is_stale());
        }
    }

    /// Keeps only routes that a condition holds for.
    fn retain(&mut self, keeps: impl Fn(&Route) -> bool) {
        for number in 0..self.destinations.len() {
            let destination = &mut self.destinations[number];
            if destination.routes().iter().all(&keeps) {
                continue;
            }
            let counts = &mut self.counts;
            destination.retain(|route| {
                let stays = keeps(route);
                if !stays {
                    uncount(counts, route.source.id);
                }
                stays
            });
            self.note_removed(PrefixId(number as u32));
        }
    }

    /// Looks anew at the ways to next hops, where there is something to see. Those prefixes are decided about again: though
    /// there is a way as before, it may be another.
    pub fn resolve(&mut self, mut state: impl FnMut(&IpNet, &Route) -> Option<NextHopState>) {
        for (number, destination) in self.destinations.iter_mut().enumerate() {
            if destination.is_empty() {
                continue;
            }
            let id = PrefixId(number as u32);
            let prefix = self.prefixes.prefix(id);
            let mut looked = false;
            for route in destination.routes_mut() {
                if let Some(now) = state(&prefix, route) {
                    route.set_next_hop_state(now);
                    looked = true;
                }
            }
            if looked && destination.begin_pending() {
                self.pending.push(id);
            }
        }
    }

    /// Decides about all prefixes that something has changed about. Returns those whose selection, or whose selected
    /// routes, are not what they were.
    pub fn decide(&mut self, rules: &Rules) -> Vec<PrefixId> {
        let pending = std::mem::take(&mut self.pending);
        for id in &pending {
            let destination = &mut self.destinations[id.index()];
            if destination.decide(rules) {
                self.version += 1;
                destination.set_version(self.version);
            }
            if destination.is_empty() {
                destination.forget();
                self.note_vacant(*id);
            }
        }
        pending
    }

    /// Takes numbers back that no prefix with routes has, unless somebody needs one. It is looked only where others were wanted
    /// since: a table that is withdrawn is mostly told again. And only where there is enough to be found.
    pub(crate) fn release_vacant(&mut self, is_needed: impl Fn(PrefixId) -> bool) {
        let has_grown = std::mem::take(&mut self.has_grown);
        if !has_grown || self.vacant.len() <= self.enough {
            return;
        }
        let mut vacant = std::mem::take(&mut self.vacant);
        vacant.retain(|id| {
            let destination = &mut self.destinations[id.index()];
            if !destination.is_empty() {
                destination.end_vacant();
                return false;
            }
            if destination.is_pending() || is_needed(*id) {
                return true;
            }
            *destination = Destination::default();
            self.prefixes.release(*id);
            false
        });
        self.releases += 1;
        self.enough = 2 * vacant.len() + FEW;
        self.vacant = vacant;
    }

    /// How many times numbers were taken back: before, one meant what it means now.
    pub(crate) fn releases(&self) -> u64 {
        self.releases
    }

    /// Lets all prefixes be decided about anew, because rules have changed.
    pub fn reconsider(&mut self) {
        for (number, destination) in self.destinations.iter_mut().enumerate() {
            if !destination.is_empty() && destination.begin_pending() {
                self.pending.push(PrefixId(number as u32));
            }
        }
    }

    /// What is known about a prefix; none if there are no routes to it.
    pub fn get(&self, prefix: &IpNet) -> Option<&Destination> {
        self.at(self.prefixes.find(prefix)?)
    }

    /// The same of a prefix with a number.
    pub fn at(&self, id: PrefixId) -> Option<&Destination> {
        let destination = self.destinations.get(id.index())?;
        (!destination.is_empty()).then_some(destination)
    }

    /// All prefixes that have routes, in no order.
    pub fn ids(&self) -> impl Iterator<Item = PrefixId> {
        self.all().map(|(id, _)| id)
    }

    /// All prefixes that have routes and what is known about them, in no order.
    pub fn all(&self) -> impl Iterator<Item = (PrefixId, &Destination)> {
        let all = self.destinations.iter().enumerate();
        let all = all.filter(|(_, destination)| !destination.is_empty());
        all.map(|(number, destination)| (PrefixId(number as u32), destination))
    }

    /// All prefixes in order. Unless order is kept, they are sorted for it.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Destination)> {
        let kept = self.in_order.iter().flatten().map(|(_, id)| *id);
        let made = match self.in_order {
            Some(_) => Vec::new(),
            None => {
                let mut ids: Vec<PrefixId> = self.ids().collect();
                self.sort(&mut ids);
                ids
            }
        };
        let ids = kept.chain(made);
        ids.map(|id| (self.prefix(id), &self.destinations[id.index()]))
    }

    /// The prefixes that lie in a network, itself included, in order.
    pub fn within(&self, net: IpNet) -> impl Iterator<Item = (IpNet, &Destination)> {
        let kept = self.in_order.iter().flat_map(move |all| all.range(net..));
        let kept = kept.take_while(move |(prefix, _)| net.contains(*prefix));
        let made = match self.in_order {
            Some(_) => Vec::new(),
            None => {
                let mut ids: Vec<PrefixId> =
                    self.ids().filter(|id| net.contains(&self.prefix(*id))).collect();
                self.sort(&mut ids);
                ids
            }
        };
        let ids = kept.map(|(_, id)| *id).chain(made);
        ids.map(|id| (self.prefix(id), &self.destinations[id.index()]))
    }

    /// Keeps prefixes in order, or does not, for somebody who asks again and again.
    pub(crate) fn keep_order(&mut self, keeps: bool) {
        if keeps != self.in_order.is_some() {
            self.in_order = keeps.then(|| self.ids().map(|id| (self.prefix(id), id)).collect());
        }
    }

    /// How many times a best route has changed, or come, or gone.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many routes a source has told.
    pub fn count(&self, source: SourceId) -> usize {
        self.counts.get(&source).copied().unwrap_or(0)
    }

    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn uncount(counts: &mut FxHashMap<SourceId, usize>, source: SourceId) {
    if let Some(count) = counts.get_mut(&source) {
        *count = count.saturating_sub(1);
    }
}
