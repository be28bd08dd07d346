//! One TCP connection of a session: how far it is, and its timers.

use std::time::Duration;

use super::{Agreement, ConnectionId, OPEN_HOLD, SEND_HOLD, Time};
use crate::rng::Rng;
use crate::wire::Open;

/// A connection on which an OPEN was sent, or is about to be.
#[derive(Debug)]
pub(super) struct Connection {
    id: ConnectionId,
    /// Whether this side opened it.
    pub(super) dialled: bool,
    open: Open,
    pub(super) phase: Phase,
    /// When the neighbor has been silent for too long.
    hold: Option<Time>,
    hold_time: Duration,
    keepalive: Option<Time>,
    keepalive_time: Duration,
    /// When the neighbor has taken nothing for too long (RFC 9687).
    send_hold: Option<Time>,
    /// Whether the neighbor has introduced itself.
    is_heard: bool,
    /// The neighbor's OPEN, where it is answered later.
    put_off: Option<PutOff>,
    was_put_off: bool,
}

/// An OPEN that is answered later.
#[derive(Debug)]
pub(super) struct PutOff {
    pub(super) open: Open,
    until: Time,
    /// Whether the KEEPALIVE came that answers this side's OPEN.
    pub(super) is_confirmed: bool,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Phase {
    Delayed(Time),
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
            send_hold: None,
            is_heard: false,
            put_off: None,
            was_put_off: false,
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// The OPEN is said later (RFC 4271 section 8.1.1, DelayOpen).
    pub(super) fn delayed(mut self, until: Time) -> Connection {
        self.phase = Phase::Delayed(until);
        self.hold = None;
        self
    }

    /// Whether the OPEN is not said yet.
    pub(super) fn is_delayed(&self) -> bool {
        matches!(self.phase, Phase::Delayed(_))
    }

    /// Whether the OPEN is to be said now, though it was delayed.
    pub(super) fn ends_delay(&mut self, at_once: bool, now: Time) -> bool {
        let ends = matches!(self.phase, Phase::Delayed(until) if at_once || until <= now);
        if ends {
            self.phase = Phase::OpenSent;
            self.hold = Some(now + OPEN_HOLD);
        }
        ends
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
            Phase::Delayed(_) | Phase::OpenSent => None,
            Phase::OpenConfirm(agreement) | Phase::Established(agreement) => Some(agreement),
        }
    }

    /// Whether it is one that this side opened, or that the neighbor has said something on.
    pub(super) fn counts(&self) -> bool {
        self.dialled || !self.is_unheard()
    }

    /// Whether the neighbor has not introduced itself on it.
    pub(super) fn is_unheard(&self) -> bool {
        !self.is_heard
    }

    /// The neighbor has introduced itself.
    pub(super) fn introduced(&mut self) {
        self.is_heard = true;
    }

    /// The neighbor's OPEN is to be answered later.
    pub(super) fn put_off(&mut self, open: Open, until: Time) {
        self.was_put_off = true;
        self.put_off = Some(PutOff {
            open,
            until,
            is_confirmed: false,
        });
    }

    /// Whether its OPEN was put off before. It is not put off again.
    pub(super) fn was_put_off(&self) -> bool {
        self.was_put_off
    }

    /// Takes note of the neighbor's answer to an OPEN while its own is put off. Returns whether that is so.
    pub(super) fn is_confirmed_early(&mut self) -> bool {
        match &mut self.put_off {
            Some(put_off) => {
                put_off.is_confirmed = true;
                true
            }
            None => false,
        }
    }

    /// An OPEN that was put off until now.
    pub(super) fn take_put_off(&mut self, now: Time) -> Option<(ConnectionId, PutOff)> {
        let put_off = self.put_off.take_if(|it| it.until <= now)?;
        Some((self.id, put_off))
    }

    /// Whether octets go out, after some were stuck or before they are.
    pub(super) fn sends(&mut self, flows: bool, now: Time) {
        let patience = SEND_HOLD.max(2 * self.hold_time);
        self.send_hold = (!flows).then(|| self.send_hold.unwrap_or(now + patience));
    }

    pub(super) fn is_stuck(&self, now: Time) -> bool {
        self.send_hold.is_some_and(|until| until <= now)
    }

    /// Both have introduced themselves: from now on the agreed times hold.
    pub(super) fn confirm(&mut self, agreement: Agreement, now: Time, rng: &mut Rng) {
        self.hold_time = Duration::from_secs(agreement.hold_time.into());
        self.keepalive_time = Duration::from_secs(agreement.keepalive.into());
        // Where no time was agreed on, that holds once the session is up.
        self.hold = Some(now + OPEN_HOLD);
        self.heard(now);
        if !self.keepalive_time.is_zero() {
            self.keepalive = Some(now + rng.jitter(self.keepalive_time));
        }
        self.phase = Phase::OpenConfirm(agreement);
    }

    pub(super) fn establish(&mut self) -> Option<Agreement> {
        let Phase::OpenConfirm(agreement) = &self.phase else {
            return None;
        };
        let agreement = agreement.clone();
        self.hold = self.hold.filter(|_| !self.hold_time.is_zero());
        self.phase = Phase::Established(agreement.clone());
        Some(agreement)
    }

    /// The neighbor has given a sign of life.
    pub(super) fn heard(&mut self, now: Time) {
        if !self.hold_time.is_zero() {
            self.hold = Some(now + self.hold_time);
        }
    }

    pub(super) fn is_silent(&self, now: Time) -> bool {
        self.hold.is_some_and(|hold| hold <= now)
    }

    /// Whether a keepalive is due; the next one then counts from now.
    pub(super) fn keepalive_is_due(&mut self, now: Time, rng: &mut Rng) -> bool {
        let due = self.keepalive.is_some_and(|keepalive| keepalive <= now);
        if due {
            self.keepalive = Some(now + rng.jitter(self.keepalive_time));
        }
        due
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let put_off = self.put_off.as_ref().map(|it| it.until);
        let delayed = match self.phase {
            Phase::Delayed(until) => Some(until),
            _ => None,
        };
        let all = [self.hold, self.keepalive, self.send_hold, put_off, delayed];
        all.into_iter().flatten().min()
    }
}
