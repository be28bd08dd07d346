//! `show ip route` and `show ipv6 route`.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::clock::lasted;
use super::ip_route_json;
use super::json::Json;
use super::rib::{self, Entry, Protocol, Rib, To, Way};
use crate::config::Arguments;
use crate::wire::Family;

const CODES: &str = "\
Codes: K - kernel route, C - connected, S - static, R - RIP,
       O - OSPF, I - IS-IS, B - BGP, E - EIGRP, N - NHRP,
       T - Table, v - VNC, V - VNC-Direct, A - Babel, F - PBR,
       f - OpenFabric,
       > - selected route, * - FIB route, q - queued, r - rejected, b - backup
       t - trapped, o - offload failure

";
const CODES6: &str = "\
Codes: K - kernel route, C - connected, S - static, R - RIPng,
       O - OSPFv3, I - IS-IS, B - BGP, N - NHRP, T - Table,
       v - VNC, V - VNC-Direct, A - Babel, F - PBR,
       f - OpenFabric,
       > - selected route, * - FIB route, q - queued, r - rejected, b - backup
       t - trapped, o - offload failure

";

/// The kernel's number of the main table (rtnetlink(7)).
const MAIN_TABLE: u32 = 254;

impl Protocol {
    /// The letter before a route.
    fn letter(self) -> char {
        match self {
            Protocol::Kernel => 'K',
            Protocol::Connected => 'C',
            Protocol::Static => 'S',
            Protocol::External | Protocol::Internal => 'B',
        }
    }

    /// Its name in commands and answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Kernel => "kernel",
            Protocol::Connected => "connected",
            Protocol::Static => "static",
            Protocol::External | Protocol::Internal => "bgp",
        }
    }

    /// Whether it may lead to neighbors in another AS that are not said to be further away.
    pub(super) fn is_near(self) -> bool {
        matches!(self, Protocol::Connected | Protocol::Static)
    }

    /// Whether its ways have weights.
    pub(super) fn weighs(self) -> bool {
        !matches!(self, Protocol::Kernel | Protocol::Connected)
    }
}

pub(super) fn family(arguments: &Arguments) -> Family {
    match arguments.has("ipv6") {
        true => Family::Ipv6Unicast,
        false => Family::Ipv4Unicast,
    }
}

/// What is said where another than the one table is meant.
pub(super) fn refusal(view: &View, arguments: &Arguments) -> Option<String> {
    let vrf = arguments
        .get("vrf_name")
        .filter(|name| !matches!(*name, "default" | "all"))?;
    if Some(vrf) == view.speaker.vrf_name() {
        return view
            .vrf_id()
            .is_none()
            .then(|| format!("% VRF {vrf} not active\n"));
    }
    Some(format!("% VRF {vrf} not found\n"))
}

/// Whether a table is asked for that is not the main one: others are the kernel's alone.
fn is_elsewhere(arguments: &Arguments) -> bool {
    let number = arguments.optional::<u32>("table").ok().flatten();
    number.is_some_and(|number| number != MAIN_TABLE)
}

/// `show ip route`, with all that takes a part of it.
pub(super) fn table(view: &View, arguments: &Arguments) -> String {
    if let Some(refusal) = refusal(view, arguments) {
        return refusal;
    }
    let family = family(arguments);
    if is_elsewhere(arguments) {
        let nothing = if arguments.has("json") { "{}\n" } else { "" };
        return nothing.to_owned();
    }
    let mut rib = rib::of(view, family);
    // Other ways are known by what all routes use.
    let used = ip_route_json::Used::of(&rib);
    let within: Option<IpNet> = arguments.get("prefix").and_then(|it| it.parse().ok());
    let tag: Option<u32> = arguments.get("tag_value").and_then(|it| it.parse().ok());
    let protocol = arguments.one_of(&["kernel", "connected", "static", "bgp"]);
    let shown = |prefix: &IpNet, entry: &Entry| {
        within.is_none_or(|within| within.trunc().contains(prefix))
            && tag.is_none_or(|tag| entry.tag == tag)
            && protocol.is_none_or(|name| entry.protocol.name() == name)
            && (!arguments.has("fib") || entry.selected)
    };
    rib.retain(|prefix, entries| {
        entries.retain(|entry| shown(prefix, entry));
        !entries.is_empty()
    });
    if arguments.has("json") {
        return ip_route_json::table(view, &rib, &used).pretty() + "\n";
    }
    if rib.is_empty() {
        return String::new();
    }
    let head = match family {
        Family::Ipv4Unicast | Family::L2vpnEvpn => CODES,
        Family::Ipv6Unicast => CODES6,
    };
    let name = match arguments.get("vrf_name") {
        _ if arguments.has("table") => "VRF default table 254:\n".to_owned(),
        Some("all") => "VRF default:\n".to_owned(),
        _ if view.outer.is_some() => format!("VRF {}:\n", view.vrf_name()),
        _ => String::new(),
    };
    let lines = rib
        .iter()
        .flat_map(|(prefix, entries)| entries.iter().map(move |it| line(view, prefix, it)));
    format!("{head}{name}{}", lines.collect::<String>())
}

fn line(view: &View, prefix: &IpNet, entry: &Entry) -> String {
    let selected = if entry.selected { '>' } else { ' ' };
    let mut head = format!("{prefix}");
    if entry.protocol != Protocol::Connected {
        let _ = write!(head, " [{}/{}]", entry.distance, entry.metric);
    }
    let uptime = lasted(age(view, entry));
    let indent = head.len();
    let mut out = String::new();
    for (at, (depth, way)) in flat(&entry.ways).into_iter().enumerate() {
        let star = star(entry, way);
        match at {
            0 => {
                let _ = write!(out, "{}{selected}{star} {head}", entry.protocol.letter());
            }
            _ => {
                let _ = write!(out, "  {star} {:indent$}", "", indent = indent + 2 * depth);
            }
        }
        let _ = write!(out, " {}", shown(view, way, " via ", ""));
        if entry.is_imported {
            out += " onlink";
        }
        if entry.protocol.weighs() {
            out += ", weight 1";
        }
        let _ = writeln!(out, ", {uptime}");
    }
    out
}

/// Ways, and behind one over others those; with how deep they are.
pub(super) fn flat(ways: &[Way]) -> Vec<(usize, &Way)> {
    let all = ways.iter().flat_map(|way| {
        let over = way.over.iter().map(|way| (1, way));
        std::iter::once((0, way)).chain(over)
    });
    all.collect()
}

fn star(entry: &Entry, way: &Way) -> char {
    match entry.installed() && way.active && way.over.is_empty() {
        true => '*',
        false => ' ',
    }
}

/// Where a way leads; a router's address and the link have different words around them in a line and in an answer of its own.
fn shown(view: &View, way: &Way, before: &str, before_link: &str) -> String {
    let name = |index: u32| interface(view, index);
    match &way.to {
        To::Link(index) => format!(
            "{}directly connected, {}",
            if before.is_empty() { "" } else { "is " },
            name(*index)
        ),
        To::Router(address, Some(index)) => {
            let inactive = if way.active { "" } else { " inactive" };
            let (before, name) = (before.trim_start(), name(*index));
            format!("{before}{address}, {before_link}{name}{inactive}")
        }
        To::Router(address, None) if way.active => format!("{}{address} (recursive)", before.trim_start()),
        To::Router(address, None) => format!("{}{address} inactive", before.trim_start()),
        To::Blackhole => "unreachable (blackhole)".to_owned(),
        To::Unreachable => "unreachable (ICMP unreachable)".to_owned(),
        To::Prohibited => "unreachable (ICMP admin-prohibited)".to_owned(),
    }
}

/// An interface's name by its index.
pub(super) fn interface(view: &View, index: u32) -> String {
    let mut interfaces = view.speaker.interfaces().iter();
    let found = interfaces.find(|it| it.index == index);
    found.map_or_else(|| index.to_string(), |it| it.name.clone())
}

/// How long a route has been there.
pub(super) fn age(view: &View, entry: &Entry) -> std::time::Duration {
    view.now.saturating_sub(entry.since.unwrap_or_default())
}

/// `show ip route PREFIX` and `show ip route ADDRESS`.
pub(super) fn entry(view: &View, arguments: &Arguments) -> String {
    if let Some(refusal) = refusal(view, arguments) {
        return refusal;
    }
    let family = family(arguments);
    let rib = rib::of(view, family);
    let used = ip_route_json::Used::of(&rib);
    let prefix: Option<IpNet> = arguments.get("prefix").and_then(|it| it.parse().ok());
    let address: Option<IpAddr> = arguments.get("address").and_then(|it| it.parse().ok());
    let found = match (prefix, address) {
        (Some(prefix), _) => Some(prefix.trunc()).filter(|it| rib.contains_key(it)),
        (None, Some(address)) => {
            let wider = std::iter::successors(Some(IpNet::from(address)), IpNet::supernet);
            wider.filter(|it| rib.contains_key(it)).take(1).last()
        }
        (None, None) => None,
    };
    let entries: &[Entry] = found.and_then(|it| rib.get(&it)).map_or(&[], Vec::as_slice);
    let json = arguments.has("json");
    match (found, prefix) {
        (Some(found), _) if json => ip_route_json::of_prefix(view, &found, entries, &used).pretty() + "\n",
        (Some(found), _) => entries.iter().map(|it| answer(view, &found, it)).collect(),
        (None, Some(_)) if json => "{}\n".to_owned(),
        (None, Some(_)) => "% Network not in table\n".to_owned(),
        (None, None) if json => {
            let everything = match family {
                Family::Ipv4Unicast | Family::L2vpnEvpn => "0.0.0.0/0",
                Family::Ipv6Unicast => "::/0",
            };
            let nothing = super::json::Object::new().with(everything, Vec::<Json>::new());
            nothing.pretty() + "\n"
        }
        (None, None) => String::new(),
    }
}

fn answer(view: &View, prefix: &IpNet, entry: &Entry) -> String {
    let mut out = format!(
        "Routing entry for {prefix}\n  Known via \"{}\", distance {}, metric {}",
        entry.protocol.name(),
        entry.distance,
        entry.metric
    );
    if entry.tag != 0 {
        let _ = write!(out, ", tag {}", entry.tag);
    }
    if view.outer.is_some() {
        let _ = write!(out, ", vrf {}", view.vrf_name());
    }
    if entry.selected {
        out += ", best";
    }
    let _ = writeln!(out, "\n  Last update {} ago", lasted(age(view, entry)));
    for (depth, way) in flat(&entry.ways) {
        let _ = write!(
            out,
            "  {} {:depth$}{}",
            star(entry, way),
            "",
            shown(view, way, "", "via "),
            depth = 2 * depth
        );
        if entry.is_imported {
            out += " onlink";
        }
        if entry.protocol.weighs() {
            out += ", weight 1";
        }
        out.push('\n');
    }
    out + "\n"
}

/// Sources in a summary, and how many routes each has, and has in use.
pub(super) fn counts(rib: &Rib) -> Vec<(&'static str, usize, usize)> {
    let count = |protocol: Protocol| {
        let entries = rib.values().flatten().filter(|it| it.protocol == protocol);
        entries.fold((0, 0), |(all, used), entry| {
            (all + 1, used + usize::from(entry.installed()))
        })
    };
    let simple = [Protocol::Kernel, Protocol::Connected, Protocol::Static];
    let simple = simple.map(|protocol| (protocol.name(), count(protocol)));
    let mut all: Vec<_> = simple.into_iter().filter(|(_, (all, _))| *all > 0).collect();
    let of_bgp = [
        ("ebgp", count(Protocol::External)),
        ("ibgp", count(Protocol::Internal)),
    ];
    if of_bgp.iter().any(|(_, (all, _))| *all > 0) {
        all.extend(of_bgp);
    }
    all.into_iter()
        .map(|(name, (all, used))| (name, all, used))
        .collect()
}

/// `show ip route summary`.
pub(super) fn summary(view: &View, arguments: &Arguments) -> String {
    if let Some(refusal) = refusal(view, arguments) {
        return refusal;
    }
    if is_elsewhere(arguments) {
        return String::new();
    }
    let head = if arguments.has("prefix") {
        "Prefix Routes"
    } else {
        "Routes"
    };
    let counts = counts(&rib::of(view, family(arguments)));
    if arguments.has("json") {
        return ip_route_json::summary(&counts, arguments.has("prefix")).pretty() + "\n";
    }
    let vrf = view.vrf_name();
    let mut out = format!("{:<20} {head:<20} FIB  (vrf {vrf})\n", "Route Source");
    let (mut routes, mut installed) = (0, 0);
    for (name, all, used) in &counts {
        let _ = writeln!(out, "{name:<20} {all:<20} {used:<20} ");
        routes += all;
        installed += used;
    }
    let _ = writeln!(out, "------\n{:<20} {routes:<20} {installed:<20} \n", "Totals");
    out
}
