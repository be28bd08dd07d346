//! When neighbors are told: not more often than their `advertisement-interval` allows (RFC 4271 section 9.2.1.1), nor than a
//! router with many neighbors can tell them all; and at first with a MED that keeps packets away (`bgp max-med on-startup`).

use std::time::Duration;

use super::id_set::IdSet;
use super::{Action, Peer, Speaker};
use crate::session::Time;
use crate::table::{PrefixId, SourceId};
use crate::wire::{Family, PerFamily};

/// With so few neighbors every change is told at once.
const FEW: usize = 16;
/// What it takes, about, to tell one neighbor a change and to have it heard. Where hundreds come up together each would be
/// told of each other by itself: FRR waits a second, and 50 ms more for each neighbor (`bgp_coalesce_time`).
const TURN: Duration = Duration::from_micros(500);
/// So many prefixes may wait beyond those that there is something to be said about.
const SLACK: usize = 1024;
/// No change is held back for longer than this on account of the others.
const LONGEST: Duration = Duration::from_millis(250);

/// What a neighbor is not told yet.
#[derive(Debug, Default)]
pub(super) struct Mrai {
    /// Until when it is told nothing.
    until: Option<Time>,
    /// Prefixes of which it is told then.
    waiting: PerFamily<IdSet>,
}

impl Mrai {
    /// A session begins or is over.
    pub(super) fn clear(&mut self) {
        *self = Mrai::default();
    }

    /// All of a family is told anyhow.
    pub(super) fn forget(&mut self, family: Family) {
        *self.waiting.get_mut(family) = IdSet::default();
    }

    /// How much waits.
    #[cfg(test)]
    pub(super) fn count(&self, family: Family) -> usize {
        self.waiting.get(family).len()
    }

    /// Whether a prefix waits.
    pub(super) fn has(&self, family: Family, id: PrefixId) -> bool {
        self.waiting.get(family).has(id)
    }

    fn is_due(&self) -> Option<Time> {
        let waits = Family::UNICAST
            .into_iter()
            .any(|it| !self.waiting.get(it).is_empty());
        waits.then(|| self.until.unwrap_or_default())
    }
}

impl Peer {
    /// When something is to be done for it.
    pub(super) fn due(&self) -> Option<Time> {
        let overflow = self.intake.overflow.and_then(|overflow| overflow.until);
        let all = [
            self.session.deadline(),
            overflow,
            self.end_of_patience(),
            self.end_of_pause(),
            self.end_of_rest(),
        ];
        all.into_iter().flatten().min()
    }

    /// When it is to be told what has waited; none if nothing has, or if that does not hang on time.
    fn end_of_pause(&self) -> Option<Time> {
        self.mrai.is_due().filter(|_| !self.flow.holds)
    }
}

/// The MED of the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Startup {
    /// No neighbor has come up yet.
    #[default]
    Before,
    /// Since then; until when.
    Now(Time),
    /// It is over.
    Over,
}

impl Speaker {
    /// Whether a neighbor may be told of changed prefixes now; if not, it will be.
    pub(super) fn may_tell(&mut self, id: SourceId, family: Family, changed: &[PrefixId], now: Time) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else {
            return false;
        };
        if !peer.exchanges(family) {
            return true;
        }
        if !peer.flow.holds && peer.mrai.until.is_none_or(|until| until <= now) {
            return true;
        }
        peer.mrai.waiting.get_mut(family).extend(changed);
        self.forget_waiting(id, family);
        false
    }

    /// Keeps what waits for a neighbor within what there is to tell: whatever came and went in the meantime is no news.
    fn forget_waiting(&mut self, id: SourceId, family: Family) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let most = 2 * (self.tables.get(family).len() + peer.advertised_count(family)) + SLACK;
        if peer.mrai.waiting.get(family).len() <= most {
            return;
        }
        let before = std::mem::take(peer.mrai.waiting.get_mut(family));
        let mut waiting = IdSet::default();
        for prefix in before.ids() {
            if self.is_news(id, family, *prefix) {
                waiting.extend(&[*prefix]);
            }
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            *peer.mrai.waiting.get_mut(family) = waiting;
        }
    }

    /// A neighbor was told something: the next time is to be later.
    pub(super) fn note_told(&mut self, id: SourceId, now: Time) {
        let round = self.round();
        if let Some(peer) = self.peers.get_mut(&id) {
            let interval = Duration::from_secs(peer.effective.advertisement_interval.into()).max(round);
            peer.mrai.until = (!interval.is_zero()).then(|| now + interval);
        }
    }

    /// How long it takes to tell all neighbors something.
    fn round(&self) -> Duration {
        match u32::try_from(self.peers.len()) {
            Ok(count) if self.peers.len() > FEW => (TURN * count).min(LONGEST),
            Ok(_) => Duration::ZERO,
            Err(_) => LONGEST,
        }
    }

    /// When the first time is over.
    pub(super) fn end_of_startup(&self) -> Option<Time> {
        match self.startup {
            Startup::Now(until) => Some(until),
            Startup::Before | Startup::Over => None,
        }
    }

    /// Tells neighbors what has waited long enough. Returns whether everything is to be told anew.
    pub(super) fn end_pauses(&mut self, now: Time, actions: &mut Vec<Action>) -> bool {
        self.tell_waiting(now, actions);
        let is_over = matches!(self.startup, Startup::Now(until) if until <= now);
        if is_over {
            self.startup = Startup::Over;
        }
        is_over
    }

    /// Tells neighbors what has waited long enough.
    pub(super) fn tell_waiting(&mut self, now: Time, actions: &mut Vec<Action>) {
        for id in self.peers.due(now) {
            let rests = self.peers.get(&id).and_then(Peer::end_of_rest);
            if rests.is_some_and(|due| due <= now) {
                self.tell_again(id, now, actions);
            }
        }
        for id in self.peers.due(now) {
            let is_due = |peer: &&mut Peer| peer.end_of_pause().is_some_and(|due| due <= now);
            let Some(peer) = self.peers.get_mut(&id).filter(is_due) else {
                continue;
            };
            let waiting = std::mem::take(&mut peer.mrai).waiting;
            for family in Family::UNICAST {
                self.tell_changes(id, family, waiting.get(family).ids(), now, actions);
            }
        }
    }

    /// A neighbor has come up: the first one begins the time in which packets are to be kept away.
    pub(super) fn begin_startup(&mut self, now: Time) {
        let configured = self.config.bgp.as_ref().and_then(|bgp| bgp.max_med_on_startup);
        if let (Some((seconds, _)), Startup::Before) = (configured, self.startup) {
            self.startup = Startup::Now(now + Duration::from_secs(seconds.into()));
        }
    }

    /// The MED of everything that is told, where there is one.
    pub(super) fn med_of_all(&self) -> Option<u32> {
        let bgp = self.config.bgp.as_ref()?;
        let first = bgp.max_med_on_startup.map(|(_, med)| med);
        let starts = matches!(self.startup, Startup::Now(_));
        bgp.max_med.or(first.filter(|_| starts))
    }
}
