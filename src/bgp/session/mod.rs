//! A session with one neighbor: the finite state machine of RFC 4271 section 8.
//!
//! A session may have several connections for a moment, one that this side opened and others that the neighbor did; each is in a
//! state of its own, and of two that get far enough one is closed (section 6.8). The state shown is that of the one that is furthest. Without
//! connections a session dials (Connect), waits until it dials again (Active), or rests (Idle).

mod agreement;
mod connection;
mod event;
mod meeting;
mod settings;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use agreement::Agreement;
use connection::{Connection, Phase};
pub use event::{Action, ConnectionId, Event, Reason, State};
pub use settings::Settings;

use super::rng::Rng;
use super::wire::error_code::{
    FINITE_STATE_MACHINE, SEND_HOLD_TIMER_EXPIRED, UNSPECIFIC, cease, finite_state_machine,
};
use super::wire::{Capability, Message, Notification, Open};

/// A moment, as the time since any fixed one. It never goes back.
pub type Time = Duration;

/// How long a neighbor may take for its OPEN (RFC 4271 section 8.2.2 suggests four minutes).
const OPEN_HOLD: Duration = Duration::from_secs(240);
/// How long a session rests after an error; doubled with each that follows before it was up (section 8.1.1, IdleHoldTime).
const IDLE_HOLD: Duration = Duration::from_secs(1);
const LONGEST_IDLE_HOLD: Duration = Duration::from_secs(120);
/// Least time in which something must have been sent before a neighbor is given up that takes nothing (RFC 9687 section 3.2).
const SEND_HOLD: Duration = Duration::from_secs(480);
/// How long after the first attempt an eager session makes the second; doubled with each that follows.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How long after a refusal a session dials again; doubled with each that follows. Routers of a lab begin at the same time: without
/// this, one that dials before the other listens would wait for `timers connect`, which is two minutes.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long an attempt that is not answered may take meanwhile: a connection that has to be signed (RFC 2385) is not refused where
/// nobody listens yet, since nobody there can sign the refusal.
const UNANSWERED: Duration = Duration::from_secs(5);
/// How long after a session has begun, or was up last, it is so quick.
const QUICK: Duration = Duration::from_secs(300);

/// A session.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    rng: Rng,
    started: bool,
    dialling: bool,
    /// When it dials again.
    retry: Option<Time>,
    /// How long after an attempt an eager session makes the next.
    patience: Duration,
    /// How long after a refusal the next attempt is made.
    pause: Duration,
    /// Until when that is so.
    quick_until: Time,
    /// Whether it dials so again: to all others it goes on waiting (Active), as with FRR until `timers connect` is over.
    dials_aside: bool,
    /// When it stops resting.
    rest: Option<Time>,
    idle_hold: Duration,
    connections: Vec<Connection>,
    /// Why the last connection ended.
    last: Option<Reason>,
    /// Hold time and keepalive interval as they were when it began, or ended, last.
    timers: (u16, u16),
}

impl Session {
    /// A session that has not begun. The seed decides its jitter (RFC 4271 section 10).
    pub fn new(settings: Settings, seed: u64) -> Session {
        Session {
            timers: (settings.hold_time, settings.keepalive),
            settings,
            rng: Rng::new(seed),
            started: false,
            dialling: false,
            retry: None,
            patience: FIRST_RETRY,
            pause: FIRST_PAUSE,
            quick_until: Time::ZERO,
            dials_aside: false,
            rest: None,
            idle_hold: IDLE_HOLD,
            connections: Vec::new(),
            last: None,
        }
    }

    /// What is configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes what is configured. What was agreed on already stays until the session begins anew.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Hold time and keepalive interval that hold now: those agreed on, else those with which it began or ended last.
    pub fn timers(&self) -> (u16, u16) {
        self.agreement()
            .map_or(self.timers, |it| (it.hold_time, it.keepalive))
    }

    fn renew_timers(&mut self) {
        self.timers = (self.settings.hold_time, self.settings.keepalive);
    }

    /// The state of whatever is furthest.
    pub fn state(&self) -> State {
        let furthest = self.connections.iter().map(Connection::state).max();
        match furthest {
            Some(state) => state,
            None if !self.started || self.rest.is_some() => State::Idle,
            None if self.dialling && !self.dials_aside => State::Connect,
            None => State::Active,
        }
    }

    /// Why the last connection ended.
    pub fn last_reason(&self) -> Option<&Reason> {
        self.last.as_ref()
    }

    /// What was agreed on, while the session is up.
    pub fn agreement(&self) -> Option<&Agreement> {
        let up = self.connections.iter().find_map(Connection::established);
        up.map(|(_, agreement)| agreement)
    }

    /// What this side has said it can do, while the session is up.
    pub fn said(&self) -> Option<&[Capability]> {
        let mut up = self.connections.iter().filter(|it| it.established().is_some());
        up.next().map(|it| it.sent().capabilities.as_slice())
    }

    /// The connection the session is up on.
    pub fn established_on(&self) -> Option<ConnectionId> {
        let up = self.connections.iter().find_map(Connection::established);
        up.map(|(id, _)| id)
    }

    /// When something is to be done though nothing happens.
    pub fn deadline(&self) -> Option<Time> {
        let own = self.retry.into_iter().chain(self.rest);
        own.chain(self.connections.iter().filter_map(Connection::deadline))
            .min()
    }

    /// Takes note of an event.
    pub fn handle_event(&mut self, event: Event, now: Time, actions: &mut Vec<Action>) {
        match event {
            Event::Start if !self.started => {
                self.started = true;
                self.idle_hold = IDLE_HOLD;
                self.patience = FIRST_RETRY;
                self.rest = None;
                self.renew_timers();
                self.is_quick_from(now);
                self.dial(now, actions);
            }
            Event::Stop(notification) => {
                self.started = false;
                (self.rest, self.retry) = (None, None);
                self.hang_up(actions);
                while let Some(id) = self.connections.first().map(Connection::id) {
                    self.end(id, Reason::Sent(notification.clone()), now, actions);
                }
                self.rest = None;
            }
            Event::Accepted(id) => self.accept(id, now, actions),
            Event::Dialled(id) => {
                self.dialling = false;
                self.retry = None;
                self.greet(id, true, now, actions);
            }
            Event::DialFailed => self.refused(now),
            Event::Closed(id) => self.end(id, Reason::Closed, now, actions),
            Event::Broken(id, notification) => self.end(id, Reason::Sent(notification), now, actions),
            Event::Stuck(id, stuck) => {
                if let Some(connection) = self.connections.iter_mut().find(|it| it.id() == id) {
                    connection.sends(!stuck, now);
                }
            }
            Event::Start | Event::Tick => {}
        }
        self.pass_time(now, actions);
    }

    /// Takes note of a message. Routes are its reader's business: here an UPDATE is a sign of life.
    pub fn receive(&mut self, id: ConnectionId, message: &Message, now: Time, actions: &mut Vec<Action>) {
        let Some(connection) = self.connections.iter_mut().find(|it| it.id() == id) else {
            return;
        };
        connection.heard(now);
        if connection.is_delayed() && matches!(message, Message::Open(_)) {
            self.say_delayed(Some(id), now, actions);
        }
        let Some(connection) = self.connections.iter_mut().find(|it| it.id() == id) else {
            return;
        };
        match (connection.state(), message) {
            (_, Message::Notification(notification)) => {
                self.end(id, Reason::Received(notification.clone()), now, actions);
            }
            (State::OpenSent, Message::Keepalive) if connection.is_confirmed_early() => {}
            (State::OpenSent, Message::Open(open)) if connection.is_unheard() => {
                self.opened(id, open, now, actions)
            }
            (State::OpenConfirm, Message::Keepalive) => self.establish(id, now, actions),
            (State::Established, Message::Keepalive | Message::Update(_) | Message::RouteRefresh(..)) => {}
            // Nobody has said an OPEN yet, so nothing else can be said either.
            (State::Connect | State::Active, _) => {
                self.end(id, Reason::Closed, now, actions);
                actions.push(Action::Close(id));
            }
            (state, _) => {
                let subcode = match state {
                    State::OpenSent => finite_state_machine::UNEXPECTED_IN_OPEN_SENT,
                    State::OpenConfirm => finite_state_machine::UNEXPECTED_IN_OPEN_CONFIRM,
                    _ => finite_state_machine::UNEXPECTED_IN_ESTABLISHED,
                };
                let notification = Notification::new(FINITE_STATE_MACHINE, subcode);
                self.end(id, Reason::Sent(notification), now, actions);
            }
        }
        self.pass_time(now, actions);
    }

    /// Ends the session for a reason of this side's. It begins again by itself.
    pub fn fail(&mut self, notification: Notification, now: Time, actions: &mut Vec<Action>) {
        while let Some(id) = self.connections.first().map(Connection::id) {
            self.end(id, Reason::Sent(notification.clone()), now, actions);
        }
    }

    fn greet(&mut self, id: ConnectionId, dialled: bool, now: Time, actions: &mut Vec<Action>) {
        if !self.started || (dialled && self.established_on().is_some()) {
            actions.push(Action::Close(id));
            return;
        }
        let mut capabilities = self.settings.capabilities.clone();
        let restarting = self.settings.restarting_until.is_some_and(|until| now < until);
        for capability in &mut capabilities {
            if let Capability::GracefulRestart(restart) = capability {
                restart.restarting |= restarting;
            }
        }
        let open = Open {
            asn: self.settings.local_as,
            hold_time: self.settings.hold_time,
            router_id: self.settings.router_id,
            capabilities,
        };
        let connection = Connection::new(id, dialled, open, now + OPEN_HOLD);
        match self.settings.delay_open.filter(|delay| *delay > 0) {
            Some(delay) => {
                let until = now + Duration::from_secs(delay.into());
                self.connections.push(connection.delayed(until));
            }
            None => {
                actions.push(Action::Send(id, Message::Open(connection.sent().clone())));
                self.connections.push(connection);
            }
        }
    }

    /// Says the OPENs that were delayed: those of which the time is over, and that of a connection on which the neighbor has
    /// said its own (RFC 4271 section 8.2.2, events 12 and 20).
    fn say_delayed(&mut self, heard_on: Option<ConnectionId>, now: Time, actions: &mut Vec<Action>) {
        for connection in &mut self.connections {
            if connection.ends_delay(heard_on == Some(connection.id()), now) {
                actions.push(Action::Send(
                    connection.id(),
                    Message::Open(connection.sent().clone()),
                ));
            }
        }
    }

    fn establish(&mut self, id: ConnectionId, now: Time, actions: &mut Vec<Action>) {
        self.hang_up(actions);
        self.retry = None;
        self.idle_hold = IDLE_HOLD;
        self.patience = FIRST_RETRY;
        // One that will take its place stays, or the other side may be about to close the one that is up.
        let with = self.connections.iter().find(|it| it.id() == id);
        let with = with.and_then(Connection::agreement);
        let keeps_own = with.is_some_and(|with| self.keeps_own(with.remote_id, with.remote_as));
        let others = self.connections.iter().filter(|it| it.id() != id);
        let others = others.filter(|it| it.dialled != keeps_own).map(Connection::id);
        let others: Vec<ConnectionId> = others.collect();
        for other in others {
            let notification = Notification::cease(cease::CONNECTION_COLLISION_RESOLUTION);
            self.end(other, Reason::Sent(notification), now, actions);
        }
        if let Some(connection) = self.connections.iter_mut().find(|it| it.id() == id)
            && let Some(agreement) = connection.establish()
        {
            actions.push(Action::Up(id, Box::new(agreement)));
        }
    }

    /// Ends a connection. When it was the last, the session rests or dials again.
    fn end(&mut self, id: ConnectionId, reason: Reason, now: Time, actions: &mut Vec<Action>) {
        let Some(at) = self.connections.iter().position(|it| it.id() == id) else {
            return;
        };
        let connection = self.connections.remove(at);
        let state = connection.state();
        self.renew_timers();
        if let Reason::Sent(notification) = &reason {
            let notification = notification.clone();
            let said = match connection.agreement() {
                Some(agreement) if agreement.notification && self.is_final(&notification) => {
                    notification.hard_reset()
                }
                _ => notification,
            };
            // Nothing comes before an OPEN.
            if !connection.is_delayed() {
                actions.push(Action::Send(id, Message::Notification(said)));
            }
        }
        if reason != Reason::Closed {
            actions.push(Action::Close(id));
        }
        if state == State::Established {
            actions.push(Action::Down(reason.clone()));
            self.is_quick_from(now);
        }
        // The loser of two leaves no trace: the other goes on, unless that has not said anything either.
        if self.connections.iter().any(Connection::counts) {
            return;
        }
        // Nor does what the neighbor opened and never brought up put off the time at which this side dials.
        let keeps_time = self.retry.is_some() || (self.settings.passive && connection.is_unheard());
        if !connection.dialled && state != State::Established && keeps_time {
            self.last = Some(reason);
            return;
        }
        // A neighbor that hangs up before it has said anything is one that could not be reached: this side goes on
        // listening (RFC 4271 section 8.2.2, event 18 in OpenSent).
        let was_unheard = state <= State::OpenSent && reason == Reason::Closed;
        self.last = Some(reason);
        if self.started && !self.dialling {
            let until = Some(now + self.idle_hold);
            if was_unheard {
                self.retry = until.filter(|_| !self.settings.passive);
            } else {
                self.rest = until;
            }
            self.idle_hold = (self.idle_hold * 2).min(LONGEST_IDLE_HOLD);
        }
    }

    /// Whether a neighbor that would keep routes is not to.
    pub fn is_final(&self, why: &Notification) -> bool {
        self.settings.is_final(why)
    }

    fn dial(&mut self, now: Time, actions: &mut Vec<Action>) {
        if self.settings.passive {
            return;
        }
        self.dialling = true;
        let mut retry = Duration::from_secs(self.settings.connect_retry.max(1).into());
        if now < self.quick_until {
            retry = retry.min(UNANSWERED);
        }
        if self.settings.eager {
            retry = retry.min(self.patience);
            self.patience = retry * 2;
        }
        self.retry = Some(now + self.rng.jitter(retry));
        actions.push(Action::Dial);
    }

    fn is_quick_from(&mut self, now: Time) {
        self.pause = FIRST_PAUSE;
        self.quick_until = now + QUICK;
        self.dials_aside = false;
    }

    /// The neighbor cannot be reached, or does not listen. At first it may be about to.
    fn refused(&mut self, now: Time) {
        if !std::mem::take(&mut self.dialling) || self.settings.eager {
            return;
        }
        let usual = Duration::from_secs(self.settings.connect_retry.max(1).into());
        self.dials_aside = now < self.quick_until;
        let next = match self.dials_aside {
            true => self.pause.min(usual),
            false => usual,
        };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.retry.is_some() {
            self.retry = Some(now + self.rng.jitter(next));
        }
    }

    fn hang_up(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.dialling) {
            actions.push(Action::HangUp);
        }
    }

    fn pass_time(&mut self, now: Time, actions: &mut Vec<Action>) {
        if self.rest.is_some_and(|rest| rest <= now) {
            self.rest = None;
            self.dial(now, actions);
        }
        if self.retry.is_some_and(|retry| retry <= now) {
            self.retry = None;
            if !self.connections.iter().any(Connection::counts) {
                self.dial(now, actions);
            }
        }
        while let Some((id, it)) = self.connections.iter_mut().find_map(|it| it.take_put_off(now)) {
            self.meet(id, &it.open, now, actions);
            let confirmed = |other: &Connection| other.id() == id && other.state() == State::OpenConfirm;
            if it.is_confirmed && self.connections.iter().any(confirmed) {
                self.establish(id, now, actions);
            }
        }
        self.say_delayed(None, now, actions);
        let stuck = self.connections.iter().filter(|it| it.is_stuck(now));
        let stuck: Vec<ConnectionId> = stuck.map(Connection::id).collect();
        for id in stuck {
            let notification = Notification::new(SEND_HOLD_TIMER_EXPIRED, UNSPECIFIC);
            self.end(id, Reason::Sent(notification), now, actions);
        }
        let silent: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|it| it.is_silent(now))
            .map(Connection::id)
            .collect();
        for id in silent {
            self.end(id, Reason::Sent(Notification::hold_timer_expired()), now, actions);
        }
        for connection in &mut self.connections {
            if connection.keepalive_is_due(now, &mut self.rng) {
                actions.push(Action::Send(connection.id(), Message::Keepalive));
            }
        }
    }
}

impl Connection {
    fn state(&self) -> State {
        match self.phase {
            Phase::Delayed(_) if self.dialled => State::Connect,
            Phase::Delayed(_) => State::Active,
            Phase::OpenSent => State::OpenSent,
            Phase::OpenConfirm(_) => State::OpenConfirm,
            Phase::Established(_) => State::Established,
        }
    }
}
