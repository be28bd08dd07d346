//! What neighbors are told that take several routes to one prefix (RFC 7911).

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::export::default_of;
use super::path_ids::DEFAULT;
use super::{Action, Advertised, Peer, Speaker};
use crate::config::Bgp;
use crate::table::{NextHopState, Route, SourceId};
use crate::wire::{Attributes, Family, NextHop, Nlri, TooLong, announce, withdraw};

/// A prefix and a path identifier.
type Key = (IpNet, u32);

/// What is to be said.
#[derive(Default)]
struct News {
    withdrawn: Vec<Key>,
    /// Routes that have their attributes in common are told together.
    announced: Vec<(Advertised, Vec<Key>)>,
    places: HashMap<(Arc<Attributes>, NextHop), usize>,
}

impl News {
    fn announce(&mut self, key: Key, told: Advertised) {
        let shared = (Arc::clone(&told.attributes), told.next_hop);
        let at = *self.places.entry(shared).or_insert(self.announced.len());
        match self.announced.get_mut(at) {
            Some((_, keys)) => keys.push(key),
            None => self.announced.push((told, vec![key])),
        }
    }
}

fn nlri((prefix, id): Key) -> Nlri {
    Nlri {
        prefix,
        path_id: Some(id),
    }
}

impl Speaker {
    /// Tells a neighbor what has changed about prefixes.
    pub(super) fn export_paths(
        &mut self,
        id: SourceId,
        family: Family,
        prefixes: &[IpNet],
        actions: &mut Vec<Action>,
    ) {
        let (Some(peer), Some(bgp)) = (self.peers.get(&id), &self.config.bgp) else {
            return;
        };
        let Some(connection) = peer.session.established_on() else {
            return;
        };
        let news = self.news(peer, bgp, family, prefixes);
        let options = peer.options();
        let mut octets = Vec::new();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let told = peer.adj_rib_out_paths.get_mut(family);
        let mut withdrawn = news.withdrawn;
        for (wanted, keys) in news.announced {
            let all = keys.iter().copied().map(nlri);
            let (next_hop, attributes) = (wanted.next_hop, &wanted.attributes);
            match announce(family, next_hop, attributes, all, &options, &mut octets) {
                Ok(()) => told.extend(keys.into_iter().map(|key| (key, wanted.clone()))),
                // What cannot be said is not left standing as it was.
                Err(TooLong) => withdrawn.extend(keys.iter().filter(|key| told.contains_key(key))),
            }
        }
        if !withdrawn.is_empty() {
            for key in &withdrawn {
                told.remove(key);
            }
            let all = withdrawn.into_iter().map(nlri);
            withdraw(family, all, &options, &mut octets);
        }
        if !octets.is_empty() {
            peer.say(connection, octets, actions);
        }
    }

    /// How what a neighbor is to be told differs from what it was told.
    fn news(&self, peer: &Peer, bgp: &Bgp, family: Family, prefixes: &[IpNet]) -> News {
        let told = peer.adj_rib_out_paths.get(family);
        // How many more routes it may be told (`maximum-prefix-out`).
        let limit = peer.family(family).maximum_prefix_out;
        let mut room = limit.map(|limit| (limit as usize).saturating_sub(told.len()));
        let mut news = News::default();
        for prefix in prefixes {
            let wanted = self.wanted_paths(peer, bgp, family, prefix);
            let known = told
                .range((*prefix, 0)..=(*prefix, u32::MAX))
                .map(|(key, _)| *key);
            let is_wanted = |(_, id): &Key| wanted.iter().any(|(wanted, _)| wanted == id);
            news.withdrawn.extend(known.filter(|key| !is_wanted(key)));
            for (id, wanted) in wanted {
                let key = (*prefix, id);
                match told.get(&key) {
                    Some(before) if *before == wanted => {}
                    None if room == Some(0) => {}
                    before => {
                        if before.is_none() {
                            room = room.map(|room| room - 1);
                        }
                        news.announce(key, wanted);
                    }
                }
            }
        }
        news
    }

    /// What a neighbor is to be told about a prefix, and under which identifiers.
    fn wanted_paths(&self, peer: &Peer, bgp: &Bgp, family: Family, prefix: &IpNet) -> Vec<(u32, Advertised)> {
        if *prefix == default_of(family)
            && let Some(default) = self.default_for(peer, bgp, family, *prefix)
        {
            return vec![(DEFAULT, default)];
        }
        let Some(destination) = self.tables.get(family).get(prefix) else {
            return Vec::new();
        };
        let tell = |id: u32, route: &Route| Some((id, self.tell_about(peer, bgp, family, prefix, route)?));
        let Some(kind) = peer.family(family).addpath else {
            // The neighbor takes several routes of a family of which it is told the best alone.
            return destination
                .best()
                .and_then(|best| tell(0, best))
                .into_iter()
                .collect();
        };
        let routes = destination.routes().iter();
        let usable = routes.filter(|route| route.next_hop_state != NextHopState::Unreachable);
        let all = usable.filter_map(|route| tell(self.path_id(family, kind, prefix, route)?, route));
        all.collect()
    }
}
