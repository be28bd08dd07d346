//! Interfaces in bridges, bonds and VRFs, and the VLANs they are in there.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Entries, Entry, SWITCH};
use crate::Diagnostic;
use crate::file::{Span, Spanned, suggest};
use crate::links::{Device, MacRule, Setting, Shape, Vlans, bridge::Bridge, sort};
use crate::model::Kind;
use crate::resolve::diagnostics::DiagnosticList;
use crate::resolve::links::Links;
use crate::resolve::{Scene, addresses};

/// What an interface is in, and who says so.
struct Membership<'a> {
    master: &'a str,
    span: Span,
    node: usize,
}

/// By the owner of the namespace and the interface's name; in an order, so that errors are told the same way every time.
type Memberships<'a> = BTreeMap<(usize, &'a str), Membership<'a>>;

pub(super) fn resolve(
    scene: &Scene,
    all: &[Entry],
    entries: &Entries,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) {
    let mut members = Memberships::new();
    for entry in all {
        if let Some(master) = &entry.spec.master {
            let name = entry.spec.name.value.as_str();
            join(
                scene,
                *entry,
                name,
                &master.value,
                &master.span,
                &mut members,
                diagnostics,
            );
        }
        let takes = entry.sort().is_some_and(|sort| sort.takes_ports);
        if !takes && let (Some(port), false) = (entry.spec.ports.first(), entry.spec.partial) {
            let message = format!(
                "interface `{}` is no bridge, bond or VRF: it has no `ports`",
                entry.name()
            );
            let help = "remove `ports`, or write `type = \"bridge\"`, `\"bond\"` or `\"vrf\"`";
            diagnostics.add_for(
                entry.node,
                Diagnostic::new(message, port.span.clone(), "").help(help),
            );
            continue;
        }
        for port in &entry.spec.ports {
            if addresses::interface_is_there(scene, links, entry.node, port, diagnostics) {
                let master = entry.spec.name.value.as_str();
                join(
                    scene,
                    *entry,
                    &port.value,
                    master,
                    &port.span,
                    &mut members,
                    diagnostics,
                );
            }
        }
    }
    members.retain(|(owner, name), it| fits(scene, *owner, name, it, entries, links, diagnostics));
    for of_circle in loops(&members, diagnostics) {
        members.remove(&of_circle);
    }
    for ((owner, name), it) in &members {
        note(*owner, name, it.master, entries, scene, links);
    }
    unbridge(scene, &members, links);
    set(scene, all, entries, &members, links, diagnostics);
}

/// Notes that an interface is in another; it can be in one only.
fn join<'a>(
    scene: &Scene,
    entry: Entry,
    port: &'a str,
    master: &'a str,
    span: &Span,
    members: &mut Memberships<'a>,
    diagnostics: &mut DiagnosticList,
) {
    let it = Membership {
        master,
        span: span.clone(),
        node: entry.node,
    };
    let Some(before) = members.insert((entry.owner, port), it) else {
        return;
    };
    // `ports` and `master` may both say it.
    if before.master == master {
        return;
    }
    let message = format!(
        "interface `{port}` of node `{}` is in `{}` and in `{master}`",
        scene.name(entry.owner),
        before.master
    );
    let diagnostic = Diagnostic::new(message, span.clone(), "again here").and(before.span, "first here");
    diagnostics.add_for(
        entry.node,
        diagnostic.help("an interface is in one bridge, bond or VRF: remove one"),
    );
}

/// The type of an interface that others can be in; `Err` for one that is none, and nothing for what a node's commands make.
fn type_of(scene: &Scene, owner: usize, name: &str, entries: &Entries) -> Result<Option<&'static str>, ()> {
    if name == SWITCH && scene.kind(owner) == Kind::Bridge {
        return Ok(Some("bridge"));
    }
    match entries.get(&(owner, name)) {
        Some(entry) if entry.is_late() || (entry.spec.partial && entry.sort().is_none()) => Ok(None),
        Some(entry) => match entry.sort() {
            Some(sort) if sort.takes_ports => Ok(Some(sort.name)),
            _ => Err(()),
        },
        None => Err(()),
    }
}

/// Whether an interface can be in what it is to be in.
fn fits(
    scene: &Scene,
    owner: usize,
    name: &str,
    it: &Membership,
    entries: &Entries,
    links: &Links,
    diagnostics: &mut DiagnosticList,
) -> bool {
    let mut wrong = |message: String, help: String| {
        diagnostics.add_for(it.node, Diagnostic::new(message, it.span.clone(), "").help(help));
        false
    };
    if name == it.master {
        return wrong(
            format!("interface `{name}` cannot be in itself"),
            "name another one".into(),
        );
    }
    let Ok(kind) = type_of(scene, owner, it.master, entries) else {
        if links.has(scene, it.node, it.master) {
            let message = format!("`{}` is no bridge, bond or VRF", it.master);
            return wrong(
                message,
                "name one: an entry of `interfaces` with such a `type`".into(),
            );
        }
        let takers = entries
            .iter()
            .filter(|((of, _), entry)| *of == owner && entry.sort().is_some_and(|sort| sort.takes_ports));
        let mut takers: Vec<&str> = takers.map(|((_, name), _)| *name).collect();
        takers.sort_unstable();
        let message = format!(
            "node `{}` has no bridge, bond or VRF `{}`",
            scene.name(it.node),
            it.master
        );
        let none = format!(
            "describe it: `{} = {{ type = \"bridge\" }}` in `interfaces`",
            it.master
        );
        let help = suggest::cure(it.master, takers, "it has", &none);
        return wrong(message, help);
    };
    let Some(kind) = kind else { return true };
    if name == "lo" {
        return wrong(
            format!("the loopback interface cannot be in a {kind}"),
            "name another interface; a VRF carries addresses itself".into(),
        );
    }
    let own = entries.get(&(owner, name)).and_then(Entry::sort);
    if let Some(sort) = own
        && (sort.name == "vrf"
            || (sort.mac == MacRule::None && kind != "vrf")
            || (sort.name == "bridge" && kind == "bridge"))
    {
        let message = format!("an interface of type {} cannot be in a {kind}", sort.name);
        let help = match sort.name {
            "vrf" => "a VRF is in nothing",
            "bridge" => "join two bridges by a link, whose ends are ports of them",
            _ => "it carries packets and no frames; it can be in a VRF",
        };
        return wrong(message, help.into());
    }
    if name == SWITCH && scene.kind(owner) == Kind::Bridge && kind != "vrf" {
        return wrong(
            format!("the switch's own bridge cannot be in a {kind}"),
            "put the ports into it instead".into(),
        );
    }
    true
}

/// Interfaces that are in each other; one of each circle is returned.
fn loops<'a>(members: &Memberships<'a>, diagnostics: &mut DiagnosticList) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    // Where walks from earlier interfaces came by: each is gone once.
    let mut seen: HashMap<(usize, &str), usize> = HashMap::new();
    for (walk, start) in members.keys().enumerate() {
        let mut at = *start;
        while let Some(it) = members.get(&at)
            && !seen.contains_key(&at)
        {
            seen.insert(at, walk);
            at.1 = it.master;
        }
        // Only a circle leads back to where this very walk came by.
        if seen.get(&at) != Some(&walk) {
            continue;
        }
        let Some(it) = members.get(&at) else { continue };
        let message = format!("`{}` and `{}` are in each other", at.1, it.master);
        let help = "one of them is the outer one: remove the other's `master` or `ports`";
        diagnostics.add_for(it.node, Diagnostic::new(message, it.span.clone(), "").help(help));
        found.push(at);
    }
    found
}

/// Tells other modules what an interface is in: its addresses and its node's own bridge hang on that.
fn note(owner: usize, name: &str, master: &str, entries: &Entries, scene: &Scene, links: &mut Links) {
    let kind = type_of(scene, owner, master, entries).ok().flatten();
    let key = (owner, name.to_owned());
    match kind.and_then(sort) {
        Some(sort) if sort.leaves_addresses => {
            links.bridge_ports.remove(&key);
            links.vrfs.insert(key, master.to_owned());
            links.vrfs.insert((owner, master.to_owned()), master.to_owned());
        }
        Some(_) => {
            links.bridge_ports.insert(key, master.to_owned());
        }
        None => {
            links.bridge_ports.remove(&key);
        }
    }
}

/// What is in another interface is not in its node's own bridge.
fn unbridge(scene: &Scene, members: &Memberships, links: &mut Links) {
    let inside: HashSet<(usize, &str)> = members.keys().copied().collect();
    for link in &mut links.links {
        let (a, b) = match &mut link.shape {
            Shape::Veth(a, b) => (a, Some(b)),
            Shape::Host { port, .. } | Shape::Mgmt(port) | Shape::Device { port, .. } => (port, None),
        };
        for port in std::iter::once(a).chain(b) {
            if inside.contains(&(scene.owners[port.node], port.interface.as_str())) {
                port.bridged = false;
            }
        }
    }
}

/// In how many others each interface is, one in the other. There are no circles any more.
fn depths<'a>(members: &Memberships<'a>) -> HashMap<(usize, &'a str), usize> {
    let mut known: HashMap<(usize, &str), usize> = HashMap::new();
    for start in members.keys() {
        let mut way = Vec::new();
        let mut at = *start;
        while let Some(it) = members.get(&at)
            && !known.contains_key(&at)
            && way.len() <= members.len()
        {
            way.push(at);
            at.1 = it.master;
        }
        let mut depth = known.get(&at).copied().unwrap_or_default();
        for below in way.into_iter().rev() {
            depth += 1;
            known.insert(below, depth);
        }
    }
    known
}

/// The port that a bond prefers.
fn primary<'a>(entry: &Entry<'a>) -> Option<&'a str> {
    match &entry.spec.device {
        Some(Device::Bond(bond)) => bond.primary.as_deref(),
        _ => None,
    }
}

/// What is to be set, innermost first: a bond has its links before it goes into a bridge.
fn set(
    scene: &Scene,
    all: &[Entry],
    entries: &Entries,
    members: &Memberships,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) {
    let mut wanted: HashMap<(usize, &str), Setting<String>> = HashMap::new();
    let blank = |name: &str| Setting {
        interface: name.to_owned(),
        master: None,
        primary: false,
        vlans: None,
    };
    let mut order: Vec<(usize, &str)> = Vec::new();
    // Ports of a bond in the order in which they are named: the first is the one that a backup takes over from.
    let named = all.iter().flat_map(|entry| {
        let ports = entry.spec.ports.iter().map(|port| port.value.as_str());
        let own = entry.spec.name.value.as_str();
        ports.chain([own]).map(|name| (entry.owner, name))
    });
    for key in named {
        let Some(it) = members.get(&key) else { continue };
        wanted.entry(key).or_insert_with(|| {
            order.push(key);
            let mut setting = blank(key.1);
            setting.master = Some(it.master.to_owned());
            setting.primary = entries.get(&(key.0, it.master)).and_then(primary) == Some(key.1);
            setting
        });
    }
    for entry in all {
        let key = (entry.owner, entry.spec.name.value.as_str());
        if let Some(port) = primary(entry)
            && members
                .get(&(entry.owner, port))
                .is_none_or(|it| it.master != key.1)
        {
            let message = format!("`{port}`, the primary of `{}`, is no port of it", key.1);
            let help = format!("add `\"{port}\"` to its `ports`, or name one that is there");
            let diagnostic = Diagnostic::new(message, entry.spec.name.span.clone(), "");
            diagnostics.add_for(entry.node, diagnostic.help(help));
        }
        let Some(vlans) = vlans(scene, *entry, entries, members, links, diagnostics) else {
            continue;
        };
        let setting = wanted.entry(key).or_insert_with(|| {
            order.push(key);
            blank(key.1)
        });
        setting.vlans = Some(vlans);
    }
    let depths = depths(members);
    order.sort_by_key(|key| std::cmp::Reverse(depths.get(key).copied().unwrap_or_default()));
    for key in order {
        links.settings[key.0].extend(wanted.remove(&key));
    }
}

/// The VLANs of an interface on its bridge, or of a bridge on itself.
fn vlans(
    scene: &Scene,
    entry: Entry,
    entries: &Entries,
    members: &Memberships,
    links: &Links,
    diagnostics: &mut DiagnosticList,
) -> Option<Vlans> {
    let spec = entry.spec;
    let spans = [
        ("pvid", spec.pvid.as_ref().map(|it| &it.span)),
        ("tagged", spec.tagged.as_ref().map(|it| &it.span)),
        ("untagged", spec.untagged.as_ref().map(|it| &it.span)),
    ];
    let (key, span) = spans.into_iter().find_map(|(key, span)| Some((key, span?)))?;
    let mut wrong = |span: &Span, message: String, help: String| {
        diagnostics.add_for(entry.node, Diagnostic::new(message, span.clone(), "").help(help));
    };
    let own = entry.sort().is_some_and(|sort| sort.name == "bridge");
    let is_switch_port = links
        .bridge_ports
        .get(&(entry.owner, spec.name.value.clone()))
        .map(String::as_str);
    let master = members.get(&(entry.owner, entry.name())).map(|it| it.master);
    let bridge = match own {
        true => Some(entry.name()),
        false => master.or(is_switch_port),
    };
    let is_bridge = |name: &str| type_of(scene, entry.owner, name, entries) != Ok(Some("bond"));
    let Some(bridge) =
        bridge.filter(|name| type_of(scene, entry.owner, name, entries).is_ok() && is_bridge(name))
    else {
        // What it is in, and cannot be in, has been told.
        let told = spec.master.is_some() && master.is_none();
        if !spec.partial && !told {
            let message = format!("interface `{}` is in no bridge: it has no `{key}`", entry.name());
            let help = "add `master = \"br0\"`, with a bridge of the node; a VLAN on top of an interface has `type = \"vlan\"`";
            wrong(span, message, help.into());
        }
        return None;
    };
    let options: Option<&Bridge> = match entries.get(&(entry.owner, bridge)).map(|it| &it.spec.device) {
        Some(Some(Device::Bridge(options))) => Some(options),
        _ => None,
    };
    let is_known = type_of(scene, entry.owner, bridge, entries) == Ok(Some("bridge"));
    if is_known && !options.is_some_and(|options| options.vlan_filtering) {
        let partial = entries
            .get(&(entry.owner, bridge))
            .is_some_and(|it| it.spec.partial);
        if !partial {
            let message = format!("bridge `{bridge}` does not heed VLANs: `{key}` says nothing there");
            let help =
                format!("add `{bridge} = {{ type = \"bridge\", vlan_filtering = true }}` to `interfaces`");
            let help = match options {
                Some(_) => format!("add `vlan_filtering = true` to `{bridge}`"),
                None => help,
            };
            wrong(span, message, help);
        }
        return None;
    }
    let ranges = |ranges: &Option<Spanned<Vec<(u16, u16)>>>| {
        ranges.as_ref().map(|it| it.value.clone()).unwrap_or_default()
    };
    let found = Vlans {
        pvid: spec.pvid.as_ref().map(|it| it.value),
        tagged: ranges(&spec.tagged),
        untagged: ranges(&spec.untagged),
        own,
    };
    if let (Some(tagged), Some(id)) = (&spec.tagged, in_both(&found)) {
        let message = format!("VLAN {id} is tagged and untagged on `{}`", entry.name());
        wrong(
            &tagged.span,
            message,
            "a VLAN leaves with its tag or without: remove one".into(),
        );
    }
    Some(found)
}

/// A VLAN that is to leave with its tag and without.
fn in_both(vlans: &Vlans) -> Option<u16> {
    let bare = vlans
        .untagged
        .iter()
        .copied()
        .chain(vlans.pvid.map(|it| (it, it)));
    bare.into_iter().find_map(|(first, last)| {
        let overlap = vlans
            .tagged
            .iter()
            .find(|(from, to)| *from <= last && first <= *to)?;
        Some(first.max(overlap.0))
    })
}
