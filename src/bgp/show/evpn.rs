//! `show bgp l2vpn evpn`: routes.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::View;
use super::json::{Json, Object, text};
use super::path::NARROW;
use crate::config::Arguments;
use crate::evpn::{EvpnDestination, EvpnPath};
use crate::table::SourceKind;
use crate::wire::{EvpnKey, EvpnRoute, Rd};

pub(super) const KINDS: &str = "EVPN type-1 prefix: [1]:[EthTag]:[ESI]:[IPlen]:[VTEP-IP]:[Frag-id]\n\
    EVPN type-2 prefix: [2]:[EthTag]:[MAClen]:[MAC]:[IPlen]:[IP]\n\
    EVPN type-3 prefix: [3]:[EthTag]:[IPlen]:[OrigIP]\n\
    EVPN type-4 prefix: [4]:[ESI]:[IPlen]:[OrigIP]\n\
    EVPN type-5 prefix: [5]:[EthTag]:[IPlen]:[IP]\n\n";
/// What FRR says is the length of each.
pub(super) const LENGTH: u16 = 352;
const INDENT: usize = 20;
/// What a line's status leaves of that.
const COLUMN: usize = 17;

/// A line's route among all that is known of it.
pub(super) struct Line<'s> {
    pub(super) key: EvpnKey,
    pub(super) path: &'s EvpnPath,
    pub(super) is_best: bool,
    pub(super) reason: Option<&'static str>,
}

pub(super) type Lines<'s> = Vec<Line<'s>>;

pub(super) fn lines<'s>(key: &EvpnKey, destination: &'s EvpnDestination) -> Lines<'s> {
    let best = destination.best().map(|best| best.route.key());
    // The newest first, as FRR keeps them.
    let paths = destination.paths().iter().rev();
    let line = |path: &'s EvpnPath| Line {
        key: key.clone(),
        path,
        is_best: best == Some(path.route.key()),
        reason: destination.reason(),
    };
    paths.map(line).collect()
}

impl Line<'_> {
    fn hostname<'v>(&self, view: &View<'v>) -> Option<&'v str> {
        match self.path.route.source.kind {
            SourceKind::Local => Some(view.hostname()),
            _ => {
                let id = self.path.route.source.id;
                let peer = view.speaker.peers().find(|peer| peer.id == id)?;
                peer.record.name.as_deref()
            }
        }
    }

    fn is_internal(&self) -> bool {
        self.path.route.source.kind == SourceKind::Internal
    }

    fn text(&self, view: &View, is_first: bool) -> String {
        let route = &self.path.route;
        let status = [
            match () {
                () if route.is_stale() => 'S',
                () if route.is_reachable() => '*',
                () => ' ',
            },
            if self.is_best { '>' } else { ' ' },
            if self.is_internal() { 'i' } else { ' ' },
        ];
        let mut out = String::from_iter(status);
        let first = format!("{}\n{:INDENT$}", self.key.route, "");
        let _ = match is_first {
            true => write!(out, "{first}"),
            false => write!(out, "{:COLUMN$}", ""),
        };
        let shows = view.bgp().is_some_and(|bgp| bgp.flags.show_nexthop_hostname);
        let next_hop = match self.hostname(view).filter(|_| shows) {
            Some(name) => format!("{}({name})", self.path.vtep()),
            None => self.path.vtep().to_string(),
        };
        let rest = NARROW.rest(&next_hop, &route.attributes, route.weight);
        out += &rest;
        let communities = communities(self.path);
        if !communities.is_empty() {
            let _ = writeln!(out, "{:INDENT$}{communities}", "");
        }
        out
    }

    fn json(&self, view: &View) -> Json {
        let route = &self.path.route;
        let attributes = &route.attributes;
        let mut object = Object::new();
        object.put_if("stale", route.is_stale());
        object.put_if("valid", route.is_reachable());
        if self.is_best {
            object.put("bestpath", true);
            object.put_some("selectionReason", self.reason);
        }
        let from = if self.is_internal() {
            "internal"
        } else {
            "external"
        };
        object.put("pathFrom", from);
        object.put("routeType", u16::from(self.key.route.kind()));
        match &self.key.route {
            EvpnRoute::MacIp { tag, mac, ip } => {
                object.put("ethTag", *tag);
                object.put("macLen", 48);
                object.put("mac", text(mac));
                if let Some(ip) = ip {
                    object.put("ipLen", if ip.is_ipv4() { 32 } else { 128 });
                    object.put("ip", text(ip));
                }
            }
            EvpnRoute::Multicast { tag, originator } => {
                object.put("ethTag", *tag);
                object.put("ipLen", if originator.is_ipv4() { 32 } else { 128 });
                object.put("ip", text(originator));
            }
            EvpnRoute::Prefix { tag, prefix } => {
                object.put("ethTag", *tag);
                object.put("ipLen", prefix.prefix_len());
                object.put("ip", text(prefix.addr()));
            }
            EvpnRoute::AutoDiscovery { .. } | EvpnRoute::Segment { .. } | EvpnRoute::Other { .. } => {}
        }
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
        let communities = communities(self.path);
        if !communities.is_empty() {
            object.put("extendedCommunity", Object::new().with("string", communities));
        }
        let vtep = self.path.vtep();
        let mut next_hop = Object::new().with("ip", text(vtep));
        next_hop.put_some("hostname", self.hostname(view));
        next_hop.put("afi", if vtep.is_ipv4() { "ipv4" } else { "ipv6" });
        next_hop.put("used", true);
        object.put("nexthops", vec![Json::from(next_hop)]);
        object.into()
    }
}

pub(super) fn communities(path: &EvpnPath) -> String {
    let all = path.route.attributes.extended_communities.iter();
    let all: Vec<String> = all.map(ToString::to_string).collect();
    all.join(" ")
}

/// Routes by their distinguishers.
pub(super) type ByRd<'s> = BTreeMap<Rd, Vec<(EvpnKey, Lines<'s>)>>;

pub(super) fn by_rd<'s>(view: &View<'s>, takes: impl Fn(&EvpnKey) -> bool) -> ByRd<'s> {
    let mut all: ByRd = BTreeMap::new();
    for (key, destination) in view.speaker.evpn_table().iter().filter(|(key, _)| takes(key)) {
        let of_rd = all.entry(key.rd).or_default();
        of_rd.push((key.clone(), lines(key, destination)));
    }
    all
}

pub(super) fn head(view: &View, version: u64) -> String {
    format!(
        "BGP table version is {version}, local router ID is {}\n\
         Status codes: s suppressed, d damped, h history, * valid, > best, i - internal\n\
         Origin codes: i - IGP, e - EGP, ? - incomplete\n{KINDS}   Network          Next Hop            Metric LocPrf Weight Path\n",
        view.speaker.router_id(),
    )
}

/// Lines of a route. FRR names it once, or in other answers on `each` of them.
pub(super) fn body(view: &View, lines: &Lines, each: bool) -> String {
    let all = lines.iter().enumerate();
    all.map(|(at, line)| line.text(view, each || at == 0)).collect()
}

/// FRR counts what has changed in the first table that it shows.
fn version(view: &View, all: &ByRd) -> u64 {
    let first = all.keys().next();
    first.map_or(0, |rd| view.speaker.evpn_table().version(*rd))
}

/// `show bgp l2vpn evpn [json]`.
pub(super) fn table(view: &View, arguments: &Arguments) -> String {
    let Some(bgp) = view.bgp() else {
        return match arguments.has("json") {
            true => "{\n}\n".to_owned(),
            false => "No BGP process is configured\n".to_owned(),
        };
    };
    let all = by_rd(view, |_| true);
    let count = all.values().map(Vec::len).sum::<usize>();
    if arguments.has("json") {
        let mut object = Object::new();
        if count > 0 {
            object.put("bgpTableVersion", version(view, &all));
            object.put("bgpLocalRouterId", text(view.speaker.router_id()));
            object.put("defaultLocPrf", bgp.local_preference);
            object.put("localAS", bgp.asn);
        }
        for (rd, routes) in &all {
            let mut of_rd = Object::new().with("rd", text(rd));
            for (key, lines) in routes {
                let paths: Vec<Json> = lines.iter().map(|line| line.json(view)).collect();
                of_rd.put(key.route.to_string(), route_object(key).with("paths", paths));
            }
            object.put(rd.to_string(), of_rd);
        }
        object.put("numPrefix", count);
        object.put("totalPrefix", count);
        return object.pretty() + "\n";
    }
    if count == 0 {
        return "No prefixes displayed, 0 exist\n".to_owned();
    }
    let mut out = head(view, version(view, &all));
    for (rd, routes) in &all {
        let _ = writeln!(out, "Route Distinguisher: {rd}");
        out.extend(routes.iter().map(|(_, lines)| body(view, lines, false)));
    }
    let _ = writeln!(out, "\nDisplayed {count} out of {count} total prefixes");
    out
}

fn route_object(key: &EvpnKey) -> Object {
    Object::new()
        .with("prefix", text(&key.route))
        .with("prefixLen", LENGTH)
}

/// The number of the type that is asked for.
pub(super) fn kind(arguments: &Arguments) -> Option<u8> {
    let words = [
        ("ead", 1),
        ("1", 1),
        ("macip", 2),
        ("2", 2),
        ("multicast", 3),
        ("3", 3),
        ("es", 4),
        ("4", 4),
        ("prefix", 5),
        ("5", 5),
    ];
    let found = words.into_iter().find(|(word, _)| arguments.has(word));
    found.map(|(_, kind)| kind)
}

/// FRR has each path in a list of its own here.
pub(super) fn paths_alone(view: &View, lines: &Lines) -> Vec<Json> {
    lines
        .iter()
        .map(|line| Json::from(vec![line.json(view)]))
        .collect()
}

/// `show bgp l2vpn evpn route [type TYPE] [json]`.
pub(super) fn routes(view: &View, arguments: &Arguments) -> String {
    let kind = kind(arguments);
    let all = by_rd(view, |key| kind.is_none_or(|kind| key.route.kind() == kind));
    let prefixes = all.values().map(Vec::len).sum::<usize>();
    let paths = all
        .values()
        .flatten()
        .map(|(_, lines)| lines.len())
        .sum::<usize>();
    if arguments.has("json") {
        let mut object = Object::new();
        for (rd, routes) in &all {
            let mut of_rd = Object::new().with("rd", text(rd));
            for (key, lines) in routes {
                let of_route = route_object(key).with("paths", paths_alone(view, lines));
                of_rd.put(key.route.to_string(), of_route);
            }
            object.put(rd.to_string(), of_rd);
        }
        object.put("numPrefix", prefixes);
        object.put("numPaths", paths);
        return Json::from(object).plain() + "\n";
    }
    let of_kind = if kind.is_some() {
        " (of requested type)"
    } else {
        ""
    };
    if prefixes == 0 {
        return format!("No EVPN prefixes{of_kind} exist\n");
    }
    let mut out = head(view, version(view, &all));
    let _ = writeln!(out, "{:INDENT$}Extended Community", "");
    for (rd, routes) in &all {
        let _ = writeln!(out, "Route Distinguisher: {rd}");
        out.extend(routes.iter().map(|(_, lines)| body(view, lines, true)));
    }
    let _ = writeln!(out, "\nDisplayed {prefixes} prefixes ({paths} paths){of_kind}");
    out
}
