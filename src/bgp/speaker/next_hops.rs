//! Next hops: the ways to them, over networks this router is in, over the kernel's routes and over those of BGP's own
//! (RFC 4271 section 5.1.3).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use rustc_hash::{FxHashMap, FxHashSet};

use super::resolve::{connected, is_far};
use super::{AGGREGATE, Hop, Interface, KernelRoute, Speaker, Way, family_of};
use crate::table::{NextHopState, Path, Route, SourceKind};
use crate::wire::Family;

/// The cost of a next hop, and the ways to it; those are none where packets to it are dropped. Nothing if it is unknown.
type Reach = Option<(u32, Vec<Hop>)>;

/// An address, and whether only a network of this router's or a static route may lead to it.
type Key = (IpAddr, bool);

/// What was found of a next hop.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    reach: Reach,
    /// How long the longest prefix is that it is in: whether a route leads to itself hangs on that.
    length: Option<u8>,
}

impl Found {
    fn state(&self) -> NextHopState {
        match self.reach {
            Some((cost, _)) => NextHopState::Reachable(cost),
            None => NextHopState::Unreachable,
        }
    }
}

/// Next hops that routes were told with, and the ways to them as they were looked for last.
#[derive(Debug, Default)]
pub(super) struct NextHops {
    known: BTreeMap<Key, Found>,
    /// Those that routes lead to which have changed since.
    unsure: BTreeSet<Key>,
}

impl NextHops {
    /// A route in the kernel has changed. Returns whether a next hop may be reached in another way now.
    pub(super) fn recheck(&mut self, prefix: &IpNet) -> bool {
        let first = (prefix.network(), false);
        let last = (prefix.broadcast(), true);
        let covered = self.known.range(first..=last).map(|(key, _)| *key);
        let before = self.unsure.len();
        self.unsure.extend(covered);
        self.unsure.len() > before
    }
}

/// What leads to an address.
enum Leading<'s> {
    /// A network this router is in.
    Network(&'s Interface, IpNet),
    /// A route of the kernel's that is not BGP's.
    Kernel(&'s KernelRoute),
    /// One of BGP's.
    Learned(IpNet),
}

impl Leading<'_> {
    /// The length of the prefix, and of those of one length the better.
    fn rank(&self) -> (u8, u8) {
        match self {
            Leading::Network(_, net) => (net.prefix_len(), 2),
            Leading::Kernel(route) => (route.to.prefix_len(), 1),
            Leading::Learned(net) => (net.prefix_len(), 0),
        }
    }
}

impl Speaker {
    /// Whether there is a way to the next hop of what a neighbor told. Remembers the next hop, to look again when something
    /// changes.
    pub(super) fn resolve(&mut self, path: &Path) -> NextHopState {
        if self.on_the_link(path).is_some() {
            return NextHopState::Reachable(0);
        }
        let key = self.key(path);
        if let Some(found) = self.next_hops.known.get(&key) {
            return found.state();
        }
        let found = self.find(key);
        let state = found.state();
        self.next_hops.known.insert(key, found);
        state
    }

    fn find(&self, key: Key) -> Found {
        let (address, _) = key;
        let longest = self.leading((address, false), &[]);
        Found {
            reach: self.reach(key, &mut Vec::new()),
            length: longest.map(|leading| leading.rank().0),
        }
    }

    /// The cost of a route's next hop, and the ways to it; no ways if packets to it are dropped (RFC 5635 section 3).
    pub fn ways(&self, route: &Path) -> Option<(u32, Vec<Hop>)> {
        let key = self.key(route);
        match self.next_hops.known.get(&key) {
            Some(found) if !self.next_hops.unsure.contains(&key) && self.on_the_link(route).is_none() => {
                found.reach.clone()
            }
            _ => self.ways_but(route, &mut Vec::new()),
        }
    }

    /// The same, but not over routes to these prefixes: they lead over the one in question.
    fn ways_but(&self, route: &Path, passed: &mut Vec<IpNet>) -> Reach {
        match self.on_the_link(route) {
            Some(hop) => Some((0, vec![hop])),
            None => self.reach(self.key(route), passed),
        }
    }

    fn key(&self, route: &Path) -> Key {
        (route.next_hop.address(), self.must_be_near(route))
    }

    /// What a neighbor in another AS tells leads over the link to it, unless it is said to be further away.
    pub fn must_be_near(&self, route: &Path) -> bool {
        let (Some(bgp), Some(peer)) = (&self.config.bgp, self.peers.get(&route.source.id)) else {
            return false;
        };
        route.source.kind == SourceKind::External && !is_far(&peer.effective, bgp)
    }

    /// A link-local next hop is on the link to whoever told it, and what came by EVPN goes over the tunnel.
    fn on_the_link(&self, route: &Path) -> Option<Hop> {
        if let Some(hop) = self.over_tunnel(route) {
            return Some(hop);
        }
        let address: Ipv6Addr = route.next_hop.link_local()?;
        let peer = self.peers.get(&route.source.id)?;
        let interface = self.interface_of(peer).filter(|it| it.up)?;
        Some(Hop {
            via: Some(address.into()),
            interface: interface.index,
        })
    }

    /// The longest prefix an address is in. A default route leads everywhere and says nothing (FRR: no `ip nht
    /// resolve-via-default`).
    fn leading(&self, (address, near): Key, passed: &[IpNet]) -> Option<Leading<'_>> {
        let network = connected(&self.interfaces, address).map(|(it, net)| Leading::Network(it, net));
        let known = self
            .routes
            .iter()
            .filter(|it| it.to.contains(&address) && it.to.prefix_len() > 0 && (it.is_static || !near));
        let kernel = known.max_by_key(|it| it.to.prefix_len()).map(Leading::Kernel);
        let learned = if near {
            None
        } else {
            self.longest_learned(address, passed)
        };
        let all = [network, kernel, learned.map(Leading::Learned)];
        all.into_iter().flatten().max_by_key(Leading::rank)
    }

    /// Whether a route leads to an address, or a network of this router's holds it.
    pub fn is_reachable(&self, address: IpAddr) -> bool {
        self.reach((address, false), &mut Vec::new()).is_some()
    }

    fn reach(&self, key: Key, passed: &mut Vec<IpNet>) -> Reach {
        let (address, _) = key;
        match self.leading(key, passed)? {
            Leading::Network(interface, _) => {
                let (via, interface) = (Some(address), interface.index);
                Some((0, vec![Hop { via, interface }]))
            }
            Leading::Kernel(route) => {
                let hops = route.hops.iter().map(|hop| Hop {
                    via: hop.via.or(Some(address)),
                    interface: hop.interface,
                });
                Some((route.metric, hops.collect()))
            }
            Leading::Learned(prefix) => self.over(prefix, passed),
        }
    }

    /// Whether a route to a network has a next hop in that very network, and nothing longer leads there: then it leads
    /// nowhere (zebra).
    pub fn leads_to_itself(&self, prefix: &IpNet, route: &Route) -> bool {
        let address = route.next_hop.address();
        if !prefix.contains(&address) {
            return false;
        }
        let longest = self.leading((address, false), &[*prefix]);
        let is_longer = |leading: Leading| leading.rank().0 > prefix.prefix_len();
        self.on_the_link(route).is_none() && !longest.is_some_and(is_longer)
    }

    /// The longest prefix of BGP's in the kernel that an address is in.
    fn longest_learned(&self, address: IpAddr, passed: &[IpNet]) -> Option<IpNet> {
        let whole = IpNet::from(address);
        let wider = std::iter::successors(Some(whole), IpNet::supernet);
        let mut nets = wider.filter(|net| net.prefix_len() > 0 && !passed.contains(net));
        let forwarded = self.forwarded();
        nets.find(|net| forwarded.get(net).is_some_and(Way::is_in_main))
    }

    /// The ways of a route of BGP's; its metric in the kernel's eyes is its MED.
    fn over(&self, prefix: IpNet, passed: &mut Vec<IpNet>) -> Reach {
        let destination = self.tables.get(family_of(&prefix)).get(&prefix)?;
        let best = destination.best()?;
        passed.push(prefix);
        let routes = destination.multipath();
        let foreign = routes.filter(|route| route.source.kind != SourceKind::Local);
        let ways: Vec<Vec<Hop>> = foreign
            .filter_map(|route| self.ways_but(route, passed))
            .map(|(_, hops)| hops)
            .collect();
        passed.pop();
        let drops = best.source.id == AGGREGATE;
        (drops || !ways.is_empty()).then(|| (best.attributes.med.unwrap_or(0), together(ways)))
    }

    /// Looks again at next hops that changed routes lead to. Returns whether there is more to decide: ways are others now.
    pub(super) fn follow_next_hops(&mut self) -> bool {
        let mut moved = BTreeSet::new();
        for key in std::mem::take(&mut self.next_hops.unsure) {
            let found = self.find(key);
            if self.next_hops.known.get(&key) != Some(&found) {
                self.next_hops.known.insert(key, found);
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
        let keys: BTreeSet<Key> = self.paths().into_iter().map(|path| self.key(path)).collect();
        for key in keys {
            let found = self.find(key);
            self.next_hops.known.insert(key, found);
        }
        self.resolve_where(|_, _| true);
        for family in Family::UNICAST {
            self.tables.get_mut(family).reconsider();
        }
    }

    /// What neighbors have told, each once.
    fn paths(&self) -> Vec<&Path> {
        let mut known = FxHashSet::default();
        let mut paths = Vec::new();
        for family in Family::UNICAST {
            let routes = self.tables.get(family).all().flat_map(|(_, it)| it.routes());
            for path in routes.map(Route::path) {
                if path.source.kind != SourceKind::Local && known.insert(Arc::as_ptr(path)) {
                    paths.push(&**path);
                }
            }
        }
        paths
    }

    /// Gives some routes the state of their next hops, and lets their prefixes be decided about again.
    fn resolve_where(&mut self, concerns: impl Fn(&Speaker, &Path) -> bool) {
        let state = |path: &Path| {
            let is_known = || self.next_hops.known.get(&self.key(path)).map(Found::state);
            match self.on_the_link(path) {
                Some(_) => NextHopState::Reachable(0),
                None => is_known().unwrap_or_else(|| self.find(self.key(path)).state()),
            }
        };
        let concerned = self.paths().into_iter().filter(|path| concerns(self, path));
        let states: FxHashMap<*const Path, NextHopState> = concerned
            .map(|path| (std::ptr::from_ref(path), state(path)))
            .collect();
        for family in Family::UNICAST {
            let table = self.tables.get_mut(family);
            table.resolve(|prefix, route| {
                let state = states.get(&Arc::as_ptr(route.path()))?;
                Some(match leads_to(prefix, route) {
                    true => NextHopState::Unreachable,
                    false => *state,
                })
            });
        }
    }
}

/// Whether a route leads to its own next hop: it says nothing then (FRR: it "loops through itself").
pub(super) fn leads_to(prefix: &IpNet, path: &Path) -> bool {
    IpNet::from(path.next_hop.address()) == *prefix
}

/// All ways, each once.
pub(super) fn together(ways: impl IntoIterator<Item = Vec<Hop>>) -> Vec<Hop> {
    let mut hops: Vec<Hop> = ways.into_iter().flatten().collect();
    hops.sort();
    hops.dedup();
    hops
}
