//! Neighbors and peer-groups as FRR prints them.

use super::hops;
use super::policy::Family;
use super::print::{flag, with};
use super::print_router::route_map;
use super::router::{Bgp, Group, Neighbor, PeerName};
use super::settings::{
    Addpath, AllowAsIn, AttributeUnchanged, Excess, FamilySettings, Settings, UpdateSource,
};

/// Groups, then their members, then neighbors without a group.
pub(super) fn sessions(bgp: &Bgp) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, group) in &bgp.groups {
        lines.push(format!("neighbor {name} peer-group"));
        with(
            &mut lines,
            &format!("neighbor {name} remote-as"),
            group.settings.remote_as,
        );
        settings(&mut lines, name, &group.settings);
    }
    for neighbor in in_order(bgp) {
        neighbor_head(&mut lines, neighbor);
        // bgpd does not show it of members.
        let shown = Settings {
            solo: neighbor.own.settings.solo.filter(|_| neighbor.group.is_none()),
            ..neighbor.own.settings.clone()
        };
        settings(&mut lines, &neighbor.name.to_string(), &shown);
    }
    lines
}

/// Neighbors as bgpd has them: members of groups by these, then the others.
pub(super) fn in_order(bgp: &Bgp) -> impl Iterator<Item = &Neighbor> {
    let groups = bgp.groups.keys().map(Some).chain([None]);
    groups.flat_map(|group| bgp.neighbors.iter().filter(move |it| it.group.as_ref() == group))
}

fn neighbor_head(lines: &mut Vec<String>, neighbor: &Neighbor) {
    let name = &neighbor.name;
    let remote = neighbor.own.settings.remote_as;
    match (name, &neighbor.group) {
        (PeerName::Interface(_), group) => {
            let mut line = format!("neighbor {name} interface");
            if neighbor.v6only {
                line.push_str(" v6only");
            }
            match (group, remote) {
                (Some(group), _) => line.push_str(&format!(" peer-group {group}")),
                (None, Some(remote)) => line.push_str(&format!(" remote-as {remote}")),
                (None, None) => {}
            }
            lines.push(line);
            if group.is_some() {
                with(lines, &format!("neighbor {name} remote-as"), remote);
            }
        }
        (PeerName::Address(_), group) => {
            with(lines, &format!("neighbor {name} remote-as"), remote);
            with(lines, &format!("neighbor {name} peer-group"), group.as_ref());
        }
    }
}

fn settings(lines: &mut Vec<String>, name: &str, settings: &Settings) {
    let mut out = Vec::new();
    let out = &mut out;
    out.extend(settings.local_as.map(|local| {
        let prepend = if local.no_prepend { " no-prepend" } else { "" };
        let replace = if local.replace_as { " replace-as" } else { "" };
        format!("local-as {}{prepend}{replace}", local.asn)
    }));
    with(out, "description", settings.description.as_ref());
    out.extend(
        settings
            .shutdown
            .as_ref()
            .map(|shutdown| match &shutdown.message {
                Some(message) => format!("shutdown message {message}"),
                None => "shutdown".to_owned(),
            }),
    );
    with(out, "password", settings.password.as_ref());
    flag(out, "solo", settings.solo);
    with(out, "port", settings.port);
    with(out, "interface", settings.interface.as_ref());
    // What a member has of its group without a size cannot be said.
    with(out, "tcp-mss", settings.tcp_mss.filter(|size| *size > 0));
    flag(out, "passive", settings.passive);
    with(out, "ebgp-multihop", hops::written(settings.ebgp_multihop));
    with(out, "ttl-security hops", hops::within(settings.ttl_security));
    flag(out, "disable-connected-check", settings.disable_connected_check);
    flag(out, "enforce-first-as", settings.enforce_first_as);
    let source = settings.update_source.as_ref().map(|source| match source {
        UpdateSource::Address(address) => address.to_string(),
        UpdateSource::Interface(name) => name.clone(),
    });
    with(out, "update-source", source);
    with(out, "advertisement-interval", settings.advertisement_interval);
    out.extend(
        settings
            .timers
            .map(|timers| format!("timers {} {}", timers.keepalive, timers.hold)),
    );
    with(out, "timers connect", settings.connect_retry);
    with(out, "timers delayopen", settings.delay_open);
    flag(out, "capability dynamic", settings.capability_dynamic);
    flag(out, "capability extended-nexthop", settings.extended_nexthop);
    flag(
        out,
        "dont-capability-negotiate",
        settings.dont_capability_negotiate,
    );
    flag(out, "override-capability", settings.override_capability);
    flag(out, "strict-capability-match", settings.strict_capability_match);
    flag(
        out,
        "sender-as-path-loop-detection",
        settings.sender_loop_detection,
    );
    out.extend(settings.graceful_restart.map(|restart| restart.name().to_owned()));
    lines.extend(out.iter().map(|line| of(name, line)));
}

/// `no` comes before the neighbor.
fn of(name: &str, line: &str) -> String {
    match line.strip_prefix("no ") {
        Some(line) => format!("no neighbor {name} {line}"),
        None => format!("neighbor {name} {line}"),
    }
}

/// What FRR shows of a neighbor: of a member some settings together with its group's.
pub(super) fn beside(own: &Group, group: Option<&Group>, family: Family) -> Group {
    let mut shown = own.clone();
    let settings = shown.family_mut(family);
    let Some(group) = group.map(|group| group.family(family)) else {
        let unchanged = settings.unchanged_beside(&FamilySettings::default());
        settings.attribute_unchanged = Some(unchanged).filter(|it| *it != AttributeUnchanged::default());
        settings.next_hop_kept = None;
        return shown;
    };
    let unchanged = settings.unchanged_beside(group);
    settings.attribute_unchanged = settings.attribute_unchanged.map(|_| unchanged);
    settings.disable_addpath_rx = settings.disable_addpath_rx.or(group.disable_addpath_rx);
    shown
}

pub(super) fn family_settings(lines: &mut Vec<String>, name: &str, own: &Group, family: Family) {
    let settings: &FamilySettings = own.family(family);
    let mut out = Vec::new();
    let out = &mut out;
    flag(out, "activate", settings.activate);
    out.extend(settings.addpath.map(|addpath| match addpath {
        Addpath::All => "addpath-tx-all-paths".to_owned(),
        Addpath::BestPerAs => "addpath-tx-bestpath-per-AS".to_owned(),
    }));
    flag(out, "disable-addpath-rx", settings.disable_addpath_rx);
    flag(out, "route-reflector-client", settings.route_reflector_client);
    flag(out, "next-hop-self force", settings.next_hop_self_force);
    flag(out, "next-hop-self", settings.next_hop_self);
    out.extend(settings.remove_private_as.map(|remove| {
        let all = if remove.all { " all" } else { "" };
        let replace = if remove.replace { " replace-AS" } else { "" };
        format!("remove-private-AS{all}{replace}")
    }));
    flag(out, "as-override", settings.as_override);
    communities(out, settings);
    out.extend(
        settings
            .default_originate
            .as_ref()
            .map(|default| format!("default-originate{}", route_map(default.route_map.as_ref()))),
    );
    flag(out, "soft-reconfiguration inbound", settings.soft_reconfiguration);
    out.extend(settings.maximum_prefix.map(|maximum| {
        let threshold = match maximum.threshold {
            75 => String::new(),
            threshold => format!(" {threshold}"),
        };
        let excess = match maximum.excess {
            Excess::Shutdown => String::new(),
            Excess::Restart(minutes) => format!(" restart {minutes}"),
            Excess::Warning => " warning-only".to_owned(),
        };
        let force = if maximum.force { " force" } else { "" };
        format!("maximum-prefix {}{threshold}{excess}{force}", maximum.limit)
    }));
    with(out, "maximum-prefix-out", settings.maximum_prefix_out);
    flag(out, "route-server-client", settings.route_server_client);
    flag(out, "nexthop-local unchanged", settings.nexthop_local_unchanged);
    out.extend(settings.allowas_in.map(|allow| match allow {
        AllowAsIn::Origin => "allowas-in origin".to_owned(),
        AllowAsIn::Times(3) => "allowas-in".to_owned(),
        AllowAsIn::Times(times) => format!("allowas-in {times}"),
    }));
    with(out, "weight", settings.weight);
    filters(out, settings);
    out.extend(settings.attribute_unchanged.map(|unchanged| {
        let as_path = if unchanged.as_path { " as-path" } else { "" };
        let next_hop = if unchanged.next_hop { " next-hop" } else { "" };
        let med = if unchanged.med { " med" } else { "" };
        format!("attribute-unchanged{as_path}{next_hop}{med}")
    }));
    lines.extend(out.iter().map(|line| of(name, line)));
}

fn communities(out: &mut Vec<String>, settings: &FamilySettings) {
    let FamilySettings {
        send_community,
        send_extcommunity,
        send_large_community,
        ..
    } = settings;
    if [send_community, send_extcommunity, send_large_community] == [&Some(false); 3] {
        out.push("no send-community all".to_owned());
        return;
    }
    flag(out, "send-community", *send_community);
    flag(out, "send-community extended", *send_extcommunity);
    flag(out, "send-community large", *send_large_community);
}

fn filters(out: &mut Vec<String>, settings: &FamilySettings) {
    let mut both = |word: &str, inward: &Option<String>, outward: &Option<String>| {
        out.extend(inward.as_ref().map(|name| format!("{word} {name} in")));
        out.extend(outward.as_ref().map(|name| format!("{word} {name} out")));
    };
    both(
        "distribute-list",
        &settings.distribute_list_in,
        &settings.distribute_list_out,
    );
    both("prefix-list", &settings.prefix_list_in, &settings.prefix_list_out);
    both("route-map", &settings.route_map_in, &settings.route_map_out);
    out.extend(
        settings
            .unsuppress_map
            .as_ref()
            .map(|name| format!("unsuppress-map {name}")),
    );
    let mut both = |word: &str, inward: &Option<String>, outward: &Option<String>| {
        out.extend(inward.as_ref().map(|name| format!("{word} {name} in")));
        out.extend(outward.as_ref().map(|name| format!("{word} {name} out")));
    };
    both("filter-list", &settings.filter_list_in, &settings.filter_list_out);
}
