//! A neighbor that says of EVPN what it should not: nothing of it reaches the kernel, and each bound is told once.

use super::hostile::{Pair, message, update};
use super::*;
use crate::evpn::{LocalVni, Overlay, bounds};
use crate::session::State;
use crate::wire::Mac;

const OWN: Mac = Mac([2, 0, 0, 0, 0, 0xaa]);

fn pair() -> Pair {
    let mut pair = Pair::new();
    let mut interfaces = pair.speaker.interfaces().to_vec();
    interfaces[0].link.address = OWN.0.to_vec();
    pair.speaker.handle_event(Event::Interfaces(interfaces), pair.now);
    let local = LocalVni {
        vni: 10,
        device: (7, "vx10".into()),
        bridge: (6, "br10".into(), Mac([2, 0, 0, 0, 0, 0xbb])),
        vtep: "10.0.0.1".parse().unwrap(),
        macs: Vec::new(),
        neighbors: Vec::new(),
    };
    pair.speaker.handle_event(Event::Bridging(vec![local]), pair.now);
    pair
}

/// Routes of type 2 in VNI 10, all by one router.
fn hosts(vtep: [u8; 4], all: &[(Mac, [u8; 4])]) -> Vec<u8> {
    let mut value = vec![0, 25, 70, 4];
    value.extend(vtep);
    value.push(0);
    for (mac, ip) in all {
        value.extend([2, 37, 0, 1, 10, 0, 0, 2, 0, 2]);
        value.extend([0; 14]);
        value.push(48);
        value.extend(mac.0);
        value.push(32);
        value.extend(ip);
        value.extend([0, 0, 10]);
    }
    let mut reach = vec![0x90, 14];
    reach.extend((value.len() as u16).to_be_bytes());
    reach.extend(value);
    let origin: &[u8] = &[0x40, 1, 1, 0];
    let path: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea];
    let target: &[u8] = &[0xc0, 16, 8, 0, 2, 0xfd, 0xea, 0, 0, 0, 10];
    update(&[], &[&reach, origin, path, target], &[])
}

fn placed(pair: &Pair) -> Vec<Overlay> {
    pair.speaker.overlay().collect()
}

#[test]
fn what_no_host_has_is_not_put_into_the_kernel() {
    let mut pair = pair();
    let good = Mac([2, 0, 0, 0, 0, 1]);
    let fine = (good, [10, 9, 0, 1]);
    let said = hosts([10, 0, 0, 2], &[fine]);
    let take_back = |pair: &mut Pair| {
        let id = pair.peer().id;
        pair.speaker.handle_event(Event::Reset(id), pair.now);
        pair.connect();
        assert_eq!(placed(pair), []);
    };
    pair.say(&said);
    let (vni, vtep) = (10, IpAddr::from([10, 0, 0, 2]));
    let both = [
        Overlay::Mac { vni, mac: good, vtep },
        Overlay::Neighbor {
            vni,
            ip: IpAddr::from([10, 9, 0, 1]),
            mac: good,
        },
    ];
    assert_eq!(placed(&pair), both);
    take_back(&mut pair);
    // MAC addresses of nobody, of everybody, of groups, of this router: neither they nor their IP addresses.
    for mac in [
        [0; 6],
        [0xff; 6],
        [1, 0, 0x5e, 0, 0, 1],
        [0x33, 0x33, 0, 0, 0, 1],
        OWN.0,
    ] {
        pair.say(&hosts([10, 0, 0, 2], &[(Mac(mac), [10, 9, 0, 1])]));
        assert_eq!(placed(&pair), [], "{mac:?}");
        take_back(&mut pair);
    }
    // IP addresses of nobody, of groups, of this router: the MAC address alone.
    for ip in [[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [10, 0, 0, 1]] {
        pair.say(&hosts([10, 0, 0, 2], &[(good, ip)]));
        assert_eq!(placed(&pair), both[..1], "{ip:?}");
        take_back(&mut pair);
    }
    // Tunnels that end nowhere, everywhere, here.
    for vtep in [[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4], [10, 0, 0, 1]] {
        pair.say(&hosts(vtep, &[fine]));
        assert_eq!(placed(&pair), [], "{vtep:?}");
        take_back(&mut pair);
    }
    assert_eq!(pair.peer().session.state(), State::Established);
}

#[test]
fn an_address_that_becomes_this_routers_own_is_given_up() {
    let mut pair = pair();
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    pair.say(&hosts([10, 0, 0, 2], &[(mac, [10, 9, 0, 1])]));
    assert_eq!(placed(&pair).len(), 2);
    let mut interfaces = pair.speaker.interfaces().to_vec();
    interfaces[0].link.address = mac.0.to_vec();
    pair.speaker.handle_event(Event::Interfaces(interfaces), pair.now);
    assert_eq!(placed(&pair), []);
    // (What is left says that this router is to have broadcasts.)
    assert_eq!(pair.speaker.evpn_table().len(), 1);
}

#[test]
fn a_bound_is_told_once() {
    let mut pair = pair();
    let mut told = Vec::new();
    let numbered = |at: usize| Mac([2, 0, 0, 0, (at >> 8) as u8, at as u8]);
    let many = bounds::MACS_OF_ADDRESS + 72;
    for at in (0..many).step_by(50) {
        let some: Vec<_> = (at..at + 50).map(|at| (numbered(at), [10, 9, 0, 1])).collect();
        told.extend(pair.say(&hosts([10, 0, 0, 2], &some)));
    }
    let logs: Vec<&str> = told
        .iter()
        .filter_map(|action| match action {
            Action::Log(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let expected = "EVPN of neighbor 10.0.0.2: there are 128 MAC addresses of one IP address already; what is beyond that is left out";
    assert_eq!(logs, [expected]);
    assert_eq!(pair.speaker.evpn_table().len(), bounds::MACS_OF_ADDRESS + 1);
    // What is left out is nowhere: not in the kernel either.
    assert_eq!(placed(&pair).len(), bounds::MACS_OF_ADDRESS + 1);
    pair.say(&message(4, &[]));
    assert_eq!(pair.peer().session.state(), State::Established);
}
