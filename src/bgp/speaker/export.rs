//! What neighbours are told.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::alike::Alike;
use super::shared::Shared;
use super::{Action, Peer, Speaker, Told};
use crate::bgp::config::Bgp;
use crate::bgp::session::Time;
use crate::bgp::table::SourceId;
use crate::bgp::wire::{
    Attributes, Family, Message, NextHop, Nlri, RefreshKind, TooLong, announce, encode, withdraw,
};

impl Speaker {
    /// Tells a neighbour everything of a family, and that this was all (RFC 4724 section 2).
    pub(super) fn begin_family(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        // After a restart neighbours hear nothing before this router knows what to say.
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
        peer.record.sent.count(&octets);
        *peer.record.updates_at_end.get_mut(family) = peer.record.sent.updates;
        actions.push(Action::Send(connection, octets));
    }

    /// Tells a neighbour everything again that it was told (RFC 2918), with marks where both know them (RFC 7313).
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
        let sent = &mut peer.record.sent;
        let mut mark = |kind| {
            let mut octets = Vec::new();
            encode(
                &Message::RouteRefresh(family.into(), kind),
                &Default::default(),
                &mut octets,
            );
            sent.count(&octets);
            Action::Send(connection, octets)
        };
        let [begin, end] = [RefreshKind::Begin, RefreshKind::End].map(|kind| marks.then(|| mark(kind)));
        actions.extend(begin);
        self.export_to(id, family, &all, actions);
        actions.extend(end);
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

    /// Tells a neighbour everything again that it was told.
    pub(super) fn soft_out(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        let all = self.told_prefixes(family);
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.exchanges(family)) {
            peer.forget_told(family);
            self.export_to(id, family, &all, actions);
        }
    }

    /// Tells all neighbours what has changed. A default route of this router's own may hang on any other route; after a
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
        for id in ids {
            let makes_default = self.peers.get(&id).is_some_and(|peer| {
                let originates = peer.family(family).default_originate.is_some();
                originates || peer.was_told(family, &default)
            });
            // It is the first of all that are in order.
            if makes_default && changed.first() != Some(&default) {
                self.tell_changes(id, family, &[default], now, actions);
            }
            self.tell_changes(id, family, changed, now, actions);
        }
    }

    /// Tells a neighbour what has changed, now or when it may be told again.
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
        let mut shared = std::mem::take(&mut self.shared);
        self.export_sharing(id, family, prefixes, &mut shared, actions);
        self.shared = shared;
    }

    fn export_sharing(
        &mut self,
        id: SourceId,
        family: Family,
        prefixes: &[IpNet],
        shared: &mut Shared,
        actions: &mut Vec<Action>,
    ) {
        let (Some(peer), Some(bgp)) = (self.peers.get(&id), &self.config.bgp) else {
            return;
        };
        let Some(connection) = peer.session.established_on().filter(|_| peer.exchanges(family)) else {
            return;
        };
        if peer.takes_several(family) {
            return self.export_paths(id, family, prefixes, actions);
        }
        let told = peer.told.get(family);
        let mut withdrawn = Vec::new();
        let mut announced: Vec<(Arc<Told>, Vec<Nlri>)> = Vec::new();
        // Attributes that are shared are told apart by where they are.
        let mut places: HashMap<(*const Attributes, NextHop), usize> = HashMap::new();
        let mut alike = self.alike(peer, family);
        // How many more prefixes it may be told (`maximum-prefix-out`).
        let limit = peer.family(family).maximum_prefix_out;
        let mut room = limit.map(|limit| (limit as usize).saturating_sub(told.len()));
        for prefix in prefixes {
            let mut share = |told: Told| {
                Arc::new(Told {
                    attributes: shared.of(told.attributes),
                    next_hop: told.next_hop,
                })
            };
            let wanted = self.wanted(peer, bgp, family, prefix, &mut alike, &mut share);
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
        let options = peer.options();
        let mut octets = Vec::new();
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let told = peer.told.get_mut(family);
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
        if !octets.is_empty() {
            peer.record.sent.count(&octets);
            actions.push(Action::Send(connection, octets));
        }
    }

    /// What a neighbour is to be told about a prefix. As with FRR that includes what it has told itself, if it is in
    /// another AS: there the path stops it.
    fn wanted(
        &self,
        peer: &Peer,
        bgp: &Bgp,
        family: Family,
        prefix: &IpNet,
        alike: &mut Alike,
        share: &mut impl FnMut(Told) -> Arc<Told>,
    ) -> Option<Arc<Told>> {
        if *prefix == default_of(family)
            && let Some(default) = self.default_for(peer, bgp, family, *prefix)
        {
            return Some(share(default));
        }
        let route = self.tables.get(family).get(prefix)?.best()?;
        alike.of(route, || {
            self.tell_about(peer, bgp, family, prefix, route).map(share)
        })
    }
}

pub(super) fn default_of(family: Family) -> IpNet {
    match family {
        Family::Ipv4Unicast => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
        Family::Ipv6Unicast => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
    }
}
