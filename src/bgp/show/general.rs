//! Answers that are not BGP's alone.

use super::{
    Show, View, daemons, instances, interface_details, interfaces, ip_route, lists, nht, route_maps,
};
use crate::config::Arguments;

/// The commands that only show, beside those of BGP.
pub(crate) const GENERAL: &[(&str, Show)] = &[
    ("show (ip|ipv6) protocol [vrf <vrf_name>]", daemons::protocols),
    ("show logging", daemons::logging),
    ("show memory [(zebra|bgpd|watchfrr|staticd)]", daemons::memory),
    ("show route-map-unused", route_maps::unused),
    ("show vrf", instances::nothing),
    ("show mpls table", instances::nothing),
    ("show evpn [vni]", instances::nothing),
    (
        "show (ip|ipv6) route (babel|eigrp|isis|nhrp|openfabric|ospf|ospf6|pbr|rip|ripng|table|vnc) [json]",
        instances::nothing,
    ),
    ("show mac access-list", instances::no_mac_lists),
    ("show ip forwarding", forwarding),
    ("show ipv6 forwarding", forwarding6),
    (
        "show ip (route|fib) [vrf <vrf_name>] [(tag <tag_value:1-4294967295>|<prefix:prefix4> longer-prefixes)] \
         [(kernel|connected|static|bgp)] [json]",
        ip_route::table,
    ),
    (
        "show ipv6 (route|fib) [vrf <vrf_name>] [(tag <tag_value:1-4294967295>|<prefix:prefix6> longer-prefixes)] \
         [(kernel|connected|static|bgp)] [json]",
        ip_route::table,
    ),
    (
        "show ip (route|fib) [vrf <vrf_name>] (<prefix:prefix4>|<address:ipv4>) [json]",
        ip_route::entry,
    ),
    (
        "show ipv6 (route|fib) [vrf <vrf_name>] (<prefix:prefix6>|<address:ipv6>) [json]",
        ip_route::entry,
    ),
    (
        "show (ip|ipv6) route [vrf <vrf_name>] summary [json]",
        ip_route::summary,
    ),
    ("show ip nht [vrf default] [<address:ipv4>]", nht::tracked),
    ("show ipv6 nht [vrf default] [<address:ipv6>]", nht::tracked),
    ("show interface [vrf <vrf_name>] brief [json]", interfaces::brief),
    (
        "show interface [vrf <vrf_name>] description",
        interfaces::descriptions,
    ),
    ("show interface vrf <vrf_name> [json]", interface_details::details),
    (
        "show interface [<name:interface>] [json]",
        interface_details::details,
    ),
    (
        "show (ip|ipv6) prefix-list [<name> [seq <sequence:1-4294967295>]] [json]",
        lists::prefixes,
    ),
    (
        "show (ip|ipv6) prefix-list <name> <prefix:prefix> [(longer|first-match)]",
        lists::prefixes_of,
    ),
    (
        "show (ip|ipv6) prefix-list (summary|detail) [<name>]",
        lists::prefixes,
    ),
    ("show (ip|ipv6) access-list [<name>] [json]", lists::access),
    (
        "show [ip] bgp as-path-access-list [<name>] [json]",
        lists::as_paths,
    ),
    ("show ip as-path-access-list [<name>] [json]", lists::as_paths),
    ("show [ip] bgp community-list [<name> detail]", lists::communities),
    (
        "show [ip] bgp large-community-list [<name> detail]",
        lists::large_communities,
    ),
    (
        "show [ip] bgp extcommunity-list [<name> detail]",
        lists::extended_communities,
    ),
    ("show route-map [<name>] [json]", route_maps::route_maps),
];

fn forwarding(view: &View, _: &Arguments) -> String {
    format!("IP forwarding is {}\n", on(view.speaker.config().ipv4_forwarding))
}

fn forwarding6(view: &View, _: &Arguments) -> String {
    format!(
        "ipv6 forwarding is {}\n",
        on(view.speaker.config().ipv6_forwarding)
    )
}

fn on(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}
