//! The table of EVPN routes: what every source says, and which of it is the best.

use std::cmp::{Ordering, Reverse};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::bounds::{self, Bound};
use crate::table::{NextHopState, Route, Rules, SourceId, SourceKind, compare, reason_between};
use crate::wire::{Esi, EvpnKey, EvpnNlri, EvpnRoute, Mac, Rd, Vni};

/// What one source says about a route.
#[derive(Debug, Clone)]
pub struct EvpnPath {
    /// Source, attributes and next hop.
    pub route: Route,
    /// The Ethernet segment.
    pub esi: Esi,
    /// The network.
    pub vni: Vni,
    /// The network that packets are routed in.
    pub l3vni: Option<Vni>,
    /// The gateway of a prefix.
    pub gateway: Option<IpAddr>,
}

impl EvpnPath {
    /// A route as a message has it.
    pub fn of(nlri: &EvpnNlri, route: Route) -> EvpnPath {
        EvpnPath {
            route,
            esi: nlri.esi,
            vni: nlri.vni,
            l3vni: nlri.l3vni,
            gateway: nlri.gateway,
        }
    }

    /// As a message has it.
    pub fn nlri(&self, key: &EvpnKey) -> EvpnNlri {
        EvpnNlri {
            key: key.clone(),
            path_id: None,
            esi: self.esi,
            vni: self.vni,
            l3vni: self.l3vni,
            gateway: self.gateway,
        }
    }

    /// The router that frames go to.
    pub fn vtep(&self) -> IpAddr {
        self.route.next_hop.address()
    }

    /// How often the MAC address has moved, and whether it may (RFC 7432 section 7.7).
    pub fn mobility(&self) -> (u32, bool) {
        let mut all = self.route.attributes.extended_communities.iter();
        all.find_map(|it| it.mobility()).unwrap_or_default()
    }

    fn says_the_same(&self, other: &EvpnPath) -> bool {
        let beside = |it: &EvpnPath| (it.esi, it.vni, it.l3vni, it.gateway);
        self.route.says_the_same(&other.route) && beside(self) == beside(other)
    }
}

type Source = (SourceId, u32);

/// What is known about a route.
#[derive(Debug, Default)]
pub struct EvpnDestination {
    /// In the order in which they came.
    paths: Vec<EvpnPath>,
    best: Option<Source>,
    renewed: bool,
    reason: Option<&'static str>,
}

impl EvpnDestination {
    /// What all sources say, in the order in which they came.
    pub fn paths(&self) -> &[EvpnPath] {
        &self.paths
    }

    /// The best.
    pub fn best(&self) -> Option<&EvpnPath> {
        let best = self.best?;
        self.paths.iter().find(|path| path.route.key() == best)
    }

    /// What decided for the best, in FRR's words.
    pub fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Chooses anew. Returns whether there is anything to tell.
    fn decide(&mut self, is_mac: bool, rules: &Rules) -> bool {
        let current = self.best;
        let usable = self.paths.iter().filter(|path| path.route.is_reachable());
        let best = usable.reduce(|best, path| match better(is_mac, path, best, current, rules) {
            Ordering::Less => path,
            _ => best,
        });
        let others = self.paths.iter().filter(|path| path.route.is_reachable());
        self.reason = best.map(|best| {
            let others = others.filter(|path| path.route.key() != best.route.key());
            let second = others.reduce(|a, b| match better(is_mac, b, a, current, rules) {
                Ordering::Less => b,
                _ => a,
            });
            second.map_or("First path received", |second| {
                reason(is_mac, best, second, current, rules)
            })
        });
        self.best = best.map(|best| best.route.key());
        std::mem::take(&mut self.renewed) || self.best != current
    }
}

/// The steps that only routes of MAC addresses have: one that may not move, the one that moved last, the lower router.
fn of_macs(a: &EvpnPath, b: &EvpnPath) -> [(&'static str, Ordering); 3] {
    let ((sequence, is_sticky), (other, other_is_sticky)) = (a.mobility(), b.mobility());
    [
        (
            "EVPN Sticky MAC",
            Reverse(is_sticky).cmp(&Reverse(other_is_sticky)),
        ),
        ("EVPN sequence number", Reverse(sequence).cmp(&Reverse(other))),
        ("EVPN lower IP", a.vtep().cmp(&b.vtep())),
    ]
}

/// `Less` where the first is better.
pub fn better(is_mac: bool, a: &EvpnPath, b: &EvpnPath, current: Option<Source>, rules: &Rules) -> Ordering {
    let of_macs = of_macs(a, b).into_iter().map(|(_, ordering)| ordering);
    let first = of_macs.filter(|_| is_mac).find(|ordering| ordering.is_ne());
    first.unwrap_or_else(|| compare(&a.route, &b.route, current, rules))
}

fn reason(is_mac: bool, a: &EvpnPath, b: &EvpnPath, current: Option<Source>, rules: &Rules) -> &'static str {
    let mut of_macs = of_macs(a, b).into_iter().filter(|_| is_mac);
    let first = of_macs.find(|(_, ordering)| ordering.is_ne());
    first.map_or_else(
        || reason_between(&a.route, &b.route, current, rules).name(),
        |(name, _)| name,
    )
}

/// One fewer leads to a tunnel's end.
fn uncount(vteps: &mut BTreeMap<IpAddr, usize>, vtep: &IpAddr) {
    if let Some(count) = vteps.get_mut(vtep) {
        *count -= 1;
        if *count == 0 {
            vteps.remove(vtep);
        }
    }
}

/// All routes of EVPN.
#[derive(Debug, Default)]
pub struct EvpnTable {
    destinations: BTreeMap<EvpnKey, EvpnDestination>,
    /// The distinguishers that there are of a route.
    distinguishers: BTreeMap<EvpnRoute, BTreeSet<Rd>>,
    /// The MAC addresses that an IP address is said to have.
    of_address: HashMap<IpAddr, BTreeSet<Mac>>,
    /// How many routes there are of a MAC address.
    of_mac: HashMap<Mac, usize>,
    /// How many paths lead to a tunnel's end.
    vteps: BTreeMap<IpAddr, usize>,
    changed: BTreeSet<EvpnKey>,
    /// Routes of which any path has changed since that was asked last.
    touched: BTreeSet<EvpnKey>,
    /// How often the best of a distinguisher's routes has changed.
    versions: BTreeMap<Rd, u64>,
    counts: HashMap<SourceId, usize>,
}

impl EvpnTable {
    /// Puts in what a source says, in the place of what it said before.
    ///
    /// # Errors
    /// There is no room for more of a neighbor's: nothing is changed.
    pub fn insert(&mut self, key: EvpnKey, path: EvpnPath) -> Result<(), Bound> {
        if path.route.source.kind != SourceKind::Local {
            self.has_room(&key, &path)?;
        }
        let all = self.distinguishers.entry(key.route.clone()).or_default();
        all.insert(key.rd);
        if let EvpnRoute::MacIp {
            mac, ip: Some(ip), ..
        } = &key.route
        {
            self.of_address.entry(*ip).or_default().insert(*mac);
        }
        let destination = match self.destinations.entry(key.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                if let EvpnRoute::MacIp { mac, .. } = &key.route {
                    *self.of_mac.entry(*mac).or_default() += 1;
                }
                place.insert(EvpnDestination::default())
            }
        };
        let (source, vtep) = (path.route.key(), path.vtep());
        let known = destination.paths.iter_mut().find(|it| it.route.key() == source);
        match known {
            Some(known) if known.says_the_same(&path) => {
                known.route.set_stale(path.route.is_stale());
                return Ok(());
            }
            Some(known) => {
                destination.renewed |= destination.best == Some(source);
                let before = std::mem::replace(known, path);
                uncount(&mut self.vteps, &before.vtep());
            }
            None => {
                *self.counts.entry(source.0).or_default() += 1;
                destination.paths.push(path);
            }
        }
        *self.vteps.entry(vtep).or_default() += 1;
        self.changed.insert(key);
        Ok(())
    }

    /// Whether there is room for what a neighbor says.
    fn has_room(&self, key: &EvpnKey, path: &EvpnPath) -> Result<(), Bound> {
        let within = |is_within: bool, bound| if is_within { Ok(()) } else { Err(bound) };
        let source = path.route.key();
        let vtep = path.vtep();
        within(
            self.vteps.contains_key(&vtep) || self.vteps.len() < bounds::VTEPS,
            Bound::Vteps,
        )?;
        let known = self.destinations.get(key);
        let replaces = |it: &EvpnDestination| it.paths.iter().any(|path| path.route.key() == source);
        if known.is_some_and(replaces) {
            return Ok(());
        }
        within(self.count(source.0) < bounds::ROUTES, Bound::Routes)?;
        if known.is_some() {
            return Ok(());
        }
        let distinguishers = self.distinguishers.get(&key.route).map_or(0, BTreeSet::len);
        within(distinguishers < bounds::DISTINGUISHERS, Bound::Distinguishers)?;
        let EvpnRoute::MacIp { mac, ip, .. } = &key.route else {
            return Ok(());
        };
        let of_mac = self.of_mac.get(mac).copied().unwrap_or(0);
        within(of_mac < bounds::ROUTES_OF_MAC, Bound::RoutesOfMac)?;
        let of_address = ip.and_then(|ip| self.of_address.get(&ip));
        within(
            of_address.is_none_or(|all| all.contains(mac) || all.len() < bounds::MACS_OF_ADDRESS),
            Bound::MacsOfAddress,
        )
    }

    /// Takes out what a source says about a route. Returns whether it said anything.
    pub fn remove(&mut self, key: &EvpnKey, source: SourceId, path_id: u32) -> bool {
        let Some(destination) = self.destinations.get_mut(key) else {
            return false;
        };
        let mut paths = destination.paths.iter();
        let Some(at) = paths.position(|path| path.route.key() == (source, path_id)) else {
            return false;
        };
        let gone = destination.paths.remove(at);
        uncount(&mut self.vteps, &gone.vtep());
        self.uncount(source);
        self.changed.insert(key.clone());
        true
    }

    fn uncount(&mut self, source: SourceId) {
        if let Some(count) = self.counts.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&source);
            }
        }
    }

    /// Takes out all that a source says.
    pub fn remove_source(&mut self, source: SourceId) {
        self.remove_where(|path| path.route.source.id == source);
    }

    /// Takes out what a source said before its restart and has not said again.
    pub fn remove_stale(&mut self, source: SourceId) {
        self.remove_where(|path| path.route.source.id == source && path.route.is_stale());
    }

    fn remove_where(&mut self, goes: impl Fn(&EvpnPath) -> bool) {
        let mut gone = Vec::new();
        for (key, destination) in &mut self.destinations {
            let before = gone.len();
            destination.paths.retain(|path| {
                let goes = goes(path);
                gone.extend(goes.then_some((path.route.source.id, path.vtep())));
                !goes
            });
            if gone.len() > before {
                self.changed.insert(key.clone());
            }
        }
        for (source, vtep) in gone {
            self.uncount(source);
            uncount(&mut self.vteps, &vtep);
        }
    }

    /// Marks all that a source says as said before its restart.
    pub fn mark_stale(&mut self, source: SourceId) {
        let all = self.destinations.values_mut().flat_map(|it| &mut it.paths);
        for path in all.filter(|path| path.route.source.id == source) {
            path.route.set_stale(true);
        }
    }

    /// Gives routes of other routers the state of their next hops.
    pub fn resolve(&mut self, mut is_reachable: impl FnMut(IpAddr) -> bool, own: SourceId) {
        for (key, destination) in &mut self.destinations {
            for path in destination
                .paths
                .iter_mut()
                .filter(|it| it.route.source.id != own)
            {
                let state = match is_reachable(path.vtep()) {
                    true => NextHopState::Reachable(0),
                    false => NextHopState::Unreachable,
                };
                if path.route.next_hop_state() != state {
                    path.route.set_next_hop_state(state);
                    self.changed.insert(key.clone());
                }
            }
        }
    }

    /// The routers that routes lead to, in order.
    pub fn vteps(&self) -> impl Iterator<Item = IpAddr> {
        self.vteps.keys().copied()
    }

    /// Whether a route leads to a router.
    pub fn leads_to(&self, vtep: IpAddr) -> bool {
        self.vteps.contains_key(&vtep)
    }

    /// Takes out what neighbors say of MAC addresses that are not theirs to say. Returns whether there was any.
    pub fn remove_macs(&mut self, own: &BTreeSet<Mac>) -> bool {
        let keys = self.destinations.keys();
        let is_own = |key: &&EvpnKey| matches!(&key.route, EvpnRoute::MacIp { mac, .. } if own.contains(mac));
        let found: Vec<EvpnKey> = keys.filter(is_own).cloned().collect();
        let mut any = false;
        for key in found {
            let paths = self.destinations.get(&key).into_iter().flat_map(|it| &it.paths);
            let foreign = paths.filter(|path| path.route.source.kind != SourceKind::Local);
            for (source, path_id) in foreign.map(|path| path.route.key()).collect::<Vec<_>>() {
                any |= self.remove(&key, source, path_id);
            }
        }
        any
    }

    /// Routes of hosts and prefixes of which any path has changed since this was asked last, the best or another.
    pub fn take_touched(&mut self) -> BTreeSet<EvpnKey> {
        std::mem::take(&mut self.touched)
    }

    /// All routes are to be decided about again.
    pub fn reconsider(&mut self) {
        self.changed.extend(self.destinations.keys().cloned());
    }

    /// Decides about what has changed, and returns those routes whose best is another.
    pub fn decide(&mut self, rules: &Rules) -> Vec<EvpnKey> {
        let mut news = Vec::new();
        self.touched.extend(
            self.changed
                .iter()
                .filter(|key| matches!(key.route.kind(), 2 | 5))
                .cloned(),
        );
        for key in std::mem::take(&mut self.changed) {
            let Some(destination) = self.destinations.get_mut(&key) else {
                continue;
            };
            let is_mac = matches!(key.route, EvpnRoute::MacIp { .. });
            let is_news = destination.decide(is_mac, rules);
            if destination.paths.is_empty() {
                self.destinations.remove(&key);
                self.forget(&key);
            }
            if is_news {
                *self.versions.entry(key.rd).or_default() += 1;
                news.push(key);
            }
        }
        news
    }

    fn forget(&mut self, key: &EvpnKey) {
        if let EvpnRoute::MacIp { mac, .. } = &key.route
            && let Some(count) = self.of_mac.get_mut(mac)
        {
            *count -= 1;
            if *count == 0 {
                self.of_mac.remove(mac);
            }
        }
        if let Some(all) = self.distinguishers.get_mut(&key.route) {
            all.remove(&key.rd);
            if all.is_empty() {
                self.distinguishers.remove(&key.route);
                self.forget_address(&key.route);
            }
        }
        // As with FRR a distinguisher that comes again begins again.
        let first = EvpnKey {
            rd: key.rd,
            route: EvpnRoute::MacIp {
                tag: 0,
                mac: Default::default(),
                ip: None,
            },
        };
        let next = self.destinations.range(first..).next();
        if next.is_none_or(|(next, _)| next.rd != key.rd) {
            self.versions.remove(&key.rd);
        }
    }

    fn forget_address(&mut self, route: &EvpnRoute) {
        if let EvpnRoute::MacIp {
            mac, ip: Some(ip), ..
        } = route
            && let Some(all) = self.of_address.get_mut(ip)
        {
            all.remove(mac);
            if all.is_empty() {
                self.of_address.remove(ip);
            }
        }
    }

    /// The MAC addresses that an IP address is said to have, in order.
    pub fn macs_of(&self, ip: IpAddr) -> impl Iterator<Item = Mac> {
        self.of_address.get(&ip).into_iter().flatten().copied()
    }

    /// What is known about a route.
    pub fn get(&self, key: &EvpnKey) -> Option<&EvpnDestination> {
        self.destinations.get(key)
    }

    /// All routes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&EvpnKey, &EvpnDestination)> {
        self.destinations.iter()
    }

    /// The same without their distinguishers, each once, from one on.
    pub fn routes_from<'t>(&'t self, first: &EvpnRoute) -> impl Iterator<Item = &'t EvpnRoute> {
        self.distinguishers.range(first..).map(|(route, _)| route)
    }

    /// All routes without their distinguishers, each once.
    pub fn routes(&self) -> impl Iterator<Item = &EvpnRoute> {
        self.distinguishers.keys()
    }

    /// What is known about a route under each distinguisher.
    pub fn of_route<'t>(
        &'t self,
        route: &'t EvpnRoute,
    ) -> impl Iterator<Item = (EvpnKey, &'t EvpnDestination)> {
        let all = self.distinguishers.get(route).into_iter().flatten();
        all.filter_map(move |rd| {
            let key = EvpnKey {
                rd: *rd,
                route: route.clone(),
            };
            let destination = self.destinations.get(&key)?;
            Some((key, destination))
        })
    }

    /// How often the best of a distinguisher's routes has changed.
    pub fn version(&self, rd: Rd) -> u64 {
        self.versions.get(&rd).copied().unwrap_or(0)
    }

    /// How many distinguishers there are.
    pub fn distinguishers(&self) -> BTreeSet<Rd> {
        self.destinations.keys().map(|key| key.rd).collect()
    }

    /// How much a source says.
    pub fn count(&self, source: SourceId) -> usize {
        self.counts.get(&source).copied().unwrap_or(0)
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.destinations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty()
    }
}
