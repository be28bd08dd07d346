//! A neighbor that says anything: the speaker takes what it may take, and ends the session in good order otherwise.
//! `NSLAB_ROUNDS=5000000` makes so many tries.

use super::*;
use crate::session::State;
use crate::wire::{Message, decode, frame};

/// A speaker, and a neighbor that is played by the test.
pub(super) struct Pair {
    pub(super) speaker: Speaker,
    pub(super) now: Time,
    next: u64,
    pub(super) id: ConnectionId,
}

const CONFIG: &str = "frr defaults datacenter\nbgp as-path access-list SHORT seq 5 permit ^65002_\n\
    route-map IN permit 10\n match as-path SHORT\n set local-preference 200\nroute-map IN permit 20\n\
    router bgp 65001\n bgp router-id 10.0.0.1\n no bgp network import-check\n neighbor 10.0.0.2 remote-as 65002\n \
    neighbor 10.0.0.2 timers 0 0\n \
    address-family ipv4 unicast\n  network 10.1.0.0/16\n  aggregate-address 10.0.0.0/8\n  neighbor 10.0.0.2 soft-reconfiguration inbound\n  \
    neighbor 10.0.0.2 route-map IN in\n exit-address-family\n address-family ipv6 unicast\n  neighbor 10.0.0.2 activate\n exit-address-family\n \
    address-family l2vpn evpn\n  neighbor 10.0.0.2 activate\n  advertise-all-vni\n exit-address-family\n";

/// An OPEN of AS 65002 with what this side knows, several paths included.
pub(super) const OPEN: &[u8] = &[
    4, 0xfd, 0xea, 0, 0, 10, 0, 0, 2, 54, 2, 52, 1, 4, 0, 25, 0, 70, 1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 2,
    0, 70, 0, 65, 4, 0, 0, 0xfd, 0xea, 6, 0, 69, 8, 0, 1, 1, 1, 0, 2, 1, 1, 64, 10, 0x40, 120, 0, 1, 1, 0x80,
    0, 2, 1, 0x80,
];

pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    out.extend(((body.len() + 19) as u16).to_be_bytes());
    out.push(kind);
    out.extend(body);
    out
}

pub(super) fn update(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut body = (withdrawn.len() as u16).to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend((attributes.len() as u16).to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    message(2, &body)
}

/// UPDATEs to begin with: routes of both families, withdrawals, and all attributes there are.
fn seeds() -> Vec<Vec<u8>> {
    let origin: &[u8] = &[0x40, 1, 1, 0];
    let path: &[u8] = &[0x40, 2, 14, 2, 2, 0, 0, 0xfd, 0xea, 0, 1, 0, 0, 1, 1, 0, 0, 0, 9];
    let short: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea];
    let next: &[u8] = &[0x40, 3, 4, 10, 0, 0, 2];
    let med: &[u8] = &[0x80, 4, 4, 0, 0, 0, 7];
    let aggregate: &[u8] = &[0x40, 6, 0, 0xc0, 7, 8, 0, 0, 0xfd, 0xea, 10, 0, 0, 2];
    let communities: &[u8] = &[0xc0, 8, 8, 0xfd, 0xea, 0, 1, 0xff, 0xff, 0xff, 1];
    let extended: &[u8] = &[0xc0, 16, 8, 0, 2, 0xfd, 0xea, 0, 0, 0, 7];
    let large: &[u8] = &[0xc0, 32, 12, 0, 0, 0xfd, 0xea, 0, 0, 0, 1, 0, 0, 0, 2];
    let reach6: &[u8] = &[
        0x90, 14, 0, 30, 0, 2, 1, 16, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 64, 0x20,
        1, 0x0d, 0xb8, 0, 0, 0, 1,
    ];
    let unreach6: &[u8] = &[0x90, 15, 0, 12, 0, 2, 1, 64, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1];
    let strange: &[u8] = &[0xc0, 99, 3, 1, 2, 3];
    let evpn: &[u8] = &[
        0xc0, 16, 32, 0, 2, 0xfd, 0xea, 0, 0, 0, 10, 3, 12, 0, 0, 0, 0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 1, 6, 3,
        2, 0, 0, 0, 0, 1,
    ];
    let rd: &[u8] = &[0, 1, 10, 0, 0, 2, 0, 2];
    let mac_ip = [
        &[2, 37][..],
        rd,
        &[0; 14],
        &[48, 2, 0, 0, 0, 0, 1, 32, 10, 9, 0, 1, 0, 0, 10],
    ]
    .concat();
    let multicast = [&[3, 17][..], rd, &[0, 0, 0, 0, 32, 10, 0, 0, 2]].concat();
    let of_prefix = [
        &[5, 34][..],
        rd,
        &[0; 14],
        &[24, 10, 9, 0, 0, 0, 0, 0, 0, 0, 0, 10],
    ]
    .concat();
    let discovery = [
        &[1, 25][..],
        rd,
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 10],
    ]
    .concat();
    let segment = [&[4, 23][..], rd, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32, 10, 0, 0, 2]].concat();
    // A host with the label of a network that packets are routed in.
    let routed = [
        &[2, 40][..],
        rd,
        &[0; 14],
        &[48, 2, 0, 0, 0, 0, 2, 32, 10, 9, 0, 2, 0, 0, 10, 0, 15, 161],
    ]
    .concat();
    let routes = [
        &mac_ip[..],
        &multicast,
        &of_prefix,
        &discovery,
        &segment,
        &routed,
        &[9, 3, 1, 2, 3],
    ]
    .concat();
    let of_evpn = |code: u8, head: &[u8]| {
        let mut value = vec![0, 25, 70];
        value.extend(head);
        value.extend(&routes);
        [&[0x90, code, 0, value.len() as u8][..], &value].concat()
    };
    let reach_evpn = of_evpn(14, &[4, 10, 0, 0, 2, 0]);
    let unreach_evpn = of_evpn(15, &[]);
    let tunnel: &[u8] = &[0xc0, 22, 9, 0, 6, 0, 0, 10, 10, 0, 0, 2];
    vec![
        update(&[], &[origin, short, next, med], &[24, 10, 2, 3, 16, 192, 168]),
        update(
            &[24, 10, 2, 3, 0],
            &[origin, path, next, aggregate, communities],
            &[8, 10],
        ),
        update(&[], &[reach6, origin, path, extended, large], &[]),
        update(&[16, 192, 168], &[unreach6], &[]),
        update(
            &[],
            &[origin, path, next, strange, large, extended, communities, med],
            &[32, 1, 2, 3, 4],
        ),
        update(&[], &[&reach_evpn, origin, short, evpn, tunnel], &[]),
        update(&[], &[&unreach_evpn], &[]),
        message(5, &[0, 25, 0, 70]),
        message(5, &[0, 1, 0, 1]),
        message(5, &[0, 2, 1, 1]),
        message(4, &[]),
        message(3, &[6, 9, 6, 2, 3, b'b', b'y', b'e']),
        message(1, OPEN),
    ]
}

impl Pair {
    pub(super) fn new() -> Pair {
        let (config, diagnostics) = Config::parse(CONFIG);
        assert_eq!(diagnostics, []);
        let mut speaker = Speaker::new("r", 1);
        let interface = Interface {
            index: 2,
            name: "net0".into(),
            up: true,
            addresses: ["10.0.0.1/24", "2001:db8::1/64", "fe80::1/64"]
                .map(|it| it.parse().unwrap())
                .to_vec(),
            ..Interface::default()
        };
        speaker.handle_event(Event::Interfaces(vec![interface]), Time::ZERO);
        speaker.handle_event(Event::Configure(Box::new(config)), Time::ZERO);
        let mut pair = Pair {
            speaker,
            now: Time::ZERO,
            next: 0,
            id: ConnectionId(0),
        };
        pair.connect();
        pair
    }

    pub(super) fn peer(&self) -> &Peer {
        self.speaker.peers().next().unwrap()
    }

    pub(super) fn connect(&mut self) {
        self.now += Time::from_secs(1);
        self.next += 1;
        self.id = ConnectionId(self.next);
        let ends = Endpoints {
            local: "10.0.0.1".parse().unwrap(),
            remote: "10.0.0.2".parse().unwrap(),
            interface: None,
            ports: (179, 40000),
        };
        self.speaker
            .handle_event(Event::Accepted(self.id, ends), self.now);
        self.say(&message(1, OPEN));
        self.say(&message(4, &[]));
        assert_eq!(self.peer().session.state(), State::Established);
    }

    pub(super) fn say(&mut self, octets: &[u8]) -> Vec<Action> {
        self.speaker
            .handle_event(Event::Received(self.id, octets.to_vec()), self.now)
    }
}

/// What the speaker says in answer is BGP itself.
fn check_answers(pair: &Pair, actions: &[Action]) -> bool {
    let mut has_ended = false;
    for action in actions {
        if let Action::Send(id, octets) = action
            && *id == pair.id
        {
            let options = pair.peer().options();
            let mut rest = &octets[..];
            while !rest.is_empty() {
                let length = frame(rest, &options).unwrap().unwrap();
                let said = decode(&rest[..length], &options).unwrap();
                if let Message::Notification(why) = said {
                    assert!((1..=8).contains(&why.code), "{why:?}");
                    has_ended = true;
                }
                rest = &rest[length..];
            }
        }
        has_ended |= matches!(action, Action::Close(id) if *id == pair.id);
    }
    has_ended
}

#[test]
fn whatever_a_neighbor_says_the_speaker_lives_on() {
    let rounds = std::env::var("NSLAB_ROUNDS").ok().and_then(|it| it.parse().ok());
    let seeds = seeds();
    let mut rng = Rng::new(7);
    let mut pair = Pair::new();
    let (mut ended, mut taken) = (0u64, 0u64);
    for round in 0..rounds.unwrap_or(40_000u64) {
        let mut octets = seeds[rng.roll(seeds.len() as u64) as usize].clone();
        for _ in 0..rng.roll(4) {
            let at = match rng.roll(12) {
                0 => rng.roll(octets.len() as u64) as usize,
                _ => 19 + rng.roll((octets.len() as u64).saturating_sub(19)) as usize,
            };
            let Some(place) = octets.get_mut(at) else { continue };
            match rng.roll(7) {
                0 => *place = rng.roll(256) as u8,
                1 => *place ^= 1 << rng.roll(8),
                2 => *place = [0, 1, 127, 128, 254, 255][rng.roll(6) as usize],
                3 => octets.truncate(at.max(19)),
                // The end of another message, or the same again and again.
                4 => {
                    let other = &seeds[rng.roll(seeds.len() as u64) as usize];
                    let from = 19 + rng.roll(other.len() as u64 - 18) as usize;
                    octets.truncate(at.max(19));
                    octets.extend(&other[from.min(other.len())..]);
                }
                5 => {
                    let again = octets[at.max(19).min(octets.len())..].to_vec();
                    let most = 1 << rng.roll(8);
                    for _ in 0..rng.roll(most) {
                        if octets.len() + again.len() <= 4096 {
                            octets.extend(&again);
                        }
                    }
                }
                _ => octets.insert(at, rng.roll(256) as u8),
            }
        }
        if rng.roll(20) > 0 && octets.len() >= 19 {
            let length = (octets.len() as u16).to_be_bytes();
            octets[16..18].copy_from_slice(&length);
        }
        let actions = pair.say(&octets);
        if check_answers(&pair, &actions) || pair.peer().session.state() != State::Established {
            ended += 1;
            pair.speaker.handle_event(Event::Closed(pair.id), pair.now);
            pair.connect();
        } else {
            taken += 1;
            // What is only begun is not waited for: the next message would be read as its end.
            let whole = octets.len() >= 19
                && usize::from(u16::from_be_bytes([octets[16], octets[17]])) == octets.len();
            if !whole {
                pair.speaker.handle_event(Event::Closed(pair.id), pair.now);
                pair.connect();
            }
        }
        if round % 1000 == 0 {
            // However much was said, no more is kept than there can be of a few octets a message.
            let tables = Family::UNICAST.map(|family| pair.speaker.table(family).len());
            assert!(tables[0] + tables[1] <= 4 * 1000 + 10, "{tables:?}");
            let id = pair.peer().id;
            pair.speaker.handle_event(Event::Reset(id), pair.now);
            pair.connect();
        }
    }
    eprintln!("{ended} sessions ended, {taken} messages taken");
    assert!(
        ended > taken / 50 && taken > ended / 50,
        "{ended} sessions ended, {taken} messages taken"
    );
}
