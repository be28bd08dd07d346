//! Identifiers of routes, under which neighbors are told several to one prefix (RFC 7911 section 2).

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::Speaker;
use crate::config::Addpath;
use crate::table::{Destination, PrefixId, Route, SourceId};
use crate::wire::Family;

/// The identifier of a default route that is made for a neighbor (FRR), and of nothing else.
pub(super) const DEFAULT: u32 = 1;
const FIRST: u32 = 2;

/// The identifiers of a family's routes: FRR counts those of each kind of neighbor by themselves.
#[derive(Debug, Default)]
pub(super) struct PathIds {
    all: Numbers,
    best_per_as: Numbers,
}

/// A route keeps its identifier as long as it is there; one that is free is given again, the lowest first.
#[derive(Debug)]
struct Numbers {
    given: BTreeMap<PrefixId, BTreeMap<(SourceId, u32), u32>>,
    free: BTreeSet<u32>,
    next: u32,
}

impl Default for Numbers {
    fn default() -> Self {
        Numbers {
            given: BTreeMap::new(),
            free: BTreeSet::new(),
            next: FIRST,
        }
    }
}

impl Numbers {
    fn get(&self, prefix: PrefixId, route: &Route) -> Option<u32> {
        self.given.get(&prefix)?.get(&route.key()).copied()
    }

    /// Gives identifiers to these routes of a prefix, and takes those of all others of it back.
    fn give<'r>(&mut self, prefix: PrefixId, routes: impl Iterator<Item = &'r Route>) {
        let mut before = self.given.remove(&prefix).unwrap_or_default();
        let mut now = BTreeMap::new();
        let mut new = Vec::new();
        for key in routes.map(Route::key) {
            match before.remove(&key) {
                Some(id) => drop(now.insert(key, id)),
                None => new.push(key),
            }
        }
        // What another route of the prefix had is taken first: the neighbor puts the new one in its place.
        let mut left: BTreeSet<u32> = before.into_values().collect();
        for key in new {
            let id = left.pop_first().unwrap_or_else(|| self.lowest());
            now.insert(key, id);
        }
        self.free.extend(left);
        if !now.is_empty() {
            self.given.insert(prefix, now);
        }
    }

    fn lowest(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

impl PathIds {
    /// Whether a route to a prefix has an identifier.
    pub(super) fn has(&self, prefix: PrefixId) -> bool {
        self.all.given.contains_key(&prefix) || self.best_per_as.given.contains_key(&prefix)
    }

    fn of(&self, kind: Addpath) -> &Numbers {
        match kind {
            Addpath::All => &self.all,
            Addpath::BestPerAs => &self.best_per_as,
        }
    }

    fn of_mut(&mut self, kind: Addpath) -> &mut Numbers {
        match kind {
            Addpath::All => &mut self.all,
            Addpath::BestPerAs => &mut self.best_per_as,
        }
    }
}

impl Speaker {
    /// Whether a neighbor is configured to be told several routes to one prefix, of a kind.
    pub fn tells_several(&self, family: Family, kind: Addpath) -> bool {
        self.peers
            .values()
            .any(|peer| peer.family(family).addpath == Some(kind))
    }

    /// The identifier of a route, if neighbors are told it as one of that kind.
    pub fn path_id(&self, family: Family, kind: Addpath, prefix: &IpNet, route: &Route) -> Option<u32> {
        let id = self.tables.get(family).id(prefix)?;
        self.path_id_of(family, kind, id, route)
    }

    /// The same of a prefix with a number.
    pub(super) fn path_id_of(
        &self,
        family: Family,
        kind: Addpath,
        prefix: PrefixId,
        route: &Route,
    ) -> Option<u32> {
        self.path_ids.get(family).of(kind).get(prefix, route)
    }

    /// The best route of each neighboring AS.
    pub fn best_of_each_as<'d>(&self, family: Family, destination: &'d Destination) -> Vec<&'d Route> {
        destination.best_of_each_as(&self.rules(family))
    }

    /// Gives identifiers to routes to prefixes that have changed; to all after a change of the configuration.
    pub(super) fn identify(&mut self, family: Family, changed: &[PrefixId], configured: bool) {
        for kind in [Addpath::All, Addpath::BestPerAs] {
            if !self.tells_several(family, kind) {
                if configured {
                    *self.path_ids.get_mut(family).of_mut(kind) = Numbers::default();
                }
                continue;
            }
            let table = self.tables.get(family);
            let mut all = match configured {
                true => table.ids().collect(),
                false => Vec::new(),
            };
            all.extend(changed);
            // Of several that are new at once the lowest identifier goes to the first prefix.
            table.sort(&mut all);
            for prefix in all {
                self.identify_routes(family, kind, prefix);
            }
        }
    }

    fn identify_routes(&mut self, family: Family, kind: Addpath, prefix: PrefixId) {
        let rules = self.rules(family);
        let destination = self.tables.get(family).at(prefix);
        let routes: Vec<&Route> = match (destination, kind) {
            (None, _) => Vec::new(),
            // In FRR's order: the newest first.
            (Some(destination), Addpath::All) => destination.routes().iter().rev().collect(),
            (Some(destination), Addpath::BestPerAs) => destination.best_of_each_as(&rules),
        };
        let numbers = self.path_ids.get_mut(family).of_mut(kind);
        numbers.give(prefix, routes.into_iter());
    }
}
