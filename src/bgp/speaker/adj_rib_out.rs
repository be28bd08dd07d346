//! Adj-RIB-Out: what a neighbor was told, one route to a prefix, or several (RFC 7911).
//!
//! What was said is kept once for all prefixes and neighbors, as the octets of the message; here is only which it was. Octets
//! that are the same mean the same within a session, and only within one are they compared.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::interner::ValueId;
use super::path_ids::DEFAULT;
use super::{Advertised, Peer, Speaker};
use crate::table::{PrefixId, Route};
use crate::wire::{Family, decode_path};

/// What a neighbor was told of a family.
#[derive(Debug, Default)]
pub(super) struct AdjRibOut {
    /// By the numbers of prefixes.
    single: Vec<Option<ValueId>>,
    count: usize,
    /// By path identifiers, where it takes several routes to one prefix.
    several: BTreeMap<(PrefixId, u32), ValueId>,
}

impl AdjRibOut {
    /// What was said about a prefix.
    pub(super) fn get(&self, id: PrefixId) -> Option<ValueId> {
        self.single.get(id.index()).copied().flatten()
    }

    /// Something is said about a prefix, or it is taken back.
    pub(super) fn set(&mut self, id: PrefixId, said: Option<ValueId>) {
        if id.index() >= self.single.len() {
            if said.is_none() {
                return;
            }
            self.single.resize(id.index() + 1, None);
        }
        let place = &mut self.single[id.index()];
        self.count += usize::from(said.is_some());
        self.count -= usize::from(place.is_some());
        *place = said;
    }

    /// What was said about a prefix, by path identifiers.
    pub(super) fn several(&self, id: PrefixId) -> impl Iterator<Item = (u32, ValueId)> {
        let all = self.several.range((id, 0)..=(id, u32::MAX));
        all.map(|((_, path_id), said)| (*path_id, *said))
    }

    /// The same of one path identifier.
    pub(super) fn path(&self, id: PrefixId, path_id: u32) -> Option<ValueId> {
        self.several.get(&(id, path_id)).copied()
    }

    pub(super) fn set_path(&mut self, id: PrefixId, path_id: u32, said: Option<ValueId>) {
        match said {
            Some(said) => self.several.insert((id, path_id), said),
            None => self.several.remove(&(id, path_id)),
        };
    }

    /// How many routes it was told.
    pub(super) fn len(&self) -> usize {
        self.count + self.several.len()
    }

    /// Whether it was told a route to a prefix.
    pub(super) fn has(&self, id: PrefixId) -> bool {
        self.get(id).is_some() || self.several(id).next().is_some()
    }

    /// All of it, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = (PrefixId, u32, ValueId)> {
        let single = self.single.iter().enumerate();
        let single = single.filter_map(|(number, said)| Some((PrefixId(number as u32), 0, (*said)?)));
        let several = self.several.iter();
        single.chain(several.map(|((id, path_id), said)| (*id, *path_id, *said)))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = AdjRibOut::default();
    }
}

impl Peer {
    /// Whether what it is told has path identifiers.
    pub(super) fn takes_several(&self, family: Family) -> bool {
        *self.options().add_path_send.get(family)
    }

    /// How many routes it was told.
    pub fn advertised_count(&self, family: Family) -> usize {
        self.adj_rib_out.get(family).len()
    }

    /// Forgets what it was told.
    pub(super) fn forget_told(&mut self, family: Family) {
        self.adj_rib_out.get_mut(family).clear();
    }
}

impl Speaker {
    /// What a neighbor was told, with path identifiers where it takes them; in order.
    pub fn advertised_routes(&self, peer: &Peer, family: Family) -> impl Iterator<Item = (IpNet, u32)> {
        let all = self.told_in_order(peer, family).into_iter();
        all.map(|(prefix, path_id, _)| (prefix, path_id))
    }

    /// The same, and what was said about each.
    pub fn advertised(&self, peer: &Peer, family: Family) -> impl Iterator<Item = (IpNet, u32, Advertised)> {
        let options = peer.options();
        let all = self.told_in_order(peer, family).into_iter();
        all.filter_map(move |(prefix, path_id, said)| {
            let (attributes, next_hop) = decode_path(family, self.announcements.get(said)?, &options)?;
            let said = Advertised {
                attributes: attributes.into(),
                next_hop,
            };
            Some((prefix, path_id, said))
        })
    }

    fn told_in_order(&self, peer: &Peer, family: Family) -> Vec<(IpNet, u32, ValueId)> {
        let table = self.tables.get(family);
        let all = peer.adj_rib_out.get(family).all();
        let mut all: Vec<_> = all
            .map(|(id, path_id, said)| (table.prefix(id), path_id, said))
            .collect();
        all.sort_unstable_by_key(|(prefix, path_id, _)| (*prefix, *path_id));
        all
    }

    /// Whether a neighbor was told a route to a prefix.
    pub fn was_told(&self, peer: &Peer, family: Family, prefix: &IpNet) -> bool {
        let id = self.tables.get(family).id(prefix);
        id.is_some_and(|id| peer.adj_rib_out.get(family).has(id))
    }

    /// The route that a neighbor was told under an identifier; none if it was made for the neighbor.
    pub fn route_told(&self, peer: &Peer, family: Family, prefix: &IpNet, id: u32) -> Option<&Route> {
        let destination = self.tables.get(family).get(prefix)?;
        match peer.family(family).addpath.filter(|_| peer.takes_several(family)) {
            None => destination.best(),
            Some(_) if id == DEFAULT => None,
            Some(kind) => {
                let mut routes = destination.routes().iter();
                routes.find(|route| self.path_id(family, kind, prefix, route) == Some(id))
            }
        }
    }

    /// Whether a neighbor was told this very route.
    pub fn was_told_route(&self, peer: &Peer, family: Family, prefix: &IpNet, route: &Route) -> bool {
        let Some(id) = self.tables.get(family).id(prefix) else {
            return false;
        };
        let is_this = |path_id: u32| {
            let told = self.route_told(peer, family, prefix, path_id);
            told.is_some_and(|told| told.key() == route.key())
        };
        let told = peer.adj_rib_out.get(family);
        (told.get(id).is_some() && is_this(0)) || told.several(id).any(|(path_id, _)| is_this(path_id))
    }

    /// Forgets what was said to neighbors and does not stand any more, where that may be much.
    pub(super) fn tidy_announcements(&mut self) {
        if !self.announcements.is_full() {
            return;
        }
        let told = self.peers.values();
        let told = told.flat_map(|peer| Family::ALL.map(|family| peer.adj_rib_out.get(family)));
        let used = told.flat_map(|told| told.all().map(|(_, _, said)| said));
        self.announcements.keep(used);
    }
}
