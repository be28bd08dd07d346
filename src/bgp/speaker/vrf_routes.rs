//! What EVPN brings into VRFs: prefixes, and hosts that are reached by routing (RFC 9135, RFC 9136 section 4.4.1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::vrf::from_evpn;
use super::{Action, OWN, Speaker, family_of};
use crate::evpn::{Bound, EvpnPath, Overlay, VniFacts, bounds};
use crate::session::Time;
use crate::table::{NextHopState, Path, Route, Source, SourceId};
use crate::wire::{Attributes, EvpnKey, EvpnRoute, Mac, NextHop};

/// A route of EVPN's in a VRF.
#[derive(Debug, Clone)]
struct Imported {
    /// Who says so, of EVPN.
    source: (SourceId, u32),
    /// What tells it from others of its prefix.
    number: u32,
}

/// The end of a tunnel that routed packets go to, and the MAC address they have there.
pub(super) type Router = (IpAddr, Mac);

/// What of EVPN is in a VRF.
#[derive(Debug, Default)]
pub(super) struct Imports {
    routes: BTreeMap<EvpnKey, Vec<Imported>>,
    /// Numbers that are free, and the first that was never given.
    free: Vec<u32>,
    next: u32,
    /// The routers that packets to a prefix go to.
    used: BTreeMap<IpNet, BTreeSet<Router>>,
    /// How many prefixes lead to a router.
    routers: BTreeMap<Router, usize>,
    /// The same routers by their MAC addresses.
    by_mac: BTreeSet<(Mac, IpAddr)>,
    /// Routers about which something has changed.
    moved: BTreeSet<Router>,
    /// Targets and the network, when all routes were looked at last.
    facts: Option<(VniFacts, u32, u32)>,
    /// Prefixes of the VRF's own that are told.
    pub(super) told: BTreeSet<IpNet>,
}

impl Imports {
    /// Whether a prefix was told as the VRF's own.
    pub(super) fn is_told(&self, prefix: &IpNet) -> bool {
        self.told.contains(prefix)
    }

    /// The routes of EVPN that are in the VRF, with their numbers there.
    fn origins(&self) -> impl Iterator<Item = (u32, (SourceId, u32), &EvpnKey)> {
        let all = self.routes.iter();
        all.flat_map(|(key, all)| all.iter().map(move |it| (it.number, it.source, key)))
    }

    fn number(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next
        })
    }

    fn count(&mut self, router: Router) {
        let count = self.routers.entry(router).or_default();
        *count += 1;
        if *count == 1 {
            self.by_mac.insert((router.1, router.0));
            self.moved.insert(router);
        }
    }

    fn uncount(&mut self, router: Router) {
        if let Some(count) = self.routers.get_mut(&router) {
            *count -= 1;
            if *count == 0 {
                self.routers.remove(&router);
                self.by_mac.remove(&(router.1, router.0));
                self.moved.insert(router);
            }
        }
    }

    /// Routers that routes lead to.
    fn routers(&self) -> impl Iterator<Item = Router> {
        self.routers.keys().copied()
    }

    /// The MAC address that routed packets to a router have: of several the greatest.
    fn mac_of(&self, vtep: IpAddr) -> Option<Mac> {
        let all = self.routers.range((vtep, Mac([0; 6]))..=(vtep, Mac([0xff; 6])));
        all.last().map(|((_, mac), _)| *mac)
    }

    /// The router that has a MAC address.
    fn vtep_of(&self, mac: Mac) -> Option<IpAddr> {
        let first = (mac, IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        let (found, vtep) = self.by_mac.range(first..).next()?;
        (*found == mac).then_some(*vtep)
    }

    /// The prefixes that lead to a router.
    fn prefixes_to(&self, vtep: IpAddr) -> Vec<IpNet> {
        let leads = |all: &BTreeSet<Router>| all.iter().any(|(it, _)| *it == vtep);
        let found = self.used.iter().filter(|(_, all)| leads(all));
        found.map(|(prefix, _)| *prefix).collect()
    }

    /// Packets to a prefix go to these routers from now on.
    pub(super) fn use_routers(&mut self, prefix: IpNet, routers: BTreeSet<Router>) {
        let before = match routers.is_empty() {
            true => self.used.remove(&prefix),
            false => self.used.insert(prefix, routers.clone()),
        };
        let before = before.unwrap_or_default();
        for new in routers.difference(&before) {
            self.count(*new);
        }
        for gone in before.difference(&routers) {
            self.uncount(*gone);
        }
    }
}

/// The router that a route in a VRF leads to, if it came by EVPN.
pub(super) fn router_of(route: &Path) -> Option<Router> {
    let vtep = match route.next_hop.address() {
        IpAddr::V6(it) => it.to_ipv4_mapped().map_or(IpAddr::V6(it), IpAddr::V4),
        v4 => v4,
    };
    let mac = router_mac(&route.attributes)?;
    route.is_imported().then_some((vtep, mac))
}

/// The MAC address of the router that routed packets go to, as it says.
fn router_mac(attributes: &Attributes) -> Option<Mac> {
    let mut all = attributes.extended_communities.iter();
    all.find_map(|it| it.router_mac()).filter(|mac| mac.is_of_host())
}

/// The prefix that a route of EVPN is in a VRF: of a host with an IP address, or a prefix.
pub(super) fn prefix_of(route: &EvpnRoute) -> Option<IpNet> {
    match route {
        EvpnRoute::MacIp { ip: Some(ip), .. } => {
            (bounds::is_of_host(*ip) && bounds::is_of_router(*ip)).then(|| IpNet::from(*ip))
        }
        EvpnRoute::Prefix { prefix, .. } => Some(*prefix),
        _ => None,
    }
}

/// A tunnel's end as the next hop of a prefix: of one of IPv6, an IPv4 address is written as one of IPv6 (as zebra does).
fn next_hop(prefix: &IpNet, vtep: IpAddr) -> NextHop {
    match (prefix, vtep) {
        (IpNet::V4(_), IpAddr::V4(address)) => NextHop::V4(address),
        (IpNet::V6(_), IpAddr::V4(address)) => global(address.to_ipv6_mapped()),
        (_, IpAddr::V6(address)) => global(address),
    }
}

fn global(global: Ipv6Addr) -> NextHop {
    NextHop::V6 {
        global,
        link_local: None,
    }
}

impl Speaker {
    /// Puts into VRFs what changed of EVPN, and takes out what is no more. Returns whether any VRF has something to tell.
    pub(super) fn import_into_vrfs(
        &mut self,
        touched: &BTreeSet<EvpnKey>,
        now: Time,
        actions: &mut Vec<Action>,
    ) -> bool {
        let names: Vec<String> = self.vrfs.keys().cloned().collect();
        for name in &names {
            self.import_into(name, touched, now, actions);
        }
        let mut any = false;
        for vrf in self.vrfs.values_mut() {
            any |= std::mem::take(&mut vrf.is_news);
        }
        any
    }

    fn import_into(&mut self, name: &str, touched: &BTreeSet<EvpnKey>, now: Time, actions: &mut Vec<Action>) {
        let facts = self
            .routed(name)
            .map(|routed| (routed.said.vni, routed.local.bridge.0));
        let facts = facts.and_then(|(vni, svi)| Some((self.vni_facts(vni)?, vni, svi)));
        let Some(vrf) = self.vrfs.get(name) else { return };
        let is_same = vrf.imports.facts == facts;
        if !is_same {
            // The tunnel is another, or what is taken: nothing of what was there stays as it was.
            self.take_out_imports(name, now, actions);
        }
        let Some((facts, vni, svi)) = facts else { return };
        let keys: Vec<EvpnKey> = match is_same {
            true => touched.iter().cloned().collect(),
            false => self.evpn.table.iter().map(|(key, _)| key.clone()).collect(),
        };
        let all: Vec<(EvpnKey, IpNet)> = keys
            .into_iter()
            .filter_map(|key| prefix_of(&key.route).map(|prefix| (key, prefix)))
            .collect();
        if all.is_empty() && is_same {
            return self.place_routers(name, vni, actions);
        }
        let names: BTreeMap<SourceId, String> = self
            .peers
            .values()
            .filter_map(|peer| Some((from_evpn(peer.id), peer.record.name.clone()?)))
            .collect();
        let Some(vrf) = self.vrfs.get_mut(name) else {
            return;
        };
        vrf.imports.facts = Some((facts.clone(), vni, svi));
        vrf.speaker.inner.tunnel = Some(svi);
        vrf.speaker.inner.names = names;
        for (key, prefix) in all {
            let destination = self.evpn.table.get(&key);
            let paths = destination.map(|it| it.paths()).unwrap_or_default();
            let wanted: Vec<&EvpnPath> = paths
                .iter()
                .filter(|path| path.route.source.id != OWN && path.route.is_reachable())
                .filter(|path| facts.imports(&path.route.attributes.extended_communities))
                .filter(|path| router_mac(&path.route.attributes).is_some())
                .collect();
            vrf.take_paths(&key, prefix, &wanted, now);
        }
        self.settle_vrf(name, now, actions);
        self.place_routers(name, vni, actions);
    }

    /// Takes all of EVPN's out of a VRF.
    pub(super) fn take_out_imports(&mut self, name: &str, now: Time, actions: &mut Vec<Action>) {
        let Some(vrf) = self.vrfs.get_mut(name) else {
            return;
        };
        let before = vrf.imports.facts.take();
        let keys: Vec<EvpnKey> = vrf.imports.routes.keys().cloned().collect();
        for key in keys {
            if let Some(prefix) = prefix_of(&key.route) {
                vrf.take_paths(&key, prefix, &[], now);
            }
        }
        vrf.is_news = true;
        self.settle_vrf(name, now, actions);
        if let Some((_, vni, _)) = before {
            self.place_routers(name, vni, actions);
        }
        if let Some(vrf) = self.vrfs.get_mut(name) {
            vrf.speaker.inner.tunnel = None;
        }
    }

    fn settle_vrf(&mut self, name: &str, now: Time, actions: &mut Vec<Action>) {
        let Some(vrf) = self.vrfs.get_mut(name) else {
            return;
        };
        let mut wanted = Vec::new();
        vrf.speaker.settle(false, now, &mut wanted);
        self.perform_of_vrf(name, wanted, actions);
    }

    /// Puts the MAC addresses of routers into the VXLAN device and the neighbor table of the VRF's bridge.
    fn place_routers(&mut self, name: &str, vni: u32, actions: &mut Vec<Action>) {
        let Some(vrf) = self.vrfs.get_mut(name) else {
            return;
        };
        let moved = std::mem::take(&mut vrf.imports.moved);
        let has_v6 = |vtep: IpAddr| match vtep {
            // Prefixes of IPv6 have it as a next hop in this form.
            IpAddr::V4(address) => Some(IpAddr::V6(address.to_ipv6_mapped())),
            IpAddr::V6(_) => None,
        };
        for (vtep, mac) in moved {
            let at = vrf.imports.vtep_of(mac);
            let entry = |vtep| Overlay::Mac { vni, mac, vtep };
            let (mut is_full, _) = self.evpn.placed.change_mac((vni, mac), at, entry, actions);
            let known = vrf.imports.mac_of(vtep);
            for ip in [Some(vtep), has_v6(vtep)].into_iter().flatten() {
                let entry = |mac| Overlay::Neighbor { vni, ip, mac };
                is_full |= self
                    .evpn
                    .placed
                    .change_neighbor((vni, ip), known, entry, actions)
                    .0;
            }
            if is_full {
                self.evpn.reached.push((OWN, Bound::Entries));
            }
        }
    }
}

impl super::vrf::Vrf {
    /// What EVPN says of a prefix by one of its routes is this, and no more.
    fn take_paths(&mut self, key: &EvpnKey, prefix: IpNet, wanted: &[&EvpnPath], now: Time) {
        let before = self.imports.routes.remove(key).unwrap_or_default();
        let table = self.speaker.tables.get_mut(family_of(&prefix));
        let (stays, goes): (Vec<Imported>, Vec<Imported>) = before
            .into_iter()
            .partition(|it| wanted.iter().any(|path| path.route.key() == it.source));
        for gone in goes {
            table.remove(&prefix, from_evpn(gone.source.0), gone.number);
            self.imports.free.push(gone.number);
        }
        let mut after = Vec::new();
        for path in wanted {
            let source = path.route.key();
            let known = stays.iter().find(|it| it.source == source);
            let number = known.map_or_else(|| self.imports.number(), |it| it.number);
            let route = path.route.path();
            let shared = Path {
                source: Arc::new(Source {
                    id: from_evpn(route.source.id),
                    ..(*route.source).clone()
                }),
                next_hop: next_hop(&prefix, path.vtep()),
                weight: 0,
                tag: 0,
                distance: None,
                table: None,
                attributes: Arc::clone(&route.attributes),
            };
            let shared = self.speaker.paths.of(shared);
            let route = Route::new(shared, number, NextHopState::Reachable(0), now);
            self.speaker
                .tables
                .get_mut(family_of(&prefix))
                .insert(&prefix, route);
            after.push(Imported { source, number });
        }
        if !after.is_empty() {
            self.imports.routes.insert(key.clone(), after);
        }
    }
}

impl Speaker {
    /// The route of EVPN that a VRF's route was made of.
    pub fn imported_from(&self, vrf: &str, number: u32) -> Option<(&EvpnKey, &EvpnPath)> {
        let mut origins = self.vrfs.get(vrf)?.imports.origins();
        let (source, key) = origins.find_map(|(it, source, key)| (it == number).then_some((source, key)))?;
        let mut paths = self.evpn.table.get(key)?.paths().iter();
        paths
            .find(|path| path.route.key() == source)
            .map(|path| (key, path))
    }

    /// Routers that a VRF's packets are sent to, and their MAC addresses, in order.
    pub fn routers_of(&self, vrf: &str) -> Vec<(IpAddr, Mac)> {
        let vrf = self.vrfs.get(vrf);
        vrf.map(|vrf| vrf.imports.routers().collect()).unwrap_or_default()
    }

    /// Prefixes of a VRF that lead to a router.
    pub fn prefixes_by(&self, vrf: &str, vtep: IpAddr) -> Vec<IpNet> {
        let vrf = self.vrfs.get(vrf);
        vrf.map(|vrf| vrf.imports.prefixes_to(vtep)).unwrap_or_default()
    }
}
