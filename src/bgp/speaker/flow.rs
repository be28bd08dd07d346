//! Neighbors that take what they are told slowly, or not at all.
//!
//! What waits to be sent to one of them is bounded, and so is the work it can ask for: with much on its way a neighbor is told
//! nothing more until all of that is sent, and then only what holds by then. A refresh that is asked for in the meantime is
//! answered once, however often it is asked for.

use std::time::Duration;

use super::{Action, Peer, Speaker};
use crate::session::{self, ConnectionId, Time};
use crate::table::{PrefixId, SourceId};
use crate::wire::{Family, PerFamily};

/// With so many octets on their way a neighbor is told nothing more until they are sent. The answer to a refresh, or a whole
/// table when the session begins, is always said at once, and may be longer.
const MOST: usize = 1 << 20;
/// What each prefix that was looked at for a refresh adds to the time until the next one: refreshes of one neighbor take a
/// small part of the router's time, even where it reads all of them.
const REST: Duration = Duration::from_micros(10);

/// The same of each prefix that is looked at because the neighbor says that it begins to tell everything again.
const PAUSE: Duration = Duration::from_micros(1);

/// How far a neighbor has taken what it was told.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Octets since all was known to be sent.
    octets: usize,
    /// Whether it is told nothing more until all is sent.
    pub(super) holds: bool,
    /// What it is told again as soon as that may be.
    again: PerFamily<Option<Again>>,
    /// Before when no further refresh is answered.
    rests_until: PerFamily<Time>,
    /// Before when no further beginning of a refresh is taken.
    begins_after: PerFamily<Time>,
}

/// Why a neighbor is told everything of a family again. The later one includes the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Again {
    /// This router's operator wants it (`clear bgp … soft out`).
    Advertised,
    /// The neighbor has asked for it (RFC 2918).
    Asked,
}

impl Flow {
    /// Whether the neighbor may begin to tell a family's routes again, so that those it does not tell are found (RFC 7313
    /// section 4). Of beginnings that follow each other quickly only the first counts: routes then stay that might go.
    pub(super) fn may_begin(&mut self, family: Family, prefixes: usize, now: Time) -> bool {
        let after = self.begins_after.get_mut(family);
        let may = *after <= now;
        if may {
            *after = now + times(PAUSE, prefixes);
        }
        may
    }

    /// When it may be told again what it is to be told again; none if nothing, or if it does not hang on time.
    fn due(&self, family: Family) -> Option<Time> {
        match self.again.get(family) {
            Some(Again::Advertised) if !self.holds => Some(Time::ZERO),
            Some(Again::Asked) if !self.holds => Some(*self.rests_until.get(family)),
            _ => None,
        }
    }
}

fn times(time: Duration, count: usize) -> Duration {
    time * u32::try_from(count).unwrap_or(u32::MAX)
}

impl Peer {
    /// Says something of the kind of which there may be much.
    pub(super) fn say(&mut self, connection: ConnectionId, octets: Vec<u8>, actions: &mut Vec<Action>) {
        self.record.sent.count(&octets);
        self.flow.octets += octets.len();
        actions.push(Action::Send(connection, octets));
        if self.flow.octets > MOST && !self.flow.holds {
            self.flow.holds = true;
            actions.push(Action::Report(connection));
        }
    }

    /// When the neighbor is to be told everything of a family again; none if it is not, or if that does not hang on time.
    pub(super) fn end_of_rest(&self) -> Option<Time> {
        let all = Family::ALL.into_iter();
        all.filter_map(|family| self.flow.due(family)).min()
    }
}

impl Speaker {
    /// A neighbor is to be told everything of a family again: now, or once as soon as that may be.
    pub(super) fn again(
        &mut self,
        id: SourceId,
        family: Family,
        why: Again,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.exchanges(family)) {
            let again = peer.flow.again.get_mut(family);
            *again = (*again).max(Some(why));
            self.tell_again(id, now, actions);
        }
    }

    /// Tells a neighbor again what it may be told now.
    pub(super) fn tell_again(&mut self, id: SourceId, now: Time, actions: &mut Vec<Action>) {
        for family in Family::ALL {
            let Some(peer) = self.peers.get_mut(&id) else {
                return;
            };
            if peer.flow.due(family).is_none_or(|due| now < due) {
                continue;
            }
            let why = peer.flow.again.get_mut(family).take();
            peer.mrai.forget(family);
            let seen = self.tables.get(family).len();
            match why {
                Some(Again::Asked) => self.refresh(id, family, actions),
                Some(Again::Advertised) => self.repeat(id, family, actions),
                None => {}
            }
            if let Some(peer) = self.peers.get_mut(&id) {
                *peer.flow.rests_until.get_mut(family) = now + times(REST, seen);
            }
        }
    }

    /// All that was on its way to a neighbor is sent.
    pub(super) fn sent(&mut self, connection: ConnectionId, now: Time, actions: &mut Vec<Action>) {
        let Some(id) = self.connections.get(&connection).copied() else {
            return;
        };
        let peer = self.peers.get_mut(&id);
        let Some(peer) = peer.filter(|peer| peer.session.established_on() == Some(connection)) else {
            return;
        };
        (peer.flow.octets, peer.flow.holds) = (0, false);
        self.tell_waiting(now, actions);
    }

    /// Octets for a connection are stuck, or go out again.
    pub(super) fn stuck(
        &mut self,
        connection: ConnectionId,
        stuck: bool,
        now: Time,
        actions: &mut Vec<Action>,
    ) {
        if let Some(id) = self.connections.get(&connection).copied() {
            self.tell(id, session::Event::Stuck(connection, stuck), now, actions);
        }
    }

    /// Whether a change of a prefix is news for a neighbor that hears of it later: what has come and gone in between is not.
    pub(super) fn is_news(&self, id: SourceId, family: Family, prefix: PrefixId) -> bool {
        let peer = self.peers.get(&id);
        let told = peer.is_some_and(|peer| peer.adj_rib_out.get(family).has(prefix));
        told || self.tables.get(family).at(prefix).is_some()
    }
}
