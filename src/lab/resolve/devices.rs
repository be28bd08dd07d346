//! The ends of links that are not in a node: interfaces of the host, and tunnels.

use std::net::IpAddr;

use super::Scene;
use super::links::Links;
use super::mistakes::Mistakes;
use crate::lab::Diagnostic;
use crate::lab::model::{LinkShape, Port, Underlay};
use crate::lab::spec::{EndpointSpec, LinkSpec, Span, Spanned};

const VXLAN_PORT: u16 = 4789;

/// The name of the host's end of a link to the host.
pub(super) fn host_end(
    spec: &LinkSpec,
    outside: &[&EndpointSpec],
    links: &mut Links,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let name = match (outside.first(), &spec.host_interface) {
        (Some(end), Some(named)) => {
            let message = "the host's end is named twice";
            let diagnostic = Diagnostic::new(message, named.span.clone(), "again here")
                .and(end.span.clone(), "first here")
                .help("remove `host_interface`, or the endpoint that begins with `host:`");
            mistakes.add(diagnostic);
            return None;
        }
        (Some(end), None) => {
            if let Some(span) = configured(end) {
                let message = "nslab leaves addresses of the host alone";
                let help = "remove it here; set it on the host once the lab is up";
                mistakes.add(Diagnostic::new(message, span, "").help(help));
            }
            end.interface.clone()
        }
        (None, Some(named)) => named.clone(),
        (None, None) => {
            let message = "a link to the host does not say what its end on the host is called";
            let help = "add `host_interface = \"lab0\"`, or an endpoint `\"host:lab0\"`";
            mistakes.add(Diagnostic::new(message, spec.span.clone(), "").help(help));
            return None;
        }
    };
    if not_loopback(&name, mistakes) {
        if let Some(first) = links.on_host.get(&name.value) {
            let message = format!("interface `{}` of the host is made twice", name.value);
            let diagnostic = Diagnostic::new(message, name.span, "again here")
                .and(first.clone(), "first here")
                .help("give one of them another name");
            mistakes.add(diagnostic);
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
pub(super) fn parent(spec: &LinkSpec, mistakes: &mut Mistakes) -> Option<String> {
    let Some(name) = &spec.host_interface else {
        let message = "a link of type macvlan does not say which interface of the host it sits on";
        let help = "add `host_interface = \"eth0\"`, with the name of an interface of the host";
        mistakes.add(Diagnostic::new(message, spec.span.clone(), "").help(help));
        return None;
    };
    not_loopback(name, mistakes).then(|| name.value.clone())
}

fn not_loopback(name: &Spanned<String>, mistakes: &mut Mistakes) -> bool {
    if name.value != "lo" {
        return true;
    }
    let message = "`lo` is the host's loopback interface, which cannot be linked";
    mistakes.add(Diagnostic::new(message, name.span.clone(), "").help("name another interface"));
    false
}

/// A tunnel end.
pub(super) fn vxlan(
    scene: &Scene,
    spec: &LinkSpec,
    port: Option<Port>,
    links: &mut Links,
    mistakes: &mut Mistakes,
) -> Option<LinkShape> {
    for (key, present, example) in [
        ("vni", spec.vni.is_some(), "vni = 100"),
        ("remote", spec.remote.is_some(), "remote = \"192.0.2.1\""),
    ] {
        if !present {
            let message = format!("a link of type vxlan has no `{key}`");
            mistakes.add(Diagnostic::new(message, spec.span.clone(), "").help(format!("add `{example}`")));
        }
    }
    let (vni, remote) = (spec.vni.as_ref()?, spec.remote.as_ref()?);
    tunnel_ends(remote, spec.local.as_ref(), mistakes);
    let udp_port = spec.udp_port.as_ref().map_or(VXLAN_PORT, |port| port.value);
    let underlay = spec
        .underlay
        .as_ref()
        .map_or(Underlay::Host, |underlay| underlay.value);
    let port = port?;
    let carrier = (underlay == Underlay::Node).then(|| scene.owners[port.node]);
    if let Some(first) = links
        .tunnels
        .insert((carrier, vni.value, udp_port), vni.span.clone())
    {
        let message = format!(
            "two tunnels have the vni {} and the UDP port {udp_port} in one network",
            vni.value
        );
        let help =
            "give one of them another `vni` or `udp_port`: the kernel could not tell their packets apart";
        mistakes.add(
            Diagnostic::new(message, vni.span.clone(), "again here")
                .and(first, "first here")
                .help(help),
        );
    }
    Some(LinkShape::Vxlan {
        port,
        vni: vni.value,
        remote: remote.value,
        local: spec.local.as_ref().map(|local| local.value),
        udp_port,
        underlay,
    })
}

/// Addresses a tunnel can be between.
fn tunnel_ends(remote: &Spanned<IpAddr>, local: Option<&Spanned<IpAddr>>, mistakes: &mut Mistakes) {
    for end in std::iter::once(remote).chain(local) {
        if end.value.is_unspecified() {
            let message = format!("a tunnel has no end at {}", end.value);
            mistakes
                .add(Diagnostic::new(message, end.span.clone(), "").help("write the address of a machine"));
        }
    }
    let Some(local) = local else { return };
    if local.value.is_ipv4() != remote.value.is_ipv4() {
        let message = "the ends of a tunnel are of one family, IPv4 or IPv6";
        mistakes.add(
            Diagnostic::new(message, local.span.clone(), "")
                .and(remote.span.clone(), "")
                .help("write both addresses in the same family"),
        );
    } else if local.value == remote.value {
        let message = format!("both ends of the tunnel are {}", local.value);
        mistakes.add(
            Diagnostic::new(message, local.span.clone(), "")
                .and(remote.span.clone(), "")
                .help("`remote` is the other machine's address, `local` this one's"),
        );
    }
    if local.value.is_multicast() {
        let message = format!(
            "packets cannot be sent from the multicast address {}",
            local.value
        );
        let help = "a multicast group is a `remote`; `local` is this end's own address";
        mistakes.add(Diagnostic::new(message, local.span.clone(), "").help(help));
    }
}
