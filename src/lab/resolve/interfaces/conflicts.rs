//! Interfaces of which the kernel takes only one, or only some together: what it would refuse with a bare number when the lab is
//! made is told before.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Entries, Entry, link_span};
use crate::Diagnostic;
use crate::file::Span;
use crate::links::wireguard::{Peer, Who};
use crate::links::{Device, ipvlan::Ipvlan, macvlan::Macvlan, tunnel::Tunnel};
use crate::resolve::Scene;
use crate::resolve::diagnostics::DiagnosticList;
use crate::resolve::links::Links;

/// No more interfaces are looked through to find the lowest one.
const MOST_BELOW: usize = 16;

pub(super) fn resolve(
    scene: &Scene,
    all: &[Entry],
    entries: &Entries,
    links: &Links,
    diagnostics: &mut DiagnosticList,
) {
    takers(all, entries, links, diagnostics);
    tunnels(all, diagnostics);
    ports(all, diagnostics);
    for entry in all {
        if let Some(Device::Wireguard(wireguard)) = &entry.spec.device {
            for peer in &wireguard.peers {
                endpoint(scene, *entry, peer, entries, diagnostics);
            }
        }
    }
}

/// What takes the packets that come to the interface below it, of which an interface has one sort.
fn takes(device: &Device) -> bool {
    matches!(device, Device::Macvlan(_) | Device::Ipvlan(_) | Device::Macsec(_))
}

/// The interface that a device is really on: the kernel puts a macvlan on a macvlan, or an ipvlan on an ipvlan, beside it.
fn lowest<'a>(entry: Entry<'a>, entries: &Entries<'a>) -> Option<&'a str> {
    let mut name = entry.spec.link.as_ref()?.value.as_str();
    let device = entry.spec.device.as_ref()?;
    for _ in 0..MOST_BELOW {
        let Some(below) = entries.get(&(entry.owner, name)) else {
            break;
        };
        let is_alike = matches!(
            (device, &below.spec.device),
            (Device::Macvlan(_), Some(Device::Macvlan(_))) | (Device::Ipvlan(_), Some(Device::Ipvlan(_)))
        );
        match &below.spec.link {
            Some(link) if is_alike => name = link.value.as_str(),
            _ => break,
        }
    }
    Some(name)
}

/// Bridges, bonds, macvlans, ipvlans and MACsec each take all packets of the interface below them.
fn takers(all: &[Entry], entries: &Entries, links: &Links, diagnostics: &mut DiagnosticList) {
    let mut first: HashMap<(usize, &str), Entry> = HashMap::new();
    for entry in all {
        let Some(device) = entry.spec.device.as_ref().filter(|it| takes(it)) else {
            continue;
        };
        let Some(below) = lowest(*entry, entries) else {
            continue;
        };
        let (own, span) = (entry.name(), link_span(entry));
        if let Some(master) = links.bridge_ports.get(&(entry.owner, below.to_owned())) {
            let message = format!(
                "`{below}` is in `{master}`, which takes all that comes to it: `{own}` of type {} cannot be on it",
                device.name()
            );
            let help = format!("write `link = \"{master}\"`, or take `{below}` out of `{master}`");
            diagnostics.add_for(entry.node, Diagnostic::new(message, span, "").help(help));
            continue;
        }
        let Some(other) = first.get(&(entry.owner, below)) else {
            first.insert((entry.owner, below), *entry);
            continue;
        };
        let Some(before) = &other.spec.device else {
            continue;
        };
        if let Some((why, help)) = excludes(before, device) {
            let message = format!(
                "`{below}` cannot carry both `{}` and `{own}`: {why}",
                other.name()
            );
            let diagnostic = Diagnostic::new(message, span, "again here").and(link_span(other), "first here");
            diagnostics.add_for(entry.node, diagnostic.help(help));
        }
    }
}

/// Why two devices cannot be on one interface, and what to do.
fn excludes(first: &Device, second: &Device) -> Option<(String, &'static str)> {
    match (first, second) {
        (Device::Macvlan(first), Device::Macvlan(second)) => {
            let alone = |it: &Macvlan| it.mode() == "passthru";
            (alone(first) || alone(second)).then(|| {
                (
                    "a macvlan with `mode = \"passthru\"` is the only one on its interface".to_owned(),
                    "give both another `mode`, or put one of them on another interface",
                )
            })
        }
        (Device::Ipvlan(first), Device::Ipvlan(second)) => {
            let of = |it: &Ipvlan| (it.mode, it.flags);
            (of(first) != of(second)).then(|| {
                (
                    "all ipvlans on an interface have the same `mode` and `siblings`".to_owned(),
                    "give both the same, or put one of them on another interface",
                )
            })
        }
        (Device::Macsec(_), Device::Macsec(_)) => Some((
            "each is known by the MAC address of the interface below".to_owned(),
            "put one of them on another interface (`type = \"macvlan\"` makes one with its own MAC address)",
        )),
        (first, second) if first.name() != second.name() => Some((
            format!(
                "{} and {} each take all that comes to it",
                first.name(),
                second.name()
            ),
            "put one of them on another interface",
        )),
        _ => None,
    }
}

/// Two tunnels of a type differ in their ends, their key, or in what they are on.
fn tunnels(all: &[Entry], diagnostics: &mut DiagnosticList) {
    type Key<'a> = (usize, usize, [IpAddr; 2], Option<u32>, Option<&'a str>);
    let mut known: HashMap<Key, &Span> = HashMap::new();
    for entry in all {
        let Some(Device::Tunnel(tunnel)) = &entry.spec.device else {
            continue;
        };
        let Tunnel {
            kind,
            local,
            remote,
            key,
            ..
        } = tunnel;
        let link = entry.spec.link.as_ref().map(|link| link.value.as_str());
        let name = &entry.spec.name;
        let Some(first) = known.insert((entry.owner, *kind, [*local, *remote], *key, link), &name.span)
        else {
            continue;
        };
        let sort = entry.sort().map_or("", |sort| sort.name);
        let message = format!("two {sort} tunnels are between {local} and {remote}");
        let help = match sort.contains("gre") {
            true => "give them different values of `key`, or one of them another `local` or `remote`",
            false => "give one of them another `local` or `remote`",
        };
        let diagnostic =
            Diagnostic::new(message, name.span.clone(), "again here").and(first.clone(), "first here");
        diagnostics.add_for(entry.node, diagnostic.help(help));
    }
}

/// Two interfaces of type wireguard do not listen on one port.
fn ports(all: &[Entry], diagnostics: &mut DiagnosticList) {
    let mut known: HashMap<(usize, u16), &Span> = HashMap::new();
    for entry in all {
        let Some(Device::Wireguard(wireguard)) = &entry.spec.device else {
            continue;
        };
        let (Some(port), name) = (wireguard.listen_port, &entry.spec.name) else {
            continue;
        };
        if let Some(first) = known.insert((entry.owner, port), &name.span) {
            let message = format!("two interfaces of type wireguard have `listen_port = {port}`");
            let diagnostic =
                Diagnostic::new(message, name.span.clone(), "again here").and(first.clone(), "first here");
            diagnostics.add_for(
                entry.node,
                diagnostic.help("give one of them another `listen_port`"),
            );
        }
    }
}

/// An endpoint without a port is at the port of the peer, which says one then.
fn endpoint(scene: &Scene, entry: Entry, peer: &Peer, entries: &Entries, diagnostics: &mut DiagnosticList) {
    let (Who::Inside(end), Some((address, None))) = (&peer.who, peer.endpoint) else {
        return;
    };
    let node = scene.index.get(end.node.as_str());
    let other = node.and_then(|node| entries.get(&(scene.owners[*node], end.interface.as_str())));
    let Some(Device::Wireguard(there)) = other.and_then(|other| other.spec.device.as_ref()) else {
        return;
    };
    if there.listen_port.is_some() {
        return;
    }
    let named = format!("{}:{}", end.node, end.interface);
    let message = format!("the endpoint has no port, and `{named}` has no `listen_port`");
    let help = format!("add `listen_port = 51820` to `{named}`, or remove `endpoint = \"{address}\"`");
    let span = peer.endpoint_span.clone();
    diagnostics.add_for(entry.node, Diagnostic::new(message, span, "").help(help));
}
