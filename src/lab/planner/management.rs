//! The management network: a hub namespace with a bridge, a port on it for every node that wants one, and the one veth
//! that leads from the hub to the host.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::{LOOPBACK, Planner, base_sysctls};
use crate::impair::Impairments;
use crate::links::{Shape, bridge::Bridge};
use crate::model::{Lab, Mgmt, MgmtPort, Network, Node};
use crate::names::HUB_PORT;
use crate::plan::{
    BridgeStep, HopStep, HostStep, LinkStep, NamespaceStep, NatStep, Plan, PortStep, RouteStep,
    RouteStepAction, Uplink,
};
use crate::resolve::ipv6_off;

/// The nodes' interface.
const PORT: &str = "eth0";
/// That veth's IPv6 addresses are its IPv4 ones behind this unique local prefix (RFC 4193): with link-local ones alone the
/// host would have no address to speak to the nodes from.
const V6_PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd6e, 0x736c, 0x6162, 0, 0, 0, 0, 0);
/// The length of an IPv6 prefix that is shorter for IPv4 by this much.
const LONGER: u8 = 96;

/// The management addresses of each node's namespace owner, in the order of the nodes: those that the file fixes, and
/// for the others the lowest that are free.
pub(crate) fn addresses(mgmt: Option<&Mgmt>, nodes: &[Node]) -> Vec<Vec<IpNet>> {
    let Some(mgmt) = mgmt else {
        return vec![Vec::new(); nodes.len()];
    };
    let ports = || nodes.iter().filter_map(|node| node.mgmt.as_ref());
    let fixed = |address: fn(&MgmtPort) -> Option<IpAddr>| ports().filter_map(address);
    let mut taken: HashSet<IpAddr> = fixed(|port| port.ipv4.map(IpAddr::V4)).collect();
    taken.extend(fixed(|port| port.ipv6.map(IpAddr::V6)));
    taken.extend(gateways(mgmt).map(|gateway| gateway.addr()));
    let mut place = |net: Option<IpNet>, fixed: Option<IpAddr>| {
        let net = net?;
        let address = fixed.or_else(|| free(net, &taken))?;
        taken.insert(address);
        IpNet::new(address, net.prefix_len()).ok()
    };
    nodes
        .iter()
        .map(|node| {
            let Some(port) = &node.mgmt else {
                return Vec::new();
            };
            let v4 = place(mgmt.ipv4_subnet.map(IpNet::V4), port.ipv4.map(IpAddr::V4));
            // An address of the lab's giving is none where the node does without IPv6.
            let v6_subnet = mgmt
                .ipv6_subnet
                .filter(|_| ipv6_off(&node.sysctls, PORT).is_none());
            let v6 = place(v6_subnet.map(IpNet::V6), port.ipv6.map(IpAddr::V6));
            v4.into_iter().chain(v6).collect()
        })
        .collect()
}

/// The lowest address of a subnet for a machine that nobody has. (The file was refused if there are too few.)
fn free(net: IpNet, taken: &HashSet<IpAddr>) -> Option<IpAddr> {
    match net {
        IpNet::V4(net) => net
            .hosts()
            .map(IpAddr::V4)
            .find(|address| !taken.contains(address)),
        IpNet::V6(net) => {
            let first = net.network().to_bits();
            (1..=taken.len() as u128 + 1)
                .map(|offset| IpAddr::V6(Ipv6Addr::from_bits(first | offset)))
                .find(|address| !taken.contains(address))
        }
    }
}

/// Where the host listens for nodes' ports, and the management addresses that answer.
fn published(lab: &Lab, given: &[Vec<IpNet>], udp: bool) -> Vec<(SocketAddr, SocketAddr)> {
    let nodes = lab.nodes.iter().zip(given);
    nodes
        .flat_map(|(node, given)| {
            let address = given.first().map(IpNet::addr);
            node.ports
                .iter()
                .filter(move |it| it.udp == udp)
                .filter_map(move |it| Some((it.listen, SocketAddr::new(address?, it.port))))
        })
        .collect()
}

/// The gateway's addresses with their subnets' lengths.
fn gateways(mgmt: &Mgmt) -> impl Iterator<Item = IpNet> {
    let v4 = mgmt.ipv4_subnet.zip(mgmt.ipv4_gw);
    let v6 = mgmt.ipv6_subnet.zip(mgmt.ipv6_gw);
    let v4 = v4.and_then(|(net, gateway)| IpNet::new(gateway.into(), net.prefix_len()).ok());
    let v6 = v6.and_then(|(net, gateway)| IpNet::new(gateway.into(), net.prefix_len()).ok());
    v4.into_iter().chain(v6)
}

impl<'a> Planner<'a> {
    /// Adds hub and ports to the plan. To be called when all other links are there.
    pub(super) fn management(
        &mut self,
        mgmt: &Mgmt,
        uplink: Option<&Uplink>,
        given: &[Vec<IpNet>],
        plan: &mut Plan,
    ) {
        let lab: &'a Lab = self.lab;
        let hub = plan.namespaces.len();
        let bridge = self.index();
        let mut step = NamespaceStep {
            node: mgmt.network.clone(),
            sysctls: base_sysctls(true, false),
            bridge: Some(BridgeStep {
                name: mgmt.bridge.clone(),
                index: bridge,
                mac: self.macs.derive(&lab.name, &mgmt.network, &mgmt.bridge),
                ports: Vec::new(),
                options: Bridge::default(),
            }),
            up: vec![LOOPBACK, bridge],
            addresses: gateways(mgmt).map(|net| (bridge, net)).collect(),
            ..NamespaceStep::default()
        };
        if let Some(bridge) = &mut step.bridge {
            bridge.ports.extend(&self.hub_ports);
        }
        step.up.extend(&self.hub_ports);
        for (at, node) in lab.nodes.iter().enumerate() {
            if node.mgmt.is_none() || node.network != Network::Own {
                continue;
            }
            let (inner, outer) = (self.index(), self.index());
            let namespace = self.namespace_of[at];
            self.indexes[namespace].insert(PORT, inner);
            plan.namespaces[namespace].up.push(inner);
            step.up.push(outer);
            if let Some(bridge) = &mut step.bridge {
                bridge.ports.push(outer);
            }
            let port = format!("{HUB_PORT}{at}");
            plan.links.push(LinkStep {
                label: format!("{}:{PORT} -- {}", node.name, mgmt.network),
                mtu: mgmt.mtu,
                device: Shape::Veth(
                    PortStep {
                        namespace,
                        name: PORT.into(),
                        index: inner,
                        mac: Some(self.macs.derive(&lab.name, &node.name, PORT)),
                        mtu: None,
                    },
                    PortStep {
                        namespace: hub,
                        mac: Some(self.macs.derive(&lab.name, &mgmt.network, &port)),
                        mtu: None,
                        name: port,
                        index: outer,
                    },
                ),
                impair: Impairments::default(),
            });
            let there = &mut plan.namespaces[namespace];
            there.addresses.extend(given[at].iter().map(|net| (inner, *net)));
        }
        if let Some(uplink) = uplink {
            let mut host = self.uplink(mgmt, uplink, hub, &mut step, &mut plan.links);
            host.ports = published(lab, given, false);
            host.udp_ports = published(lab, given, true);
            plan.host = Some(host);
        }
        plan.namespaces.push(step);
    }

    /// A way from the hub to the host, and from the host to the subnets.
    fn uplink(
        &mut self,
        mgmt: &Mgmt,
        uplink: &Uplink,
        hub: usize,
        step: &mut NamespaceStep,
        links: &mut Vec<LinkStep>,
    ) -> HostStep {
        let index = self.index();
        let name = format!("{HUB_PORT}host");
        links.push(LinkStep {
            label: format!("{} -- host:{}", mgmt.network, uplink.interface),
            mtu: mgmt.mtu,
            device: Shape::Host {
                port: PortStep {
                    namespace: hub,
                    mac: Some(self.macs.derive(&self.lab.name, &mgmt.network, &name)),
                    mtu: None,
                    name: name.clone(),
                    index,
                },
                host_interface: uplink.interface.clone(),
            },
            impair: Impairments::default(),
        });
        step.up.push(index);
        let mut host = HostStep {
            interface: uplink.interface.clone(),
            addresses: Vec::new(),
            routes: Vec::new(),
            hub,
            nat: None,
            ports: Vec::new(),
            udp_ports: Vec::new(),
        };
        let mut sources = Vec::new();
        let mut ends = uplink.net.hosts();
        let (Some(outer), Some(inner)) = (ends.next(), ends.next()) else {
            return host;
        };
        let length = uplink.net.prefix_len();
        let mut join = |subnet: IpNet, outer: IpAddr, inner: IpAddr, length| {
            host.addresses.extend(IpNet::new(outer, length));
            host.routes.push((subnet, inner));
            step.addresses
                .extend(IpNet::new(inner, length).map(|net| (index, net)));
            step.routes.push(default_route(outer, Some(index)));
        };
        if let Some(subnet) = mgmt.ipv4_subnet {
            join(subnet.into(), outer.into(), inner.into(), length);
            sources.extend(mgmt.nat.then_some(IpAddr::V4(inner)));
        }
        if let Some(subnet) = mgmt.ipv6_subnet {
            join(subnet.into(), v6(outer), v6(inner), length + LONGER);
            sources.extend(mgmt.nat6.then_some(v6(inner)));
        }
        host.nat = (!sources.is_empty()).then(|| NatStep {
            hub_interface: name,
            sources,
            opened: Vec::new(),
            opened_v6: false,
        });
        host
    }

    /// The default routes of a node on the management network, of the families for which its file gives none. Where it gives one,
    /// the node still has a way to answer the host.
    pub(super) fn default_routes(
        &self,
        mgmt: &Mgmt,
        uplink: Option<&Uplink>,
        node: usize,
        routes: &mut Vec<RouteStep>,
    ) {
        let index = self.indexes[self.namespace_of[node]].get(PORT).copied();
        let owner = &self.lab.nodes[self.lab.owner(node)];
        let has_v6 = ipv6_off(&owner.sysctls, PORT).is_none();
        for gateway in gateways(mgmt).filter(|it| has_v6 || it.addr().is_ipv4()) {
            let default = default_route(gateway.addr(), index);
            let is_own = |route: &RouteStep| route.to == default.to && route.table.is_none();
            if !routes.iter().any(is_own) {
                routes.push(default);
            } else if let Some(uplink) = uplink {
                let (host, length) = (uplink.net.network(), uplink.net.prefix_len());
                let to = match gateway {
                    IpNet::V4(_) => IpNet::new(host.into(), length),
                    IpNet::V6(_) => IpNet::new(v6(host), length + LONGER),
                };
                routes.extend(to.map(|to| RouteStep { to, ..default }));
            }
        }
    }
}

fn v6(address: Ipv4Addr) -> IpAddr {
    Ipv6Addr::from_bits(V6_PREFIX.to_bits() | u128::from(address.to_bits())).into()
}

fn default_route(via: IpAddr, dev: Option<u32>) -> RouteStep {
    let to = if via.is_ipv4() {
        IpNet::new_assert([0; 4].into(), 0)
    } else {
        IpNet::new_assert([0; 16].into(), 0)
    };
    RouteStep {
        to,
        action: RouteStepAction::Forward(vec![HopStep {
            via: Some(via),
            dev,
            weight: 1,
        }]),
        metric: None,
        table: None,
    }
}
