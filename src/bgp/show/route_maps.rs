//! `show route-map`, of each of FRR's daemons as far as it understands them.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::View;
use super::json::{Json, Object};
use super::lists::{DAEMONS, of_daemons};
use crate::config::{Arguments, Config, Match, OnMatch, RouteMap, RouteMapEntry, Set};

/// `show route-map [NAME]`.
pub(super) fn route_maps(view: &View, arguments: &Arguments) -> String {
    let name = arguments.get("name");
    let mut maps: Vec<(&str, &RouteMap)> = view
        .speaker
        .config()
        .route_maps
        .iter()
        .filter(|(known, _)| name.is_none_or(|name| name == *known))
        .collect();
    maps.sort_by_key(|(name, _)| *name);
    if arguments.has("json") {
        return of_daemons(|daemon| {
            let mut object = Object::new();
            for (name, map) in &maps {
                object.put(*name, map_json(daemon, map));
            }
            object
        });
    }
    let answers = DAEMONS.iter().map(|daemon| {
        let maps_told: String = maps
            .iter()
            .map(|(name, map)| map_text(daemon, name, map))
            .collect();
        match (name, maps.is_empty()) {
            (Some(name), true) => format!("{daemon}:\n{daemon}: 'route-map {name}' not found\n"),
            _ => format!("{daemon}:\n{maps_told}"),
        }
    });
    answers.collect()
}

/// `show route-map-unused`: of each daemon those that it does not use.
pub(super) fn unused(view: &View, _: &Arguments) -> String {
    let config = view.speaker.config();
    let of_zebra: BTreeSet<&str> = [&config.protocol_map, &config.protocol_map6]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let of_bgp = used(config);
    let mut maps: Vec<(&str, &RouteMap)> = config.route_maps.iter().collect();
    maps.sort_by_key(|(name, _)| *name);
    let answers = DAEMONS.iter().map(|daemon| {
        let used = if *daemon == "ZEBRA" { &of_zebra } else { &of_bgp };
        let unused = maps.iter().filter(|(name, _)| !used.contains(name));
        let unused: String = unused.map(|(name, map)| map_text(daemon, name, map)).collect();
        match unused.is_empty() {
            true => format!("\n{daemon}: None\n"),
            false => format!("\n{daemon}:\n{unused}"),
        }
    });
    answers.collect()
}

/// The route-maps that `router bgp` names.
fn used(config: &Config) -> BTreeSet<&str> {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let Some(bgp) = &config.bgp else { return used };
    let groups = bgp.groups.values();
    let peers = groups.chain(bgp.neighbors.iter().map(|neighbor| &neighbor.own));
    for family in peers.flat_map(|peer| [&peer.ipv4, &peer.ipv6, &peer.evpn]) {
        let names = [
            &family.route_map_in,
            &family.route_map_out,
            &family.unsuppress_map,
        ];
        used.extend(names.into_iter().flatten().map(String::as_str));
        let default = family.default_originate.as_ref();
        used.extend(default.and_then(|it| it.route_map.as_deref()));
    }
    for table in [&bgp.ipv4, &bgp.ipv6] {
        used.extend(table.networks.values().filter_map(|it| it.route_map.as_deref()));
        used.extend(
            table
                .redistribute
                .values()
                .filter_map(|it| it.route_map.as_deref()),
        );
        used.extend(table.aggregates.values().filter_map(|it| it.route_map.as_deref()));
        used.extend(
            table
                .aggregates
                .values()
                .filter_map(|it| it.suppress_map.as_deref()),
        );
    }
    used
}

fn map_text(daemon: &str, name: &str, map: &RouteMap) -> String {
    let mut out = format!("route-map: {name} Invoked: 0 Optimization: enabled Processed Change: false\n");
    for (sequence, entry) in map {
        let _ = writeln!(out, " {}, sequence {sequence} Invoked 0", entry.action.name());
        if let Some(description) = &entry.description {
            let _ = writeln!(out, "  Description:\n    {description}");
        }
        out += "  Match clauses:\n";
        for clause in conditions(daemon, entry) {
            let _ = writeln!(out, "    {clause}");
        }
        out += "  Set clauses:\n";
        for clause in changes(daemon, entry) {
            let _ = writeln!(out, "    {clause}");
        }
        out += "  Call clause:\n";
        if let Some(call) = &entry.call {
            let _ = writeln!(out, "    Call {call}");
        }
        let _ = writeln!(out, "  Action:\n    {}", action(entry));
    }
    out
}

fn map_json(daemon: &str, map: &RouteMap) -> Object {
    let rules = map.iter().map(|(sequence, entry)| {
        let texts = |clauses: Vec<String>| clauses.into_iter().map(Json::Text).collect::<Vec<Json>>();
        let mut rule = Object::new()
            .with("sequenceNumber", *sequence)
            .with("type", entry.action.name())
            .with("invoked", 0);
        rule.put_some("description", entry.description.as_deref());
        rule.put("matchClauses", texts(conditions(daemon, entry)));
        rule.put("setClauses", texts(changes(daemon, entry)));
        rule.put_some("callClause", entry.call.as_deref());
        rule.put("action", action(entry));
        Json::from(rule)
    });
    Object::new()
        .with("invoked", 0)
        .with("disabledOptimization", false)
        .with("processedChange", false)
        .with("rules", rules.collect::<Vec<Json>>())
}

fn action(entry: &RouteMapEntry) -> String {
    match entry.on_match {
        None => "Exit routemap".to_owned(),
        Some(OnMatch::Next) => "Continue to next entry".to_owned(),
        Some(OnMatch::Goto(sequence)) => format!("Goto {sequence}"),
    }
}

/// The conditions that a daemon knows.
fn conditions(daemon: &str, entry: &RouteMapEntry) -> Vec<String> {
    let known = |it: &&Match| match it {
        Match::Address(..) | Match::NextHop(..) | Match::Interface(_) | Match::Tag(_) => true,
        Match::SourceProtocol(_) => daemon == "ZEBRA",
        _ => daemon == "BGP",
    };
    entry.matches.iter().filter(known).map(Match::to_string).collect()
}

/// The changes that a daemon makes.
fn changes(daemon: &str, entry: &RouteMapEntry) -> Vec<String> {
    let known = |it: &&Set| match it {
        Set::Source(_) => daemon == "ZEBRA",
        _ => daemon == "BGP",
    };
    entry.sets.iter().filter(known).map(Set::to_string).collect()
}
