//! Routes of EVPN: what neighbors tell of them, this router's own, and what follows when any of it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::evpn_out::ToldAll;
use super::evpn_overlay::Placed;
use super::import_policy::Received;
use super::{Action, OWN, Peer, Speaker};
use crate::evpn::bounds::{self, Told};
use crate::evpn::{Bound, EvpnPath, EvpnTable, LocalVni, Overlay, VniFacts, better};
use crate::session::Time;
use crate::table::{NextHopState, Route, SourceId};
use crate::wire::{EvpnKey, EvpnNlri, EvpnRoute, Family, Mac, Update};

/// The number of the default VRF's distinguisher; those of VNIs follow.
const OF_VRF: u16 = 1;
/// Rounds in which MAC addresses that have moved away are given up.
const ROUNDS: usize = 4;

/// All about EVPN.
#[derive(Default)]
pub(super) struct Evpn {
    pub(super) table: EvpnTable,
    /// VXLAN devices, by their networks.
    pub(super) local: BTreeMap<u32, LocalVni>,
    /// The numbers at the end of automatic distinguishers.
    pub(super) numbers: BTreeMap<u32, u16>,
    /// Hosts at this router, and how often each has moved.
    pub(super) hosts: BTreeMap<(u32, Mac), u32>,
    /// Hosts that the bridge still has on a port though they are elsewhere by now.
    moved_away: BTreeSet<(u32, Mac)>,
    /// Own routes that are in the table.
    pub(super) own: BTreeSet<EvpnKey>,
    /// Whether own routes are to be looked at.
    stale_own: bool,
    /// Whether all that is in the kernel is to be looked at.
    pub(super) stale_overlay: bool,
    pub(super) told: ToldAll,
    pub(super) placed: Placed,
    /// Routers, and whether there is a way to them.
    vteps: BTreeMap<IpAddr, bool>,
    /// MAC addresses of this router's own interfaces.
    own_macs: BTreeSet<Mac>,
    /// Bounds that were told.
    told_bounds: Told<SourceId>,
    /// Bounds that are to be told.
    pub(super) reached: Vec<(SourceId, Bound)>,
}

impl Speaker {
    /// The routes of EVPN.
    pub fn evpn_table(&self) -> &EvpnTable {
        &self.evpn.table
    }

    /// Whether any route of EVPN can be there.
    pub fn uses_evpn(&self) -> bool {
        let tells = self
            .config
            .bgp
            .as_ref()
            .is_some_and(|bgp| bgp.evpn.advertise_all_vni);
        tells || self.peers.values().any(|peer| peer.effective.evpn.activate)
    }

    /// VXLAN devices, by their networks.
    pub fn local_vnis(&self) -> &BTreeMap<u32, LocalVni> {
        &self.evpn.local
    }

    /// How often a host at this router has moved; none for one that is not here.
    pub fn host_sequence(&self, vni: u32, mac: Mac) -> Option<u32> {
        self.evpn.hosts.get(&(vni, mac)).copied()
    }

    /// How often a host has moved, as other routers say.
    pub fn remote_sequence(&self, vni: u32, mac: Mac) -> Option<u32> {
        self.elsewhere(vni, mac).map(|((sequence, _), _)| sequence)
    }

    /// What is put into the kernel.
    pub fn overlay(&self) -> impl Iterator<Item = Overlay> {
        self.evpn.placed.all()
    }

    /// Whether a VNI is one that packets are routed in.
    pub fn is_l3vni(&self, vni: u32) -> bool {
        self.config.vrf_of_l3vni(vni).is_some()
    }

    /// VNIs of which this router tells.
    pub fn told_vnis(&self) -> impl Iterator<Item = &LocalVni> {
        let tells = self
            .config
            .bgp
            .as_ref()
            .is_some_and(|bgp| bgp.evpn.advertise_all_vni);
        self.evpn.local.values().filter(move |_| tells)
    }

    /// The distinguisher and the targets of a VNI: of one that packets are routed in, those of its VRF.
    pub fn vni_facts(&self, vni: u32) -> Option<VniFacts> {
        let bgp = self.config.bgp.as_ref()?;
        let (bgp, router_id, number, said) = match self.config.vrf_of_l3vni(vni) {
            None => (
                bgp,
                self.router_id(),
                *self.evpn.numbers.get(&vni)?,
                bgp.evpn.vnis.get(&vni),
            ),
            Some(None) => (bgp, self.router_id(), OF_VRF, Some(&bgp.evpn.own)),
            Some(Some(name)) => {
                let vrf = self.vrfs.get(name)?;
                let bgp = vrf.speaker.config.bgp.as_ref()?;
                (bgp, vrf.speaker.router_id(), vrf.number, Some(&bgp.evpn.own))
            }
        };
        Some(VniFacts::of(bgp.asn, router_id, vni, number, said))
    }

    /// The best of what a VNI takes of a route, this router's own included.
    pub fn best_in_vni<'s>(&'s self, facts: &VniFacts, route: &'s EvpnRoute) -> Option<&'s EvpnPath> {
        let rules = self.rules(Family::L2vpnEvpn);
        let is_mac = matches!(route, EvpnRoute::MacIp { .. });
        self.in_vni(facts, route)
            .map(|(_, path)| path)
            .reduce(
                |best, path| match better(is_mac, path, best, None, &rules).is_lt() {
                    true => path,
                    false => best,
                },
            )
    }

    /// The best under each distinguisher of what a VNI takes of a route.
    pub fn in_vni<'s>(
        &'s self,
        facts: &VniFacts,
        route: &'s EvpnRoute,
    ) -> impl Iterator<Item = (EvpnKey, &'s EvpnPath)> {
        self.evpn
            .table
            .of_route(route)
            .filter_map(move |(key, destination)| {
                let best = destination.best()?;
                let takes = match best.route.source.id == OWN {
                    true => key.rd == facts.rd,
                    false => facts.imports(&best.route.attributes.extended_communities),
                };
                takes.then_some((key, best))
            })
    }

    /// A message of a neighbor's says something of EVPN.
    pub(super) fn update_evpn(&mut self, source: SourceId, update: &mut Update, now: Time) {
        for nlri in &update.evpn_unreachable {
            self.unlearn_evpn(source, nlri);
        }
        let Some((next_hop, nlri)) = update.evpn_reachable.take() else {
            return;
        };
        let mut attributes = update.attributes.clone();
        // As FRR keeps them.
        attributes.extended_communities.sort_unstable();
        attributes.extended_communities.dedup();
        let attributes = self.taken(source, attributes);
        let told = Received { attributes, next_hop };
        let any = Family::L2vpnEvpn.default_route();
        let path = self.import(source, Family::L2vpnEvpn, &any, &told, now);
        let path = path.map(|path| self.paths.of(path));
        if let Err(loss) = &path
            && let Some(peer) = self.peers.get_mut(&source)
        {
            nlri.iter().for_each(|_| peer.record.lost.count(*loss));
        }
        for nlri in &nlri {
            // What is not known is not passed on (RFC 7606 section 5.4).
            let is_known = !matches!(nlri.key.route, EvpnRoute::Other { .. });
            match &path {
                Ok(path) if is_known && !self.is_own_mac(nlri) => {
                    let state = self.state_of_vtep(path.next_hop.address());
                    let route = Route::new(Arc::clone(path), nlri.path_id.unwrap_or(0), state, now);
                    let path = EvpnPath::of(nlri, route);
                    if let Err(bound) = self.evpn.table.insert(nlri.key.clone(), path) {
                        self.unlearn_evpn(source, nlri);
                        self.evpn.reached.push((source, bound));
                    }
                }
                _ => self.unlearn_evpn(source, nlri),
            }
        }
    }

    fn unlearn_evpn(&mut self, source: SourceId, nlri: &EvpnNlri) {
        let path_id = nlri.path_id.unwrap_or(0);
        self.evpn.table.remove(&nlri.key, source, path_id);
    }

    /// Whether a neighbor says something of a MAC address that is this router's own (bgpd: "self mac").
    fn is_own_mac(&self, nlri: &EvpnNlri) -> bool {
        matches!(&nlri.key.route, EvpnRoute::MacIp { mac, .. } if self.evpn.own_macs.contains(mac))
    }

    /// The interfaces are others: what neighbors say of their MAC addresses is not theirs to say.
    pub(super) fn note_own_macs(&mut self) {
        let octets = |it: &super::Interface| <[u8; 6]>::try_from(it.link.address.as_slice()).ok();
        let own = self.interfaces.iter().filter_map(octets).map(Mac);
        let own: BTreeSet<Mac> = own.filter(|mac| mac.is_of_host()).collect();
        if own != self.evpn.own_macs {
            self.evpn.table.remove_macs(&own);
            self.evpn.own_macs = own;
        }
    }

    /// Tells of bounds that were reached, of each once.
    fn tell_bounds(&mut self, actions: &mut Vec<Action>) {
        for (source, bound) in std::mem::take(&mut self.evpn.reached) {
            if self.evpn.told_bounds.is_news(source, bound) {
                let peer = self.peers.get(&source);
                let who = peer.map_or("EVPN".to_owned(), |peer| {
                    format!("EVPN of neighbor {}", peer.name)
                });
                actions.push(Action::Log(format!("{who}: {bound}")));
            }
        }
    }

    /// Whether frames can be sent to a tunnel's end: it is another router's, and there is a way to it.
    fn is_vtep(&self, vtep: IpAddr) -> bool {
        let is_own = || self.evpn.local.values().any(|local| local.vtep == vtep);
        bounds::is_of_router(vtep) && !is_own() && self.is_reachable(vtep)
    }

    fn state_of_vtep(&mut self, vtep: IpAddr) -> NextHopState {
        if self.evpn.vteps.len() >= 2 * bounds::VTEPS {
            let table = &self.evpn.table;
            self.evpn.vteps.retain(|vtep, _| table.leads_to(*vtep));
        }
        let known = self.evpn.vteps.get(&vtep).copied();
        let is_reachable = known.unwrap_or_else(|| self.is_vtep(vtep));
        self.evpn.vteps.insert(vtep, is_reachable);
        match is_reachable {
            true => NextHopState::Reachable(0),
            false => NextHopState::Unreachable,
        }
    }

    /// The kernel's VXLAN devices and what their bridges have learned are as follows.
    pub(super) fn note_bridging(&mut self, local: Vec<LocalVni>) {
        let before = std::mem::take(&mut self.evpn.local);
        for vni in local {
            if self.evpn.local.len() >= bounds::VNIS {
                self.evpn.reached.push((OWN, Bound::Vnis));
                break;
            }
            // Of two devices for one network the first is meant.
            self.evpn.local.entry(vni.vni).or_insert(vni);
        }
        let local = std::mem::take(&mut self.evpn.local);
        for vni in local.values() {
            let is_new = before.get(&vni.vni).is_none_or(|it| it.device.0 != vni.device.0);
            if is_new {
                self.evpn.placed.forget_vni(vni.vni);
            }
        }
        for gone in before.keys().filter(|vni| !local.contains_key(vni)) {
            self.evpn.placed.forget_vni(*gone);
        }
        self.evpn.local = local;
        self.number_vnis();
        let local = std::mem::take(&mut self.evpn.local);
        let here: BTreeSet<(u32, Mac)> = local
            .values()
            .flat_map(|it| it.macs.iter().map(|mac| (it.vni, mac.mac)))
            .collect();
        self.evpn.hosts.retain(|host, _| here.contains(host));
        self.evpn.moved_away.retain(|host| here.contains(host));
        for host in here {
            if self.evpn.hosts.contains_key(&host) || self.evpn.moved_away.contains(&host) {
                continue;
            }
            // One that was elsewhere has moved once more (RFC 7432 section 7.7).
            let elsewhere = self.elsewhere(host.0, host.1);
            let sequence = elsewhere.map_or(0, |((sequence, _), _)| sequence.saturating_add(1));
            self.evpn.hosts.insert(host, sequence);
        }
        self.evpn.local = local;
        self.evpn.stale_own = true;
        self.evpn.stale_overlay = true;
    }

    /// Gives each VNI's distinguisher a number; those that packets are routed in have their VRF's.
    fn number_vnis(&mut self) {
        let is_bare = |vni: &u32| !self.evpn.numbers.contains_key(vni) && !self.is_l3vni(*vni);
        let bare: Vec<u32> = self.evpn.local.keys().copied().filter(is_bare).collect();
        for vni in bare {
            let number = self.free_number();
            self.evpn.numbers.insert(vni, number);
        }
        let known = &self.evpn.local;
        self.evpn.numbers.retain(|vni, _| known.contains_key(vni));
    }

    /// The lowest number that no distinguisher ends with.
    pub(super) fn free_number(&self) -> u16 {
        let vrfs = self.vrfs.values().map(|vrf| vrf.number);
        let taken: BTreeSet<u16> = self.evpn.numbers.values().copied().chain(vrfs).collect();
        let mut free = (OF_VRF + 1..=u16::MAX).filter(|number| !taken.contains(number));
        free.next().unwrap_or(OF_VRF)
    }

    /// How often a host has moved that is at another router, whether it may move, and the router: the best of all that is said.
    pub(super) fn elsewhere(&self, vni: u32, mac: Mac) -> Option<((u32, bool), IpAddr)> {
        let facts = self.vni_facts(vni)?;
        let first = EvpnRoute::MacIp {
            tag: 0,
            mac,
            ip: None,
        };
        let of_host =
            |route: &&EvpnRoute| matches!(route, EvpnRoute::MacIp { tag: 0, mac: it, .. } if *it == mac);
        let routes = self.evpn.table.routes_from(&first).take_while(of_host);
        let paths = routes.flat_map(|route| self.in_vni(&facts, route).map(|(_, path)| path));
        let foreign = paths.filter(|path| path.route.source.id != OWN);
        let all = foreign.map(|path| (path.mobility(), path.vtep()));
        all.max_by(|a, b| {
            let rank = |((sequence, is_sticky), _): &((u32, bool), IpAddr)| (*is_sticky, *sequence);
            rank(a).cmp(&rank(b)).then_with(|| b.1.cmp(&a.1))
        })
    }

    /// Whether a host is said to be at another router by something that is better than what this router says.
    pub(super) fn has_moved(&self, vni: u32, mac: Mac) -> Option<IpAddr> {
        let ((sequence, is_sticky), vtep) = self.elsewhere(vni, mac)?;
        let Some(own) = self.evpn.hosts.get(&(vni, mac)) else {
            return Some(vtep);
        };
        let local = self.evpn.local.get(&vni).map(|it| it.vtep);
        let wins = is_sticky || sequence > *own || (sequence == *own && local.is_some_and(|it| vtep < it));
        wins.then_some(vtep)
    }

    /// Decides about whatever has changed, tells it, and puts it into the kernel. `others` says that other routes, interfaces or
    /// the configuration have changed.
    pub(super) fn settle_evpn(
        &mut self,
        others: bool,
        configured: bool,
        actions: &mut Vec<Action>,
        now: Time,
    ) {
        if others {
            self.resolve_vteps();
        }
        if configured {
            self.number_vnis();
        }
        self.evpn.stale_overlay |= configured;
        self.evpn.stale_own |= configured || (others && self.tells_prefixes());
        let rules = self.rules(Family::L2vpnEvpn);
        let mut changed = BTreeSet::new();
        for _ in 0..ROUNDS {
            if std::mem::take(&mut self.evpn.stale_own) {
                self.originate_evpn(now);
            }
            changed.extend(self.evpn.table.decide(&rules));
            let touched = self.evpn.table.take_touched();
            self.evpn.stale_own |= self.import_into_vrfs(&touched, now, actions);
            if !self.give_up_moved(&changed) && !self.evpn.stale_own {
                break;
            }
        }
        self.place(&changed, actions);
        self.tell_bounds(actions);
        let changed: Vec<EvpnKey> = changed.into_iter().collect();
        self.export_evpn(&changed, configured, actions);
    }

    fn tells_prefixes(&self) -> bool {
        let bgp = self.config.bgp.as_ref();
        bgp.is_some_and(|bgp| bgp.evpn.tells_prefixes())
    }

    fn resolve_vteps(&mut self) {
        let known = self.evpn.table.vteps();
        let vteps: BTreeMap<IpAddr, bool> = known.map(|vtep| (vtep, self.is_vtep(vtep))).collect();
        if vteps != self.evpn.vteps {
            let is_reachable = |vtep| vteps.get(&vtep).copied().unwrap_or(false);
            self.evpn.table.resolve(is_reachable, OWN);
        }
        self.evpn.vteps = vteps;
    }

    /// Gives up hosts that are elsewhere by now. Returns whether there are such.
    fn give_up_moved(&mut self, changed: &BTreeSet<EvpnKey>) -> bool {
        let told = changed.iter().filter_map(|key| match &key.route {
            EvpnRoute::MacIp { mac, .. } => Some(*mac),
            _ => None,
        });
        let vnis = self.evpn.local.keys();
        let hosts = told.flat_map(|mac| vnis.clone().map(move |vni| (*vni, mac)));
        let moved: BTreeSet<(u32, Mac)> = hosts
            .filter(|host| self.evpn.hosts.contains_key(host))
            .filter(|(vni, mac)| self.has_moved(*vni, *mac).is_some())
            .collect();
        for host in &moved {
            self.evpn.hosts.remove(host);
            self.evpn.moved_away.insert(*host);
        }
        self.evpn.stale_own |= !moved.is_empty();
        !moved.is_empty()
    }

    /// Marks what a neighbor says in a family as said before its restart.
    pub(super) fn mark_stale(&mut self, id: SourceId, family: Family) {
        match family {
            Family::L2vpnEvpn => self.evpn.table.mark_stale(id),
            _ => self.tables.get_mut(family).mark_stale(id),
        }
    }

    /// Forgets what a neighbor said in a family before its restart.
    pub(super) fn remove_stale(&mut self, id: SourceId, family: Family) {
        match family {
            Family::L2vpnEvpn => self.evpn.table.remove_stale(id),
            _ => self.tables.get_mut(family).remove_stale(id),
        }
    }

    /// Forgets what a neighbor says in a family.
    pub(super) fn remove_source(&mut self, id: SourceId, family: Family) {
        match family {
            Family::L2vpnEvpn => {
                self.evpn.table.remove_source(id);
                self.evpn.told_bounds.forget(id);
            }
            _ => self.tables.get_mut(family).remove_source(id),
        }
    }

    /// How much there is in a family.
    pub(super) fn size(&self, family: Family) -> usize {
        match family {
            Family::L2vpnEvpn => self.evpn.table.len(),
            _ => self.tables.get(family).len(),
        }
    }

    /// How many routes a neighbor was told.
    pub fn told_count(&self, peer: &Peer, family: Family) -> usize {
        match family {
            Family::L2vpnEvpn => self.evpn.told.count(peer.id),
            _ => peer.advertised_count(family),
        }
    }
}
