//! Routes of this router's own: `network` and `redistribute`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::{Interface, OWN, Speaker, family_of};
use crate::bgp::config::{FamilyTable, Source as Redistributed};
use crate::bgp::session::Time;
use crate::bgp::table::{NextHopState, Route, Source, SourceKind};
use crate::bgp::wire::{Attributes, Family, NextHop, Origin};

/// What FRR gives to its own routes.
const WEIGHT: u32 = 32768;

/// A route of this router's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    origin: Origin,
    med: u32,
    /// The next hop, where the route has one that can be told.
    via: Option<IpAddr>,
}

impl Interface {
    /// Networks this router is in; of the loopback's own none can be told.
    pub(super) fn networks(&self) -> impl Iterator<Item = IpNet> {
        let told = |net: &&IpNet| match net.addr() {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        };
        self.addresses.iter().filter(told).map(IpNet::trunc)
    }
}

impl Speaker {
    /// Puts the routes of its own into the tables, and takes out those it has no longer.
    pub(super) fn originate(&mut self, now: Time) {
        let mut wanted = BTreeMap::new();
        for family in Family::ALL {
            if let Some(bgp) = &self.config.bgp {
                self.originate_family(family, bgp.family(family), &mut wanted);
            }
        }
        let source = Arc::new(Source {
            id: OWN,
            kind: SourceKind::Local,
            asn: self.config.bgp.as_ref().map_or(0, |bgp| bgp.asn),
            router_id: self.router_id(),
            address: None,
        });
        let before = std::mem::take(&mut self.own);
        for prefix in before.keys().filter(|prefix| !wanted.contains_key(*prefix)) {
            self.tables.get_mut(family_of(prefix)).remove(*prefix, OWN, 0);
        }
        for (prefix, own) in &wanted {
            let next_hop = match own.via {
                Some(IpAddr::V4(address)) => NextHop::V4(address),
                Some(IpAddr::V6(global)) => NextHop::V6 {
                    global,
                    link_local: None,
                },
                None if family_of(prefix) == Family::Ipv4Unicast => NextHop::V4(Ipv4Addr::UNSPECIFIED),
                None => NextHop::V6 {
                    global: Ipv6Addr::UNSPECIFIED,
                    link_local: None,
                },
            };
            let attributes = Attributes {
                origin: own.origin,
                med: Some(own.med),
                ..Attributes::default()
            };
            let route = Route {
                source: Arc::clone(&source),
                path_id: 0,
                attributes: Arc::new(attributes),
                next_hop,
                next_hop_state: NextHopState::Reachable(0),
                weight: WEIGHT,
                stale: false,
                since: now,
            };
            self.tables.get_mut(family_of(prefix)).insert(*prefix, route);
        }
        self.own = wanted;
    }

    fn originate_family(&self, family: Family, table: &FamilyTable, wanted: &mut BTreeMap<IpNet, Own>) {
        let up = || self.interfaces.iter().filter(|it| it.up);
        let own = |med: Option<u32>, metric: u32, via: Option<IpAddr>| Own {
            origin: Origin::Incomplete,
            med: med.unwrap_or(metric),
            via,
        };
        if let Some(how) = table.redistribute.get(&Redistributed::Connected) {
            let networks = up()
                .flat_map(Interface::networks)
                .filter(|it| family_of(it) == family);
            wanted.extend(networks.map(|prefix| (prefix, own(how.metric, 0, None))));
        }
        for (kind, is_static) in [(Redistributed::Static, true), (Redistributed::Kernel, false)] {
            let Some(how) = table.redistribute.get(&kind) else {
                continue;
            };
            let routes = self
                .routes
                .iter()
                .filter(|it| it.is_static == is_static && family_of(&it.to) == family);
            for route in routes {
                let via = route.hops.first().and_then(|hop| hop.via);
                let via = via.filter(|via| via.is_ipv4() == route.to.addr().is_ipv4());
                wanted.insert(route.to, own(how.metric, route.metric, via));
            }
        }
        let import_check = self.config.bgp.as_ref().is_some_and(|bgp| bgp.flags.import_check);
        for prefix in table.networks.keys() {
            let connected = || up().flat_map(Interface::networks).any(|net| net == *prefix);
            let known = || self.routes.iter().any(|route| route.to == *prefix);
            if !import_check || connected() || known() {
                let origin = Origin::Igp;
                let (med, via) = (0, None);
                wanted.insert(*prefix, Own { origin, med, via });
            }
        }
    }
}
