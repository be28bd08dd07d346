//! The routes of all nodes at one moment, and how two moments differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::route::{self, Found};

/// The routes of nodes: for each node, destinations and how they are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes(BTreeMap<String, BTreeMap<String, Vec<String>>>);

/// A route that one of two moments has and the other has not, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The node.
    pub node: String,
    /// The destination, with its table and metric.
    pub to: String,
    /// How it was reached before.
    pub before: Option<String>,
    /// How it is reached afterwards.
    pub after: Option<String>,
}

/// The table of a namespace's own addresses: those come and go with interfaces, and are not routes that anybody computes.
const LOCAL: u32 = 255;
/// The table that routers use unless told otherwise (RT_TABLE_MAIN).
const MAIN: u32 = 254;

impl Routes {
    /// Adds the routes of a node. `name` names its interfaces.
    pub fn add(&mut self, node: &str, found: &[Found], name: impl Fn(u32) -> String) {
        let of_node = self.0.entry(node.to_owned()).or_default();
        for route in found.iter().filter(|route| route.table != LOCAL) {
            let mut to = route.to.to_string();
            if route.table != MAIN {
                to.push_str(&format!(" table {}", route.table));
            }
            if route.metric != 0 {
                to.push_str(&format!(" metric {}", route.metric));
            }
            let hops = route.hops.iter().map(|hop| {
                let via = hop.via.map(|via| format!("via {via} ")).unwrap_or_default();
                let dev = hop
                    .dev
                    .map(|dev| format!("dev {}", name(dev)))
                    .unwrap_or_default();
                format!("{via}{dev}")
            });
            let hops: Vec<String> = hops.collect();
            let ways = of_node.entry(to).or_default();
            match hops.is_empty() {
                true => ways.push(route::kind_name(route.kind)),
                false => ways.extend(hops),
            }
            // The kernel lists them in the order they came.
            ways.sort();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// How they differ from later ones.
    pub fn differences(&self, later: &Routes) -> Vec<Difference> {
        let none = BTreeMap::new();
        let mut found = Vec::new();
        let nodes = self
            .0
            .keys()
            .chain(later.0.keys().filter(|node| !self.0.contains_key(*node)));
        for node in nodes {
            let before = self.0.get(node).unwrap_or(&none);
            let after = later.0.get(node).unwrap_or(&none);
            let new = after.keys().filter(|to| !before.contains_key(*to));
            for to in before.keys().chain(new) {
                if before.get(to) != after.get(to) {
                    found.push(Difference {
                        node: node.clone(),
                        to: to.clone(),
                        before: before.get(to).map(|ways| ways.join(", ")),
                        after: after.get(to).map(|ways| ways.join(", ")),
                    });
                }
            }
        }
        found
    }
}

impl Difference {
    /// As a line for people.
    pub fn text(&self) -> String {
        let Difference { node, to, .. } = self;
        match (&self.before, &self.after) {
            (Some(before), None) => format!("{node} has no route to {to} any more (it was {before})"),
            (None, Some(after)) => format!("{node} has a new route to {to}: {after}"),
            (before, after) => {
                let (before, after) = (before.as_deref().unwrap_or(""), after.as_deref().unwrap_or(""));
                format!("{node} reaches {to} by {after}; it was {before}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::route::RouteType;

    use super::*;
    use crate::kernel::route::Hop;

    fn found(to: &str, devices: &[u32], table: u32) -> Found {
        let hop = |dev: &u32| Hop {
            via: None,
            dev: Some(*dev),
            weight: 1,
        };
        Found {
            to: to.parse().unwrap(),
            kind: RouteType::Unicast,
            hops: devices.iter().map(hop).collect(),
            protocol: 186,
            metric: 20,
            table,
        }
    }

    fn routes(found: &[Found]) -> Routes {
        let mut routes = Routes::default();
        routes.add("a", found, |index| format!("eth{index}"));
        routes
    }

    #[test]
    fn the_order_of_routes_and_next_hops_says_nothing() {
        let one = routes(&[
            found("10.0.0.0/8", &[1, 2], 254),
            found("fe80::/64", &[1], 254),
            found("fe80::/64", &[2], 254),
        ]);
        let other = routes(&[
            found("fe80::/64", &[2], 254),
            found("10.0.0.0/8", &[2, 1], 254),
            found("fe80::/64", &[1], 254),
        ]);
        assert_eq!(one.differences(&other), []);
        assert_eq!(one.count(), 2);
    }

    #[test]
    fn differences_are_told() {
        let before = routes(&[
            found("10.0.0.0/8", &[1, 2], 254),
            found("10.1.0.0/16", &[1], 7),
            found("10.2.0.0/16", &[1], 255),
        ]);
        let after = routes(&[found("10.0.0.0/8", &[2], 254), found("10.3.0.0/16", &[1], 254)]);
        let told: Vec<String> = before.differences(&after).iter().map(Difference::text).collect();
        assert_eq!(
            told,
            [
                "a reaches 10.0.0.0/8 metric 20 by dev eth2; it was dev eth1, dev eth2",
                "a has no route to 10.1.0.0/16 table 7 metric 20 any more (it was dev eth1)",
                "a has a new route to 10.3.0.0/16 metric 20: dev eth1",
            ]
        );
    }
}
