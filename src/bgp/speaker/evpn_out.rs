//! What neighbors are told of EVPN: the Adj-RIB-Out of its routes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Action, Peer, Speaker};
use crate::config::Bgp;
use crate::evpn::EvpnPath;
use crate::table::SourceId;
use crate::wire::{
    Attributes, EvpnKey, EvpnNlri, Family, Message, NextHop, Options, RefreshKind, TooLong, announce_evpn,
    encode, withdraw, withdraw_evpn,
};

/// What a neighbor was told about a route.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    attributes: Arc<Attributes>,
    next_hop: NextHop,
    nlri: EvpnNlri,
}

/// What all neighbors were told.
#[derive(Default)]
pub(super) struct ToldAll(BTreeMap<SourceId, ToldOne>);

#[derive(Default)]
struct ToldOne {
    routes: BTreeMap<EvpnKey, Told>,
    /// What has changed while the neighbor takes nothing.
    waiting: BTreeSet<EvpnKey>,
}

impl ToldAll {
    pub(super) fn count(&self, id: SourceId) -> usize {
        self.0.get(&id).map_or(0, |told| told.routes.len())
    }

    pub(super) fn forget(&mut self, id: SourceId) {
        self.0.remove(&id);
    }

    fn has(&self, id: SourceId, key: &EvpnKey) -> bool {
        self.0.get(&id).is_some_and(|told| told.routes.contains_key(key))
    }
}

/// What is said about routes beside what they are about.
type Said = (Arc<Attributes>, NextHop);

/// Routes by what is said about them, in the order in which it came.
#[derive(Default)]
struct News {
    announced: Vec<(Said, Vec<Told>)>,
    places: HashMap<Said, usize>,
    withdrawn: Vec<EvpnKey>,
}

impl News {
    fn announce(&mut self, told: Told) {
        let said = (Arc::clone(&told.attributes), told.next_hop);
        let at = *self.places.entry(said.clone()).or_insert(self.announced.len());
        match self.announced.get_mut(at) {
            Some((_, all)) => all.push(told),
            None => self.announced.push((said, vec![told])),
        }
    }
}

impl Speaker {
    /// Whether a neighbor was told a route of EVPN.
    pub fn was_told_evpn(&self, peer: &Peer, key: &EvpnKey) -> bool {
        self.evpn.told.has(peer.id, key)
    }

    /// What a neighbor is to be told about a route; none if nothing. The next hop is the tunnel's end, which nobody on the way
    /// changes (FRR).
    fn tell_about_evpn(&self, peer: &Peer, bgp: &Bgp, key: &EvpnKey, path: &EvpnPath) -> Option<Told> {
        let any = Family::L2vpnEvpn.default_route();
        let advertised = self.tell_about(peer, bgp, Family::L2vpnEvpn, &any, &path.route)?;
        Some(Told {
            attributes: advertised.attributes,
            next_hop: path.route.next_hop,
            nlri: path.nlri(key),
        })
    }

    /// Tells all neighbors what has changed; after a change of the configuration everything that differs by it.
    pub(super) fn export_evpn(&mut self, changed: &[EvpnKey], configured: bool, actions: &mut Vec<Action>) {
        if changed.is_empty() && !configured {
            return;
        }
        let all = if configured { self.evpn_keys() } else { Vec::new() };
        let ids: Vec<SourceId> = self.peers.keys().copied().collect();
        for id in ids {
            match configured {
                true => {
                    // What stands no longer in the table was told all the same.
                    let gone: Vec<EvpnKey> = changed.to_vec();
                    self.export_evpn_to(id, &all, actions);
                    self.export_evpn_to(id, &gone, actions);
                }
                false => self.export_evpn_to(id, changed, actions),
            }
        }
    }

    fn evpn_keys(&self) -> Vec<EvpnKey> {
        self.evpn.table.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Tells a neighbor all routes of EVPN, and that this was all.
    pub(super) fn begin_evpn(&mut self, id: SourceId, actions: &mut Vec<Action>) {
        self.evpn.told.forget(id);
        let all = self.evpn_keys();
        self.export_evpn_to(id, &all, actions);
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(connection) = peer.session.established_on() else {
            return;
        };
        let mut octets = Vec::new();
        withdraw(Family::L2vpnEvpn, [], &peer.options(), &mut octets);
        peer.say(connection, octets, actions);
        *peer.record.updates_at_end.get_mut(Family::L2vpnEvpn) = peer.record.sent.updates;
    }

    /// Tells a neighbor everything again, with marks where both know them (RFC 7313) and it has asked for it.
    pub(super) fn repeat_evpn(&mut self, id: SourceId, is_asked: bool, actions: &mut Vec<Action>) {
        let all = self.evpn_keys();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(connection) = peer.session.established_on() else {
            return;
        };
        let agreement = peer.agreement();
        let marks = is_asked && agreement.is_some_and(|agreement| agreement.enhanced_route_refresh);
        let mark = |kind| {
            let mut octets = Vec::new();
            let message = Message::RouteRefresh(Family::L2vpnEvpn.into(), kind);
            encode(&message, &Options::default(), &mut octets);
            octets
        };
        if marks {
            peer.say(connection, mark(RefreshKind::Begin), actions);
        }
        self.evpn.told.forget(id);
        self.export_evpn_to(id, &all, actions);
        if let Some(peer) = self.peers.get_mut(&id).filter(|_| marks) {
            peer.say(connection, mark(RefreshKind::End), actions);
        }
    }

    /// Tells neighbors that take something again what has changed in the meantime.
    pub(super) fn tell_waiting_evpn(&mut self, actions: &mut Vec<Action>) {
        let takes = |id: &SourceId| self.peers.get(id).is_some_and(|peer| !peer.flow.holds);
        let waits = self
            .evpn
            .told
            .0
            .iter()
            .filter(|(_, told)| !told.waiting.is_empty());
        let ready: Vec<SourceId> = waits.map(|(id, _)| *id).filter(takes).collect();
        for id in ready {
            let told = self.evpn.told.0.entry(id).or_default();
            let waiting: Vec<EvpnKey> = std::mem::take(&mut told.waiting).into_iter().collect();
            self.export_evpn_to(id, &waiting, actions);
        }
    }

    fn export_evpn_to(&mut self, id: SourceId, keys: &[EvpnKey], actions: &mut Vec<Action>) {
        let (Some(peer), Some(bgp)) = (self.peers.get(&id), self.config.bgp.as_ref()) else {
            return;
        };
        if self.is_returning() || !peer.exchanges(Family::L2vpnEvpn) {
            return;
        }
        if peer.flow.holds {
            let told = self.evpn.told.0.entry(id).or_default();
            told.waiting.extend(keys.iter().cloned());
            return;
        }
        let mut news = News::default();
        let known = self.evpn.told.0.get(&id);
        for key in keys {
            let best = self.evpn.table.get(key).and_then(|it| it.best());
            let wanted = best.and_then(|path| self.tell_about_evpn(peer, bgp, key, path));
            let before = known.and_then(|told| told.routes.get(key));
            match (wanted, before) {
                (Some(wanted), before) if before != Some(&wanted) => news.announce(wanted),
                (None, Some(_)) => news.withdrawn.push(key.clone()),
                _ => {}
            }
        }
        self.tell_evpn(id, news, actions);
    }

    fn tell_evpn(&mut self, id: SourceId, news: News, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Some(connection) = peer.session.established_on() else {
            return;
        };
        let options = peer.options();
        let told = self.evpn.told.0.entry(id).or_default();
        let with_id = |nlri: &EvpnNlri| EvpnNlri {
            // Several routes are not told; where identifiers are agreed on there is one all the same.
            path_id: options.add_path_send.evpn.then_some(1),
            ..nlri.clone()
        };
        let mut octets = Vec::new();
        let mut withdrawn = news.withdrawn;
        for ((attributes, next_hop), all) in news.announced {
            let nlri: Vec<EvpnNlri> = all.iter().map(|it| with_id(&it.nlri)).collect();
            match announce_evpn(next_hop, &attributes, &nlri, &options, &mut octets) {
                Ok(()) => told
                    .routes
                    .extend(all.into_iter().map(|it| (it.nlri.key.clone(), it))),
                // What cannot be said is not left standing as it was.
                Err(TooLong) => withdrawn.extend(all.into_iter().map(|it| it.nlri.key)),
            }
        }
        let gone = withdrawn.into_iter().filter_map(|key| told.routes.remove(&key));
        let gone: Vec<EvpnNlri> = gone.map(|it| with_id(&it.nlri)).collect();
        withdraw_evpn(&gone, &options, &mut octets);
        if !octets.is_empty() {
            peer.say(connection, octets, actions);
        }
    }
}
