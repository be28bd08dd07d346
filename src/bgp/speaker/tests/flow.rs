//! A neighbor that takes nothing of what it is told, or asks for ever more: what waits for it is bounded.

use super::hostile::{Pair, message, update};
use super::*;
use crate::session::State;
use crate::wire::{Message, RefreshKind, decode, frame};

/// What is on its way to a neighbor at most: see `flow`.
const MOST: usize = 1 << 20;

/// Octets that are sent, and how often a report is asked for.
fn sent(actions: &[Action]) -> (usize, usize) {
    let mut found = (0, 0);
    for action in actions {
        match action {
            Action::Send(_, octets) => found.0 += octets.len(),
            Action::Report(_) => found.1 += 1,
            _ => {}
        }
    }
    found
}

fn messages(pair: &Pair, actions: &[Action]) -> Vec<Message> {
    let options = pair.peer().options();
    let mut found = Vec::new();
    for action in actions {
        let Action::Send(_, octets) = action else { continue };
        let mut rest = &octets[..];
        while !rest.is_empty() {
            let length = frame(rest, &options).unwrap().unwrap();
            found.push(decode(&rest[..length], &options).unwrap());
            rest = &rest[length..];
        }
    }
    found
}

/// An UPDATE about 10.HIGH.LOW.0/24 that has much to say about it; it comes back, as the neighbor is in another AS.
fn big(number: u32) -> Vec<u8> {
    let [_, _, high, low] = number.to_be_bytes();
    let mut strange = vec![0xd0, 99, 0x0b, 0xb8];
    strange.extend([7; 3000]);
    let origin: &[u8] = &[0x40, 1, 1, 0];
    let path: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea];
    let next: &[u8] = &[0x40, 3, 4, 10, 0, 0, 2];
    update(&[], &[origin, path, next, &strange], &[24, 20, high, low])
}

fn gone(number: u32) -> Vec<u8> {
    let [_, _, high, low] = number.to_be_bytes();
    update(&[24, 20, high, low], &[], &[])
}

/// A neighbor to which as much is on its way as may be, and how much that is.
fn full() -> (Pair, usize) {
    let mut pair = Pair::new();
    let mut total = 0;
    for number in 0..1000 {
        let (octets, reports) = sent(&pair.say(&big(number)));
        total += octets;
        if reports > 0 {
            return (pair, total);
        }
    }
    panic!("however much waits, no report is asked for");
}

fn tick(pair: &mut Pair, after: Time) -> Vec<Action> {
    pair.now += after;
    pair.speaker.handle_event(Event::Tick, pair.now)
}

#[test]
fn refreshes_that_are_asked_for_together_are_answered_together() {
    let mut pair = Pair::new();
    let many: Vec<u8> = (0..1000).flat_map(|_| message(5, &[0, 1, 0, 1])).collect();
    let actions = pair.say(&many);
    let ends = |pair: &Pair, actions: &[Action]| {
        let all = messages(pair, actions).into_iter();
        all.filter(|it| {
            matches!(
                it,
                Message::RouteRefresh(_, RefreshKind::Request | RefreshKind::End)
            )
        })
        .count()
            + messages(pair, actions)
                .iter()
                .filter(|it| matches!(it, Message::Update(_)))
                .count()
    };
    // Once at once, and once for all the others.
    let first = ends(&pair, &actions);
    assert!(first > 0);
    let due = pair.speaker.deadline().unwrap();
    assert!(due > pair.now && due < pair.now + Time::from_secs(1), "{due:?}");
    let actions = tick(&mut pair, Time::from_secs(1));
    assert_eq!(ends(&pair, &actions), first);
    let actions = tick(&mut pair, Time::from_secs(1));
    assert_eq!(ends(&pair, &actions), 0);
    // One that comes by itself is answered at once.
    let actions = pair.say(&message(5, &[0, 1, 0, 1]));
    assert_eq!(ends(&pair, &actions), first);
}

#[test]
fn a_family_that_is_not_exchanged_is_not_told() {
    let mut pair = Pair::new();
    for family in [&[0, 3, 0, 1], &[0, 1, 0, 128], &[0, 1, 0, 2]] {
        let actions = pair.say(&message(5, family));
        assert_eq!(sent(&actions), (0, 0), "{family:?}");
        assert_eq!(pair.peer().session.state(), State::Established);
    }
}

#[test]
fn whoever_takes_nothing_is_told_nothing_more() {
    let (mut pair, total) = full();
    assert!(total < MOST + 8192, "{total}");
    for number in 0..2000 {
        for octets in [big(number), gone(number), big(number), message(5, &[0, 1, 0, 1])] {
            assert_eq!(sent(&pair.say(&octets)), (0, 0));
        }
        assert_eq!(sent(&tick(&mut pair, Time::from_millis(1))), (0, 0));
    }
    let peer = pair.peer().id;
    for _ in 0..100 {
        let actions = pair.speaker.handle_event(Event::SoftOut(peer, None), pair.now);
        assert_eq!(sent(&actions), (0, 0));
    }
    // Nothing is waited for that does not come by itself.
    assert!(pair.speaker.deadline().is_none_or(|it| it > pair.now));
    // Once all is sent it hears of everything, once.
    let actions = pair.speaker.handle_event(Event::Sent(pair.id), pair.now);
    let all = messages(&pair, &actions);
    let told: usize = all
        .iter()
        .map(|it| match it {
            Message::Update(update) => update.reachable.iter().map(|it| it.nlri.len()).sum(),
            _ => 0,
        })
        .sum();
    let family = Family::Ipv4Unicast;
    let known = pair.speaker.table(family).len();
    assert_eq!((told, pair.peer().advertised_count(family)), (known, known));
    let marks = all.iter().filter(|it| matches!(it, Message::RouteRefresh(..)));
    assert!(marks.count() <= 2);
    assert_eq!(pair.peer().mrai.count(family), 0);
}

#[test]
fn what_comes_and_goes_meanwhile_is_forgotten() {
    let (mut pair, _) = full();
    let family = Family::Ipv4Unicast;
    let known = pair.speaker.table(family).len() + pair.peer().advertised_count(family);
    for number in 10_000..30_000 {
        pair.say(&update(
            &[],
            &[
                &[0x40, 1, 1, 0],
                &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea],
                &[0x40, 3, 4, 10, 0, 0, 2],
            ],
            &[24, 20, (number >> 8) as u8, number as u8],
        ));
        pair.say(&gone(number));
        let waits = pair.peer().mrai.count(family);
        assert!(waits <= 2 * (known + 1) + 1025, "{waits}");
    }
    let actions = pair.speaker.handle_event(Event::Sent(pair.id), pair.now);
    assert!(sent(&actions).0 < 1000, "{:?}", sent(&actions));
}

#[test]
fn a_new_session_does_not_wait_for_the_old_one() {
    let (mut pair, _) = full();
    pair.say(&message(5, &[0, 1, 0, 1]));
    pair.speaker.handle_event(Event::Closed(pair.id), pair.now);
    assert_eq!(sent(&tick(&mut pair, Time::from_secs(1))), (0, 0));
    pair.connect();
    assert!(!pair.peer().flow.holds);
    // A report about the old one says nothing about the new one.
    pair.speaker.handle_event(Event::Sent(ConnectionId(1)), pair.now);
    assert!(sent(&pair.say(&big(5000))).0 > 3000);
}

#[test]
fn whoever_takes_nothing_for_long_is_given_up_and_told_why() {
    let (mut pair, _) = full();
    pair.speaker.handle_event(Event::Stuck(pair.id, true), pair.now);
    assert!(pair.speaker.deadline().is_some());
    let actions = tick(&mut pair, Time::from_secs(479));
    assert_eq!(sent(&actions), (0, 0));
    let actions = tick(&mut pair, Time::from_secs(1));
    let last = messages(&pair, &actions).pop();
    assert!(
        matches!(last, Some(Message::Notification(ref why)) if (why.code, why.subcode) == (8, 0)),
        "{last:?}"
    );
    assert_ne!(pair.peer().session.state(), State::Established);
    let logged = |it: &Action| matches!(it, Action::Log(text) if text.contains("Send Hold Timer Expired"));
    assert!(actions.iter().any(logged), "{actions:?}");
}

#[test]
fn many_faults_of_one_message_are_one_line_in_the_log() {
    let mut pair = Pair::new();
    let again: &[u8] = &[0x40, 1, 1, 0];
    let mut attributes = vec![again; 500];
    attributes.push(&[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea]);
    attributes.push(&[0x40, 3, 4, 10, 0, 0, 2]);
    let actions = pair.say(&update(&[], &attributes, &[24, 20, 1, 1]));
    let lines = actions.iter().filter(|it| matches!(it, Action::Log(_))).count();
    assert_eq!(lines, 1);
}
