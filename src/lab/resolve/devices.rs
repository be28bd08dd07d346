//! The ends of links that are not in a node: interfaces of the host, and tunnels.

use super::Scene;
use super::diagnostics::DiagnosticList;
use super::links::Links;
use crate::Diagnostic;
use crate::file::{EndpointSpec, LinkSpec, Span, Spanned};
use crate::links::vxlan::Vxlan;
use crate::links::{Carrier, Device};
use crate::model::{Port, Underlay};

/// The name of the host's end of a link to the host.
pub(super) fn host_end(
    spec: &LinkSpec,
    outside: &[&EndpointSpec],
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) -> Option<String> {
    let name = match (outside.first(), &spec.host_interface) {
        (Some(end), Some(named)) => {
            let message = "the host's end is named twice";
            let diagnostic = Diagnostic::new(message, named.span.clone(), "again here")
                .and(end.span.clone(), "first here")
                .help("remove `host_interface`, or the endpoint that begins with `host:`");
            diagnostics.add(diagnostic);
            return None;
        }
        (Some(end), None) => {
            if let Some(span) = configured(end) {
                let message = "nslab leaves addresses of the host alone";
                let help = "remove it here; set it on the host once the lab is up";
                diagnostics.add(Diagnostic::new(message, span, "").help(help));
            }
            end.interface.clone()
        }
        (None, Some(named)) => named.clone(),
        (None, None) => {
            let message = "a link to the host does not say what its end on the host is called";
            let help = "add `host_interface = \"lab0\"`, or an endpoint `\"host:lab0\"`";
            diagnostics.add(Diagnostic::new(message, spec.span.clone(), "").help(help));
            return None;
        }
    };
    if not_loopback(&name, diagnostics) {
        if let Some(first) = links.on_host.get(&name.value) {
            let message = format!("interface `{}` of the host is made twice", name.value);
            let diagnostic = Diagnostic::new(message, name.span, "again here")
                .and(first.clone(), "first here")
                .help("give one of them another name");
            diagnostics.add(diagnostic);
            return None;
        }
        links.on_host.insert(name.value.clone(), name.span);
        return Some(name.value);
    }
    None
}

/// Where an end says more than its name.
fn configured(end: &EndpointSpec) -> Option<Span> {
    let mac = end.mac.as_ref().map(|mac| mac.span.clone());
    let ipv4 = end.ipv4.as_ref().map(|net| net.span.clone());
    mac.or(ipv4).or(end.ipv6.as_ref().map(|net| net.span.clone()))
}

/// The host's interface below a macvlan.
fn parent(spec: &LinkSpec, diagnostics: &mut DiagnosticList) -> Option<String> {
    let Some(name) = &spec.host_interface else {
        let message = "a link of type macvlan does not say which interface of the host it sits on";
        let help = "add `host_interface = \"eth0\"`, with the name of an interface of the host";
        diagnostics.add(Diagnostic::new(message, spec.span.clone(), "").help(help));
        return None;
    };
    not_loopback(name, diagnostics).then(|| name.value.clone())
}

fn not_loopback(name: &Spanned<String>, diagnostics: &mut DiagnosticList) -> bool {
    if name.value != "lo" {
        return true;
    }
    let message = "`lo` is the host's loopback interface, which cannot be linked";
    diagnostics.add(Diagnostic::new(message, name.span.clone(), "").help("name another interface"));
    false
}

/// What carries the device of a link.
pub(super) fn carrier(
    scene: &Scene,
    spec: &LinkSpec,
    port: Option<&Port>,
    links: &mut Links,
    diagnostics: &mut DiagnosticList,
) -> Option<Carrier<String>> {
    match spec.device.as_ref()? {
        Device::Macvlan(_) => parent(spec, diagnostics).map(|below| Carrier::Host(Some(below))),
        Device::Vxlan(vxlan) => {
            if vxlan.remote.is_none() {
                let message = "a link of type vxlan has no `remote`";
                let help = "add `remote = \"192.0.2.1\"`";
                diagnostics.add(Diagnostic::new(message, spec.span.clone(), "").help(help));
            }
            let underlay = spec.underlay.as_ref().map_or(Underlay::Host, |it| it.value);
            let own = (underlay == Underlay::Node).then(|| port.map(|port| scene.owners[port.node]));
            let span = spec.given.iter().find(|(key, _)| *key == "vni");
            let span = span.map_or(spec.span.clone(), |(_, span)| span.clone());
            port?;
            tunnel(links, own.flatten(), vxlan, span, diagnostics);
            Some(match underlay {
                Underlay::Host => Carrier::Host(None),
                Underlay::Node => Carrier::Node(None),
            })
        }
        _ => Some(Carrier::Node(None)),
    }
}

/// Two tunnels in one network differ. `network` is the owner of the one that carries it, or none for the host's.
pub(super) fn tunnel(
    links: &mut Links,
    network: Option<usize>,
    vxlan: &Vxlan,
    span: Span,
    diagnostics: &mut DiagnosticList,
) {
    let (vni, udp_port) = (vxlan.vni, vxlan.udp_port);
    let Some(first) = links.tunnels.insert((network, vni, udp_port), span.clone()) else {
        return;
    };
    let message = format!("two tunnels have the vni {vni} and the UDP port {udp_port} in one network");
    let help = "give one of them another `vni` or `udp_port`: the kernel could not tell their packets apart";
    let diagnostic = Diagnostic::new(message, span, "again here").and(first, "first here");
    diagnostics.add(diagnostic.help(help));
}
