//! Routes that differ in nothing but their prefix: what a neighbor is told of one, it is told of all.
//!
//! A message brings many prefixes with one set of attributes. Unless policy looks at prefixes, it is asked once for all of
//! them, and what it has made is shared.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::interner::ValueId;
use super::{Peer, Speaker};
use crate::table::{Path, Route};
use crate::wire::Family;

/// What one neighbor is told of routes, for as long as nothing changes. Addresses stand for what routes share: it lives, and
/// stays as it is, while the table is only read.
pub(super) struct ExportCache {
    /// None where each prefix has to be asked about.
    known: Option<FxHashMap<*const Path, Option<ValueId>>>,
    /// The last one, as most often the next is like it.
    last: Option<(*const Path, Option<ValueId>)>,
}

impl ExportCache {
    /// What is told of a route: as of another that is alike, else as `tell` says.
    pub(super) fn of(&mut self, route: &Route, tell: impl FnOnce() -> Option<ValueId>) -> Option<ValueId> {
        let Some(known) = &mut self.known else {
            return tell();
        };
        let path = Arc::as_ptr(route.path());
        match self.last {
            Some((last, told)) if last == path => told,
            _ => {
                let told = *known.entry(path).or_insert_with(tell);
                self.last = Some((path, told));
                told
            }
        }
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
