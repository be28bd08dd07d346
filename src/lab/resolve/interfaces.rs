//! Interfaces of nodes beside the ends of their links: what they are on top of, what they are in, and in which order they are made.

mod conflicts;
mod members;

use std::collections::{HashMap, HashSet};

use super::diagnostics::DiagnosticList;
use super::links::Links;
use super::{Scene, addresses, devices};
use crate::Diagnostic;
use crate::file::{InterfaceSpec, Span};
use crate::impair::Impairments;
use crate::links::{self, Below, Carrier, Device, MacRule, Shape, Sort};
use crate::model::{Kind, LateInterface, Link, Port};

/// The bridge of a node of kind bridge.
const SWITCH: &str = "br0";
/// The least MTU that IPv6 runs over (RFC 8200).
const IPV6_MTU: u32 = 1280;

/// No node has more entries.
const MOST_INTERFACES: usize = 8192;

/// An entry, and whose it is.
#[derive(Clone, Copy)]
struct Entry<'a> {
    node: usize,
    owner: usize,
    spec: &'a InterfaceSpec,
}

impl Entry<'_> {
    fn name(&self) -> &str {
        &self.spec.name.value
    }

    fn sort(&self) -> Option<&'static Sort> {
        self.spec.kind.as_ref().and_then(|kind| links::sort(kind.value))
    }

    fn is_late(&self) -> bool {
        self.spec.late.as_ref().is_some_and(|late| late.value)
    }

    /// Whether it is the bridge of a node of kind bridge.
    fn is_switch(&self, scene: &Scene) -> bool {
        self.name() == SWITCH && scene.kind(self.owner) == Kind::Bridge
    }
}

/// All entries, to be looked up by the owner of their namespace and their name.
type Entries<'a> = HashMap<(usize, &'a str), Entry<'a>>;

pub(super) fn resolve(scene: &Scene, links: &mut Links, diagnostics: &mut DiagnosticList) {
    let mut all = Vec::new();
    for (node, spec) in scene.nodes.iter().enumerate() {
        let owner = scene.owners[node];
        if scene.is_on_host(owner) {
            continue;
        }
        if let Some(beyond) = spec.interfaces.get(MOST_INTERFACES) {
            let message = format!(
                "node `{}` has {} entries in `interfaces`",
                scene.name(node),
                spec.interfaces.len()
            );
            let help = format!("a node has up to {MOST_INTERFACES}: spread them over several nodes");
            let span = beyond.name.span.clone();
            diagnostics.add_for(node, Diagnostic::new(message, span, "one too many").help(help));
        }
        let some = spec.interfaces.iter().take(MOST_INTERFACES);
        all.extend(some.map(|spec| Entry { node, owner, spec }));
    }
    if all.is_empty() {
        return;
    }
    for entry in &all {
        begin(scene, *entry, links, diagnostics);
    }
    let entries: Entries = all.iter().map(|it| ((it.owner, it.name()), *it)).collect();
    for entry in &all {
        if entry.sort().is_none() && !entry.is_late() && !entry.spec.partial {
            addresses::interface_is_there(scene, links, entry.node, &entry.spec.name, diagnostics);
        }
        judge(scene, *entry, &entries, links, diagnostics);
    }
    members::resolve(scene, &all, &entries, links, diagnostics);
    twice(&all, links, diagnostics);
    conflicts::resolve(scene, &all, &entries, links, diagnostics);
    make(scene, &all, &entries, links, diagnostics);
}

/// Takes the name of an entry, and notes what comes late.
fn begin(scene: &Scene, entry: Entry, links: &mut Links, diagnostics: &mut DiagnosticList) {
    let Entry { node, owner, spec } = entry;
    if let (Some(kind), Some(late)) = (&spec.kind, spec.late.as_ref().filter(|late| late.value)) {
        let message = format!(
            "interface `{}` comes late, and has a `type`, by which it is made before",
            entry.name()
        );
        let diagnostic = Diagnostic::new(message, late.span.clone(), "").and(kind.span.clone(), "");
        let help = "remove `late`, or leave out `type`: the node's own commands say what it is";
        return diagnostics.add_for(node, diagnostic.help(help));
    }
    if entry.is_switch(scene) {
        if let Some(Device::Bridge(bridge)) = &spec.device {
            links.bridges.insert(owner, bridge.clone());
        }
        return;
    }
    if entry.is_late() && links.claim(scene, node, &spec.name, diagnostics) {
        links.late[owner].push(LateInterface {
            interface: spec.name.value.clone(),
            mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
        });
        links.waits_for_late[node].push(spec.name.value.clone());
    }
    let Some(sort) = entry.sort() else {
        // A type that could not be read would have made it.
        if spec.partial && !entry.is_late() && !links.has(scene, node, entry.name()) {
            links.claim(scene, node, &spec.name, diagnostics);
        }
        return;
    };
    if sort.reserved.contains(&entry.name()) {
        let message = format!(
            "the kernel gives `{}` to an interface of its own where there are {} tunnels",
            entry.name(),
            sort.name
        );
        let help = format!("choose another name, for example `{}1`", sort.name);
        diagnostics.add_for(
            node,
            Diagnostic::new(message, spec.name.span.clone(), "").help(help),
        );
    }
    links.claim(scene, node, &spec.name, diagnostics);
}

/// What an entry says of itself, and of the interface below it.
fn judge(
    scene: &Scene,
    entry: Entry,
    entries: &Entries,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) {
    below(scene, entry, entries, links, diagnostics);
    mac(entry, diagnostics);
    mtu(scene, entry, links, diagnostics);
    let mut device = entry.spec.device.clone();
    for end in device.iter_mut().flat_map(Device::ends) {
        other_end(scene, entry, end, entries, diagnostics);
    }
}

fn below(scene: &Scene, entry: Entry, entries: &Entries, links: &Links, diagnostics: &mut DiagnosticList) {
    let Entry { node, spec, .. } = entry;
    let mut wrong = |span: &Span, message: String, help: &str| {
        diagnostics.add_for(node, Diagnostic::new(message, span.clone(), "").help(help));
    };
    let rule = entry.sort().map_or(Below::Nothing, |sort| sort.below);
    let Some(link) = &spec.link else {
        if rule == Below::Needed {
            let message = format!(
                "interface `{}` does not say which interface it is on",
                entry.name()
            );
            wrong(
                &spec.name.span,
                message,
                "add `link = \"eth0\"`, with the interface below it",
            );
        }
        return;
    };
    if rule == Below::Nothing {
        if spec.partial && entry.sort().is_none() {
            return;
        }
        let message = match entry.sort() {
            Some(sort) => format!(
                "an interface of type {} is on no other: it has no `link`",
                sort.name
            ),
            None => "an interface without a `type` is made elsewhere: it has no `link`".to_owned(),
        };
        return wrong(&link.span, message, "remove `link`");
    }
    if link.value == spec.name.value {
        let message = format!("interface `{}` cannot be on itself", entry.name());
        return wrong(&link.span, message, "name the interface below it");
    }
    if link.value == "lo" && rule == Below::Needed {
        let message = "nothing can be on top of the loopback interface".to_owned();
        return wrong(
            &link.span,
            message,
            "name another interface, perhaps one of type dummy",
        );
    }
    let below = entries.get(&(entry.owner, link.value.as_str()));
    if below.is_some_and(Entry::is_late) {
        let message = format!("`{}` comes late: nothing can be made on it before", link.value);
        let help = "let the node's own commands make this interface as well, and say `late = true` of it";
        return wrong(&link.span, message, help);
    }
    addresses::interface_is_there(scene, links, node, link, diagnostics);
}

fn mac(entry: Entry, diagnostics: &mut DiagnosticList) {
    let Some(mac) = &entry.spec.mac else { return };
    let (message, help) = match entry.sort() {
        Some(sort) if sort.mac == MacRule::None => (
            format!("an interface of type {} has no MAC address of its own", sort.name),
            "remove `mac`",
        ),
        Some(_) => return,
        None => (
            "an interface without a `type` is made elsewhere, with its MAC address".to_owned(),
            "write `mac` at the end of its link: `endpoints = [{ node = …, interface = …, mac = … }, …]`",
        ),
    };
    diagnostics.add_for(
        entry.node,
        Diagnostic::new(message, mac.span.clone(), "").help(help),
    );
}

/// An MTU: of what is made here, of a link's end, or of what comes late.
fn mtu(scene: &Scene, entry: Entry, links: &mut Links, diagnostics: &mut DiagnosticList) {
    let Some(mtu) = &entry.spec.mtu else { return };
    if mtu.value < IPV6_MTU {
        let key = (entry.owner, entry.spec.name.value.clone());
        links.narrow.insert(key, mtu.clone());
    }
    if entry.is_late() || (entry.sort().is_some() && !entry.is_switch(scene)) {
        return;
    }
    let is_it =
        |port: &&mut Port| scene.owners[port.node] == entry.owner && port.interface == entry.spec.name.value;
    let mut found = false;
    for link in &mut links.links {
        let (a, b) = match &mut link.shape {
            Shape::Veth(a, b) => (a, Some(b)),
            Shape::Host { port, .. } | Shape::Mgmt(port) | Shape::Device { port, .. } => (port, None),
        };
        for port in std::iter::once(a).chain(b).filter(is_it) {
            port.mtu = Some(mtu.value);
            found = true;
        }
    }
    if !found && links.has(scene, entry.node, entry.name()) && !scene.spec.partial_links {
        let message = format!("the MTU of `{}` is not set here", entry.name());
        let help = match entry.name() {
            "eth0" => "write `mtu` in `[mgmt]`",
            "br0" => "a bridge has the least MTU of its ports: write `mtu` at their links",
            _ => "remove `mtu`",
        };
        diagnostics.add_for(
            entry.node,
            Diagnostic::new(message, mtu.span.clone(), "").help(help),
        );
    }
}

/// The other end of a pair: it is there, of the same type, and names this one.
fn other_end(
    scene: &Scene,
    entry: Entry,
    end: &links::End,
    entries: &Entries,
    diagnostics: &mut DiagnosticList,
) {
    let (Some(kind), span) = (&entry.spec.kind, end.span.clone()) else {
        return;
    };
    let named = format!("{}:{}", end.node, end.interface);
    let mut wrong = |message: String, help: String| {
        diagnostics.add_for(entry.node, Diagnostic::new(message, span.clone(), "").help(help));
    };
    let Some(&node) = scene.index.get(end.node.as_str()) else {
        let help = crate::file::suggest::cure(&end.node, scene.names(), "the nodes are", "add the node");
        return wrong(format!("there is no node `{}`", end.node.escape_debug()), help);
    };
    let owner = scene.owners[node];
    let Some(other) = entries.get(&(owner, end.interface.as_str())) else {
        let message = format!("there is no interface `{named}` of type {}", kind.value);
        let help = format!(
            "describe it: `[nodes.{}.interfaces.{}]` with `type = \"{}\"`",
            end.node, end.interface, kind.value
        );
        return wrong(message, help);
    };
    if other.owner == entry.owner && other.name() == entry.name() {
        return wrong(
            format!("`{named}` is this interface itself"),
            "name the other end".into(),
        );
    }
    if other.spec.kind.as_ref().is_some_and(|it| it.value != kind.value) {
        let message = format!("`{named}` is not of type {}", kind.value);
        return wrong(message, "name an interface of the same type".into());
    }
    let mut device = other.spec.device.clone();
    let mut back = device.iter_mut().flat_map(Device::ends);
    let names_back = back.any(|back| {
        let node = scene.index.get(back.node.as_str());
        node.is_some_and(|node| scene.owners[*node] == entry.owner) && back.interface == entry.name()
    });
    if !names_back && !other.spec.partial {
        let own = format!("{}:{}", scene.name(entry.node), entry.name());
        let message =
            format!("`{named}` does not name `{own}` as a peer: the two would not speak to each other");
        wrong(message, format!("add `{own}` to the `peers` of `{named}`"));
    }
}

/// Numbers that the kernel takes once: VLANs of an interface, tables of VRFs, tunnels.
fn twice(all: &[Entry], links: &mut Links, diagnostics: &mut DiagnosticList) {
    let mut vlans: HashMap<(usize, &str, u16, u16), &Span> = HashMap::new();
    let mut tables: HashMap<(usize, u32), &Span> = HashMap::new();
    for entry in all {
        let name = &entry.spec.name;
        let told = match (&entry.spec.device, &entry.spec.link) {
            (Some(Device::Vlan(vlan)), Some(link)) => {
                let key = (
                    entry.owner,
                    link.value.as_str(),
                    vlan.id,
                    vlan.protocol.ether_type(),
                );
                let first = vlans.insert(key, &name.span);
                first.map(|first| {
                    (
                        first,
                        format!("`{}` has VLAN {} twice", link.value, vlan.id),
                        "id",
                    )
                })
            }
            (Some(Device::Vrf(vrf)), _) => {
                let first = tables.insert((entry.owner, vrf.table), &name.span);
                first.map(|first| (first, format!("two VRFs have table {}", vrf.table), "table"))
            }
            (Some(Device::Vxlan(vxlan)), _) => {
                devices::tunnel(links, Some(entry.owner), vxlan, name.span.clone(), diagnostics);
                None
            }
            _ => None,
        };
        if let Some((first, message, key)) = told {
            let diagnostic = Diagnostic::new(message, name.span.clone(), "again here")
                .and(first.clone(), "first here")
                .help(format!("give one of them another `{key}`"));
            diagnostics.add_for(entry.node, diagnostic);
        }
    }
}

/// Appends the devices to the links, each after the one that it is on.
fn make(
    scene: &Scene,
    all: &[Entry],
    entries: &Entries,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) {
    let mut done: HashSet<(usize, &str)> = HashSet::new();
    for entry in all {
        let mut way: Vec<Entry> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut at = Some(*entry);
        while let Some(here) = at.filter(|it| !done.contains(&(it.owner, it.name()))) {
            if let Some(&begin) = places.get(here.spec.name.value.as_str()) {
                cycle(&way[begin..], diagnostics);
                // Told once, and none of them can be made.
                done.extend(way.drain(..).map(|it| (it.owner, it.spec.name.value.as_str())));
                break;
            }
            places.insert(&here.spec.name.value, way.len());
            way.push(here);
            let below = here.spec.link.as_ref().filter(|_| here.sort().is_some());
            at = below.and_then(|link| entries.get(&(here.owner, link.value.as_str())).copied());
        }
        for entry in way.into_iter().rev() {
            done.insert((entry.owner, entry.spec.name.value.as_str()));
            let link = device(scene, entry, links);
            links.links.extend(link);
        }
    }
}

fn cycle(way: &[Entry], diagnostics: &mut DiagnosticList) {
    let Some(first) = way.first() else { return };
    let names: Vec<&str> = way.iter().chain([first]).map(Entry::name).collect();
    let message = format!("these interfaces are on top of each other: {}", names.join(" → "));
    let mut diagnostic = Diagnostic::new(message, link_span(first), "");
    for entry in &way[1..] {
        diagnostic = diagnostic.and(link_span(entry), "");
    }
    diagnostics.add_for(
        first.node,
        diagnostic.help("name an interface that is there without them as the lowest one's `link`"),
    );
}

fn link_span(entry: &Entry) -> Span {
    let link = entry.spec.link.as_ref();
    link.map_or(entry.spec.name.span.clone(), |link| link.span.clone())
}

fn device(scene: &Scene, entry: Entry, links: &mut Links) -> Option<Link> {
    let spec = entry.spec;
    let sort = entry.sort().filter(|_| !entry.is_switch(scene))?;
    let mut device = spec.device.clone()?;
    // Whoever shares a network has the interfaces of the one that owns it.
    for end in device.ends() {
        let node = scene.index.get(end.node.as_str());
        end.node = node.map_or(String::new(), |node| scene.name(scene.owners[*node]).to_owned());
    }
    let mac = match (&spec.mac, sort.mac) {
        (Some(mac), _) => Some(mac.value),
        (None, MacRule::Derived) => Some(links.mac(scene, scene.name(entry.node), entry.name())),
        (None, MacRule::Inherited | MacRule::None) => None,
    };
    let below = spec.link.as_ref().map(|link| &link.value);
    Some(Link {
        shape: Shape::Device {
            port: Port {
                node: entry.node,
                interface: spec.name.value.clone(),
                mac,
                mtu: None,
                bridged: false,
            },
            carrier: Carrier::Node(below.cloned()),
            device,
        },
        mtu: spec.mtu.as_ref().map(|mtu| mtu.value),
        offload: true,
        impair: Impairments::default(),
    })
}
