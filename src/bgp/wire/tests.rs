use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use proptest::prelude::*;

use super::error_code::{MESSAGE_HEADER, OPEN_MESSAGE, UPDATE_MESSAGE};
use super::*;
use crate::rng::Rng;

mod evpn;
mod round_trips;

const WIDE: Options = Options {
    four_octet: true,
    heard_four_octet: true,
    extended_messages: false,
    add_path_receive: PerFamily {
        ipv4: false,
        ipv6: false,
        evpn: false,
    },
    add_path_send: PerFamily {
        ipv4: false,
        ipv6: false,
        evpn: false,
    },
    internal: false,
};

fn bytes(message: &Message, options: &Options) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, options, &mut out);
    out
}

/// Cuts a stream into messages and reads all of them.
fn read(mut stream: &[u8], options: &Options) -> Result<Vec<Message>, Notification> {
    let mut found = Vec::new();
    while let Some(length) = frame(stream, options)? {
        found.push(decode(&stream[..length], options)?);
        stream = &stream[length..];
    }
    Ok(found)
}

fn one(stream: &[u8], options: &Options) -> Message {
    let mut found = read(stream, options).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// An UPDATE of these parts.
fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    out.extend([0, 0, 2]);
    for part in [withdrawn, attributes] {
        out.extend((part.len() as u16).to_be_bytes());
        out.extend(part);
    }
    out.extend(nlri);
    let length = (out.len() as u16).to_be_bytes();
    out[16..18].copy_from_slice(&length);
    out
}

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 253, 232];
const NEXT: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const NET: &[u8] = &[24, 10, 1, 2];

fn decoded(attributes: &[&[u8]], nlri: &[u8], options: &Options) -> Result<Update, Notification> {
    let stream = update(&[], &attributes.concat(), nlri);
    match read(&stream, options)?.remove(0) {
        Message::Update(update) => Ok(update),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_update() {
    let found = decoded(&[ORIGIN, PATH, NEXT], NET, &WIDE).unwrap();
    assert_eq!(found.reachable[0].next_hop.to_string(), "192.0.2.1");
    assert_eq!(found.reachable[0].nlri[0].prefix.to_string(), "10.1.2.0/24");
    assert_eq!(found.attributes.as_path.to_string(), "65000");
    assert_eq!((found.end_of_rib, found.faults.len()), (None, 0));
}

#[test]
fn what_is_malformed_withdraws_or_is_left_out() {
    let withdraws: [&[&[u8]]; 9] = [
        &[PATH, NEXT],
        &[ORIGIN, NEXT],
        &[ORIGIN, PATH],
        &[&[0x40, 1, 1, 3], PATH, NEXT],
        &[&[0xc0, 1, 1, 0], PATH, NEXT],
        &[ORIGIN, &[0x40, 2, 3, 2, 1, 0], NEXT],
        &[ORIGIN, PATH, NEXT, &[0xc0, 8, 3, 0, 0, 1]],
        &[ORIGIN, PATH, NEXT, &[0x80, 4, 2, 0, 1]],
        &[ORIGIN, PATH, NEXT, &[0xc0, 8, 200, 0, 1]],
    ];
    for attributes in withdraws {
        let found = decoded(attributes, NET, &WIDE).unwrap();
        assert!(
            found.reachable.is_empty() && !found.faults.is_empty(),
            "{attributes:?}"
        );
        assert_eq!(found.unreachable[0].1[0].prefix.to_string(), "10.1.2.0/24");
    }
    let leaves_out: [&[u8]; 5] = [
        &[0x40, 6, 1, 0],
        &[0xc0, 7, 3, 0, 0, 1],
        &[0x40, 5, 4, 0, 0, 0, 1],
        ORIGIN,
        &[0xc0, 17, 6, 2, 1, 0, 0, 0, 1],
    ];
    for attribute in leaves_out {
        let found = decoded(&[ORIGIN, PATH, NEXT, attribute], NET, &WIDE).unwrap();
        assert!(
            found.reachable.len() == 1 && found.faults.len() == 1,
            "{attribute:?}"
        );
        assert_eq!(found.attributes.local_pref, None);
    }
}

#[test]
fn what_puts_the_rest_in_doubt_ends_the_session() {
    let reach: &[u8] = &[0x80, 14, 5, 0, 1, 1, 3, 0];
    let twice: &[u8] = &[0x80, 15, 3, 0, 2, 1, 0x80, 15, 3, 0, 2, 1];
    for (attributes, nlri, subcode) in [
        (&[ORIGIN, PATH, NEXT][..], &[33, 10, 0, 0, 0, 0][..], 10),
        (&[ORIGIN, PATH, NEXT], &[24, 10], 10),
        (&[ORIGIN, reach], &[], 9),
        (&[twice], &[], 1),
        (&[ORIGIN, &[0x40, 99, 0]], &[], 2),
    ] {
        let refused = decoded(attributes, nlri, &WIDE).unwrap_err();
        assert_eq!((refused.code, refused.subcode), (UPDATE_MESSAGE, subcode));
    }
}

#[test]
fn unknown_attributes_are_passed_on_as_partial() {
    let found = decoded(
        &[ORIGIN, PATH, NEXT, &[0xc0, 99, 1, 7], &[0x80, 98, 1, 7]],
        NET,
        &WIDE,
    )
    .unwrap();
    assert_eq!(found.attributes.unknown.len(), 1);
    let stream = bytes(&Message::Update(found), &WIDE);
    assert!(stream.windows(4).any(|it| it == [0xe0, 99, 1, 7]), "{stream:?}");
}

#[test]
fn frames() {
    let keepalive = bytes(&Message::Keepalive, &WIDE);
    assert_eq!(keepalive.len(), 19);
    for length in 0..19 {
        assert_eq!(frame(&keepalive[..length], &WIDE), Ok(None));
    }
    let broken = |at: usize, value: u8| {
        let mut stream = keepalive.clone();
        stream[at] = value;
        let refused = frame(&stream, &WIDE).unwrap_err();
        (refused.code, refused.subcode)
    };
    assert_eq!(broken(3, 0), (MESSAGE_HEADER, 1));
    assert_eq!(broken(17, 18), (MESSAGE_HEADER, 2));
    assert_eq!(broken(17, 20), (MESSAGE_HEADER, 2));
    assert_eq!(broken(16, 0x11), (MESSAGE_HEADER, 2));
    assert_eq!(broken(18, 6), (MESSAGE_HEADER, 3));
}

#[test]
fn opens_are_refused_for_the_right_reason() {
    let open = Open {
        asn: 65010,
        hold_time: 9,
        router_id: Ipv4Addr::new(10, 0, 0, 1),
        capabilities: Vec::new(),
    };
    let stream = bytes(&Message::Open(open.clone()), &WIDE);
    assert_eq!(one(&stream, &WIDE), Message::Open(open));
    for (at, value, subcode) in [(19, 3, 1), (23, 1, 6), (28, 9, 0)] {
        let mut broken = stream.clone();
        broken[at] = value;
        if at == 23 {
            (broken[22], broken[23]) = (0, 1);
        }
        let refused = read(&broken, &WIDE).unwrap_err();
        assert_eq!((refused.code, refused.subcode), (OPEN_MESSAGE, subcode), "{at}");
    }
    let mut nobody = stream.clone();
    nobody[24..28].fill(0);
    assert_eq!(read(&nobody, &WIDE).unwrap_err().subcode, 3);
}

#[test]
fn ends_of_routes_are_recognized() {
    for family in Family::ALL {
        let mut out = Vec::new();
        withdraw(family, [], &WIDE, &mut out);
        let Message::Update(found) = one(&out, &WIDE) else {
            panic!()
        };
        assert_eq!(found.end_of_rib, Some(family));
        assert!(found.unreachable.is_empty());
    }
}

#[test]
fn many_prefixes_take_few_messages() {
    let nets = (0..10_000u32).map(|number| {
        let net = ipnet::Ipv4Net::new((0x0a00_0000 + (number << 8)).into(), 24).unwrap();
        Nlri::from(IpNet::V4(net))
    });
    let attributes = Attributes::default();
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let mut out = Vec::new();
    announce(
        Family::Ipv4Unicast,
        next_hop,
        &attributes,
        nets.clone(),
        &WIDE,
        &mut out,
    )
    .unwrap();
    let found = read(&out, &WIDE).unwrap();
    assert!(found.len() <= 10, "{}", found.len());
    let all: Vec<Nlri> = found
        .into_iter()
        .flat_map(|message| match message {
            Message::Update(update) => update.reachable[0].nlri.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert!(all.into_iter().eq(nets));
    let long = Attributes {
        communities: vec![Community(1); 2000],
        ..Attributes::default()
    };
    let net: Nlri = "10.0.0.0/8".parse::<IpNet>().unwrap().into();
    assert_eq!(
        announce(
            Family::Ipv4Unicast,
            next_hop,
            &long,
            [net],
            &WIDE,
            &mut Vec::new()
        ),
        Err(TooLong)
    );
}

#[test]
fn four_octets_survive_a_side_with_two() {
    let narrow = Options::default();
    let path: AsPath = "65000 70000 70001 {1,2}".parse().unwrap();
    let update = Update {
        reachable: vec![Reach {
            family: Family::Ipv4Unicast,
            next_hop: NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)),
            nlri: vec!["10.0.0.0/8".parse::<IpNet>().unwrap().into()],
        }],
        attributes: Attributes {
            as_path: path,
            aggregator: Some((70000, Ipv4Addr::new(1, 1, 1, 1))),
            ..Attributes::default()
        },
        ..Update::default()
    };
    let stream = bytes(&Message::Update(update.clone()), &narrow);
    assert_eq!(one(&stream, &narrow), Message::Update(update));
}

/// Only an AS4_AGGREGATOR beside an AGGREGATOR of two octets says that somebody on the way knew nothing of either.
#[test]
fn an_aggregator_of_two_octets_hides_nothing_by_itself() {
    let narrow = Options {
        four_octet: false,
        heard_four_octet: false,
        ..WIDE
    };
    let update = Update {
        reachable: vec![Reach {
            family: Family::Ipv4Unicast,
            next_hop: NextHop::V4(Ipv4Addr::new(10, 0, 0, 2)),
            nlri: vec![Nlri::from("10.1.0.0/16".parse::<IpNet>().unwrap())],
        }],
        attributes: Attributes {
            as_path: AsPath {
                segments: [Segment::Sequence(vec![65010, 70000])].into(),
            },
            aggregator: Some((65010, Ipv4Addr::new(10, 0, 0, 9))),
            ..Attributes::default()
        },
        ..Update::default()
    };
    let stream = bytes(&Message::Update(update.clone()), &narrow);
    assert_eq!(one(&stream, &narrow), Message::Update(update));
}

/// AS 0 is nobody's (RFC 7607 section 2): whatever has it is malformed, and what that means hangs on the attribute.
#[test]
fn as_0_is_nobody_in_sessions_of_two_octets_either() {
    let narrow = Options {
        four_octet: false,
        heard_four_octet: false,
        ..WIDE
    };
    let path: &[u8] = &[0x40, 2, 8, 2, 3, 253, 232, 91, 160, 0, 9];
    let zero: &[u8] = &[0x40, 2, 6, 2, 2, 253, 232, 0, 0];
    let found = decoded(&[ORIGIN, zero, NEXT], NET, &narrow).unwrap();
    assert!(found.reachable.is_empty() && found.unreachable.len() == 1);
    let aggregator: &[u8] = &[0xc0, 7, 6, 91, 160, 1, 1, 1, 1];
    let left_out: [&[u8]; 3] = [
        &[0xc0, 17, 14, 2, 3, 0, 0, 253, 232, 0, 1, 17, 112, 0, 0, 0, 0],
        &[0xc0, 18, 8, 0, 0, 0, 0, 1, 1, 1, 1],
        &[0xc0, 7, 6, 0, 0, 1, 1, 1, 1],
    ];
    for attribute in left_out {
        let mut all = vec![ORIGIN, path, NEXT, attribute];
        if attribute[1] != 7 {
            all.push(aggregator);
        }
        let found = decoded(&all, NET, &narrow).unwrap();
        assert_eq!(found.reachable.len(), 1, "{attribute:?}");
        assert_eq!(found.attributes.as_path.to_string(), "65000 23456 9");
        let expected = (attribute[1] != 7).then_some((23456, Ipv4Addr::new(1, 1, 1, 1)));
        assert_eq!(found.attributes.aggregator, expected, "{attribute:?}");
        assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    }
}

fn arbitrary_net(v4: bool) -> BoxedStrategy<IpNet> {
    if v4 {
        (any::<u32>(), 0..=32u8)
            .prop_map(|(bits, length)| IpNet::V4(ipnet::Ipv4Net::new(bits.into(), length).unwrap().trunc()))
            .boxed()
    } else {
        (any::<u128>(), 0..=128u8)
            .prop_map(|(bits, length)| IpNet::V6(ipnet::Ipv6Net::new(bits.into(), length).unwrap().trunc()))
            .boxed()
    }
}

fn arbitrary_attributes() -> impl Strategy<Value = Attributes> {
    let path = prop::collection::vec((any::<bool>(), prop::collection::vec(1..=u32::MAX, 1..5)), 0..4);
    let small = (
        any::<Option<u32>>(),
        any::<bool>(),
        prop::option::of((1..=u32::MAX, any::<[u8; 4]>())),
    );
    let lists = (
        prop::collection::vec(any::<u32>(), 0..5),
        prop::collection::vec(any::<[u8; 8]>(), 0..4),
        prop::collection::vec(any::<[u32; 3]>(), 0..4),
    );
    (path, small, lists, 0..3u8).prop_map(|(path, (med, atomic_aggregate, aggregator), lists, origin)| {
        let segments = path.into_iter().map(|(set, asns)| match set {
            true => Segment::Set(asns),
            false => Segment::Sequence(asns),
        });
        Attributes {
            origin: Origin::from_number(origin).unwrap(),
            as_path: AsPath {
                segments: segments.collect(),
            },
            med,
            atomic_aggregate,
            aggregator: aggregator.map(|(asn, id)| (asn, id.into())),
            communities: lists.0.into_iter().map(Community).collect(),
            extended_communities: lists.1.into_iter().map(ExtendedCommunity).collect(),
            large_communities: lists
                .2
                .into_iter()
                .map(|[global, local1, local2]| LargeCommunity {
                    global,
                    local1,
                    local2,
                })
                .collect(),
            ..Attributes::default()
        }
    })
}

fn arbitrary_capability() -> impl Strategy<Value = Capability> {
    let family = || (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| AfiSafi { afi, safi });
    prop_oneof![
        family().prop_map(Capability::Multiprotocol),
        Just(Capability::RouteRefresh),
        prop::collection::vec((family(), any::<u16>()), 1..5).prop_map(Capability::ExtendedNextHop),
        Just(Capability::ExtendedMessages),
        (
            any::<bool>(),
            any::<bool>(),
            0..4096u16,
            prop::collection::vec((family(), any::<bool>()), 0..4)
        )
            .prop_map(|(restarting, notification, time, families)| {
                Capability::GracefulRestart(GracefulRestart {
                    restarting,
                    notification,
                    time,
                    families,
                })
            }),
        (1..u32::MAX).prop_map(Capability::FourOctetAs),
        prop::collection::vec((family(), any::<u8>()), 1..5).prop_map(Capability::AddPath),
        Just(Capability::EnhancedRouteRefresh),
        ("[a-z0-9-]{0,60}", "[a-z.]{0,60}").prop_map(|(host, domain)| Capability::Fqdn { host, domain }),
        Just(Capability::OldRouteRefresh),
        any::<bool>().prop_map(Capability::Dynamic),
        prop::collection::vec((family(), any::<bool>(), 0..1u32 << 24), 0..5)
            .prop_map(Capability::LongLivedRestart),
        (129..=255u8, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

proptest! {
    #[test]
    fn updates_are_read_as_they_were_written(
        attributes in arbitrary_attributes(),
        v4 in any::<bool>(),
        hop in any::<(u32, u128, Option<u64>, bool)>(),
        nets in (arbitrary_net(true), arbitrary_net(false), any::<Option<u32>>()),
        flags in any::<(bool, bool)>(),
    ) {
        let family = if v4 { Family::Ipv4Unicast } else { Family::Ipv6Unicast };
        let next_hop = if v4 && hop.3 {
            NextHop::V4(hop.0.into())
        } else {
            let local = hop.2.map(|low| std::net::Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(low)));
            NextHop::V6 { global: hop.1.into(), link_local: local }
        };
        let path_id = nets.2;
        let prefix = if v4 { nets.0 } else { nets.1 };
        let mut options = WIDE;
        options.extended_messages = flags.0;
        *options.add_path_receive.get_mut(family) = path_id.is_some();
        let update = Update {
            reachable: vec![Reach { family, next_hop, nlri: vec![Nlri { prefix, path_id }] }],
            attributes,
            ..Update::default()
        };
        let stream = bytes(&Message::Update(update.clone()), &options);
        prop_assert_eq!(one(&stream, &options), Message::Update(update));
    }

    #[test]
    fn opens_are_read_as_they_were_written(
        asn in (1..=u32::MAX).prop_filter("it stands for others", |asn| *asn != u32::from(AS_TRANS)),
        hold_time in prop_oneof![Just(0u16), 3..=u16::MAX],
        id in 1..=u32::MAX,
        mut capabilities in prop::collection::vec(arbitrary_capability(), 0..8),
    ) {
        capabilities.retain(|it| !matches!(it, Capability::FourOctetAs(_)));
        capabilities.push(Capability::FourOctetAs(asn));
        let open = Open { asn, hold_time, router_id: id.into(), capabilities };
        let stream = bytes(&Message::Open(open.clone()), &WIDE);
        prop_assert_eq!(one(&stream, &WIDE), Message::Open(open));
    }
}

#[test]
fn mutated_messages_do_no_harm() {
    let v6: &[u8] = &[
        0x90, 14, 0, 30, 0, 2, 1, 16, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 64, 0x20,
        1, 0x0d, 0xb8, 0, 0, 0, 1,
    ];
    let more: &[u8] = &[0xc0, 8, 4, 255, 255, 255, 1, 0xc0, 16, 8, 0, 2, 0, 1, 0, 0, 0, 1];
    let seeds = [
        update(&[8, 10, 16, 192, 168], &[ORIGIN, PATH, NEXT, more].concat(), NET),
        update(&[], &[v6, ORIGIN, PATH].concat(), &[]),
        bytes(
            &Message::Open(Open {
                asn: 70000,
                hold_time: 9,
                router_id: Ipv4Addr::new(1, 1, 1, 1),
                capabilities: vec![
                    Capability::FourOctetAs(70000),
                    Capability::ExtendedNextHop(vec![(Family::Ipv4Unicast.into(), 2)]),
                    Capability::GracefulRestart(GracefulRestart::default()),
                    Capability::Fqdn {
                        host: "tor0".into(),
                        domain: String::new(),
                    },
                ],
            }),
            &WIDE,
        ),
        bytes(
            &Message::Notification(Notification::shutdown(2, "good night")),
            &WIDE,
        ),
        bytes(
            &Message::RouteRefresh(Family::Ipv4Unicast.into(), RefreshKind::Request),
            &WIDE,
        ),
    ];
    let mut rng = Rng::new(42);
    let (mut read_well, mut refused) = (0, 0);
    // `NSLAB_ROUNDS=5000000` makes so many tries.
    let rounds = std::env::var("NSLAB_ROUNDS").ok().and_then(|it| it.parse().ok());
    for round in 0..rounds.unwrap_or(200_000usize) {
        let mut message = seeds[round % seeds.len()].clone();
        for _ in 0..=rng.roll(3) {
            let at = HEADER + rng.roll((message.len() - HEADER) as u64) as usize;
            match rng.roll(4) {
                0 => message[at] = rng.roll(256) as u8,
                1 => message[at] ^= 1 << rng.roll(8),
                2 => message.truncate(at.max(HEADER + 4)),
                _ => message.insert(at, rng.roll(256) as u8),
            }
        }
        let length = (message.len() as u16).to_be_bytes();
        message[16..18].copy_from_slice(&length);
        let options = Options {
            four_octet: rng.roll(2) == 0,
            internal: rng.roll(2) == 0,
            ..WIDE
        };
        match read(&message, &options) {
            Ok(found) => {
                read_well += 1;
                // What was understood can be said again, and is understood the same.
                if let Some(Message::Update(update)) = found.first().filter(|_| options.four_octet) {
                    let again = read(&bytes(&Message::Update(update.clone()), &options), &options).unwrap();
                    assert!(
                        again.iter().all(|it| matches!(it, Message::Update(_))),
                        "{message:?}"
                    );
                }
            }
            Err(notification) => {
                assert!((1..=7).contains(&notification.code), "{notification:?}");
                refused += 1;
            }
        }
    }
    assert!(
        read_well > 10_000 && refused > 10_000,
        "{read_well} read, {refused} refused"
    );
}
