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
    ("show evpn", instances::nothing),
    (
        "show (ip|ipv6) route (babel|eigrp|isis|nhrp|openfabric|ospf|ospf6|pbr|rip|ripng|table|vnc)",
        instances::nothing,
    ),
    ("show mac access-list [<name>]", instances::no_mac_lists),
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
        "show (ip|ipv6) route [vrf <vrf_name>] summary [table <table:1-4294967295>] [prefix] [json]",
        ip_route::summary,
    ),
    (
        "show (ip|ipv6) route [vrf <vrf_name>] table (all|<table:1-4294967295>) [json]",
        ip_route::table,
    ),
    (
        "show ip (nht|import-check) [vrf <vrf_name>] [<address:ipv4>]",
        nht::tracked,
    ),
    (
        "show ipv6 (nht|import-check) [vrf <vrf_name>] [<address:ipv6>]",
        nht::tracked,
    ),
    (
        "show (ip|ipv6) nht route-map [vrf <vrf_name>]",
        daemons::protocols,
    ),
    (
        "show ipv6 nd ra-interfaces [vrf <vrf_name>]",
        interfaces::advertising,
    ),
    ("show [(ip|ipv6)] router-id [vrf <vrf_name>]", daemons::router_id),
    ("show zebra", daemons::zebra),
    ("show modules", daemons::modules),
    ("show work-queues", daemons::work_queues),
    ("show thread cpu [<filter>]", daemons::threads),
    ("show thread (poll|timers)", daemons::threads),
    (
        "show nexthop-group rib <id:0-4294967295>",
        daemons::no_next_hop_group,
    ),
    ("show watchfrr", instances::nothing),
    ("show zebra client [summary]", instances::nothing),
    ("show zebra dplane [detailed]", instances::nothing),
    ("show error all", instances::nothing),
    ("show debugging hashtable [statistics]", instances::nothing),
    ("show interface [vrf <vrf_name>] brief [json]", interfaces::brief),
    (
        "show interface [vrf <vrf_name>] description",
        interfaces::descriptions,
    ),
    (
        "show interface description vrf <vrf_name>",
        interfaces::descriptions,
    ),
    (
        "show interface <name:interface> vrf <vrf_name> [json]",
        interface_details::details,
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
        "show (ip|ipv6) prefix-list (summary|detail) [<name>] [json]",
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
