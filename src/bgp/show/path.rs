//! One route of a table, as a line and as JSON.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::View;
use super::json::{Json, Object, text};
use crate::config::PeerName;
use crate::speaker::Peer;
use crate::table::{Destination, Route, SourceKind};
use crate::wire::{Attributes, Family, NextHop};

/// A route where it stands.
#[derive(Clone, Copy)]
pub(super) struct Path<'s> {
    pub(super) prefix: IpNet,
    pub(super) family: Family,
    pub(super) destination: &'s Destination,
    pub(super) route: &'s Route,
}

/// Widths of the columns of prefixes and next hops.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    network: usize,
    next_hop: usize,
    metric: usize,
    /// How far a line that does not fit is set in: for what follows the prefix, and the next hop.
    indents: (usize, usize),
}

pub(super) const NARROW: Columns = Columns {
    network: 17,
    next_hop: 16,
    metric: 10,
    indents: (20, 36),
};
pub(super) const WIDE: Columns = Columns {
    network: 45,
    next_hop: 41,
    metric: 7,
    indents: (45, 36),
};

impl Columns {
    /// The line above the routes.
    pub(super) fn heading(self) -> String {
        let (network, next_hop, metric) = (self.network, self.next_hop, self.metric);
        format!(
            "   {:network$}{:next_hop$}{:>metric$} LocPrf Weight Path\n",
            "Network", "Next Hop", "Metric"
        )
    }

    /// A prefix, which a long one puts on a line of its own.
    pub(super) fn network(self, prefix: Option<IpNet>) -> String {
        let shown = prefix.map_or(String::new(), |prefix| prefix.to_string());
        padded(&shown, self.network, self.indents.0)
    }

    /// What follows the prefix: next hop, metric, preference, weight, path and origin.
    pub(super) fn rest(self, next_hop: &str, attributes: &Attributes, weight: u32) -> String {
        let number = |value: Option<u32>| value.map_or(String::new(), |value| value.to_string());
        let path = attributes.as_path.to_string();
        format!(
            "{}{:>metric$}{:>7}{weight:>7} {path}{}{}\n",
            padded(next_hop, self.next_hop, self.indents.1),
            number(attributes.med),
            number(attributes.local_pref),
            if path.is_empty() { "" } else { " " },
            attributes.origin.letter(),
            metric = self.metric,
        )
    }
}

fn padded(text: &str, width: usize, indent: usize) -> String {
    match text.len() < width {
        true => format!("{text:width$}"),
        false => format!("{text}\n{:indent$}", ""),
    }
}

impl<'s> Path<'s> {
    pub(super) fn is_best(&self) -> bool {
        self.destination
            .best()
            .is_some_and(|best| best.key() == self.route.key())
    }

    /// Whether packets are shared between this route and the best one.
    pub(super) fn is_beside(&self) -> bool {
        let mut multipath = self.destination.multipath().skip(1);
        multipath.any(|route| route.key() == self.route.key())
    }

    pub(super) fn is_valid(&self) -> bool {
        self.route.is_reachable()
    }

    pub(super) fn is_own(&self) -> bool {
        self.route.source.kind == SourceKind::Local
    }

    pub(super) fn is_internal(&self) -> bool {
        self.route.source.kind == SourceKind::Internal
    }

    /// The neighbor that told the route.
    pub(super) fn peer(&self, view: &View<'s>) -> Option<&'s Peer> {
        view.speaker.peers().find(|peer| peer.id == self.route.source.id)
    }

    /// The name of whoever is the source.
    pub(super) fn hostname(&self, view: &View<'s>) -> Option<&'s str> {
        match self.is_own() {
            true => Some(view.hostname()),
            false if self.route.is_imported() => view.speaker.name_by_evpn(self.route.source.id),
            false => self.peer(view)?.record.name.as_deref(),
        }
    }

    /// Whether an aggregate hides the route from neighbors.
    pub(super) fn is_suppressed(&self, view: &View) -> bool {
        view.speaker.is_suppressed(self.family, &self.prefix, self.route)
    }

    /// The three letters a line begins with.
    pub(super) fn status(&self, view: &View) -> String {
        let first = match () {
            () if self.route.is_stale() => 'S',
            () if self.is_suppressed(view) => 's',
            () if self.is_valid() => '*',
            () => ' ',
        };
        let second = match () {
            () if self.is_best() => '>',
            () if self.is_beside() => '=',
            () => ' ',
        };
        let third = if self.is_internal() { 'i' } else { ' ' };
        String::from_iter([first, second, third])
    }

    /// The version of its table when the best route changed last.
    pub(super) fn version(&self, view: &View) -> u64 {
        self.destination.version(view.speaker.table(self.family))
    }

    /// The line; only the first of a prefix shows that.
    pub(super) fn line(&self, view: &View<'s>, columns: Columns, is_first: bool) -> String {
        let network = columns.network(is_first.then_some(self.prefix));
        let route = self.route;
        let rest = columns.rest(&self.next_hop(view), &route.attributes, route.weight);
        match view.is_ten() {
            true => format!(" {} {network}{rest}", self.status(view)),
            false => format!("{}{network}{rest}", self.status(view)),
        }
    }

    /// The next hop as a line shows it: of an interface's neighbor, the interface.
    fn next_hop(&self, view: &View<'s>) -> String {
        let address = match self.route.next_hop {
            NextHop::V4(address) => IpAddr::V4(address),
            NextHop::V6 { global, link_local } => {
                if let Some(PeerName::Interface(name)) = self.peer(view).map(|peer| &peer.name) {
                    return name.clone();
                }
                IpAddr::V6(link_local.unwrap_or(global))
            }
        };
        let shows = view.bgp().is_some_and(|bgp| bgp.flags.show_nexthop_hostname);
        match self.hostname(view).filter(|_| shows) {
            Some(name) => format!("{address}({name}){}", self.mark()),
            None => format!("{address}{}", self.mark()),
        }
    }

    /// What stands behind the next hop of a route that came by EVPN.
    fn mark(&self) -> &'static str {
        if self.route.is_imported() { "<" } else { "" }
    }

    /// The route among the others of its prefix.
    pub(super) fn as_json(&self, view: &View<'s>) -> Json {
        let (route, attributes) = (self.route, &self.route.attributes);
        let mut object = Object::new();
        object.put_if("stale", route.is_stale());
        object.put_if("suppressed", self.is_suppressed(view));
        object.put_if("valid", self.is_valid());
        if self.is_best() {
            object.put("bestpath", true);
            object.put_some("selectionReason", self.destination.reason().map(|it| it.name()));
        }
        object.put_if("multipath", self.is_beside());
        let from = if self.is_internal() {
            "internal"
        } else {
            "external"
        };
        object.put("pathFrom", from);
        object.put("prefix", text(self.prefix.addr()));
        object.put("prefixLen", self.prefix.prefix_len());
        object.put("network", text(self.prefix));
        object.put("version", self.version(view));
        object.put_some("metric", attributes.med);
        object.put_some("locPrf", attributes.local_pref);
        object.put("weight", route.weight);
        let address = route.source.address;
        object.put(
            "peerId",
            address.map_or("(unspec)".to_owned(), |it| it.to_string()),
        );
        object.put("path", text(&attributes.as_path));
        object.put("origin", text(attributes.origin));
        object.put_if("announceNexthopSelf", self.route.is_imported());
        object.put("nexthops", self.next_hops(view));
        object.into()
    }

    /// An address of the next hop, and what kind of one it is.
    pub(super) fn next_hop_entry(&self, view: &View<'s>, address: IpAddr, scope: Option<&str>) -> Object {
        let mut object = Object::new();
        object.put("ip", text(address));
        object.put_some("hostname", self.hostname(view));
        object.put("afi", if address.is_ipv4() { "ipv4" } else { "ipv6" });
        object.put_some("scope", scope);
        object
    }

    fn next_hops(&self, view: &View<'s>) -> Vec<Json> {
        let entry = |address, scope| self.next_hop_entry(view, address, scope);
        match self.route.next_hop {
            NextHop::V4(address) => vec![entry(address.into(), None).with("used", true).into()],
            NextHop::V6 { global, link_local } => {
                let local = self.second_next_hop(view, link_local);
                let local_is_used = local.is_some_and(|local| local != IpAddr::V6(global));
                let mut first = entry(global.into(), Some("global"));
                first.put_if("used", !local_is_used);
                let second = local.map(|local| {
                    let mut object = entry(local, Some("link-local"));
                    object.put_if("used", local_is_used);
                    object
                });
                std::iter::once(first).chain(second).map(Json::from).collect()
            }
        }
    }

    /// The link-local address; `::` where there is none of a neighbor that is known by its interface.
    fn second_next_hop(&self, view: &View<'s>, link_local: Option<Ipv6Addr>) -> Option<IpAddr> {
        let by_interface = || {
            let peer = self.peer(view)?;
            matches!(peer.name, PeerName::Interface(_)).then_some(Ipv6Addr::UNSPECIFIED)
        };
        link_local.or_else(by_interface).map(IpAddr::V6)
    }
}
