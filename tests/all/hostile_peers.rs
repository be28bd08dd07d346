//! Neighbors and strangers that mean no good to a router with nslab's own speaker: raw TCP connections from other nodes. They
//! hold up nobody but themselves.

use crate::common;
use crate::common::raw_peer;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Lab, has_frr, run, until};
use raw_peer::{Answer, Node, Peer, keepalive, message, open, opens, update};

/// A router `r` in AS 65001 and a host `p`, 10.0.0.2 and 2001:db8::2, that plays its neighbor in AS 65002; and an honest router
/// `h` in AS 65003 with sessions that three seconds of silence end.
fn lab(engine: &str, neighbor: &str) -> Lab {
    let address = |last: u8| format!("\"10.0.0.{last}/24\", \"2001:db8::{last}/64\"");
    Lab::up(&format!(
        "name = \"hostile\"\n\
         [nodes.r]\nkind = \"router\"\nengine = \"{engine}\"\n\
         addresses = {{ net0 = [{}], net1 = [\"10.0.1.1/24\"], lo = [\"10.255.0.1/32\"] }}\n\
         config = '''\nfrr defaults datacenter\nrouter bgp 65001\n bgp router-id 10.255.0.1\n \
         neighbor 10.0.1.2 remote-as 65003\n neighbor 10.0.1.2 timers 1 3\n{neighbor} \
         address-family ipv4 unicast\n  redistribute connected\n'''\n\
         [nodes.p]\nkind = \"host\"\naddresses = {{ net0 = [{}, \"10.0.0.9/24\"] }}\n\
         [nodes.h]\nkind = \"router\"\nengine = \"builtin\"\n\
         addresses = {{ net0 = [\"10.0.1.2/24\"], lo = [\"10.255.0.3/32\"] }}\n\
         config = '''\nfrr defaults datacenter\nrouter bgp 65003\n neighbor 10.0.1.1 remote-as 65001\n \
         neighbor 10.0.1.1 timers 1 3\n address-family ipv4 unicast\n  redistribute connected\n'''\n\
         [[links]]\nendpoints = [\"r:net0\", \"p:net0\"]\n[[links]]\nendpoints = [\"r:net1\", \"h:net0\"]\n",
        address(1),
        address(2)
    ))
}

const PASSIVE: &str = " neighbor 10.0.0.2 remote-as 65002\n neighbor 10.0.0.2 passive\n";

fn neighbor(lab: &Lab, address: &str) -> serde_json::Value {
    let words = ["exec", "r", "vtysh", "-c", "show bgp neighbors json"];
    lab.json(words)[address].clone()
}

fn until_up(lab: &Lab, address: &str) {
    until(&format!("a session with {address}"), || {
        neighbor(lab, address)["bgpState"] == "Established"
    });
}

/// The session with the honest router has never ended.
fn check_honest(lab: &Lab) {
    let honest = neighbor(lab, "10.0.1.2");
    assert_eq!(honest["bgpState"], "Established");
    assert_eq!(honest["connectionsDropped"], 0, "{honest}");
}

/// A number of the speaker's, out of a file below its directory in /proc.
fn of_speaker(lab: &Lab, line: &str) -> usize {
    let found = lab.sh("r", &format!("cd /proc/$(cat /run/frr/bgpd.pid); {line}"));
    found.trim().parse().unwrap()
}

fn memory(lab: &Lab) -> usize {
    of_speaker(lab, "awk '/VmRSS/ { print $2 * 1024 }' status")
}

fn descriptors(lab: &Lab) -> usize {
    of_speaker(lab, "ls fd | wc -l")
}

/// The router answers its operator at once.
fn check_quick(lab: &Lab) {
    let began = Instant::now();
    lab.ok(["exec", "r", "vtysh", "-c", "show bgp summary"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn whoever_asks_a_thousand_times_and_does_not_read_holds_only_itself() {
    let lab = lab("builtin", PASSIVE);
    let p = Node::of(&lab, "p");
    until_up(&lab, "10.0.1.2");
    let mut peer = Peer::connect(&p, "10.0.0.1:179");
    peer.establish();
    // A table that takes a while to be told: it is told to the honest router as well.
    for high in 0..40_u8 {
        let prefixes: Vec<u8> = (0..=255).flat_map(|low| [24, 20, high, low]).collect();
        peer.say(&update(&prefixes));
    }
    until("the table at the honest router", || {
        neighbor(&lab, "10.0.1.2")["addressFamilyInfo"]["ipv4Unicast"]["sentPrefixCounter"]
            .as_u64()
            .is_some_and(|count| count >= 40 * 256)
    });
    let before = memory(&lab);
    let refreshes: Vec<u8> = (0..1000).flat_map(|_| message(5, &[0, 1, 0, 1])).collect();
    let began = Instant::now();
    for _ in 0..5 {
        peer.say(&refreshes);
        check_quick(&lab);
    }
    // Longer than the honest router's hold time; the other one is alive, and takes nothing.
    while began.elapsed() < Duration::from_secs(6) {
        peer.say(&keepalive());
        check_quick(&lab);
        let grown = memory(&lab).saturating_sub(before);
        assert!(grown < 40 << 20, "{grown} octets more than before");
    }
    check_honest(&lab);
    assert_eq!(neighbor(&lab, "10.0.0.2")["bgpState"], "Established");
    // It reads after all, and is told the end.
    peer.until_read(&message(5, &[0, 1, 2, 1]));
    check_honest(&lab);
}

#[test]
fn silent_connections_keep_nobody_out() {
    let lab = lab("builtin", PASSIVE);
    let p = Node::of(&lab, "p");
    until_up(&lab, "10.0.1.2");
    let before = descriptors(&lab);
    let mut silent: Vec<Peer> = (0..3).map(|_| Peer::connect(&p, "10.0.0.1:179")).collect();
    // One says who it is, and no more.
    silent[0].say(&open());
    silent[0].until_open();
    assert_eq!(silent[0].answer(Duration::from_secs(30)), Answer::Keepalive);
    let mut peer = Peer::connect(&p, "10.0.0.1:179");
    peer.establish();
    until_up(&lab, "10.0.0.2");
    drop(peer);
    until("the end of the session", || {
        neighbor(&lab, "10.0.0.2")["bgpState"] != "Established"
    });
    // Many of them, of the neighbor and of a stranger.
    let mut many = Vec::new();
    for _ in 0..500 {
        many.push(Peer::connect(&p, "10.0.0.1:179"));
        many.push(Peer::connect_from(&p, "10.0.0.9", "10.0.0.1:179"));
    }
    check_quick(&lab);
    until("the end of most of them", || descriptors(&lab) < before + 20);
    let mut peer = Peer::connect(&p, "10.0.0.1:179");
    peer.establish();
    until_up(&lab, "10.0.0.2");
    check_honest(&lab);
}

/// Lets a node's speaker stand still, or go on.
fn signal(lab: &Lab, signal: &str) {
    lab.sh("r", &format!("kill -{signal} $(cat /run/frr/bgpd.pid)"));
}

#[test]
fn packets_from_afar_do_not_pass_before_a_connection_is_accepted() {
    let near = " neighbor 10.0.0.2 remote-as 65002\n neighbor 10.0.0.2 passive\n neighbor 10.0.0.2 ttl-security hops 1\n \
        neighbor 2001:db8::2 remote-as 65002\n neighbor 2001:db8::2 passive\n neighbor 2001:db8::2 ttl-security hops 1\n \
        neighbor 10.0.0.9 remote-as 65002\n neighbor 10.0.0.9 passive\n neighbor 10.0.0.9 ebgp-multihop 9\n";
    let lab = lab("builtin", near);
    let p = Node::of(&lab, "p");
    until_up(&lab, "10.0.1.2");
    for router in ["10.0.0.1:179", "[2001:db8::1]:179"] {
        // From far away there is not even a handshake.
        let far = Peer::try_connect(&p, router, 254, Duration::from_secs(1));
        assert!(far.is_err(), "{router}");
        // With a handshake from nearby, what follows from far away comes before anybody could have accepted.
        signal(&lab, "STOP");
        let mut peer = Peer::try_connect(&p, router, 255, Duration::from_secs(5)).unwrap();
        peer.set_hops(64);
        peer.say(&open());
        signal(&lab, "CONT");
        peer.until_open();
        assert_eq!(peer.answer(Duration::from_secs(1)), Answer::Nothing, "{router}");
        // Its next attempt at the same octets is near enough.
        peer.set_hops(255);
        assert_eq!(
            peer.answer(Duration::from_secs(30)),
            Answer::Keepalive,
            "{router}"
        );
    }
    // A neighbor without such a limit comes from where it likes.
    let mut peer = Peer::connect_from(&p, "10.0.0.9", "10.0.0.1:179");
    peer.establish();
    until_up(&lab, "10.0.0.9");
    check_honest(&lab);
}

#[test]
fn a_limit_holds_for_those_who_come_by_themselves_and_follows_the_configuration() {
    let range = " neighbor G peer-group\n neighbor G remote-as 65002\n neighbor G ttl-security hops 1\n \
        bgp listen range 10.0.0.0/24 peer-group G\n";
    let lab = lab("builtin", range);
    let p = Node::of(&lab, "p");
    let second = Duration::from_secs(1);
    assert!(Peer::try_connect(&p, "10.0.0.1:179", 64, second).is_err());
    let mut peer = Peer::try_connect(&p, "10.0.0.1:179", 255, 5 * second).unwrap();
    peer.establish();
    until_up(&lab, "10.0.0.2");
    let without = "configure terminal\nrouter bgp 65001\nno neighbor G ttl-security hops 1\n";
    lab.feed(["exec", "r", "vtysh"], without.as_bytes()).expect(0);
    until("a connection from far away", || {
        Peer::try_connect(&p, "10.0.0.1:179", 64, second).is_ok()
    });
}

/// What the speaker answers to each OPEN, which is what FRR 8.4 answers to the same octets.
#[test]
fn opens_are_answered_as_frr_answers_them() {
    for engine in ["builtin", "frr"] {
        if engine == "frr" && !is_frr_8_4() {
            continue;
        }
        let lab = lab(engine, PASSIVE);
        let p = Node::of(&lab, "p");
        until_up(&lab, "10.0.1.2");
        for (name, octets, expected) in opens() {
            let mut peer = Peer::welcome(&p, "10.0.0.1:179");
            peer.say(&octets);
            let answer = peer.answer(Duration::from_secs(10));
            assert_eq!(answer, expected, "{engine}: {name}");
        }
    }
}

fn is_frr_8_4() -> bool {
    if !has_frr() {
        return false;
    }
    let version = run(std::process::Command::new("/usr/lib/frr/bgpd").arg("--version"));
    version.out.contains("version 8.4")
}

/// Someone who connects again and again is served again and again, and nobody waits for it.
#[test]
fn whoever_connects_and_hangs_up_for_ever_holds_nobody_up() {
    let lab = lab("builtin", PASSIVE);
    let p = Node::of(&lab, "p");
    until_up(&lab, "10.0.1.2");
    let before = descriptors(&lab);
    let end = Instant::now() + Duration::from_secs(4);
    let storm = p.inside(move || {
        let mut count = 0;
        while Instant::now() < end {
            let Ok(mut stream) = TcpStream::connect("10.0.0.1:179") else {
                continue;
            };
            count += 1;
            // An OPEN that is refused, and whose refusal is not read.
            let _ = stream.write_all(&message(1, &[3; 10]));
            if count % 2 == 0 {
                let _ = stream.read(&mut [0; 1]);
            }
        }
        count
    });
    while Instant::now() < end {
        check_quick(&lab);
        assert!(descriptors(&lab) < before + 100);
    }
    assert!(storm.join().unwrap() > 10);
    let mut peer = Peer::welcome(&p, "10.0.0.1:179");
    peer.say(&open());
    assert_eq!(peer.answer(Duration::from_secs(10)), Answer::Keepalive);
    check_honest(&lab);
}

/// A neighbor resets again and again, each time in the middle of telling its table, while another's comes and goes: nothing of that
/// stays. `scripts/bench bgp --resets 100` does the same with a million routes.
#[test]
fn a_neighbor_that_resets_a_hundred_times_leaves_memory_as_it_was() {
    const ROUNDS: u8 = 100;
    // By then everything has been as large as it gets, and the allocator keeps that.
    const WARM: u8 = 20;
    let other = " neighbor 10.0.0.9 remote-as 65002\n neighbor 10.0.0.9 passive\n";
    let lab = lab("builtin", &format!("{PASSIVE}{other}"));
    let p = Node::of(&lab, "p");
    until_up(&lab, "10.0.1.2");
    let mut steady = Peer::connect_from(&p, "10.0.0.9", "10.0.0.1:179");
    steady.establish();
    let nlri =
        |first: u8, high: u8| -> Vec<u8> { (0..=255).flat_map(|low| [24, first, high, low]).collect() };
    let withdrawal = |nlri: &[u8]| {
        let mut body = (nlri.len() as u16).to_be_bytes().to_vec();
        body.extend(nlri);
        body.extend([0, 0]);
        message(2, &body)
    };
    let mut warm = 0;
    for round in 0..ROUNDS {
        let mut peer = Peer::welcome(&p, "10.0.0.1:179");
        peer.say(&open());
        assert_eq!(peer.answer(Duration::from_secs(30)), Answer::Keepalive);
        peer.say(&keepalive());
        for high in 0..20 {
            // Other prefixes each time, so that numbers and attributes are given back.
            peer.say(&update(&nlri(20 + round, high)));
            let steadily = nlri(11, high);
            steady.say(&match round % 2 {
                0 => update(&steadily),
                _ => withdrawal(&steadily),
            });
        }
        let last = update(&nlri(19, 0));
        peer.say(&last[..last.len() / 2]);
        until("the neighbor's table", || {
            neighbor(&lab, "10.0.0.2")["addressFamilyInfo"]["ipv4Unicast"]["acceptedPrefixCounter"]
                .as_u64()
                .is_some_and(|count| count == 20 * 256)
        });
        drop(peer);
        until("the end of its session", || {
            neighbor(&lab, "10.0.0.2")["connectionsDropped"] == u64::from(round) + 1
        });
        if round + 1 == WARM {
            warm = memory(&lab);
        }
    }
    let grown = memory(&lab).saturating_sub(warm);
    // The forty octets that a prefix takes would be 16 MiB of those that were told since.
    assert!(grown < 6 << 20, "{grown} octets more than {warm}");
    check_honest(&lab);
}
