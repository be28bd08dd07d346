//! The routes of all nodes at one moment, and how two moments differ.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::route::Found;

/// The routes of nodes: for each node, destinations and how they are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes(BTreeMap<String, BTreeMap<String, String>>);

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
            let mut hops: Vec<String> = hops.collect();
            hops.sort();
            let way = of_node.entry(to).or_default();
            if !way.is_empty() {
                way.push_str(", ");
            }
            way.push_str(&match hops.is_empty() {
                true => format!("{:?}", route.kind).to_lowercase(),
                false => hops.join(", "),
            });
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
                        before: before.get(to).cloned(),
                        after: after.get(to).cloned(),
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
