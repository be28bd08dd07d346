//! What is known of a node's interfaces and routes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::decode::{Hop, Link, Route, RouteKey};
use crate::row::{RouteChange, Way, protocol};

/// Interfaces and routes.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub links: BTreeMap<u32, Link>,
    pub routes: HashMap<RouteKey, Route>,
    /// Addresses that were told.
    pub addresses: BTreeSet<(u32, IpNet)>,
    /// Neighbors that were told, with their link-layer addresses.
    pub neighbors: BTreeMap<(u32, IpAddr), Option<String>>,
}

impl Network {
    /// What an interface is called.
    pub fn name(&self, index: u32) -> String {
        let link = self.links.get(&index);
        link.map_or_else(|| format!("interface {index}"), |link| link.name.clone())
    }

    fn ways(&self, route: Option<&Route>) -> BTreeSet<Way> {
        let Some(route) = route else {
            return BTreeSet::new();
        };
        let special = match route.kind {
            6 => Some("blackhole"),
            7 => Some("unreachable"),
            8 => Some("prohibit"),
            9 => Some("throw"),
            _ => None,
        };
        if let Some(special) = special {
            return BTreeSet::from([Way {
                interface: special.to_owned(),
                gateway: None,
            }]);
        }
        let living = route.hops.iter().filter(|hop| !hop.dead);
        let way = |hop: &Hop| Way {
            interface: self.name(hop.interface),
            gateway: hop.gateway,
        };
        living.map(way).collect()
    }

    /// What became of a route, if anything that is told did.
    pub fn differs(
        &self,
        key: &RouteKey,
        before: Option<&Route>,
        now: Option<&Route>,
    ) -> Option<RouteChange> {
        let (old, new) = (self.ways(before), self.ways(now));
        let (lost, gained): (Vec<Way>, Vec<Way>) = (
            old.difference(&new).cloned().collect(),
            new.difference(&old).cloned().collect(),
        );
        if lost.is_empty() && gained.is_empty() {
            return None;
        }
        Some(RouteChange {
            prefix: key.to,
            table: (!key.is_main()).then_some(key.table),
            protocol: protocol(now.or(before).map_or(0, |route| route.protocol)),
            lost,
            gained,
            stays: old.intersection(&new).cloned().collect(),
        })
    }

    /// Puts a route in the place of the one there was.
    pub fn set(&mut self, key: RouteKey, route: Route) -> Option<RouteChange> {
        let change = self.differs(&key, self.routes.get(&key), Some(&route));
        self.routes.insert(key, route);
        change
    }

    /// Takes a route out, or of one of IPv6 these hops.
    pub fn remove(&mut self, key: RouteKey, hops: &[Hop]) -> Option<RouteChange> {
        let before = self.routes.remove(&key)?;
        let is_of = |hop: &Hop| {
            let mut hops = hops.iter();
            hops.any(|it| (it.interface, it.gateway) == (hop.interface, hop.gateway))
        };
        let mut left = before.clone();
        left.hops.retain(|hop| !is_of(hop));
        let is_part = key.to.addr().is_ipv6() && !hops.is_empty() && !left.hops.is_empty();
        let now = is_part.then_some(left);
        let change = self.differs(&key, Some(&before), now.as_ref());
        if let Some(route) = now {
            self.routes.insert(key, route);
        }
        change
    }

    /// An interface goes down, or loses its carrier. Without a word the kernel takes IPv4 routes over one that goes down out, or
    /// passes over their hops; and in either case it forgets nexthop objects over it, and so the hops of routes by them.
    pub fn fall(&mut self, index: u32, is_down: bool) -> Vec<RouteChange> {
        self.over(index, |network, key, before| {
            let mut now = before.clone();
            let hops = now.hops.iter_mut().filter(|hop| hop.interface == index);
            if before.by_objects {
                now.hops.retain(|hop| hop.interface != index);
            } else if is_down && key.to.addr().is_ipv4() {
                hops.for_each(|hop| hop.dead = true);
            } else {
                return None;
            }
            let change = network.differs(key, Some(before), Some(&now));
            match now.hops.iter().all(|hop| hop.dead) {
                true => _ = network.routes.remove(key),
                false => _ = network.routes.insert(*key, now),
            }
            change
        })
    }

    /// An interface is up again: IPv4 routes that have other hops lead over it again.
    pub fn rise(&mut self, index: u32) -> Vec<RouteChange> {
        self.over(index, |network, key, before| {
            let mut now = before.clone();
            let hops = now.hops.iter_mut().filter(|hop| hop.interface == index);
            hops.for_each(|hop| hop.dead = false);
            let change = network.differs(key, Some(before), Some(&now));
            network.routes.insert(*key, now);
            change
        })
    }

    fn over(
        &mut self,
        index: u32,
        mut change: impl FnMut(&mut Network, &RouteKey, &Route) -> Option<RouteChange>,
    ) -> Vec<RouteChange> {
        let is_over = |key: &RouteKey, route: &Route| {
            (key.to.addr().is_ipv4() || route.by_objects)
                && route.hops.iter().any(|hop| hop.interface == index)
        };
        let over = self.routes.iter().filter(|(key, route)| is_over(key, route));
        let mut over: Vec<(RouteKey, Route)> = over.map(|(key, route)| (*key, route.clone())).collect();
        over.sort_by_key(|(key, _)| *key);
        over.iter()
            .filter_map(|(key, route)| change(self, key, route))
            .collect()
    }
}
