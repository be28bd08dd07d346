//! The JSON Schema of `[[checks]]`; see [`super::schema`].

use schemars::JsonSchema;

use super::schema::{Duration, Interface, Scalar};

/// A check: one of run, shell, ping, tcp, route and bgp, and when its answer is right.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct CheckTable {
    /// What must be true, in words, for reports.
    name: String,
    /// The node it is made in, or several.
    node: OneOrMore,
    /// A command.
    run: Option<String>,
    /// A line for the shell.
    shell: Option<String>,
    /// What the command must do; without it, end with status 0.
    expect: Option<ExpectTable>,
    /// An echo request to an address or node must be answered.
    ping: Option<PingValue>,
    /// A TCP connection must be accepted: ADDRESS:PORT or NODE:PORT.
    tcp: Option<String>,
    /// The kernel must have this route.
    route: Option<CheckedRouteTable>,
    /// The router must have this BGP neighbor.
    bgp: Option<BgpTable>,
    /// How long the answer may take to become right; without it, asked once.
    within: Option<Duration>,
    /// How long it must then stay right.
    stays: Option<Duration>,
    /// Whether the opposite is wanted (default false).
    not: Option<bool>,
    /// When `nslab test` makes it: before the manifests, or after (the default).
    phase: Option<PhaseWord>,
}

/// What a command must do; all that is given must hold.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ExpectTable {
    /// The status it ends with (default 0).
    #[schemars(range(min = 0, max = 255))]
    exit: Option<u8>,
    /// All it prints, but for white space at both ends.
    stdout: Option<String>,
    /// Text that it prints, or several.
    contains: Option<OneOrMore>,
    /// A regular expression that matches somewhere in what it prints.
    matches: Option<String>,
    /// A jq expression on what it prints.
    jq: Option<String>,
    /// The value of the jq expression (default true).
    equals: Option<serde_json::Value>,
}

/// An echo request with its source.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct PingTable {
    /// An address, or a node's name.
    to: String,
    /// The source address.
    from: Option<String>,
}

/// A route of the kernel's; what is not given may be anything.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct CheckedRouteTable {
    /// The destination: default, a prefix, or an address.
    to: String,
    /// A next hop's gateway.
    via: Option<String>,
    /// A next hop's interface.
    dev: Option<Interface>,
    /// Who installed it: bgp, ospf, static, kernel …
    proto: Option<Scalar>,
    /// How many next hops it has.
    #[schemars(range(min = 0, max = 256))]
    nexthops: Option<u16>,
    /// Its priority.
    metric: Option<u32>,
    /// Its table (default 254, main).
    #[schemars(range(min = 1))]
    table: Option<u32>,
}

/// A BGP neighbor; what is not given may be anything.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct BgpTable {
    /// Its address, interface or host name.
    neighbor: String,
    /// The address family: ipv4 or ipv6.
    family: Option<FamilyWord>,
    /// The session's state: Established, Idle, Connect, Active, OpenSent or OpenConfirm.
    state: Option<StateWord>,
    /// Its AS number.
    #[schemars(rename = "as", range(min = 1))]
    remote_as: Option<u32>,
    /// Prefixes received from it.
    received: Option<u32>,
    /// Prefixes sent to it.
    sent: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum PingValue {
    To(String),
    Table(PingTable),
}

/// When a check is made.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum PhaseWord {
    /// Before the manifests.
    Before,
    /// When all is there.
    After,
}

/// An address family.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum FamilyWord {
    /// IPv4 unicast.
    Ipv4,
    /// IPv6 unicast.
    Ipv6,
}

/// A BGP session's state.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum StateWord {
    /// Prefixes are exchanged.
    Established,
    /// Not tried.
    Idle,
    /// Connecting.
    Connect,
    /// Waiting to be connected to.
    Active,
    /// OPEN was sent.
    OpenSent,
    /// OPEN was answered.
    OpenConfirm,
}
