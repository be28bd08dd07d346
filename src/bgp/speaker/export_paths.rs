//! What neighbors are told that take several routes to one prefix (RFC 7911).

use rustc_hash::FxHashMap;

use super::export::{Announcements, said};
use super::interner::ValueId;
use super::path_ids::DEFAULT;
use super::{Action, Advertised, Peer, Speaker};
use crate::config::Bgp;
use crate::table::{PrefixId, Route, SourceId};
use crate::wire::{Family, Nlri, TooLong, announce_encoded, withdraw};

/// A prefix and a path identifier.
type Key = (PrefixId, u32);

/// What is to be said.
#[derive(Default)]
struct News {
    withdrawn: Vec<Key>,
    /// Routes of which the same is said are told together.
    announced: Vec<(ValueId, Vec<Key>)>,
    places: FxHashMap<ValueId, usize>,
}

impl News {
    fn announce(&mut self, key: Key, said: ValueId) {
        let at = *self.places.entry(said).or_insert(self.announced.len());
        match self.announced.get_mut(at) {
            Some((_, keys)) => keys.push(key),
            None => self.announced.push((said, vec![key])),
        }
    }
}

impl Speaker {
    /// Tells a neighbor what has changed about prefixes.
    pub(super) fn export_paths(
        &mut self,
        id: SourceId,
        family: Family,
        prefixes: &[PrefixId],
        actions: &mut Vec<Action>,
    ) {
        let mut announcements = std::mem::take(&mut self.announcements);
        let news = self.paths_for(id, family, prefixes, &mut announcements);
        self.announcements = announcements;
        let (Some(news), Some(peer)) = (news, self.peers.get_mut(&id)) else {
            return;
        };
        let Some(connection) = peer.session.established_on() else {
            return;
        };
        let table = self.tables.get(family);
        let nlri = |(id, path_id): &Key| Nlri {
            prefix: table.prefix(*id),
            path_id: Some(*path_id),
        };
        let options = peer.options();
        let mut octets = Vec::new();
        let told = peer.adj_rib_out.get_mut(family);
        let mut withdrawn = news.withdrawn;
        for (said, keys) in news.announced {
            let path = self.announcements.get(said).map_or(&[][..], |path| path);
            match announce_encoded(family, path, keys.iter().map(nlri), &options, &mut octets) {
                Ok(()) => {
                    for (id, path_id) in keys {
                        told.set_path(id, path_id, Some(said));
                    }
                }
                // What cannot be said is not left standing as it was.
                Err(TooLong) => {
                    withdrawn.extend(
                        keys.iter()
                            .filter(|(id, path_id)| told.path(*id, *path_id).is_some()),
                    );
                }
            }
        }
        if !withdrawn.is_empty() {
            for (id, path_id) in &withdrawn {
                told.set_path(*id, *path_id, None);
            }
            withdraw(family, withdrawn.iter().map(nlri), &options, &mut octets);
        }
        if !octets.is_empty() {
            peer.say(connection, octets, actions);
        }
    }

    /// How what a neighbor is to be told differs from what it was told.
    fn paths_for(
        &self,
        id: SourceId,
        family: Family,
        prefixes: &[PrefixId],
        announcements: &mut Announcements,
    ) -> Option<News> {
        let (peer, bgp) = (self.peers.get(&id)?, self.config.bgp.as_ref()?);
        peer.session.established_on()?;
        let (told, options) = (peer.adj_rib_out.get(family), peer.options());
        // How many more routes it may be told (`maximum-prefix-out`).
        let limit = peer.family(family).maximum_prefix_out;
        let mut room = limit.map(|limit| (limit as usize).saturating_sub(told.len()));
        let mut news = News::default();
        for prefix in prefixes {
            let wanted = self.wanted_paths(peer, bgp, family, *prefix);
            let is_wanted = |id: u32| wanted.iter().any(|(wanted, _)| *wanted == id);
            let known = told.several(*prefix).map(|(path_id, _)| path_id);
            news.withdrawn
                .extend(known.filter(|id| !is_wanted(*id)).map(|id| (*prefix, id)));
            for (path_id, wanted) in wanted {
                let wanted = said(announcements, family, &wanted, &options);
                match told.path(*prefix, path_id) {
                    Some(before) if before == wanted => {}
                    None if room == Some(0) => {}
                    before => {
                        if before.is_none() {
                            room = room.map(|room| room - 1);
                        }
                        news.announce((*prefix, path_id), wanted);
                    }
                }
            }
        }
        Some(news)
    }

    /// What a neighbor is to be told about a prefix, and under which identifiers.
    fn wanted_paths(&self, peer: &Peer, bgp: &Bgp, family: Family, id: PrefixId) -> Vec<(u32, Advertised)> {
        let table = self.tables.get(family);
        let prefix = table.prefix(id);
        if prefix == family.default_route()
            && let Some(default) = self.default_for(peer, bgp, family, prefix)
        {
            return vec![(DEFAULT, default)];
        }
        let Some(destination) = table.at(id) else {
            return Vec::new();
        };
        let tell = |path_id: u32, route: &Route| {
            Some((path_id, self.tell_about(peer, bgp, family, &prefix, route)?))
        };
        let Some(kind) = peer.family(family).addpath else {
            // The neighbor takes several routes of a family of which it is told the best alone.
            return destination
                .best()
                .and_then(|best| tell(0, best))
                .into_iter()
                .collect();
        };
        let usable = destination.routes().iter().filter(|route| route.is_reachable());
        let all = usable.filter_map(|route| tell(self.path_id_of(family, kind, id, route)?, route));
        all.collect()
    }
}
