//! One TCP connection of a session: how far it is, and its timers.

use std::time::Duration;

use super::{Agreement, ConnectionId, Time};
use crate::bgp::dice::Dice;
use crate::bgp::wire::Open;

/// A connection on which an OPEN was sent.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    /// Whether this side opened it.
    pub(super) dialled: bool,
    open: Open,
    pub(super) phase: Phase,
    /// When the neighbour has been silent for too long.
    hold: Option<Time>,
    hold_time: Duration,
    keepalive: Option<Time>,
    keepalive_time: Duration,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Phase {
    OpenSent,
    OpenConfirm(Agreement),
    Established(Agreement),
}

impl Connection {
    pub(super) fn new(id: ConnectionId, dialled: bool, open: Open, hold: Time) -> Connection {
        Connection {
            id,
            dialled,
            open,
            phase: Phase::OpenSent,
            hold: Some(hold),
            hold_time: Duration::ZERO,
            keepalive: None,
            keepalive_time: Duration::ZERO,
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// The OPEN that was sent.
    pub(super) fn sent(&self) -> &Open {
        &self.open
    }

    pub(super) fn established(&self) -> Option<(ConnectionId, &Agreement)> {
        match &self.phase {
            Phase::Established(agreement) => Some((self.id, agreement)),
            _ => None,
        }
    }

    /// What was agreed on, once both have introduced themselves.
    pub(super) fn agreement(&self) -> Option<&Agreement> {
        match &self.phase {
            Phase::OpenSent => None,
            Phase::OpenConfirm(agreement) | Phase::Established(agreement) => Some(agreement),
        }
    }

    /// Both have introduced themselves: from now on the agreed times hold.
    pub(super) fn confirm(&mut self, agreement: Agreement, now: Time, dice: &mut Dice) {
        self.hold_time = Duration::from_secs(agreement.hold_time.into());
        self.keepalive_time = Duration::from_secs(agreement.keepalive.into());
        self.hold = None;
        self.heard(now);
        if !self.keepalive_time.is_zero() {
            self.keepalive = Some(now + dice.jitter(self.keepalive_time));
        }
        self.phase = Phase::OpenConfirm(agreement);
    }

    pub(super) fn establish(&mut self) -> Option<Agreement> {
        let Phase::OpenConfirm(agreement) = &self.phase else {
            return None;
        };
        let agreement = agreement.clone();
        self.phase = Phase::Established(agreement.clone());
        Some(agreement)
    }

    /// The neighbour has given a sign of life.
    pub(super) fn heard(&mut self, now: Time) {
        if !self.hold_time.is_zero() {
            self.hold = Some(now + self.hold_time);
        }
    }

    pub(super) fn is_silent(&self, now: Time) -> bool {
        self.hold.is_some_and(|hold| hold <= now)
    }

    /// Whether a keepalive is due; the next one then counts from now.
    pub(super) fn keepalive_is_due(&mut self, now: Time, dice: &mut Dice) -> bool {
        let due = self.keepalive.is_some_and(|keepalive| keepalive <= now);
        if due {
            self.keepalive = Some(now + dice.jitter(self.keepalive_time));
        }
        due
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.hold.into_iter().chain(self.keepalive).min()
    }
}
