//! Routes and links.

use schemars::JsonSchema;

use super::patterns::{
    AddressWithPrefix, DelayText, EndpointText, Interface, MacAddress, RateText, ShareText,
};

/// A static route.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RouteTable {
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
    /// The VRF of the node whose table it is in.
    vrf: Option<Interface>,
}

/// The types of routes.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum RouteWord {
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
pub(super) struct NextHopTable {
    /// The gateway.
    via: Option<String>,
    /// The interface.
    dev: Option<Interface>,
    /// Its share of the load (default 1).
    #[schemars(range(min = 1, max = 256))]
    weight: Option<u16>,
}

/// A link.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct LinkTable {
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
    /// vxlan: whether it learns where addresses are from what arrives (default true).
    learning: Option<bool>,
    /// vxlan: whose network carries the packets (default host).
    underlay: Option<UnderlayWord>,
    /// What it does to packets: in both directions, or in each.
    impair: Option<ImpairTable>,
}

/// What is done to the packets of both directions, or of each.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ImpairTable {
    /// To what the first end sends, in place of the keys beside it.
    a_to_b: Option<DirectionTable>,
    /// To what the second end sends.
    b_to_a: Option<DirectionTable>,
    /// How much later each packet comes.
    delay: Option<DelayText>,
    /// How much the delay differs at most, up and down.
    jitter: Option<DelayText>,
    /// How many packets are lost.
    loss: Option<ShareText>,
    /// How many bits pass in a second.
    rate: Option<RateText>,
    /// How many packets overtake those that are delayed.
    reorder: Option<ShareText>,
    /// How many packets come twice.
    duplicate: Option<ShareText>,
    /// How many packets have one bit changed.
    corrupt: Option<ShareText>,
    /// Where the random numbers begin, so that they are the same again.
    #[schemars(range(min = 0, max = 9223372036854775807u64))]
    seed: Option<u64>,
    /// The only packets that it is done to, in pcap's language.
    only: Option<String>,
}

/// What is done to the packets of one direction.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct DirectionTable {
    /// How much later each packet comes.
    delay: Option<DelayText>,
    /// How much the delay differs at most, up and down.
    jitter: Option<DelayText>,
    /// How many packets are lost.
    loss: Option<ShareText>,
    /// How many bits pass in a second.
    rate: Option<RateText>,
    /// How many packets overtake those that are delayed.
    reorder: Option<ShareText>,
    /// How many packets come twice.
    duplicate: Option<ShareText>,
    /// How many packets have one bit changed.
    corrupt: Option<ShareText>,
    /// Where the random numbers begin, so that they are the same again.
    #[schemars(range(min = 0, max = 9223372036854775807u64))]
    seed: Option<u64>,
    /// The only packets that it is done to, in pcap's language.
    only: Option<String>,
}

/// The types of links.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum LinkWord {
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
pub(super) enum ModeWord {
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
pub(super) enum UnderlayWord {
    /// The host's.
    Host,
    /// The node's own.
    Node,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum EndpointValue {
    Text(EndpointText),
    Table(EndpointTable),
}

/// An end of a link with more to say.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct EndpointTable {
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
