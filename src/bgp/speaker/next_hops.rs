//! Next hops: the ways to them, over networks this router is in, over the kernel's routes and over those of BGP's own
//! (RFC 4271 section 5.1.3).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::resolve::{connected, is_far};
use super::{Hop, Speaker, Way, family_of};
use crate::bgp::table::{NextHopState, Route, SourceKind};
use crate::bgp::wire::Family;

/// The cost of a next hop, and the ways to it; none if there is no way.
type Reach = Option<(u32, Vec<Hop>)>;

/// An address, and whether only a network of this router's or a static route may lead to it.
type Key = (IpAddr, bool);

/// Next hops that routes were told with, and the ways to them as they were looked for last.
#[derive(Debug, Default)]
pub(super) struct NextHops {
    known: BTreeMap<Key, Reach>,
    /// Those that routes lead to which have changed since.
    unsure: BTreeSet<Key>,
}

impl NextHops {
    /// A route in the kernel has changed.
    pub(super) fn doubt(&mut self, prefix: &IpNet) {
        let first = (prefix.network(), false);
        let last = (prefix.broadcast(), true);
        let covered = self.known.range(first..=last).map(|(key, _)| *key);
        self.unsure.extend(covered);
    }
}

/// Routes of one length that lead to an address, the best kind last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Learned,
    Kernel,
    Connected,
}

impl Speaker {
    /// Whether there is a way to a route's next hop. Remembers the next hop, to look again when something changes.
    pub(super) fn resolve(&mut self, route: &Route) -> NextHopState {
        if route.source.kind == SourceKind::Local {
            return NextHopState::Reachable(0);
        }
        if self.on_the_link(route).is_some() {
            return NextHopState::Reachable(0);
        }
        let key = self.key(route);
        let state = |reach: &Reach| match reach {
            Some((cost, _)) => NextHopState::Reachable(*cost),
            None => NextHopState::Unreachable,
        };
        if let Some(reach) = self.next_hops.known.get(&key) {
            return state(reach);
        }
        let reach = self.reach(key, &mut Vec::new());
        let found = state(&reach);
        self.next_hops.known.insert(key, reach);
        found
    }

    /// The cost of a route's next hop, and the ways to it.
    pub fn ways(&self, route: &Route) -> Option<(u32, Vec<Hop>)> {
        let key = self.key(route);
        match self.next_hops.known.get(&key) {
            Some(reach) if !self.next_hops.unsure.contains(&key) && self.on_the_link(route).is_none() => {
                reach.clone()
            }
            _ => self.ways_but(route, &mut Vec::new()),
        }
    }

    /// The same, but not over routes to these prefixes: they lead over the one in question.
    fn ways_but(&self, route: &Route, passed: &mut Vec<IpNet>) -> Reach {
        match self.on_the_link(route) {
            Some(hop) => Some((0, vec![hop])),
            None => self.reach(self.key(route), passed),
        }
    }

    fn key(&self, route: &Route) -> Key {
        (route.next_hop.address(), self.must_be_near(route))
    }

    /// What a neighbour in another AS tells leads over the link to it, unless it is said to be further away.
    pub fn must_be_near(&self, route: &Route) -> bool {
        let (Some(bgp), Some(peer)) = (&self.config.bgp, self.peers.get(&route.source.id)) else {
            return false;
        };
        route.source.kind == SourceKind::External && !is_far(&peer.effective, bgp)
    }

    /// A link-local next hop is on the link to whoever told it.
    fn on_the_link(&self, route: &Route) -> Option<Hop> {
        let address: Ipv6Addr = route.next_hop.link_local()?;
        let peer = self.peers.get(&route.source.id)?;
        let interface = self.interface_of(peer).filter(|it| it.up)?;
        Some(Hop {
            via: Some(address.into()),
            interface: interface.index,
        })
    }

    /// The ways to an address by the longest prefix it is in. A default route leads everywhere and says nothing (FRR: no
    /// `ip nht resolve-via-default`).
    fn reach(&self, (address, near): Key, passed: &mut Vec<IpNet>) -> Reach {
        let near_by = connected(&self.interfaces, address);
        let on_link = near_by.map(|(_, net)| (net.prefix_len(), Kind::Connected));
        let matching = self
            .routes
            .iter()
            .filter(|it| it.to.contains(&address) && it.to.prefix_len() > 0 && (it.is_static || !near));
        let known = matching.max_by_key(|it| it.to.prefix_len());
        let by_kernel = known.map(|it| (it.to.prefix_len(), Kind::Kernel));
        let learned = if near {
            None
        } else {
            self.longest_learned(address, passed)
        };
        let by_learned = learned.map(|net| (net.prefix_len(), Kind::Learned));
        match [on_link, by_kernel, by_learned].into_iter().flatten().max()?.1 {
            Kind::Connected => near_by.map(|(interface, _)| {
                let via = Some(address);
                let interface = interface.index;
                (0, vec![Hop { via, interface }])
            }),
            Kind::Kernel => {
                let known = known?;
                let hops = known.hops.iter().map(|hop| Hop {
                    via: hop.via.or(Some(address)),
                    interface: hop.interface,
                });
                let hops: Vec<Hop> = hops.collect();
                (!hops.is_empty()).then_some((known.metric, hops))
            }
            Kind::Learned => self.over(learned?, passed),
        }
    }

    /// The longest prefix of BGP's in the kernel that an address is in.
    fn longest_learned(&self, address: IpAddr, passed: &[IpNet]) -> Option<IpNet> {
        let whole = IpNet::from(address);
        let wider = std::iter::successors(Some(whole), IpNet::supernet);
        let mut nets = wider.filter(|net| net.prefix_len() > 0 && !passed.contains(net));
        nets.find(|net| self.forwarded.get(net).is_some_and(Way::is_in_main))
    }

    /// The ways of a route of BGP's; its metric in the kernel's eyes is its MED.
    fn over(&self, prefix: IpNet, passed: &mut Vec<IpNet>) -> Reach {
        let destination = self.tables.get(family_of(&prefix)).get(&prefix)?;
        passed.push(prefix);
        let routes = destination.multipath();
        let foreign = routes.filter(|route| route.source.kind != SourceKind::Local);
        let mut hops = Vec::new();
        for route in foreign {
            hops.extend(
                self.ways_but(route, passed)
                    .map(|(_, hops)| hops)
                    .unwrap_or_default(),
            );
        }
        passed.pop();
        hops.sort();
        hops.dedup();
        let cost = destination.best()?.attributes.med.unwrap_or(0);
        (!hops.is_empty()).then_some((cost, hops))
    }

    /// Looks again at next hops that changed routes lead to. Returns whether there is more to decide: ways are others now.
    pub(super) fn follow_next_hops(&mut self) -> bool {
        let mut moved = BTreeSet::new();
        for key in std::mem::take(&mut self.next_hops.unsure) {
            let reach = self.reach(key, &mut Vec::new());
            if self.next_hops.known.get(&key) != Some(&reach) {
                self.next_hops.known.insert(key, reach);
                moved.insert(key);
            }
        }
        if moved.is_empty() {
            return false;
        }
        self.resolve_where(|speaker, route| moved.contains(&speaker.key(route)));
        true
    }

    /// Looks anew at all next hops, and at all that is in the kernel.
    pub(super) fn resolve_all(&mut self) {
        self.next_hops = NextHops::default();
        let mut keys = BTreeSet::new();
        for family in Family::ALL {
            let destinations = self.tables.get(family).iter();
            let routes = destinations.flat_map(|(_, destination)| destination.routes());
            keys.extend(
                routes
                    .filter(|it| it.source.kind != SourceKind::Local)
                    .map(|it| self.key(it)),
            );
        }
        for key in keys {
            let reach = self.reach(key, &mut Vec::new());
            self.next_hops.known.insert(key, reach);
        }
        self.resolve_where(|_, _| true);
    }

    /// Gives some routes the state of their next hops, and lets their prefixes be decided about again.
    fn resolve_where(&mut self, concerns: impl Fn(&Speaker, &Route) -> bool) {
        let mut tables = std::mem::take(&mut self.tables);
        for family in Family::ALL {
            let table = tables.get_mut(family);
            table.resolve(|route| concerns(self, route).then(|| self.resolve(route)));
        }
        self.tables = tables;
    }
}
