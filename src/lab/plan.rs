//! The plan: ordered steps with nothing left to decide. The supervisor applies it and never looks at the lab
//! file again.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::engines::Engine;
use super::flow::Flow;
use super::impair::Impairments;
use super::links::{Setting, Shape, bridge::Bridge};
use super::model::{
    Bind, Cluster, Command, ConfigPlace, Exec, File, Init, Kind, KubernetesNode, Mac, Manifest, Masquerade,
    Mount, Mounted, Process, Wait,
};
use super::rights::RightsStep;
use nslab_image::config::Config;
use nslab_image::config::Healthcheck;
use nslab_image::source::Source;

/// What only the host could tell, found out before planning.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The engine taken for each router that left it open.
    pub auto_engine: Engine,
    /// DNS servers for nodes that reach the outside.
    pub dns_servers: Vec<IpAddr>,
    /// How the management network is joined to the host, where the lab has one.
    pub uplink: Option<Uplink>,
    /// Bytes of memory the host has; 0 where it does not tell.
    #[serde(default)]
    pub memory: u64,
    /// The images that nodes are, by where they come from.
    #[serde(skip)]
    pub images: BTreeMap<Source, ImageFacts>,
}

/// An image that is unpacked, and what it says of its program.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageFacts {
    /// The digest of its manifest; empty for a directory.
    pub digest: String,
    /// What it says of its program.
    pub config: Config,
    /// Its layers on the host, the lowest first.
    pub layers: Vec<PathBuf>,
}

/// The root of a node that is an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageStep {
    /// Where the image comes from, as the file says it.
    pub name: String,
    /// The digest of its manifest; empty for a directory.
    pub digest: String,
    /// Its layers on the host, the lowest first.
    pub layers: Vec<PathBuf>,
    /// Whether it has a program, which is the first of the node's processes then.
    pub has_program: bool,
    /// Who is the first process.
    pub init: Init,
    /// The signal that ends its program.
    pub stop_signal: Option<String>,
    /// What asks its program whether it is well, again and again.
    pub health: Option<Healthcheck>,
    /// The user of whatever runs in it; root where none is given.
    pub user: Option<String>,
    /// Where that starts; `/` where none is given.
    pub workdir: Option<String>,
}

/// What joins a management network to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplink {
    /// The host's end of the veth.
    pub interface: String,
    /// The network on it: four addresses, the first the host's, the second the hub's.
    pub net: Ipv4Net,
}

/// Everything to be done, in order: namespaces, then links, then each namespace's configuration, then nodes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The lab's name.
    pub lab: String,
    /// Network namespaces to make. Other steps refer to them by index.
    pub namespaces: Vec<NamespaceStep>,
    /// Links to make, in order.
    pub links: Vec<LinkStep>,
    /// Nodes, in the order of the file. `wait_for` refers to them by index.
    pub nodes: Vec<NodeStep>,
    /// The text of every node's /etc/hosts.
    pub hosts: String,
    /// The text of every node's /etc/resolv.conf.
    pub resolv_conf: String,
    /// What is set on the host for the management network.
    pub host: Option<HostStep>,
    /// What must be true of the living lab.
    pub checks: Vec<Check>,
    /// Flows that are started in it.
    #[serde(default)]
    pub flows: Vec<Flow>,
    /// Objects for the Kubernetes nodes, applied once the lab lives.
    pub manifests: Vec<Manifest>,
    /// Files of the image store that are locked (shared) for as long as the lab lives: its images stay there.
    #[serde(default)]
    pub leases: Vec<PathBuf>,
    /// Directories of nslab's own that nodes do not see.
    #[serde(default)]
    pub hidden: Vec<PathBuf>,
    /// What addresses of services are from, where no Kubernetes gives them.
    pub service_subnets: Vec<IpNet>,
}

impl Plan {
    /// The lab's volumes by their names (that of the node and the path, where they have none of their own), and how many bytes each
    /// holds: as many as the disk of that node which has it and may have the least; none for no limit.
    pub fn volumes(&self) -> BTreeMap<String, Option<u64>> {
        let mut volumes: BTreeMap<String, Option<u64>> = BTreeMap::new();
        for node in &self.nodes {
            for (name, _) in node.volumes() {
                let bytes = volumes.entry(name).or_default();
                *bytes = bytes.iter().copied().chain(node.limits.disk).min();
            }
        }
        volumes
    }
}

/// What is set on the host for the management network. All of it goes with the interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostStep {
    /// The host's end of the veth, one of [`Plan::links`].
    pub interface: String,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Subnets, and the gateway to each.
    pub routes: Vec<(IpNet, IpAddr)>,
    /// The hub: index into [`Plan::namespaces`].
    pub hub: usize,
    /// The way to the outside, where the nodes have one.
    pub nat: Option<NatStep>,
    /// TCP ports of nodes that are reached on the host: where it listens, and what answers there.
    pub ports: Vec<(SocketAddr, SocketAddr)>,
    /// The same of UDP.
    #[serde(default)]
    pub udp_ports: Vec<(SocketAddr, SocketAddr)>,
}

/// What lets nodes reach what the host reaches: the hub puts its own address into the packets that leave, and so does the
/// host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NatStep {
    /// The hub's interface towards the host.
    pub hub_interface: String,
    /// The hub's addresses on it, of the families that pass.
    pub sources: Vec<IpAddr>,
    /// Interfaces of the host that forward IPv4 only since nslab asked for it: they forward for labs alone. Found out
    /// when the lab starts.
    pub opened: Vec<String>,
    /// The same for IPv6, which can only be turned on for all of them.
    pub opened_v6: bool,
}

impl Plan {
    /// Whether a node's network is made by somebody else.
    pub fn is_in_sandbox(&self, node: usize) -> bool {
        let namespace = self.nodes[node].namespace.and_then(|at| self.namespaces.get(at));
        namespace.is_some_and(|it| it.sandbox.is_some())
    }
}

/// A network namespace, and all that is set inside it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NamespaceStep {
    /// The node that owns it; for the hub of the management network, that network's name.
    pub node: String,
    /// Sysctls set before the first interface exists: path below /proc/sys, value. In order.
    pub sysctls: Vec<(String, String)>,
    /// For a node of kind bridge: its bridge, made before the links.
    pub bridge: Option<BridgeStep>,
    /// Interface indexes raised when all links are there; the loopback (1) always among them.
    pub up: Vec<u32>,
    /// Interfaces whose transmit checksum offload is turned off.
    pub no_offload: Vec<String>,
    /// Addresses: interface index, address.
    pub addresses: Vec<(u32, IpNet)>,
    /// Routes, in the order of the file.
    pub routes: Vec<RouteStep>,
    /// What is set on interfaces before they are raised.
    #[serde(default)]
    pub settings: Vec<Setting<u32>>,
    /// What waits for interfaces that the nodes' own commands make.
    #[serde(default)]
    pub late: LateStep,
    /// Sysctls that concern single interfaces, set when those exist.
    pub late_sysctls: Vec<(String, String)>,
    /// What leaves it with its own address.
    pub masquerade: Vec<Masquerade>,
    /// Interfaces by which everything leaves with their address.
    #[serde(default)]
    pub masquerade_by: Vec<String>,
    /// Who makes its network in place of nslab: then the addresses are only told here, and nothing is set.
    pub sandbox: Option<SandboxStep>,
    /// Where the users of its node are its own: the id on the host of their root.
    #[serde(default)]
    pub first_id: Option<u32>,
    /// Whether it belongs to the lab's user namespace.
    #[serde(default)]
    pub in_lab: bool,
}

/// What waits for interfaces that nodes' own commands make. Until they are there, other steps know them by numbers that no
/// interface has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LateStep {
    /// The interfaces.
    pub interfaces: Vec<LateInterfaceStep>,
    /// What is set on them, or puts others into them.
    pub settings: Vec<Setting<u32>>,
    /// Routes by way of them.
    pub routes: Vec<RouteStep>,
}

impl LateStep {
    /// The interface that a number stands for.
    pub fn of(&mut self, index: u32) -> Option<&mut LateInterfaceStep> {
        self.interfaces.iter_mut().find(|late| late.stand_in == index)
    }

    /// Whether a route leads over one of them: by its own word, or because the gateway is on the network of none of these
    /// addresses but of one that comes late.
    pub fn carries(&self, route: &RouteStep, addresses: &[(u32, IpNet)]) -> bool {
        let RouteStepAction::Forward(hops) = &route.action else {
            return false;
        };
        let is_late = |hop: &HopStep| match (hop.dev, hop.via) {
            (Some(dev), _) => self.interfaces.iter().any(|late| late.stand_in == dev),
            (None, Some(via)) => {
                let mut late = self.interfaces.iter().flat_map(|late| &late.addresses);
                late.any(|net| net.contains(&via)) && !addresses.iter().any(|(_, net)| net.contains(&via))
            }
            (None, None) => false,
        };
        hops.iter().any(is_late)
    }
}

/// An interface that a node's own commands make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LateInterfaceStep {
    /// Its name.
    pub name: String,
    /// The number that stands for its own.
    pub stand_in: u32,
    /// Bytes, where that is set.
    pub mtu: Option<u32>,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Its sysctls.
    pub sysctls: Vec<(String, String)>,
}

/// The network of a pod that a kubelet runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxStep {
    /// The node it is on: index into [`Plan::nodes`].
    pub node: usize,
    /// The Pod, `namespace/name`.
    pub pod: String,
    /// Its interface.
    pub interface: String,
}

/// The bridge of a node of kind bridge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BridgeStep {
    /// Always `br0` today.
    pub name: String,
    /// Its interface index.
    pub index: u32,
    /// Its MAC address.
    pub mac: Mac,
    /// The ports: interface indexes.
    pub ports: Vec<u32>,
    /// What it is like.
    #[serde(default)]
    pub options: Bridge,
}

/// A route with names turned into indexes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteStep {
    /// Destination.
    pub to: IpNet,
    /// What happens.
    pub action: RouteStepAction,
    /// Priority.
    pub metric: Option<u32>,
    /// Table; main where none is given.
    pub table: Option<u32>,
}

impl RouteStep {
    /// The route with other numbers of interfaces; nothing where one of them is not known.
    pub fn with(&self, find: &dyn Fn(u32) -> Option<u32>) -> Option<RouteStep> {
        let mut route = self.clone();
        if let RouteStepAction::Forward(hops) = &mut route.action {
            for dev in hops.iter_mut().filter_map(|hop| hop.dev.as_mut()) {
                *dev = find(*dev)?;
            }
        }
        Some(route)
    }
}

/// See [`super::model::RouteAction`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteStepAction {
    /// Never empty; more than one is ECMP.
    Forward(Vec<HopStep>),
    /// Drop silently.
    Blackhole,
    /// ICMP unreachable.
    Unreachable,
    /// ICMP prohibited.
    Prohibit,
    /// Taken as the node's own, though no interface has the address.
    Local,
}

/// See [`super::model::NextHop`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HopStep {
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Interface index.
    pub dev: Option<u32>,
    /// 1 to 256.
    pub weight: u16,
}

/// A node's place in a cluster of kubelets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterStep {
    /// Whether the control plane is on it.
    pub controls: bool,
    /// The minor version of Kubernetes 1.
    pub minor: u32,
    /// Where the host has the programs, by name.
    pub programs: BTreeMap<String, String>,
    /// What the whole cluster is like.
    pub settings: Cluster,
}

/// One end of a link, as the kernel is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortStep {
    /// Index into [`Plan::namespaces`].
    pub namespace: usize,
    /// Interface name.
    pub name: String,
    /// Interface index, unique in the whole lab (equal indexes at both ends of a veth delay its carrier).
    pub index: u32,
    /// MAC address, or none to leave it to the kernel.
    pub mac: Option<Mac>,
    /// Bytes, where it differs from its link's.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStep {
    /// For messages: `router0:net0 -- tor0:net0`.
    pub label: String,
    /// Bytes.
    pub mtu: Option<u32>,
    /// What to make.
    pub device: Device,
    /// What it does to packets.
    #[serde(default, skip_serializing_if = "Impairments::is_empty")]
    pub impair: Impairments,
}

/// The devices a link is made of, by indexes.
pub type Device = Shape<PortStep, u32>;

/// What a node may use at most, beside its CPU and its memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads; none for no limit.
    pub processes: Option<u64>,
    /// Whether the lab file asks for that limit, so that a host that cannot set it is told.
    pub must_limit_processes: bool,
    /// Bytes of its file system that are its own; none for no limit.
    pub disk: Option<u64>,
    /// Bytes of its log; none for no limit.
    pub log: Option<u64>,
    /// Files that a process may have open, unless it asks for more; none for all it may ask for.
    pub open_files: Option<u64>,
    /// Files that it may ask for; none for what the host gives.
    pub most_open_files: Option<u64>,
}

/// A node, and all that happens in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStep {
    /// Its name.
    pub name: String,
    /// What it calls itself.
    pub hostname: String,
    /// What it is.
    pub kind: Kind,
    /// What it is to its cluster, if it is of kind `k8s`.
    pub kubernetes: Option<KubernetesNode>,
    /// How a kubelet plays it; found out when the lab starts.
    pub cluster: Option<ClusterStep>,
    /// The image that is its root; none where that is the host's.
    #[serde(default)]
    pub image: Option<ImageStep>,
    /// The engine that plays it: only for a router with a configuration, and a Kubernetes node on kubelets.
    pub engine: Option<Engine>,
    /// Index into [`Plan::namespaces`]; none for one in the host's network.
    pub namespace: Option<usize>,
    /// The address at which it answers for its cluster's names, if it does.
    #[serde(default)]
    pub dns: Option<IpAddr>,
    /// Whether nothing is to be done in it, so that it needs no process.
    pub idle: bool,
    /// What must be true first.
    pub wait_for: Vec<Wait>,
    /// Milliseconds to wait before it starts.
    pub startup_delay_ms: u64,
    /// Environment of everything in it.
    pub env: BTreeMap<String, String>,
    /// Files written first, in order.
    pub files: Vec<File>,
    /// Host paths shown in it.
    pub binds: Vec<Bind>,
    /// Other directories that are not of its root.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// A router's configuration text.
    pub config: Option<String>,
    /// Where that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_place: Option<ConfigPlace>,
    /// Commands run once; in a node that is an image, once its program has been started.
    pub exec: Vec<Exec>,
    /// The kind whose file says what it has, where that is none of nslab's own.
    #[serde(default)]
    pub of_kind: Option<String>,
    /// What keeps the configuration that runs in it.
    #[serde(default)]
    pub save: Option<Command>,
    /// Commands run when it is ready, before others are told so.
    #[serde(default)]
    pub after_ready: Vec<Exec>,
    /// Long-running processes.
    pub run: Vec<Process>,
    /// Routes that its kernel has before it is ready.
    pub ready_routes: Vec<IpNet>,
    /// Interfaces that its own commands make before it is ready.
    #[serde(default)]
    pub late: Vec<String>,
    /// Cores.
    pub cpu: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// What its processes may do.
    pub rights: RightsStep,
    /// Other limits.
    pub limits: Limits,
    /// A pod's ports by their names.
    #[serde(default)]
    pub named_ports: BTreeMap<String, u16>,
    /// Labels, for listings.
    pub labels: BTreeMap<String, String>,
    /// Group, for listings.
    pub group: Option<String>,
}

impl NodeStep {
    /// Its volumes: their names in the lab, and where they are.
    pub fn volumes(&self) -> impl Iterator<Item = (String, &Mount)> {
        self.mounts.iter().filter_map(|mount| match &mount.what {
            Mounted::Volume(volume) => {
                // No name has a slash.
                let own = || format!("{}{}", self.name, mount.target);
                Some((volume.name.clone().unwrap_or_else(own), mount))
            }
            Mounted::Memory(_) => None,
        })
    }

    /// Whether it is a machine of its own, which runs containers.
    pub fn is_machine(&self) -> bool {
        self.engine.is_some_and(|engine| engine.traits().is_machine)
    }

    /// Whether it is of a Kubernetes, which has an API server, names and a proxy of its own.
    pub fn is_kubernetes(&self) -> bool {
        self.engine.is_some_and(|engine| engine.traits().is_kubernetes)
    }

    /// What plays it: its engine, or FRR that its own commands start.
    pub fn player(&self) -> Option<Engine> {
        let run = self.run.iter().map(|process| &process.command);
        let mut commands = self.exec.iter().map(|exec| &exec.command).chain(run);
        self.engine
            .or_else(|| commands.any(Command::starts_frr).then_some(Engine::Frr))
    }
}
