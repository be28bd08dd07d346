//! Whatever can be said is understood as it was meant: every kind of message, all attributes, both families, several
//! prefixes at once, with and without path identifiers, with AS numbers of two and of four octets.

use super::*;

/// An own attribute's flags say what it is; others are of codes that nobody knows.
fn arbitrary_unknown() -> impl Strategy<Value = Vec<RawAttribute>> {
    let one = |code: u8| {
        prop::collection::vec(any::<u8>(), 0..300).prop_map(move |value| RawAttribute { code, value })
    };
    prop_oneof![
        Just(Vec::new()),
        (one(40), one(99), one(200)).prop_map(|(a, b, c)| vec![a, b, c]),
    ]
}

fn arbitrary_nlri(family: Family, add_path: bool) -> impl Strategy<Value = Vec<Nlri>> {
    let one = (arbitrary_net(family == Family::Ipv4Unicast), any::<u32>());
    let one = one.prop_map(move |(prefix, id)| Nlri {
        prefix,
        path_id: add_path.then_some(id),
    });
    prop::collection::vec(one, 1..60)
}

fn arbitrary_options() -> impl Strategy<Value = Options> {
    any::<[bool; 5]>().prop_map(|[four_octet, extended_messages, ipv4, ipv6, internal]| Options {
        four_octet,
        heard_four_octet: four_octet,
        extended_messages,
        add_path_receive: PerFamily { ipv4, ipv6 },
        add_path_send: PerFamily { ipv4, ipv6 },
        internal,
    })
}

/// What happens within one AS only is said within one only.
fn complete(
    mut attributes: Attributes,
    options: &Options,
    inner: (u32, Option<u32>, Vec<u32>),
) -> Attributes {
    if options.internal {
        attributes.local_pref = Some(inner.0);
        attributes.originator_id = inner.1.map(Into::into);
        attributes.cluster_list = inner.2.into_iter().map(Into::into).collect();
    }
    if !options.four_octet {
        // In a side with two octets this number stands for any other.
        let plain = |asn| if asn == u32::from(AS_TRANS) { 1 } else { asn };
        attributes.as_path = attributes.as_path.mapped(plain);
        attributes.aggregator = attributes.aggregator.map(|(asn, id)| (plain(asn), id));
    }
    attributes
}

proptest! {
    #[test]
    fn all_attributes_arrive(
        attributes in arbitrary_attributes(),
        inner in (any::<u32>(), any::<Option<u32>>(), prop::collection::vec(any::<u32>(), 0..5)),
        unknown in arbitrary_unknown(),
        small in any::<bool>(),
        (options, family, nlri) in (arbitrary_options(), prop::sample::select(&Family::ALL[..])).prop_flat_map(|(options, family)| {
            let add_path = *options.add_path_receive.get(family);
            (Just(options), Just(family), arbitrary_nlri(family, add_path))
        }),
        hop in any::<u128>(),
    ) {
        let mut attributes = complete(attributes, &options, inner);
        attributes.unknown = unknown.into();
        if small {
            // An aggregator with two octets, and a path with four.
            attributes.aggregator = attributes.aggregator.map(|(_, id)| (65000, id));
        }
        let next_hop = match family {
            Family::Ipv4Unicast => NextHop::V4((hop as u32).into()),
            Family::Ipv6Unicast => NextHop::V6 { global: hop.into(), link_local: None },
        };
        let update = Update {
            reachable: vec![Reach { family, next_hop, nlri }],
            attributes,
            ..Update::default()
        };
        let said = bytes(&Message::Update(update.clone()), &options);
        let mut heard: Option<Update> = None;
        for message in read(&said, &options).unwrap() {
            let Message::Update(more) = message else { panic!("{message:?}") };
            match &mut heard {
                // What does not fit into one message stands in several alike.
                Some(all) => {
                    prop_assert_eq!(&all.attributes, &more.attributes);
                    all.reachable[0].nlri.extend(&more.reachable[0].nlri);
                }
                None => heard = Some(more),
            }
        }
        prop_assert_eq!(heard, Some(update));
    }

    #[test]
    fn withdrawals_arrive(
        (options, family, nlri) in (arbitrary_options(), prop::sample::select(&Family::ALL[..])).prop_flat_map(|(options, family)| {
            let add_path = *options.add_path_receive.get(family);
            (Just(options), Just(family), arbitrary_nlri(family, add_path))
        }),
    ) {
        let update = Update { unreachable: vec![(family, nlri)], ..Update::default() };
        let said = bytes(&Message::Update(update.clone()), &options);
        prop_assert_eq!(one(&said, &options), Message::Update(update));
    }

    #[test]
    fn notifications_and_refreshes_arrive(
        code in any::<(u8, u8)>(),
        data in prop::collection::vec(any::<u8>(), 0..4000),
        afi in any::<u16>(),
        safi in any::<u8>(),
        kind in 0..=255u8,
    ) {
        let kind = match kind {
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            other => RefreshKind::Unknown(other),
        };
        for message in [
            Message::Notification(Notification::with_data(code.0, code.1, data)),
            Message::RouteRefresh(AfiSafi { afi, safi }, kind),
            Message::Keepalive,
        ] {
            prop_assert_eq!(one(&bytes(&message, &WIDE), &WIDE), message);
        }
    }
}
