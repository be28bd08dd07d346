//! What there may be of the routes of neighbors.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::bounds::{self, Bound};
use super::*;
use crate::table::{NextHopState, Path, Route, Rules, Source, SourceId, SourceKind};
use crate::wire::{EvpnKey, EvpnNlri, EvpnRoute, Mac, NextHop, Rd};

fn mac(number: usize) -> Mac {
    let [.., a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

fn rd(number: usize) -> Rd {
    Rd((number as u64).to_be_bytes())
}

fn host(rd: Rd, mac: Mac, ip: Option<usize>) -> EvpnKey {
    let ip = ip.map(|ip| IpAddr::from((ip as u128 + 1).to_be_bytes()));
    EvpnKey {
        rd,
        route: EvpnRoute::MacIp { tag: 0, mac, ip },
    }
}

/// Puts in what a neighbor says.
fn say(table: &mut EvpnTable, key: EvpnKey, vtep: usize) -> Result<(), Bound> {
    let source = Source {
        id: SourceId(7),
        kind: SourceKind::External,
        asn: 65002,
        router_id: [10, 0, 0, 2].into(),
        address: None,
    };
    let path = Path {
        source: Arc::new(source),
        attributes: Default::default(),
        next_hop: NextHop::V4((0x0a00_0000 + vtep as u32).into()),
        weight: 0,
        tag: 0,
        distance: None,
        table: None,
    };
    let route = Route::new(Arc::new(path), 0, NextHopState::Reachable(0), Duration::ZERO);
    let nlri = EvpnNlri::from(key.clone());
    table.insert(key, EvpnPath::of(&nlri, route))
}

/// Fills a table until it is full, shows that what is there may still be said otherwise and that there is room again once one is gone.
fn is_bounded(bound: Bound, most: usize, one: impl Fn(usize) -> (EvpnKey, usize)) {
    let mut table = EvpnTable::default();
    for number in 0..most {
        let (key, vtep) = one(number);
        assert_eq!(say(&mut table, key, vtep), Ok(()), "{number}");
    }
    let (first, vtep) = one(0);
    let (beyond, further) = one(most);
    assert_eq!(say(&mut table, beyond.clone(), further), Err(bound));
    assert_eq!(say(&mut table, first.clone(), vtep), Ok(()));
    table.decide(&Rules::default());
    assert_eq!(table.len(), most);
    assert!(table.remove(&first, SourceId(7), 0));
    table.decide(&Rules::default());
    assert_eq!(say(&mut table, beyond, further), Ok(()));
    // Nothing is left of a neighbor that is gone.
    table.remove_source(SourceId(7));
    table.decide(&Rules::default());
    assert!(table.is_empty() && table.vteps().next().is_none());
    assert_eq!(table.count(SourceId(7)), 0);
    assert_eq!(table.distinguishers().len(), 0);
}

#[test]
fn all_that_a_neighbor_fills_has_a_bound() {
    is_bounded(Bound::Routes, bounds::ROUTES, |at| {
        (host(rd(1), mac(at), None), 1)
    });
    is_bounded(Bound::Vteps, bounds::VTEPS, |at| (host(rd(1), mac(at), None), at));
    is_bounded(Bound::Distinguishers, bounds::DISTINGUISHERS, |at| {
        (host(rd(at), mac(1), None), 1)
    });
    is_bounded(Bound::RoutesOfMac, bounds::ROUTES_OF_MAC, |at| {
        (host(rd(1), mac(1), Some(at)), 1)
    });
    is_bounded(Bound::MacsOfAddress, bounds::MACS_OF_ADDRESS, |at| {
        (host(rd(1), mac(at), Some(1)), 1)
    });
}

#[test]
fn a_route_that_leads_elsewhere_counts_there_alone() {
    let mut table = EvpnTable::default();
    let key = host(rd(1), mac(1), None);
    for vtep in 0..3 * bounds::VTEPS {
        assert_eq!(say(&mut table, key.clone(), vtep), Ok(()));
    }
    assert_eq!(table.vteps().count(), 1);
}
