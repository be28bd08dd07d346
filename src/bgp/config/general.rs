//! Commands outside of BGP: the host, interfaces, static routes.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::argument::Arguments;
use super::diagnostic::Refusal;
use super::edit::{Edit, Mode, Place, Rows, ignored, option, said, switch};
use super::foreign;
use super::grammar::FaultKind;
use super::model::{Layout, Profile, StaticRoute, Via};
use super::parse::Applied;

/// Commands that leave a mode, in each of them.
pub(super) const LEAVING: Rows = &[
    ("(exit|quit)", |e, _| {
        *e.applied = Applied::Exit;
        *e.mode = e.mode.parent().unwrap_or_default();
        Ok(())
    }),
    ("end", |e, _| {
        *e.applied = Applied::End;
        *e.mode = Mode::Configure;
        Ok(())
    }),
];

/// Commands that leave an address family.
pub(super) const LEAVING_FAMILY: Rows = &[("exit-address-family", |e, _| {
    *e.applied = Applied::Exit;
    *e.mode = Mode::Bgp;
    Ok(())
})];

/// Commands at the top.
pub(super) const HOST: Rows = &[
    ("frr defaults <profile:word>", defaults),
    ("frr version <line>", version),
    ("hostname ~ <name:word>", |e, a| {
        let name = a.get("name").unwrap_or_default();
        if !a.no() && !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            let message = "Please specify string starting with alphabet or number";
            return Err(Refusal::Bare(message.to_owned()));
        }
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
        *e.mode = Mode::Interface(a.text("name")?);
        Ok(())
    }),
    ("no interface <name:interface>", |e, a| {
        let name = a.text("name")?;
        // As with zebra only what is not there is forgotten.
        if e.own.interfaces.contains(&name) {
            return Err(Refusal::Bare(ACTIVE.to_owned()));
        }
        e.config.interfaces.remove(&name);
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
];

/// Milliseconds between router advertisements where nothing else is said.
const RA_INTERVAL: u32 = 600_000;

/// Commands in an interface.
pub(super) const INTERFACE: Rows = &[
    ("description ~ <line>", |e, a| {
        said(&mut e.interface()?.description, a, || a.text("line"))
    }),
    ("[no] ip address <address:prefix4>", address),
    ("[no] ipv6 address <address:prefix6>", address),
    (
        "[no] ip address <own:ipv4> peer <peer_net:prefix4>",
        address_with_peer,
    ),
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
            let interface = e.interface()?;
            let lifetime = interface.ra_lifetime.filter(|lifetime| *lifetime > 0);
            let interval = interval.filter(|interval| !a.no() && *interval != RA_INTERVAL);
            if let Some(lifetime) = lifetime
                && interval.unwrap_or(RA_INTERVAL) > u32::from(lifetime) * 1000
            {
                let message = "This ra-interval would conflict with configured ra-lifetime!";
                return Err(Refusal::Bare(message.to_owned()));
            }
            interface.ra_interval = interval;
            Ok(())
        },
    ),
    ("ipv6 nd ra-lifetime ~ <seconds:0-9000>", |e, a| {
        let interface = e.interface()?;
        let lifetime = a
            .optional::<u32>("seconds")?
            .filter(|lifetime| !a.no() && *lifetime > 0);
        if lifetime.is_some_and(|lifetime| lifetime * 1000 < interface.ra_interval.unwrap_or(RA_INTERVAL)) {
            let message = "This ra-lifetime would conflict with configured ra-interval";
            return Err(Refusal::Bare(message.to_owned()));
        }
        option(&mut interface.ra_lifetime, a, "seconds")
    }),
];

/// Commands in `line vty`.
pub(super) const LINE: Rows = &[
    ("exec-timeout <minutes:0-35791> [<seconds:0-2147483>]", ignored),
    ("no exec-timeout", ignored),
    ("[ipv6] access-class <name:word>", ignored),
    ("no ipv6 access-class [<name:word>]", ignored),
    ("no access-class [<name:word>]", |_, _| {
        Err(Refusal::Bare(
            "Access-class is not currently applied to vty".to_owned(),
        ))
    }),
    ("[no] login", ignored),
];

/// What zebra says of an interface that is there and is to be forgotten.
const ACTIVE: &str = "% Configuration failed.\n\nError type: validation\nError description: only inactive interfaces can be deleted";

/// From this version on a router's defaults are those of 8.4.
const PRESENT: (u16, u16) = (8, 3);

/// From 10 on answers are written as there; those of earlier versions as in 8.4.4.
fn version(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let text = arguments.text("line")?;
    let mut numbers = text.split(|it: char| !it.is_ascii_digit());
    let mut number = || numbers.next().and_then(|it| it.parse::<u16>().ok());
    let (major, minor) = (number(), number().unwrap_or(0));
    let version = major.map(|major| (major, minor));
    edit.config.version = version.filter(|version| *version < PRESENT);
    let major = major.unwrap_or(0);
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
        other => {
            let other = other.unwrap_or_default();
            edit.say(&format!(
                "% WARNING: profile {other} is not known in this version"
            ));
            return Ok(());
        }
    };
    let old = std::mem::replace(&mut edit.config.profile, profile);
    for bgp in edit.config.instances_mut() {
        bgp.rebase(old, profile);
    }
    Ok(())
}

fn kept(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    match foreign::configures(Place::Configure, edit.line) {
        Ok(_) => {}
        Err(FaultKind::Incomplete) => return Err(Refusal::Incomplete),
        Err(_) => return Err(Refusal::Unknown),
    }
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

fn address_with_peer(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let pair = (arguments.value("own")?, arguments.value("peer_net")?);
    let peers = &mut edit.interface()?.peers;
    match arguments.no() {
        false => {
            peers.insert(pair);
            Ok(())
        }
        true if peers.remove(&pair) => Ok(()),
        true => Err(Refusal::Invalid(
            "Can't find address".to_owned(),
            arguments.span("own"),
        )),
    }
}

fn address(edit: &mut Edit, arguments: &Arguments) -> Result<(), Refusal> {
    let address: IpNet = arguments.value("address")?;
    if arguments.no() {
        let was_there = edit.interface()?.addresses.remove(&address);
        return match was_there || edit.own.addresses.contains(&address.addr()) {
            true => Ok(()),
            false => Err(Refusal::Invalid(
                "Can't find address".to_owned(),
                arguments.span("address"),
            )),
        };
    }
    if let IpNet::V4(net) = address
        && !is_usable(net.addr())
    {
        return Err(Refusal::Invalid(
            "Invalid address".to_owned(),
            arguments.span("address"),
        ));
    }
    edit.interface()?.addresses.insert(address);
    Ok(())
}

/// Whether zebra sets an address on an interface.
fn is_usable(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || address.is_broadcast())
}

/// The prefix of a command, given as such or as an address and a mask.
pub(super) fn prefix(arguments: &Arguments) -> Result<IpNet, Refusal> {
    if let Some(prefix) = arguments.optional::<Ipv4Net>("prefix4")? {
        return Ok(prefix.trunc().into());
    }
    if let Some(prefix) = arguments.optional::<Ipv6Net>("prefix6")? {
        return Ok(prefix.trunc().into());
    }
    let network: Ipv4Addr = arguments.value("network")?;
    let length = match arguments.optional::<Ipv4Addr>("mask")? {
        // As FRR reads it: whatever follows the first 0 does not count.
        Some(mask) => Some(mask.to_bits().leading_ones() as u8),
        None => class(network),
    };
    let prefix = length.and_then(|length| Ipv4Net::new(network, length).ok());
    let prefix = prefix.ok_or_else(|| {
        Refusal::Invalid(
            "Inconsistent address and mask".to_owned(),
            arguments.span("network"),
        )
    })?;
    Ok(prefix.trunc().into())
}

/// The length of a network's prefix by its class; none of multicast.
fn class(network: Ipv4Addr) -> Option<u8> {
    match network.octets()[0] {
        _ if network.is_unspecified() => Some(0),
        0..128 => Some(8),
        128..192 => Some(16),
        192..224 => Some(24),
        224.. => None,
    }
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
    // The same way at another distance takes its place. Of the ways in which packets are dropped there is one, by whatever name
    // it is called.
    let key = |route: &StaticRoute| {
        let via = match &route.via {
            Via::Null0 | Via::Reject => Via::Blackhole,
            via => via.clone(),
        };
        (route.prefix, via)
    };
    let routes = &mut edit.config.static_routes;
    let before = routes.len();
    routes.retain(|known| key(known) != key(&route));
    let was_there = routes.len() < before;
    if !arguments.no() {
        routes.insert(route);
    } else if !was_there {
        edit.say("% Refusing to remove a non-existent route");
    }
    Ok(())
}
