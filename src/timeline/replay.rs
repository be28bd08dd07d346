//! Entries become rows: what each changed, against what was known before it.

use crate::decode::{Announced, Change, Link, Neighbor, announced};
use crate::entry::{BASE, Entries, Entry, FOUND, Said};
use crate::routes::Network;
use crate::row::{Kind, RouteChange, Row};
use crate::session;

/// What is known of a node.
#[derive(Debug, Default)]
struct Node {
    network: Network,
    /// Whether all there was has been looked at once.
    is_known: bool,
    /// What a look has found so far.
    looking: Option<Network>,
}

/// Plays entries.
#[derive(Debug)]
pub struct Replay {
    names: Vec<String>,
    nodes: Vec<Node>,
    /// What CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, in nanoseconds.
    ahead: i128,
}

/// Where rows go.
struct Teller<'a> {
    row: Row,
    each: &'a mut dyn FnMut(Row),
}

impl Teller<'_> {
    fn tell(&mut self, kind: Kind, change: &str, text: String) {
        self.tell_of(kind, change, text, None, None);
    }

    fn tell_of(
        &mut self,
        kind: Kind,
        change: &str,
        text: String,
        interface: Option<String>,
        neighbor: Option<String>,
    ) {
        (self.each)(Row {
            kind,
            change: change.to_owned(),
            text,
            interface,
            neighbor,
            ..self.row.clone()
        });
    }

    fn route(&mut self, change: RouteChange) {
        (self.each)(Row {
            kind: Kind::Route,
            change: change.change().to_owned(),
            text: change.text(),
            route: Some(change),
            ..self.row.clone()
        });
    }
}

impl Replay {
    /// One for nodes of these names. An entry's node is a place in that list; the first is the lab itself.
    pub fn new(names: Vec<String>, ahead: i128) -> Replay {
        let mut nodes = Vec::new();
        nodes.resize_with(names.len(), Node::default);
        Replay { names, nodes, ahead }
    }

    /// Takes entries, which follow on those before, and tells what they changed.
    pub fn take(&mut self, bytes: &[u8], each: &mut dyn FnMut(Row)) {
        for entry in Entries(bytes) {
            self.entry(&entry, each);
        }
    }

    /// Seconds since 1970 of a time of the monotonic clock.
    pub fn seconds(&self, monotonic: u64) -> f64 {
        (i128::from(monotonic) + self.ahead) as f64 / 1e9
    }

    fn entry(&mut self, entry: &Entry<'_>, each: &mut dyn FnMut(Row)) {
        let time = self.seconds(entry.time);
        let at = entry.node as usize;
        let (Some(node), Some(name)) = (self.nodes.get_mut(at), self.names.get(at)) else {
            return;
        };
        let row = Row {
            time,
            monotonic: entry.time,
            number: entry.number,
            node: (at > 0).then(|| name.clone()),
            kind: Kind::Mark,
            change: String::new(),
            route: None,
            interface: None,
            neighbor: None,
            found: false,
            text: String::new(),
        };
        let mut teller = Teller { row, each };
        let body = String::from_utf8_lossy(entry.body);
        match entry.said {
            Said::Announced => node.announced(entry, &mut teller),
            Said::Look => node.looking = Some(Network::default()),
            Said::Looked => node.looked(&mut teller),
            Said::Gap => {
                let lost = entry.body.try_into().map_or(0, u64::from_ne_bytes);
                let text = format!(
                    "{lost} announcements of the kernel were not heard; what they changed is looked for"
                );
                teller.tell(Kind::Gap, "gap", text);
            }
            Said::Session => told_session(&body, &mut teller),
            Said::Told => {
                let (change, text) = body.split_once('\n').unwrap_or(("told", &body));
                teller.tell(Kind::Node, change, text.to_owned());
            }
            Said::Mark => teller.tell(Kind::Mark, &body, format!("mark {body}")),
        }
    }
}

fn told_session(kept: &str, teller: &mut Teller<'_>) {
    let Some(session) = session::read(kept) else {
        return;
    };
    let who = match session.name {
        Some(name) => format!("{} ({name})", session.neighbor),
        None => session.neighbor.to_owned(),
    };
    let change = if session.is_up { "up" } else { "down" };
    let mut text = format!("session to {who} {change}");
    if !session.reason.is_empty() {
        text += &format!(": {}", session.reason);
    }
    let neighbor = Some(session.neighbor.to_owned());
    teller.tell_of(Kind::Session, change, text, None, neighbor);
}

impl Node {
    fn announced(&mut self, entry: &Entry<'_>, teller: &mut Teller<'_>) {
        let Some(announced) = announced(entry.body) else {
            return;
        };
        if entry.flags & (FOUND | BASE) != 0 {
            let network = self.looking.as_mut().unwrap_or(&mut self.network);
            return learn(network, announced);
        }
        let network = &mut self.network;
        match announced {
            Announced::Link(link) => told_link(network, link, teller),
            Announced::LinkGone(index) => {
                let name = network.name(index);
                if network.links.contains_key(&index) {
                    let text = format!("{name} is gone");
                    teller.tell_of(Kind::Link, "gone", text, Some(name), None);
                }
                network
                    .fall(index, true)
                    .into_iter()
                    .for_each(|it| teller.route(it));
                network.links.remove(&index);
            }
            Announced::Address(index, net, change) => {
                let name = network.name(index);
                let (is_new, word) = match change {
                    Change::Is => (network.addresses.insert((index, net)), "gained"),
                    Change::Gone => {
                        network.addresses.remove(&(index, net));
                        (true, "lost")
                    }
                };
                if is_new {
                    let text = format!("{word} address {net} on {name}");
                    teller.tell_of(Kind::Address, word, text, Some(name), None);
                }
            }
            Announced::Neighbor(neighbor, change) => told_neighbor(network, neighbor, change, teller),
            Announced::Route(key, route) => {
                let change = network.set(key, route);
                change.into_iter().for_each(|it| teller.route(it));
            }
            Announced::RouteGone(key, hops) => {
                let change = network.remove(key, &hops);
                change.into_iter().for_each(|it| teller.route(it));
            }
        }
    }

    /// What a look has found takes the place of what was known; the difference is told.
    fn looked(&mut self, teller: &mut Teller<'_>) {
        let was_known = std::mem::replace(&mut self.is_known, true);
        let Some(found) = self.looking.take() else { return };
        let before = std::mem::replace(&mut self.network, found);
        if !was_known {
            return;
        }
        teller.row.found = true;
        for (index, link) in &before.links {
            if !self.network.links.contains_key(index) {
                let text = format!("{} is gone", link.name);
                teller.tell_of(Kind::Link, "gone", text, Some(link.name.clone()), None);
            }
        }
        for link in self.network.links.values() {
            tell_difference(before.links.get(&link.index), link, &self.network, teller);
        }
        // Those that have gone are called as they were.
        let mut names = before.links;
        names.extend(std::mem::take(&mut self.network.links));
        let named = Network {
            links: names.clone(),
            ..Network::default()
        };
        let mut keys: Vec<_> = before.routes.keys().chain(self.network.routes.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let change = named.differs(key, before.routes.get(key), self.network.routes.get(key));
            change.into_iter().for_each(|it| teller.route(it));
        }
        self.network.links = names;
        self.network.addresses = before.addresses;
        self.network.neighbors = before.neighbors;
    }
}

/// Takes in what was there, without a word.
fn learn(network: &mut Network, announced: Announced) {
    match announced {
        Announced::Link(link) => _ = network.links.insert(link.index, link),
        Announced::Route(key, route) => _ = network.routes.insert(key, route),
        _ => {}
    }
}

fn state(link: &Link) -> &'static str {
    match (link.up, link.running) {
        (false, _) => "down",
        (true, false) => "no-carrier",
        (true, true) => "up",
    }
}

fn told_link(network: &mut Network, link: Link, teller: &mut Teller<'_>) {
    let before = network.links.get(&link.index).cloned();
    tell_difference(before.as_ref(), &link, network, teller);
    let (index, is_up, runs) = (link.index, link.up, link.up && link.running);
    network.links.insert(index, link);
    let (was_up, ran) = before.map_or((false, false), |before| (before.up, before.up && before.running));
    let routes = if was_up && !is_up {
        network.fall(index, true)
    } else if ran && !runs {
        network.fall(index, false)
    } else if !was_up && is_up {
        network.rise(index)
    } else {
        Vec::new()
    };
    routes.into_iter().for_each(|it| teller.route(it));
}

fn tell_difference(before: Option<&Link>, link: &Link, network: &Network, teller: &mut Teller<'_>) {
    let name = &link.name;
    let mut tell =
        |change: &str, text: String| teller.tell_of(Kind::Link, change, text, Some(name.clone()), None);
    let said = match state(link) {
        "no-carrier" => "has no carrier",
        "up" => "is up",
        _ => "is down",
    };
    let Some(before) = before else {
        return tell("new", format!("{name} is new and {said}"));
    };
    if before.name != *name {
        tell("renamed", format!("{} is called {name}", before.name));
    }
    if state(before) != state(link) {
        tell(state(link), format!("{name} {said}"));
    }
    if before.mtu != link.mtu {
        tell("mtu", format!("{name} has MTU {}", link.mtu));
    }
    if before.master != link.master {
        let text = match link.master {
            0 => format!("{name} is in {} no longer", network.name(before.master)),
            master => format!("{name} is in {}", network.name(master)),
        };
        tell("master", text);
    }
}

fn told_neighbor(network: &mut Network, neighbor: Neighbor, change: Change, teller: &mut Teller<'_>) {
    let key = (neighbor.interface, neighbor.address);
    let name = network.name(neighbor.interface);
    let address = neighbor.address.to_string();
    let (word, text) = match change {
        Change::Is => {
            let mac = neighbor.mac.clone().unwrap_or_default();
            let before = network.neighbors.insert(key, neighbor.mac.clone());
            if before == Some(neighbor.mac) {
                return;
            }
            ("found", format!("found neighbor {address} on {name} at {mac}"))
        }
        Change::Gone => {
            network.neighbors.remove(&key);
            ("lost", format!("lost neighbor {address} on {name}"))
        }
    };
    teller.tell_of(Kind::Neighbor, word, text, Some(name), Some(address));
}
