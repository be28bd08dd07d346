//! What neighbours tell: sessions that come and go, and their routes.

use std::sync::Arc;

use super::{Action, Speaker, family_of};
use crate::bgp::session::{self, Agreement, ConnectionId, Reason, Time};
use crate::bgp::table::{NextHopState, Route, Source, SourceId, SourceKind};
use crate::bgp::wire::{Attributes, Family, HEADER, Message, Nlri, RefreshKind, Update, decode, frame};

impl Speaker {
    /// Octets of a connection, which may be part of a message or several.
    pub(super) fn receive(&mut self, id: ConnectionId, octets: &[u8], now: Time, actions: &mut Vec<Action>) {
        let Some(&source) = self.connections.get(&id) else {
            return;
        };
        if let Some(incoming) = self.incoming(source, id) {
            incoming.extend_from_slice(octets);
        }
        let mut done = 0;
        // What one message brings about may end the connection, or change how the next is read.
        while self.connections.contains_key(&id) {
            let Some(peer) = self.peers.get_mut(&source) else {
                return;
            };
            let options = peer.options();
            let Some(incoming) = peer.incoming.get(&id) else {
                return;
            };
            let rest = &incoming.octets[done..];
            let message = match frame(rest, &options) {
                Ok(None) => break,
                Ok(Some(length)) => {
                    peer.record.received(rest, now);
                    done += length.max(HEADER);
                    decode(&rest[..length], &options)
                }
                Err(notification) => Err(notification),
            };
            match message {
                Ok(message) => self.take(source, id, message, now, actions),
                Err(notification) => {
                    self.tell(source, session::Event::Broken(id, notification), now, actions);
                }
            }
        }
        if let Some(incoming) = self.incoming(source, id) {
            incoming.drain(..done.min(incoming.len()));
        }
    }

    fn incoming(&mut self, source: SourceId, id: ConnectionId) -> Option<&mut Vec<u8>> {
        let peer = self.peers.get_mut(&source)?;
        peer.incoming.get_mut(&id).map(|incoming| &mut incoming.octets)
    }

    fn take(
        &mut self,
        source: SourceId,
        id: ConnectionId,
        message: Message,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let mut outcome = Vec::new();
        let Some(peer) = self.peers.get_mut(&source) else {
            return;
        };
        peer.session.receive(id, &message, now, &mut outcome);
        let established = peer.session.established_on() == Some(id);
        self.perform(source, outcome, now, actions);
        if !established {
            return;
        }
        match message {
            Message::Update(update) => self.update(source, update, now, actions),
            Message::RouteRefresh(family, RefreshKind::Request) => {
                if let Ok(family) = Family::try_from(family) {
                    self.refresh(source, family, actions);
                }
            }
            _ => {}
        }
    }

    fn update(&mut self, source: SourceId, update: Update, now: Time, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&source) else {
            return;
        };
        if let Some(family) = update.end_of_rib {
            *peer.record.told_all.get_mut(family) = true;
        }
        for fault in &update.faults {
            actions.push(Action::Log(format!("neighbor {}: {fault}", peer.name)));
        }
        for (family, nlri) in &update.unreachable {
            for it in nlri {
                self.tables
                    .get_mut(*family)
                    .remove(it.prefix, source, it.path_id.unwrap_or(0));
            }
        }
        let attributes = Arc::new(update.attributes);
        for reach in update.reachable {
            for it in reach.nlri {
                match self.import(source, reach.family, &it, &attributes, reach.next_hop, now) {
                    Some(route) => self.tables.get_mut(reach.family).insert(it.prefix, route),
                    // A route that may not be used withdraws the one it replaces.
                    None => drop(self.tables.get_mut(reach.family).remove(
                        it.prefix,
                        source,
                        it.path_id.unwrap_or(0),
                    )),
                }
            }
        }
    }

    /// A route as it is kept; none if it is not to be used at all.
    fn import(
        &self,
        source: SourceId,
        family: Family,
        nlri: &Nlri,
        attributes: &Arc<Attributes>,
        next_hop: crate::bgp::wire::NextHop,
        now: Time,
    ) -> Option<Route> {
        let (bgp, peer) = (self.config.bgp.as_ref()?, self.peers.get(&source)?);
        let told_by = peer.source.clone()?;
        let settings = peer.family(family);
        if !peer.exchanges(family) || family_of(&nlri.prefix) != family {
            return None;
        }
        let external = told_by.kind == SourceKind::External;
        // A path with the own AS in it has been here before (RFC 4271 section 9.1.2).
        if attributes.as_path.contains(bgp.asn) && settings.allowas_in.is_none() {
            return None;
        }
        // A reflected route of this router's own, or one that has passed its cluster (RFC 4456 section 8).
        let own = self.router_id();
        let cluster = bgp.cluster_id.unwrap_or(own);
        if attributes.originator_id == Some(own) || attributes.cluster_list.contains(&cluster) {
            return None;
        }
        if external && peer.effective.enforce_first_as && attributes.as_path.first() != Some(told_by.asn) {
            return None;
        }
        // Nothing comes from another AS unless a policy says what (RFC 8212).
        let has_policy = settings.route_map_in.is_some()
            || settings.prefix_list_in.is_some()
            || settings.filter_list_in.is_some()
            || settings.distribute_list_in.is_some();
        if external && bgp.flags.ebgp_requires_policy && !has_policy {
            return None;
        }
        let mut route = Route {
            source: told_by,
            path_id: nlri.path_id.unwrap_or(0),
            attributes: Arc::clone(attributes),
            next_hop,
            next_hop_state: NextHopState::Unreachable,
            weight: settings.weight.unwrap_or(0).into(),
            stale: false,
            since: now,
        };
        route.next_hop_state = self.resolve(&route);
        Some(route)
    }

    pub(super) fn up(
        &mut self,
        id: SourceId,
        connection: ConnectionId,
        agreement: Agreement,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let kind = if agreement.options.internal {
            SourceKind::Internal
        } else {
            SourceKind::External
        };
        let endpoints = peer.incoming.get(&connection).map(|incoming| incoming.endpoints);
        peer.incoming.retain(|other, _| *other == connection);
        peer.source = Some(Arc::new(Source {
            id,
            kind,
            asn: agreement.remote_as,
            router_id: agreement.remote_id,
            address: endpoints.map(|ends| ends.remote),
        }));
        peer.endpoints = endpoints;
        peer.record.up(&agreement, now);
        actions.push(Action::Log(format!("%ADJCHANGE: neighbor {} Up", shown(peer))));
        for family in Family::ALL {
            self.begin_family(id, family, actions);
        }
    }

    pub(super) fn down(&mut self, id: SourceId, reason: &Reason, now: Time, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let why = match reason {
            Reason::Sent(notification) => format!("BGP Notification send ({notification})"),
            Reason::Received(notification) => format!("BGP Notification received ({notification})"),
            Reason::Closed => "Peer closed the session".to_owned(),
        };
        actions.push(Action::Log(format!(
            "%ADJCHANGE: neighbor {} Down {why}",
            shown(peer)
        )));
        peer.record.down(reason, now);
        peer.source = None;
        peer.endpoints = None;
        peer.told = Default::default();
        peer.incoming.clear();
        for family in Family::ALL {
            self.tables.get_mut(family).remove_source(id);
        }
    }
}

/// A neighbour in a log: with the name it gave, if it did.
fn shown(peer: &super::Peer) -> String {
    let name = peer
        .agreement()
        .and_then(|agreement| agreement.remote_name.as_deref());
    match name {
        Some(name) => format!("{}({name})", peer.name),
        None => peer.name.to_string(),
    }
}
