//! The JSON Schema of the lab file, for editors. These types exist for their schema only; a test holds their keys
//! to those that the reader knows.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::check_schema::CheckTable;
use super::kubernetes_schema::{CiliumTable, KubernetesTable, RoleWord};

/// The JSON Schema (draft 2020-12) of the lab file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(LabFile).to_value()
}

/// Makes a string schema with a pattern.
macro_rules! pattern {
    ($name:ident, $pattern:literal, $description:literal) => {
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "description": $description,
                })
            }
        }
    };
}

pattern!(
    Duration,
    "^[0-9]+(\\.[0-9]+)?(ms|s|m|min|h)$",
    "A number and a unit: 500ms, 2s, 1m."
);
pattern!(
    MacAddress,
    "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$",
    "A MAC address: 02:00:00:00:00:01."
);
pattern!(
    Interface,
    "^[A-Za-z0-9._][A-Za-z0-9._-]{0,14}$",
    "The name of an interface, at most 15 characters."
);
pattern!(Mode, "^[0-7]{1,5}$", "Permission bits in octal: 0640.");
pattern!(
    BindText,
    "^[^:]+:/[^:]+(:(ro|rw))?$",
    "Host path, path in the node, and perhaps ro: data/:/data:ro."
);
pattern!(
    PublishedPortText,
    "^(([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):)?[0-9]+:[0-9]+(/tcp)?$",
    "[ADDRESS:]HOSTPORT:PORT, on the host's loopback where no address is given: 8080:80."
);
pattern!(
    WaitText,
    "^[^:]+(:(created|links|configured|ready))?$",
    "A node, or a node and the stage it must reach."
);
pattern!(
    SharedNetwork,
    "^(node:.+|host)$",
    "node:NAME: the network of that node; host: this machine's."
);
pattern!(
    AddressWithPrefix,
    "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
    "An address with its prefix length: 10.0.1.2/24."
);
pattern!(
    EndpointText,
    "^[^:]+:[^:]+$",
    "NODE:INTERFACE; host:INTERFACE is an interface of this machine."
);

/// A network lab for nslab.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct LabFile {
    /// The lab's name: lower-case letters, digits and hyphens.
    #[schemars(length(min = 1, max = 48), regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    name: String,
    /// Programs that must be on the host's PATH.
    requires: Option<Vec<String>>,
    /// The management network: eth0 on the nodes that say `mgmt = true`.
    mgmt: Option<MgmtTable>,
    /// What every node has unless it says otherwise.
    defaults: Option<NodeTable>,
    /// What every node of a kind has: host, router, bridge.
    kinds: Option<KindsTable>,
    /// What every node has that says `group = "NAME"`.
    groups: Option<BTreeMap<String, NodeTable>>,
    /// The nodes by name.
    nodes: Option<BTreeMap<String, NodeTable>>,
    /// The links between nodes.
    links: Option<Vec<LinkTable>>,
    /// The Kubernetes cluster.
    kubernetes: Option<KubernetesTable>,
    /// The pods' network.
    cilium: Option<CiliumTable>,
    /// What must be true of the lab once it lives: `nslab test` and `nslab check` see to it.
    checks: Option<Vec<CheckTable>>,
}

/// What every node of a kind has.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct KindsTable {
    /// For every host.
    host: Option<NodeTable>,
    /// For every router.
    router: Option<NodeTable>,
    /// For every bridge.
    bridge: Option<NodeTable>,
}

/// The management network.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct MgmtTable {
    /// Its name in listings.
    network: Option<String>,
    /// The name of its bridge.
    bridge: Option<Interface>,
    /// Its IPv4 subnet (default 172.20.20.0/24), or none.
    ipv4_subnet: Option<String>,
    /// Its IPv6 subnet (default 2001:172:20:20::/64), or none.
    ipv6_subnet: Option<String>,
    /// The gateway's IPv4 address (default: the first of the subnet).
    ipv4_gw: Option<String>,
    /// The gateway's IPv6 address (default: the first of the subnet).
    ipv6_gw: Option<String>,
    /// Bytes a packet.
    #[schemars(range(min = 68, max = 65535))]
    mtu: Option<u32>,
    /// Whether nodes reach the outside by IPv4 (default true).
    nat: Option<bool>,
    /// Whether nodes reach the outside by IPv6 (default false).
    nat6: Option<bool>,
}

/// A node, or what nodes inherit.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct NodeTable {
    /// What it is.
    kind: Option<KindWord>,
    /// The group whose table it inherits.
    group: Option<String>,
    /// The program that plays a router (auto takes FRR where it is installed, else the built-in speaker) or a Kubernetes node.
    engine: Option<EngineWord>,
    /// Free labels.
    labels: Option<BTreeMap<String, Scalar>>,
    /// Whose network it lives in; its own where nothing is said.
    network: Option<SharedNetwork>,
    /// Whether it has a port (eth0) on the management network.
    mgmt: Option<MgmtPortValue>,
    /// TCP ports of its own that are reached on the host.
    ports: Option<Vec<PublishedPortText>>,
    /// Addresses by interface: lo, br0 of a bridge, or the end of a link.
    addresses: Option<BTreeMap<String, Vec<AddressWithPrefix>>>,
    /// Static routes.
    routes: Option<Vec<RouteTable>>,
    /// Sysctls below net, by name (quoted).
    sysctls: Option<BTreeMap<String, Scalar>>,
    /// Duplicate address detection for IPv6; costs over a second (default false).
    dad: Option<bool>,
    /// The pods on a Kubernetes node: how many, or which.
    pods: Option<PodsValue>,
    /// A router's configuration in FRR's language: the text, or the file it is in.
    config: Option<ConfigValue>,
    /// Environment of everything that runs in it.
    env: Option<BTreeMap<String, Scalar>>,
    /// Files written before anything starts, by absolute path in the node.
    files: Option<BTreeMap<String, FileTable>>,
    /// Host paths shown in the node.
    binds: Option<Vec<BindText>>,
    /// Commands run once, in order.
    exec: Option<Vec<ExecValue>>,
    /// Long-running processes.
    run: Option<Vec<RunTable>>,
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

/// The kinds of nodes.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum KindWord {
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
enum EngineWord {
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
pub(super) enum Scalar {
    Text(String),
    Number(f64),
    Truth(bool),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum MgmtPortValue {
    Wanted(bool),
    Port(MgmtPortTable),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum PodsValue {
    /// So many, called pod0, pod1 and so on.
    Count(#[schemars(range(min = 0, max = 110))] u8),
    /// These.
    Each(Vec<PodValue>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum PodValue {
    /// One of this name.
    Name(String),
    /// One with something in it.
    Pod(Box<PodTable>),
}

/// A pod.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct PodTable {
    /// Its name, without its node's.
    name: String,
    /// Free labels.
    labels: Option<BTreeMap<String, Scalar>>,
    /// Environment of everything that is started in it.
    env: Option<BTreeMap<String, Scalar>>,
    /// Files by path.
    files: Option<BTreeMap<String, FileTable>>,
    /// Paths of the host shown in it.
    binds: Option<Vec<BindText>>,
    /// Commands run once, in order.
    exec: Option<Vec<ExecValue>>,
    /// Long-running processes.
    run: Option<Vec<RunTable>>,
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
struct MgmtPortTable {
    /// Its IPv4 address.
    ipv4: Option<String>,
    /// Its IPv6 address.
    ipv6: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum ConfigValue {
    Text(String),
    File(ConfigTable),
}

/// A configuration in a file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ConfigTable {
    /// The file, relative to the lab file.
    file: String,
}

/// A file put into the node: `content` or `from`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct FileTable {
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
enum ExecValue {
    Text(String),
    Table(ExecTable),
}

/// A command run once: `command` or `shell`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ExecTable {
    /// The command, split into words as a shell would.
    command: Option<String>,
    /// A line for sh -c.
    shell: Option<String>,
    /// Whether a failure is only reported (default false).
    may_fail: Option<bool>,
}

/// A long-running process: `command` or `shell`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct RunTable {
    /// Its name in listings and logs.
    name: String,
    /// The command, split into words as a shell would.
    command: Option<String>,
    /// A line for sh -c.
    shell: Option<String>,
    /// When it is started again after it ended (default on-failure).
    restart: Option<RestartWord>,
    /// What shows that it is ready.
    ready: Option<ReadyTable>,
    /// The user it runs as.
    user: Option<String>,
    /// The directory it starts in.
    workdir: Option<String>,
    /// Whether it has a terminal of its own, as a shell wants that nobody types to (default false).
    terminal: Option<bool>,
    /// Environment on top of the node's.
    env: Option<BTreeMap<String, Scalar>>,
}

/// When an ended process is started again.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum RestartWord {
    /// Never.
    No,
    /// After a failure.
    OnFailure,
    /// After any end.
    Always,
}

/// What shows that a process is ready: one of these.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ReadyTable {
    /// Something listens on this TCP port.
    #[schemars(range(min = 1, max = 65535))]
    tcp: Option<u16>,
    /// This path exists in the node.
    file: Option<String>,
    /// This command succeeds in the node.
    exec: Option<String>,
}

/// A static route.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct RouteTable {
    /// The destination: default, a prefix, or an address.
    to: String,
    /// What happens to packets; without it they are forwarded.
    #[schemars(rename = "type")]
    kind: Option<RouteWord>,
    /// The gateway.
    via: Option<String>,
    /// The interface.
    dev: Option<Interface>,
    /// Several gateways that share the load.
    #[schemars(length(min = 1))]
    nexthops: Option<Vec<NextHopTable>>,
    /// Priority: the lowest wins.
    metric: Option<u32>,
    /// Routing table (default 254, main).
    #[schemars(range(min = 1))]
    table: Option<u32>,
}

/// The types of routes.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum RouteWord {
    /// Forward.
    Unicast,
    /// Drop silently.
    Blackhole,
    /// Drop with ICMP unreachable.
    Unreachable,
    /// Drop with ICMP administratively prohibited.
    Prohibit,
}

/// One of several gateways.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct NextHopTable {
    /// The gateway.
    via: Option<String>,
    /// The interface.
    dev: Option<Interface>,
    /// Its share of the load (default 1).
    #[schemars(range(min = 1, max = 256))]
    weight: Option<u16>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum MemoryValue {
    Bytes(u64),
    Text(String),
}

/// What a node may use at most, beside its CPU and its memory. Each may be "unlimited".
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct LimitsTable {
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
enum LimitValue {
    Number(u64),
    /// An amount, or "unlimited".
    Text(String),
}

/// A link.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct LinkTable {
    /// What it is made of (default veth).
    #[schemars(rename = "type")]
    kind: Option<LinkWord>,
    /// Its ends: two of a veth, one of the others.
    #[schemars(length(min = 1, max = 2))]
    endpoints: Vec<EndpointValue>,
    /// Bytes a packet.
    #[schemars(range(min = 68, max = 65535))]
    mtu: Option<u32>,
    /// Whether checksums may be left out between its ends (default true).
    offload: Option<bool>,
    /// host: the name of the end on the host. macvlan: the interface of the host it sits on.
    host_interface: Option<Interface>,
    /// macvlan: how siblings see each other (default bridge).
    mode: Option<ModeWord>,
    /// vxlan: the network identifier.
    #[schemars(range(min = 1, max = 16777215))]
    vni: Option<u32>,
    /// vxlan: the other end's address.
    remote: Option<String>,
    /// vxlan: this end's address.
    local: Option<String>,
    /// vxlan: the UDP port (default 4789).
    #[schemars(range(min = 1, max = 65535))]
    udp_port: Option<u16>,
    /// vxlan: whose network carries the packets (default host).
    underlay: Option<UnderlayWord>,
}

/// The types of links.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum LinkWord {
    /// Between two nodes.
    Veth,
    /// Between a node and the host.
    Host,
    /// On top of an interface of the host.
    Macvlan,
    /// A tunnel.
    Vxlan,
    /// An interface that leads nowhere.
    Dummy,
    /// A port on the management network.
    Mgmt,
}

/// Modes of a macvlan.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum ModeWord {
    /// Siblings talk to each other directly.
    Bridge,
    /// Siblings never hear each other.
    Private,
    /// Everything goes out to the switch first.
    Vepa,
    /// The only one on its parent.
    Passthru,
}

/// Whose network carries a tunnel.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum UnderlayWord {
    /// The host's.
    Host,
    /// The node's own.
    Node,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum EndpointValue {
    Text(EndpointText),
    Table(EndpointTable),
}

/// An end of a link with more to say.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct EndpointTable {
    /// The node, or host for this machine.
    node: String,
    /// The interface.
    interface: Interface,
    /// Its MAC address; by default derived from the names.
    mac: Option<MacAddress>,
    /// An IPv4 address.
    ipv4: Option<AddressWithPrefix>,
    /// An IPv6 address.
    ipv6: Option<AddressWithPrefix>,
}
