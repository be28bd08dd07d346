//! Several connections with one neighbor: which of them stay, and for how long those are borne on which nothing is said.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Action, Agreement, Connection, ConnectionId, Reason, Session, Time};
use crate::wire::error_code::{OPEN_MESSAGE, cease, open_message};
use crate::wire::{Capability, Message, Notification, Open};

/// How long a connection that would be closed in favor of another waits for the first word on that one.
pub(super) const COURTESY: Duration = Duration::from_secs(1);
/// How many connections of a neighbor may be open beside each other while none of them is up. RFC 4271 section 8.2.1 tracks each
/// by itself, as one of them may stay silent.
pub(super) const BESIDE: usize = 8;

/// What becomes of a connection on which an OPEN came while there are others.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It stays, and these go.
    Stays(Vec<ConnectionId>),
    /// It goes.
    Goes,
    /// It would go in favor of one on which nothing was said so far.
    Waits,
}

impl Session {
    /// A connection the neighbor opened. One that is not wanted now is hung up without a word, as FRR does; of one more than
    /// there may be it is said why.
    pub(super) fn accept(&mut self, id: ConnectionId, now: Time, actions: &mut Vec<Action>) {
        let is_kept = |it: &Connection| match it.agreement() {
            Some(_) if it.established().is_some() && self.may_restart() => false,
            Some(with) if it.dialled => self.keeps(it, with),
            Some(_) => it.established().is_some(),
            None => false,
        };
        let is_too_much = self.connections.iter().any(is_kept);
        if !self.started {
            actions.push(Action::Close(id));
            return;
        }
        if is_too_much {
            let notification = Notification::cease(cease::CONNECTION_REJECTED);
            actions.push(Action::Send(id, Message::Notification(notification)));
            actions.push(Action::Close(id));
            return;
        }
        // A neighbor that dials ends the rest: were it turned away, two that rest in turn would never meet.
        // One that then says nothing does not keep this side from dialing in its time.
        if let Some(rest) = self.rest.take().filter(|_| !self.settings.passive) {
            self.retry = Some(rest);
        }
        self.make_room(now, actions);
        self.greet(id, false, now, actions);
    }

    /// Of too many connections that the neighbor opened, the one goes that has been silent for longest.
    fn make_room(&mut self, now: Time, actions: &mut Vec<Action>) {
        let beside = self
            .connections
            .iter()
            .filter(|it| !it.dialled && it.established().is_none());
        let beside: Vec<&Connection> = beside.collect();
        if beside.len() < BESIDE {
            return;
        }
        let silent = beside.iter().find(|it| it.is_unheard()).or(beside.first());
        if let Some(id) = silent.map(|it| it.id()) {
            let notification = Notification::cease(cease::CONNECTION_REJECTED);
            self.end(id, Reason::Sent(notification), now, actions);
        }
    }

    pub(super) fn opened(&mut self, id: ConnectionId, open: &Open, now: Time, actions: &mut Vec<Action>) {
        if let Some(connection) = self.connections.iter_mut().find(|it| it.id() == id) {
            connection.introduced();
        }
        let own = &self.settings;
        let internal = open.asn == own.local_as;
        let refusal = if !own.allows(open.asn) {
            Some((open_message::BAD_PEER_AS, number_of(open)))
        } else if internal && open.router_id == own.router_id {
            let id = open.router_id.octets();
            Some((open_message::BAD_BGP_IDENTIFIER, id.to_vec()))
        } else {
            None
        };
        if let Some((subcode, data)) = refusal {
            let notification = Notification::with_data(OPEN_MESSAGE, subcode, data);
            return self.end(id, Reason::Sent(notification), now, actions);
        }
        // One that promised to come back has, though the end of its earlier life was not seen here (RFC 4724 section 5).
        let old = self.established_on();
        if let Some(old) = old.filter(|_| self.may_restart()) {
            self.end(old, Reason::Closed, now, actions);
            actions.push(Action::Close(old));
        }
        self.meet(id, open, now, actions);
    }

    /// Whether the neighbor of a session that is up has said that it comes back after a restart.
    fn may_restart(&self) -> bool {
        let promised = self.agreement().and_then(|with| with.graceful_restart.as_ref());
        promised.is_some_and(|restart| !restart.families.is_empty())
    }

    /// An OPEN that may be answered: of several connections with the neighbor the others are closed, or this one, or this one
    /// waits a moment for the first word on another.
    pub(super) fn meet(&mut self, id: ConnectionId, open: &Open, now: Time, actions: &mut Vec<Action>) {
        let fate = self.collision(id, open.router_id, open.asn);
        if fate == Fate::Waits {
            if let Some(connection) = self.connections.iter_mut().find(|it| it.id() == id) {
                connection.put_off(open.clone(), now + COURTESY);
            }
            return;
        }
        let losers = match fate {
            Fate::Stays(losers) => losers,
            Fate::Goes | Fate::Waits => vec![id],
        };
        for loser in &losers {
            let notification = Notification::cease(cease::CONNECTION_COLLISION_RESOLUTION);
            self.end(*loser, Reason::Sent(notification), now, actions);
        }
        self.confirm(id, open, now, actions);
    }

    fn confirm(&mut self, id: ConnectionId, open: &Open, now: Time, actions: &mut Vec<Action>) {
        let Some(connection) = self.connections.iter_mut().find(|it| it.id() == id) else {
            return;
        };
        match Agreement::new(connection.sent(), open, &self.settings) {
            Some(agreement) => {
                actions.push(Action::Send(id, Message::Keepalive));
                connection.confirm(agreement, now, &mut self.rng);
            }
            None => {
                let subcode = open_message::UNSUPPORTED_CAPABILITY;
                let notification = Notification::with_data(OPEN_MESSAGE, subcode, families_of(open));
                self.end(id, Reason::Sent(notification), now, actions);
            }
        }
    }

    /// What becomes of a connection that has told who the neighbor is when there are others (RFC 4271 section 6.8, RFC 6286
    /// section 2.3): of two that different sides opened, the one goes that the side with the lower identifier opened. Of two
    /// that the neighbor opened it means the later one, unless the earlier one is up.
    ///
    /// However far the other one is: were one kept because it is up on this side already, while the other side, where it is not
    /// yet, goes by the identifiers, both would be closed (this is CollisionDetectEstablishedState of section 8.1.1). But one on
    /// which nothing was said may be nobody's: in favor of that none is closed.
    fn collision(&self, id: ConnectionId, remote_id: Ipv4Addr, remote_as: u32) -> Fate {
        let Some(this) = self.connections.iter().find(|it| it.id() == id) else {
            return Fate::Goes;
        };
        let keeps_own = self.keeps_own(remote_id, remote_as);
        let mut losers = Vec::new();
        let mut waits = false;
        for other in self.connections.iter().filter(|it| it.id() != id) {
            match other.dialled == this.dialled {
                true if other.established().is_some() => return Fate::Goes,
                false if this.dialled != keeps_own && !other.is_unheard() => return Fate::Goes,
                false if this.dialled != keeps_own => waits = true,
                _ => losers.push(other.id()),
            }
        }
        match waits && !this.was_put_off() {
            true => Fate::Waits,
            false => Fate::Stays(losers),
        }
    }

    /// Whether of two connections with a neighbor this side's stays.
    pub(super) fn keeps_own(&self, remote_id: Ipv4Addr, remote_as: u32) -> bool {
        (self.settings.router_id, self.settings.local_as) > (remote_id, remote_as)
    }

    /// Whether a connection, of which it is known with whom, stays when there is another.
    fn keeps(&self, connection: &Connection, with: &Agreement) -> bool {
        connection.dialled == self.keeps_own(with.remote_id, with.remote_as)
    }
}

/// The AS of an OPEN as it is shown to whoever sent it, in as many octets.
fn number_of(open: &Open) -> Vec<u8> {
    let is_long = |it: &Capability| matches!(it, Capability::FourOctetAs(_));
    match u16::try_from(open.asn) {
        Ok(asn) if !open.capabilities.iter().any(is_long) => asn.to_be_bytes().to_vec(),
        _ => open.asn.to_be_bytes().to_vec(),
    }
}

/// The families of an OPEN, as it has them: what is not supported (RFC 5492 section 5).
fn families_of(open: &Open) -> Vec<u8> {
    let mut data = Vec::new();
    let all = open.capabilities.iter();
    for family in all.filter(|it| matches!(it, Capability::Multiprotocol(_))) {
        family.encode(&mut data);
    }
    data
}
