//! Pods, as Cilium joins them to their node: `cilium_host` has the address that is their gateway, and each pod is at the end of
//! a link of its own.
//!
//! A pod is a node like others from here on, joined by a link like others.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::diagnostics::DiagnosticList;
use super::kubernetes;
use crate::Diagnostic;
use crate::file::{
    AddressesSpec, EndpointSpec, LinkSpec, NextHopSpec, NodeSpec, PodSpec, RouteActionSpec, RouteSpec,
    Routing, Span, Spanned, Spec,
};
use crate::model::Kind;
use crate::pod_cidr::machine;

const HOST_SIDE: &str = "cilium_host";
/// Its other end, which leads nowhere: there Cilium's programs take packets up, which nobody here does.
const NET_SIDE: &str = "cilium_net";
/// How the ends of pods' links begin.
const POD_SIDE: &str = "lxc";
const IN_POD: &str = "eth0";

/// Whether an interface of a Kubernetes node is there for its pods.
pub(super) fn is_inward(interface: &str) -> bool {
    let number = interface.strip_prefix(POD_SIDE);
    interface == HOST_SIDE
        || number.is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
}

/// The file with all its pods written out, and the pods' networks of the Kubernetes nodes, in their order.
pub(super) fn expand(
    spec: &Spec,
    nodes: &mut Vec<NodeSpec>,
    diagnostics: &mut DiagnosticList,
) -> (Spec, Vec<Vec<IpNet>>) {
    let mut whole = spec.clone();
    let is_member = |node: &NodeSpec| node.kind.as_ref().is_some_and(|it| it.value == Kind::K8s);
    let members: Vec<usize> = (0..nodes.len()).filter(|at| is_member(&nodes[*at])).collect();
    for (at, node) in nodes.iter().enumerate() {
        if let Some(pods) = node
            .pods
            .as_ref()
            .filter(|pods| !is_member(node) && !pods.is_empty())
        {
            let message = format!(
                "node `{}` is no Kubernetes node, and has `pods`",
                spec.nodes[at].0.value
            );
            let help = "make it one (`kind = \"k8s\"`), or remove `pods`";
            diagnostics.add_for(at, Diagnostic::new(message, pods.span.clone(), "").help(help));
        }
    }
    let networks = match members.is_empty() {
        true => Vec::new(),
        false => kubernetes::networks(spec, members.len(), diagnostics),
    };
    for (at, networks) in members.into_iter().zip(&networks) {
        // One that lives in another's network is not joined to pods.
        if nodes[at].network.is_none() {
            node(at, networks, &mut whole, nodes, diagnostics);
        }
    }
    (whole, networks)
}

/// What a Kubernetes node has for its pods.
fn node(
    at: usize,
    networks: &[IpNet],
    whole: &mut Spec,
    nodes: &mut Vec<NodeSpec>,
    diagnostics: &mut DiagnosticList,
) {
    let name = whole.nodes[at].0.clone();
    let span = nodes[at]
        .pods
        .as_ref()
        .map_or(name.span.clone(), |pods| pods.span.clone());
    let networks: Vec<IpNet> = networks.iter().filter(|net| is_on(whole, net)).copied().collect();
    let gateways: Vec<IpNet> = networks.iter().filter_map(|net| machine(net, 1)).collect();
    let ends = [
        end(&name.value, HOST_SIDE, &gateways, &span),
        end(&name.value, NET_SIDE, &[], &span),
    ];
    whole.links.push(link(ends, &span));
    let spec = &mut nodes[at];
    for family in ["ipv4", "ipv6"] {
        // Else what is for a pod that is not there would go round and round.
        let sysctl = format!("net.{family}.conf.{NET_SIDE}.forwarding");
        spec.sysctls
            .entry(sysctl)
            .or_insert(Spanned::new("0".to_owned(), span.clone()));
    }
    let routes = spec.routes.get_or_insert_default();
    routes.extend(
        networks
            .iter()
            .map(|net| route(Some(*net), None, HOST_SIDE, &span)),
    );
    let pods = spec
        .pods
        .as_ref()
        .map(|pods| pods.value.clone())
        .unwrap_or_default();
    let tunnel = whole.cilium.as_ref().and_then(|cilium| cilium.routing.as_ref());
    if let Some(routing) = tunnel.filter(|routing| routing.value == Routing::Tunnel && !pods.is_empty()) {
        let message = "pods are not reached through tunnels between nodes here";
        let help = "say `routing = \"native\"`, and let BGP or static routes lead to the pods' networks";
        diagnostics.add(Diagnostic::new(message, routing.span.clone(), "").help(help));
    }
    for (number, pod) in pods.into_iter().enumerate() {
        let places: Vec<IpNet> = networks
            .iter()
            .filter_map(|net| machine(net, number as u128 + 2))
            .collect();
        if places.len() < networks.len() {
            let message = format!(
                "there is no address left for pod `{}` of node `{}`",
                pod.name.value, name.value
            );
            let help =
                "cut larger networks (`node_mask_v4`, `node_mask_v6` in `[kubernetes]`), or have fewer pods";
            return diagnostics.add_for(at, Diagnostic::new(message, pod.name.span.clone(), "").help(help));
        }
        let interface = format!("{POD_SIDE}{number}");
        let routes = nodes[at].routes.get_or_insert_default();
        routes.extend(
            places
                .iter()
                .map(|place| route(Some(*place), None, &interface, &span)),
        );
        let full = Spanned::new(
            format!("{}/{}", name.value, pod.name.value),
            pod.name.span.clone(),
        );
        if whole.nodes.iter().any(|(other, _)| other.value == full.value) {
            let message = format!(
                "two pods of node `{}` are called `{}`",
                name.value, pod.name.value
            );
            diagnostics.add_for(
                at,
                Diagnostic::new(message, full.span.clone(), "").help("give one of them another name"),
            );
            continue;
        }
        // ARP is answered for any address of the node's, but neighbor discovery for those of the interface only.
        let answers: Vec<IpNet> = gateways
            .iter()
            .filter(|net| net.addr().is_ipv6())
            .copied()
            .collect();
        let ends = [
            end(&name.value, &interface, &answers, &span),
            end(&full.value, IN_POD, &[], &span),
        ];
        whole.links.push(link(ends, &span));
        let pod = inside(pod, &places, &gateways, &span);
        whole.nodes.push((full, pod.clone()));
        nodes.push(pod);
    }
}

/// A pod as a node: all it sends goes to its node.
fn inside(pod: PodSpec, places: &[IpNet], gateways: &[IpNet], span: &Span) -> NodeSpec {
    let mut node = pod.node;
    node.kind = Some(Spanned::new(Kind::Pod, span.clone()));
    node.addresses = vec![AddressesSpec {
        interface: Spanned::new(IN_POD.to_owned(), span.clone()),
        nets: places
            .iter()
            .map(|net| Spanned::new(*net, span.clone()))
            .collect(),
    }];
    let on_link = gateways.iter().map(|net| route(Some(*net), None, IN_POD, span));
    let default = gateways
        .iter()
        .map(|net| route(None, Some(net.addr()), IN_POD, span));
    node.routes = Some(on_link.chain(default).collect());
    node
}

/// Whether pods have addresses of this family.
fn is_on(spec: &Spec, net: &IpNet) -> bool {
    let cilium = spec.cilium.as_ref();
    let said = match net {
        IpNet::V4(_) => cilium.and_then(|it| it.ipv4.as_ref()),
        IpNet::V6(_) => cilium.and_then(|it| it.ipv6.as_ref()),
    };
    said.is_none_or(|it| it.value)
}

fn end(node: &str, interface: &str, nets: &[IpNet], span: &Span) -> EndpointSpec {
    let v4 = nets.iter().find_map(|net| match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    });
    let v6 = nets.iter().find_map(|net| match net {
        IpNet::V6(net) => Some(*net),
        IpNet::V4(_) => None,
    });
    EndpointSpec {
        span: span.clone(),
        node: Spanned::new(node.to_owned(), span.clone()),
        interface: Spanned::new(interface.to_owned(), span.clone()),
        mac: None,
        ipv4: v4.map(|net: Ipv4Net| Spanned::new(net, span.clone())),
        ipv6: v6.map(|net: Ipv6Net| Spanned::new(net, span.clone())),
    }
}

fn link(ends: [EndpointSpec; 2], span: &Span) -> LinkSpec {
    LinkSpec {
        endpoints: ends.into(),
        ..LinkSpec::new(span.clone())
    }
}

fn route(to: Option<IpNet>, via: Option<IpAddr>, dev: &str, span: &Span) -> Spanned<RouteSpec> {
    let hop = NextHopSpec {
        via: via.map(|via| Spanned::new(via, span.clone())),
        dev: Some(Spanned::new(dev.to_owned(), span.clone())),
        weight: 1,
    };
    let route = RouteSpec {
        to: Spanned::new(to, span.clone()),
        action: RouteActionSpec::Forward(vec![hop]),
        metric: None,
        table: None,
        vrf: None,
    };
    Spanned::new(route, span.clone())
}
