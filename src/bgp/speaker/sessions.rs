//! Sessions with neighbors: made as configured, begun and ended as interfaces allow, and the connections they are on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::{Action, Dial, Endpoints, Peer, Speaker, change, resolve};
use crate::config::{self, PeerName};
use crate::session::{self, ConnectionId, Time};
use crate::table::SourceId;
use crate::wire::{Notification, error_code::cease};

impl Speaker {
    /// Makes the neighbors those of the configuration, and starts and stops their sessions as interfaces allow.
    pub(super) fn configure_peers(&mut self, now: Time, actions: &mut Vec<Action>) {
        let bgp = self.config.bgp.clone();
        let wanted: Vec<config::Neighbor> = bgp.iter().flat_map(|bgp| bgp.neighbors.clone()).collect();
        let names: BTreeSet<&PeerName> = wanted.iter().map(|it| &it.name).collect();
        let gone: Vec<SourceId> = self
            .peers
            .values()
            .filter(|peer| !names.contains(&peer.name) && !self.is_accepted(peer, bgp.as_ref()))
            .map(|peer| peer.id)
            .collect();
        for id in gone {
            let why = Notification::cease(cease::PEER_DE_CONFIGURED);
            self.tell(id, session::Event::Stop(why), now, actions);
            self.forget_away(id);
            self.peers.remove(&id);
        }
        let Some(bgp) = bgp else { return };
        let known = self.peers.values();
        let numbers: BTreeMap<PeerName, SourceId> = known.map(|peer| (peer.name.clone(), peer.id)).collect();
        for neighbor in &wanted {
            let effective = self.config.effective(&bgp, neighbor);
            let known = numbers.get(&neighbor.name).copied();
            let id = known.unwrap_or(SourceId(self.next_peer));
            let settings = self.session_settings(&bgp, &neighbor.name, &effective);
            match self.peers.get_mut(&id) {
                // What is agreed on with a neighbor holds for a session: with other settings it begins anew.
                Some(peer) => {
                    let (before, agreed) = (&peer.effective, peer.session.settings());
                    let resets = change::must_reset((before, agreed), (&effective, &settings));
                    peer.effective = effective;
                    peer.session.configure(settings);
                    if !resets {
                        continue;
                    }
                    let why = Notification::cease(cease::OTHER_CONFIGURATION_CHANGE);
                    self.tell(id, session::Event::Stop(why), now, actions);
                }
                None => {
                    self.next_peer += 1;
                    let peer = Peer::new(id, neighbor.name.clone(), effective, settings, self.seed);
                    self.peers.insert(id, peer);
                }
            }
        }
        let ids: Vec<SourceId> = self.peers.keys().copied().collect();
        for id in ids {
            self.allow(id, now, actions);
        }
    }

    /// Starts a session that can be, and stops one that cannot.
    pub(super) fn allow(&mut self, id: SourceId, now: Time, actions: &mut Vec<Action>) {
        let (Some(bgp), Some(peer)) = (&self.config.bgp, self.peers.get_mut(&id)) else {
            return;
        };
        if let PeerName::Interface(name) = &peer.name {
            let interface = self.interfaces.iter().find(|it| it.name == *name && it.up);
            if interface.map(|it| it.index) != peer.interface {
                peer.interface = interface.map(|it| it.index);
                peer.remote = None;
            }
        }
        // What counts against a neighbor ends with a shutdown, as with FRR.
        if peer.effective.shutdown.is_some() {
            peer.intake.overflow = None;
        }
        let is_shut = peer.effective.shutdown.is_some() || bgp.flags.shutdown;
        let event = if is_shut {
            let text = peer
                .effective
                .shutdown
                .as_ref()
                .and_then(|it| it.message.as_deref());
            let text = text.unwrap_or_default();
            session::Event::Stop(match text {
                "" => Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN),
                text => Notification::shutdown(cease::ADMINISTRATIVE_SHUTDOWN, text),
            })
        } else if peer.remote.is_none()
            || peer.intake.overflow.is_some()
            || !resolve::is_near_enough(peer, bgp, &self.interfaces)
        {
            session::Event::Stop(Notification::cease(cease::OTHER_CONFIGURATION_CHANGE))
        } else {
            session::Event::Start
        };
        self.tell(id, event, now, actions);
        if is_shut {
            self.forget_away(id);
        }
    }

    pub(super) fn discover(
        &mut self,
        interface: u32,
        address: Ipv6Addr,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let found = self
            .peers
            .values()
            .find(|peer| matches!(peer.name, PeerName::Interface(_)) && peer.interface == Some(interface));
        let found = found.filter(|peer| peer.remote != Some(address.into()));
        let Some(id) = found.map(|peer| peer.id) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let moved = peer.remote.replace(address.into()).is_some();
        if moved {
            let why = Notification::cease(cease::OTHER_CONFIGURATION_CHANGE);
            self.tell(id, session::Event::Stop(why), now, actions);
        }
        self.allow(id, now, actions);
    }

    /// A neighbor is known by its address, whatever address of this router's it dials.
    pub(super) fn accept(
        &mut self,
        id: ConnectionId,
        endpoints: Endpoints,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let mut known = self.peer_at(&endpoints).map(|peer| peer.id);
        if known.is_none() {
            known = self.meet(&endpoints, now, actions);
        }
        match known.or_else(|| self.accept_dynamic(&endpoints, now, actions)) {
            Some(peer) => {
                self.connect(peer, id, endpoints, session::Event::Accepted(id), now, actions);
            }
            None => actions.push(Action::Close(id)),
        }
    }

    /// Whoever dials over a link on which a neighbor is looked for is that neighbor, though its advertisement was lost or is
    /// still to be heard. One that has to sign is not taken like this: an unknown address is not asked for a signature.
    fn meet(&mut self, endpoints: &Endpoints, now: Time, actions: &mut Vec<Action>) -> Option<SourceId> {
        let (interface, IpAddr::V6(address)) = (endpoints.interface?, endpoints.remote) else {
            return None;
        };
        let awaits = |peer: &&Peer| {
            matches!(peer.name, PeerName::Interface(_))
                && peer.interface == Some(interface)
                && peer.remote.is_none()
                && peer.effective.password.is_none()
        };
        let id = self.peers.values().find(awaits)?.id;
        self.discover(interface, address, now, actions);
        Some(id)
    }

    pub(super) fn connect(
        &mut self,
        peer: SourceId,
        id: ConnectionId,
        endpoints: Endpoints,
        event: session::Event,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return actions.push(Action::Close(id));
        };
        known.begin(id, endpoints);
        self.connections.insert(id, peer);
        self.tell(peer, event, now, actions);
    }

    /// A connection is over: octets that came on it and are no whole message never will be.
    pub(super) fn hear_no_more(&mut self, peer: SourceId, connection: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.incoming.remove(&connection);
        }
    }

    pub(super) fn reset(&mut self, id: SourceId, now: Time, actions: &mut Vec<Action>) {
        let mut outcome = Vec::new();
        if let Some(peer) = self.peers.get_mut(&id) {
            let why = Notification::cease(cease::ADMINISTRATIVE_RESET);
            peer.session.fail(why, now, &mut outcome);
        }
        self.perform(id, outcome, now, actions);
        self.clear_limit(id, now, actions);
    }

    /// Tells a session what happened, and does what it asks for.
    pub(super) fn tell(&mut self, id: SourceId, event: session::Event, now: Time, actions: &mut Vec<Action>) {
        let mut outcome = Vec::new();
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.session.handle_event(event, now, &mut outcome);
        }
        self.perform(id, outcome, now, actions);
    }

    pub(super) fn perform(
        &mut self,
        id: SourceId,
        outcome: Vec<session::Action>,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        let ends =
            |action: &session::Action| matches!(action, session::Action::Close(_) | session::Action::Down(_));
        let ended = outcome.iter().any(ends);
        for action in outcome {
            match action {
                session::Action::Dial => actions.extend(self.dial(id)),
                session::Action::HangUp => actions.push(Action::HangUp(id)),
                session::Action::Send(connection, message) => {
                    if let Some(peer) = self.peers.get_mut(&id) {
                        actions.push(Action::Send(connection, peer.write(&message, now)));
                    }
                }
                session::Action::Close(connection) => {
                    self.connections.remove(&connection);
                    self.hear_no_more(id, connection);
                    actions.push(Action::Close(connection));
                }
                session::Action::Up(connection, agreement) => {
                    self.up(id, connection, *agreement, now, actions)
                }
                session::Action::Down(reason) => self.down(id, &reason, now, actions),
            }
        }
        if ended {
            self.part(id);
        }
    }

    pub(super) fn dial(&self, id: SourceId) -> Option<Action> {
        let way = self.way_to(self.peers.get(&id)?)?;
        Some(Action::Dial(id, Box::new(way)))
    }

    /// How a connection to a neighbor is opened. One that it opens is to be like it.
    pub fn way_to(&self, peer: &Peer) -> Option<Dial> {
        let effective = &peer.effective;
        let settings = peer.session.settings();
        let internal = match settings.remote_as {
            config::RemoteAs::Internal => true,
            config::RemoteAs::Number(asn) => asn == settings.local_as,
            config::RemoteAs::External => false,
        };
        let local = match &effective.update_source {
            Some(config::UpdateSource::Address(address)) => Some(*address),
            Some(config::UpdateSource::Interface(name)) => {
                let found = self.interfaces.iter().find(|it| it.name == *name)?;
                // Of the loopback's own addresses none leads anywhere.
                let same = |net: &&IpNet| {
                    let v4 = peer.remote.is_some_and(|it| it.is_ipv4());
                    net.addr().is_ipv4() == v4 && !net.addr().is_loopback()
                };
                // Without one there is no way.
                Some(found.addresses.iter().find(same).map(IpNet::addr)?)
            }
            None => None,
        };
        Some(Dial {
            remote: peer.remote?,
            port: effective.port,
            interface: peer.interface,
            local,
            hops: effective.ebgp_multihop.unwrap_or(if internal { 255 } else { 1 }),
            security_hops: effective.ttl_security,
            password: effective.password.clone(),
            segment: effective.tcp_mss,
        })
    }

    /// The neighbor at the other end of a connection, whatever address of this router's that goes to.
    pub fn peer_at(&self, endpoints: &Endpoints) -> Option<&Peer> {
        self.peers.values().find(|peer| peer.is_at(endpoints))
    }
}
