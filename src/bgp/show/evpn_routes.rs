//! `show bgp l2vpn evpn route vni`: what a network has and takes.

use std::fmt::Write;

use super::View;
use super::evpn::{LENGTH, Line, Lines, body, head, kind, paths_alone};
use super::evpn_vni::asked;
use super::json::{Object, text};
use crate::config::Arguments;
use crate::evpn::{EvpnDestination, EvpnPath, VniFacts};
use crate::table::Reason;
use crate::wire::{EvpnKey, EvpnRoute};

/// `show bgp l2vpn evpn route vni (all|VNI) [type TYPE] [json]`.
pub(super) fn of_vni(view: &View, arguments: &Arguments) -> String {
    let json = arguments.has("json");
    let known = view.speaker.told_vnis().map(|it| it.vni);
    let known: Vec<u32> = known.filter(|vni| !view.speaker.is_l3vni(*vni)).collect();
    let Some(asked) = asked(arguments) else {
        return of_all(view, arguments, &known);
    };
    let vni = Some(asked).filter(|vni| known.contains(vni));
    let Some(facts) = vni.and_then(|vni| view.speaker.vni_facts(vni)) else {
        return match json {
            true => "{\n}\n".to_owned(),
            false => "VNI not found\n".to_owned(),
        };
    };
    match json {
        true => as_json(view, &facts, arguments, Object::new()).pretty() + "\n",
        false => as_text(view, &facts, arguments),
    }
}

fn of_all(view: &View, arguments: &Arguments, known: &[u32]) -> String {
    let facts = known
        .iter()
        .filter_map(|vni| Some((*vni, view.speaker.vni_facts(*vni)?)));
    if !arguments.has("json") {
        let parts = facts.map(|(vni, facts)| format!("\nVNI: {vni}\n\n{}", as_text(view, &facts, arguments)));
        return parts.collect();
    }
    let mut object = Object::new();
    for (vni, facts) in facts {
        object.put(
            vni.to_string(),
            as_json(view, &facts, arguments, Object::new().with("vni", vni)),
        );
    }
    object.pretty() + "\n"
}

/// Routes of a network, each with all that is said about it.
fn routes_in<'s>(view: &View<'s>, facts: &VniFacts, kind: Option<u8>) -> Vec<(EvpnRoute, Lines<'s>)> {
    let table = view.speaker.evpn_table();
    let mut all = Vec::new();
    let takes =
        |route: &&EvpnRoute| matches!(route.kind(), 1..=3) && kind.is_none_or(|kind| route.kind() == kind);
    for route in table.routes().filter(takes) {
        let best = view
            .speaker
            .best_in_vni(facts, route)
            .map(|best| best.route.key());
        let of_each = view.speaker.in_vni(facts, route);
        let of_each = of_each.filter_map(|(key, _)| Some((table.get(&key)?.paths(), key)));
        let found: Vec<(EvpnKey, &EvpnPath)> = of_each
            .flat_map(|(paths, key)| paths.iter().rev().map(move |path| (key.clone(), path)))
            .filter(|(_, path)| path.route.is_reachable())
            .collect();
        let several = found.len() > 1;
        let lines: Lines = found
            .into_iter()
            .map(|(key, path)| Line {
                is_best: best == Some(path.route.key()),
                reason: match several {
                    true => table.get(&key).and_then(EvpnDestination::reason),
                    false => Some(Reason::Only.name()),
                },
                key,
                path,
            })
            .collect();
        if !lines.is_empty() {
            all.push((route.clone(), lines));
        }
    }
    all
}

fn as_json(view: &View, facts: &VniFacts, arguments: &Arguments, mut object: Object) -> Object {
    let all = routes_in(view, facts, kind(arguments));
    let paths: usize = all.iter().map(|(_, lines)| lines.len()).sum();
    for (route, lines) in &all {
        let of_route = Object::new()
            .with("prefix", text(route))
            .with("prefixLen", LENGTH)
            .with("paths", paths_alone(view, lines));
        object.put(route.to_string(), of_route);
    }
    object.put("numPrefix", all.len());
    object.put("numPaths", paths);
    object
}

fn as_text(view: &View, facts: &VniFacts, arguments: &Arguments) -> String {
    let kind = kind(arguments);
    let of_kind = if kind.is_some() {
        " (of requested type)"
    } else {
        ""
    };
    let all = routes_in(view, facts, kind);
    let paths: usize = all.iter().map(|(_, lines)| lines.len()).sum();
    if all.is_empty() {
        return format!("No EVPN prefixes{of_kind} exist for this VNI\n");
    }
    let mut out = head(view, all.len() as u64);
    out.extend(all.iter().map(|(_, lines)| body(view, lines, true)));
    let _ = writeln!(
        out,
        "\nDisplayed {} prefixes ({paths} paths){of_kind}\n",
        all.len()
    );
    out
}
