//! The table of all commands of the configuration.

use std::sync::LazyLock;

use super::edit::{Handler, Place, Rows};
use super::grammar::{Command, Table};
use super::{
    evpn, general, lists, neighbor_discovery, neighbor_families, neighbors, route_maps, routers, vrf,
};

/// Every command and where it may stand.
pub(super) static TABLE: LazyLock<Table<Place, Handler>> = LazyLock::new(|| {
    let rows = PARTS.iter().flat_map(|(places, rows)| {
        let command = |(pattern, handler): &'static (&'static str, Handler)| Command {
            modes: places,
            pattern,
            id: *handler,
        };
        rows.iter().map(command)
    });
    Table::new(rows, SENTENCES)
});

const TOP: &[Place] = &[Place::Configure];
const FAMILIES: &[Place] = &[Place::Bgp, Place::Ipv4, Place::Ipv6];

const EVERYWHERE: &[Place] = &[
    Place::Configure,
    Place::Interface,
    Place::RouteMap,
    Place::Bgp,
    Place::Ipv4,
    Place::Ipv6,
    Place::Evpn,
    Place::Vni,
    Place::Vrf,
    Place::Line,
];

const PARTS: &[(&[Place], Rows)] = &[
    (EVERYWHERE, general::LEAVING),
    (
        &[Place::Ipv4, Place::Ipv6, Place::Evpn, Place::Vni],
        general::LEAVING_FAMILY,
    ),
    (TOP, general::HOST),
    (&[Place::Interface], general::INTERFACE),
    (&[Place::Interface], neighbor_discovery::NEIGHBOR_DISCOVERY),
    (&[Place::Line], general::LINE),
    (TOP, lists::LISTS),
    (TOP, route_maps::ROUTE_MAPS),
    (&[Place::RouteMap], route_maps::ENTRY),
    (TOP, routers::ROUTER),
    (&[Place::Bgp], routers::BGP),
    (FAMILIES, routers::FAMILY),
    (&[Place::Bgp, Place::Ipv4], routers::FAMILY4),
    (&[Place::Ipv6], routers::FAMILY6),
    (&[Place::Bgp], neighbors::NEIGHBORS),
    (FAMILIES, neighbor_families::FAMILY),
    (&[Place::Ipv4, Place::Ipv6], neighbor_families::INSIDE),
    (&[Place::Ipv6], neighbor_families::FAMILY6),
    (TOP, evpn::TOP),
    (TOP, vrf::TOP),
    (&[Place::Vrf], vrf::VRF),
    (&[Place::Bgp], evpn::ENTER),
    (&[Place::Evpn], evpn::EVPN),
    (&[Place::Evpn], neighbor_families::EVPN),
    (&[Place::Vni], evpn::VNI),
];

/// Sentences of the help, by keyword or argument.
const SENTENCES: &[(&str, &str)] = &[
    ("no", "Negate a command or set its defaults"),
    ("router", "Enable a routing process"),
    ("bgp", "BGP information"),
    ("neighbor", "Specify neighbor router"),
    ("peer", "Neighbor address or interface, or peer-group name"),
    ("peer-group", "Configure peer-group or member of one"),
    ("group", "Name of the peer-group"),
    ("remote-as", "Specify a BGP neighbor's AS"),
    ("asn", "AS number"),
    ("internal", "Internal BGP peer"),
    ("external", "External BGP peer"),
    ("address-family", "Enter address family"),
    ("ipv4", "IPv4"),
    ("ipv6", "IPv6"),
    ("unicast", "Unicast"),
    ("l2vpn", "Layer 2 VPN"),
    ("evpn", "Ethernet Virtual Private Network"),
    ("vni", "VXLAN network identifier"),
    ("advertise-all-vni", "Advertise all local VNIs"),
    ("advertise", "Advertise prefix routes"),
    ("rd", "Route distinguisher"),
    ("route-target", "Route target"),
    ("both", "Import and export"),
    ("import", "Import"),
    ("export", "Export"),
    ("network", "Specify a network to announce via BGP"),
    ("aggregate-address", "Configure BGP aggregate entries"),
    (
        "redistribute",
        "Redistribute information from another routing protocol",
    ),
    ("connected", "Connected routes (directly attached subnet or host)"),
    ("static", "Statically configured routes"),
    ("kernel", "Kernel routes (not installed by this router)"),
    ("activate", "Enable the address family for this neighbor"),
    ("timers", "Adjust routing timers"),
    ("keepalive", "Keepalive interval"),
    ("hold", "Holdtime"),
    ("connect", "BGP connect timer"),
    ("password", "Set a password"),
    ("description", "Description"),
    ("shutdown", "Administratively shut down"),
    ("route-map", "A route-map"),
    ("prefix-list", "A prefix-list"),
    ("filter-list", "An as-path access-list"),
    ("distribute-list", "An access-list"),
    ("in", "Incoming updates"),
    ("out", "Outgoing updates"),
    ("permit", "Let what matches through"),
    ("deny", "Refuse what matches"),
    ("seq", "Sequence number of an entry"),
    ("match", "Match values from routing table"),
    ("set", "Set values in destination routing protocol"),
    (
        "next-hop-self",
        "Disable the next hop calculation for this neighbor",
    ),
    ("force", "Also for reflected routes"),
    ("default-originate", "Originate default route to this neighbor"),
    (
        "ebgp-multihop",
        "Allow EBGP neighbors not on directly connected networks",
    ),
    ("update-source", "Source of routing updates"),
    ("maximum-paths", "Forward packets over multiple paths"),
    (
        "maximum-prefix",
        "Maximum number of prefixes to accept from this peer",
    ),
    (
        "route-reflector-client",
        "Configure a neighbor as route reflector client",
    ),
    ("send-community", "Send community attribute to this neighbor"),
    ("interface", "An interface"),
    ("hostname", "Set the system's network name"),
];
