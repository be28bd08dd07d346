//! A virtual router as the built-in speaker is configured: FRR's words for what Cilium tells GoBGP.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::instance::{AddressFamily, Announced, Instance, Peer, PeerAddress, Source};
use crate::bgp::config::{
    Action, AddressMatch, Bgp, Change, Config, Group, List, Made, Match, Neighbor, Network, PeerName,
    PrefixRule, Profile, RemoteAs, RouteMapEntry, Set, Settings, Timers, UpdateSource,
};
use crate::bgp::config::{GracefulRestart, Restart};
use crate::bgp::wire::Family;

/// The configuration of a virtual router. A peer that is at a default gateway has none until the node has that.
pub fn config(instance: &Instance, gateway: impl Fn(AddressFamily) -> Option<IpAddr>) -> Config {
    let mut config = Config::default();
    let mut bgp = Bgp::new(instance.asn, Profile::Traditional);
    bgp.router_id = Some(instance.router_id);
    bgp.flags.ebgp_requires_policy = false;
    // Of its own routes none is the kernel's.
    bgp.flags.import_check = false;
    bgp.flags.default_ipv4_unicast = false;
    bgp.flags.log_neighbor_changes = true;
    bgp.flags.disable_connected_check = true;
    bgp.graceful_restart = restart(instance);
    for peer in &instance.peers {
        let address = match peer.address {
            PeerAddress::Fixed(address) => Some(address),
            PeerAddress::DefaultGateway(family) => gateway(family),
        };
        let Some(address) = address else { continue };
        let name = PeerName::Address(address);
        if bgp.neighbor(&name).is_some() {
            continue;
        }
        for prefix in peer.routes.keys() {
            let table = bgp.family_mut(AddressFamily::of(prefix.addr()).into());
            table.networks.insert(*prefix, Network::default());
        }
        let own = group(instance, peer, address, &mut config);
        bgp.neighbors.push(Neighbor {
            name,
            v6only: false,
            group: None,
            made: Made::default(),
            own,
        });
    }
    bgp.neighbors.sort_by(|a, b| a.name.cmp(&b.name));
    config.bgp = Some(bgp);
    config
}

/// GoBGP tells each peer a time of its own; the longest holds for all.
fn restart(instance: &Instance) -> Restart {
    let longest = instance.peers.iter().filter_map(|peer| peer.restart).max();
    Restart {
        enabled: Some(longest.is_some()),
        restart_time: longest.unwrap_or(Restart::default().restart_time),
        ..Restart::default()
    }
}

fn group(instance: &Instance, peer: &Peer, address: IpAddr, config: &mut Config) -> Group {
    let is_internal = peer.asn == instance.asn;
    let mut group = Group {
        settings: Settings {
            remote_as: Some(RemoteAs::Number(peer.asn)),
            port: Some(peer.port),
            ebgp_multihop: (!is_internal).then_some(peer.multihop),
            password: peer.password.clone(),
            update_source: peer.source.as_ref().map(|source| match source {
                Source::Address(address) => UpdateSource::Address(*address),
                Source::Interface(name) => UpdateSource::Interface(name.clone()),
            }),
            timers: Some(Timers {
                keepalive: peer.keepalive,
                hold: peer.hold,
            }),
            connect_retry: Some(u16::try_from(peer.connect_retry).unwrap_or(u16::MAX)),
            graceful_restart: Some(match peer.restart {
                Some(_) => GracefulRestart::Restarter,
                None => GracefulRestart::Disabled,
            }),
            ..Settings::default()
        },
        ..Group::default()
    };
    for family in &peer.families {
        let route_map = format!("{address}-{}", family.name());
        announce(&route_map, *family, peer, is_internal, config);
        let settings = group.family_mut((*family).into());
        settings.activate = Some(true);
        settings.route_map_out = Some(route_map);
    }
    group
}

/// The route-map of what a peer is told in a family: an entry for each set of attributes. What is in none of them, such as
/// all that other peers have told, goes no further.
fn announce(name: &str, family: AddressFamily, peer: &Peer, is_internal: bool, config: &mut Config) {
    let mut groups: BTreeMap<&Announced, Vec<IpNet>> = BTreeMap::new();
    let routes = peer.routes.iter();
    for (prefix, announced) in routes.filter(|(prefix, _)| AddressFamily::of(prefix.addr()) == family) {
        groups.entry(announced).or_default().push(*prefix);
    }
    config.route_maps.last_or_default(name);
    for (sequence, (announced, prefixes)) in (1u16..).zip(groups) {
        let list = format!("{name}-{sequence}");
        let mut rules = List::default();
        for (number, prefix) in (1u32..).zip(prefixes) {
            let rule = PrefixRule {
                prefix: Some(prefix),
                ge: None,
                le: None,
            };
            rules.rules.insert(number, (Action::Permit, rule));
        }
        let lists = match family {
            AddressFamily::Ipv4 => &mut config.prefix_lists,
            AddressFamily::Ipv6 => &mut config.prefix_lists6,
        };
        *lists.last_or_default(&list) = rules;
        let mut entry = RouteMapEntry::new(Action::Permit);
        let family = Family::from(family);
        entry.matches = vec![Match::Address(family, AddressMatch::PrefixList(list))];
        entry.sets = sets(announced, is_internal);
        config.route_maps.last_or_default(name).insert(sequence, entry);
    }
}

fn sets(announced: &Announced, is_internal: bool) -> Vec<Set> {
    let mut sets = Vec::new();
    if !announced.communities.is_empty() {
        let communities = announced.communities.iter().copied().collect();
        sets.push(Set::Community(communities, false));
    }
    if !announced.large_communities.is_empty() {
        let communities = announced.large_communities.iter().copied().collect();
        sets.push(Set::LargeCommunity(communities, false));
    }
    // Other ASes are told none (RFC 4271 section 5.1.5).
    if let Some(preference) = announced.local_preference.filter(|_| is_internal) {
        sets.push(Set::LocalPreference(Change::To(preference)));
    }
    sets
}
