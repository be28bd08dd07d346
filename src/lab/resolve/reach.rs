//! Which gateways a node's interfaces reach: the kernel refuses a route by way of any other.

use std::net::IpAddr;

use ipnet::IpNet;

use super::addresses::Placed;
use crate::model::Mgmt;

/// The networks on the wires of a node.
pub(super) struct Reach<'a> {
    /// Interface and network.
    nets: Vec<(&'a str, IpNet)>,
    own: Vec<IpAddr>,
}

impl<'a> Reach<'a> {
    pub fn new(placed: &'a [Placed], mgmt: Option<&Mgmt>) -> Self {
        let mut nets: Vec<_> = placed
            .iter()
            .map(|one| (one.address.interface.as_str(), one.address.net))
            .collect();
        if let Some(mgmt) = mgmt {
            nets.extend(mgmt.ipv4_subnet.map(|net| ("eth0", IpNet::V4(net))));
            nets.extend(mgmt.ipv6_subnet.map(|net| ("eth0", IpNet::V6(net))));
        }
        Reach {
            nets,
            own: placed.iter().map(|one| one.address.net.addr()).collect(),
        }
    }

    /// Whether it is the node's own address.
    pub fn is_own(&self, address: &IpAddr) -> bool {
        self.own.contains(address)
    }

    /// Notes a route straight to an interface: gateways behind it are reached from then on.
    pub fn add(&mut self, interface: &'a str, net: IpNet) {
        self.nets.push((interface, net));
    }

    /// Whether a gateway is on the wire of the interface, or of any where none is given.
    pub fn reaches(&self, gateway: &IpAddr, interface: Option<&str>) -> bool {
        self.nets.iter().any(|(name, net)| {
            let here = interface.is_none_or(|interface| interface == *name);
            here && net.contains(gateway)
        })
    }

    /// The networks of one family, for a message.
    pub fn list(&self, ipv4: bool, interface: Option<&str>) -> String {
        let names: Vec<_> = self
            .nets
            .iter()
            .filter(|(name, net)| net.addr().is_ipv4() == ipv4 && interface.is_none_or(|only| only == *name))
            .filter(|(name, _)| *name != "lo")
            .take(6)
            .map(|(name, net)| format!("{} on `{name}`", net.trunc()))
            .collect();
        names.join(", ")
    }
}
