//! What a neighbor was told: one route to a prefix, or several (RFC 7911).

use ipnet::IpNet;

use super::path_ids::DEFAULT;
use super::{Advertised, Peer, Speaker};
use crate::table::Route;
use crate::wire::Family;

impl Peer {
    /// Whether what it is told has path identifiers.
    pub(super) fn takes_several(&self, family: Family) -> bool {
        *self.options().add_path_send.get(family)
    }

    /// How many routes it was told.
    pub fn advertised_count(&self, family: Family) -> usize {
        self.adj_rib_out.get(family).len() + self.adj_rib_out_paths.get(family).len()
    }

    /// What it was told, with path identifiers where it takes them.
    pub fn advertised_routes(&self, family: Family) -> impl Iterator<Item = (&IpNet, u32, &Advertised)> {
        let single = self
            .adj_rib_out
            .get(family)
            .iter()
            .map(|(prefix, told)| (prefix, 0, &**told));
        let several = self.adj_rib_out_paths.get(family).iter();
        single.chain(several.map(|((prefix, id), told)| (prefix, *id, told)))
    }

    /// Whether it was told a route to a prefix.
    pub fn was_told(&self, family: Family, prefix: &IpNet) -> bool {
        let mut several = self
            .adj_rib_out_paths
            .get(family)
            .range((*prefix, 0)..=(*prefix, u32::MAX));
        self.adj_rib_out.get(family).contains_key(prefix) || several.next().is_some()
    }

    /// Forgets what it was told.
    pub(super) fn forget_told(&mut self, family: Family) {
        self.adj_rib_out.get_mut(family).clear();
        self.adj_rib_out_paths.get_mut(family).clear();
    }
}

impl Speaker {
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
        let is_this = |id: u32| {
            let told = self.route_told(peer, family, prefix, id);
            told.is_some_and(|told| told.key() == route.key())
        };
        let mut several = peer
            .adj_rib_out_paths
            .get(family)
            .range((*prefix, 0)..=(*prefix, u32::MAX));
        (peer.adj_rib_out.get(family).contains_key(prefix) && is_this(0))
            || several.any(|((_, id), _)| is_this(*id))
    }
}
