//! Commands outside of BGP: the host, interfaces, static routes.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::argument::Arguments;
use super::edit::{Edit, Mode, Rows, ignored, needs_frr, needs_frr_block, option, switch};
use super::mistake::Refusal;
use super::model::{Layout, Profile, StaticRoute, Via};

/// Commands at the top.
pub(super) const HOST: Rows = &[
    ("frr defaults <profile:word>", defaults),
    ("frr version <line>", version),
    ("hostname ~ <name:word>", |e, a| {
        option(&mut e.config.hostname, a, "name")
    }),
    ("domainname ~ <name:word>", |e, a| {
        option(&mut e.config.domainname, a, "name")
    }),
    ("[no] ip forwarding", |e, a| {
        switch(&mut e.config.ipv4_forwarding, a)
    }),
    ("[no] ipv6 forwarding", |e, a| {
        switch(&mut e.config.ipv6_forwarding, a)
    }),
    ("(log|debug|service|password|username|banner) ~ <line>", kept),
    ("enable password ~ <line>", kept),
    ("ip protocol bgp ~ route-map <map>", |e, a| {
        option(&mut e.config.protocol_map, a, "map")
    }),
    ("ipv6 protocol bgp ~ route-map <map>", |e, a| {
        option(&mut e.config.protocol_map6, a, "map")
    }),
    ("[no] (ip|ipv6) protocol <line>", needs_frr),
    ("[no] ip router-id ~ <address:ipv4>", |e, a| {
        option(&mut e.config.router_id, a, "address")
    }),
    ("router-id ~ <address:ipv4>", |e, a| {
        option(&mut e.config.router_id, a, "address")
    }),
    ("bgp route-map delay-timer ~ <seconds:0-600>", |e, a| {
        option(&mut e.config.route_map_delay, a, "seconds")
    }),
    ("interface <name:interface>", |e, a| {
        let name = a.text("name")?;
        e.config.interfaces.entry(name.clone()).or_default();
        *e.mode = Mode::Interface(name);
        Ok(())
    }),
    ("no interface <name:interface>", |e, a| {
        e.config.interfaces.remove(&a.text("name")?);
        Ok(())
    }),
    ("line vty", |e, _| {
        *e.mode = Mode::Line;
        Ok(())
    }),
    (
        "[no] ip route (<prefix4>|<network:ipv4> <mask:ipv4>) (<gateway:ipv4>|<interface>|Null0|reject|blackhole) [{tag <tag:1-4294967295>|<distance:1-255>}]",
        static_route,
    ),
    (
        "[no] ip route (<prefix4>|<network:ipv4> <mask:ipv4>) <gateway:ipv4> <interface> [{tag <tag:1-4294967295>|<distance:1-255>|onlink}]",
        static_route,
    ),
    (
        "[no] ipv6 route <prefix6> (<gateway:ipv6>|<interface>|Null0|reject|blackhole) [{tag <tag:1-4294967295>|<distance:1-255>}]",
        static_route,
    ),
    (
        "[no] ipv6 route <prefix6> <gateway:ipv6> <interface> [{tag <tag:1-4294967295>|<distance:1-255>|onlink}]",
        static_route,
    ),
    (
        "[no] (ip|ipv6) route <prefix> <word> (vrf|label|table|nexthop-vrf|color) <line>",
        needs_frr,
    ),
    ("[no] ipv6 route <prefix> from <line>", needs_frr),
];

/// Commands at the top that only FRR has.
pub(super) const FOREIGN: Rows = &[
    (
        "[no] router (ospf|ospf6|isis|rip|ripng|eigrp|babel|openfabric|pim|pim6) [<line>]",
        needs_frr_block,
    ),
    (
        "[no] router bgp <number:1-4294967295> (vrf|view) <line>",
        needs_frr_block,
    ),
    (
        "[no] (vrf|nexthop-group|pbr-map|l2vpn|pseudowire) <line>",
        needs_frr_block,
    ),
    ("[no] (bfd|segment-routing|rpki|link-params)", needs_frr_block),
    ("[no] key chain <word>", needs_frr_block),
    ("[no] mpls ldp", needs_frr_block),
    ("[no] interface <interface> vrf <word>", needs_frr_block),
    (
        "[no] (mpls|evpn|vrrp|zebra|fpm|dump|nhrp|vni|pbr|snmp|bmp) <line>",
        needs_frr,
    ),
    (
        "[no] (agentx|allow-external-route-update|allow-reserved-ranges)",
        needs_frr,
    ),
    (
        "[no] ip (pim|igmp|msdp|multicast|mroute|nht|protocol|import-table|ssmpingd|ospf|table) <line>",
        needs_frr,
    ),
    (
        "[no] ipv6 (pim|mld|nht|mroute|protocol|ssmpingd|ospf6|router-id) <line>",
        needs_frr,
    ),
    ("[no] mac access-list <line>", needs_frr),
    ("[no] (router-id|ip router-id) <ipv4> vrf <word>", needs_frr),
    (
        "[no] bgp (no-rib|session-dscp|update-delay|suppress-fib-pending|send-extra-data|graceful-shutdown) [<line>]",
        needs_frr,
    ),
    ("[no] bgp community alias <line>", needs_frr),
    ("[no] route-map <word> optimization", needs_frr),
];

/// Commands in an interface.
pub(super) const INTERFACE: Rows = &[
    ("description ~ <line>", |e, a| {
        option(&mut e.interface()?.description, a, "line")
    }),
    ("[no] ip address <address:prefix4>", address),
    ("[no] ipv6 address <address:prefix6>", address),
    ("[no] shutdown", |e, a| switch(&mut e.interface()?.shutdown, a)),
    ("[no] link-detect", |e, a| {
        switch(&mut e.interface()?.link_detect, a)
    }),
    ("bandwidth ~ <bandwidth:1-100000>", |e, a| {
        option(&mut e.interface()?.bandwidth, a, "bandwidth")
    }),
    ("[no] ipv6 nd suppress-ra", |e, a| {
        e.interface()?.router_advertisements = a.no();
        Ok(())
    }),
    (
        "ipv6 nd ra-interval ~ (<seconds:1-1800>|msec <milliseconds:70-1800000>)",
        |e, a| {
            let interval = match a.optional::<u32>("seconds")? {
                Some(seconds) => Some(seconds * 1000),
                None => a.optional("milliseconds")?,
            };
            // Ten minutes are the default.
            e.interface()?.ra_interval = interval.filter(|it| !a.no() && *it != 600_000);
            Ok(())
        },
    ),
    ("ipv6 nd ra-lifetime ~ <seconds:0-9000>", |e, a| {
        option(&mut e.interface()?.ra_lifetime, a, "seconds")
    }),
    ("[no] ip address <prefix4> label <line>", needs_frr),
    ("[no] ip address <ipv4> peer <prefix4> [<line>]", needs_frr),
    (
        "[no] ip (ospf|rip|pim|igmp|nhrp|irdp|multicast|mroute|eigrp|split-horizon) [<line>]",
        needs_frr,
    ),
    (
        "[no] ipv6 (ospf6|rip|ripng|pim|mld|nhrp|multicast|mroute|split-horizon) [<line>]",
        needs_frr,
    ),
    // Told in full: `ip route` in a block that nobody has closed would be short for less.
    ("[no] (ip|ipv6) router (isis|openfabric) <word>", needs_frr),
    (
        "[no] (vrrp|isis|mpls|evpn|pbr-policy|openfabric|tunnel|babel|bfd|eigrp|delay|multicast) [<line>]",
        needs_frr,
    ),
    ("[no] link-params", needs_frr_block),
];

/// Commands in `line vty`.
pub(super) const LINE: Rows = &[
    ("[no] (exec-timeout|access-class|login|history) [<line>]", ignored),
    ("[no] ipv6 access-class <line>", ignored),
];

/// From 10 on answers are written as there; those of earlier versions as in 8.4.4.
fn version(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let text = arguments.text("line")?;
    let major = text.trim().split(|it: char| !it.is_ascii_digit()).next();
    let major = major.and_then(|major| major.parse::<u32>().ok()).unwrap_or(0);
    edit.config.layout = match major {
        10.. => Layout::Ten,
        _ => Layout::Eight,
    };
    Ok(())
}

fn defaults(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let profile = match arguments.get("profile") {
        Some("traditional") => Profile::Traditional,
        Some("datacenter") => Profile::Datacenter,
        _ => {
            let message = "the profiles are traditional and datacenter".to_owned();
            return Err(Refusal::Invalid(message, arguments.span("profile")));
        }
    };
    let old = std::mem::replace(&mut edit.config.profile, profile);
    if let Some(bgp) = &mut edit.config.bgp {
        bgp.rebase(old, profile);
    }
    Ok(())
}

fn kept(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let words = [
        "log", "debug", "service", "enable", "password", "username", "banner",
    ];
    let mut line = arguments.one_of(&words).unwrap_or_default().to_owned();
    if line == "enable" {
        line.push_str(" password");
    }
    if let Some(rest) = arguments.get("line") {
        line = format!("{line} {rest}");
    }
    match arguments.no() {
        true => edit.config.kept.retain(|kept| !kept.starts_with(&line)),
        false => {
            edit.config.kept.insert(line);
        }
    }
    Ok(())
}

fn address(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let address: IpNet = arguments.value("address")?;
    let addresses = &mut edit.interface()?.addresses;
    match arguments.no() {
        true => addresses.remove(&address),
        false => addresses.insert(address),
    };
    Ok(())
}

/// The prefix of a command, given as such or as an address and a mask.
pub(super) fn prefix(arguments: &Arguments) -> Result<IpNet, Refusal> {
    if let Some(prefix) = arguments.optional::<Ipv4Net>("prefix4")? {
        return Ok(prefix.trunc().into());
    }
    if let Some(prefix) = arguments.optional::<Ipv6Net>("prefix6")? {
        return Ok(prefix.trunc().into());
    }
    let mask: std::net::Ipv4Addr = arguments.value("mask")?;
    let prefix = Ipv4Net::with_netmask(arguments.value("network")?, mask);
    let prefix =
        prefix.map_err(|_| Refusal::Invalid(format!("{mask} is no mask"), arguments.span("mask")))?;
    Ok(prefix.trunc().into())
}

fn static_route(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let interface = arguments.get("interface").map(str::to_owned);
    let via = match (arguments.optional("gateway")?, interface) {
        (Some(gateway), interface) => Via::Address(gateway, interface),
        (None, Some(interface)) => Via::Interface(interface),
        (None, None) if arguments.has("blackhole") => Via::Blackhole,
        (None, None) if arguments.has("reject") => Via::Reject,
        (None, None) => Via::Null0,
    };
    let route = StaticRoute {
        prefix: prefix(arguments)?,
        distance: arguments.optional("distance")?.unwrap_or(1),
        via,
        onlink: arguments.has("onlink"),
        tag: arguments.optional("tag")?.unwrap_or(0),
    };
    // Of the ways in which packets are dropped there is one, by whatever name it is called.
    let key = |route: &StaticRoute| {
        let via = match &route.via {
            Via::Null0 | Via::Reject => Via::Blackhole,
            via => via.clone(),
        };
        (route.prefix, route.distance, via)
    };
    let routes = &mut edit.config.static_routes;
    routes.retain(|known| key(known) != key(&route));
    if !arguments.no() {
        routes.insert(route);
    }
    Ok(())
}
