//! This router as a neighbor reaches it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Endpoints, Interface, Peer, Speaker};
use crate::config::UpdateSource;
use crate::wire::{Family, NextHop};

/// The addresses that a neighbor may be told as next hops; `::` where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddresses {
    /// The IPv4 address; the router ID where the interface has none.
    pub v4: Ipv4Addr,
    /// The global IPv6 address; the link-local one where the interface has none.
    pub global: Ipv6Addr,
    /// The link-local address.
    pub link_local: Ipv6Addr,
    /// Whether both are on one network.
    pub shared: bool,
}

impl Speaker {
    /// The addresses of this router on a connection: that of the connection itself, and of the other family what is beside
    /// it on its interface.
    pub fn own_addresses(&self, peer: &Peer, ends: &Endpoints) -> OwnAddresses {
        let interface = self.interface_at(peer, ends);
        let link_local = interface
            .and_then(Interface::link_local)
            .unwrap_or(Ipv6Addr::UNSPECIFIED);
        let global = interface.and_then(Interface::global_v6);
        let near = self.is_on_a_network(ends.remote);
        match ends.local {
            IpAddr::V4(v4) => OwnAddresses {
                v4,
                global: global.unwrap_or(link_local),
                link_local,
                shared: near,
            },
            IpAddr::V6(local) => {
                let is_local = local.is_unicast_link_local();
                let beside = if near { link_local } else { Ipv6Addr::UNSPECIFIED };
                OwnAddresses {
                    v4: interface
                        .and_then(Interface::v4)
                        .unwrap_or_else(|| self.router_id()),
                    global: global.filter(|_| is_local).unwrap_or(local),
                    link_local: if is_local { local } else { beside },
                    shared: is_local || near,
                }
            }
        }
    }

    /// The interface whose address a connection has on this side.
    fn interface_at(&self, peer: &Peer, ends: &Endpoints) -> Option<&Interface> {
        let source = match &peer.effective.update_source {
            Some(UpdateSource::Interface(name)) => Some(name),
            _ => None,
        };
        let mut interfaces = self.interfaces.iter();
        match (ends.interface.or(peer.interface), source) {
            (Some(index), _) => interfaces.find(|it| it.index == index),
            (None, Some(name)) => interfaces.find(|it| it.name == *name),
            (None, None) => interfaces.find(|it| it.addresses.iter().any(|net| net.addr() == ends.local)),
        }
    }

    fn is_on_a_network(&self, address: IpAddr) -> bool {
        let mut networks = self.interfaces.iter().flat_map(Interface::nets);
        networks.any(|net| net.contains(&address))
    }

    /// Whether a neighbor is told IPv6 next hops of routes of a family.
    pub(super) fn takes_v6_next_hops(peer: &Peer, family: Family) -> bool {
        family == Family::Ipv6Unicast || peer.agreement().is_some_and(|it| it.extended_next_hop)
    }

    /// This router as a next hop. FRR puts the link-local address beside the global one (RFC 2545 section 3, RFC 8950), or
    /// says it twice, where `with_link_local` holds and both are on one network.
    pub(super) fn own_next_hop(&self, peer: &Peer, family: Family, with_link_local: bool) -> NextHop {
        let Some(ends) = &peer.endpoints else {
            return match family {
                Family::Ipv4Unicast | Family::L2vpnEvpn => NextHop::V4(self.router_id()),
                Family::Ipv6Unicast => NextHop::V6 {
                    global: self.router_id().to_ipv6_mapped(),
                    link_local: None,
                },
            };
        };
        let own = self.own_addresses(peer, ends);
        if !Speaker::takes_v6_next_hops(peer, family) {
            return NextHop::V4(own.v4);
        }
        let global = match own.global {
            none if none.is_unspecified() => own.v4.to_ipv6_mapped(),
            global => global,
        };
        let tells = with_link_local && own.shared && own.link_local.is_unicast_link_local();
        NextHop::V6 {
            global,
            link_local: tells.then_some(own.link_local),
        }
    }
}
