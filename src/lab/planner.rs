//! From the lab to the plan: every index, path and text decided.

mod cluster_dns;
pub use cluster_dns::DOMAIN;
mod image;
mod inside;
mod limits;
pub(super) mod management;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

pub use image::IMAGES_PROGRAM;

use super::engines::Engine;
use super::links::{Carrier, Shape};
use super::model::{
    Exec, Kind, KubernetesNode, Lab, Link, LinkShape, Network, NextHop, Node, Port, Process, Route,
    RouteAction,
};
use super::names::{self, HUB_PORT, Macs};
use super::plan::{
    BridgeStep, Facts, HopStep, LateStep, LinkStep, NamespaceStep, NodeStep, Plan, PortStep, RouteStep,
    RouteStepAction,
};
use super::rights::{Rights, RightsStep, SYS_ADMIN, first_id};

/// Indexes of devices whose making begins on the host start here. Kernels before Linux 6.14 refuse an index that an
/// interface of the host has, though the device is not made there; no host has so many.
const FAR: u32 = 1_000_000_000;
/// The loopback interface has this index in every namespace.
const LOOPBACK: u32 = 1;
/// Interfaces' indexes begin here. Modules of tunnels put interfaces of their own into every namespace that is made (sit0, tunl0,
/// gre0 and more), which have the first indexes after the loopback's.
const FIRST: u32 = 101;
/// The name of the bridge of a node of kind bridge.
pub const BRIDGE: &str = "br0";

/// Makes the plan of a lab on a host of which these facts are known.
pub fn plan(lab: &Lab, facts: &Facts) -> Plan {
    let managed = management::addresses(lab.mgmt.as_ref(), &lab.nodes);
    let mut planner = Planner::new(lab);
    let mut plan = Plan {
        lab: lab.name.clone(),
        namespaces: planner.namespaces(),
        links: Vec::new(),
        nodes: Vec::new(),
        hosts: hosts(lab, &managed),
        host: None,
        resolv_conf: resolv_conf(lab, facts),
        checks: lab.checks.clone(),
        flows: lab.flows.clone(),
        manifests: lab.manifests.clone(),
        leases: Vec::new(),
        hidden: Vec::new(),
        service_subnets: lab.cluster.service_subnets(),
    };
    // What is on top of others comes when those are there, the management network's among them.
    let (above, wires): (Vec<&Link>, Vec<&Link>) = lab.links.iter().partition(|link| is_above(link));
    plan.links = wires
        .into_iter()
        .map(|link| planner.link(link, &mut plan.namespaces))
        .collect();
    if let Some(mgmt) = &lab.mgmt {
        planner.management(mgmt, facts.uplink.as_ref(), &managed, &mut plan);
    }
    for link in above {
        let step = planner.link(link, &mut plan.namespaces);
        plan.links.push(step);
    }
    for (at, node) in lab.nodes.iter().enumerate() {
        let namespace = planner.namespace_of[at];
        if node.network == Network::Own {
            planner.configure(namespace, node, &mut plan.namespaces[namespace]);
            if let (Some(mgmt), Some(_)) = (&lab.mgmt, &node.mgmt) {
                planner.default_routes(
                    mgmt,
                    facts.uplink.as_ref(),
                    at,
                    &mut plan.namespaces[namespace].routes,
                );
            }
        }
        let namespace = (node.network != Network::Host).then_some(namespace);
        let mut step = node_step(node, namespace, facts);
        if let Some(kubernetes) = &mut step.kubernetes {
            known_by(kubernetes, &managed[lab.owner(at)]);
        }
        if node.rights.user_namespace && !step.rights.privileged {
            step.rights.first_id = first_id(at);
            plan.namespaces[planner.namespace_of[at]].first_id = step.rights.first_id;
        }
        if let Some(own) = namespace {
            plan.namespaces[own].in_lab |= step.rights.in_lab;
        }
        plan.nodes.push(step);
    }
    cluster_dns::plan(lab, &mut plan);
    plan
}

/// Whether a link is a device in its node's own network.
fn is_above(link: &Link) -> bool {
    let is_own = |carrier: &Carrier<String>| matches!(carrier, Carrier::Node(_));
    matches!(&link.shape, Shape::Device { carrier, .. } if is_own(carrier))
}

/// The management addresses of each node, in the order of the nodes.
pub fn management_addresses(lab: &Lab) -> Vec<Vec<IpNet>> {
    management::addresses(lab.mgmt.as_ref(), &lab.nodes)
}

/// What is counted and looked up while the plan grows.
struct Planner<'a> {
    lab: &'a Lab,
    /// The next interface index. They are unique in the lab, so the two ends of a pair always differ.
    next_index: u32,
    /// Namespaces by node.
    namespace_of: Vec<usize>,
    /// Interface indexes by namespace and name.
    indexes: Vec<HashMap<&'a str, u32>>,
    macs: Macs,
    /// Ports of the management network's bridge that links lead to.
    hub_ports: Vec<u32>,
}

impl<'a> Planner<'a> {
    fn new(lab: &'a Lab) -> Self {
        let mut macs = Macs::default();
        for port in lab.links.iter().flat_map(Link::ports) {
            port.mac.into_iter().for_each(|mac| macs.take(mac));
        }
        Planner {
            lab,
            next_index: FIRST,
            namespace_of: Vec::new(),
            indexes: Vec::new(),
            macs,
            hub_ports: Vec::new(),
        }
    }

    /// The namespaces in the order of their owners, with bridges but without ports.
    fn namespaces(&mut self) -> Vec<NamespaceStep> {
        let owners = self.lab.nodes.iter().filter(|node| node.network == Network::Own);
        let steps: Vec<_> = owners.map(|node| self.namespace(node)).collect();
        let mut own = 0;
        let mut of_owner = vec![0; self.lab.nodes.len()];
        for (at, node) in self.lab.nodes.iter().enumerate() {
            of_owner[at] = own;
            own += usize::from(node.network == Network::Own);
        }
        let nodes = 0..self.lab.nodes.len();
        self.namespace_of = nodes.map(|at| of_owner[self.lab.owner(at)]).collect();
        self.forwarding(steps)
    }

    fn namespace(&mut self, node: &'a Node) -> NamespaceStep {
        let mut indexes = HashMap::from([("lo", LOOPBACK)]);
        let mut up = vec![LOOPBACK];
        let bridge = (node.kind == Kind::Bridge).then(|| {
            let index = self.index();
            indexes.insert(BRIDGE, index);
            up.push(index);
            BridgeStep {
                name: BRIDGE.into(),
                index,
                mac: self.macs.derive(&self.lab.name, &node.name, BRIDGE),
                ports: Vec::new(),
                options: node.bridge.clone().unwrap_or_default(),
            }
        });
        self.indexes.push(indexes);
        // Where there are no pods and will be none, nothing needs nf_tables.
        let has_pods = || node.engine.is_kubernetes() || self.lab.pods_of(node).next().is_some();
        let kubernetes = node.kubernetes.iter().filter(|_| has_pods());
        NamespaceStep {
            node: node.name.clone(),
            sysctls: Vec::new(),
            bridge,
            up,
            no_offload: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
            settings: Vec::new(),
            late: LateStep::default(),
            late_sysctls: Vec::new(),
            masquerade: kubernetes.flat_map(|it| &it.masquerade).copied().collect(),
            masquerade_by: Vec::new(),
            sandbox: None,
            first_id: None,
            in_lab: false,
        }
    }

    /// The sysctls of namespaces: which ones forward depends on all nodes that live in them.
    fn forwarding(&self, mut steps: Vec<NamespaceStep>) -> Vec<NamespaceStep> {
        let mut forwards = vec![false; steps.len()];
        let mut dad = vec![false; steps.len()];
        let mut of_image = vec![false; steps.len()];
        for (at, node) in self.lab.nodes.iter().enumerate() {
            if node.network == Network::Host {
                continue;
            }
            let namespace = self.namespace_of[at];
            steps[namespace]
                .masquerade_by
                .extend(node.masquerade.iter().cloned());
            forwards[namespace] |= matches!(node.kind, Kind::Router | Kind::K8s);
            dad[namespace] |= node.dad;
            of_image[namespace] |= node.image.is_some();
        }
        for (at, step) in steps.iter_mut().enumerate() {
            step.sysctls = base_sysctls(forwards[at], dad[at]);
            if of_image[at] {
                step.sysctls.extend(image::sysctls());
            }
        }
        steps
    }

    fn index(&mut self) -> u32 {
        let index = self.next_index;
        self.next_index += 1;
        index
    }

    fn link(&mut self, link: &'a Link, namespaces: &mut [NamespaceStep]) -> LinkStep {
        let is_far = matches!(
            &link.shape,
            Shape::Device {
                carrier: Carrier::Host(_),
                ..
            }
        );
        let base = if is_far { FAR } else { 0 };
        let mut port = |port: &'a Port| self.port(port, base, link.offload, namespaces);
        let device = match &link.shape {
            Shape::Veth(a, b) => Shape::Veth(port(a), port(b)),
            Shape::Host {
                port: end,
                host_interface,
            } => Shape::Host {
                port: port(end),
                host_interface: host_interface.clone(),
            },
            Shape::Mgmt(end) => {
                let inner = port(end);
                Shape::Veth(inner, self.hub_port(end, namespaces.len()))
            }
            Shape::Device {
                port: end,
                carrier,
                device,
            } => {
                let port = port(end);
                let carrier = match carrier {
                    Carrier::Host(below) => Carrier::Host(below.clone()),
                    Carrier::Node(below) => {
                        let indexes = &self.indexes[port.namespace];
                        let below = below.as_ref().and_then(|name| indexes.get(name.as_str()));
                        Carrier::Node(below.copied())
                    }
                };
                let device = device.clone();
                Shape::Device {
                    port,
                    carrier,
                    device,
                }
            }
        };
        LinkStep {
            label: self.label(&link.shape),
            mtu: link.mtu,
            device,
            impair: link.impair.clone(),
        }
    }

    /// The end of a link at the management network's bridge, in the namespace that the hub will have.
    fn hub_port(&mut self, port: &Port, hub: usize) -> PortStep {
        let index = self.index();
        self.hub_ports.push(index);
        let name = format!("{HUB_PORT}l{}", self.hub_ports.len());
        let whose = format!("{}:{}", self.lab.nodes[port.node].name, port.interface);
        PortStep {
            namespace: hub,
            mac: Some(self.macs.derive(&self.lab.name, &whose, &name)),
            name,
            index,
            mtu: None,
        }
    }

    /// One end of a link, which is noted in its namespace.
    fn port(
        &mut self,
        port: &'a Port,
        base: u32,
        offload: bool,
        namespaces: &mut [NamespaceStep],
    ) -> PortStep {
        let namespace = self.namespace_of[port.node];
        let index = base + self.index();
        self.indexes[namespace].insert(&port.interface, index);
        let step = &mut namespaces[namespace];
        step.up.push(index);
        if !offload {
            step.no_offload.push(port.interface.clone());
        }
        if port.bridged
            && let Some(bridge) = &mut step.bridge
        {
            bridge.ports.push(index);
        }
        PortStep {
            namespace,
            name: port.interface.clone(),
            index,
            mac: port.mac,
            mtu: port.mtu,
        }
    }

    /// `router0:net0 -- tor0:net0`.
    fn label(&self, shape: &LinkShape) -> String {
        let end = |port: &Port| format!("{}:{}", self.lab.nodes[port.node].name, port.interface);
        match shape {
            Shape::Veth(a, b) => format!("{} -- {}", end(a), end(b)),
            Shape::Host { port, host_interface } => format!("{} -- host:{host_interface}", end(port)),
            Shape::Mgmt(port) => format!("{} -- management network", end(port)),
            Shape::Device {
                port,
                carrier,
                device,
            } => {
                let (end, what) = (end(port), device.label());
                match carrier {
                    Carrier::Host(Some(below)) => format!("{end} -- {what} on host:{below}"),
                    Carrier::Host(None) => format!("{end} -- {what}"),
                    Carrier::Node(Some(below)) => format!("{end} ({what} on {below})"),
                    Carrier::Node(None) => format!("{end} ({what})"),
                }
            }
        }
    }
}

/// What every namespace is set to, because the kernel copies some of it from the host.
fn base_sysctls(forwards: bool, dad: bool) -> Vec<(String, String)> {
    let forward = if forwards { "1" } else { "0" };
    let mut sysctls = vec![
        // First: writing it resets others.
        ("net/ipv4/ip_forward", forward),
        ("net/ipv6/conf/all/forwarding", forward),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/arp_ignore", "0"),
        ("net/ipv4/conf/default/arp_ignore", "0"),
    ];
    if !dad {
        sysctls.push(("net/ipv6/conf/all/accept_dad", "0"));
        sysctls.push(("net/ipv6/conf/default/accept_dad", "0"));
    }
    let owned = |(path, value): (&str, &str)| (path.to_owned(), value.to_owned());
    sysctls.into_iter().map(owned).collect()
}

fn route_step(route: &Route, indexes: &HashMap<&str, u32>) -> RouteStep {
    let hop = |hop: &NextHop| HopStep {
        via: hop.via,
        dev: hop
            .dev
            .as_ref()
            .and_then(|dev| indexes.get(dev.as_str()).copied()),
        weight: hop.weight,
    };
    RouteStep {
        to: route.to,
        action: match &route.action {
            RouteAction::Forward(hops) => RouteStepAction::Forward(hops.iter().map(hop).collect()),
            RouteAction::Blackhole => RouteStepAction::Blackhole,
            RouteAction::Unreachable => RouteStepAction::Unreachable,
            RouteAction::Prohibit => RouteStepAction::Prohibit,
        },
        metric: route.metric,
        table: route.table,
    }
}

fn node_step(node: &Node, namespace: Option<usize>, facts: &Facts) -> NodeStep {
    let engine = match (node.kind, &node.config) {
        // What runs in an image is the image's.
        _ if node.image.is_some() => None,
        (Kind::Router, Some(_)) => Some(Engine::chosen(node.engine, facts.auto_engine)),
        // Without a Kubernetes nslab itself keeps the cluster's objects.
        (Kind::K8s, _) if node.engine.is_kubernetes() => Some(Engine::chosen(node.engine, facts.auto_engine)),
        // One that starts FRR itself, by its own script, does so on FRR; else the speaker is there in its place.
        (Kind::Router, None) if node.starts_frr() => {
            Some(Engine::chosen(node.engine, facts.auto_engine)).filter(|it| it.traits().stands_in)
        }
        _ => None,
    };
    let (step, env, main, mounts) = match image::plan(node, facts) {
        Some(image) => (Some(image.step), image.env, image.main, image.mounts),
        None => (None, node.env.clone(), None, node.mounts.clone()),
    };
    let run: Vec<Process> = main.into_iter().chain(node.run.iter().cloned()).collect();
    let of_kind = node.of_kind.iter().flat_map(|of_kind| &of_kind.after_ready);
    let after_ready: Vec<Exec> = of_kind.chain(&node.after_ready).cloned().collect();
    let idle = node.network != Network::Host
        && node.files.is_empty()
        && node.binds.is_empty()
        && mounts.is_empty()
        && node.exec.is_empty()
        && after_ready.is_empty()
        && run.is_empty()
        && engine.is_none()
        && node.kubernetes.is_none()
        && node.config.is_none()
        && node.ready_routes.is_empty()
        && node.waits_for_late.is_empty()
        && node.cpu.is_none()
        && node.memory.is_none();
    let limits = limits::of(
        node,
        engine.is_some_and(|it| it.traits().is_machine),
        facts.memory,
    );
    NodeStep {
        name: node.name.clone(),
        hostname: node
            .hostname
            .clone()
            .unwrap_or_else(|| names::hostname(&node.name).to_owned()),
        kind: node.kind,
        kubernetes: node.kubernetes.clone(),
        cluster: None,
        image: step,
        engine,
        namespace,
        dns: None,
        idle,
        wait_for: node.wait_for.clone(),
        startup_delay_ms: u64::try_from(node.startup_delay.as_millis()).unwrap_or(u64::MAX),
        env,
        files: image::config(node)
            .into_iter()
            .chain(node.files.iter().cloned())
            .collect(),
        binds: node.binds.clone(),
        mounts,
        config: node.config.clone().filter(|_| node.image.is_none()),
        config_place: node.config_place.clone(),
        exec: node.exec.clone(),
        of_kind: node.of_kind.as_ref().map(|of_kind| of_kind.kind.clone()),
        save: node.of_kind.as_ref().and_then(|of_kind| of_kind.save.clone()),
        after_ready,
        rights: rights(node, engine, &run),
        run,
        ready_routes: node.ready_routes.clone(),
        late: node.waits_for_late.clone(),
        cpu: node.cpu,
        memory: node.memory,
        limits,
        named_ports: node.named_ports.clone(),
        labels: node.labels.clone(),
        group: node.group.clone(),
    }
}

/// A Kubernetes node without an address of its own on a link is known by the one that it has on the management network.
fn known_by(node: &mut KubernetesNode, managed: &[IpNet]) {
    if node.addresses.is_empty() {
        node.addresses.extend(managed.iter().map(IpNet::addr));
    }
}

/// What a node's programs may do.
fn rights(node: &Node, engine: Option<Engine>, run: &[Process]) -> RightsStep {
    let privileged = Rights {
        privileged: true,
        ..Rights::default()
    };
    let of = |needs: &[&str]| RightsStep::of(&node.rights, needs, node.network == Network::Host);
    match engine.map(Engine::traits) {
        Some(engine) if engine.is_machine => RightsStep::of(&privileged, &[], false),
        Some(engine) if !engine.needs.is_empty() => of(engine.needs),
        _ if node.runs_frr() || run.iter().any(|process| process.command.starts_frr()) => of(&[SYS_ADMIN]),
        // An image that is a router with a configuration for FRR runs it, whatever its program is called.
        _ if node.image.is_some() && node.config.is_some() => of(&[SYS_ADMIN]),
        _ => of(&[]),
    }
}

/// The text of /etc/hosts: the same on every node.
fn hosts(lab: &Lab, managed: &[Vec<IpNet>]) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    let mut seen: BTreeMap<(IpAddr, &str), ()> = BTreeMap::new();
    for (at, node) in lab.nodes.iter().enumerate() {
        // A pod's name is its node's affair, as in any cluster.
        if node.kind == Kind::Pod {
            continue;
        }
        // A node in another's namespace has the other's addresses.
        let owner = lab.owner(at);
        for ip in names::addresses(&lab.nodes[owner].addresses, &managed[owner]) {
            if seen.insert((ip, &node.name), ()).is_none() {
                let names = std::iter::once(&node.name).chain(&node.aliases);
                let names: Vec<&str> = names.map(String::as_str).collect();
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{ip} {}", names.join(" "));
            }
        }
    }
    text
}

/// The text of /etc/resolv.conf: servers only where they can be reached.
fn resolv_conf(lab: &Lab, facts: &Facts) -> String {
    let outside = lab.mgmt.as_ref().is_some_and(|mgmt| mgmt.nat || mgmt.nat6);
    if !outside || facts.dns_servers.is_empty() {
        return "# nslab: this lab has no way to a DNS server; /etc/hosts knows its nodes\n".into();
    }
    let lines = facts
        .dns_servers
        .iter()
        .map(|server| format!("nameserver {server}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests;
