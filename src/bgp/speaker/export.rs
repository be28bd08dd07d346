//! What neighbours are told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Action, Peer, Speaker, Told};
use crate::bgp::config::Bgp;
use crate::bgp::table::{Route, SourceId, SourceKind};
use crate::bgp::wire::{
    Attributes, Community, Family, Message, NextHop, Nlri, Origin, RefreshKind, TooLong, announce, encode,
    withdraw,
};

impl Speaker {
    /// Tells a neighbour everything of a family, and that this was all (RFC 4724 section 2).
    pub(super) fn begin_family(&mut self, id: SourceId, family: Family, actions: &mut Vec<Action>) {
        if !self.peers.get(&id).is_some_and(|peer| peer.exchanges(family)) {
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
        peer.told.get_mut(family).clear();
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

    /// Tells all neighbours what has changed.
    pub(super) fn export(&mut self, family: Family, changed: &[IpNet], actions: &mut Vec<Action>) {
        if changed.is_empty() {
            return;
        }
        let ids: Vec<SourceId> = self.peers.keys().copied().collect();
        for id in ids {
            self.export_to(id, family, changed, actions);
        }
    }

    fn export_to(&mut self, id: SourceId, family: Family, prefixes: &[IpNet], actions: &mut Vec<Action>) {
        let (Some(peer), Some(bgp)) = (self.peers.get(&id), &self.config.bgp) else {
            return;
        };
        let Some(connection) = peer.session.established_on().filter(|_| peer.exchanges(family)) else {
            return;
        };
        let told = peer.told.get(family);
        let mut withdrawn = Vec::new();
        let mut announced: Vec<(Told, Vec<Nlri>)> = Vec::new();
        let mut places: HashMap<(Arc<Attributes>, NextHop), usize> = HashMap::new();
        for prefix in prefixes {
            match (self.wanted(peer, bgp, family, prefix), told.get(prefix)) {
                (Some(wanted), before) if before != Some(&wanted) => {
                    let key = (Arc::clone(&wanted.attributes), wanted.next_hop);
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
                Ok(()) => told.extend(nlri.into_iter().map(|it| (it.prefix, wanted.clone()))),
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
    fn wanted(&self, peer: &Peer, bgp: &Bgp, family: Family, prefix: &IpNet) -> Option<Told> {
        let settings = peer.family(family);
        let to = peer.source.as_ref()?;
        let external = to.kind == SourceKind::External;
        // Nothing goes to another AS unless a policy says what (RFC 8212).
        let has_policy = settings.route_map_out.is_some()
            || settings.prefix_list_out.is_some()
            || settings.filter_list_out.is_some()
            || settings.distribute_list_out.is_some();
        if *prefix == default_of(family) && settings.default_originate.is_some() {
            return Some(self.default_route(peer, bgp, family, external));
        }
        if external && bgp.flags.ebgp_requires_policy && !has_policy {
            return None;
        }
        let route = self.tables.get(family).get(prefix)?.best()?;
        self.may_pass(peer, bgp, family, route, external).then(|| {
            let attributes = self.attributes_for(peer, bgp, family, route, external);
            Told {
                attributes: Arc::new(attributes),
                next_hop: self.next_hop_for(peer, family, route, external),
            }
        })
    }

    fn default_route(&self, peer: &Peer, bgp: &Bgp, family: Family, external: bool) -> Told {
        let mut attributes = Attributes::default();
        if external {
            attributes.as_path.prepend(bgp.asn, 1);
        } else {
            attributes.local_pref = Some(bgp.local_preference);
        }
        attributes.origin = Origin::Igp;
        attributes.med = Some(0);
        Told {
            attributes: Arc::new(attributes),
            next_hop: self.own_next_hop(peer, family),
        }
    }

    /// Whether a neighbour may hear of a route at all.
    fn may_pass(&self, peer: &Peer, bgp: &Bgp, family: Family, route: &Route, external: bool) -> bool {
        let communities = &route.attributes.communities;
        if communities.contains(&Community::NO_ADVERTISE) {
            return false;
        }
        if external {
            let stays = [Community::NO_EXPORT, Community::LOCAL_AS];
            return !stays.iter().any(|stay| communities.contains(stay));
        }
        if route.source.kind != SourceKind::Internal {
            return true;
        }
        // Between neighbours in one AS only a reflector passes routes on (RFC 4456 section 6).
        let is_client = |id: SourceId| {
            let peer = self.peers.get(&id);
            peer.is_some_and(|peer| peer.family(family).route_reflector_client)
        };
        let (from, to) = (is_client(route.source.id), is_client(peer.id));
        route.source.id != peer.id && (from != to || (from && to && bgp.flags.client_to_client_reflection))
    }

    fn attributes_for(
        &self,
        peer: &Peer,
        bgp: &Bgp,
        family: Family,
        route: &Route,
        external: bool,
    ) -> Attributes {
        let settings = peer.family(family);
        let mut attributes = Attributes::clone(&route.attributes);
        if !settings.send_community {
            attributes.communities.clear();
        }
        if !settings.send_extcommunity {
            attributes.extended_communities.clear();
        }
        if !settings.send_large_community {
            attributes.large_communities.clear();
        }
        if external {
            attributes.local_pref = None;
            attributes.originator_id = None;
            attributes.cluster_list.clear();
            // It is meant for the AS that it was told to (RFC 4271 section 5.1.4).
            if route.source.kind != SourceKind::Local && !settings.attribute_unchanged.med {
                attributes.med = None;
            }
            if !settings.attribute_unchanged.as_path && !settings.route_server_client {
                self.prepend(peer, bgp, &mut attributes);
            }
        } else {
            attributes.local_pref.get_or_insert(bgp.local_preference);
            if route.source.kind == SourceKind::Internal {
                attributes.originator_id.get_or_insert(route.source.router_id);
                attributes
                    .cluster_list
                    .insert(0, bgp.cluster_id.unwrap_or(self.router_id()));
            }
        }
        attributes
    }

    /// The own AS, and the one shown to this neighbour in its place or before it.
    fn prepend(&self, peer: &Peer, bgp: &Bgp, attributes: &mut Attributes) {
        match peer.effective.local_as {
            Some(local) => {
                if !local.replace_as {
                    attributes.as_path.prepend(bgp.asn, 1);
                }
                attributes.as_path.prepend(local.asn, 1);
            }
            None => attributes.as_path.prepend(bgp.asn, 1),
        }
    }

    fn next_hop_for(&self, peer: &Peer, family: Family, route: &Route, external: bool) -> NextHop {
        let settings = peer.family(family);
        let own = route.source.kind == SourceKind::Local && route.next_hop.address().is_unspecified();
        let forced = settings.next_hop_self_force
            || (settings.next_hop_self && route.source.kind != SourceKind::Internal);
        // A next hop of the other family, or one that means something on another link only, cannot be told.
        let foreign = route.next_hop.address().is_ipv4() != (family == Family::Ipv4Unicast)
            || route.next_hop.link_local().is_some();
        let keeps = settings.attribute_unchanged.next_hop || settings.route_server_client;
        if own || forced || foreign || (external && !keeps && !self.shares_network(peer, route.next_hop)) {
            self.own_next_hop(peer, family)
        } else {
            route.next_hop
        }
    }

    /// This router as a neighbour reaches it.
    fn own_next_hop(&self, peer: &Peer, family: Family) -> NextHop {
        let interface = self.interface_of(peer);
        let local = peer.endpoints.map(|ends| ends.local);
        let extended = peer
            .agreement()
            .is_some_and(|agreement| agreement.extended_next_hop);
        let v4 = || {
            interface
                .and_then(|it| it.v4())
                .unwrap_or_else(|| self.router_id())
        };
        match (family, local) {
            (Family::Ipv4Unicast, Some(IpAddr::V4(local))) => NextHop::V4(local),
            (Family::Ipv4Unicast, Some(IpAddr::V6(local))) if extended => self.v6_next_hop(peer, local),
            (Family::Ipv4Unicast, _) => NextHop::V4(v4()),
            (Family::Ipv6Unicast, Some(IpAddr::V6(local))) => self.v6_next_hop(peer, local),
            (Family::Ipv6Unicast, _) => {
                let global = interface.and_then(|it| it.global_v6());
                let link_local = interface.and_then(|it| it.link_local());
                let global = global.unwrap_or_else(|| v4().to_ipv6_mapped());
                NextHop::V6 { global, link_local }
            }
        }
    }

    /// The global address and the link-local one, or the latter twice, as FRR does (RFC 2545 section 3, RFC 8950).
    fn v6_next_hop(&self, peer: &Peer, local: Ipv6Addr) -> NextHop {
        let interface = self.interface_of(peer);
        let link_local = interface.and_then(|it| it.link_local());
        let global = if local.is_unicast_link_local() {
            interface.and_then(|it| it.global_v6()).unwrap_or(local)
        } else {
            local
        };
        NextHop::V6 { global, link_local }
    }
}

fn default_of(family: Family) -> IpNet {
    match family {
        Family::Ipv4Unicast => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
        Family::Ipv6Unicast => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
    }
}
