//! What of EVPN is put into the kernel: entries of bridges, VXLAN devices and neighbor tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Action, OWN, Speaker};
use crate::evpn::{Bound, Overlay, VniFacts, bounds};
use crate::wire::{EvpnKey, EvpnRoute, Mac, PmsiTunnel};

/// What is in the kernel.
#[derive(Default)]
pub(super) struct Placed {
    floods: BTreeSet<(u32, IpAddr)>,
    macs: BTreeMap<(u32, Mac), IpAddr>,
    neighbors: BTreeMap<(u32, IpAddr), Mac>,
    /// Whether something was left out because there was no room for it.
    is_partial: bool,
}

/// Puts in a value, or takes it out. Returns the one before, and whether there was no room.
fn replace<K: Ord, V: Copy>(all: &mut BTreeMap<K, V>, key: K, value: &mut Option<V>) -> (Option<V>, bool) {
    let is_full = value.is_some() && all.len() >= bounds::ENTRIES && !all.contains_key(&key);
    if is_full {
        *value = None;
    }
    let before = match *value {
        Some(value) => all.insert(key, value),
        None => all.remove(&key),
    };
    (before, is_full)
}

impl Placed {
    /// All of it, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = Overlay> {
        let floods = self.floods.iter().map(|(vni, vtep)| Overlay::Flood {
            vni: *vni,
            vtep: *vtep,
        });
        let macs = self.macs.iter().map(|((vni, mac), vtep)| Overlay::Mac {
            vni: *vni,
            mac: *mac,
            vtep: *vtep,
        });
        let neighbors = self.neighbors.iter().map(|((vni, ip), mac)| Overlay::Neighbor {
            vni: *vni,
            ip: *ip,
            mac: *mac,
        });
        floods.chain(macs).chain(neighbors)
    }

    /// Where a MAC address is from now on, if anywhere.
    pub(super) fn change_mac(
        &mut self,
        key: (u32, Mac),
        mut vtep: Option<IpAddr>,
        entry: impl Fn(IpAddr) -> Overlay,
        actions: &mut Vec<Action>,
    ) -> (bool, bool) {
        let (before, is_full) = replace(&mut self.macs, key, &mut vtep);
        change(before.map(&entry), vtep.map(&entry), actions);
        (is_full, before.is_some() && vtep.is_none())
    }

    /// Which MAC address an IP address has from now on, if any.
    pub(super) fn change_neighbor(
        &mut self,
        key: (u32, IpAddr),
        mut mac: Option<Mac>,
        entry: impl Fn(Mac) -> Overlay,
        actions: &mut Vec<Action>,
    ) -> (bool, bool) {
        let (before, is_full) = replace(&mut self.neighbors, key, &mut mac);
        change(before.map(&entry), mac.map(&entry), actions);
        (is_full, before.is_some() && mac.is_none())
    }

    /// A network's device is gone, and with it what was put there.
    pub(super) fn forget_vni(&mut self, gone: u32) {
        self.floods.retain(|(vni, _)| *vni != gone);
        self.macs.retain(|(vni, _), _| *vni != gone);
        self.neighbors.retain(|(vni, _), _| *vni != gone);
    }
}

/// What is to be looked at.
#[derive(Default)]
struct Concerned {
    floods: BTreeSet<(u32, IpAddr)>,
    macs: BTreeSet<(u32, Mac)>,
    neighbors: BTreeSet<(u32, IpAddr)>,
}

impl Concerned {
    fn note(&mut self, vni: u32, route: &EvpnRoute) {
        match route {
            EvpnRoute::MacIp { tag: 0, mac, ip } => {
                self.macs.insert((vni, *mac));
                self.neighbors.extend(ip.map(|ip| (vni, ip)));
            }
            EvpnRoute::Multicast { .. } => {
                // The routers of a network are few: all are looked at.
                self.floods
                    .insert((vni, IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)));
            }
            _ => {}
        }
    }
}

impl Speaker {
    /// Puts into the kernel what follows from changed routes, or from all.
    pub(super) fn place(&mut self, changed: &BTreeSet<EvpnKey>, actions: &mut Vec<Action>) {
        let all = std::mem::take(&mut self.evpn.stale_overlay);
        if !all && changed.is_empty() {
            return;
        }
        let told = self.told_vnis().map(|it| it.vni);
        let vnis: BTreeSet<u32> = told.filter(|vni| !self.is_l3vni(*vni)).collect();
        let mut concerned = Concerned::default();
        let known = changed.iter().map(|key| &key.route);
        for vni in &vnis {
            match all {
                true => self
                    .evpn
                    .table
                    .routes()
                    .for_each(|route| concerned.note(*vni, route)),
                false => known.clone().for_each(|route| concerned.note(*vni, route)),
            }
        }
        if all {
            // What is there already may be without any route by now.
            // (What is in networks that packets are routed in is the VRFs' own.)
            for placed in self.evpn.placed.all().filter(|it| !self.is_l3vni(it.vni())) {
                match placed {
                    Overlay::Flood { vni, vtep } => drop(concerned.floods.insert((vni, vtep))),
                    Overlay::Mac { vni, mac, .. } => drop(concerned.macs.insert((vni, mac))),
                    Overlay::Neighbor { vni, ip, .. } => drop(concerned.neighbors.insert((vni, ip))),
                }
            }
        }
        let facts: BTreeMap<u32, VniFacts> = vnis
            .into_iter()
            .filter_map(|vni| Some((vni, self.vni_facts(vni)?)))
            .collect();
        let flooded: BTreeSet<u32> = concerned.floods.iter().map(|(vni, _)| *vni).collect();
        for vni in flooded {
            self.place_floods(vni, facts.get(&vni), actions);
        }
        let (mut is_full, mut has_gone) = (false, false);
        for (vni, mac) in concerned.macs {
            let known = facts.get(&vni).filter(|_| mac.is_of_host());
            let vtep = known.and_then(|_| self.has_moved(vni, mac));
            let entry = |vtep| Overlay::Mac { vni, mac, vtep };
            let (no_room, gone) = self.evpn.placed.change_mac((vni, mac), vtep, entry, actions);
            is_full |= no_room;
            has_gone |= gone;
        }
        for (vni, ip) in concerned.neighbors {
            let known = facts
                .get(&vni)
                .filter(|_| bounds::is_of_host(ip) && !self.is_own_address(ip));
            let host = known.and_then(|facts| self.host_of(facts, ip));
            let mac = host.filter(|mac| mac.is_of_host());
            let entry = |mac| Overlay::Neighbor { vni, ip, mac };
            let (no_room, gone) = self.evpn.placed.change_neighbor((vni, ip), mac, entry, actions);
            is_full |= no_room;
            has_gone |= gone;
        }
        if is_full {
            self.evpn.reached.push((OWN, Bound::Entries));
        }
        // What was left out has its turn once there is room again.
        self.evpn.stale_overlay |= has_gone && self.evpn.placed.is_partial;
        self.evpn.placed.is_partial |= is_full;
        if all && !is_full {
            self.evpn.placed.is_partial = false;
        }
    }

    /// The routers that are to have a network's broadcasts.
    fn place_floods(&mut self, vni: u32, facts: Option<&VniFacts>, actions: &mut Vec<Action>) {
        let mut wanted = BTreeSet::new();
        if let Some(facts) = facts {
            let first = EvpnRoute::Multicast {
                tag: 0,
                originator: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            };
            let routes = self.evpn.table.routes_from(&first);
            for route in routes.take_while(|it| matches!(it, EvpnRoute::Multicast { .. })) {
                let best = self.best_in_vni(facts, route);
                let foreign = best.filter(|path| path.route.source.id != OWN);
                let takes_copies = |kind: u8| kind == PmsiTunnel::INGRESS_REPLICATION;
                wanted.extend(foreign.and_then(|path| {
                    let tunnel = PmsiTunnel::of(&path.route.attributes)?;
                    takes_copies(tunnel.kind).then(|| (vni, path.vtep()))
                }));
            }
        }
        let before = self.evpn.placed.floods.iter().filter(|(it, _)| *it == vni);
        let before: BTreeSet<(u32, IpAddr)> = before.copied().collect();
        let entry = |(vni, vtep): &(u32, IpAddr)| Overlay::Flood {
            vni: *vni,
            vtep: *vtep,
        };
        for gone in before.difference(&wanted) {
            self.evpn.placed.floods.remove(gone);
            change(Some(entry(gone)), None, actions);
        }
        for new in wanted.difference(&before) {
            self.evpn.placed.floods.insert(*new);
            change(None, Some(entry(new)), actions);
        }
    }

    /// The host elsewhere that has an IP address.
    fn host_of(&self, facts: &VniFacts, ip: IpAddr) -> Option<Mac> {
        let rules = self.rules(crate::wire::Family::L2vpnEvpn);
        let routes: Vec<(Mac, EvpnRoute)> = self
            .evpn
            .table
            .macs_of(ip)
            .map(|mac| {
                let ip = Some(ip);
                (mac, EvpnRoute::MacIp { tag: 0, mac, ip })
            })
            .collect();
        let paths = routes
            .iter()
            .filter_map(|(mac, route)| Some((*mac, self.best_in_vni(facts, route)?)));
        let best = paths.reduce(|best, other| {
            match crate::evpn::better(true, other.1, best.1, None, &rules).is_lt() {
                true => other,
                false => best,
            }
        });
        let (mac, path) = best?;
        (path.route.source.id != OWN).then_some(mac)
    }
}

/// An entry in the place of another.
fn change(before: Option<Overlay>, after: Option<Overlay>, actions: &mut Vec<Action>) {
    match (before, after) {
        (before, after) if before == after => {}
        (_, Some(after)) => actions.push(Action::Place(after)),
        (Some(before), None) => actions.push(Action::TakeOut(before)),
        (None, None) => {}
    }
}
