//! Commands of `router bgp` and its address families, but for neighbors.

use std::net::Ipv4Addr;

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, Mode, Rows, ignored, number, option, said, switch};
use super::general::prefix;
use super::members::listen_range;
use super::model::Profile;
use super::neighbors::not_at_this_moment;
use super::policy::{Family, PROTOCOLS};
use super::route_maps::origin;
use super::router::{
    Aggregate, Bgp, Earlier, Flags, Group, MAX_MED, MAXIMUM_PATHS, Network, Redistribute, Source,
};
use super::settings::{Addpath, Timers};
use super::vrf;

/// Commands at the top.
pub(super) const ROUTER: Rows = &[
    ("router bgp [<asn:1-4294967295>]", enter),
    ("router bgp <asn:1-4294967295> vrf <vrf:word>", enter),
    ("no router bgp <asn:1-4294967295> vrf <vrf:word>", vrf::leave),
    ("no router bgp [<asn:1-4294967295>]", |e, a| {
        let asn: Option<u32> = a.optional("asn")?;
        let has_more = e.config.vrfs.values().any(|vrf| vrf.bgp.is_some());
        if asn.is_none() && has_more {
            return Err(Refusal::invalid("Please specify ASN and VRF"));
        }
        match &e.config.bgp {
            Some(bgp) if asn.is_none_or(|asn| asn == bgp.asn) => e.config.bgp = None,
            None if asn.is_none() => return Err(Refusal::invalid("No BGP process is configured")),
            _ => return Err(Refusal::invalid("Can't find BGP instance")),
        }
        Ok(())
    }),
];

/// Commands in `router bgp`.
pub(super) const BGP: Rows = &[
    ("bgp router-id ~ <address:ipv4>", |e, a| {
        let given: Option<Ipv4Addr> = a.optional("address")?;
        let known = &mut e.bgp()?.router_id;
        if a.no() && given.is_some() && *known != given {
            return Err(Refusal::invalid("BGP router-id doesn't match"));
        }
        // 0.0.0.0 is what bgpd takes for none.
        *known = given.filter(|given| !a.no() && !given.is_unspecified());
        Ok(())
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
        let wrong = "hold time value must be either 0 or greater than 3";
        e.bgp()?.timers = if a.no() { default } else { timers(a, wrong)? };
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
                Ok(a.optional("metric")?.unwrap_or(MAX_MED))
            })
        },
    ),
    (
        "bgp max-med on-startup ~ <seconds:5-86400> [<metric:0-4294967295>]",
        |e, a| {
            said(&mut e.bgp()?.max_med_on_startup, a, || {
                Ok((a.value("seconds")?, a.optional("metric")?.unwrap_or(MAX_MED)))
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
];

/// Distances where none are given: external, internal, local.
const DISTANCES: (u8, u8, u8) = (20, 200, 200);

/// Commands of a family; in `router bgp` itself they mean IPv4 unicast.
pub(super) const FAMILY: Rows = &[
    (
        "distance bgp ~ <external:1-255> <internal:1-255> <local:1-255>",
        |e, a| {
            let distance = &mut e.table()?.distance;
            said(distance, a, || {
                Ok((a.value("external")?, a.value("internal")?, a.value("local")?))
            })?;
            *distance = distance.filter(|distance| *distance != DISTANCES);
            Ok(())
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
            // As many as there may be is what is not said, whatever stands behind it.
            table.maximum_paths_ibgp = table.maximum_paths_ibgp.filter(|paths| *paths != MAXIMUM_PATHS);
            table.equal_cluster_length &= table.maximum_paths_ibgp.is_some();
            Ok(())
        },
    ),
    (
        "redistribute (kernel|connected|static) ~ {metric <metric:0-4294967295>|route-map <map:word>}",
        redistribute,
    ),
    ("redistribute (kernel|connected|static)", redistribute),
];

/// Commands of IPv4 unicast.
pub(super) const FAMILY4: Rows = &[
    (
        "[no] redistribute (ospf|table) <instance:1-65535> [{metric <metric:0-4294967295>|route-map <map:word>}]",
        redistribute,
    ),
    (
        "[no] redistribute (rip|ospf|isis|eigrp|nhrp|table|vnc|vnc-direct|babel|openfabric) [{metric <metric:0-4294967295>|route-map <map:word>}]",
        redistribute,
    ),
    (
        "[no] network (<prefix4>|<network:ipv4> [mask <mask:ipv4>]) [{route-map <map:word>|backdoor}]",
        network,
    ),
    (
        "[no] aggregate-address (<prefix4>|<network:ipv4> <mask:ipv4>) [{as-set|summary-only|route-map <map:word>|origin (egp|igp|incomplete)|matching-MED-only|suppress-map <suppress:word>}]",
        aggregate,
    ),
];

/// Commands of IPv6 unicast.
pub(super) const FAMILY6: Rows = &[
    (
        "[no] redistribute (ripng|ospf6|isis|nhrp|table|vnc|vnc-direct|babel|openfabric) [{metric <metric:0-4294967295>|route-map <map:word>}]",
        redistribute,
    ),
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
///
/// # Errors
/// There is no such hold time, in these words.
pub(super) fn timers(arguments: &Arguments, wrong: &str) -> Result<Timers, Refusal> {
    let (keepalive, hold): (u16, u16) = (arguments.value("keepalive")?, arguments.value("hold")?);
    if matches!(hold, 1 | 2) {
        return Err(Refusal::Invalid(wrong.to_owned(), arguments.span("hold")));
    }
    // As with bgpd three of them fit into the hold time.
    Ok(Timers {
        keepalive: keepalive.min(hold / 3),
        hold,
    })
}

fn enter(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    *edit.vrf = arguments
        .get("vrf")
        .filter(|name| *name != "default")
        .map(str::to_owned);
    if let Some(name) = edit.vrf.as_ref().filter(|name| !vrf::is_name(name)) {
        return Err(Refusal::Invalid(
            format!("`{name}` is no name of a VRF"),
            arguments.span("vrf"),
        ));
    }
    let known = match edit.vrf {
        None => edit.config.bgp.as_ref(),
        Some(vrf) => edit.config.vrfs.get(vrf).and_then(|vrf| vrf.bgp.as_ref()),
    };
    match (known, arguments.optional::<u32>("asn")?) {
        (Some(bgp), Some(asn)) if bgp.asn != asn => {
            return Err(Refusal::Bare(format!(
                "BGP is already running; AS is {}",
                bgp.asn
            )));
        }
        (None, None) => return Err(Refusal::invalid("No BGP process is configured")),
        (None, Some(asn)) => {
            let mut bgp = Bgp::new(asn, edit.config.profile);
            if let Some(version) = edit.config.version {
                bgp.be_of(version, edit.config.profile);
            }
            match &*edit.vrf {
                None => edit.config.bgp = Some(bgp),
                Some(vrf) => edit.config.vrfs.entry(vrf.clone()).or_default().bgp = Some(bgp),
            }
        }
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
        Family::L2vpnEvpn => Ok(()),
    }
}

fn restart(edit: &mut Edit, arguments: &Arguments, enabled: bool) -> Result<(), Refusal> {
    const NOTE: &str = "Graceful restart configuration changed, reset all peers to take effect";
    let known = &mut edit.bgp()?.graceful_restart.enabled;
    match arguments.no() {
        true if *known != Some(enabled) => return Err(not_at_this_moment(NOTE)),
        true => *known = None,
        false => *known = Some(enabled),
    }
    edit.say(NOTE);
    Ok(())
}

fn redistribute(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let name = arguments.one_of(&PROTOCOLS);
    let place = PROTOCOLS.iter().position(|it| Some(*it) == name);
    let source = match (name, place) {
        (Some("kernel"), _) => Source::Kernel,
        (Some("connected"), _) => Source::Connected,
        (Some("static"), _) | (_, None) => Source::Static,
        (_, Some(place)) => Source::Other(place, arguments.optional("instance")?),
    };
    let how = Redistribute {
        metric: arguments.optional("metric")?,
        route_map: arguments.get("map").map(str::to_owned),
    };
    let table = &mut edit.table()?.redistribute;
    if arguments.no() {
        table.remove(&source);
        return Ok(());
    }
    if let Some(name) = &how.route_map {
        edit.look_for_route_map(name);
    }
    // What is not said again stays.
    let table = &mut edit.table()?.redistribute;
    let known = table.entry(source).or_default();
    known.metric = how.metric.or(known.metric);
    known.route_map = how.route_map.or_else(|| known.route_map.take());
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
        true => match table.networks.remove(&prefix) {
            Some(_) => Ok(()),
            None => Err(Refusal::invalid("Can't find static route specified")),
        },
        false => {
            table.networks.insert(prefix, network);
            Ok(())
        }
    }
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
        return Err(Refusal::Bare(
            "'summary-only' and 'suppress-map' can't be used at the same time".to_owned(),
        ));
    }
    let aggregates = &mut edit.table()?.aggregates;
    if arguments.no() {
        return match aggregates.remove(&prefix) {
            Some(_) => Ok(()),
            None => Err(Refusal::invalid("There is no aggregate-address configuration.")),
        };
    }
    if prefix.prefix_len() == prefix.max_prefix_len() {
        let message = "will not result in any useful aggregation, disallowing";
        return Err(Refusal::Bare(format!("Specified prefix: {prefix} {message}")));
    }
    if aggregates.insert(prefix, aggregate).is_some() {
        edit.say("There is already same aggregate network.");
    }
    Ok(())
}

/// The best route of each AS is found by it.
fn deterministic_med(bgp: &mut Bgp, arguments: &Arguments) -> Result<(), Refusal> {
    let families = |group: &Group| [group.ipv4.addpath, group.ipv6.addpath];
    let groups = bgp.groups.values();
    let mut all = groups.chain(bgp.neighbors.iter().map(|neighbor| &neighbor.own));
    let is_needed = all.any(|group| families(group).contains(&Some(Addpath::BestPerAs)));
    if arguments.no() && is_needed {
        return Err(Refusal::Bare(
            "bgp deterministic-med cannot be disabled while addpath-tx-bestpath-per-AS is in use".to_owned(),
        ));
    }
    switch(&mut bgp.flags.deterministic_med, arguments)
}
