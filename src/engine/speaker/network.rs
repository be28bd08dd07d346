//! The node's interfaces, addresses and routes as the speaker knows them.

use std::collections::BTreeMap;
use std::rc::Rc;

use ipnet::IpNet;
use netlink_packet_route::link::InfoKind;
use netlink_packet_route::route::RouteType;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;

use super::forwarding::{BGP, STATIC};
use super::process::HostEvent;
use crate::bgp::speaker::{Drop, Hop, Interface, KernelRoute, Link, LinkKind};
use crate::kernel::netlink::Netlink;
use crate::kernel::route::{self, Found};
use crate::kernel::watch::Watch;
use crate::kernel::{Result, address, link};

/// The protocol of routes that come with addresses, and of what ICMP redirects say (rtnetlink(7), rtm_protocol).
const KERNEL: u8 = 2;
const REDIRECT: u8 = 1;

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Interfaces that have a name, with the addresses that can be used.
    pub interfaces: Vec<Interface>,
    /// Their link-layer addresses.
    pub link_layer: BTreeMap<u32, Vec<u8>>,
    /// Interfaces that are raised, whether packets pass or not.
    pub raised: Vec<u32>,
    /// All addresses, those that cannot be used yet included.
    pub addresses: Vec<(u32, IpNet)>,
}

impl Network {
    /// Looks at interfaces and addresses.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn look(netlink: &mut Netlink) -> Result<Network> {
        let mut network = Network::default();
        let found = address::list_with_use(netlink)?;
        let peers = address::peers(netlink)?;
        for link in link::list(netlink)? {
            let own = found.iter().filter(|(index, ..)| *index == link.index);
            let usable = own.filter(|(.., usable)| *usable).map(|(_, net, _)| *net);
            if link.up {
                network.raised.push(link.index);
            }
            network.link_layer.insert(link.index, link.address.clone());
            network.interfaces.push(Interface {
                index: link.index,
                up: link.running,
                addresses: usable.collect(),
                peers: peers
                    .iter()
                    .filter(|(index, ..)| *index == link.index)
                    .map(|(_, own, net)| (*own, *net))
                    .collect(),
                link: device(&link),
                name: link.name,
            });
        }
        network.addresses = found.into_iter().map(|(index, net, _)| (index, net)).collect();
        Ok(network)
    }

    /// The same with these interfaces down.
    pub fn without(&self, fallen: impl Fn(u32) -> bool) -> Vec<Interface> {
        let mut interfaces = self.interfaces.clone();
        for interface in interfaces.iter_mut().filter(|it| fallen(it.index)) {
            interface.up = false;
        }
        interfaces
    }
}

impl Network {
    /// Interfaces that had IPv4 addresses before and have none any more.
    pub fn without_ipv4_since(&self, before: &Network) -> Vec<u32> {
        let has = |interface: &&Interface| interface.addresses.iter().any(|net| net.addr().is_ipv4());
        let had: Vec<u32> = before.interfaces.iter().filter(has).map(|it| it.index).collect();
        let lost = self
            .interfaces
            .iter()
            .filter(|it| !has(it) && had.contains(&it.index));
        lost.map(|it| it.index).collect()
    }
}

fn device(link: &link::Interface) -> Link {
    Link {
        flags: link.flags,
        mtu: link.mtu,
        address: link.address.clone(),
        kind: match link.kind {
            Some(InfoKind::Veth) => LinkKind::Veth,
            Some(InfoKind::Bridge) => LinkKind::Bridge,
            Some(InfoKind::Vlan) => LinkKind::Vlan,
            Some(InfoKind::Vxlan) => LinkKind::Vxlan,
            Some(InfoKind::Vrf) => LinkKind::Vrf,
            Some(InfoKind::Bond) => LinkKind::Bond,
            Some(InfoKind::MacVlan) => LinkKind::MacVlan,
            _ => LinkKind::Other,
        },
        parent: link.parent,
        master: link.master,
        table: link.table,
    }
}

/// The kernel's routes that neither came with an address nor are the speaker's, best first of those to the same destination;
/// such that cannot be used now, as their interface is down, are left out.
///
/// # Errors
/// The kernel refuses.
pub fn routes(netlink: &mut Netlink, interfaces: &[Interface]) -> Result<Vec<KernelRoute>> {
    let mut routes: BTreeMap<IpNet, KernelRoute> = BTreeMap::new();
    for v4 in [true, false] {
        let found = route::list_where(netlink, v4, |table, protocol| {
            table == libc::RT_TABLE_MAIN
                && ![REDIRECT, KERNEL, BGP.protocol, STATIC.protocol].contains(&protocol)
        })?;
        for route in found.into_iter().filter_map(|found| usable(found, interfaces)) {
            let best = routes.entry(route.to).or_insert_with(|| route.clone());
            if route.metric < best.metric {
                *best = route;
            }
        }
    }
    Ok(routes.into_values().collect())
}

fn usable(found: Found, interfaces: &[Interface]) -> Option<KernelRoute> {
    let hops: Vec<Hop> = match found.kind {
        RouteType::Unicast => {
            let up = |index: u32| interfaces.iter().any(|it| it.index == index && it.up);
            let hops = found.hops.iter().filter_map(|hop| {
                let interface = hop.dev.filter(|index| up(*index))?;
                let via = hop.via;
                Some(Hop { via, interface })
            });
            let hops: Vec<Hop> = hops.collect();
            if hops.is_empty() {
                return None;
            }
            hops
        }
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => Vec::new(),
        _ => return None,
    };
    let drop = match found.kind {
        RouteType::Unreachable => Drop::Unreachable,
        RouteType::Prohibit => Drop::Prohibit,
        _ => Drop::Blackhole,
    };
    Some(KernelRoute {
        to: found.to,
        hops,
        drop,
        metric: found.metric,
        is_static: false,
        distance: 0,
        tag: 0,
    })
}

/// Tells what changes, until nobody wants to hear it.
///
/// # Errors
/// The socket cannot be watched.
pub fn follow(watch: Watch, host_events: Sender<HostEvent>) -> Result<()> {
    let watch: Rc<AsyncFd<Watch>> = Rc::new(watch.register()?);
    tokio::task::spawn_local(async move {
        loop {
            let ready = tokio::select! {
                ready = watch.readable() => ready,
                () = host_events.closed() => return,
            };
            let Ok(mut ready) = ready else { return };
            // Cleared first: what comes while it is read makes it ready again.
            ready.clear_ready();
            let changes = watch.get_ref().read();
            // What changes while this waits its turn is told together.
            if !changes.is_empty() && host_events.send(HostEvent::Network(changes)).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}
