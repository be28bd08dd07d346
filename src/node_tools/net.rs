//! What the kernel has in a node: interfaces, addresses, routes and neighbors, as `ip` shows them in brief.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{WRONG, say};
use crate::kernel::netlink::Netlink;
use crate::kernel::route::{Found, Hop, RouteType, kind_name};
use crate::kernel::{Result, address, link, neighbor, route};
use crate::timeline::row::protocol;

const USAGE: &str = "usage: nslab net addr | link | neigh | route [-4|-6] [all] [proto NAME] [get ADDRESS]";
/// The main routing table (RT_TABLE_MAIN).
const MAIN: u32 = 254;

pub(super) fn run(words: &[&str]) -> i32 {
    let shown = match words {
        [view, rest @ ..] if "address".starts_with(view) && !view.is_empty() && rest.is_empty() => {
            addresses()
        }
        [view] if "link".starts_with(view) && !view.is_empty() => links(),
        [view] if "neighbors".starts_with(view) && !view.is_empty() => neighbors(),
        [view, rest @ ..] if "route".starts_with(view) && !view.is_empty() => match wanted(rest) {
            Some(wanted) => routes(&wanted),
            None => return wrong(),
        },
        _ => return wrong(),
    };
    match shown {
        Ok(text) => i32::from(!say(&text)),
        Err(error) => {
            eprintln!("nslab: {error}");
            1
        }
    }
}

fn wrong() -> i32 {
    eprintln!("{USAGE}");
    WRONG
}

fn names(netlink: &mut Netlink) -> Result<BTreeMap<u32, link::Interface>> {
    let all = link::list(netlink)?;
    Ok(all
        .into_iter()
        .map(|interface| (interface.index, interface))
        .collect())
}

fn name(interfaces: &BTreeMap<u32, link::Interface>, index: u32) -> String {
    let found = interfaces.get(&index);
    found.map_or_else(|| format!("if{index}"), |interface| interface.name.clone())
}

fn state(interface: &link::Interface) -> &'static str {
    match interface.up {
        true => "up",
        false => "down",
    }
}

fn addresses() -> Result<String> {
    let mut netlink = Netlink::open()?;
    let interfaces = names(&mut netlink)?;
    let mut nets: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (index, net) in address::list(&mut netlink)? {
        nets.entry(index).or_default().push(net.to_string());
    }
    let mut text = String::new();
    for (index, interface) in &interfaces {
        let nets = nets.get(index).map(|nets| nets.join(" ")).unwrap_or_default();
        let line = format!("{:<16} {:<5} {nets}", interface.name, state(interface));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    Ok(text)
}

fn links() -> Result<String> {
    let mut netlink = Netlink::open()?;
    let mut text = String::new();
    for interface in names(&mut netlink)?.values() {
        let mac: Vec<String> = interface
            .address
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let line = format!(
            "{:<16} {:<5} mtu {} {}",
            interface.name,
            state(interface),
            interface.mtu,
            mac.join(":")
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    Ok(text)
}

/// Which routes are wanted.
#[derive(Debug, Default, PartialEq)]
struct Wanted<'a> {
    /// IPv4 alone, or IPv6 alone.
    v4: Option<bool>,
    /// Of all tables, not only the main one.
    all: bool,
    /// Of whoever installed them.
    proto: Option<&'a str>,
    /// The one that packets to this address follow.
    to: Option<IpAddr>,
}

fn wanted<'a>(words: &[&'a str]) -> Option<Wanted<'a>> {
    let mut wanted = Wanted::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "-4" => wanted.v4 = Some(true),
            "-6" => wanted.v4 = Some(false),
            "all" => wanted.all = true,
            "show" => {}
            "proto" => wanted.proto = Some(rest.next()?),
            "get" => wanted.to = Some(rest.next()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(wanted)
}

fn routes(wanted: &Wanted<'_>) -> Result<String> {
    let mut netlink = Netlink::open()?;
    let interfaces = names(&mut netlink)?;
    let mut found = Vec::new();
    for v4 in [true, false] {
        if wanted.v4.is_none_or(|only| only == v4) {
            found.extend(route::list(&mut netlink, v4)?);
        }
    }
    found.retain(|route| wanted.all || route.table == MAIN);
    found.retain(|route| {
        wanted
            .proto
            .is_none_or(|wanted| wanted == protocol(route.protocol))
    });
    if let Some(to) = wanted.to {
        found = best(found, to).into_iter().collect();
    }
    let name = |index| name(&interfaces, index);
    Ok(found.iter().map(|route| line(route, &name)).collect())
}

/// The route to an address: the longest prefix, of those the one that is preferred.
fn best(routes: Vec<Found>, to: IpAddr) -> Option<Found> {
    let fit = routes.into_iter().filter(|route| route.to.contains(&to));
    fit.min_by_key(|route| (u8::MAX - route.to.prefix_len(), route.metric))
}

fn line(route: &Found, name: &dyn Fn(u32) -> String) -> String {
    let mut text = match route.kind {
        RouteType::Unicast => String::new(),
        kind => format!("{} ", kind_name(kind)),
    };
    text += &match route.to.prefix_len() {
        0 => "default".to_owned(),
        _ => shortest(route.to),
    };
    let hop = |hop: &Hop| {
        let via = hop.via.map(|via| format!(" via {via}")).unwrap_or_default();
        let dev = hop
            .dev
            .map(|dev| format!(" dev {}", name(dev)))
            .unwrap_or_default();
        via + &dev
    };
    if let [only] = route.hops.as_slice() {
        text += &hop(only);
    }
    let _ = write!(text, " proto {}", protocol(route.protocol));
    if route.metric > 0 {
        let _ = write!(text, " metric {}", route.metric);
    }
    if route.table != MAIN {
        let _ = write!(text, " table {}", route.table);
    }
    if route.hops.len() > 1 {
        for one in &route.hops {
            let _ = write!(text, "\n\tnexthop{} weight {}", hop(one), one.weight);
        }
    }
    text + "\n"
}

/// A machine's address without its length.
fn shortest(net: IpNet) -> String {
    match net.addr() {
        IpAddr::V4(address) if net.prefix_len() == 32 => address.to_string(),
        IpAddr::V6(address) if net.prefix_len() == 128 => address.to_string(),
        _ => net.to_string(),
    }
}

fn neighbors() -> Result<String> {
    let mut netlink = Netlink::open()?;
    let interfaces = names(&mut netlink)?;
    let mut text = String::new();
    for one in neighbor::list(&mut netlink)? {
        let mac = one.mac.map(|mac| format!(" lladdr {mac}")).unwrap_or_default();
        let dev = name(&interfaces, one.interface);
        let _ = writeln!(text, "{} dev {dev}{mac} {}", one.address, one.state);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::route::RouteType;

    #[test]
    fn routes_look_as_ip_shows_them() {
        let mut route = Found {
            to: "10.1.0.0/24".parse().unwrap(),
            kind: RouteType::Unicast,
            hops: vec![Hop {
                via: Some("10.0.0.1".parse().unwrap()),
                dev: Some(2),
                weight: 1,
            }],
            protocol: 186,
            metric: 20,
            table: MAIN,
        };
        let name = |index: u32| format!("net{index}");
        assert_eq!(
            line(&route, &name),
            "10.1.0.0/24 via 10.0.0.1 dev net2 proto bgp metric 20\n"
        );
        route.hops.push(Hop {
            via: None,
            dev: Some(3),
            weight: 2,
        });
        assert!(line(&route, &name).ends_with("\n\tnexthop dev net3 weight 2\n"));
        route = Found {
            kind: RouteType::BlackHole,
            hops: Vec::new(),
            to: "0.0.0.0/0".parse().unwrap(),
            metric: 0,
            ..route
        };
        assert_eq!(line(&route, &name), "blackhole default proto bgp\n");
        let longer = Found {
            to: "10.0.0.0/8".parse().unwrap(),
            ..route.clone()
        };
        let found = |to: &str| best(vec![route.clone(), longer.clone()], to.parse().unwrap()).unwrap();
        assert_eq!(found("10.1.1.1").to, longer.to);
        assert_eq!(found("192.0.2.1").to, route.to);
    }

    #[test]
    fn what_is_wanted_of_routes_is_read() {
        let read = wanted(&["-6", "proto", "bgp"]).unwrap();
        assert_eq!((read.v4, read.proto), (Some(false), Some("bgp")));
        assert_eq!(wanted(&["get", "10.1.2.1"]).unwrap().to, "10.1.2.1".parse().ok());
        assert_eq!(wanted(&["get"]), None);
        assert_eq!(wanted(&["nonsense"]), None);
    }
}
