//! What neighbors are told.

use rustc_hash::FxHashMap;

use super::interner::{Interner, ValueId};
use super::{Action, Advertised, Speaker};
use crate::session::Time;
use crate::table::{Destination, PrefixId, Route, SourceId};
use crate::wire::{
    Family, Message, Nlri, Options, RefreshKind, TooLong, announce_encoded, encode, encode_path, withdraw,
};

/// What neighbors were told: all of UPDATEs but their prefixes.
pub(super) type Announcements = Interner<Box<[u8]>>;

/// The number of what is said about a route.
pub(super) fn said(
    announcements: &mut Announcements,
    family: Family,
    told: &Advertised,
    options: &Options,
) -> ValueId {
    let mut octets = Vec::with_capacity(128);
    encode_path(family, told.next_hop, &told.attributes, options, &mut octets);
    announcements.id(&octets[..], || octets.as_slice().into())
}

/// What a neighbor is to be told. As with FRR that includes what it has told itself, if it is in another AS: there the path
/// stops it.
#[derive(Default)]
struct News {
    /// What is said of which prefixes.
    announced: Vec<(ValueId, Vec<PrefixId>)>,
    /// Where each of that is.
    places: FxHashMap<ValueId, usize>,
    /// The last of it, as most often the next is like it.
    last: Option<(ValueId, usize)>,
    withdrawn: Vec<PrefixId>,
}

impl News {
    fn announce(&mut self, prefix: PrefixId, said: ValueId) {
        let at = match self.last {
            Some((last, at)) if last == said => at,
            _ => *self.places.entry(said).or_insert(self.announced.len()),
        };
        self.last = Some((said, at));
        match self.announced.get_mut(at) {
            Some((_, prefixes)) => prefixes.push(prefix),
            None => self.announced.push((said, vec![prefix])),
        }
    }
}

impl Speaker {
    /// Tells a neighbor everything of a family, and that this was all (RFC 4724 section 2).
    pub(super) fn begin_family(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        // After a restart neighbors hear nothing before this router knows what to say.
        if self.is_returning() || !self.peers.get(&id).is_some_and(|peer| peer.exchanges(family)) {
            return;
        }
        if family == Family::L2vpnEvpn {
            return self.begin_evpn(id, actions);
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
        if family == Family::L2vpnEvpn {
            return self.repeat_evpn(id, true, actions);
        }
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

    /// All prefixes of a family, and that of the default route.
    fn told_prefixes(&mut self, family: Family) -> Vec<PrefixId> {
        let table = self.tables.get_mut(family);
        let default = table.number(&family.default_route());
        let known = table.ids().filter(|it| Some(*it) != default);
        default.into_iter().chain(known).collect()
    }

    /// Tells a neighbor everything again that it was told.
    pub(super) fn repeat(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        if family == Family::L2vpnEvpn {
            return self.repeat_evpn(id, false, actions);
        }
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
        changed: &[PrefixId],
        configured: bool,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if changed.is_empty() && !configured {
            return;
        }
        let default = family.default_route();
        let ids: Vec<SourceId> = self.peers.keys().copied().collect();
        let mut ready = Vec::new();
        for id in ids {
            let known = self.tables.get(family).id(&default);
            let makes_default = self.peers.get(&id).is_some_and(|peer| {
                let was_told = known.is_some_and(|known| peer.adj_rib_out.get(family).has(known));
                peer.family(family).default_originate.is_some() || was_told
            });
            if makes_default
                && let Some(default) = self.tables.get_mut(family).number(&default)
                && !changed.contains(&default)
            {
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
        changed: &[PrefixId],
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if ids.is_empty() {
            return;
        }
        let mut announcements = std::mem::take(&mut self.announcements);
        let routes = self.best_of(family, changed);
        let news: Vec<(SourceId, News)> = ids
            .iter()
            .filter_map(|id| Some((*id, self.news_for(*id, family, &routes, &mut announcements)?)))
            .collect();
        self.announcements = announcements;
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
        changed: &[PrefixId],
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

    fn export_to(&mut self, id: SourceId, family: Family, prefixes: &[PrefixId], actions: &mut Vec<Action>) {
        let several = self.peers.get(&id).is_some_and(|peer| peer.takes_several(family));
        if several {
            return self.export_paths(id, family, prefixes, actions);
        }
        let mut announcements = std::mem::take(&mut self.announcements);
        let routes = self.best_of(family, prefixes);
        let news = self.news_for(id, family, &routes, &mut announcements);
        self.announcements = announcements;
        if let Some(news) = news {
            self.tell_news(id, family, news, actions);
        }
    }

    /// The best routes to these.
    fn best_of(&self, family: Family, prefixes: &[PrefixId]) -> Vec<(PrefixId, Option<&Route>)> {
        let table = self.tables.get(family);
        let best = |id: &PrefixId| (*id, table.at(*id).and_then(Destination::best));
        prefixes.iter().map(best).collect()
    }

    /// What a neighbor does not know yet of these prefixes and the best routes to them; none if it is told nothing at all.
    fn news_for(
        &self,
        id: SourceId,
        family: Family,
        routes: &[(PrefixId, Option<&Route>)],
        announcements: &mut Announcements,
    ) -> Option<News> {
        let (peer, bgp) = (self.peers.get(&id)?, self.config.bgp.as_ref()?);
        if peer.session.established_on().is_none() || !peer.exchanges(family) {
            return None;
        }
        let table = self.tables.get(family);
        let told = peer.adj_rib_out.get(family);
        let options = peer.options();
        let default = table.id(&family.default_route());
        let mut news = News::default();
        let mut export_cache = self.export_cache(peer, family);
        // How many more prefixes it may be told (`maximum-prefix-out`).
        let limit = peer.family(family).maximum_prefix_out;
        let mut room = limit.map(|limit| (limit as usize).saturating_sub(told.len()));
        for (prefix, route) in routes {
            let made = (Some(*prefix) == default)
                .then(|| self.default_for(peer, bgp, family, family.default_route()))
                .flatten();
            let wanted = match (made, route) {
                (Some(made), _) => Some(said(announcements, family, &made, &options)),
                (None, None) => None,
                (None, Some(route)) => export_cache.of(route, || {
                    let told = self.tell_about(peer, bgp, family, &table.prefix(*prefix), route)?;
                    Some(said(announcements, family, &told, &options))
                }),
            };
            match (wanted, told.get(*prefix)) {
                (Some(_), None) if room == Some(0) => {}
                (Some(wanted), before) if before != Some(wanted) => {
                    if before.is_none() {
                        room = room.map(|room| room - 1);
                    }
                    news.announce(*prefix, wanted);
                }
                (None, Some(_)) => news.withdrawn.push(*prefix),
                _ => {}
            }
        }
        (!news.announced.is_empty() || !news.withdrawn.is_empty()).then_some(news)
    }

    /// Tells a neighbor its news. Returns whether anything was said.
    fn tell_news(&mut self, id: SourceId, family: Family, news: News, actions: &mut Vec<Action>) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else {
            return false;
        };
        let Some(connection) = peer.session.established_on() else {
            return false;
        };
        let mut withdrawn = news.withdrawn;
        let table = self.tables.get(family);
        let nlri = |id: &PrefixId| Nlri::from(table.prefix(*id));
        let options = peer.options();
        let mut octets = Vec::new();
        let told = peer.adj_rib_out.get_mut(family);
        for (said, prefixes) in news.announced {
            let path = self.announcements.get(said).map_or(&[][..], |path| path);
            match announce_encoded(family, path, prefixes.iter().map(nlri), &options, &mut octets) {
                Ok(()) => prefixes.iter().for_each(|id| told.set(*id, Some(said))),
                // What cannot be said is not left standing as it was.
                Err(TooLong) => withdrawn.extend(prefixes.iter().filter(|id| told.get(**id).is_some())),
            }
        }
        if !withdrawn.is_empty() {
            for id in &withdrawn {
                told.set(*id, None);
            }
            withdraw(family, withdrawn.iter().map(nlri), &options, &mut octets);
        }
        if octets.is_empty() {
            return false;
        }
        peer.say(connection, octets, actions);
        true
    }
}
