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
    any::<[bool; 6]>().prop_map(|[four_octet, extended_messages, ipv4, ipv6, evpn, internal]| {
        let several = PerFamily { ipv4, ipv6, evpn };
        Options {
            four_octet,
            heard_four_octet: four_octet,
            extended_messages,
            add_path_receive: several,
            add_path_send: several,
            internal,
        }
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

/// Routes of all types with whatever may stand in them.
fn arbitrary_evpn(add_path: bool) -> impl Strategy<Value = Vec<EvpnNlri>> {
    let address = any::<(bool, u128)>().prop_map(|(v4, number)| match v4 {
        true => IpAddr::V4((number as u32).into()),
        false => IpAddr::V6(number.into()),
    });
    let value = prop::collection::vec(any::<u8>(), 0..247);
    let route = prop_oneof![
        (any::<u32>(), any::<[u8; 6]>(), prop::option::of(address.clone())).prop_map(|(tag, mac, ip)| {
            EvpnRoute::MacIp {
                tag,
                mac: Mac(mac),
                ip,
            }
        }),
        (any::<u32>(), address.clone())
            .prop_map(|(tag, originator)| EvpnRoute::Multicast { tag, originator }),
        any::<([u8; 10], u32)>().prop_map(|(esi, tag)| EvpnRoute::AutoDiscovery { esi: Esi(esi), tag }),
        (any::<[u8; 10]>(), address).prop_map(|(esi, originator)| EvpnRoute::Segment {
            esi: Esi(esi),
            originator
        }),
        (any::<u32>(), arbitrary_net(true)).prop_map(|(tag, prefix)| EvpnRoute::Prefix { tag, prefix }),
        (any::<u32>(), arbitrary_net(false)).prop_map(|(tag, prefix)| EvpnRoute::Prefix { tag, prefix }),
        (prop::sample::select(vec![0u8, 6, 11, 255]), value)
            .prop_map(|(kind, value)| EvpnRoute::Other { kind, value }),
    ];
    let beside = any::<([u8; 8], u32, [u8; 10], u32, Option<u32>, u128)>();
    let one = (route, beside).prop_map(move |(route, (rd, id, esi, vni, second, gateway))| {
        let label = |number: u32| Vni(number & 0xff_ffff);
        let mut nlri = EvpnNlri {
            path_id: add_path.then_some(id),
            ..EvpnNlri::from(EvpnKey { rd: Rd(rd), route })
        };
        match &nlri.key.route {
            EvpnRoute::MacIp { .. } => {
                (nlri.esi, nlri.vni, nlri.l3vni) = (Esi(esi), label(vni), second.map(label));
            }
            EvpnRoute::Prefix { prefix, .. } => {
                let gateway = match prefix.addr().is_ipv4() {
                    true => IpAddr::V4((gateway as u32).into()),
                    false => IpAddr::V6(gateway.into()),
                };
                (nlri.esi, nlri.vni) = (Esi(esi), label(vni));
                nlri.gateway = Some(gateway).filter(|it| !it.is_unspecified());
            }
            EvpnRoute::AutoDiscovery { .. } => nlri.vni = label(vni),
            EvpnRoute::Multicast { .. } | EvpnRoute::Segment { .. } | EvpnRoute::Other { .. } => {}
        }
        nlri
    });
    prop::collection::vec(one, 1..60)
}

proptest! {
    #[test]
    fn routes_of_evpn_arrive(
        attributes in arbitrary_attributes(),
        inner in (any::<u32>(), any::<Option<u32>>(), prop::collection::vec(any::<u32>(), 0..5)),
        (options, nlri) in arbitrary_options().prop_flat_map(|options| {
            (Just(options), arbitrary_evpn(options.add_path_receive.evpn))
        }),
        hop in any::<u32>(),
        gone in any::<bool>(),
    ) {
        let mut attributes = complete(attributes, &options, inner);
        let endpoint = Some(IpAddr::V4(hop.into()));
        let tunnel = PmsiTunnel { kind: PmsiTunnel::INGRESS_REPLICATION, vni: Vni(hop >> 8), endpoint };
        tunnel.put(&mut attributes);
        prop_assert_eq!(PmsiTunnel::of(&attributes), Some(tunnel));
        let update = match gone {
            true => Update { evpn_unreachable: nlri.clone(), ..Update::default() },
            false => Update {
                evpn_reachable: Some((NextHop::V4(hop.into()), nlri.clone())),
                attributes: attributes.clone(),
                ..Update::default()
            },
        };
        let said = bytes(&Message::Update(update), &options);
        let mut heard = Vec::new();
        for message in read(&said, &options).unwrap() {
            let Message::Update(more) = message else { panic!("{message:?}") };
            prop_assert_eq!(&more.faults, &Vec::<String>::new());
            prop_assert!(more.end_of_rib.is_none() && more.reachable.is_empty() && more.unreachable.is_empty());
            heard.extend(more.evpn_unreachable);
            if let Some((next_hop, nlri)) = more.evpn_reachable {
                prop_assert_eq!(next_hop, NextHop::V4(hop.into()));
                prop_assert_eq!(&more.attributes, &attributes);
                heard.extend(nlri);
            }
        }
        prop_assert_eq!(heard, nlri);
    }

    #[test]
    fn all_attributes_arrive(
        attributes in arbitrary_attributes(),
        inner in (any::<u32>(), any::<Option<u32>>(), prop::collection::vec(any::<u32>(), 0..5)),
        unknown in arbitrary_unknown(),
        small in any::<bool>(),
        (options, family, nlri) in (arbitrary_options(), prop::sample::select(&Family::UNICAST[..])).prop_flat_map(|(options, family)| {
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
            _ => NextHop::V6 { global: hop.into(), link_local: None },
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
        (options, family, nlri) in (arbitrary_options(), prop::sample::select(&Family::UNICAST[..])).prop_flat_map(|(options, family)| {
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
