//! This router's own routes of EVPN: its hosts, itself, and prefixes of its VRFs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{OWN, Speaker};
use crate::config::{Bgp, Evpn};
use crate::evpn::{EvpnPath, LocalVni, VniFacts};
use crate::policy::{Subject, Verdict};
use crate::session::Time;
use crate::table::{NextHopState, Path, Route};
use crate::wire::{
    Attributes, EvpnKey, EvpnNlri, EvpnRoute, ExtendedCommunity, Family, Mac, NextHop, PmsiTunnel, Vni,
};

/// The weight of a router's own routes.
const OWN_WEIGHT: u32 = 32768;

/// What is told, by what it is about.
type Wanted = BTreeMap<EvpnKey, EvpnPath>;

impl Speaker {
    /// Puts this router's own routes into the table, and takes out those it has no longer.
    pub(super) fn originate_evpn(&mut self, now: Time) {
        let wanted = self.own_evpn(now);
        let before = std::mem::take(&mut self.evpn.own);
        for key in before.iter().filter(|key| !wanted.contains_key(key)) {
            self.evpn.table.remove(key, OWN, 0);
        }
        self.evpn.own = wanted.keys().cloned().collect();
        for (key, path) in wanted {
            // This router's own routes have no bound but what its kernel has.
            let _ = self.evpn.table.insert(key, path);
        }
    }

    fn own_evpn(&mut self, now: Time) -> Wanted {
        let mut wanted = BTreeMap::new();
        let Some(bgp) = self.config.bgp.clone() else {
            return wanted;
        };
        let local: Vec<LocalVni> = self.told_vnis().cloned().collect();
        for vni in &local {
            let Some(facts) = self.vni_facts(vni.vni) else {
                continue;
            };
            match self
                .config
                .vrf_of_l3vni(vni.vni)
                .map(|vrf| vrf.map(str::to_owned))
            {
                None => self.own_hosts(vni, &facts, now, &mut wanted),
                Some(None) => {
                    let all = self.prefixes_of_default();
                    self.own_prefixes(&bgp, all, vni, &facts, now, &mut wanted);
                }
                Some(Some(vrf)) => self.own_prefixes_of(&vrf, vni, &facts, now, &mut wanted),
            }
        }
        wanted
    }

    /// The default VRF's prefixes, and what is said about them.
    fn prefixes_of_default(&self) -> Vec<(IpNet, Route)> {
        let mut all = Vec::new();
        for family in Family::UNICAST {
            let table = self.tables.get(family);
            all.extend(
                table
                    .all()
                    .filter_map(|(id, destination)| Some((table.prefix(id), destination.best()?.clone()))),
            );
        }
        all
    }

    /// A VRF's prefixes, while its network is there.
    fn own_prefixes_of(
        &mut self,
        vrf: &str,
        vni: &LocalVni,
        facts: &VniFacts,
        now: Time,
        wanted: &mut Wanted,
    ) {
        let is_there = self.routed(vrf).is_some();
        let known = self.vrfs.get(vrf).filter(|_| is_there);
        let Some((bgp, all)) = known.and_then(|vrf| Some((vrf.speaker.config.bgp.clone()?, vrf.told())))
        else {
            return;
        };
        let told = self.own_prefixes(&bgp, all, vni, facts, now, wanted);
        if let Some(vrf) = self.vrfs.get_mut(vrf) {
            vrf.imports.told = told;
        }
    }

    /// What of the VRF that a VNI's bridge is in is said about hosts as well: the network that packets to them are routed in, its
    /// targets and this router's MAC address there (RFC 9135 section 6.1).
    fn beside_hosts(&self, vni: &LocalVni) -> Option<(u32, Vec<ExtendedCommunity>)> {
        let routed = self.routed(self.vrf_of(vni.bridge.0)?)?;
        let facts = self
            .vni_facts(routed.said.vni)
            .filter(|_| !routed.said.prefix_routes_only)?;
        let router = ExtendedCommunity::of_router_mac(routed.local.bridge.2);
        let communities = facts.export.into_iter().chain([router]);
        Some((routed.said.vni, communities.collect()))
    }

    /// A VNI's hosts, and this router as one that is to have broadcasts.
    fn own_hosts(&mut self, vni: &LocalVni, facts: &VniFacts, now: Time, wanted: &mut Wanted) {
        let mut attributes = Attributes {
            extended_communities: [ExtendedCommunity::VXLAN]
                .into_iter()
                .chain(facts.export.clone())
                .collect(),
            ..Attributes::default()
        };
        let routed = self.beside_hosts(vni);
        let of = |route| EvpnNlri {
            vni: Vni(vni.vni),
            ..EvpnNlri::from(EvpnKey { rd: facts.rd, route })
        };
        let mut hosts: Vec<(Mac, Option<IpAddr>)> = vni.macs.iter().map(|it| (it.mac, None)).collect();
        hosts.extend(vni.neighbors.iter().map(|(ip, mac)| (*mac, Some(*ip))));
        for (mac, ip) in hosts {
            let Some(sequence) = self.evpn.hosts.get(&(vni.vni, mac)).copied() else {
                continue;
            };
            let mut attributes = attributes.clone();
            // Whoever is reached on the link alone is not reached by routing.
            let is_routed = ip.is_some_and(|ip| !matches!(ip, IpAddr::V6(it) if it.is_unicast_link_local()));
            let beside = routed.as_ref().filter(|_| is_routed);
            if let Some((_, communities)) = beside {
                attributes
                    .extended_communities
                    .extend(communities.iter().copied());
            }
            if sequence > 0 {
                let mobility = ExtendedCommunity::of_mobility(sequence, false);
                attributes.extended_communities.push(mobility);
            }
            let nlri = EvpnNlri {
                l3vni: beside.map(|(vni, _)| Vni(*vni)),
                ..of(EvpnRoute::MacIp { tag: 0, mac, ip })
            };
            let path = self.own_evpn_path(attributes, vni.vtep, OWN_WEIGHT, &nlri, now);
            wanted.insert(nlri.key, path);
        }
        let tunnel = PmsiTunnel {
            kind: PmsiTunnel::INGRESS_REPLICATION,
            vni: Vni(vni.vni),
            endpoint: Some(vni.vtep),
        };
        tunnel.put(&mut attributes);
        let nlri = EvpnNlri {
            vni: Vni::default(),
            ..of(EvpnRoute::Multicast {
                tag: 0,
                originator: vni.vtep,
            })
        };
        let path = self.own_evpn_path(attributes, vni.vtep, OWN_WEIGHT, &nlri, now);
        wanted.insert(nlri.key, path);
    }

    /// A VRF's prefixes (RFC 9136 section 4.4.1). Returns those that are told.
    fn own_prefixes(
        &mut self,
        bgp: &Bgp,
        all: Vec<(IpNet, Route)>,
        vni: &LocalVni,
        facts: &VniFacts,
        now: Time,
        wanted: &mut Wanted,
    ) -> BTreeSet<IpNet> {
        let beside: Vec<ExtendedCommunity> = [ExtendedCommunity::VXLAN]
            .into_iter()
            .chain(facts.export.clone())
            .chain([ExtendedCommunity::of_router_mac(vni.bridge.2)])
            .collect();
        let routes = all.into_iter().filter_map(|(prefix, route)| {
            let (attributes, weight) = self.as_advertised(bgp, prefix, &route)?;
            Some((prefix, attributes, weight))
        });
        let defaults = default_routes(&bgp.evpn);
        let defaults = defaults.map(|prefix| (prefix, Attributes::default(), OWN_WEIGHT));
        let all: Vec<(IpNet, Attributes, u32)> = routes.chain(defaults).collect();
        let mut told = BTreeSet::new();
        for (prefix, mut attributes, weight) in all {
            attributes.extended_communities.extend(beside.iter().copied());
            let key = EvpnKey {
                rd: facts.rd,
                route: EvpnRoute::Prefix { tag: 0, prefix },
            };
            let nlri = EvpnNlri {
                vni: Vni(vni.vni),
                ..EvpnNlri::from(key)
            };
            let path = self.own_evpn_path(attributes, vni.vtep, weight, &nlri, now);
            wanted.insert(nlri.key, path);
            told.insert(prefix);
        }
        told
    }

    /// What is said about a prefix, as `advertise … unicast` and its route-map have it; none if it is not told.
    fn as_advertised(&self, bgp: &Bgp, prefix: IpNet, route: &Route) -> Option<(Attributes, u32)> {
        let how = match prefix {
            IpNet::V4(_) => bgp.evpn.advertise_ipv4.as_ref(),
            IpNet::V6(_) => bgp.evpn.advertise_ipv6.as_ref(),
        }?;
        let Some(map) = &how.route_map else {
            return Some(((*route.attributes).clone(), route.weight));
        };
        let context = self.context_own(bgp, None, false);
        let mut subject = Subject::of(prefix, route);
        let verdict = self.policy.apply(map, &mut subject, &context);
        (verdict == Verdict::Permit).then(|| ((*subject.attributes).clone(), subject.weight))
    }

    fn own_evpn_path(
        &mut self,
        attributes: Attributes,
        vtep: IpAddr,
        weight: u32,
        nlri: &EvpnNlri,
        now: Time,
    ) -> EvpnPath {
        let path = Path {
            source: self.own_source(OWN),
            attributes: Arc::new(attributes),
            next_hop: match vtep {
                IpAddr::V4(address) => NextHop::V4(address),
                IpAddr::V6(global) => NextHop::V6 {
                    global,
                    link_local: None,
                },
            },
            weight,
            tag: 0,
            distance: None,
            table: None,
        };
        let path = self.paths.of(path);
        EvpnPath::of(nlri, Route::new(path, 0, NextHopState::Reachable(0), now))
    }
}

/// `default-originate`.
fn default_routes(evpn: &Evpn) -> impl Iterator<Item = IpNet> + use<> {
    let (ipv4, ipv6) = evpn.default_originate;
    let of = |family: Family, is_told: bool| is_told.then(|| family.default_route());
    [of(Family::Ipv4Unicast, ipv4), of(Family::Ipv6Unicast, ipv6)]
        .into_iter()
        .flatten()
}
