//! `show interface brief`, and what else is known of interfaces.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::json::{Json, Object, text};
use crate::config::Arguments;
use crate::speaker::Interface;

/// The interfaces in FRR's order, which is that of names with their numbers counted.
pub(super) fn all<'s>(view: &View<'s>) -> Vec<&'s Interface> {
    let mut interfaces: Vec<&Interface> = view.speaker.interfaces().iter().collect();
    interfaces.sort_by(|a, b| key(&a.name).cmp(&key(&b.name)));
    interfaces
}

/// A name's letters and, where it ends with one, its number.
fn key(name: &str) -> (&str, u64, &str) {
    let letters = name.trim_end_matches(|it: char| it.is_ascii_digit());
    (letters, name[letters.len()..].parse().unwrap_or(0), name)
}

fn status(interface: &Interface) -> &'static str {
    if interface.up { "up" } else { "down" }
}

fn is_link_local(net: &IpNet) -> bool {
    matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

pub(super) fn addresses(interface: &Interface, v4: bool) -> impl Iterator<Item = &IpNet> {
    let nets = interface.addresses.iter();
    nets.filter(move |net| net.addr().is_ipv4() == v4 && !net.addr().is_loopback())
}

/// What a brief line has beside the name: of IPv4 the first address in each network, of IPv6 the first that means
/// something elsewhere, and whether there are more.
fn brief_addresses(interface: &Interface) -> Vec<(bool, &IpNet)> {
    let mut sorted: Vec<&IpNet> = addresses(interface, true).collect();
    sorted.sort();
    let mut seen = BTreeSet::new();
    let first: Vec<&IpNet> = sorted
        .iter()
        .copied()
        .filter(|net| seen.insert(net.trunc()))
        .collect();
    let more = |net: &IpNet| sorted.iter().filter(|it| it.trunc() == net.trunc()).count() > 1;
    let mut lines: Vec<(bool, &IpNet)> = first.into_iter().map(|net| (more(net), net)).collect();
    let has_more = addresses(interface, false).count() > 1;
    let global = addresses(interface, false).find(|net| !is_link_local(net));
    lines.extend(global.map(|net| (has_more, net)));
    lines
}

/// `show interface brief`.
pub(super) fn brief(view: &View, arguments: &Arguments) -> String {
    if arguments.has("json") {
        return brief_json(view).pretty() + "\n";
    }
    let mut out = String::from(
        "Interface       Status  VRF             Addresses\n---------       ------  ---             ---------\n",
    );
    for interface in all(view) {
        let _ = write!(
            out,
            "{:<16}{:<8}{:<16}",
            interface.name,
            status(interface),
            "default"
        );
        let lines = brief_addresses(interface);
        for (at, (more, net)) in lines.iter().enumerate() {
            let indent = if at == 0 { 0 } else { 40 };
            let _ = writeln!(out, "{:indent$}{}{net}", "", if *more { "+ " } else { "" });
        }
        if lines.is_empty() {
            out.push('\n');
        }
    }
    out + "\n"
}

fn brief_json(view: &View) -> Object {
    let mut object = Object::new();
    for interface in all(view) {
        let v4 = addresses(interface, true);
        let v6 = addresses(interface, false).filter(|net| !is_link_local(net));
        let known = Object::new()
            .with("status", status(interface))
            .with("vrfName", "default")
            .with("addresses", v4.chain(v6).map(text).collect::<Vec<Json>>());
        object.put(interface.name.clone(), known);
    }
    object
}

/// `show interface description`.
pub(super) fn descriptions(view: &View, arguments: &Arguments) -> String {
    let heading = match arguments.get("vrf_name") {
        Some("default") => "",
        _ => "\n\tVRF default(0)\n\n",
    };
    let mut out = format!("{heading}Interface       Status  Protocol  Description\n");
    for interface in all(view) {
        let status = status(interface);
        let description = description(view, interface).unwrap_or_default();
        let _ = writeln!(out, "{:<16}{status:<8}{status:<10}{description}", interface.name);
    }
    out
}

fn description<'s>(view: &View<'s>, interface: &Interface) -> Option<&'s str> {
    let configured = view.speaker.config().interfaces.get(&interface.name)?;
    configured.description.as_deref()
}

/// `show ipv6 nd ra-interfaces`: those on which router advertisements are sent, and those of them on which often.
pub(super) fn advertising(view: &View, arguments: &Arguments) -> String {
    if arguments.has("vrf_name") {
        return "% VRF subcommand only applicable for netns-based vrfs.\n".to_owned();
    }
    let configured = &view.speaker.config().interfaces;
    let (mut slow, mut fast) = (String::new(), String::new());
    for interface in view.speaker.interfaces() {
        if view.speaker.advertisements(interface.index).is_none() {
            continue;
        }
        let interval = configured.get(&interface.name).and_then(|it| it.ra_interval);
        let lines = match interval {
            Some(interval) if interval % 1000 != 0 => &mut fast,
            _ => &mut slow,
        };
        let _ = writeln!(lines, "    {}", interface.name);
    }
    format!("VRF: default\n  Interfaces:\n{slow}\n  Interfaces(msec):\n{fast}\n")
}
