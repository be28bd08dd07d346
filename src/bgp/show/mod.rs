//! vtysh's answers: what FRR 8.4 says about a router, as text and as JSON, of nslab's own speaker.

mod advertised;
mod attribute_info;
mod buckets;
mod capabilities;
mod clock;
mod daemons;
mod detail;
mod detail_json;
mod entry;
mod evpn;
mod evpn_routes;
mod evpn_vni;
mod evpn_vrf;
mod facts;
mod general;
mod groups;
mod idle;
mod instances;
mod interface_details;
mod interfaces;
mod ip_route;
mod ip_route_json;
mod json;
mod listed;
mod lists;
mod long;
mod matching;
mod memory;
mod neighbor;
mod neighbor_family;
mod neighbor_json;
mod neighbor_text;
mod neighbors;
mod nexthops;
mod nht;
mod path;
mod path_ids;
mod reset;
mod rib;
mod route_maps;
mod routes;
mod scope;
mod statistics;
mod summary;
mod update_groups;
mod vrf;

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::config::Arguments;
use super::session::Time;
use super::speaker::Speaker;
pub(crate) use facts::remote_as;
pub(crate) use general::GENERAL;
pub(crate) use idle::answers as idle_answers;
pub use long::{Begin, Beginning, Long};
pub(crate) use vrf::answer;

/// A speaker as it is shown at a moment.
#[derive(Clone, Copy)]
pub struct View<'s> {
    /// The speaker.
    pub speaker: &'s Speaker,
    /// The router that it is a VRF of; none for the router itself.
    pub outer: Option<&'s Speaker>,
    /// The moment, on the speaker's own clock.
    pub now: Time,
    /// The same moment as the time since 1970: some answers tell the hour.
    pub unix: Duration,
}

/// A pattern behind `show bgp` in all its spellings.
macro_rules! bgp {
    ($rest:literal) => {
        concat!(
            "show [ip] bgp [(vrf|view) <instance>] [(ipv4|ipv6) [unicast]] ",
            $rest
        )
    };
}

/// Gives an answer: all its lines, each ended.
pub type Show = fn(&View, &Arguments) -> String;

/// The commands that only show, their patterns in the form of `config::grammar`.
pub const ROWS: &[(&str, Show)] = &[
    (
        bgp!(
            "summary [established|failed] [neighbor <peer>|remote-as (<asn:1-4294967295>|internal|external)] \
             [terse] [wide] [json]"
        ),
        summary::summary,
    ),
    (bgp!("[wide|json [detail]]"), routes::table),
    (
        bgp!("(<address>|<prefix>) [bestpath|multipath|longer-prefixes] [json]"),
        entry::entry,
    ),
    (bgp!("all [wide|json [detail]]"), routes::all),
    (
        "show [ip] bgp [(vrf|view) <instance>] [(ipv4|ipv6) [unicast]] detail",
        routes::table,
    ),
    (
        "show [ip] bgp [(vrf|view) <instance>] [(ipv4|ipv6)] neighbors [<peer>] [json]",
        neighbors::neighbors,
    ),
    (
        "show bgp [(vrf|view) <instance>] [(ipv4|ipv6)] neighbors [<peer>] graceful-restart [json]",
        neighbors::graceful_restart,
    ),
    (
        bgp!(
            "neighbors <peer> \
             (advertised-routes|received-routes|filtered-routes|bestpath-routes|routes|prefix-counts) [wide|json]"
        ),
        advertised::routes,
    ),
    (bgp!("peer-group [<group>] [json]"), groups::groups),
    (
        bgp!("community [<value:community>...] [exact-match] [wide|json]"),
        matching::communities,
    ),
    (
        bgp!("large-community [<value>...] [exact-match] [wide|json]"),
        matching::large_communities,
    ),
    (bgp!("prefix-list <list> [wide|json]"), listed::by_prefix_list),
    (bgp!("access-list <list> [wide|json]"), listed::by_access_list),
    (bgp!("filter-list <list> [wide|json]"), listed::by_filter_list),
    (bgp!("route-map <list> [wide|json]"), listed::by_route_map),
    (
        bgp!("community-list <list> [exact-match] [wide|json]"),
        listed::by_community_list,
    ),
    (
        bgp!("large-community-list <list> [exact-match] [wide|json]"),
        listed::by_large_community_list,
    ),
    (bgp!("regexp <expression> [wide|json]"), matching::regexp),
    (bgp!("cidr-only [wide|json]"), matching::cidr_only),
    (
        bgp!("version <version:1-4294967295> [wide|json]"),
        matching::since_version,
    ),
    (bgp!("statistics [json]"), statistics::statistics),
    (
        "show [ip] bgp [(vrf|view) <instance>] statistics-all [json]",
        statistics::of_all,
    ),
    (
        "show [ip] bgp [(vrf|view) <instance>] nexthop [<address>] [detail]",
        nexthops::next_hops,
    ),
    (
        bgp!("update-groups [<number:1-4294967295>]"),
        update_groups::groups,
    ),
    (
        "show [ip] bgp [(vrf|view) <instance>] update-groups statistics",
        update_groups::statistics,
    ),
    ("show [ip] bgp attribute-info", attribute_info::attributes),
    ("show [ip] bgp memory", memory::usage),
    ("show bgp listeners", instances::listeners),
    ("show bgp mac hash", instances::macs),
    ("show bgp peerhash", instances::peer_hash),
    ("show bgp vrf <instance> vni", evpn_vrf::of_instance),
    ("show [ip] bgp vrfs [json]", instances::vrfs),
    ("show [ip] bgp views", instances::views),
    (
        "show bgp [(vrf|view) <instance>] martian next-hop",
        instances::own_addresses,
    ),
    (
        bgp!("neighbors <peer> received prefix-filter [json]"),
        instances::no_prefix_filter,
    ),
    (
        "show [ip] bgp all summary [(established|failed|terse|wide)] [json]",
        summary::summary,
    ),
    ("show [ip] bgp paths", instances::paths),
    ("show [ip] bgp community-info", instances::communities),
    (
        "show [ip] bgp [(vrf|view) <instance>] import-check-table [detail]",
        instances::import_check,
    ),
    (
        bgp!("dampening (dampened-paths|flap-statistics)"),
        instances::nothing,
    ),
    (bgp!("dampening parameters"), instances::no_dampening),
    (bgp!("route-leak"), instances::no_leaks),
    (bgp!("alias <alias>"), instances::nothing),
    (bgp!("rpki (valid|invalid)"), instances::nothing),
    (
        "show [ip] bgp [(vrf|view) <instance>] l2vpn evpn summary [established|failed] \
         [neighbor <peer>|remote-as (<asn:1-4294967295>|internal|external)] [terse] [wide] [json]",
        summary::summary,
    ),
    (
        "show [ip] bgp [(vrf|view) <instance>] (ipv4|ipv6) (vpn|multicast|labeled-unicast|flowspec) summary",
        instances::no_neighbors,
    ),
    ("show [ip] bgp l2vpn evpn [json]", evpn::table),
    (
        "show bgp [l2vpn] evpn route [type (ead|1|macip|2|multicast|3|es|4|prefix|5)] [json]",
        evpn::routes,
    ),
    (
        "show bgp l2vpn evpn route vni (all|<vni:1-16777215>) [type (ead|1|macip|2|multicast|3)] [json]",
        evpn_routes::of_vni,
    ),
    (
        "show bgp l2vpn evpn vni [<vni:1-16777215>] [json]",
        evpn_vni::of_bgp,
    ),
    ("show evpn vni [<vni:1-16777215>] [json]", evpn_vni::of_kernel),
    ("show evpn vni detail [json]", evpn_vni::all_of_kernel),
    (
        "show evpn rmac vni (all|<vni:1-16777215>) [json]",
        evpn_vrf::router_macs,
    ),
    (
        "show evpn rmac vni <vni:1-16777215> mac <mac>",
        evpn_vrf::router_mac,
    ),
    (
        "show evpn next-hops vni (all|<vni:1-16777215>) [json]",
        evpn_vrf::next_hops,
    ),
    (
        "show evpn next-hops vni <vni:1-16777215> ip <address>",
        evpn_vrf::next_hop,
    ),
    ("show vrf vni [json]", evpn_vrf::vrfs),
    ("show evpn mac vni (all|<vni:1-16777215>) [json]", evpn_vni::macs),
    (
        "show evpn arp-cache vni (all|<vni:1-16777215>) [json]",
        evpn_vni::neighbors,
    ),
    (
        bgp!("neighbors <peer> (flap-statistics|dampened-routes)"),
        instances::nothing,
    ),
];

/// Those of the commands above that show a whole table, by their patterns.
pub const LONG: &[(&str, Begin)] = &[
    (bgp!("[wide|json [detail]]"), long::table),
    (
        "show [ip] bgp [(vrf|view) <instance>] [(ipv4|ipv6) [unicast]] detail",
        long::table,
    ),
];

impl<'s> View<'s> {
    /// The router's own name.
    pub(crate) fn hostname(&self) -> &'s str {
        let configured = self.speaker.config().hostname.as_deref();
        configured.unwrap_or(self.speaker.hostname())
    }
}
