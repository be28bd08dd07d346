//! `router bgp` as FRR prints it.

use super::model::Profile;
use super::policy::Family;
use super::print::{switch, with};
use super::print_neighbors::{beside, family_settings, in_order, sessions};
use super::router::{Aggregate, Bgp, FamilyTable, Flags, MAX_MED, MAXIMUM_PATHS, Network};

/// The whole block.
pub(super) fn router(bgp: &Bgp, profile: Profile, vrf: Option<&str>) -> Vec<String> {
    let vrf = vrf.map(|vrf| format!(" vrf {vrf}")).unwrap_or_default();
    let mut lines = vec![format!("router bgp {}{vrf}", bgp.asn)];
    lines.extend(globals(bgp, profile).into_iter().map(|line| format!(" {line}")));
    lines.extend(sessions(bgp).into_iter().map(|line| format!(" {line}")));
    lines.extend(listening(bgp).into_iter().map(|line| format!(" {line}")));
    for family in Family::ALL {
        lines.extend(family_lines(bgp, family));
    }
    lines.push("exit".to_owned());
    lines
}

fn globals(bgp: &Bgp, profile: Profile) -> Vec<String> {
    let mut lines = Vec::new();
    let out = &mut lines;
    let (own, default) = (bgp.flags, Bgp::new(bgp.asn, profile));
    let unless = |value: u16, default: u16| Some(value).filter(|value| *value != default);
    let flag = |out: &mut Vec<String>, text: &str, field: fn(&Flags) -> bool| {
        switch(out, text, field(&own), field(&default.flags));
    };
    flag(out, "bgp fast-external-failover", |flags| {
        flags.fast_external_failover
    });
    with(out, "bgp router-id", bgp.router_id);
    flag(out, "bgp log-neighbor-changes", |flags| {
        flags.log_neighbor_changes
    });
    flag(out, "bgp always-compare-med", |flags| flags.always_compare_med);
    flag(out, "bgp ebgp-requires-policy", |flags| {
        flags.ebgp_requires_policy
    });
    flag(out, "bgp reject-as-sets", |flags| flags.reject_as_sets);
    flag(out, "bgp suppress-duplicates", |flags| flags.suppress_duplicates);
    flag(out, "bgp hard-administrative-reset", |flags| {
        flags.hard_administrative_reset
    });
    flag(out, "bgp default ipv4-unicast", |flags| {
        flags.default_ipv4_unicast
    });
    flag(out, "bgp default ipv6-unicast", |flags| {
        flags.default_ipv6_unicast
    });
    with(
        out,
        "bgp default local-preference",
        Some(bgp.local_preference).filter(|value| *value != 100),
    );
    flag(out, "bgp default show-hostname", |flags| flags.show_hostname);
    flag(out, "bgp default show-nexthop-hostname", |flags| {
        flags.show_nexthop_hostname
    });
    with(out, "bgp default subgroup-pkt-queue-max", bgp.subgroup_queue);
    flag(out, "bgp client-to-client reflection", |flags| {
        flags.client_to_client_reflection
    });
    with(out, "bgp cluster-id", bgp.cluster_id);
    flag(out, "bgp disable-ebgp-connected-route-check", |flags| {
        flags.disable_connected_check
    });
    flag(out, "bgp deterministic-med", |flags| flags.deterministic_med);
    let metric = |metric: u32| {
        if metric == MAX_MED {
            String::new()
        } else {
            format!(" {metric}")
        }
    };
    let startup = bgp
        .max_med_on_startup
        .map(|(seconds, value)| format!("{seconds}{}", metric(value)));
    with(out, "bgp max-med on-startup", startup);
    out.extend(
        bgp.max_med
            .map(|value| format!("bgp max-med administrative{}", metric(value))),
    );
    with(out, "write-quanta", bgp.write_quanta);
    with(out, "read-quanta", bgp.read_quanta);
    with(out, "coalesce-time", bgp.coalesce_time);
    flag(out, "bgp graceful-shutdown", |flags| flags.graceful_shutdown);
    let (restart, usual) = (bgp.graceful_restart, default.graceful_restart);
    with(
        out,
        "bgp graceful-restart stalepath-time",
        unless(restart.stalepath_time, usual.stalepath_time),
    );
    with(
        out,
        "bgp graceful-restart restart-time",
        unless(restart.restart_time, usual.restart_time),
    );
    switch(
        out,
        "bgp graceful-restart notification",
        restart.notification,
        true,
    );
    with(
        out,
        "bgp graceful-restart select-defer-time",
        unless(restart.select_defer_time, usual.select_defer_time),
    );
    match restart.enabled {
        Some(true) => out.push("bgp graceful-restart".to_owned()),
        Some(false) => out.push("bgp graceful-restart-disable".to_owned()),
        None => {}
    }
    switch(
        out,
        "bgp graceful-restart preserve-fw-state",
        restart.preserve_forwarding,
        false,
    );
    with(
        out,
        "bgp graceful-restart rib-stale-time",
        unless(restart.rib_stale_time, usual.rib_stale_time),
    );
    flag(out, "bgp bestpath as-path ignore", |flags| flags.ignore_as_path);
    out.extend(bgp.multipath_relax.map(|as_set| {
        format!(
            "bgp bestpath as-path multipath-relax{}",
            if as_set { " as-set" } else { "" }
        )
    }));
    flag(out, "bgp route-reflector allow-outbound-policy", |flags| {
        flags.reflector_outbound_policy
    });
    flag(out, "bgp bestpath compare-routerid", |flags| {
        flags.compare_router_id
    });
    flag(out, "bgp bestpath med missing-as-worst", |flags| {
        flags.med_missing_as_worst
    });
    flag(out, "bgp bestpath peer-type multipath-relax", |flags| {
        flags.peer_type_multipath_relax
    });
    flag(out, "bgp network import-check", |flags| flags.import_check);
    if bgp.timers != default.timers {
        out.push(format!("timers bgp {} {}", bgp.timers.keepalive, bgp.timers.hold));
    }
    with(out, "bgp minimum-holdtime", bgp.minimum_hold);
    lines
}

fn listening(bgp: &Bgp) -> Vec<String> {
    let mut lines = Vec::new();
    with(
        &mut lines,
        "bgp listen limit",
        Some(bgp.listen_limit).filter(|limit| *limit != 100),
    );
    for (prefix, group) in &bgp.listen_ranges {
        lines.push(format!("bgp listen range {prefix} peer-group {group}"));
    }
    switch(
        &mut lines,
        "bgp default shutdown",
        bgp.flags.default_shutdown,
        false,
    );
    switch(&mut lines, "bgp shutdown", bgp.flags.shutdown, false);
    switch(
        &mut lines,
        "bgp allow-martian-nexthop",
        bgp.flags.allow_martian_nexthop,
        false,
    );
    switch(
        &mut lines,
        "bgp fast-convergence",
        bgp.flags.fast_convergence,
        false,
    );
    lines
}

fn family_lines(bgp: &Bgp, family: Family) -> Vec<String> {
    let mut lines = Vec::new();
    let table = bgp.family(family);
    origins(&mut lines, table);
    for (name, group) in &bgp.groups {
        family_settings(&mut lines, name, group, family);
    }
    for neighbor in in_order(bgp) {
        let group = neighbor.group.as_ref().and_then(|group| bgp.groups.get(group));
        let own = beside(&neighbor.own, group, family);
        family_settings(&mut lines, &neighbor.name.to_string(), &own, family);
    }
    with(
        &mut lines,
        "maximum-paths",
        table.maximum_paths.filter(|paths| *paths != MAXIMUM_PATHS),
    );
    let equal = if table.equal_cluster_length {
        " equal-cluster-length"
    } else {
        ""
    };
    let paths = table.maximum_paths_ibgp.filter(|paths| *paths != MAXIMUM_PATHS);
    lines.extend(paths.map(|paths| format!("maximum-paths ibgp {paths}{equal}")));
    if family == Family::L2vpnEvpn {
        lines.extend(bgp.evpn.lines());
    }
    if lines.is_empty() {
        return lines;
    }
    let head = [
        " !".to_owned(),
        format!(" address-family {} {}", family.name(), family.subsequent_name()),
    ];
    let body = lines.into_iter().map(|line| format!("  {line}"));
    head.into_iter()
        .chain(body)
        .chain([" exit-address-family".to_owned()])
        .collect()
}

fn origins(lines: &mut Vec<String>, table: &FamilyTable) {
    if let Some((external, internal, local)) = table.distance {
        lines.push(format!("distance bgp {external} {internal} {local}"));
    }
    for (prefix, network) in &table.networks {
        lines.push(format!("network {prefix}{}", network_options(network)));
    }
    for (prefix, aggregate) in &table.aggregates {
        lines.push(format!(
            "aggregate-address {prefix}{}",
            aggregate_options(aggregate)
        ));
    }
    for (source, how) in &table.redistribute {
        let metric = how
            .metric
            .map_or(String::new(), |metric| format!(" metric {metric}"));
        let map = route_map(how.route_map.as_ref());
        lines.push(format!("redistribute {source}{metric}{map}"));
    }
}

pub(super) fn route_map(name: Option<&String>) -> String {
    name.map_or(String::new(), |name| format!(" route-map {name}"))
}

fn network_options(network: &Network) -> String {
    let backdoor = if network.backdoor { " backdoor" } else { "" };
    format!("{}{backdoor}", route_map(network.route_map.as_ref()))
}

fn aggregate_options(aggregate: &Aggregate) -> String {
    let mut text = String::new();
    if aggregate.as_set {
        text.push_str(" as-set");
    }
    if aggregate.summary_only {
        text.push_str(" summary-only");
    }
    text.push_str(&route_map(aggregate.route_map.as_ref()));
    if let Some(origin) = aggregate.origin {
        text.push_str(&format!(" origin {}", origin.name()));
    }
    if aggregate.matching_med_only {
        text.push_str(" matching-MED-only");
    }
    if let Some(map) = &aggregate.suppress_map {
        text.push_str(&format!(" suppress-map {map}"));
    }
    text
}
