//! Routes and communities of EVPN.

use super::*;

#[test]
fn a_route_of_evpn_that_makes_no_sense_is_passed_over_alone() {
    let reach = |nlri: &[u8]| {
        let mut value = vec![0, 25, 70, 4, 10, 0, 0, 1, 0];
        value.extend(nlri);
        let mut attribute = vec![0x80, 14, value.len() as u8];
        attribute.extend(value);
        attribute
    };
    let (origin, path): (&[u8], &[u8]) = (&[0x40, 1, 1, 0], &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe8]);
    let read = |nlri: &[u8]| decoded(&[&reach(nlri), origin, path], &[], &WIDE);
    let multicast: &[u8] = &[3, 17, 0, 1, 10, 0, 0, 1, 0, 2, 0, 0, 0, 0, 32, 10, 0, 0, 1];
    // An originator of 31 bits; a prefix of 33; a MAC address of 40; a label that is cut off.
    let strange = [3, 17, 0, 1, 10, 0, 0, 1, 0, 2, 0, 0, 0, 0, 31, 10, 0, 0, 1];
    let mut wide = vec![5, 34, 0, 1, 10, 0, 0, 1, 0, 2];
    wide.extend([0; 14]);
    wide.push(33);
    wide.extend([0; 11]);
    let mut cut = vec![2, 31, 0, 1, 10, 0, 0, 1, 0, 2];
    cut.extend([0; 14]);
    cut.extend([48, 2, 0, 0, 0, 0, 1, 0, 0]);
    for bad in [&strange[..], &wide, &cut] {
        let update = read(&[bad, multicast].concat()).unwrap();
        assert_eq!(update.evpn_reachable.as_ref().unwrap().1.len(), 1, "{bad:?}");
        assert_eq!(update.faults.len(), 1, "{bad:?}");
    }
    // Whose length leads over the end puts all in doubt.
    assert!(read(&multicast[..18]).is_err());
    // A type that is not known has a length all the same.
    let update = read(&[&[9, 8, 0, 1, 10, 0, 0, 1, 0, 2][..], multicast].concat()).unwrap();
    let kinds: Vec<u8> = update
        .evpn_reachable
        .unwrap()
        .1
        .iter()
        .map(|it| it.key.route.kind())
        .collect();
    assert_eq!((kinds, update.faults), (vec![9, 3], vec![]));
    // A tunnel without an end withdraws.
    let tunnel: &[u8] = &[0xc0, 22, 5, 0, 6, 0, 0, 10];
    let update = decoded(&[&reach(multicast), origin, path, tunnel], &[], &WIDE).unwrap();
    assert!(update.evpn_reachable.is_none() && update.evpn_unreachable.len() == 1);
    // The end of all routes.
    let end = decoded(&[&[0x80, 15, 3, 0, 25, 70]], &[], &WIDE).unwrap();
    assert_eq!(end.end_of_rib, Some(Family::L2vpnEvpn));
}

#[test]
fn communities_of_evpn_are_shown_as_frr_shows_them() {
    let mac: Mac = "02:00:00:00:00:0a".parse().unwrap();
    let shown = |it: ExtendedCommunity| it.to_string();
    assert_eq!(shown(ExtendedCommunity::VXLAN), "ET:8");
    assert_eq!(
        shown(ExtendedCommunity::of_router_mac(mac)),
        "Rmac:02:00:00:00:00:0a"
    );
    assert_eq!(shown(ExtendedCommunity::of_mobility(7, false)), "MM:7");
    assert_eq!(shown(ExtendedCommunity::of_mobility(0, true)), "MM:0, sticky MAC");
    let target = ExtendedCommunity::route_target(70000, 10).unwrap();
    assert_eq!(
        (target.is_route_target(), target.target_number()),
        (true, Some(10))
    );
    for text in ["10.0.0.1:2", "65000:70000", "70000:7"] {
        assert_eq!(text.parse::<Rd>().unwrap().to_string(), text);
    }
    for text in ["", "1", "1:", "x:1", "70000:70000", "1.2.3.4:65536", "+1:2"] {
        assert!(text.parse::<Rd>().is_err(), "{text}");
    }
    for text in [
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:0a:0b",
        "02:00:00:00:00:0g",
        "+2:00:00:00:00:0a",
    ] {
        assert!(text.parse::<Mac>().is_err(), "{text}");
    }
}
