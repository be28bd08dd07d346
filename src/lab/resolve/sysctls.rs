//! Sysctls of nodes. Those of a node in another's namespace are the other's.

use std::collections::BTreeMap;

use super::Scene;
use super::addresses::{Placed, interface_is_there};
use super::diagnostics::DiagnosticList;
use super::links::Links;
use crate::Diagnostic;
use crate::file::{Span, Spanned, sysctl_path};

/// For each node that owns a namespace, the sysctls set in it.
pub(super) fn resolve(
    scene: &Scene,
    links: &Links,
    diagnostics: &mut DiagnosticList,
) -> Vec<BTreeMap<String, String>> {
    let owners = 0..scene.nodes.len();
    owners
        .map(|owner| of_namespace(scene, links, owner, diagnostics))
        .collect()
}

fn of_namespace(
    scene: &Scene,
    links: &Links,
    owner: usize,
    diagnostics: &mut DiagnosticList,
) -> BTreeMap<String, String> {
    let mut sysctls: BTreeMap<String, String> = BTreeMap::new();
    let mut places: BTreeMap<&str, &Span> = BTreeMap::new();
    for &node in &scene.members[owner] {
        for (name, value) in &scene.nodes[node].sysctls {
            check(scene, links, node, name, &value.span, diagnostics);
            let first = places.insert(name, &value.span);
            let before = sysctls.insert(name.clone(), value.value.clone());
            if let (Some(first), true) = (first, before.is_some_and(|before| before != value.value)) {
                let message = format!(
                    "`{name}` is set to different values in nodes that share the network of `{}`",
                    scene.name(owner)
                );
                diagnostics.add_for(
                    node,
                    Diagnostic::new(message, value.span.clone(), "again here")
                        .and(first.clone(), "first here")
                        .help("a sysctl has one value in a network: remove one of the two"),
                );
            }
        }
    }
    sysctls
}

/// A sysctl that names an interface names one that is there.
fn check(
    scene: &Scene,
    links: &Links,
    node: usize,
    name: &str,
    span: &Span,
    diagnostics: &mut DiagnosticList,
) {
    let path = sysctl_path(name);
    if let Some(interface) = interface(&path) {
        let interface = Spanned::new(interface.to_owned(), span.clone());
        interface_is_there(scene, links, node, &interface, diagnostics);
    }
}

/// The sysctl of a namespace's that turns IPv6 off on one of its interfaces, if one does.
pub fn ipv6_off(sysctls: &BTreeMap<String, String>, interface: &str) -> Option<String> {
    let value = |of: &str| {
        let path = format!("net/ipv6/conf/{of}/disable_ipv6");
        sysctls.iter().find(|(name, _)| sysctl_path(name) == path)
    };
    // `all` concerns the interfaces there are, and the default of later ones; `lo` is there from the start.
    let default = (interface != "lo").then(|| value("default")).flatten();
    let (name, value) = value(interface).or(default).or_else(|| value("all"))?;
    (value.trim() != "0").then(|| name.clone())
}

/// Tells IPv6 addresses of interfaces on which IPv6 is off: the kernel takes none there.
pub(super) fn fit(
    scene: &Scene,
    sysctls: &[BTreeMap<String, String>],
    addresses: &[Vec<Placed>],
    diagnostics: &mut DiagnosticList,
) {
    for (owner, placed) in addresses.iter().enumerate() {
        let placed = placed.iter().filter(|it| it.address.net.addr().is_ipv6());
        let placed = placed.map(|it| (it.address.interface.as_str(), &it.span));
        let port = scene.nodes[owner]
            .mgmt
            .as_ref()
            .and_then(|port| port.ipv6.as_ref());
        for (interface, span) in placed.chain(port.map(|address| ("eth0", &address.span))) {
            let Some(name) = ipv6_off(&sysctls[owner], interface) else {
                continue;
            };
            let message = format!(
                "IPv6 is off on `{interface}` of `{}`, so it takes no IPv6 address",
                scene.name(owner)
            );
            let mut diagnostic = Diagnostic::new(message, span.clone(), "an IPv6 address")
                .help(format!("remove the address, or the sysctl `{name}`"));
            let members = scene.members[owner].iter();
            let set = members.filter_map(|&member| scene.nodes[member].sysctls.get(&name));
            for value in set.take(1) {
                diagnostic = diagnostic.and(value.span.clone(), "turned off here");
            }
            diagnostics.add_for(owner, diagnostic);
        }
    }
}

/// The interface that a path below /proc/sys is about, if it is about one.
pub fn interface(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    let (net, family, group, interface) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let per_interface =
        net == "net" && matches!(family, "ipv4" | "ipv6" | "mpls") && matches!(group, "conf" | "neigh");
    (per_interface && !matches!(interface, "all" | "default")).then_some(interface)
}
