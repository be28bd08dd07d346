//! What a configuration says of interfaces, put into the kernel: addresses, `shutdown`, forwarding.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::network::Network;
use crate::bgp::config::Config;
use crate::kernel::netlink::{Netlink, Request};
use crate::kernel::sysctl::Sysctls;
use crate::kernel::{Error, address, link};

/// What is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Add(u32, String, IpNet),
    Remove(u32, String, IpNet),
    AddWithPeer(u32, String, IpAddr, IpNet),
    RemoveWithPeer(u32, String, IpAddr, IpNet),
    Raise(u32, String),
    Lower(u32, String),
}

/// Makes interfaces as a configuration wants them; what only the one before wanted is taken back. Returns what the kernel
/// refused.
pub fn apply(netlink: &mut Netlink, before: &Config, config: &Config, network: &Network) -> Vec<Error> {
    let requests: Vec<Request> = changes(before, config, network).iter().map(request).collect();
    if requests.is_empty() {
        return Vec::new();
    }
    netlink.send(requests).err().unwrap_or_default()
}

fn request(change: &Change) -> Request {
    match change {
        Change::Add(index, name, net) => address::add(&format!("give {net} to {name}"), *index, *net),
        Change::Remove(index, name, net) => address::remove(&format!("take {net} from {name}"), *index, *net),
        Change::AddWithPeer(index, name, own, peer) => {
            address::add_with_peer(&format!("give {own} to {name}"), *index, *own, *peer)
        }
        Change::RemoveWithPeer(index, name, own, peer) => {
            address::remove_with_peer(&format!("take {own} from {name}"), *index, *own, *peer)
        }
        Change::Raise(index, name) => link::up(&format!("raise {name}"), *index),
        Change::Lower(index, name) => link::down(&format!("shut {name} down"), *index),
    }
}

fn changes(before: &Config, config: &Config, network: &Network) -> Vec<Change> {
    let mut changes = Vec::new();
    for interface in &network.interfaces {
        let (index, name) = (interface.index, interface.name.as_str());
        let was = before.interfaces.get(name);
        let is = config.interfaces.get(name);
        let has = |net: &IpNet| network.addresses.contains(&(index, *net));
        let wanted = |net: &IpNet| is.is_some_and(|it| it.addresses.contains(net));
        let old = was.iter().flat_map(|it| &it.addresses);
        let gone = old.filter(|net| !wanted(net) && has(net));
        changes.extend(gone.map(|net| Change::Remove(index, name.to_owned(), *net)));
        let new = is.iter().flat_map(|it| &it.addresses).filter(|net| !has(net));
        changes.extend(new.map(|net| Change::Add(index, name.to_owned(), *net)));
        let has = |own: IpAddr, peer: IpNet| interface.peers.contains(&(own, peer));
        let wanted = |pair: &(Ipv4Addr, Ipv4Net)| is.is_some_and(|it| it.peers.contains(pair));
        for pair @ (own, peer) in was.iter().flat_map(|it| &it.peers) {
            if !wanted(pair) && has((*own).into(), (*peer).into()) {
                changes.push(Change::RemoveWithPeer(
                    index,
                    name.to_owned(),
                    (*own).into(),
                    (*peer).into(),
                ));
            }
        }
        for (own, peer) in is.iter().flat_map(|it| &it.peers) {
            if !has((*own).into(), (*peer).into()) {
                changes.push(Change::AddWithPeer(
                    index,
                    name.to_owned(),
                    (*own).into(),
                    (*peer).into(),
                ));
            }
        }
        let is_raised = network.raised.contains(&index);
        match (
            was.is_some_and(|it| it.shutdown),
            is.is_some_and(|it| it.shutdown),
        ) {
            (_, true) if is_raised => changes.push(Change::Lower(index, name.to_owned())),
            (true, false) if !is_raised => changes.push(Change::Raise(index, name.to_owned())),
            _ => {}
        }
    }
    changes
}

/// Turns forwarding on and off where a configuration has changed its mind. Returns what the kernel refused.
pub fn forward(before: &Config, config: &Config) -> Vec<Error> {
    let mut failures = Vec::new();
    for (was, is, path) in [
        (
            before.ipv4_forwarding,
            config.ipv4_forwarding,
            "net/ipv4/ip_forward",
        ),
        (
            before.ipv6_forwarding,
            config.ipv6_forwarding,
            "net/ipv6/conf/all/forwarding",
        ),
    ] {
        if was != is {
            let written = Sysctls::usual().and_then(|it| it.write(path, if is { "1" } else { "0" }));
            failures.extend(written.err());
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bgp::speaker::Interface;

    fn config(text: &str) -> Config {
        let (config, diagnostics) = Config::parse(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        config
    }

    fn network(addresses: &[&str]) -> Network {
        let nets: Vec<IpNet> = addresses.iter().map(|net| net.parse().unwrap()).collect();
        Network {
            interfaces: vec![Interface {
                index: 7,
                name: "net0".into(),
                up: true,
                addresses: nets.clone(),
                ..Interface::default()
            }],
            raised: vec![7],
            addresses: nets.into_iter().map(|net| (7, net)).collect(),
            ..Network::default()
        }
    }

    #[test]
    fn addresses_come_and_go_with_the_configuration() {
        let none = Config::default();
        let one = config("interface net0\n ip address 192.0.2.1/24\n");
        let net: IpNet = "192.0.2.1/24".parse().unwrap();
        let name = || "net0".to_owned();
        assert_eq!(changes(&none, &one, &network(&[])), [Change::Add(7, name(), net)]);
        assert_eq!(changes(&none, &one, &network(&["192.0.2.1/24"])), []);
        assert_eq!(
            changes(&one, &none, &network(&["192.0.2.1/24", "198.51.100.1/24"])),
            [Change::Remove(7, name(), net)]
        );
    }

    #[test]
    fn a_shut_interface_stays_down_until_it_is_wanted() {
        let shut = config("interface net0\n shutdown\n");
        let none = Config::default();
        let mut down = network(&[]);
        down.raised.clear();
        let name = || "net0".to_owned();
        assert_eq!(changes(&none, &shut, &network(&[])), [Change::Lower(7, name())]);
        assert_eq!(changes(&shut, &shut, &down), []);
        assert_eq!(changes(&shut, &none, &down), [Change::Raise(7, name())]);
        // One that somebody else took down is his.
        assert_eq!(changes(&none, &none, &down), []);
    }
}
