//! Routes that differ in nothing but their prefix: what a neighbor is told of one, it is told of all.
//!
//! A message brings many prefixes with one set of attributes. Unless policy looks at prefixes, it is asked once for all of
//! them, and what it has made is shared.

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Advertised, Peer, Speaker};
use crate::table::{Route, Source};
use crate::wire::{Attributes, Family, NextHop};

/// All of a route that what is told about it hangs on. Addresses stand for what is shared: it lives, and stays as it is,
/// while the table is only read.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ExportKey {
    source: *const Source,
    attributes: *const Attributes,
    next_hop: NextHop,
    weight: u32,
    tag: u32,
    distance: Option<NonZeroU8>,
    table: Option<NonZeroU32>,
}

impl ExportKey {
    fn of(route: &Route) -> ExportKey {
        ExportKey {
            source: Arc::as_ptr(&route.source),
            attributes: Arc::as_ptr(&route.attributes),
            next_hop: route.next_hop,
            weight: route.weight,
            tag: route.tag,
            distance: route.distance,
            table: route.table,
        }
    }
}

/// What one neighbor is told of routes, for as long as nothing changes.
pub(super) struct ExportCache {
    /// None where each prefix has to be asked about.
    known: Option<FxHashMap<ExportKey, Option<Arc<Advertised>>>>,
    /// The last one, as most often the next is like it.
    last: Option<(ExportKey, Option<Arc<Advertised>>)>,
}

impl ExportCache {
    /// What is told of a route: as of another that is alike, else as `tell` says.
    pub(super) fn of(
        &mut self,
        route: &Route,
        tell: impl FnOnce() -> Option<Arc<Advertised>>,
    ) -> Option<Arc<Advertised>> {
        let Some(known) = &mut self.known else {
            return tell();
        };
        let likeness = ExportKey::of(route);
        if let Some((last, told)) = &self.last
            && *last == likeness
        {
            return told.clone();
        }
        let told = known.entry(likeness.clone()).or_insert_with(tell).clone();
        self.last = Some((likeness, told.clone()));
        told
    }
}

impl Speaker {
    /// Nothing is known yet of what a neighbor is told.
    pub(super) fn export_cache(&self, peer: &Peer, family: Family) -> ExportCache {
        let settings = peer.family(family);
        let map = settings.route_map_out.as_deref();
        let looks_at_prefixes = settings.distribute_list_out.is_some()
            || settings.prefix_list_out.is_some()
            || !self.aggregates.get(family).is_empty()
            || map.is_some_and(|map| self.policy.looks_at_prefixes(map));
        ExportCache {
            known: (!looks_at_prefixes).then(FxHashMap::default),
            last: None,
        }
    }
}
