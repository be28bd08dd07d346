//! `show bgp attribute-info`: sets of attributes, and how many routes have each.

use std::collections::HashMap;

use super::View;
use crate::config::Arguments;
use crate::table::Route;
use crate::wire::{Attributes, Family, NextHop, Origin};

/// What FRR shows where there is no MPLS label.
const NO_LABEL: u32 = 4_294_836_223;
/// MP_REACH_NLRI and LARGE_COMMUNITY, of which the flags FRR shows are the numbers less one.
const MP_REACH: u8 = 14;
const LARGE_COMMUNITY: u8 = 32;

/// What makes a set of attributes another.
type Key<'s> = (&'s Attributes, NextHop, u32);

/// `show bgp attribute-info`.
pub(super) fn attributes(view: &View, _: &Arguments) -> String {
    let mut counts: HashMap<Key, usize> = HashMap::new();
    let mut order: Vec<(Key, &Route)> = Vec::new();
    for family in Family::UNICAST {
        let destinations = view.speaker.table(family).iter();
        for route in destinations.flat_map(|(_, destination)| destination.routes()) {
            let key: Key = (&route.attributes, route.next_hop, route.weight);
            let count = counts.entry(key).or_default();
            if *count == 0 {
                order.push((key, route));
            }
            *count += 1;
        }
    }
    let lines = order.into_iter().map(|(key, route)| {
        let count = counts.get(&key).copied().unwrap_or_default();
        line(route, count)
    });
    lines.collect()
}

fn line(route: &Route, count: usize) -> String {
    let attributes = &route.attributes;
    let next_hop = match route.next_hop {
        NextHop::V4(address) => address,
        NextHop::V6 { .. } => std::net::Ipv4Addr::UNSPECIFIED,
    };
    format!(
        "attr[{count}] nexthop {next_hop}\n\tflags: {} distance: {} med: {} local_pref: {} origin: {} weight: {} label: \
         {NO_LABEL} sid: \n",
        flags(route),
        route.distance.map_or(0, |it| it.get()),
        attributes.med.unwrap_or(0),
        attributes.local_pref.unwrap_or(0),
        match attributes.origin {
            Origin::Igp => 0,
            Origin::Egp => 1,
            Origin::Incomplete => 2,
        },
        route.weight,
    )
}

/// Which attributes there are: a bit for each, by its number.
fn flags(route: &Route) -> u32 {
    let it = &route.attributes;
    let traditional = matches!(route.next_hop, NextHop::V4(_));
    let present = [
        (1, true),
        (2, true),
        (3, traditional),
        (4, it.med.is_some()),
        (5, it.local_pref.is_some()),
        (6, it.atomic_aggregate),
        (7, it.aggregator.is_some()),
        (8, !it.communities.is_empty()),
        (9, it.originator_id.is_some()),
        (10, !it.cluster_list.is_empty()),
        (MP_REACH, !traditional),
        (16, !it.extended_communities.is_empty()),
        (LARGE_COMMUNITY, !it.large_communities.is_empty()),
    ];
    let set = present.into_iter().filter(|(_, is)| *is);
    set.fold(0, |flags, (number, _)| flags | 1 << (number - 1))
}
