//! What passes between this router and a neighbor: `show bgp … neighbors NEIGHBOR advertised-routes` and the like.

use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::facts::{is_up, local_as};
use super::json::{Json, Object, text};
use super::path::{NARROW, Path, WIDE};
use super::routes::{Style, heading, paths, show};
use super::scope::Scope;
use crate::config::Arguments;
use crate::speaker::Peer;
use crate::table::Route;
use crate::wire::{Attributes, Family};

/// A route that passed, as a line has it.
struct Row {
    prefix: IpNet,
    next_hop: IpAddr,
    attributes: Attributes,
    weight: u32,
}

/// `show bgp … neighbors NEIGHBOR (advertised-routes|received-routes|filtered-routes|routes|prefix-counts)`.
pub(super) fn routes(view: &View, arguments: &Arguments) -> String {
    let scope = Scope::of(arguments);
    let name = arguments.get("peer").unwrap_or_default();
    if let Some(refusal) = scope.refusal_of_routes(view) {
        return refusal;
    }
    let (family, json) = (scope.table(), arguments.has("json"));
    let what = arguments.one_of(&[
        "advertised-routes",
        "received-routes",
        "filtered-routes",
        "bestpath-routes",
        "prefix-counts",
    ]);
    let Some(peer) = view.peer(name) else {
        return unknown(name, json);
    };
    let settings = peer.family(family);
    if !settings.activate {
        return warning("No such neighbor or address family", json);
    }
    match what {
        Some("advertised-routes") => advertised(view, peer, family, arguments),
        Some("bestpath-routes") => show(view, family, Style::of(arguments), |path| {
            path.route.source.id == peer.id && path.is_best()
        }),
        Some("prefix-counts") => prefix_counts(view, peer, family, json),
        Some(_) if !settings.soft_reconfiguration => {
            warning("Inbound soft reconfiguration not enabled", json)
        }
        Some("received-routes") => {
            let (kept, refused) = received(view, peer, family);
            let filtered = refused.len();
            let mut rows: Vec<Row> = kept.into_iter().chain(refused).collect();
            rows.sort_by_key(|row| row.prefix);
            let told = Shown {
                filtered,
                ..Shown::received(peer, &rows)
            };
            told.answer(view, family, arguments)
        }
        Some(_) => {
            let (_, refused) = received(view, peer, family);
            Shown::received(peer, &refused).answer(view, family, arguments)
        }
        None => show(view, family, Style::of(arguments), |path| {
            path.route.source.id == peer.id
        }),
    }
}

/// What is said of a neighbor that there is not.
pub(super) fn unknown(name: &str, json: bool) -> String {
    let is_address = name.parse::<IpAddr>().is_ok();
    match (is_address, json) {
        (true, true) => "{\n  \"warning\":\"No such neighbor in this view/vrf\"\n}\n".to_owned(),
        (true, false) => "No such neighbor in this view/vrf\n".to_owned(),
        (false, true) => Object::new().with("malformedAddressOrName", name).pretty() + "\n",
        (false, false) => format!("% Malformed address or name: {name}\n"),
    }
}

fn warning(words: &str, json: bool) -> String {
    match json {
        true => format!("{{ \"warning\": \"{words}\" }}\n"),
        false => format!("% {words}\n"),
    }
}

fn advertised(view: &View, peer: &Peer, family: Family, arguments: &Arguments) -> String {
    let mut default = None;
    let mut rows = Vec::new();
    for (prefix, id) in view.speaker.advertised_routes(peer, family) {
        match view.speaker.route_told(peer, family, &prefix, id) {
            Some(route) => rows.extend(row(view, peer, family, prefix, route)),
            None => default = Some(prefix),
        }
    }
    let told = Shown {
        name: "advertisedRoutes",
        rows: &rows,
        default,
        filtered: 0,
        local_as: local_as(peer),
    };
    told.answer(view, family, arguments)
}

/// A route that a neighbor was told, as FRR keeps it: before the own AS is put into its path.
fn row(view: &View, peer: &Peer, family: Family, prefix: IpNet, route: &Route) -> Option<Row> {
    let kept = view.speaker.kept_as_told(peer, family, &prefix, route)?;
    Some(Row {
        prefix,
        next_hop: kept.next_hop,
        attributes: Attributes::clone(&kept.attributes),
        weight: route.weight,
    })
}

/// Routes that a neighbor has told, as its route-map changes them: those that its lists and its route-map let in, and those
/// that they do not.
fn received(view: &View, peer: &Peer, family: Family) -> (Vec<Row>, Vec<Row>) {
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for (prefix, _, route) in view.speaker.received(peer, family) {
        let filtered = view.speaker.filter(peer, family, prefix, route);
        let row = Row {
            prefix,
            next_hop: route.next_hop.address(),
            attributes: Attributes::clone(&filtered.attributes),
            weight: 0,
        };
        match filtered.passes {
            true => kept.push(row),
            false => refused.push(row),
        }
    }
    (kept, refused)
}

/// What is shown.
struct Shown<'r> {
    /// Its name in JSON.
    name: &'static str,
    rows: &'r [Row],
    /// A default route that was made for the neighbor.
    default: Option<IpNet>,
    /// How many of the rows did not get in.
    filtered: usize,
    /// The AS shown to the neighbor.
    local_as: u32,
}

impl<'r> Shown<'r> {
    fn received(peer: &Peer, rows: &'r [Row]) -> Shown<'r> {
        Shown {
            name: RECEIVED,
            rows,
            default: None,
            filtered: 0,
            local_as: local_as(peer),
        }
    }

    fn answer(&self, view: &View, family: Family, arguments: &Arguments) -> String {
        match arguments.has("json") {
            true => self.as_json(view, family),
            false => self.as_text(view, family, arguments.has("wide")),
        }
    }

    fn as_text(&self, view: &View, family: Family, wide: bool) -> String {
        let columns = if wide { WIDE } else { NARROW };
        if self.rows.is_empty() && self.default.is_none() {
            return String::new();
        }
        let mut out = heading(view, family, columns);
        if let Some(default) = self.default {
            let line = format!("Originating default network {default}\n\n");
            let indent = if view.is_ten() { 2 } else { 0 };
            out.insert_str(out.len() - columns.heading().len() - indent, &line);
        }
        for row in self.rows {
            let network = columns.network(Some(row.prefix));
            let rest = columns.rest(&row.next_hop.to_string(), &row.attributes, row.weight);
            out += &match view.is_ten() {
                // Of what came 10.3 has a column less.
                true if self.name == RECEIVED => format!(" *> {network}{rest}"),
                true => format!(" *>  {network}{rest}"),
                false => format!("*> {network}{rest}"),
            };
        }
        let filtered = match self.filtered {
            0 => String::new(),
            count => format!(" ({count} filtered)"),
        };
        out + &format!("\nTotal number of prefixes {}{filtered}\n", self.rows.len())
    }

    fn as_json(&self, view: &View, family: Family) -> String {
        let mut object = Object::new();
        let is_empty = self.rows.is_empty() && self.default.is_none();
        if let Some(bgp) = view.bgp().filter(|_| !is_empty) {
            object.put("bgpTableVersion", view.speaker.table(family).version());
            object.put("bgpLocalRouterId", text(view.speaker.router_id()));
            object.put("defaultLocPrf", bgp.local_preference);
            object.put("localAS", self.local_as);
            let letters = |letters: &[(&str, &str)]| {
                let put = |object: Object, (name, letter): &(&str, &str)| object.with(*name, *letter);
                letters.iter().fold(Object::new(), put)
            };
            if !view.is_ten() {
                object.put("bgpStatusCodes", letters(STATUS));
                object.put("bgpOriginCodes", letters(ORIGINS));
            }
        }
        object.put_some("bgpOriginatingDefaultNetwork", self.default.map(text));
        let routes = self.rows.iter().fold(Object::new(), |routes, row| {
            routes.with(row.prefix.to_string(), row_as_json(row, view.is_ten()))
        });
        object
            .with(self.name, routes)
            .with("totalPrefixCounter", self.rows.len())
            .with("filteredPrefixCounter", self.filtered)
            .pretty()
            + "\n"
    }
}

const RECEIVED: &str = "receivedRoutes";
const STATUS: &[(&str, &str)] = &[
    ("suppressed", "s"),
    ("damped", "d"),
    ("history", "h"),
    ("valid", "*"),
    ("best", ">"),
    ("multipath", "="),
    ("internal", "i"),
    ("ribFailure", "r"),
    ("stale", "S"),
    ("removed", "R"),
];
const ORIGINS: &[(&str, &str)] = &[("igp", "i"), ("egp", "e"), ("incomplete", "?")];

fn row_as_json(row: &Row, is_ten: bool) -> Json {
    let mut object = Object::new()
        .with("addrPrefix", text(row.prefix.addr()))
        .with("prefixLen", row.prefix.prefix_len())
        .with("network", text(row.prefix));
    let name = if row.next_hop.is_ipv4() {
        "nextHop"
    } else {
        "nextHopGlobal"
    };
    object.put(name, text(row.next_hop));
    object.put_some("metric", row.attributes.med);
    object.put_some("locPrf", row.attributes.local_pref);
    object.put("weight", row.weight);
    object.put("path", text(&row.attributes.as_path));
    if is_ten {
        let object = object.with("origin", text(row.attributes.origin));
        return object.with("valid", true).with("best", true).into();
    }
    object.put("bgpOriginCode", text(row.attributes.origin.letter()));
    let symbols = Object::new().with("*", true).with(">", true);
    object.with("appliedStatusSymbols", symbols).into()
}

/// `prefix-counts`.
fn prefix_counts(view: &View, peer: &Peer, family: Family, json: bool) -> String {
    let found = paths(view, family, |path| path.route.source.id == peer.id);
    let all: Vec<Path> = found.into_iter().flat_map(|(_, paths)| paths).collect();
    let count = |is: &dyn Fn(&Path) -> bool| all.iter().filter(|path| is(path)).count();
    let heard = if peer.family(family).soft_reconfiguration && is_up(peer) {
        all.len()
    } else {
        0
    };
    let valid = count(&|path| path.is_valid());
    let rows = [
        ("Adj-in", heard),
        ("Damped", 0),
        ("Removed", 0),
        ("History", 0),
        ("Stale", count(&|path| path.route.is_stale())),
        ("Valid", valid),
        ("All RIB", all.len()),
        ("PfxCt counted", all.len()),
        ("PfxCt Best Selected", count(&|path| path.is_best())),
        ("Useable", valid),
    ];
    if json {
        let counters = rows
            .into_iter()
            .fold(Object::new(), |object, (name, count)| object.with(name, count));
        return Object::new()
            .with("prefixCountsFor", text(&peer.name))
            .with("multiProtocol", super::scope::key(family))
            .with("pfxCounter", all.len())
            .with("ribTableWalkCounters", counters)
            .pretty()
            + "\n";
    }
    let name = match view.shown_hostname(peer) {
        Some(name) => format!("{name}/{}", peer.name),
        None => peer.name.to_string(),
    };
    let mut out = format!(
        "Prefix counts for {name}, {family}\nPfxCt: {}\n\nCounts from RIB table walk:\n\n",
        all.len()
    );
    for (name, count) in rows {
        out += &format!("{name:>20}: {count:<10}\n");
    }
    out
}
