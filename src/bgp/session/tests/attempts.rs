//! When a session tries again, and how long it waits with its OPEN.

use super::*;

#[test]
fn an_eager_session_tries_again_soon_and_then_less_often() {
    let eager = Settings {
        eager: true,
        connect_retry: 120,
        ..settings(65000, 1, RemoteAs::Internal)
    };
    let mut session = Session::new(eager, 1);
    let mut tries = Vec::new();
    let (mut now, mut event) = (Time::ZERO, Event::Start);
    while now < Duration::from_secs(600) {
        let mut actions = Vec::new();
        session.handle_event(event, now, &mut actions);
        if actions.contains(&Action::Dial) {
            tries.push(now);
            event = Event::DialFailed;
            continue;
        }
        now = session.deadline().unwrap();
        event = Event::Tick;
    }
    let pauses: Vec<Duration> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (first, last) = (pauses[0], pauses[pauses.len() - 1]);
    assert!(first <= Duration::from_secs(1), "{pauses:?}");
    assert!(
        last > Duration::from_secs(80) && last <= Duration::from_secs(120),
        "{pauses:?}"
    );
    assert!(pauses.is_sorted_by(|a, b| *a <= *b * 2), "{pauses:?}");
}

/// When a session dials that is always refused, or never answered, for so long.
fn attempts(settings: Settings, refused: bool, until: Time) -> Vec<Time> {
    let mut session = Session::new(settings, 1);
    let mut tries = Vec::new();
    let (mut now, mut event) = (Time::ZERO, Event::Start);
    while now < until {
        let mut actions = Vec::new();
        session.handle_event(event, now, &mut actions);
        if actions.contains(&Action::Dial) {
            tries.push(now);
            if refused {
                event = Event::DialFailed;
                continue;
            }
        }
        now = session.deadline().unwrap();
        event = Event::Tick;
    }
    tries
}

#[test]
fn a_neighbor_that_does_not_listen_yet_is_dialled_again_soon_at_first() {
    let slow = |connect_retry| Settings {
        connect_retry,
        ..settings(65000, 1, RemoteAs::External)
    };
    for (refused, most) in [(true, LONGEST_PAUSE), (false, UNANSWERED)] {
        let tries = attempts(slow(120), refused, seconds(2000));
        let pauses = tries.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
        for (from, pause) in pauses {
            match from < QUICK {
                true => assert!(pause <= most, "{refused} {pause:?} after {from:?}"),
                false => assert!(pause >= seconds(90), "{refused} {pause:?} after {from:?}"),
            }
        }
        // A little at first, and never many.
        assert!((tries[1] - tries[0] < seconds(1)) == refused);
        assert!(tries.len() < 250, "{}", tries.len());
    }
    // What is configured may be less.
    let tries = attempts(slow(1), true, seconds(1000));
    assert!(tries.windows(2).all(|pair| pair[1] - pair[0] <= seconds(1)));
}

#[test]
fn a_session_that_dials_again_soon_is_shown_as_one_that_waits() {
    let mut session = Session::new(settings(65000, 1, RemoteAs::External), 1);
    let mut handle_event = |event: Event, now: Time| {
        let mut actions = Vec::new();
        session.handle_event(event, now, &mut actions);
        (
            session.state(),
            actions.contains(&Action::Dial),
            session.deadline(),
        )
    };
    assert_eq!(handle_event(Event::Start, Time::ZERO).0, State::Connect);
    let (state, _, next) = handle_event(Event::DialFailed, Time::ZERO);
    assert_eq!(state, State::Active);
    let (state, dials, _) = handle_event(Event::Tick, next.unwrap());
    assert_eq!((state, dials), (State::Active, true));
    let (.., next) = handle_event(Event::DialFailed, QUICK);
    let (state, dials, _) = handle_event(Event::Tick, next.unwrap());
    assert_eq!((state, dials), (State::Connect, true));
}

#[test]
fn an_open_is_delayed_until_its_time_or_the_neighbors() {
    let delayed = || {
        let settings = Settings {
            delay_open: Some(5),
            ..settings(65000, 1, RemoteAs::External)
        };
        let (mut session, mut actions) = (Session::new(settings, 1), Vec::new());
        session.handle_event(Event::Start, Time::ZERO, &mut actions);
        session.handle_event(Event::Dialled(ConnectionId(1)), Time::ZERO, &mut actions);
        assert_eq!(actions, [Action::Dial]);
        assert_eq!(session.state(), State::Connect);
        session
    };
    let says = |actions: &[Action]| matches!(actions.first(), Some(Action::Send(_, Message::Open(_))));
    let seconds = Duration::from_secs;

    let (mut session, mut actions) = (delayed(), Vec::new());
    session.handle_event(Event::Tick, seconds(4), &mut actions);
    assert_eq!(actions, []);
    assert_eq!(session.deadline(), Some(seconds(5)));
    session.handle_event(Event::Tick, seconds(5), &mut actions);
    assert!(says(&actions), "{actions:?}");
    assert_eq!(session.state(), State::OpenSent);

    let theirs = Open {
        asn: 65001,
        hold_time: 9,
        router_id: Ipv4Addr::new(10, 0, 0, 2),
        capabilities: settings(65001, 2, RemoteAs::External).capabilities,
    };
    let (mut session, mut actions) = (delayed(), Vec::new());
    let id = ConnectionId(1);
    session.receive(id, &Message::Open(theirs), seconds(1), &mut actions);
    assert!(says(&actions), "{actions:?}");
    assert_eq!(session.state(), State::OpenConfirm);

    // Nothing comes before an OPEN, from either side.
    let (mut session, mut actions) = (delayed(), Vec::new());
    session.receive(id, &Message::Keepalive, seconds(1), &mut actions);
    assert_eq!(actions, [Action::Close(id)]);
    let (mut session, mut actions) = (delayed(), Vec::new());
    let why = Notification::cease(cease::ADMINISTRATIVE_SHUTDOWN);
    session.handle_event(Event::Stop(why), seconds(1), &mut actions);
    assert_eq!(actions, [Action::Close(id)]);
}
