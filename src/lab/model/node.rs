//! A node: what it is, and what it has.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::command::FRR_SCRIPT;
use super::{Command, Exec, Image, MgmtPort, Mount, OfKind, Process, PublishedPort, Route, Wait};
use crate::engines::Engine;
use crate::links::{Setting, bridge::Bridge};
use crate::rights::Rights;

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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Host => "host",
            Kind::Router => "router",
            Kind::Bridge => "bridge",
            Kind::K8s => "k8s",
            Kind::Pod => "pod",
        })
    }
}

/// Which program plays a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// FRR where it is installed, else the built-in speaker.
    Auto,
    /// This one.
    #[serde(untagged)]
    Engine(Engine),
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
    /// Its name: 1 to 63 characters of `[A-Za-z0-9-_.]`, beginning with a letter or digit.
    pub name: String,
    /// What it calls itself, if that is not its name.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Names by which other nodes find it, beside its own.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What it is.
    pub kind: Kind,
    /// What it has from the file of its kind, where that is not one of nslab's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_kind: Option<Box<OfKind>>,
    /// For routers; `Auto` elsewhere.
    pub engine: EngineChoice,
    /// The image that it is, where its root is not the host's.
    #[serde(default)]
    pub image: Option<Image>,
    /// The group it was put in.
    pub group: Option<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// A pod's ports by their names.
    #[serde(default)]
    pub named_ports: BTreeMap<String, u16>,
    /// What it is to its cluster, if it is of kind `k8s`.
    pub kubernetes: Option<KubernetesNode>,
    /// Whose network namespace it lives in.
    pub network: Network,
    /// Its management port, if it asked for one.
    pub mgmt: Option<MgmtPort>,
    /// Ports of its own that are reached on the host.
    pub ports: Vec<PublishedPort>,
    /// Its interfaces' addresses, links' own addresses included, in the order of the file. Empty for a node
    /// in another's namespace: they were moved to the owner.
    pub addresses: Vec<Address>,
    /// Static routes (moved to the owner likewise).
    pub routes: Vec<Route>,
    /// What is set on its interfaces when all are there (moved to the owner likewise).
    #[serde(default)]
    pub settings: Vec<Setting<String>>,
    /// Interfaces that its own commands make.
    #[serde(default)]
    pub late: Vec<LateInterface>,
    /// Those of them that it waits for before it is ready.
    #[serde(default)]
    pub waits_for_late: Vec<String>,
    /// What its own bridge is like, on a node of kind bridge.
    #[serde(default)]
    pub bridge: Option<Bridge>,
    /// Interfaces by which everything leaves with their address.
    #[serde(default)]
    pub masquerade: Vec<String>,
    /// Routes that its kernel has when it is ready.
    #[serde(default)]
    pub ready_routes: Vec<IpNet>,
    /// Sysctls, by dotted name (`net.ipv4.tcp_ecn`); only `net.*` can be set per node.
    pub sysctls: BTreeMap<String, String>,
    /// Duplicate address detection for IPv6 (off unless asked for: it costs over a second).
    pub dad: bool,
    /// A router's configuration in FRR's language.
    pub config: Option<String>,
    /// Where that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_place: Option<ConfigPlace>,
    /// Environment of everything started in the node.
    pub env: BTreeMap<String, String>,
    /// Files written before anything starts.
    pub files: Vec<File>,
    /// Host paths bound into the node.
    pub binds: Vec<Bind>,
    /// Other directories that are not of its root.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Commands run once, in order, when links are there.
    pub exec: Vec<Exec>,
    /// Commands run in order when it is ready, before others are told so.
    #[serde(default)]
    pub after_ready: Vec<Exec>,
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

/// Where the text of a configuration stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigPlace {
    /// Its file, where that is not the lab file.
    pub file: Option<PathBuf>,
    /// The line of its first line, from 1 on.
    pub line: usize,
}

impl ConfigPlace {
    /// Names a line of the text (from 1 on) as people find it: `line 17`, `/etc/router0.conf line 3`.
    pub fn name(&self, line: usize) -> String {
        let line = self.line + line.saturating_sub(1);
        match &self.file {
            None => format!("line {line}"),
            Some(file) => format!("{} line {line}", file.display()),
        }
    }
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

/// An interface that a node's own commands make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateInterface {
    /// Its name.
    pub interface: String,
    /// Bytes, where that is set.
    pub mtu: Option<u32>,
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

impl Node {
    /// Whether its own commands start FRR's daemons, by their script or one by one.
    pub fn runs_frr(&self) -> bool {
        let run = self.run.iter().map(|process| &process.command);
        let mut commands = self.exec.iter().map(|exec| &exec.command).chain(run);
        commands.any(Command::starts_frr)
    }

    /// Whether its own commands start FRR by its script.
    pub fn starts_frr(&self) -> bool {
        let run = self.run.iter().map(|process| &process.command);
        let mut commands = self.exec.iter().map(|exec| &exec.command).chain(run);
        commands.any(|command| command.argv().iter().any(|word| word.contains(FRR_SCRIPT)))
    }
}
