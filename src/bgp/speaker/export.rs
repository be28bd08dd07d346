//! What neighbors are told.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustc_hash::FxHashMap;

use super::shared::Shared;
use super::{Action, Advertised, Peer, Speaker};
use crate::config::Bgp;
use crate::session::Time;
use crate::table::{Destination, Route, SourceId};
use crate::wire::{
    Attributes, Family, Message, NextHop, Nlri, RefreshKind, TooLong, announce, encode, withdraw,
};

/// What a neighbor is to be told. As with FRR that includes what it has told itself, if it is in another AS: there the path
/// stops it.
struct News {
    announced: Vec<(Arc<Advertised>, Vec<Nlri>)>,
    withdrawn: Vec<IpNet>,
}

impl Speaker {
    /// Tells a neighbor everything of a family, and that this was all (RFC 4724 section 2).
    pub(super) fn begin_family(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        // After a restart neighbors hear nothing before this router knows what to say.
        if self.is_returning() || !self.peers.get(&id).is_some_and(|peer| peer.exchanges(family)) {
            return;
        }
        let all = self.told_prefixes(family);
        self.export_to(id, family, &all, actions);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(connection) = peer.session.established_on() else {
            return;
        };
        let mut octets = Vec::new();
        withdraw(family, [], &peer.options(), &mut octets);
        peer.say(connection, octets, actions);
        *peer.record.updates_at_end.get_mut(family) = peer.record.sent.updates;
    }

    /// Tells a neighbor everything again that it was told (RFC 2918), with marks where both know them (RFC 7313).
    pub(super) fn refresh(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        let all = self.told_prefixes(family);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(connection) = peer.session.established_on() else {
            return;
        };
        let marks = peer
            .agreement()
            .is_some_and(|agreement| agreement.enhanced_route_refresh);
        peer.forget_told(family);
        let mark = |kind| {
            let mut octets = Vec::new();
            let message = Message::RouteRefresh(family.into(), kind);
            encode(&message, &Default::default(), &mut octets);
            octets
        };
        if marks {
            peer.say(connection, mark(RefreshKind::Begin), actions);
        }
        self.export_to(id, family, &all, actions);
        if let Some(peer) = self.peers.get_mut(&id).filter(|_| marks) {
            peer.say(connection, mark(RefreshKind::End), actions);
        }
    }

    fn told_prefixes(&self, family: Family) -> Vec<IpNet> {
        let known = self.tables.get(family).iter().map(|(prefix, _)| *prefix);
        let default = default_of(family);
        let mut all: Vec<IpNet> = std::iter::once(default)
            .chain(known.filter(|it| *it != default))
            .collect();
        all.sort();
        all
    }

    /// Tells a neighbor everything again that it was told.
    pub(super) fn repeat(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        let all = self.told_prefixes(family);
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.exchanges(family)) {
            peer.forget_told(family);
            self.export_to(id, family, &all, actions);
        }
    }

    /// Tells all neighbors what has changed. A default route of this router's own may hang on any other route; after a
    /// change of the configuration it is looked at though no route has changed.
    pub(super) fn export(
        &mut self,
        family: Family,
        changed: &[IpNet],
        configured: bool,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if changed.is_empty() && !configured {
            return;
        }
        let default = default_of(family);
        let ids: Vec<SourceId> = self.peers.keys().copied().collect();
        let mut ready = Vec::new();
        for id in ids {
            let makes_default = self.peers.get(&id).is_some_and(|peer| {
                let originates = peer.family(family).default_originate.is_some();
                originates || peer.was_told(family, &default)
            });
            // It is the first of all that are in order.
            if makes_default && changed.first() != Some(&default) {
                self.tell_changes(id, family, &[default], now, actions);
            }
            let several = self.peers.get(&id).is_some_and(|peer| peer.takes_several(family));
            if several {
                self.tell_changes(id, family, changed, now, actions);
            } else if !changed.is_empty() && self.may_tell(id, family, changed, now) {
                ready.push(id);
            }
        }
        self.export_to_all(&ready, family, changed, now, actions);
    }

    /// Tells neighbors what has changed: each route is looked up once for all of them.
    fn export_to_all(
        &mut self,
        ids: &[SourceId],
        family: Family,
        changed: &[IpNet],
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if ids.is_empty() {
            return;
        }
        let mut shared = std::mem::take(&mut self.shared);
        let routes = self.best_of(family, changed);
        let news: Vec<(SourceId, News)> = ids
            .iter()
            .filter_map(|id| Some((*id, self.news_for(*id, family, &routes, &mut shared)?)))
            .collect();
        self.shared = shared;
        for (id, news) in news {
            if self.tell_news(id, family, news, actions) {
                self.note_told(id, now);
            }
        }
    }

    /// Tells a neighbor what has changed, now or when it may be told again.
    pub(super) fn tell_changes(
        &mut self,
        id: SourceId,
        family: Family,
        changed: &[IpNet],
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if changed.is_empty() || !self.may_tell(id, family, changed, now) {
            return;
        }
        let before = actions.len();
        self.export_to(id, family, changed, actions);
        if actions.len() > before {
            self.note_told(id, now);
        }
    }

    fn export_to(&mut self, id: SourceId, family: Family, prefixes: &[IpNet], actions: &mut Vec<Action>) {
        let several = self.peers.get(&id).is_some_and(|peer| peer.takes_several(family));
        if several {
            return self.export_paths(id, family, prefixes, actions);
        }
        let mut shared = std::mem::take(&mut self.shared);
        let routes = self.best_of(family, prefixes);
        let news = self.news_for(id, family, &routes, &mut shared);
        self.shared = shared;
        if let Some(news) = news {
            self.tell_news(id, family, news, actions);
        }
    }

    /// The best routes to these.
    fn best_of(&self, family: Family, prefixes: &[IpNet]) -> Vec<(IpNet, Option<&Route>)> {
        let table = self.tables.get(family);
        let best = |prefix: &IpNet| (*prefix, table.get(prefix).and_then(Destination::best));
        prefixes.iter().map(best).collect()
    }

    /// What a neighbor does not know yet of these prefixes and the best routes to them; none if it is told nothing at all.
    fn news_for(
        &self,
        id: SourceId,
        family: Family,
        routes: &[(IpNet, Option<&Route>)],
        shared: &mut Shared,
    ) -> Option<News> {
        let (peer, bgp) = (self.peers.get(&id)?, self.config.bgp.as_ref()?);
        if peer.session.established_on().is_none() || !peer.exchanges(family) {
            return None;
        }
        let told = peer.adj_rib_out.get(family);
        let mut withdrawn = Vec::new();
        let mut announced: Vec<(Arc<Advertised>, Vec<Nlri>)> = Vec::new();
        // Attributes that are shared are told apart by where they are.
        let mut places: FxHashMap<(*const Attributes, NextHop), usize> = FxHashMap::default();
        let mut export_cache = self.export_cache(peer, family);
        // How many more prefixes it may be told (`maximum-prefix-out`).
        let limit = peer.family(family).maximum_prefix_out;
        let mut room = limit.map(|limit| (limit as usize).saturating_sub(told.len()));
        for (prefix, route) in routes {
            let mut share = |told: Advertised| {
                Arc::new(Advertised {
                    attributes: shared.of(told.attributes),
                    next_hop: told.next_hop,
                })
            };
            let wanted = self
                .default_wanted(peer, bgp, family, prefix)
                .map(&mut share)
                .or_else(|| {
                    let route = (*route)?;
                    let tell = || self.tell_about(peer, bgp, family, prefix, route).map(&mut share);
                    export_cache.of(route, tell)
                });
            match (wanted, told.get(prefix)) {
                (Some(_), None) if room == Some(0) => {}
                (Some(wanted), before) if before != Some(&wanted) => {
                    if before.is_none() {
                        room = room.map(|room| room - 1);
                    }
                    let key = (Arc::as_ptr(&wanted.attributes), wanted.next_hop);
                    let at = *places.entry(key).or_insert(announced.len());
                    match announced.get_mut(at) {
                        Some((_, nlri)) => nlri.push(Nlri::from(*prefix)),
                        None => announced.push((wanted, vec![Nlri::from(*prefix)])),
                    }
                }
                (None, Some(_)) => withdrawn.push(*prefix),
                _ => {}
            }
        }
        (!announced.is_empty() || !withdrawn.is_empty()).then_some(News { announced, withdrawn })
    }

    /// Tells a neighbor its news. Returns whether anything was said.
    fn tell_news(&mut self, id: SourceId, family: Family, news: News, actions: &mut Vec<Action>) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else {
            return false;
        };
        let Some(connection) = peer.session.established_on() else {
            return false;
        };
        let News {
            announced,
            mut withdrawn,
        } = news;
        let options = peer.options();
        let mut octets = Vec::new();
        let told = peer.adj_rib_out.get_mut(family);
        for (wanted, nlri) in announced {
            let written = announce(
                family,
                wanted.next_hop,
                &wanted.attributes,
                nlri.iter().copied(),
                &options,
                &mut octets,
            );
            match written {
                Ok(()) => told.extend(nlri.into_iter().map(|it| (it.prefix, Arc::clone(&wanted)))),
                // What cannot be said is not left standing as it was.
                Err(TooLong) => {
                    withdrawn.extend(nlri.iter().map(|it| it.prefix).filter(|it| told.contains_key(it)))
                }
            }
        }
        if !withdrawn.is_empty() {
            for prefix in &withdrawn {
                told.remove(prefix);
            }
            withdraw(
                family,
                withdrawn.into_iter().map(Nlri::from),
                &options,
                &mut octets,
            );
        }
        if octets.is_empty() {
            return false;
        }
        peer.say(connection, octets, actions);
        true
    }

    /// The default route that is made for a neighbor.
    fn default_wanted(&self, peer: &Peer, bgp: &Bgp, family: Family, prefix: &IpNet) -> Option<Advertised> {
        if *prefix != default_of(family) {
            return None;
        }
        self.default_for(peer, bgp, family, *prefix)
    }
}

pub(super) fn default_of(family: Family) -> IpNet {
    match family {
        Family::Ipv4Unicast => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
        Family::Ipv6Unicast => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
    }
}
