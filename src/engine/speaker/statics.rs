//! Static routes: which of those that are configured hold, and where they lead (what FRR's staticd and zebra do).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::bgp::config::{StaticRoute, Via};
use crate::bgp::speaker::{self, Drop, Interface, KernelRoute};
use crate::kernel::route_change::{Hop, Way};

/// A distance that keeps a route from being used at all.
const NEVER: u8 = 255;

/// A route that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Where it leads.
    pub way: Way,
    /// Its administrative distance.
    pub distance: u8,
    /// Its tag.
    pub tag: u32,
}

/// What static routes depend on.
pub struct Surroundings<'a> {
    /// The interfaces.
    pub interfaces: &'a [Interface],
    /// The kernel's routes, which are nearer than any.
    pub kernel: &'a [KernelRoute],
    /// What the speaker has in the kernel.
    pub learned: &'a dyn Fn(&IpNet) -> Option<&'a speaker::Way>,
    /// The distance of what BGP has learned for a prefix.
    pub distance: &'a dyn Fn(&IpNet) -> Option<u8>,
}

/// The routes that hold, by destination.
pub fn choose<'a>(
    routes: impl IntoIterator<Item = &'a StaticRoute>,
    surroundings: &Surroundings<'_>,
) -> BTreeMap<IpNet, Chosen> {
    let mut by_prefix: BTreeMap<IpNet, Vec<&StaticRoute>> = BTreeMap::new();
    for route in routes {
        if route.distance != NEVER && !surroundings.has_nearer(route) {
            by_prefix.entry(route.prefix).or_default().push(route);
        }
    }
    let mut chosen = BTreeMap::new();
    // A next hop may be reached over another static route: as many rounds as there are routes settle it.
    for _ in 0..=by_prefix.len() {
        let next: BTreeMap<IpNet, Chosen> = by_prefix
            .iter()
            .filter_map(|(prefix, routes)| Some((*prefix, best(*prefix, routes, &chosen, surroundings)?)))
            .collect();
        if next == chosen {
            break;
        }
        chosen = next;
    }
    chosen
}

/// Those of the least distance that lead somewhere; one that drops stands alone.
fn best(
    prefix: IpNet,
    routes: &[&StaticRoute],
    chosen: &BTreeMap<IpNet, Chosen>,
    surroundings: &Surroundings<'_>,
) -> Option<Chosen> {
    let ways = routes.iter().filter_map(|route| {
        let way = surroundings.way(prefix, route, chosen)?;
        Some((*route, way))
    });
    let mut ways: Vec<(&StaticRoute, Way)> = ways.collect();
    let nearest = ways
        .iter()
        .map(|(route, _)| *route)
        .min_by_key(|it| it.distance)?;
    ways.retain(|(route, _)| route.distance == nearest.distance);
    let way = together(ways.into_iter().map(|(_, way)| way));
    Some(Chosen {
        way,
        distance: nearest.distance,
        tag: nearest.tag,
    })
}

/// Ways that packets are shared among; one that drops takes them all.
fn together(ways: impl Iterator<Item = Way>) -> Way {
    let mut hops = Vec::new();
    for way in ways {
        match way {
            Way::Hops(more) => hops.extend(more),
            drops => return drops,
        }
    }
    hops.sort();
    hops.dedup();
    Way::Hops(hops)
}

impl Surroundings<'_> {
    /// Whether something is nearer than a route: a network this router is in, a route of the kernel's, or one of BGP's.
    fn has_nearer(&self, route: &StaticRoute) -> bool {
        self.networks().any(|(_, net)| net.trunc() == route.prefix)
            || self.kernel.iter().any(|it| it.to == route.prefix)
            || (self.distance)(&route.prefix).is_some_and(|distance| distance < route.distance)
    }

    fn networks(&self) -> impl Iterator<Item = (&Interface, IpNet)> {
        let up = self.interfaces.iter().filter(|it| it.up);
        up.flat_map(|it| it.nets().map(move |net| (it, net)))
    }

    fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|it| it.up && it.name == name)
    }

    fn way(&self, prefix: IpNet, route: &StaticRoute, chosen: &BTreeMap<IpNet, Chosen>) -> Option<Way> {
        let hop = |via: Option<IpAddr>, interface: &Interface, onlink: bool| {
            let interface = interface.index;
            Way::Hops(vec![Hop {
                via,
                interface,
                onlink,
            }])
        };
        match &route.via {
            Via::Blackhole | Via::Null0 => Some(Way::Blackhole),
            Via::Reject => Some(Way::Unreachable),
            Via::Interface(name) => Some(hop(None, self.interface(name)?, false)),
            Via::Address(address, Some(name)) => {
                let interface = self.interface(name)?;
                let local = matches!(address, IpAddr::V6(it) if it.is_unicast_link_local());
                let near = interface.nets().any(|net| net.contains(address));
                (local || near || route.onlink).then(|| hop(Some(*address), interface, route.onlink))
            }
            Via::Address(address, None) => self.resolve(prefix, *address, chosen).map(Way::Hops),
        }
    }

    /// The ways to a next hop: over the network it is on, else over the longest route to it other than the one in question.
    fn resolve(&self, prefix: IpNet, address: IpAddr, chosen: &BTreeMap<IpNet, Chosen>) -> Option<Vec<Hop>> {
        if self.interfaces.iter().any(|it| it.up && it.has(address)) {
            return None;
        }
        let near = self.networks().filter(|(_, net)| net.contains(&address));
        let near = near.max_by_key(|(_, net)| net.prefix_len());
        let leads = |net: &IpNet| net.contains(&address) && net.prefix_len() > 0 && *net != prefix;
        let kernel = self.kernel.iter().filter(|it| leads(&it.to));
        let kernel = kernel.map(|it| (it.to, plain(&it.hops)));
        let learned = longest(self.learned, address, prefix).map(|(to, way)| (to, plain(way.hops())));
        let statics = longest(|net| chosen.get(net), address, prefix).map(|(to, chosen)| match &chosen.way {
            Way::Hops(hops) => (to, hops.clone()),
            Way::Blackhole | Way::Unreachable => (to, Vec::new()),
        });
        let far = kernel.chain(learned).chain(statics);
        let far = far.max_by_key(|(to, _)| to.prefix_len());
        match (near, far) {
            (Some((interface, net)), far)
                if far
                    .as_ref()
                    .is_none_or(|(to, _)| to.prefix_len() <= net.prefix_len()) =>
            {
                Some(vec![Hop {
                    via: Some(address),
                    interface: interface.index,
                    onlink: false,
                }])
            }
            (_, Some((_, hops))) if !hops.is_empty() => Some(
                hops.into_iter()
                    .map(|hop| Hop {
                        via: hop.via.or(Some(address)),
                        ..hop
                    })
                    .collect(),
            ),
            _ => None,
        }
    }
}

fn plain(hops: &[speaker::Hop]) -> Vec<Hop> {
    let hops = hops.iter().map(|hop| Hop {
        via: hop.via,
        interface: hop.interface,
        onlink: false,
    });
    hops.collect()
}

/// The longest prefix of an address in a table, a default route and one other excepted.
fn longest<T>(table: impl Fn(&IpNet) -> Option<T>, address: IpAddr, other: IpNet) -> Option<(IpNet, T)> {
    let whole = IpNet::from(address).prefix_len();
    let prefixes = (1..=whole)
        .rev()
        .filter_map(|length| IpNet::new(address, length).ok());
    let mut prefixes = prefixes.map(|net| net.trunc()).filter(|net| *net != other);
    prefixes.find_map(|net| Some((net, table(&net)?)))
}

/// A route that holds as the speaker knows the kernel's.
pub fn as_kernel_route(to: IpNet, chosen: &Chosen) -> KernelRoute {
    let hops = match &chosen.way {
        Way::Hops(hops) => hops.as_slice(),
        Way::Blackhole | Way::Unreachable => &[],
    };
    let hops = hops.iter().map(|hop| speaker::Hop {
        via: hop.via,
        interface: hop.interface,
    });
    KernelRoute {
        to,
        hops: hops.collect(),
        drop: match &chosen.way {
            Way::Unreachable => Drop::Unreachable,
            Way::Blackhole | Way::Hops(_) => Drop::Blackhole,
        },
        metric: 0,
        is_static: true,
        distance: chosen.distance,
        tag: chosen.tag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::config::Config;

    fn interface(index: u32, name: &str, up: bool, addresses: &[&str]) -> Interface {
        Interface {
            index,
            name: name.to_owned(),
            up,
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
            ..Interface::default()
        }
    }

    /// What holds of a configuration, as text.
    fn chosen(text: &str, up: bool, bgp: Option<u8>) -> Vec<String> {
        let (config, diagnostics) = Config::parse(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let interfaces = [
            interface(1, "lo", true, &["10.255.0.1/32"]),
            interface(2, "net0", true, &["192.0.2.1/24", "2001:db8::1/64"]),
            interface(3, "net1", up, &["198.51.100.1/24"]),
        ];
        let surroundings = Surroundings {
            interfaces: &interfaces,
            kernel: &[],
            learned: &|_| None,
            distance: &|_| bgp,
        };
        let found = choose(&config.static_routes, &surroundings);
        let text = found.iter().map(|(to, chosen)| match &chosen.way {
            Way::Hops(hops) => {
                let hop = |hop: &Hop| {
                    let via = hop.via.map_or(String::new(), |via| format!("{via}@"));
                    format!("{via}{}", hop.interface)
                };
                let hops: Vec<String> = hops.iter().map(hop).collect();
                format!("{to} {}", hops.join(" "))
            }
            drops => format!("{to} {drops:?}"),
        });
        text.collect()
    }

    #[test]
    fn next_hops_are_found_on_networks_and_over_other_routes() {
        let text = "ip route 10.1.0.0/16 192.0.2.2\nip route 10.2.0.0/16 10.1.0.1\n\
                    ip route 10.3.0.0/16 203.0.113.1\nipv6 route 2001:db8:1::/48 2001:db8::2\n";
        assert_eq!(
            chosen(text, true, None),
            [
                "10.1.0.0/16 192.0.2.2@2",
                "10.2.0.0/16 192.0.2.2@2",
                "2001:db8:1::/48 2001:db8::2@2"
            ]
        );
    }

    #[test]
    fn routes_go_with_their_interface_and_several_share() {
        let text =
            "ip route 10.1.0.0/16 192.0.2.2\nip route 10.1.0.0/16 198.51.100.2\nip route 10.2.0.0/16 net1\n";
        assert_eq!(
            chosen(text, true, None),
            ["10.1.0.0/16 192.0.2.2@2 198.51.100.2@3", "10.2.0.0/16 3"]
        );
        assert_eq!(chosen(text, false, None), ["10.1.0.0/16 192.0.2.2@2"]);
    }

    #[test]
    fn what_drops_drops() {
        let text =
            "ip route 10.1.0.0/16 blackhole\nip route 10.2.0.0/16 Null0\nip route 10.3.0.0/16 reject\n";
        assert_eq!(
            chosen(text, true, None),
            [
                "10.1.0.0/16 Blackhole",
                "10.2.0.0/16 Blackhole",
                "10.3.0.0/16 Unreachable"
            ]
        );
    }

    #[test]
    fn the_least_distance_holds() {
        let text = "ip route 10.1.0.0/16 198.51.100.2\nip route 10.1.0.0/16 blackhole 250\n";
        assert_eq!(chosen(text, true, None), ["10.1.0.0/16 198.51.100.2@3"]);
        assert_eq!(chosen(text, false, None), ["10.1.0.0/16 Blackhole"]);
        // BGP's is nearer than that.
        assert!(chosen(text, false, Some(20)).is_empty());
        assert_eq!(chosen(text, true, Some(20)), ["10.1.0.0/16 198.51.100.2@3"]);
    }

    #[test]
    fn a_network_of_its_own_needs_no_route() {
        assert!(chosen("ip route 192.0.2.0/24 198.51.100.2\n", true, None).is_empty());
        assert!(chosen("ip route 10.1.0.0/16 192.0.2.1\n", true, None).is_empty());
        assert!(chosen("ip route 10.1.0.0/16 10.1.0.1\n", true, None).is_empty());
    }

    #[test]
    fn onlink_next_hops_need_no_network() {
        assert!(chosen("ip route 10.1.0.0/16 203.0.113.1 net0\n", true, None).is_empty());
        assert_eq!(
            chosen("ip route 10.1.0.0/16 203.0.113.1 net0 onlink\n", true, None),
            ["10.1.0.0/16 203.0.113.1@2"]
        );
    }
}
