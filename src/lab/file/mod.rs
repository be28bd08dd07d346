//! The lab file as written: every value typed on its own, nothing yet put together, each knowing where it stands.
//!
//! [`read`] makes a [`Spec`] from TOML; other tools' files become one by way of `import`. What can be said of a
//! value alone (its type, its range, its form) is checked here; what needs the rest of the lab is checked by
//! [`super::resolve`].

mod check;
mod check_schema;
pub mod command;
mod document;
mod flow;
mod flow_schema;
pub mod image;
mod impair;
mod interface;
pub mod kind_file;
pub mod kubernetes;
mod kubernetes_schema;
mod limits;
mod link;
pub mod mounts;
mod networks;
mod node;
mod pods;
pub mod reader;
pub mod rights;
mod route;
mod scenario;
mod scenario_schema;
pub mod schema;
pub mod suggest;
#[cfg(test)]
mod tests;
pub mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{Deref, Range};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::check::{BgpWanted, Expect, Phase, RouteWanted};
use super::flow::Flow;
use super::model::{
    Command, EngineChoice, Exec, Kind, Limit, Mounted, OfKind, Process, PublishedPort, Stage,
};
use super::scenario::{Expectations, Step};

pub use document::read;
pub use image::ImageSpec;
pub use interface::InterfaceSpec;
pub use kubernetes::{Agent, CiliumSpec, Cni, Dns, Ipam, KubernetesSpec, NodeRole, Routing};
pub use link::{EndpointSpec, LinkSpec, LinkType, keys_of as keys_of_link};
pub use pods::PodSpec;
pub use route::{NextHopSpec, RouteActionSpec, RouteSpec};
pub use schema::schema;
pub use values::sysctl_path;

/// A place in the lab file, in bytes.
pub type Span = Range<usize>;

/// A value and the place it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Joins a value to its place.
    pub fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned::new(change(self.value), self.span)
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// A whole lab file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spec {
    /// The lab's name.
    pub name: Option<Spanned<String>>,
    /// Programs the lab needs on the host's PATH.
    pub requires: Vec<Spanned<String>>,
    /// Whether `nslab test` keeps a capture of it should a check fail.
    pub capture: bool,
    /// `[mgmt]`.
    pub mgmt: Option<MgmtSpec>,
    /// `[defaults]`: for every node.
    pub defaults: NodeSpec,
    /// `[kinds.X]`: for every node of a kind.
    pub kinds: BTreeMap<Kind, NodeSpec>,
    /// `[kinds.X]`: for every node of a kind that a file says.
    pub vendor_kinds: BTreeMap<String, NodeSpec>,
    /// `[groups.X]`: for every node of a group.
    pub groups: BTreeMap<String, NodeSpec>,
    /// `[nodes.X]`, in the order of the file.
    pub nodes: Vec<(Spanned<String>, NodeSpec)>,
    /// `[[links]]`, in the order of the file.
    pub links: Vec<LinkSpec>,
    /// `[kubernetes]`.
    pub kubernetes: Option<KubernetesSpec>,
    /// `[cilium]`.
    pub cilium: Option<CiliumSpec>,
    /// `[images]`.
    pub images: Option<Spanned<ImagesSpec>>,
    /// `[[checks]]`, in the order of the file.
    pub checks: Vec<CheckSpec>,
    /// `[[scenarios]]`, in the order of the file.
    pub scenarios: Vec<ScenarioSpec>,
    /// `[[flows]]`, in the order of the file.
    pub flows: Vec<FlowSpec>,
    /// Whether a link was left out because it could not be read, so that a missing interface proves nothing.
    pub partial_links: bool,
    /// Whether an address was left out because it could not be read, so that an unreachable gateway proves
    /// nothing.
    pub partial_addresses: bool,
}

/// `[images]`: how registries are reached.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImagesSpec {
    /// Hosts that are asked first in the place of a registry's.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts that are spoken to without TLS.
    pub insecure: Vec<String>,
    /// A file of certificates, as written.
    pub ca: Option<Spanned<String>>,
    /// What holds for one registry alone.
    pub registry: BTreeMap<String, RegistrySpec>,
}

/// `[images.registry."HOST:PORT"]`: files as written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegistrySpec {
    /// Whether it may be spoken to without TLS.
    pub insecure: bool,
    /// Certificates that its own may be signed by.
    pub ca: Option<Spanned<String>>,
    /// The certificate that it is shown, and the key of that.
    pub own: Option<(Spanned<String>, Spanned<String>)>,
}

/// `[mgmt]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MgmtSpec {
    /// Where the table stands.
    pub span: Span,
    /// Its name.
    pub network: Option<Spanned<String>>,
    /// Its bridge's name.
    pub bridge: Option<Spanned<String>>,
    /// IPv4 subnet; `Some(None)` for "none".
    pub ipv4_subnet: Option<Spanned<Option<Ipv4Net>>>,
    /// IPv6 subnet; `Some(None)` for "none".
    pub ipv6_subnet: Option<Spanned<Option<Ipv6Net>>>,
    /// Gateway.
    pub ipv4_gw: Option<Spanned<Ipv4Addr>>,
    /// Gateway.
    pub ipv6_gw: Option<Spanned<Ipv6Addr>>,
    /// Bytes.
    pub mtu: Option<Spanned<u32>>,
    /// IPv4 masquerade.
    pub nat: Option<Spanned<bool>>,
    /// IPv6 masquerade.
    pub nat6: Option<Spanned<bool>>,
}

/// A node, or what nodes inherit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeSpec {
    /// What it is.
    pub kind: Option<Spanned<Kind>>,
    /// What it is, where the file of a kind says so.
    pub vendor: Option<Spanned<String>>,
    /// Its model, of those that the file of its kind knows.
    pub model: Option<Spanned<String>>,
    /// The license of the system in it, a file on the host.
    pub license: Option<Spanned<String>>,
    /// What it has from the file of its kind.
    pub of_kind: Option<Box<OfKind>>,
    /// The group it belongs to.
    pub group: Option<Spanned<String>>,
    /// The engine of a router.
    pub engine: Option<Spanned<EngineChoice>>,
    /// The image that it is.
    pub image: ImageSpec,
    /// What it calls itself; its name where nothing is said.
    pub hostname: Option<Spanned<String>>,
    /// Names by which other nodes find it, beside its own.
    pub aliases: Option<Vec<Spanned<String>>>,
    /// The node whose network it shares.
    pub network: Option<Spanned<String>>,
    /// Its management port.
    pub mgmt: Option<Spanned<MgmtPortSpec>>,
    /// Its ports that are reached on the host.
    pub ports: Option<Vec<Spanned<PublishedPort>>>,
    /// Interfaces by which everything leaves with their address.
    pub masquerade: Option<Vec<Spanned<String>>>,
    /// Routes that it has when it is ready.
    pub ready_routes: Option<Vec<Spanned<IpNet>>>,
    /// Labels.
    pub labels: BTreeMap<String, Spanned<String>>,
    /// A pod's ports by their names.
    pub named_ports: BTreeMap<String, Spanned<u16>>,
    /// Addresses by interface, in the order of the file.
    pub addresses: Vec<AddressesSpec>,
    /// Interfaces beside the ends of links, in the order of the file.
    pub interfaces: Vec<InterfaceSpec>,
    /// Static routes.
    pub routes: Option<Vec<Spanned<RouteSpec>>>,
    /// Sysctls by canonical name (see [`sysctl_path`]); the span is the name's.
    pub sysctls: BTreeMap<String, Spanned<String>>,
    /// Duplicate address detection.
    pub dad: Option<Spanned<bool>>,
    /// A router's configuration.
    pub config: Option<Spanned<ConfigSpec>>,
    /// Environment.
    pub env: BTreeMap<String, Spanned<String>>,
    /// Files by path, in the order of the file.
    pub files: Vec<FileSpec>,
    /// Host paths shown in the node.
    pub binds: Vec<BindSpec>,
    /// Other directories that are not of its root.
    pub mounts: Vec<MountSpec>,
    /// Commands run once.
    pub exec: Option<Vec<Exec>>,
    /// Commands run once it is ready.
    pub after_ready: Option<Vec<Exec>>,
    /// Long-running processes; the span is the name's.
    pub run: Option<Vec<Spanned<Process>>>,
    /// What it waits for.
    pub wait_for: Option<Vec<Spanned<WaitSpec>>>,
    /// Extra wait.
    pub startup_delay: Option<Spanned<Duration>>,
    /// Cores.
    pub cpu: Option<Spanned<f64>>,
    /// Bytes.
    pub memory: Option<Spanned<u64>>,
    /// Whether nothing is withheld from it.
    pub privileged: Option<Spanned<bool>>,
    /// Capabilities beyond the usual ones, by their canonical names.
    pub capabilities: Option<Vec<Spanned<String>>>,
    /// Paths of the host that nodes do not see otherwise.
    pub show_host: Option<Vec<Spanned<String>>>,
    /// Whether its users are its own.
    pub user_namespace: Option<Spanned<bool>>,
    /// Other limits.
    pub limits: LimitsSpec,
    /// What a Kubernetes node is in its cluster.
    pub role: Option<Spanned<NodeRole>>,
    /// Its taints, as kubectl writes them: `key=value:effect`.
    pub taints: Option<Vec<Spanned<String>>>,
    /// The addresses it is known by in its cluster.
    pub node_ips: Option<Vec<Spanned<IpAddr>>>,
    /// The pods on a Kubernetes node.
    pub pods: Option<Spanned<Vec<PodSpec>>>,
}

/// Limits of a node, beside those on its CPU and its memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LimitsSpec {
    /// Processes and threads.
    pub processes: Option<Spanned<Limit>>,
    /// Bytes of its file system that are its own.
    pub disk: Option<Spanned<Limit>>,
    /// Bytes of its log.
    pub log: Option<Spanned<Limit>>,
    /// Files that each of its processes may have open.
    pub open_files: Option<Spanned<Limit>>,
}

/// `mgmt = true`, `mgmt = false` or `mgmt = { ipv4 = …, ipv6 = … }`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MgmtPortSpec {
    /// Whether the node wants one at all.
    pub wanted: bool,
    /// Fixed address.
    pub ipv4: Option<Spanned<Ipv4Addr>>,
    /// Fixed address.
    pub ipv6: Option<Spanned<Ipv6Addr>>,
}

/// The addresses of one interface.
#[derive(Debug, Clone, PartialEq)]
pub struct AddressesSpec {
    /// The interface.
    pub interface: Spanned<String>,
    /// Its addresses.
    pub nets: Vec<Spanned<IpNet>>,
}

/// A router's configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigSpec {
    /// In the lab file.
    Text {
        /// It.
        text: String,
        /// The line of the lab file on which it begins.
        line: usize,
    },
    /// In a file beside it.
    File(Spanned<String>),
}

/// A file put into the node.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSpec {
    /// Absolute path in the node.
    pub path: Spanned<String>,
    /// What goes there.
    pub content: ContentSpec,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub owner: Option<String>,
}

/// A file's content.
#[derive(Debug, Clone, PartialEq)]
pub enum ContentSpec {
    /// In the lab file.
    Text(String),
    /// A path on the host.
    From(Spanned<String>),
}

/// A host path shown in the node.
#[derive(Debug, Clone, PartialEq)]
pub struct BindSpec {
    /// On the host, as written.
    pub source: Spanned<String>,
    /// In the node, absolute.
    pub target: String,
    /// Whether the node may not write.
    pub read_only: bool,
}

/// A directory of a node that is not of its root.
#[derive(Debug, Clone, PartialEq)]
pub struct MountSpec {
    /// In the node, absolute.
    pub target: Spanned<String>,
    /// What is there.
    pub what: Mounted,
}

/// An entry of `wait_for`.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitSpec {
    /// The node.
    pub node: String,
    /// The stage.
    pub stage: Stage,
}

/// A flow, and where what it says stands.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// Who sends.
    pub from: Span,
    /// Who receives.
    pub to: Span,
    /// What is said of it.
    pub flow: Flow,
}

/// A check.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// The nodes it is made in.
    pub nodes: Vec<Spanned<String>>,
    /// What it asks.
    pub question: QuestionSpec,
    /// How long the answer may take to become right.
    pub within: Duration,
    /// How long it must stay right.
    pub stays: Duration,
    /// Whether the opposite is wanted.
    pub not: bool,
    /// When it is made.
    pub phase: Phase,
    /// The line it stands in.
    pub line: usize,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioSpec {
    /// Its name.
    pub name: Spanned<String>,
    /// The flows that run while it is played; `*` is all of them.
    pub flows: Vec<Spanned<String>>,
    /// What happens.
    pub steps: Vec<Spanned<Step>>,
    /// What must be true.
    pub expect: Expectations,
    /// Whether packets are kept for one that fails.
    pub capture: bool,
    /// The line it stands in.
    pub line: usize,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq)]
pub enum QuestionSpec {
    /// A command in the node.
    Run {
        /// What to run.
        command: Command,
        /// What it must do.
        expect: Expect,
    },
    /// An echo request.
    Ping(PingSpec),
    /// A TCP connection.
    Tcp(TcpSpec),
    /// A route of the kernel's.
    Route(RouteWanted),
    /// A BGP neighbor.
    Bgp(BgpWanted),
}

/// An echo request.
#[derive(Debug, Clone, PartialEq)]
pub struct PingSpec {
    /// An address or a node's name.
    pub to: Spanned<String>,
    /// The source.
    pub from: Option<Spanned<IpAddr>>,
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpSpec {
    /// An address or a node's name.
    pub to: Spanned<String>,
    /// The port.
    pub port: u16,
}
