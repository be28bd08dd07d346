//! Commands of `router bgp` and its address families, but for neighbors.

use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::argument::Arguments;
use super::edit::{Edit, Mode, Rows, ignored, needs_frr, needs_frr_block, number, option, said, switch};
use super::general::prefix;
use super::mistake::Refusal;
use super::model::Profile;
use super::policy::Family;
use super::route_maps::origin;
use super::router::{Aggregate, Bgp, Earlier, Flags, Group, MAXIMUM_PATHS, Network, Redistribute, Source};
use super::settings::{Addpath, Timers};

/// Commands at the top.
pub(super) const ROUTER: Rows = &[
    ("router bgp [<asn:1-4294967295>]", enter),
    ("no router bgp [<asn:1-4294967295>]", |e, a| {
        let asn: Option<u32> = a.optional("asn")?;
        match &e.config.bgp {
            Some(bgp) if asn.is_none_or(|asn| asn == bgp.asn) => e.config.bgp = None,
            _ => return Err(Refusal::invalid("there is no such BGP router")),
        }
        Ok(())
    }),
];

/// Commands in `router bgp`.
pub(super) const BGP: Rows = &[
    ("bgp router-id ~ <address:ipv4>", |e, a| {
        option(&mut e.bgp()?.router_id, a, "address")
    }),
    (
        "bgp cluster-id ~ (<address:ipv4>|<number:1-4294967295>)",
        |e, a| {
            let number = a.optional::<u32>("number")?.map(Ipv4Addr::from);
            said(&mut e.bgp()?.cluster_id, a, || {
                number.map_or_else(|| a.value("address"), Ok)
            })
        },
    ),
    ("timers bgp ~ <keepalive:0-65535> <hold:0-65535>", |e, a| {
        let defaults = e.config.profile.defaults();
        let default = Timers {
            keepalive: defaults.keepalive,
            hold: defaults.hold,
        };
        e.bgp()?.timers = if a.no() { default } else { timers(a)? };
        Ok(())
    }),
    ("bgp minimum-holdtime ~ <seconds:1-65535>", |e, a| {
        option(&mut e.bgp()?.minimum_hold, a, "seconds")
    }),
    ("[no] bgp fast-external-failover", |e, a| {
        switch(&mut e.bgp()?.flags.fast_external_failover, a)
    }),
    ("[no] bgp log-neighbor-changes", |e, a| {
        switch(&mut e.bgp()?.flags.log_neighbor_changes, a)
    }),
    ("[no] bgp always-compare-med", |e, a| {
        switch(&mut e.bgp()?.flags.always_compare_med, a)
    }),
    ("[no] bgp ebgp-requires-policy", |e, a| {
        switch(&mut e.bgp()?.flags.ebgp_requires_policy, a)
    }),
    ("[no] bgp reject-as-sets", |e, a| {
        switch(&mut e.bgp()?.flags.reject_as_sets, a)
    }),
    ("[no] bgp suppress-duplicates", |e, a| {
        switch(&mut e.bgp()?.flags.suppress_duplicates, a)
    }),
    ("[no] bgp hard-administrative-reset", |e, a| {
        switch(&mut e.bgp()?.flags.hard_administrative_reset, a)
    }),
    ("[no] bgp default ipv4-unicast", |e, a| {
        default_family(e, a, Family::Ipv4Unicast)
    }),
    ("[no] bgp default ipv6-unicast", |e, a| {
        default_family(e, a, Family::Ipv6Unicast)
    }),
    ("[no] bgp default show-hostname", |e, a| {
        switch(&mut e.bgp()?.flags.show_hostname, a)
    }),
    ("[no] bgp default show-nexthop-hostname", |e, a| {
        switch(&mut e.bgp()?.flags.show_nexthop_hostname, a)
    }),
    ("[no] bgp default shutdown", |e, a| {
        switch(&mut e.bgp()?.flags.default_shutdown, a)
    }),
    ("bgp default local-preference ~ <value:0-4294967295>", |e, a| {
        number(&mut e.bgp()?.local_preference, a, "value", 100)
    }),
    ("bgp default subgroup-pkt-queue-max ~ <value:20-100>", |e, a| {
        option(&mut e.bgp()?.subgroup_queue, a, "value")
    }),
    ("[no] bgp client-to-client reflection", |e, a| {
        switch(&mut e.bgp()?.flags.client_to_client_reflection, a)
    }),
    ("[no] bgp disable-ebgp-connected-route-check", |e, a| {
        switch(&mut e.bgp()?.flags.disable_connected_check, a)
    }),
    ("[no] bgp deterministic-med", |e, a| {
        deterministic_med(e.bgp()?, a)
    }),
    ("[no] bgp graceful-shutdown", |e, a| {
        switch(&mut e.bgp()?.flags.graceful_shutdown, a)
    }),
    ("[no] bgp bestpath as-path ignore", |e, a| {
        switch(&mut e.bgp()?.flags.ignore_as_path, a)
    }),
    (
        "[no] bgp bestpath as-path multipath-relax [(as-set|no-as-set)]",
        |e, a| {
            e.bgp()?.multipath_relax = (!a.no()).then_some(a.has("as-set"));
            Ok(())
        },
    ),
    ("[no] bgp route-reflector allow-outbound-policy", |e, a| {
        switch(&mut e.bgp()?.flags.reflector_outbound_policy, a)
    }),
    ("[no] bgp bestpath compare-routerid", |e, a| {
        switch(&mut e.bgp()?.flags.compare_router_id, a)
    }),
    ("[no] bgp bestpath med missing-as-worst", |e, a| {
        switch(&mut e.bgp()?.flags.med_missing_as_worst, a)
    }),
    ("[no] bgp bestpath peer-type multipath-relax", |e, a| {
        switch(&mut e.bgp()?.flags.peer_type_multipath_relax, a)
    }),
    ("[no] bgp network import-check", |e, a| {
        switch(&mut e.bgp()?.flags.import_check, a)
    }),
    ("[no] bgp shutdown [message <line>]", |e, a| {
        switch(&mut e.bgp()?.flags.shutdown, a)
    }),
    ("[no] bgp allow-martian-nexthop", |e, a| {
        switch(&mut e.bgp()?.flags.allow_martian_nexthop, a)
    }),
    ("[no] bgp fast-convergence", |e, a| {
        switch(&mut e.bgp()?.flags.fast_convergence, a)
    }),
    (
        "[no] bgp max-med administrative [<metric:0-4294967295>]",
        |e, a| {
            said(&mut e.bgp()?.max_med, a, || {
                Ok(a.optional("metric")?.unwrap_or(u32::MAX))
            })
        },
    ),
    (
        "bgp max-med on-startup ~ <seconds:5-86400> [<metric:0-4294967295>]",
        |e, a| {
            said(&mut e.bgp()?.max_med_on_startup, a, || {
                Ok((a.value("seconds")?, a.optional("metric")?.unwrap_or(u32::MAX)))
            })
        },
    ),
    ("coalesce-time ~ <milliseconds:0-4294967295>", |e, a| {
        option(&mut e.bgp()?.coalesce_time, a, "milliseconds")
    }),
    ("read-quanta ~ <value:1-10>", |e, a| {
        option(&mut e.bgp()?.read_quanta, a, "value")
    }),
    ("write-quanta ~ <value:1-64>", |e, a| {
        option(&mut e.bgp()?.write_quanta, a, "value")
    }),
    ("[no] bgp graceful-restart", |e, a| restart(e, a, true)),
    ("[no] bgp graceful-restart-disable", |e, a| restart(e, a, false)),
    ("bgp graceful-restart restart-time ~ <seconds:0-4095>", |e, a| {
        number(&mut e.bgp()?.graceful_restart.restart_time, a, "seconds", 120)
    }),
    (
        "bgp graceful-restart stalepath-time ~ <seconds:1-4095>",
        |e, a| number(&mut e.bgp()?.graceful_restart.stalepath_time, a, "seconds", 360),
    ),
    (
        "bgp graceful-restart select-defer-time ~ <seconds:0-3600>",
        |e, a| {
            number(
                &mut e.bgp()?.graceful_restart.select_defer_time,
                a,
                "seconds",
                360,
            )
        },
    ),
    (
        "bgp graceful-restart rib-stale-time ~ <seconds:1-3600>",
        |e, a| number(&mut e.bgp()?.graceful_restart.rib_stale_time, a, "seconds", 500),
    ),
    ("[no] bgp graceful-restart preserve-fw-state", |e, a| {
        switch(&mut e.bgp()?.graceful_restart.preserve_forwarding, a)
    }),
    ("[no] bgp graceful-restart notification", |e, a| {
        switch(&mut e.bgp()?.graceful_restart.notification, a)
    }),
    ("bgp listen limit ~ <limit:1-65535>", |e, a| {
        number(&mut e.bgp()?.listen_limit, a, "limit", 100)
    }),
    (
        "[no] bgp listen range <prefix> peer-group <group:word>",
        listen_range,
    ),
    ("address-family (ipv4|ipv6) [unicast]", |e, a| {
        *e.mode = Mode::Family(if a.has("ipv6") {
            Family::Ipv6Unicast
        } else {
            Family::Ipv4Unicast
        });
        Ok(())
    }),
    ("no (auto-summary|synchronization)", ignored),
    (
        "address-family (ipv4|ipv6) (multicast|vpn|labeled-unicast|flowspec)",
        needs_frr_block,
    ),
    ("address-family l2vpn evpn", needs_frr_block),
    (
        "[no] (segment-routing srv6|bmp targets <word>|vrf-policy <word>)",
        needs_frr_block,
    ),
    (
        "[no] (vnc|rfp|vrf-policy|bmp|update-delay|rpki) [<line>]",
        needs_frr,
    ),
    (
        "[no] bgp (confederation|dampening|conditional-advertisement|long-lived-graceful-restart|suppress-fib-pending) [<line>]",
        needs_frr,
    ),
    (
        "[no] bgp bestpath (as-path confed|med confed [missing-as-worst]|med missing-as-worst confed|bandwidth [<line>])",
        needs_frr,
    ),
    (
        "[no] bgp default (ipv4-multicast|ipv4-vpn|ipv4-labeled-unicast|ipv4-flowspec|ipv6-multicast|ipv6-vpn|ipv6-labeled-unicast|ipv6-flowspec|l2vpn-evpn)",
        needs_frr,
    ),
];

/// Commands of a family; in `router bgp` itself they mean IPv4 unicast.
pub(super) const FAMILY: Rows = &[
    (
        "distance bgp ~ <external:1-255> <internal:1-255> <local:1-255>",
        |e, a| {
            said(&mut e.table()?.distance, a, || {
                Ok((a.value("external")?, a.value("internal")?, a.value("local")?))
            })
        },
    ),
    ("maximum-paths ~ <paths:1-256>", |e, a| {
        let table = e.table()?;
        option(&mut table.maximum_paths, a, "paths")?;
        table.maximum_paths = table.maximum_paths.filter(|paths| *paths != MAXIMUM_PATHS);
        Ok(())
    }),
    (
        "maximum-paths ibgp ~ <paths:1-256> [equal-cluster-length]",
        |e, a| {
            let table = e.table()?;
            option(&mut table.maximum_paths_ibgp, a, "paths")?;
            table.equal_cluster_length = !a.no() && a.has("equal-cluster-length");
            let says = |paths: &u16| *paths != MAXIMUM_PATHS || table.equal_cluster_length;
            table.maximum_paths_ibgp = table.maximum_paths_ibgp.filter(says);
            Ok(())
        },
    ),
    (
        "redistribute (kernel|connected|static) ~ {metric <metric:0-4294967295>|route-map <map:word>}",
        redistribute,
    ),
    ("redistribute (kernel|connected|static)", redistribute),
    (
        "[no] redistribute (rip|ripng|ospf|ospf6|isis|eigrp|nhrp|table|vnc|vnc-direct|babel|openfabric) [<line>]",
        needs_frr,
    ),
    ("table-map ~ <word>", needs_frr),
    ("[no] bgp dampening [<line>]", needs_frr),
    ("[no] distance <number:1-255> <prefix> [<word>]", needs_frr),
    ("[no] network <prefix> label-index <line>", needs_frr),
    ("[no] (import|export) (vpn|vrf) [<line>]", needs_frr),
    (
        "[no] (rd|rt|route-target|label|nexthop|sid) [vpn] [<line>]",
        needs_frr,
    ),
    ("[no] route-map vpn [<line>]", needs_frr),
];

/// Commands of IPv4 unicast.
pub(super) const FAMILY4: Rows = &[
    (
        "[no] network (<prefix4>|<network:ipv4> mask <mask:ipv4>) [{route-map <map:word>|backdoor}]",
        network,
    ),
    (
        "[no] aggregate-address (<prefix4>|<network:ipv4> <mask:ipv4>) [{as-set|summary-only|route-map <map:word>|origin (egp|igp|incomplete)|matching-MED-only|suppress-map <suppress:word>}]",
        aggregate,
    ),
];

/// Commands of IPv6 unicast.
pub(super) const FAMILY6: Rows = &[
    ("[no] network <prefix6> [{route-map <map:word>}]", network),
    (
        "[no] aggregate-address <prefix6> [{as-set|summary-only|route-map <map:word>|origin (egp|igp|incomplete)|matching-MED-only|suppress-map <suppress:word>}]",
        aggregate,
    ),
];

impl Bgp {
    /// Takes over another profile's defaults where nothing else was said.
    pub(super) fn rebase(&mut self, old: Profile, new: Profile) {
        let (from, to) = (Bgp::new(self.asn, old), Bgp::new(self.asn, new));
        if self.timers == from.timers {
            self.timers = to.timers;
        }
        let fields: [fn(&mut Flags) -> &mut bool; 5] = [
            |flags| &mut flags.log_neighbor_changes,
            |flags| &mut flags.ebgp_requires_policy,
            |flags| &mut flags.show_hostname,
            |flags| &mut flags.show_nexthop_hostname,
            |flags| &mut flags.deterministic_med,
        ];
        for field in fields {
            let (mut from, mut to) = (from.flags, to.flags);
            if *field(&mut self.flags) == *field(&mut from) {
                *field(&mut self.flags) = *field(&mut to);
            }
        }
    }
}

/// `timers` of the router or a neighbor.
pub(super) fn timers(arguments: &Arguments) -> Result<Timers, Refusal> {
    let timers = Timers {
        keepalive: arguments.value("keepalive")?,
        hold: arguments.value("hold")?,
    };
    if matches!(timers.hold, 1 | 2) {
        let message = "the hold time is 0 or at least 3".to_owned();
        return Err(Refusal::Invalid(message, arguments.span("hold")));
    }
    Ok(timers)
}

fn enter(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    match (&edit.config.bgp, arguments.optional::<u32>("asn")?) {
        (Some(bgp), Some(asn)) if bgp.asn != asn => {
            let message = format!("BGP is already running; AS is {}", bgp.asn);
            return Err(Refusal::Invalid(message, arguments.span("asn")));
        }
        (None, None) => return Err(Refusal::invalid("No BGP process is configured")),
        (None, Some(asn)) => edit.config.bgp = Some(Bgp::new(asn, edit.config.profile)),
        (Some(_), _) => {}
    }
    *edit.mode = Mode::Bgp;
    Ok(())
}

/// The default is that of neighbors to come: those that are there stay as they are.
fn default_family(edit: &mut Edit, arguments: &Arguments, family: Family) -> Result<(), Refusal> {
    let bgp = edit.bgp()?;
    let old = bgp.activates(family);
    let groups = bgp.groups.values_mut();
    let alone = bgp
        .neighbors
        .iter_mut()
        .filter(|neighbor| neighbor.group.is_none());
    for own in groups.chain(alone.map(|neighbor| &mut neighbor.own)) {
        own.family_mut(family).activate.get_or_insert(old);
    }
    match family {
        Family::Ipv4Unicast => switch(&mut bgp.flags.default_ipv4_unicast, arguments),
        Family::Ipv6Unicast => switch(&mut bgp.flags.default_ipv6_unicast, arguments),
    }
}

fn restart(edit: &mut Edit, arguments: &Arguments, enabled: bool) -> Result<(), Refusal> {
    edit.bgp()?.graceful_restart.enabled = (!arguments.no()).then_some(enabled);
    Ok(())
}

fn listen_range(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let bgp = edit.bgp()?;
    let prefix: IpNet = arguments.value("prefix")?;
    let group = arguments.text("group")?;
    if arguments.no() {
        bgp.listen_ranges.remove(&prefix.trunc());
        return Ok(());
    }
    if !bgp.groups.contains_key(&group) {
        let message = "Configure the peer-group first".to_owned();
        return Err(Refusal::Invalid(message, arguments.span("group")));
    }
    bgp.listen_ranges.insert(prefix.trunc(), group);
    Ok(())
}

fn redistribute(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let source = match arguments.one_of(&["kernel", "connected"]) {
        Some("kernel") => Source::Kernel,
        Some(_) => Source::Connected,
        None => Source::Static,
    };
    let how = Redistribute {
        metric: arguments.optional("metric")?,
        route_map: arguments.get("map").map(str::to_owned),
    };
    let table = &mut edit.table()?.redistribute;
    match arguments.no() {
        true => table.remove(&source),
        false => table.insert(source, how),
    };
    Ok(())
}

fn network(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let prefix = prefix(arguments)?;
    let table = edit.table()?;
    let earlier = match table.networks.get(&prefix) {
        Some(known) => known.earlier.clone(),
        None => Earlier(table.redistribute.keys().copied().collect()),
    };
    let network = Network {
        route_map: arguments.get("map").map(str::to_owned),
        backdoor: arguments.has("backdoor"),
        earlier,
    };
    match arguments.no() {
        true => table.networks.remove(&prefix),
        false => table.networks.insert(prefix, network),
    };
    Ok(())
}

fn aggregate(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let prefix = prefix(arguments)?;
    let aggregate = Aggregate {
        as_set: arguments.has("as-set"),
        summary_only: arguments.has("summary-only"),
        route_map: arguments.get("map").map(str::to_owned),
        origin: arguments.has("origin").then(|| origin(arguments)),
        matching_med_only: arguments.has("matching-MED-only"),
        suppress_map: arguments.get("suppress").map(str::to_owned),
    };
    if aggregate.summary_only && aggregate.suppress_map.is_some() {
        return Err(Refusal::invalid(
            "'summary-only' and 'suppress-map' can't be used at the same time",
        ));
    }
    let aggregates = &mut edit.table()?.aggregates;
    match arguments.no() {
        true => aggregates.remove(&prefix),
        false => aggregates.insert(prefix, aggregate),
    };
    Ok(())
}

/// The best route of each AS is found by it.
fn deterministic_med(bgp: &mut Bgp, arguments: &Arguments) -> Result<(), Refusal> {
    let families = |group: &Group| [group.ipv4.addpath, group.ipv6.addpath];
    let groups = bgp.groups.values();
    let mut all = groups.chain(bgp.neighbors.iter().map(|neighbor| &neighbor.own));
    let is_needed = all.any(|group| families(group).contains(&Some(Addpath::BestPerAs)));
    if arguments.no() && is_needed {
        return Err(Refusal::invalid(
            "bgp deterministic-med cannot be disabled while addpath-tx-bestpath-per-AS is in use",
        ));
    }
    switch(&mut bgp.flags.deterministic_med, arguments)
}
