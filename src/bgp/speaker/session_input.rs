//! What neighbors tell: sessions that come and go, and their routes.

use std::sync::Arc;

use super::flow::Again;
use super::import_policy::Received;
use super::{Action, Speaker};
use crate::session::{self, Agreement, ConnectionId, Reason, Time};
use crate::table::{Source, SourceId, SourceKind};
use crate::wire::{Family, HEADER, Message, RefreshKind, Update, decode, frame};

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
                    // The message that brings too many is shown.
                    if peer.effective.limits_prefixes() {
                        peer.record.cause.clear();
                        peer.record.cause.extend_from_slice(&rest[..length]);
                    }
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
            Message::RouteRefresh(family, kind) => {
                let Ok(family) = Family::try_from(family) else {
                    return;
                };
                match kind {
                    RefreshKind::Request => self.again(source, family, Again::Asked, now, actions),
                    kind => self.refreshed(source, family, kind, now),
                }
            }
            _ => {}
        }
    }

    fn update(&mut self, source: SourceId, mut update: Update, now: Time, actions: &mut Vec<Action>) {
        let Some(peer) = self.peers.get(&source) else {
            return;
        };
        // One message may have hundreds of faults.
        if let Some(fault) = update.faults.first() {
            let more = match update.faults.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more faults in one message)"),
            };
            actions.push(Action::Log(format!("neighbor {}: {fault}{more}", peer.name)));
        }
        if let Some(family) = update.end_of_rib {
            self.told_all(source, family);
        }
        for (family, nlri) in &update.unreachable {
            self.unlearn(source, *family, nlri);
        }
        if update.evpn_reachable.is_some() || !update.evpn_unreachable.is_empty() {
            self.update_evpn(source, &mut update, now);
            self.check_limit(source, Family::L2vpnEvpn, now, actions);
        }
        let attributes = self.taken(source, update.attributes);
        for reach in update.reachable {
            let told = Arc::new(Received {
                attributes: Arc::clone(&attributes),
                next_hop: reach.next_hop,
            });
            self.learn(source, reach.family, &reach.nlri, &told, now);
            self.check_limit(source, reach.family, now, actions);
        }
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
        peer.source = Some(Arc::new(Source {
            id,
            kind,
            asn: agreement.remote_as,
            router_id: agreement.remote_id,
            address: endpoints.map(|ends| ends.remote),
        }));
        peer.endpoints = endpoints;
        peer.record.up(&agreement, now);
        peer.intake.begin(&peer.effective);
        peer.refreshing = Default::default();
        peer.mrai.clear();
        peer.flow = Default::default();
        actions.push(Action::Log(format!("%ADJCHANGE: neighbor {} Up", shown(peer))));
        self.forget_update_groups();
        self.end_restart(id, &agreement);
        self.begin_startup(now);
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
        peer.flow = Default::default();
        for family in Family::ALL {
            peer.forget_told(family);
        }
        self.evpn.told.forget(id);
        peer.intake.end();
        self.forget_update_groups();
        self.keep_or_forget(id, reason, now);
        self.paths.tidy();
    }
}

/// A neighbor in a log: with the name it gave, if it did.
fn shown(peer: &super::Peer) -> String {
    let name = peer
        .agreement()
        .and_then(|agreement| agreement.remote_name.as_deref());
    match name {
        Some(name) => format!("{}({name})", peer.name),
        None => peer.name.to_string(),
    }
}
