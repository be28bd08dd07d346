//! What becomes of each malformed message in a session: the end with the right NOTIFICATION (RFC 4271 section 6), routes
//! withdrawn or an attribute left out (RFC 7606).

use super::hostile::{OPEN, Pair, message, update};
use super::*;
use crate::session::State;
use crate::table::Route;
use crate::wire::{Message, decode, frame};

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea];
const NEXT: &[u8] = &[0x40, 3, 4, 10, 0, 0, 2];
const NET: &[u8] = &[24, 10, 2, 3];
const REACH6: &[u8] = &[
    0x80, 14, 30, 0, 2, 1, 16, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 64, 0x20, 1, 0x0d,
    0xb8, 0, 0, 0, 1,
];

/// A pair in which the neighbor has told a route of each family.
fn pair() -> Pair {
    let mut pair = Pair::new();
    pair.say(&update(&[], &[ORIGIN, PATH, NEXT], NET));
    pair.say(&update(&[], &[REACH6, ORIGIN, PATH], &[]));
    assert!(route(&pair, "10.2.3.0/24").is_some() && route(&pair, "2001:db8:0:1::/64").is_some());
    pair
}

fn route<'a>(pair: &'a Pair, prefix: &str) -> Option<&'a Route> {
    let prefix: IpNet = prefix.parse().unwrap();
    pair.speaker.table(family_of(&prefix)).get(&prefix)?.best()
}

/// The NOTIFICATION with which the speaker answers: code, subcode, data.
fn answer(pair: &mut Pair, octets: &[u8]) -> Option<(u8, u8, Vec<u8>)> {
    let options = pair.peer().options();
    let actions = pair.say(octets);
    let closes = actions
        .iter()
        .any(|action| matches!(action, Action::Close(id) if *id == pair.id));
    let sent = actions.into_iter().filter_map(|action| match action {
        Action::Send(id, octets) if id == pair.id => Some(octets),
        _ => None,
    });
    let sent: Vec<u8> = sent.flatten().collect();
    let mut rest = &sent[..];
    while !rest.is_empty() {
        let length = frame(rest, &options).unwrap().unwrap();
        if let Message::Notification(why) = decode(&rest[..length], &options).unwrap() {
            assert!(closes, "after {why:?} the connection stays");
            return Some((why.code, why.subcode, why.data));
        }
        rest = &rest[length..];
    }
    None
}

fn check_end(name: &str, octets: &[u8], (code, subcode): (u8, u8), data: Option<&[u8]>) {
    let mut pair = pair();
    let (found, sub, why) =
        answer(&mut pair, octets).unwrap_or_else(|| panic!("{name}: the session goes on"));
    assert_eq!((found, sub), (code, subcode), "{name}");
    if let Some(data) = data {
        assert_eq!(why, data, "{name}");
    }
    assert_ne!(pair.peer().session.state(), State::Established, "{name}");
}

#[test]
fn what_makes_no_sense_ends_the_session() {
    let header = |at: usize, value: u8| {
        let mut octets = message(4, &[]);
        octets[at] = value;
        octets
    };
    check_end("marker", &header(0, 0), (1, 1), None);
    check_end("length of 18", &header(17, 18), (1, 2), Some(&[0, 18]));
    check_end("length of 65299", &header(16, 0xff), (1, 2), Some(&[0xff, 19]));
    check_end("KEEPALIVE with a body", &message(4, &[0]), (1, 2), Some(&[0, 20]));
    check_end(
        "UPDATE too short",
        &message(2, &[0, 0, 0]),
        (1, 2),
        Some(&[0, 22]),
    );
    check_end("type 6", &header(18, 6), (1, 3), Some(&[6]));
    check_end("OPEN again", &message(1, OPEN), (5, 3), None);
    let refresh = message(5, &[0, 1, 0]);
    check_end("short ROUTE-REFRESH", &refresh, (7, 1), Some(&refresh));
    let all: &[&[u8]] = &[ORIGIN, PATH, NEXT];
    let overrun = |withdrawn: u8, attributes: u8| message(2, &[0, withdrawn, 0, attributes, 0, 0]);
    check_end("withdrawn routes run over", &overrun(9, 0), (3, 1), None);
    check_end("attributes run over", &overrun(0, 200), (3, 1), None);
    check_end(
        "a prefix of 33",
        &update(&[], all, &[33, 10, 0, 0, 0, 0]),
        (3, 10),
        None,
    );
    check_end("a prefix cut off", &update(&[], all, &[24, 10]), (3, 10), None);
    check_end(
        "a withdrawn prefix of 33",
        &update(&[33, 1, 1, 1, 1, 1], &[], &[]),
        (3, 10),
        None,
    );
    let short_hop: &[u8] = &[0x80, 14, 8, 0, 2, 1, 3, 1, 2, 3, 0];
    check_end(
        "a next hop of 3",
        &update(&[], &[short_hop, ORIGIN, PATH], &[]),
        (3, 9),
        None,
    );
    let long6: &[u8] = &[0x80, 15, 4, 0, 2, 1, 129];
    check_end("an IPv6 prefix of 129", &update(&[], &[long6], &[]), (3, 9), None);
    let twice = update(&[], &[REACH6, REACH6, ORIGIN, PATH], &[]);
    check_end("MP_REACH_NLRI twice", &twice, (3, 1), None);
    let mut flags = REACH6.to_vec();
    flags[0] = 0xc0;
    check_end(
        "MP_REACH_NLRI is transitive",
        &update(&[], &[&flags, ORIGIN, PATH], &[]),
        (3, 4),
        Some(&flags),
    );
    let strange: &[u8] = &[0x40, 99, 1, 7];
    check_end(
        "an unknown well-known one",
        &update(&[], &[ORIGIN, strange], &[]),
        (3, 2),
        Some(strange),
    );
    // Without a prefix nobody knows what was meant.
    check_end(
        "malformed, and no routes",
        &update(&[], &[&[0x40, 1, 1, 3]], &[]),
        (3, 1),
        None,
    );
    check_end(
        "cut off, and no routes",
        &update(&[16, 192, 168], &[&[0x40, 1, 9, 3]], &[]),
        (3, 1),
        None,
    );
}

#[test]
fn what_is_said_badly_of_routes_withdraws_them() {
    let cases: &[(&str, &[&[u8]])] = &[
        ("no ORIGIN", &[PATH, NEXT]),
        ("no AS_PATH", &[ORIGIN, NEXT]),
        ("no NEXT_HOP", &[ORIGIN, PATH]),
        ("ORIGIN 3", &[&[0x40, 1, 1, 3], PATH, NEXT]),
        ("ORIGIN of two octets", &[&[0x40, 1, 2, 0, 0], PATH, NEXT]),
        ("ORIGIN is optional", &[&[0xc0, 1, 1, 0], PATH, NEXT]),
        (
            "a segment runs over",
            &[ORIGIN, &[0x40, 2, 6, 2, 9, 0, 0, 0xfd, 0xea], NEXT],
        ),
        ("an empty segment", &[ORIGIN, &[0x40, 2, 2, 2, 0], NEXT]),
        (
            "a segment of type 9",
            &[ORIGIN, &[0x40, 2, 6, 9, 1, 0, 0, 0xfd, 0xea], NEXT],
        ),
        (
            "AS 0 in a sequence",
            &[ORIGIN, &[0x40, 2, 10, 2, 2, 0, 0, 0xfd, 0xea, 0, 0, 0, 0], NEXT],
        ),
        (
            "AS 0 in a set behind",
            &[
                ORIGIN,
                &[0x40, 2, 12, 2, 1, 0, 0, 0xfd, 0xea, 1, 1, 0, 0, 0, 0],
                NEXT,
            ],
        ),
        (
            "AS 0 in a confederation",
            &[
                ORIGIN,
                &[0x40, 2, 12, 3, 1, 0, 0, 0, 0, 2, 1, 0, 0, 0xfd, 0xea],
                NEXT,
            ],
        ),
        ("half an AS", &[ORIGIN, &[0x40, 2, 4, 2, 1, 0xfd, 0xea], NEXT]),
        ("NEXT_HOP of 3", &[ORIGIN, PATH, &[0x40, 3, 3, 10, 0, 0]]),
        ("MED of 3", &[ORIGIN, PATH, NEXT, &[0x80, 4, 3, 0, 0, 1]]),
        (
            "MED is transitive",
            &[ORIGIN, PATH, NEXT, &[0xc0, 4, 4, 0, 0, 0, 1]],
        ),
        ("communities of 3", &[ORIGIN, PATH, NEXT, &[0xc0, 8, 3, 0, 0, 1]]),
        ("no communities", &[ORIGIN, PATH, NEXT, &[0xc0, 8, 0]]),
        (
            "extended ones of 7",
            &[ORIGIN, PATH, NEXT, &[0xc0, 16, 7, 0, 2, 0, 0, 0, 0, 1]],
        ),
        (
            "large ones of 11",
            &[
                ORIGIN,
                PATH,
                NEXT,
                &[0xc0, 32, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ],
        ),
        ("one runs over", &[ORIGIN, PATH, NEXT, &[0xc0, 8, 200, 0, 1]]),
        ("one without a length", &[ORIGIN, PATH, NEXT, &[0xc0, 8]]),
    ];
    for (name, attributes) in cases {
        let mut pair = pair();
        assert_eq!(answer(&mut pair, &update(&[], attributes, NET)), None, "{name}");
        assert_eq!(pair.peer().session.state(), State::Established, "{name}");
        assert!(route(&pair, "10.2.3.0/24").is_none(), "{name}");
        assert!(route(&pair, "2001:db8:0:1::/64").is_some(), "{name}");
    }
    let mut pair = pair();
    let bad = update(&[], &[REACH6, &[0x40, 1, 1, 3], PATH], &[]);
    assert_eq!(answer(&mut pair, &bad), None);
    assert!(route(&pair, "2001:db8:0:1::/64").is_none() && route(&pair, "10.2.3.0/24").is_some());
}

#[test]
fn what_does_no_harm_is_left_out() {
    let cases: &[(&str, &[u8])] = &[
        ("ATOMIC_AGGREGATE of 1", &[0x40, 6, 1, 0]),
        ("AGGREGATOR of 3", &[0xc0, 7, 3, 0, 0, 1]),
        ("AGGREGATOR in AS 0", &[0xc0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1]),
        ("LOCAL_PREF from outside", &[0x40, 5, 4, 0, 0, 0, 1]),
        ("LOCAL_PREF from outside, of 3", &[0x40, 5, 3, 0, 0, 1]),
        ("ORIGINATOR_ID from outside", &[0x80, 9, 4, 1, 1, 1, 1]),
        ("CLUSTER_LIST from outside, of 3", &[0x80, 10, 3, 1, 1, 1]),
        ("a second ORIGIN", &[0x40, 1, 1, 2]),
        (
            "AS4_PATH in a session of four octets",
            &[0xc0, 17, 6, 2, 1, 0, 0, 0, 1],
        ),
        ("AS4_PATH with AS 0 in one", &[0xc0, 17, 6, 2, 1, 0, 0, 0, 0]),
        ("AS4_AGGREGATOR in one", &[0xc0, 18, 8, 0, 0, 0, 1, 1, 1, 1, 1]),
        ("an unknown one that stays here", &[0x80, 99, 1, 7]),
    ];
    let plain = route(&pair(), "10.2.3.0/24").unwrap().attributes.clone();
    for (name, attribute) in cases {
        let mut pair = pair();
        let octets = update(&[], &[ORIGIN, PATH, NEXT, attribute], NET);
        assert_eq!(answer(&mut pair, &octets), None, "{name}");
        let found = route(&pair, "10.2.3.0/24").unwrap_or_else(|| panic!("{name}: the route is gone"));
        assert_eq!(found.attributes, plain, "{name}");
    }
}
