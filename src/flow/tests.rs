//! The account against a naive model, and cases of its own.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const INTERVAL: u64 = 10 * MS;
const SETTINGS: Settings = Settings {
    interval_ns: Some(INTERVAL),
    late_after_ns: 100 * MS,
};

/// What becomes of a packet.
#[derive(Debug, Clone)]
enum Fate {
    Lost,
    Arrives(u64),
    Twice(u64, u64),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => (0u64..5).prop_map(|ms| Fate::Arrives(ms * MS)),
        1 => (0u64..200).prop_map(|ms| Fate::Arrives(ms * MS)),
        2 => Just(Fate::Lost),
        1 => (0u64..30, 0u64..90).prop_map(|(a, b)| Fate::Twice(a * MS, b * MS)),
    ]
}

/// Everything that happens, in its order: at a time, a packet is sent (nothing) or arrives.
fn happenings(fates: &[Fate]) -> Vec<(u64, u64, bool)> {
    let mut all = Vec::new();
    for (number, fate) in fates.iter().enumerate() {
        let number = number as u64;
        let sent = number * INTERVAL;
        all.push((sent, number, false));
        let arrivals = match fate {
            Fate::Lost => vec![],
            Fate::Arrives(after) => vec![*after],
            Fate::Twice(first, second) => vec![*first, *second],
        };
        all.extend(arrivals.into_iter().map(|after| (sent + after, number, true)));
    }
    all.sort_by_key(|(time, number, arrives)| (*time, *arrives, *number));
    all
}

fn told(all: &[(u64, u64, bool)]) -> Account {
    let mut account = Account::new(SETTINGS);
    for (time, number, arrives) in all {
        match arrives {
            false => account.send(*time),
            true => drop(account.receive(*number, number * INTERVAL, *time, 64)),
        }
    }
    account
}

/// The outages by their definition: between two arrivals of new packets, with some missing that do not arrive before the next
/// outage does, or longer than the threshold.
fn naive_outages(all: &[(u64, u64, bool)]) -> Vec<Outage> {
    let arrivals: Vec<(u64, u64)> = all.iter().filter(|it| it.2).map(|it| (it.0, it.1)).collect();
    let mut seen = BTreeSet::new();
    let mut fresh = Vec::new();
    for (time, number) in arrivals {
        if seen.insert(number) {
            fresh.push((time, number));
        }
    }
    let threshold = SETTINGS.threshold();
    // Each with the place of the arrival that ended it, and what was missing then.
    let mut candidates: Vec<(usize, Outage, BTreeSet<u64>)> = Vec::new();
    let (mut before, mut next) = (0u64, 0u64);
    for (place, (time, number)) in fresh.iter().enumerate() {
        let missing: BTreeSet<u64> = (next..*number).collect();
        let outage = Outage {
            began_ns: before,
            length_ns: time - before,
            packets: missing.len() as u64,
            gap_ns: 0,
        };
        if !missing.is_empty() || outage.length_ns >= threshold {
            candidates.push((place, outage, missing));
        }
        before = before.max(*time);
        next = next.max(number + 1);
    }
    let ends: Vec<usize> = candidates
        .iter()
        .map(|it| it.0)
        .skip(1)
        .chain([fresh.len()])
        .collect();
    let settled = candidates
        .into_iter()
        .zip(ends)
        .map(|((place, mut outage, missing), end)| {
            // What ends the next outage came late, too, where it did.
            let end = (end + 1).min(fresh.len());
            let came = fresh[place..end]
                .iter()
                .filter(|(_, number)| missing.contains(number))
                .count();
            outage.packets -= came as u64;
            outage
        });
    settled
        .filter(|it| it.packets > 0 || it.length_ns >= threshold)
        .collect()
}

proptest! {
    #[test]
    fn the_account_is_that_of_a_naive_model(fates in prop::collection::vec(fate(), 1..200)) {
        let all = happenings(&fates);
        let end = all.iter().map(|it| it.0).max().unwrap();
        let figures = told(&all).figures(end + SECOND, true, true);
        let arrivals: Vec<(u64, u64)> = all.iter().filter(|it| it.2).map(|it| (it.0, it.1)).collect();
        let (mut seen, mut reordered, mut latencies) = (BTreeSet::new(), 0, Vec::new());
        for (time, number) in &arrivals {
            let is_behind = seen.last().is_some_and(|highest| highest > number);
            if seen.insert(*number) {
                reordered += u64::from(is_behind);
                latencies.push(time - number * INTERVAL);
            }
        }
        let unique = seen.len() as u64;
        prop_assert_eq!(figures.sent, fates.len() as u64);
        prop_assert_eq!(figures.received, unique);
        prop_assert_eq!(figures.lost, figures.sent - unique);
        prop_assert_eq!(figures.in_flight, 0);
        prop_assert_eq!(figures.duplicated, arrivals.len() as u64 - unique);
        prop_assert_eq!(figures.reordered, reordered);
        prop_assert_eq!(figures.late, latencies.iter().filter(|it| **it > 100 * MS).count() as u64);
        prop_assert_eq!(figures.bytes, unique * 64);
        prop_assert_eq!(figures.latency.map(|it| it.max_ns), latencies.iter().max().copied());
        prop_assert_eq!(figures.latency.map(|it| it.min_ns), latencies.iter().min().copied());
        prop_assert_eq!(figures.trouble, (unique == 0).then_some(Trouble::NeverReceived));
        let series = figures.series.unwrap();
        prop_assert_eq!(series.points.iter().map(|it| u64::from(it.sent)).sum::<u64>(), figures.sent);
        prop_assert_eq!(series.points.iter().map(|it| u64::from(it.received)).sum::<u64>(), unique);
        prop_assert!(series.points.iter().all(|it| it.received <= it.sent));
        let wanted = naive_outages(&all);
        let long: Vec<Outage> = wanted.iter().filter(|it| it.length_ns >= SETTINGS.threshold()).copied().collect();
        prop_assert_eq!(&figures.outages, &long);
        let longest = wanted.iter().map(|it| it.length_ns).chain(figures.ongoing_outage.map(|it| it.length_ns)).max();
        prop_assert_eq!(figures.longest_outage.map(|it| it.length_ns), longest);
    }

    #[test]
    fn whatever_arrives_nothing_breaks(
        packets in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<bool>()), 0..200),
    ) {
        let mut account = Account::new(SETTINGS);
        for (number, sent, now, sends) in packets {
            if sends {
                account.send(now);
            }
            account.receive(number % 300, sent, now, 64);
            account.receive(number, sent, now, 64);
            account.figures(now, false, true);
        }
        let figures = account.figures(0, true, true);
        prop_assert_eq!(figures.received + figures.lost, figures.sent);
    }

    #[test]
    fn packets_are_read_back(flow: u32, sequence: u64, sent_ns: u64, size in LEAST..200) {
        let header = Header { flow, sequence, sent_ns };
        let mut packet = vec![0; size];
        header.write(&mut packet);
        prop_assert_eq!(Header::read(&packet), Some(header));
        prop_assert_eq!(Header::read(&packet[..LEAST - 1]), None);
        packet[0] ^= 1;
        prop_assert_eq!(Header::read(&packet), None);
    }

    #[test]
    fn messages_are_found_however_the_stream_is_cut(
        size in LEAST..100, count in 1u64..20, cuts in prop::collection::vec(1usize..300, 1..50),
    ) {
        let mut stream = Vec::new();
        for sequence in 0..count {
            let mut message = vec![0xaa; size];
            Header { flow: 7, sequence, sent_ns: sequence }.write(&mut message);
            stream.extend(message);
        }
        let (mut messages, mut found, mut rest) = (Messages::of(size), Vec::new(), stream.as_slice());
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            prop_assert!(messages.take(now, |header| found.push(header.sequence)));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found, (0..count).collect::<Vec<_>>());
        let is_one = messages.take(&vec![0; size], |_| ());
        prop_assert!(!is_one);
    }
}

/// A flow of packets of which some are lost, at its end.
fn with_hole(lost: std::ops::Range<u64>, gap: Option<Gap>) -> Figures {
    let mut account = Account::new(SETTINGS);
    gap.into_iter().for_each(|gap| account.gap(gap));
    for number in 0..100 {
        let now = SECOND + number * INTERVAL;
        account.send(now);
        if !lost.contains(&number) {
            account.receive(number, now, now + MS, 64);
        }
    }
    account.figures(3 * SECOND, true, false)
}

#[test]
fn an_outage_is_as_long_as_nothing_arrived() {
    let figures = with_hole(40..60, None);
    assert_eq!(figures.lost, 20);
    let outage = Outage {
        began_ns: SECOND + 39 * INTERVAL + MS,
        length_ns: 21 * INTERVAL,
        packets: 20,
        gap_ns: 0,
    };
    assert_eq!(figures.longest_outage, Some(outage));
    assert_eq!(figures.outages, [outage]);
    assert_eq!(figures.outage, OutageState::Valid);
    assert_eq!(figures.ongoing_outage, None);
}

#[test]
fn a_gap_of_the_senders_own_voids_the_outage_of_which_it_is_a_tenth() {
    let gap = |at: u64, length: u64| Gap {
        began_ns: SECOND + at * INTERVAL,
        length_ns: length * MS,
    };
    // The outage takes 210 ms.
    let figures = with_hole(40..60, Some(gap(50, 22)));
    assert_eq!(figures.outage, OutageState::NoneValid);
    assert_eq!((figures.longest_outage, figures.void_outages), (None, 1));
    assert_eq!(figures.longest_void_outage.unwrap().length_ns, 210 * MS);
    assert_eq!((figures.lost, figures.sender_gap_count), (20, 1));
    let figures = with_hole(40..60, Some(gap(50, 20)));
    assert_eq!((figures.outage, figures.void_outages), (OutageState::Valid, 0));
    assert_eq!(figures.longest_outage.unwrap().gap_ns, 20 * MS);
    // Of a gap that began before it, that part counts which is in it.
    let figures = with_hole(40..60, Some(gap(30, 100)));
    assert_eq!(figures.longest_outage.unwrap().gap_ns, 9 * MS);
    let figures = with_hole(40..60, Some(gap(80, 50)));
    assert_eq!(figures.longest_outage.unwrap().gap_ns, 0);
    assert_eq!((figures.void_outages, figures.sender_gap_count), (0, 1));
}

#[test]
fn a_gap_of_the_senders_own_is_no_outage() {
    let mut account = Account::new(SETTINGS);
    for number in 0..100 {
        let now = number * INTERVAL + if number < 50 { 0 } else { 90 * MS };
        if number == 50 {
            account.gap(Gap {
                began_ns: number * INTERVAL,
                length_ns: 90 * MS,
            });
        }
        account.send(now);
        account.receive(number, now, now, 64);
    }
    let figures = account.figures(2 * SECOND, true, false);
    assert_eq!((figures.outage, figures.void_outages), (OutageState::None, 0));
    assert_eq!(figures.sender_gap_count, 1);
}

#[test]
fn an_outage_that_lasts_is_told() {
    let figures = with_hole(70..100, None);
    let outage = figures.ongoing_outage.unwrap();
    assert_eq!(outage.packets, 30);
    assert_eq!(outage.length_ns, 30 * INTERVAL - MS);
    assert_eq!(figures.longest_outage, Some(outage));
}

#[test]
fn a_flow_that_never_ran_or_never_arrived_is_a_failure() {
    let figures = Account::new(SETTINGS).figures(SECOND, true, false);
    assert_eq!(figures.trouble, Some(Trouble::NeverRan));
    let figures = with_hole(0..100, None);
    assert_eq!(figures.trouble, Some(Trouble::NeverReceived));
    assert_eq!(figures.lost, 100);
    assert_eq!(with_hole(0..99, None).trouble, None);
}

#[test]
fn packets_that_may_come_yet_are_not_lost() {
    let mut account = Account::new(SETTINGS);
    for number in 0..50 {
        account.send(number * INTERVAL);
    }
    account.receive(0, 0, MS, 64);
    let figures = account.figures(49 * INTERVAL, false, false);
    assert_eq!((figures.lost, figures.in_flight), (39, 10));
    let figures = account.figures(49 * INTERVAL + SECOND, false, false);
    assert_eq!((figures.lost, figures.in_flight), (49, 0));
}

#[test]
fn lists_are_bounded() {
    let mut account = Account::new(SETTINGS);
    for number in 0..1000 {
        let now = number * SECOND;
        account.send(now);
        account.receive(number, now, now, 64);
    }
    let figures = account.figures(1000 * SECOND, true, false);
    assert_eq!((figures.outages.len(), figures.outages_left_off), (64, 935));
    let gap = |number: u64| Gap {
        began_ns: number,
        length_ns: 1,
    };
    (0..1000).for_each(|number| account.gap(gap(number)));
    let figures = account.figures(1000 * SECOND, true, false);
    assert_eq!((figures.sender_gaps.len(), figures.sender_gap_count), (64, 1000));
}

#[test]
fn a_transfer_has_a_throughput() {
    let mut account = Account::new(Settings {
        interval_ns: None,
        late_after_ns: SECOND,
    });
    account.send_bytes(SECOND);
    for step in 1..=10 {
        account.receive_bytes(125_000, SECOND + step * 100 * MS);
    }
    let figures = account.figures(2 * SECOND, true, true);
    assert_eq!(figures.bits_per_second, Some(10_000_000));
    assert_eq!((figures.bytes, figures.trouble), (1_250_000, None));
    assert_eq!(figures.outage, OutageState::None);
}

#[test]
fn figures_are_json_and_back() {
    let figures = with_hole(40..60, None);
    let text = serde_json::to_string(&figures).unwrap();
    assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), figures);
}
