//! The lab as it is meant: complete and validated, with inheritance applied and every default filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::rights::Rights;

/// A whole lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lab {
    /// Its name: 1 to 48 characters of `[a-z0-9-]`, used in paths and cgroup names.
    pub name: String,
    /// The management network, if the lab has one.
    pub mgmt: Option<Mgmt>,
    /// Its nodes, in the order of the file. Other parts refer to them by index.
    pub nodes: Vec<Node>,
    /// Its links, in the order of the file.
    pub links: Vec<Link>,
    /// Programs that must be on the host's PATH.
    pub requires: Vec<String>,
    /// What must be true of it once it lives.
    pub checks: Vec<Check>,
    /// Objects for its Kubernetes nodes, applied once it lives.
    pub manifests: Vec<Manifest>,
    /// What a real Kubernetes is like, where its nodes run one.
    #[serde(default)]
    pub cluster: Cluster,
}

/// What a real Kubernetes is like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cluster {
    /// Where its programs are, before PATH.
    pub bin_dir: Option<PathBuf>,
    /// Where etcd keeps what it knows beyond the lab's life.
    pub etcd_dir: Option<PathBuf>,
    /// Archives of images that every node has, on the host.
    pub images: Vec<PathBuf>,
    /// Where images are pulled from in place of every registry.
    pub registry_mirror: Option<String>,
    /// Whether every node runs kube-proxy.
    pub kube_proxy: bool,
    /// What services' addresses are from; one of each family at most.
    pub service_subnets: Vec<IpNet>,
    /// What pods' addresses are from.
    pub pod_subnets: Vec<IpNet>,
    /// Whether the place of the pods' network is left to what is installed.
    pub leaves_network: bool,
    /// Whether Cilium's own agent will run.
    pub external_agent: bool,
}

/// A file of objects, as kubectl takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// As the user named it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// The management network: `eth0` on the nodes that ask for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mgmt {
    /// Its name, for listings.
    pub network: String,
    /// The name of its bridge in the hub namespace.
    pub bridge: String,
    /// Default 172.20.20.0/24.
    pub ipv4_subnet: Option<ipnet::Ipv4Net>,
    /// Default 2001:172:20:20::/64.
    pub ipv6_subnet: Option<ipnet::Ipv6Net>,
    /// The gateway's addresses; by default the first of each subnet.
    pub ipv4_gw: Option<std::net::Ipv4Addr>,
    /// See `ipv4_gw`.
    pub ipv6_gw: Option<std::net::Ipv6Addr>,
    /// Bytes; the kernel's default of 1500 where none is given.
    pub mtu: Option<u32>,
    /// Whether nodes reach the outside through the host (IPv4).
    pub nat: bool,
    /// The same for IPv6, which has to be asked for.
    pub nat6: bool,
}

/// A node's place on the management network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MgmtPort {
    /// A fixed address, or one chosen by the order of the nodes.
    pub ipv4: Option<std::net::Ipv4Addr>,
    /// See `ipv4`.
    pub ipv6: Option<std::net::Ipv6Addr>,
}

/// A TCP port of a node that is reached on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Where the host listens.
    pub listen: std::net::SocketAddr,
    /// The node's port.
    pub port: u16,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A computer: forwards nothing.
    Host,
    /// A router: forwards, and runs a routing engine when it has a configuration.
    Router,
    /// An Ethernet switch: a Linux bridge `br0` whose ports are the node's links.
    Bridge,
    /// A node of a Kubernetes cluster: forwards, for its pods.
    K8s,
    /// A pod on such a node. Its name is the node's, a slash, and its own.
    Pod,
}

/// Which program plays a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// FRR where it is installed, else the built-in speaker.
    Auto,
    /// FRR's daemons.
    Frr,
    /// nslab's own speaker.
    Builtin,
    /// A kubelet, and on the first node what a cluster is made of.
    Kubelet,
}

/// Where a node's network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// In a namespace of its own.
    Own,
    /// In the namespace of another node, by index. Never a chain: always the node that owns the namespace.
    Shared(usize),
    /// In the host's own.
    Host,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name and hostname: 1 to 63 characters of `[A-Za-z0-9-_.]`, beginning with a letter or digit.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// For routers; `Auto` elsewhere.
    pub engine: EngineChoice,
    /// The group it was put in.
    pub group: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// What it is to its cluster, if it is of kind `k8s`.
    pub kubernetes: Option<KubernetesNode>,
    /// Whose network namespace it lives in.
    pub network: Network,
    /// Its management port, if it asked for one.
    pub mgmt: Option<MgmtPort>,
    /// TCP ports of its own that are reached on the host.
    pub ports: Vec<PublishedPort>,
    /// Its interfaces' addresses, links' own addresses included, in the order of the file. Empty for a node
    /// in another's namespace: they were moved to the owner.
    pub addresses: Vec<Address>,
    /// Static routes (moved to the owner likewise).
    pub routes: Vec<Route>,
    /// Sysctls, by dotted name (`net.ipv4.tcp_ecn`); only `net.*` can be set per node.
    pub sysctls: BTreeMap<String, String>,
    /// Duplicate address detection for IPv6 (off unless asked for: it costs over a second).
    pub dad: bool,
    /// A router's configuration in FRR's language.
    pub config: Option<String>,
    /// Environment of everything started in the node.
    pub env: BTreeMap<String, String>,
    /// Files written before anything starts.
    pub files: Vec<File>,
    /// Host paths bound into the node.
    pub binds: Vec<Bind>,
    /// Commands run once, in order, when links are there.
    pub exec: Vec<Exec>,
    /// Long-running processes.
    pub run: Vec<Process>,
    /// What must be true of other nodes first.
    pub wait_for: Vec<Wait>,
    /// Extra wait before the node starts.
    pub startup_delay: Duration,
    /// CPU limit in cores.
    pub cpu: Option<f64>,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// What its processes may do beyond what those of every node may.
    #[serde(default)]
    pub rights: Rights,
    /// Other limits.
    #[serde(default)]
    pub limits: Limits,
}

/// What the lab file says of a node's limits; what it does not is decided when the lab starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads.
    pub processes: Option<Limit>,
    /// Bytes of its file system that are its own.
    pub disk: Option<Limit>,
    /// Bytes of its log.
    pub log: Option<Limit>,
    /// Files that each of its processes may have open.
    pub open_files: Option<Limit>,
}

/// A limit, or the wish for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// None.
    Unlimited,
    /// So many.
    At(u64),
}

/// An address on one of the node's interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// `lo`, `br0`, `eth0`, or the name of a link's end.
    pub interface: String,
    /// The address with its prefix length.
    pub net: IpNet,
}

/// A node as its cluster knows it, by the node's own name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KubernetesNode {
    /// Its labels, those that every node has among them.
    pub labels: BTreeMap<String, String>,
    /// Its addresses (`InternalIP`), at most one a family.
    pub addresses: Vec<IpAddr>,
    /// Its pods' networks.
    pub pod_cidrs: Vec<IpNet>,
    /// Whether Cilium's BGP control plane runs on it.
    pub bgp: bool,
    /// Its taints, as kubectl writes them: `key=value:effect`. Only a real scheduler asks for them.
    pub taints: Vec<String>,
    /// Networks that its pods reach by the node's address instead of their own.
    pub masquerade: Vec<Masquerade>,
}

/// Packets that leave a node with its own address as their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masquerade {
    /// Where they come from.
    pub source: IpNet,
    /// Where they may go to as they are.
    pub native: IpNet,
}

/// A static route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The destination; `default` in the file becomes 0.0.0.0/0 or ::/0 by the next hop's family.
    pub to: IpNet,
    /// What happens to packets that match.
    pub action: RouteAction,
    /// Priority; the kernel's default where none is given.
    pub metric: Option<u32>,
    /// Routing table; main (254) where none is given.
    pub table: Option<u32>,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteAction {
    /// Forward to one or more next hops (never empty).
    Forward(Vec<NextHop>),
    /// Drop silently.
    Blackhole,
    /// Drop with ICMP unreachable.
    Unreachable,
    /// Drop with ICMP administratively prohibited.
    Prohibit,
}

/// A next hop: at least one of `via` and `dev`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NextHop {
    /// The gateway; may be IPv6 for an IPv4 destination.
    pub via: Option<IpAddr>,
    /// The interface.
    pub dev: Option<String>,
    /// ECMP weight, 1 to 256.
    pub weight: u16,
}

/// A file or directory put into the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path in the node.
    pub path: String,
    /// What goes there.
    pub content: Content,
    /// Permission bits (default 0644; for copied files those of the source).
    pub mode: Option<u32>,
    /// `user` or `user:group`, names or numbers, looked up in the node.
    pub owner: Option<String>,
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Text in the lab file.
    Text(String),
    /// An absolute path on the host: a file, or a directory copied with all it holds.
    From(PathBuf),
}

/// A host path that shows in the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the node.
    pub target: String,
    /// Whether the node may not write.
    pub read_only: bool,
}

/// A command: an argument vector, or text for `sh -c`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Program and arguments.
    Argv(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

/// The end of the path of FRR's own script, as commands written for a container call it.
const FRR_SCRIPT: &str = "frr/frrinit.sh";

impl Node {
    /// Whether its own commands start FRR's daemons, by their script or one by one.
    pub fn runs_frr(&self) -> bool {
        let run = self.run.iter().map(|process| &process.command);
        let mut commands = self.exec.iter().map(|exec| &exec.command).chain(run);
        commands.any(Command::starts_frr)
    }

    /// Whether its own commands start FRR by its script.
    pub fn starts_frr(&self) -> bool {
        let names = |word: &String| word.contains(FRR_SCRIPT);
        self.exec.iter().any(|exec| exec.command.argv().iter().any(names))
    }
}

/// What stands in a command that starts daemons of FRR's: where packages and images have them, and services' names.
const FRR_PROGRAMS: [&str; 6] = [
    "lib/frr/",
    "lib64/frr/",
    "libexec/frr/",
    "init.d/frr",
    "service frr",
    "start frr",
];

impl Command {
    /// Whether it starts FRR's daemons, which want a capability that other programs do not have.
    pub fn starts_frr(&self) -> bool {
        let line = self.argv().join(" ");
        FRR_PROGRAMS.iter().any(|program| line.contains(program))
    }

    /// What to execute.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Command::Argv(argv) => argv.clone(),
            Command::Shell(line) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Argv(argv) => f.write_str(&shell_words::join(argv)),
            Command::Shell(line) => f.write_str(line),
        }
    }
}

/// A command run once while the node comes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// What to run.
    pub command: Command,
    /// Whether a failure is only reported.
    pub may_fail: bool,
    /// The line of the lab file it stands in (1-based), for messages.
    pub line: usize,
}

/// A long-running process of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its name in `ps` and `logs`.
    pub name: String,
    /// What to run.
    pub command: Command,
    /// What happens when it ends.
    pub restart: Restart,
    /// When it counts as ready; started is enough where nothing is said.
    pub ready: Option<Probe>,
    /// The user it runs as (a name or number looked up in the node); root where none is given.
    pub user: Option<String>,
    /// The directory it starts in; `/` where none is given.
    pub workdir: Option<String>,
    /// Whether it has a terminal of its own, at which nobody sits.
    #[serde(default)]
    pub terminal: bool,
    /// Environment on top of the node's.
    pub env: BTreeMap<String, String>,
}

impl Process {
    /// A program of an engine's: always there, as root, with the node's environment.
    pub fn service(name: &str, argv: Vec<String>) -> Self {
        Process {
            name: name.to_owned(),
            command: Command::Argv(argv),
            restart: Restart::Always,
            ready: None,
            user: None,
            workdir: None,
            terminal: false,
            env: BTreeMap::new(),
        }
    }
}

/// When an ended process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never (`no`).
    No,
    /// After a non-zero status or a signal.
    OnFailure,
    /// After any end.
    Always,
}

/// What shows that a process is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Something listens on this TCP port in the node's network.
    Tcp(u16),
    /// This path exists in the node.
    File(String),
    /// This command ends with status 0 in the node.
    Exec(Command),
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Probe::Tcp(port) => write!(f, "TCP port {port} open"),
            Probe::File(path) => write!(f, "{path} there"),
            Probe::Exec(command) => write!(f, "`{command}` succeeding"),
        }
    }
}

/// A stage a node reaches on its way up, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its network namespace exists.
    Created,
    /// Its links are there and up, with their addresses.
    Links,
    /// Files are written, `exec` has run, the engine has its configuration.
    Configured,
    /// Everything it runs is ready.
    Ready,
}

/// One entry of `wait_for`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The node waited for, by index.
    pub node: usize,
    /// The stage it must reach.
    pub stage: Stage,
}

/// One end of a link, in a node's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The node as named in the file, by index (its namespace may be another's, see [`Node::network`]).
    pub node: usize,
    /// The interface's name, at most 15 bytes.
    pub interface: String,
    /// Its MAC address: from the file, or derived from the lab's, node's and interface's names.
    pub mac: Mac,
}

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// What kind of device, and what it joins.
    pub shape: LinkShape,
    /// Bytes; the kernel's default where none is given.
    pub mtu: Option<u32>,
    /// Whether checksums may be left to the (virtual) hardware; turned off for tools that check them.
    pub offload: bool,
}

/// What a link joins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkShape {
    /// Two nodes' ports. A port on a node of kind bridge becomes a port of that bridge.
    Veth(Port, Port),
    /// A node's port, and an interface of this name on the host.
    Host {
        /// The node's end.
        port: Port,
        /// The host's end.
        host_interface: String,
    },
    /// A node's port on top of an interface of the host.
    Macvlan {
        /// The node's end.
        port: Port,
        /// The interface of the host it sits on.
        host_interface: String,
        /// How siblings see each other.
        mode: MacvlanMode,
    },
    /// A tunnel end (RFC 7348).
    Vxlan {
        /// The node's end.
        port: Port,
        /// VXLAN network identifier, 24 bits.
        vni: u32,
        /// The other tunnel end (or a multicast group).
        remote: IpAddr,
        /// The address packets are sent from.
        local: Option<IpAddr>,
        /// UDP destination port, 4789 by default.
        udp_port: u16,
        /// Whose network carries the tunnel's packets.
        underlay: Underlay,
    },
    /// A node's port on the bridge of the management network, beside eth0.
    Mgmt(Port),
    /// A device that goes nowhere but carries addresses.
    Dummy(Port),
}

/// Modes of a macvlan device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Siblings talk to each other directly.
    Bridge,
    /// Siblings never hear each other.
    Private,
    /// Everything goes out to the switch first.
    Vepa,
    /// The only one on its parent.
    Passthru,
}

/// Whose network carries a tunnel's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Underlay {
    /// The host's: to reach something outside the lab.
    Host,
    /// The node's own: a tunnel inside the lab.
    Node,
}

impl Link {
    /// The ends that are in nodes: one or two.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        let (first, second) = match &self.shape {
            LinkShape::Veth(a, b) => (a, Some(b)),
            LinkShape::Host { port, .. }
            | LinkShape::Macvlan { port, .. }
            | LinkShape::Vxlan { port, .. }
            | LinkShape::Mgmt(port)
            | LinkShape::Dummy(port) => (port, None),
        };
        std::iter::once(first).chain(second)
    }
}

impl Lab {
    /// The index of the node whose network namespace the given node lives in.
    pub fn owner(&self, node: usize) -> usize {
        match self.nodes[node].network {
            Network::Own | Network::Host => node,
            Network::Shared(owner) => owner,
        }
    }

    /// The pods that the lab file has on a node.
    pub fn pods_of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = &'a Node> {
        let is_on = |pod: &&Node| {
            let rest = pod.name.strip_prefix(&node.name);
            pod.kind == Kind::Pod && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        self.nodes.iter().filter(is_on)
    }
}
