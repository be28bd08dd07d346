//! Nodes and pods.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::command::{ExecValue, RestartWord, RunValue};
use super::image::{HealthcheckValue, InitWord, PullWord, Words};
use super::interface::InterfaceTable;
use super::network::RouteTable;
use super::patterns::{
    AddressWithPrefix, BindText, Duration, MachineName, Mode, PublishedPortText, SharedNetwork, TmpfsText,
    VolumeText, WaitText,
};
use crate::file::kubernetes_schema::RoleWord;

/// A node, or what nodes inherit.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct NodeTable {
    /// What it is: one of nslab's own kinds, or one that a file says (nslab kinds lists them).
    kind: Option<KindValue>,
    /// Its model, of those that the file of its kind knows.
    #[schemars(rename = "type")]
    model: Option<String>,
    /// The license of the system in it, a file beside the lab file.
    license: Option<String>,
    /// The group whose table it inherits.
    group: Option<String>,
    /// The program that plays a router (auto takes FRR where it is installed, else the built-in speaker) or a Kubernetes node.
    engine: Option<EngineWord>,
    /// The image that it is, in place of the host's own files and programs: a name in a registry, oci:DIR[:TAG],
    /// oci-archive:FILE, docker-archive:FILE, dir:ROOT, docker-daemon:NAME or containers-storage:NAME.
    image: Option<String>,
    /// When the image is asked for where it comes from: only when it is missing (the default), each time, or never.
    image_pull: Option<PullWord>,
    /// The image's program and its first arguments, in place of the image's own.
    entrypoint: Option<Words>,
    /// What follows the entrypoint, in place of the image's own.
    cmd: Option<Words>,
    /// The user of whatever runs in the image: name or number, and perhaps a group.
    user: Option<String>,
    /// The directory in which the image's program starts.
    workdir: Option<String>,
    /// What asks the image's program whether it is well, in place of the image's own; false for nothing.
    healthcheck: Option<HealthcheckValue>,
    /// The signal that ends the image's program: SIGTERM, SIGRTMIN+3, 15.
    stop_signal: Option<String>,
    /// Who is the first process of the node: nslab's own, or the image's program (the default where that is called init or systemd).
    init: Option<InitWord>,
    /// What happens when the image's program ends (default on-failure).
    restart: Option<RestartWord>,
    /// Whether the image's program has a terminal (default true).
    terminal: Option<bool>,
    /// What it calls itself; its name where nothing is said.
    hostname: Option<MachineName>,
    /// Names by which other nodes find it, beside its own.
    aliases: Option<Vec<MachineName>>,
    /// Free labels.
    labels: Option<BTreeMap<String, Scalar>>,
    /// Whose network it lives in; its own where nothing is said.
    network: Option<SharedNetwork>,
    /// Whether it has a port (eth0) on the management network.
    mgmt: Option<MgmtPortValue>,
    /// Ports of its own that are reached on the host.
    ports: Option<Vec<PublishedPortText>>,
    /// Interfaces by which everything leaves with the address of the interface.
    masquerade: Option<Vec<String>>,
    /// Addresses by interface: lo, br0 of a bridge, or the end of a link.
    addresses: Option<BTreeMap<String, Vec<AddressWithPrefix>>>,
    /// Interfaces beside the ends of links, and what is set on those, by name.
    interfaces: Option<BTreeMap<String, InterfaceTable>>,
    /// Static routes.
    routes: Option<Vec<RouteTable>>,
    /// Sysctls below net, by name (quoted).
    sysctls: Option<BTreeMap<String, Scalar>>,
    /// Duplicate address detection for IPv6; costs over a second (default false).
    dad: Option<bool>,
    /// The pods on a Kubernetes node: how many, or which.
    pods: Option<PodsValue>,
    /// A router's configuration in FRR's language, or the first configuration of a node of a kind that a file says: the text, or the file it is in.
    config: Option<ConfigValue>,
    /// Environment of everything that runs in it.
    env: Option<BTreeMap<String, Scalar>>,
    /// Files written before anything starts, by absolute path in the node.
    files: Option<BTreeMap<String, FileTable>>,
    /// Host paths shown in the node.
    binds: Option<Vec<BindText>>,
    /// File systems in memory, empty at each start: path, and perhaps options.
    tmpfs: Option<Vec<TmpfsText>>,
    /// Directories of the lab's that begin empty and outlive a restart of the node: perhaps a name, by which nodes share one, and the path.
    volumes: Option<Vec<VolumeText>>,
    /// Commands run once, in order; in a node that is an image, once its program has been started.
    exec: Option<Vec<ExecValue>>,
    /// Commands run in order when it is ready, before others are told so.
    after_ready: Option<Vec<ExecValue>>,
    /// Long-running processes: tables, or command lines, which are named after their programs.
    run: Option<Vec<RunValue>>,
    /// What is there when it is ready, beside what it runs.
    ready: Option<NodeReadyTable>,
    /// What must be true of other nodes first.
    wait_for: Option<Vec<WaitText>>,
    /// Extra wait before it starts.
    startup_delay: Option<Duration>,
    /// CPU limit in cores.
    #[schemars(range(min = 0.01, max = 4096.0))]
    cpu: Option<f64>,
    /// Memory limit: bytes, or a number with K, M, G or T.
    memory: Option<MemoryValue>,
    /// Whether nothing is withheld from it: it can then do to this machine what root can (default false).
    privileged: Option<bool>,
    /// Capabilities of its processes beyond the usual ones, without CAP_.
    capabilities: Option<Vec<String>>,
    /// Absolute paths of the host that nodes do not see otherwise, such as /home.
    show_host: Option<Vec<String>>,
    /// Whether its users are its own, so that its root is nobody on the host (default false).
    user_namespace: Option<bool>,
    /// Other limits; each has a default.
    limits: Option<LimitsTable>,
    /// What a Kubernetes node is in its cluster.
    role: Option<RoleWord>,
    /// Its taints: key=value:effect.
    taints: Option<Vec<String>>,
    /// The addresses it is known by in its cluster.
    node_ips: Option<Vec<String>>,
}

/// What is there when a node is ready.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct NodeReadyTable {
    /// Routes that its kernel has.
    routes: Vec<AddressWithPrefix>,
}

/// The kinds of nodes.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum KindValue {
    /// One that nslab plays itself.
    Own(KindWord),
    /// One that a file says.
    Other(String),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum KindWord {
    /// A computer: forwards nothing.
    Host,
    /// A router: forwards, and runs a routing engine when it has a configuration.
    Router,
    /// An Ethernet switch.
    Bridge,
    /// A node of a Kubernetes cluster.
    K8s,
}

/// The engines of routers and of Kubernetes nodes.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum EngineWord {
    /// FRR where it is installed, else the built-in speaker.
    Auto,
    /// FRR's daemons.
    Frr,
    /// nslab's own speaker; a Kubernetes node without a Kubernetes.
    Builtin,
    /// A kubelet, for Kubernetes nodes.
    Kubelet,
}

/// Text, or a number or truth value taken as it is written.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::file) enum Scalar {
    Text(String),
    Number(f64),
    Truth(bool),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum MgmtPortValue {
    Wanted(bool),
    Port(MgmtPortTable),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum PodsValue {
    /// So many, called pod0, pod1 and so on.
    Count(#[schemars(range(min = 0, max = 110))] u8),
    /// These.
    Each(Vec<PodValue>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum PodValue {
    /// One of this name.
    Name(String),
    /// One with something in it.
    Pod(Box<PodTable>),
}

/// A pod.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct PodTable {
    /// Its name, without its node's.
    name: String,
    /// Free labels.
    labels: Option<BTreeMap<String, Scalar>>,
    /// Its ports by the names that services have for them.
    ports: Option<BTreeMap<String, u16>>,
    /// Environment of everything that is started in it.
    env: Option<BTreeMap<String, Scalar>>,
    /// Files by path.
    files: Option<BTreeMap<String, FileTable>>,
    /// Paths of the host shown in it.
    binds: Option<Vec<BindText>>,
    /// File systems in memory.
    tmpfs: Option<Vec<TmpfsText>>,
    /// Directories that outlive a restart.
    volumes: Option<Vec<VolumeText>>,
    /// Commands run once, in order; in a node that is an image, once its program has been started.
    exec: Option<Vec<ExecValue>>,
    /// Commands run in order when it is ready, before others are told so.
    after_ready: Option<Vec<ExecValue>>,
    /// Long-running processes: tables, or command lines, which are named after their programs.
    run: Option<Vec<RunValue>>,
    /// What it waits for.
    wait_for: Option<Vec<WaitText>>,
    /// Extra wait before it starts.
    startup_delay: Option<Duration>,
    /// Cores.
    #[schemars(range(min = 0.01, max = 4096.0))]
    cpu: Option<f64>,
    /// Bytes.
    memory: Option<MemoryValue>,
    /// Whether nothing is withheld from it.
    privileged: Option<bool>,
    /// Capabilities beyond the usual ones.
    capabilities: Option<Vec<String>>,
    /// Paths of the host that nodes do not see otherwise.
    show_host: Option<Vec<String>>,
    /// Other limits; each has a default.
    limits: Option<LimitsTable>,
}

/// A management port with fixed addresses.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct MgmtPortTable {
    /// Its IPv4 address.
    ipv4: Option<String>,
    /// Its IPv6 address.
    ipv6: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum ConfigValue {
    Text(String),
    File(ConfigTable),
}

/// A configuration in a file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ConfigTable {
    /// The file, relative to the lab file.
    file: String,
}

/// A file put into the node: `content` or `from`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct FileTable {
    /// Its text.
    content: Option<String>,
    /// A file or directory of the host that is copied, relative to the lab file.
    from: Option<String>,
    /// Permission bits in octal.
    mode: Option<Mode>,
    /// user or user:group.
    owner: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum MemoryValue {
    Bytes(u64),
    Text(String),
}

/// What a node may use at most, beside its CPU and its memory. Each may be "unlimited".
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct LimitsTable {
    /// Processes and threads (default 1024; 16384 where kubelets play the node).
    processes: Option<LimitValue>,
    /// What of its file system is its own: bytes, or a number with K, M, G or T (default 1G, or less on a small host).
    disk: Option<LimitValue>,
    /// Its log: bytes, or a number with K, M, G or T (default 10M).
    log: Option<LimitValue>,
    /// Files that each of its processes may have open (default 1024, which programs may raise).
    open_files: Option<LimitValue>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum LimitValue {
    Number(u64),
    /// An amount, or "unlimited".
    Text(String),
}
