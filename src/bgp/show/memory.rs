//! `show bgp memory`: how much FRR would use for what is here.

use std::collections::HashSet;
use std::sync::Arc;

use super::View;
use super::facts::{memory, nodes};
use crate::config::Arguments;
use crate::wire::Family;

/// FRR's octets for a node of a table, a route, an advertisement, attributes, a path, a neighbor and a peer-group.
const NODE: usize = 192;
const ROUTE: usize = 112;
const ADVERTISEMENT: usize = 96;
const ATTRIBUTES: usize = 312;
const PATH: usize = 40;
const PEER: usize = 741_464;
const GROUP: usize = 64;

/// `show bgp memory`.
pub(super) fn usage(view: &View, _arguments: &Arguments) -> String {
    let lines = rows(view).into_iter().filter(|(_, count, _)| *count > 0);
    lines
        .map(|(name, count, size)| format!("{count} {name}, using {} of memory\n", memory(count * size)))
        .collect()
}

/// What there is, how many of it, and how large FRR has each.
pub(super) fn rows(view: &View) -> [(&'static str, usize, usize); 7] {
    let tables = Family::UNICAST.map(|family| view.speaker.table(family));
    let routes = || {
        let destinations = tables.iter().flat_map(|table| table.iter());
        destinations.flat_map(|(_, destination)| destination.routes())
    };
    let attributes: HashSet<_> = routes().map(|route| Arc::as_ptr(&route.attributes)).collect();
    let paths: HashSet<_> = routes().map(|route| &route.attributes.as_path).collect();
    let told = view.peers().into_iter();
    let told = told.map(|peer| {
        Family::UNICAST
            .map(|family| peer.advertised_count(family))
            .iter()
            .sum::<usize>()
    });
    let told: usize = told.sum();
    [
        ("RIB nodes", tables.iter().map(|table| nodes(table)).sum(), NODE),
        ("BGP routes", routes().count(), ROUTE),
        ("Adj-Out entries", told, ADVERTISEMENT),
        ("BGP attributes", attributes.len(), ATTRIBUTES),
        ("BGP AS-PATH entries", paths.len(), PATH),
        ("peers", view.peers().len(), PEER),
        ("peer groups", view.bgp().map_or(0, |bgp| bgp.groups.len()), GROUP),
    ]
}
