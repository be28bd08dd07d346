//! What neighbors are told.

use rustc_hash::{FxHashMap, FxHashSet};

use super::interner::{Interner, ValueId};
use super::update_groups::Wanted;
use super::{Action, Advertised, Peer, Speaker};
use crate::config::Bgp;
use crate::session::Time;
use crate::table::{Destination, PrefixId, Route, SourceId};
use crate::wire::{
    Family, Message, Nlri, Options, RefreshKind, TooLong, announce_encoded, encode, encode_path, withdraw,
};

/// What neighbors were told: all of UPDATEs but their prefixes.
pub(super) type Announcements = Interner<Box<[u8]>>;

/// A change of more prefixes is told in parts, so that what is known of each meanwhile takes little memory.
const AT_ONCE: usize = 1 << 15;

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

/// Prefixes about which something has changed, and the best routes to them.
struct Changes<'c, 's> {
    family: Family,
    routes: &'c [(PrefixId, Option<&'s Route>)],
    /// Who has told those routes.
    sources: &'c FxHashSet<SourceId>,
    announcements: &'c mut Announcements,
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
        self.find_update_groups();
        let mut told = FxHashSet::default();
        for changed in changed.chunks(AT_ONCE) {
            for (id, news) in self.news_for_all(ids, family, changed) {
                if self.tell_news(id, family, news, actions) {
                    told.insert(id);
                }
            }
        }
        for id in told {
            self.note_told(id, now);
        }
    }

    /// What neighbors do not know yet of some changed prefixes.
    fn news_for_all(
        &mut self,
        ids: &[SourceId],
        family: Family,
        changed: &[PrefixId],
    ) -> Vec<(SourceId, News)> {
        let mut announcements = std::mem::take(&mut self.announcements);
        let routes = self.best_of(family, changed);
        let sources: FxHashSet<SourceId> = routes
            .iter()
            .filter_map(|(_, it)| Some((*it)?.source.id))
            .collect();
        let mut wanted = Wanted::default();
        let news = ids
            .iter()
            .filter_map(|id| {
                let mut changes = Changes {
                    family,
                    routes: &routes,
                    sources: &sources,
                    announcements: &mut announcements,
                };
                Some((*id, self.news_for(*id, &mut changes, &mut wanted)?))
            })
            .collect();
        self.announcements = announcements;
        news
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
        self.export_to_one(id, family, prefixes, actions);
    }

    /// Tells one neighbor of prefixes.
    fn export_to_one(
        &mut self,
        id: SourceId,
        family: Family,
        prefixes: &[PrefixId],
        actions: &mut Vec<Action>,
    ) {
        let mut announcements = std::mem::take(&mut self.announcements);
        let routes = self.best_of(family, prefixes);
        let mut changes = Changes {
            family,
            routes: &routes,
            sources: &FxHashSet::default(),
            announcements: &mut announcements,
        };
        let news = self.news_of_one(id, &mut changes);
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

    /// What a neighbor does not know yet of these prefixes and the best routes to them, found for its update group; none if
    /// it is told nothing at all.
    fn news_for(&self, id: SourceId, changes: &mut Changes, wanted: &mut Wanted) -> Option<News> {
        let (peer, bgp) = (self.peers.get(&id)?, self.config.bgp.as_ref()?);
        let group = self.update_groups.as_ref()?.get(changes.family).get(&id)?;
        let all = wanted.of(*group, || self.wanted(peer, bgp, changes, |_| true));
        if !changes.sources.contains(&id) {
            return self.differs(peer, bgp, changes, all);
        }
        // Of what it has told itself it may be told something else than others.
        let own = self.wanted(peer, bgp, changes, |route| route.source.id == id);
        let is_own = |route: &Option<&Route>| route.is_some_and(|route| route.source.id == id);
        let all = all.iter().zip(own).zip(changes.routes);
        let all: Vec<Option<ValueId>> = all
            .map(|((all, own), (_, route))| if is_own(route) { own } else { *all })
            .collect();
        self.differs(peer, bgp, changes, &all)
    }

    /// The same for one neighbor alone.
    fn news_of_one(&self, id: SourceId, changes: &mut Changes) -> Option<News> {
        let (peer, bgp) = (self.peers.get(&id)?, self.config.bgp.as_ref()?);
        let wanted = self.wanted(peer, bgp, changes, |_| true);
        self.differs(peer, bgp, changes, &wanted)
    }

    /// What a neighbor is to be told of routes, in their order; none of those that it is not asked about.
    fn wanted(
        &self,
        peer: &Peer,
        bgp: &Bgp,
        changes: &mut Changes,
        asks: impl Fn(&Route) -> bool,
    ) -> Vec<Option<ValueId>> {
        let (family, options) = (changes.family, peer.options());
        let table = self.tables.get(family);
        let announcements = &mut *changes.announcements;
        let mut export_cache = self.export_cache(peer, family);
        let wanted = changes.routes.iter().map(|(id, route)| {
            let route = (*route).filter(|route| asks(route))?;
            export_cache.of(route, || {
                let told = self.tell_about(peer, bgp, family, &table.prefix(*id), route)?;
                Some(said(announcements, family, &told, &options))
            })
        });
        wanted.collect()
    }

    /// How what a neighbor is to be told differs from what it was told.
    fn differs(
        &self,
        peer: &Peer,
        bgp: &Bgp,
        changes: &mut Changes,
        wanted: &[Option<ValueId>],
    ) -> Option<News> {
        let family = changes.family;
        if peer.session.established_on().is_none() || !peer.exchanges(family) {
            return None;
        }
        let told = peer.adj_rib_out.get(family);
        let default = self.tables.get(family).id(&family.default_route());
        let mut news = News::default();
        // How many more prefixes it may be told (`maximum-prefix-out`).
        let limit = peer.family(family).maximum_prefix_out;
        let mut room = limit.map(|limit| (limit as usize).saturating_sub(told.len()));
        for ((prefix, _), wanted) in changes.routes.iter().zip(wanted) {
            let mut wanted = *wanted;
            if Some(*prefix) == default
                && let Some(made) = self.default_for(peer, bgp, family, family.default_route())
            {
                wanted = Some(said(changes.announcements, family, &made, &peer.options()));
            }
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
