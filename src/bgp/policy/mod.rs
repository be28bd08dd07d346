//! Policy: which routes pass, and what is changed on them, with FRR's semantics.
//!
//! [`Policy::compile`] makes lists and route-maps of a configuration ready once; after that a route costs no more than
//! looking up names and comparing. Pure: what a route-map may ask about beside the route is in [`Context`].

mod access;
mod changes;
mod communities;
mod conditions;
mod dependence;
mod prefixes;
mod private_as;
mod route_map;
mod subject;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use ipnet::IpNet;

pub use dependence::{References, differ};
pub use private_as::{is_private, remove_private};
pub use route_map::Verdict;
pub use subject::{Context, Direction, NextHopChange, Subject};

use super::config::{Action, Config, List, Lists, Match, RouteMap};
use super::expression::Expression;
use super::wire::{AsPath, Community, ExtendedCommunity, Family, LargeCommunity, PerFamily};
use access::AccessList;
use communities::CommunityList;
use prefixes::PrefixList;

/// Lists and route-maps, ready for use.
#[derive(Debug, Default)]
pub struct Policy {
    prefix_lists: PerFamily<HashMap<String, PrefixList>>,
    access_lists: PerFamily<HashMap<String, AccessList>>,
    as_path_lists: HashMap<String, Vec<(Action, Expression)>>,
    community_lists: HashMap<String, CommunityList<Community>>,
    large_community_lists: HashMap<String, CommunityList<LargeCommunity>>,
    extcommunity_lists: HashMap<String, CommunityList<ExtendedCommunity>>,
    route_maps: HashMap<String, RouteMap>,
}

impl Policy {
    /// The lists and route-maps of a configuration.
    pub fn compile(config: &Config) -> Policy {
        let access = |lists| by_name(lists, AccessList::new);
        Policy {
            prefix_lists: PerFamily {
                ipv4: by_name(&config.prefix_lists, PrefixList::new),
                ipv6: by_name(&config.prefix_lists6, PrefixList::new),
                ..PerFamily::default()
            },
            access_lists: PerFamily {
                ipv4: access(&config.access_lists),
                ipv6: access(&config.access_lists6),
                ..PerFamily::default()
            },
            as_path_lists: by_name(&config.as_path_lists, |list| {
                let rules = list.rules.values();
                rules
                    .map(|(action, text)| (*action, Expression::new(text)))
                    .collect()
            }),
            community_lists: by_name(&config.community_lists, communities::standard),
            large_community_lists: by_name(&config.large_community_lists, communities::large),
            extcommunity_lists: by_name(&config.extcommunity_lists, communities::extended),
            route_maps: config
                .route_maps
                .iter()
                .map(|(name, map)| (name.to_owned(), map.clone()))
                .collect(),
        }
    }

    /// Whether two routes that differ in their prefix only may fare differently by a route-map. To be on the safe side that
    /// is so of all that asks for more than a route's attributes, and of what calls others.
    pub fn looks_at_prefixes(&self, name: &str) -> bool {
        let entries = self.route_maps.get(name).into_iter().flat_map(|map| map.values());
        let mut asks_for_more = entries.map(|entry| {
            let is_of_attributes = |condition: &Match| {
                matches!(
                    condition,
                    Match::AsPath(_)
                        | Match::Community(..)
                        | Match::LargeCommunity(..)
                        | Match::ExtCommunity(_)
                        | Match::LocalPreference(_)
                        | Match::Metric(_)
                        | Match::Origin(_)
                        | Match::Peer(_)
                        | Match::Tag(_)
                )
            };
            entry.call.is_some() || !entry.matches.iter().all(is_of_attributes)
        });
        asks_for_more.any(|more| more)
    }

    /// Whether a route-map may do something else for another neighbor. To be on the safe side that is so of what calls others.
    pub fn looks_at_peers(&self, name: &str) -> bool {
        let mut entries = self.route_maps.get(name).into_iter().flat_map(|map| map.values());
        entries.any(|entry| {
            let asks = |it: &Match| matches!(it, Match::Peer(_) | Match::RouteSource(_));
            entry.call.is_some() || entry.matches.iter().any(asks)
        })
    }

    /// Whether a prefix-list lets a prefix through. One that does not exist lets nothing through; one without rules
    /// everything.
    pub fn prefix_list_permits(&self, name: &str, family: Family, prefix: &IpNet) -> bool {
        let list = self.prefix_lists.get(family).get(name);
        list.is_some_and(|list| list.permits(prefix))
    }

    /// Whether an access-list lets a prefix through. One that does not exist lets nothing through.
    pub fn access_list_permits(&self, name: &str, family: Family, prefix: &IpNet) -> bool {
        let list = self.access_lists.get(family).get(name);
        list.is_some_and(|list| list.permits(prefix))
    }

    /// Whether a community list lets a route with these communities through, with `exact` if it has no others than a rule
    /// names. One that does not exist lets nothing through.
    pub fn community_list_permits(&self, name: &str, communities: &[Community], exact: bool) -> bool {
        let list = self.community_lists.get(name);
        list.is_some_and(|list| list.permits(communities, exact))
    }

    /// The same of large communities.
    pub fn large_community_list_permits(
        &self,
        name: &str,
        communities: &[LargeCommunity],
        exact: bool,
    ) -> bool {
        let list = self.large_community_lists.get(name);
        list.is_some_and(|list| list.permits(communities, exact))
    }

    /// Whether an as-path access-list lets a path through. One that does not exist lets nothing through.
    pub fn as_path_list_permits(&self, name: &str, path: &AsPath) -> bool {
        let Some(list) = self.as_path_lists.get(name) else {
            return false;
        };
        let text = path.to_string();
        let found = list.iter().find(|(_, expression)| expression.matches(&text));
        found.is_some_and(|(action, _)| *action == Action::Permit)
    }
}

fn by_name<T, C>(lists: &Lists<T>, compile: impl Fn(&List<T>) -> C) -> HashMap<String, C> {
    lists
        .iter()
        .map(|(name, list)| (name.to_owned(), compile(list)))
        .collect()
}
