//! On which lists and route-maps a setting depends, and whether they are others than before.

use std::collections::BTreeSet;

use crate::config::{AddressMatch, Config, EffectiveFamily, Match, RouteMapEntry, Set};
use crate::wire::Family;

/// A list or route-map that something refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Reference {
    PrefixList(Family, String),
    AccessList(Family, String),
    AsPathList(String),
    CommunityList(String),
    LargeCommunityList(String),
    ExtCommunityList(String),
    RouteMap(String),
}

/// Everything that a decision about routes refers to.
#[derive(Debug, Clone, Default)]
pub struct References(BTreeSet<Reference>);

impl References {
    /// What decides about what a neighbor tells.
    pub fn inbound(family: Family, settings: &EffectiveFamily) -> References {
        let mut all = References::default();
        all.note(&settings.prefix_list_in, |it| Reference::PrefixList(family, it));
        all.note(&settings.distribute_list_in, |it| {
            Reference::AccessList(family, it)
        });
        all.note(&settings.filter_list_in, Reference::AsPathList);
        all.note(&settings.route_map_in, Reference::RouteMap);
        all
    }

    fn note(&mut self, name: &Option<String>, make: impl Fn(String) -> Reference) {
        self.0.extend(name.clone().map(make));
    }

    /// With what these refer to themselves.
    fn closed(mut self, config: &Config) -> References {
        let mut new: Vec<Reference> = self.0.iter().cloned().collect();
        while let Some(reference) = new.pop() {
            let Reference::RouteMap(name) = &reference else {
                continue;
            };
            let entries = config
                .route_maps
                .get(name)
                .into_iter()
                .flat_map(|map| map.values());
            for found in entries.flat_map(referred) {
                if self.0.insert(found.clone()) {
                    new.push(found);
                }
            }
        }
        self
    }
}

/// Whether what these refer to, directly or not, differs between two configurations.
pub fn differ(references: References, before: &Config, after: &Config) -> bool {
    let all = references.closed(after);
    all.0.iter().any(|it| match it {
        Reference::PrefixList(Family::Ipv4Unicast, name) => {
            before.prefix_lists.get(name) != after.prefix_lists.get(name)
        }
        Reference::PrefixList(Family::Ipv6Unicast, name) => {
            before.prefix_lists6.get(name) != after.prefix_lists6.get(name)
        }
        Reference::AccessList(Family::Ipv4Unicast, name) => {
            before.access_lists.get(name) != after.access_lists.get(name)
        }
        Reference::AccessList(Family::Ipv6Unicast, name) => {
            before.access_lists6.get(name) != after.access_lists6.get(name)
        }
        // No list is for routes that are no prefixes.
        Reference::PrefixList(Family::L2vpnEvpn, _) | Reference::AccessList(Family::L2vpnEvpn, _) => false,
        Reference::AsPathList(name) => before.as_path_lists.get(name) != after.as_path_lists.get(name),
        Reference::CommunityList(name) => before.community_lists.get(name) != after.community_lists.get(name),
        Reference::LargeCommunityList(name) => {
            before.large_community_lists.get(name) != after.large_community_lists.get(name)
        }
        Reference::ExtCommunityList(name) => {
            before.extcommunity_lists.get(name) != after.extcommunity_lists.get(name)
        }
        Reference::RouteMap(name) => before.route_maps.get(name) != after.route_maps.get(name),
    })
}

/// What an entry of a route-map refers to.
fn referred(entry: &RouteMapEntry) -> Vec<Reference> {
    let matches = entry.matches.iter().filter_map(|condition| match condition {
        Match::Address(family, by) | Match::NextHop(family, by) => by_address(*family, by),
        Match::RouteSource(by) => by_address(Family::Ipv4Unicast, by),
        Match::AsPath(name) => Some(Reference::AsPathList(name.clone())),
        Match::Community(name, _) => Some(Reference::CommunityList(name.clone())),
        Match::LargeCommunity(name, _) => Some(Reference::LargeCommunityList(name.clone())),
        Match::ExtCommunity(name) => Some(Reference::ExtCommunityList(name.clone())),
        _ => None,
    });
    let sets = entry.sets.iter().filter_map(|set| match set {
        Set::CommunityDelete(name) => Some(Reference::CommunityList(name.clone())),
        Set::LargeCommunityDelete(name) => Some(Reference::LargeCommunityList(name.clone())),
        _ => None,
    });
    let call = entry.call.iter().cloned().map(Reference::RouteMap);
    matches.chain(sets).chain(call).collect()
}

fn by_address(family: Family, by: &AddressMatch) -> Option<Reference> {
    match by {
        AddressMatch::AccessList(name) => Some(Reference::AccessList(family, name.clone())),
        AddressMatch::PrefixList(name) => Some(Reference::PrefixList(family, name.clone())),
        AddressMatch::PrefixLength(_) | AddressMatch::Address(_) | AddressMatch::Blackhole => None,
    }
}
