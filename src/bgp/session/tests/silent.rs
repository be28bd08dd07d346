//! Connections on which nothing is said, or nothing is taken: they hold up nobody else.

use super::*;
use crate::session::meeting::{BESIDE, COURTESY};
use crate::wire::GracefulRestart;

/// A session, and whoever opens connections to it.
struct Side {
    session: Session,
    now: Time,
    actions: Vec<Action>,
}

impl Side {
    fn new(settings: Settings) -> Side {
        let mut side = Side {
            session: Session::new(settings, 1),
            now: Time::ZERO,
            actions: Vec::new(),
        };
        side.handle_event(Event::Start);
        side
    }

    fn handle_event(&mut self, event: Event) {
        self.session.handle_event(event, self.now, &mut self.actions);
    }

    fn hear(&mut self, id: u64, message: &Message) {
        let id = ConnectionId(id);
        self.session.receive(id, message, self.now, &mut self.actions);
    }

    /// Lets time pass, with whatever is to be done in it.
    fn run(&mut self, until: Time) {
        while let Some(deadline) = self.session.deadline().filter(|it| *it <= until) {
            self.now = self.now.max(deadline);
            self.handle_event(Event::Tick);
        }
        self.now = until;
    }

    fn accept(&mut self, id: u64) {
        self.handle_event(Event::Accepted(ConnectionId(id)));
    }

    /// The neighbor says all that it has to on a connection.
    fn introduce(&mut self, id: u64, hold_time: u16) {
        self.hear(id, &Message::Open(open(hold_time)));
        self.hear(id, &Message::Keepalive);
    }

    fn up_on(&self) -> Option<u64> {
        self.session.established_on().map(|id| id.0)
    }

    fn closed(&self) -> Vec<u64> {
        let closed = self.actions.iter().filter_map(|action| match action {
            Action::Close(id) => Some(id.0),
            _ => None,
        });
        closed.collect()
    }

    fn last_word(&self, id: u64) -> Option<Notification> {
        self.actions.iter().rev().find_map(|action| match action {
            Action::Send(to, Message::Notification(why)) if to.0 == id => Some(why.clone()),
            _ => None,
        })
    }
}

fn open(hold_time: u16) -> Open {
    Open {
        asn: 65010,
        hold_time,
        router_id: Ipv4Addr::new(10, 0, 0, 2),
        capabilities: settings(65010, 2, RemoteAs::External).capabilities,
    }
}

fn passive() -> Settings {
    Settings {
        passive: true,
        ..settings(65000, 1, RemoteAs::External)
    }
}

#[test]
fn a_silent_connection_keeps_no_other_out() {
    for silent in [1, 3, 7, 100] {
        let mut side = Side::new(passive());
        for id in 1..=silent {
            side.accept(id);
        }
        side.accept(1000);
        side.introduce(1000, 9);
        assert_eq!(side.up_on(), Some(1000), "{silent}");
        // The others are closed, and each of them once.
        let mut closed = side.closed();
        closed.sort_unstable();
        assert_eq!(closed, (1..=silent).collect::<Vec<u64>>());
        // Now that the session is up no other one takes its place.
        side.accept(1001);
        assert_eq!(
            side.last_word(1001),
            Some(Notification::cease(cease::CONNECTION_REJECTED))
        );
        assert_eq!(side.up_on(), Some(1000));
    }
}

#[test]
fn of_silent_connections_only_so_many_are_kept_and_not_for_ever() {
    let mut side = Side::new(passive());
    for id in 1..=1000 {
        side.accept(id);
        assert!(side.session.connections.len() <= BESIDE);
    }
    assert_eq!(side.closed().len(), 1000 - BESIDE);
    side.run(OPEN_HOLD + seconds(1));
    assert_eq!(side.closed().len(), 1000);
    assert_eq!(side.session.connections.len(), 0);
    side.accept(1001);
    side.introduce(1001, 9);
    assert_eq!(side.up_on(), Some(1001));
}

#[test]
fn whoever_introduces_himself_and_says_no_more_keeps_no_other_out_either() {
    for hold_time in [0, 9, u16::MAX] {
        let mut side = Side::new(passive());
        side.accept(1);
        side.hear(1, &Message::Open(open(hold_time)));
        assert_eq!(side.session.state(), State::OpenConfirm);
        side.accept(2);
        side.introduce(2, 9);
        assert_eq!(side.up_on(), Some(2), "{hold_time}");
        assert_eq!(side.closed(), [1]);
        // Alone it has its time, even where none was agreed on.
        let mut side = Side::new(passive());
        side.accept(1);
        side.hear(1, &Message::Open(open(hold_time)));
        side.run(OPEN_HOLD + seconds(1));
        assert_eq!(side.closed(), [1], "{hold_time}");
    }
    // In a session that is up, none means for ever.
    let mut side = Side::new(passive());
    side.accept(1);
    side.introduce(1, 0);
    side.run(seconds(100_000));
    assert_eq!(side.up_on(), Some(1));
}

#[test]
fn this_side_dials_beside_silent_connections() {
    let dials = |side: &Side| side.actions.iter().filter(|it| **it == Action::Dial).count();
    // Those that stay, and those that come and go.
    for hangs_up in [false, true] {
        let mut side = Side::new(settings(65000, 1, RemoteAs::External));
        side.handle_event(Event::DialFailed);
        for id in 1..=100 {
            side.accept(id);
            if hangs_up {
                side.handle_event(Event::Closed(ConnectionId(id)));
            }
            side.run(seconds(id));
            side.handle_event(Event::DialFailed);
        }
        // Every ten seconds, as without them.
        assert!(dials(&side) >= 10, "{}: {hangs_up}", dials(&side));
    }
}

#[test]
fn a_connection_that_this_side_dialled_is_not_closed_in_favor_of_a_silent_one() {
    // The neighbor has the higher identifier: a connection that it opened would stay.
    let mut side = Side::new(settings(65000, 1, RemoteAs::External));
    side.accept(1);
    side.handle_event(Event::Dialled(ConnectionId(2)));
    side.introduce(2, 0);
    // For a moment it waits for a word on the other.
    assert_eq!((side.up_on(), side.closed()), (None, Vec::new()));
    side.run(COURTESY);
    assert_eq!((side.up_on(), side.closed()), (Some(2), Vec::new()));
    side.run(OPEN_HOLD);
    assert_eq!(side.closed(), [1]);
    // With a word the other stays.
    let mut side = Side::new(settings(65000, 1, RemoteAs::External));
    side.accept(1);
    side.handle_event(Event::Dialled(ConnectionId(2)));
    side.introduce(2, 9);
    side.introduce(1, 9);
    assert_eq!((side.up_on(), side.closed()), (Some(1), vec![2]));
    // An OPEN that waits is not said twice.
    let mut side = Side::new(settings(65000, 1, RemoteAs::External));
    side.accept(1);
    side.handle_event(Event::Dialled(ConnectionId(2)));
    side.hear(2, &Message::Open(open(9)));
    side.hear(2, &Message::Open(open(9)));
    assert_eq!(side.closed(), [2]);
}

#[test]
fn a_neighbor_that_takes_nothing_is_given_up() {
    for (hold_time, patience) in [(9, 480), (0, 480)] {
        let mut side = Side::new(passive());
        side.accept(1);
        side.introduce(1, hold_time);
        let alive = |side: &mut Side, until: u64| {
            while side.now < seconds(until) {
                let next = side.now + seconds(2);
                side.run(next);
                side.hear(1, &Message::Keepalive);
            }
        };
        side.handle_event(Event::Stuck(ConnectionId(1), true));
        alive(&mut side, patience - 10);
        assert_eq!(side.up_on(), Some(1));
        // It takes something after all.
        side.handle_event(Event::Stuck(ConnectionId(1), false));
        alive(&mut side, patience + 100);
        assert_eq!(side.up_on(), Some(1));
        side.handle_event(Event::Stuck(ConnectionId(1), true));
        side.handle_event(Event::Stuck(ConnectionId(1), true));
        alive(&mut side, 2 * patience + 102);
        assert_eq!(side.up_on(), None);
        let expired = Notification::new(SEND_HOLD_TIMER_EXPIRED, UNSPECIFIC);
        assert_eq!(side.last_word(1), Some(expired));
    }
}

#[test]
fn a_neighbor_that_may_restart_has_only_once_it_says_so() {
    let restarts = GracefulRestart {
        families: vec![(Family::Ipv4Unicast.into(), true)],
        time: 120,
        ..GracefulRestart::default()
    };
    let capability = Capability::GracefulRestart(restarts);
    let mut own = passive();
    own.capabilities.push(capability.clone());
    let mut side = Side::new(own);
    let introduce = |side: &mut Side, id: u64| {
        let mut open = open(9);
        open.capabilities.push(capability.clone());
        side.hear(id, &Message::Open(open));
        side.hear(id, &Message::Keepalive);
    };
    side.accept(1);
    introduce(&mut side, 1);
    for silent in 2..100 {
        side.accept(silent);
    }
    assert_eq!(side.up_on(), Some(1));
    assert!(!side.closed().contains(&1));
    side.accept(100);
    introduce(&mut side, 100);
    assert_eq!(side.up_on(), Some(100));
    let downs = side.actions.iter().filter(|it| matches!(it, Action::Down(_)));
    assert_eq!(downs.collect::<Vec<_>>(), [&Action::Down(Reason::Closed)]);
    // Nothing is said to its earlier life.
    assert_eq!(side.last_word(1), None);
    assert!(side.closed().contains(&1));
}
