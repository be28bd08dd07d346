//! `show interface`: everything about interfaces.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;

use super::View;
use super::clock;
use super::interfaces::{addresses, all};
use super::json::{Json, Object, text};
use crate::config::{self, Arguments, PeerName, RouterPreference};
use crate::session::Time;
use crate::speaker::{Interface, LinkKind};

/// Flags of the kernel's by their names, in FRR's order (netdevice(7)).
const FLAGS: [(u32, &str); 10] = [
    (0x1, "UP"),
    (0x2, "BROADCAST"),
    (0x4, "DEBUG"),
    (0x8, "LOOPBACK"),
    (0x10, "POINTOPOINT"),
    (0x40, "RUNNING"),
    (0x80, "NOARP"),
    (0x100, "PROMISC"),
    (0x200, "ALLMULTI"),
    (0x1000, "MULTICAST"),
];
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const RUNNING: u32 = 0x40;
/// What the kernel says of a pair's ends, in Mbit/s; of others nobody asks.
const SPEED_OF_VETH: u32 = 10_000;

/// Milliseconds between router advertisements where nothing is configured: with a neighbor on the link, and without.
const NEIGHBOR_INTERVAL: u32 = 10_000;
const INTERVAL: u32 = 600_000;

/// `show interface`, all or one.
pub(super) fn details(view: &View, arguments: &Arguments) -> String {
    let name = arguments.get("name");
    let mut interfaces = all(view);
    interfaces.retain(|it| name.is_none_or(|name| it.name == name));
    let json = arguments.has("json");
    match (name, interfaces.as_slice()) {
        (Some(_), []) if json => "{}\n".to_owned(),
        (Some(name), []) => format!("% Can't find interface {name}\n"),
        (_, interfaces) if json => {
            let mut object = Object::new();
            for interface in interfaces {
                object.put(interface.name.clone(), Shown::new(view, interface).as_json());
            }
            object.pretty() + "\n"
        }
        (_, interfaces) => {
            let shown = interfaces.iter().map(|it| Shown::new(view, it).as_text());
            shown.collect()
        }
    }
}

/// An interface, and what the configuration says of it.
struct Shown<'v, 's> {
    view: &'v View<'s>,
    interface: &'s Interface,
    configured: Option<&'s config::Interface>,
}

impl<'v, 's> Shown<'v, 's> {
    fn new(view: &'v View<'s>, interface: &'s Interface) -> Shown<'v, 's> {
        Shown {
            view,
            interface,
            configured: view.speaker.config().interfaces.get(&interface.name),
        }
    }

    fn has(&self, flag: u32) -> bool {
        self.interface.link.flags & flag != 0
    }

    fn flags(&self) -> String {
        let names = FLAGS.iter().filter(|(flag, _)| self.has(*flag));
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        format!("<{}>", names.join(","))
    }

    /// Whether it counts as down while no packets pass.
    fn detects_links(&self) -> bool {
        self.configured.is_none_or(|it| it.link_detect)
    }

    fn kind(&self) -> &'static str {
        if self.has(LOOPBACK) {
            "Loopback"
        } else {
            "Ethernet"
        }
    }

    fn address(&self) -> Option<String> {
        let octets = &self.interface.link.address;
        let is_none = octets.is_empty() || self.has(LOOPBACK);
        let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        (!is_none).then(|| octets.join(":"))
    }

    fn speed(&self) -> u32 {
        match self.interface.link.kind {
            LinkKind::Veth => SPEED_OF_VETH,
            _ => 0,
        }
    }

    /// What it is in.
    fn master(&self) -> Option<&'s Interface> {
        let index = self.interface.link.master?;
        self.view.speaker.interfaces().iter().find(|it| it.index == index)
    }

    fn slave_type(&self) -> &'static str {
        match self.master().map(|it| it.link.kind) {
            None => "None",
            Some(LinkKind::Bridge) => "Bridge",
            Some(LinkKind::Vrf) => "Vrf",
            Some(LinkKind::Bond) => "Bond",
            Some(_) => "Other",
        }
    }

    fn moment(&self, at: Time) -> String {
        let ago = self.view.now.saturating_sub(at);
        clock::stamp(self.view.unix.saturating_sub(ago))
    }

    /// Addresses: IPv4 before IPv6, each by number.
    fn addresses(&self) -> Vec<&'s IpNet> {
        let v4 = addresses(self.interface, true);
        let mut nets: Vec<&IpNet> = v4.chain(addresses(self.interface, false)).collect();
        nets.sort();
        nets
    }

    /// What an address says to be at the other end of the link, and whether that is all.
    fn other_end(&self, net: &IpNet) -> (Option<IpNet>, bool) {
        let mut peers = self.interface.peers.iter();
        let peer = peers.find(|(own, _)| *own == net.addr()).map(|(_, peer)| *peer);
        (peer, peer.is_some_and(|peer| peer.prefix_len() == 32))
    }

    fn state(&self) -> &'static str {
        match () {
            () if !self.has(UP) => "down",
            () if !self.detects_links() => "up, line protocol detection is disabled",
            () if self.has(RUNNING) => "up, line protocol is up",
            () => "up, line protocol is down",
        }
    }

    fn as_text(&self) -> String {
        let (interface, link) = (self.interface, &self.interface.link);
        let mut out = format!("Interface {} is {}\n", interface.name, self.state());
        let changes = self.view.speaker.link_changes(interface.index);
        let last = |at: Option<Time>| at.map_or("(never)".to_owned(), |at| self.moment(at));
        let _ = writeln!(
            out,
            "  Link ups:   {:>5}    last: {}",
            changes.ups,
            last(changes.last_up)
        );
        let _ = writeln!(
            out,
            "  Link downs: {:>5}    last: {}",
            changes.downs,
            last(changes.last_down)
        );
        out += "  vrf: default\n";
        if let Some(description) = self.configured.and_then(|it| it.description.as_ref()) {
            let _ = writeln!(out, "  Description: {description}");
        }
        let (index, mtu, speed) = (interface.index, link.mtu, self.speed());
        let _ = writeln!(out, "  index {index} metric 0 mtu {mtu} speed {speed} ");
        let _ = writeln!(out, "  flags: {}\n  Type: {}", self.flags(), self.kind());
        if let Some(address) = self.address() {
            let _ = writeln!(out, "  HWaddr: {address}");
        }
        if let Some(bandwidth) = self.configured.and_then(|it| it.bandwidth) {
            let _ = writeln!(out, "  bandwidth {bandwidth} Mbps");
        }
        for net in self.addresses() {
            let family = if net.addr().is_ipv4() { "inet" } else { "inet6" };
            let (peer, unnumbered) = self.other_end(net);
            let peer = peer.map_or(String::new(), |peer| format!(" peer {peer}"));
            let unnumbered = if unnumbered { " unnumbered" } else { "" };
            let _ = writeln!(out, "  {family} {net}{peer}{unnumbered}");
        }
        out + &self.device()
    }

    fn device(&self) -> String {
        let link = &self.interface.link;
        let mut out = format!(
            "  Interface Type {}\n  Interface Slave Type {}\n",
            device_type(link.kind),
            self.slave_type()
        );
        if link.kind == LinkKind::Bridge {
            out += "  Bridge VLAN-aware: no\n";
        }
        if let Some(master) = self.master().filter(|it| it.link.kind == LinkKind::Bridge) {
            let _ = writeln!(out, "  Master interface: {}", master.name);
        }
        out += "  protodown: off \n";
        if let Some(parent) = link.parent {
            let _ = writeln!(out, "  Parent ifindex: {parent}");
        }
        out += &self.advertisements();
        if let Some(neighbor) = self.neighbor() {
            let _ = writeln!(out, "  Neighbor address(s):\n  inet6 {neighbor}/128");
        }
        out
    }

    /// Whoever is at the other end, where BGP looks for it.
    fn neighbor(&self) -> Option<IpAddr> {
        let name = PeerName::Interface(self.interface.name.clone());
        let mut peers = self.view.speaker.peers();
        peers.find(|peer| peer.name == name)?.remote
    }

    /// What router advertisements say, where they are sent.
    fn advertisements(&self) -> String {
        let Some((sent, heard)) = self.view.speaker.advertisements(self.interface.index) else {
            return String::new();
        };
        let name = PeerName::Interface(self.interface.name.clone());
        let has_neighbor = self.view.bgp().is_some_and(|bgp| bgp.neighbor(&name).is_some());
        let standard = if has_neighbor { NEIGHBOR_INTERVAL } else { INTERVAL };
        let interval = self.configured.and_then(|it| it.ra_interval).unwrap_or(standard);
        let interval = match interval % 1000 {
            0 => format!("{} seconds", interval / 1000),
            _ => format!("{interval} milliseconds"),
        };
        let lifetime = match self.configured.and_then(|it| it.ra_lifetime) {
            None => "lifetime tracks ra-interval".to_owned(),
            Some(lifetime) => format!("live for {lifetime} seconds"),
        };
        let said = self.configured.map(|it| it.neighbor_discovery.clone());
        let said = said.unwrap_or_default();
        let preference = match said.preference {
            Some(RouterPreference::High) => "high",
            Some(RouterPreference::Low) => "low",
            None => "medium",
        };
        let mut out = format!(
            "  ND advertised reachable time is {} milliseconds\n  ND advertised retransmit interval is {} milliseconds\n  \
             ND advertised hop-count limit is {} hops\n  ND router advertisements sent: {sent} rcvd: {heard}\n  \
             ND router advertisements are sent every {interval}\n",
            said.reachable.unwrap_or(0),
            said.retransmit.unwrap_or(0),
            said.hop_limit.unwrap_or(64),
        );
        if said.answers_slowly {
            out += "  ND router advertisements do not use fast retransmit\n";
        }
        let _ = writeln!(
            out,
            "  ND router advertisements {lifetime}\n  ND router advertisement default router preference is {preference}"
        );
        out += match said.managed {
            true => "  Hosts use DHCP to obtain routable addresses.\n",
            false => "  Hosts use stateless autoconfig for addresses.\n",
        };
        if said.home_agent {
            out += "  ND router advertisements with Home Agent flag bit set.\n";
            out += &match said.home_agent_lifetime {
                Some(lifetime) => format!("  Home Agent lifetime is {lifetime} seconds\n"),
                None => "  Home Agent lifetime tracks ra-lifetime\n".to_owned(),
            };
            let preference = said.home_agent_preference.unwrap_or(0);
            let _ = writeln!(out, "  Home Agent preference is {preference}");
        }
        if said.tells_interval {
            out += "  ND router advertisements with Adv. Interval option.\n";
        }
        out
    }

    fn as_json(&self) -> Object {
        let mut object = Object::new();
        let word = |up: bool| if up { "up" } else { "down" };
        object.put("administrativeStatus", word(self.has(UP)));
        if self.has(UP) {
            if self.detects_links() {
                object.put("operationalStatus", word(self.has(RUNNING)));
            }
            object.put("linkDetection", self.detects_links());
        }
        let changes = self.view.speaker.link_changes(self.interface.index);
        object.put("linkUps", changes.ups);
        object.put("linkDowns", changes.downs);
        object.put_some("lastLinkUp", changes.last_up.map(|at| self.moment(at)));
        object.put_some("lastLinkDown", changes.last_down.map(|at| self.moment(at)));
        object.put("vrfName", "default");
        let description = self.configured.and_then(|it| it.description.as_deref());
        object.put_some("description", description);
        for name in [
            "mplsEnabled",
            "linkDown",
            "linkDownV6",
            "mcForwardingV4",
            "mcForwardingV6",
            "pseudoInterface",
        ] {
            object.put(name, false);
        }
        object.put("index", self.interface.index);
        object.put("metric", 0);
        object.put("mtu", self.interface.link.mtu);
        object.put("speed", self.speed());
        object.put("flags", self.flags());
        object.put("type", self.kind());
        object.put_some("hardwareAddress", self.address());
        object.put_some("bandwidth", self.configured.and_then(|it| it.bandwidth));
        object.put("ipAddresses", self.addresses_as_json());
        self.put_device(&mut object);
        object
    }

    fn addresses_as_json(&self) -> Vec<Json> {
        let addresses = self.addresses().into_iter().map(|net| {
            let (peer, unnumbered) = self.other_end(net);
            let mut object = Object::new().with("address", text(net));
            object.put_some("peer", peer.map(text));
            Json::from(object.with("secondary", false).with("unnumbered", unnumbered))
        });
        addresses.collect()
    }

    fn put_device(&self, object: &mut Object) {
        let link = &self.interface.link;
        object.put("interfaceType", device_type(link.kind));
        object.put("interfaceSlaveType", self.slave_type());
        if link.kind == LinkKind::Bridge {
            object.put("bridgeVlanAware", false);
        }
        if let Some(master) = self.master().filter(|it| it.link.kind == LinkKind::Bridge) {
            object.put("masterInterface", master.name.as_str());
        }
        object.put("lacpBypass", false);
        object.put("evpnMh", Object::new());
        object.put("protodown", "off");
        object.put_some("parentIfindex", link.parent);
        if let Some(neighbor) = self.neighbor() {
            object.put("neighborIpAddresses", vec![Json::Text(format!("{neighbor}/128"))]);
        }
    }
}

fn device_type(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Other => "Other",
        LinkKind::Veth => "VETH",
        LinkKind::Bridge => "Bridge",
        LinkKind::Vlan => "Vlan",
        LinkKind::Vxlan => "Vxlan",
        LinkKind::Vrf => "VRF",
        LinkKind::Bond => "bond",
        LinkKind::MacVlan => "macvlan",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::view;
    use crate::speaker::simulator::Network;
    use crate::speaker::{Event, Link};

    /// Two interfaces and the bridge one of them is in, as in a lab in which FRR 8.4.4 was asked.
    fn lab() -> Network {
        let mut network = Network::new();
        let text =
            "interface net0\n description to the other\n bandwidth 100\ninterface net2\n no link-detect\n";
        let node = network.node("r1", text, &[]);
        network.interface(node, "net0", &["192.0.2.1/24"]);
        network.interface(node, "net2", &[]);
        network.interface(node, "br0", &[]);
        let link = |flags: u32, kind: LinkKind, parent: Option<u32>, master: Option<u32>| Link {
            flags,
            mtu: 1500,
            address: vec![2, 0x59, 0x8f, 0x99, 0x1a, 0x5c],
            kind,
            parent,
            master,
            table: None,
        };
        let interfaces = &mut network.nodes[node].interfaces;
        interfaces[1].link = link(0x1043, LinkKind::Veth, Some(3), None);
        interfaces[2].link = link(0x1003, LinkKind::Veth, Some(7), Some(4));
        interfaces[3].link = link(0x1002, LinkKind::Bridge, None, None);
        network.start();
        for up in [false, true] {
            network.nodes[node].interfaces[1].up = up;
            let now = network.nodes[node].interfaces.clone();
            network.handle_event(node, Event::Interfaces(now));
            network.run(1);
        }
        network
    }

    fn shown(network: &Network, name: &str) -> Vec<String> {
        let view = view(network, 0);
        let interfaces = view.speaker.interfaces();
        let interface = interfaces.iter().find(|it| it.name == name).unwrap();
        let text = Shown::new(&view, interface).as_text();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn everything_about_an_interface() {
        let lines = shown(&lab(), "net0");
        assert_eq!(lines[0], "Interface net0 is up, line protocol is up");
        assert!(
            lines[1].starts_with("  Link ups:       1    last: 2026/11/25 02:30:0"),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("  Link downs:     1    last: 2026/11/25 02:30:0"),
            "{lines:?}"
        );
        assert_eq!(
            lines[3..11],
            [
                "  vrf: default",
                "  Description: to the other",
                "  index 2 metric 0 mtu 1500 speed 10000 ",
                "  flags: <UP,BROADCAST,RUNNING,MULTICAST>",
                "  Type: Ethernet",
                "  HWaddr: 02:59:8f:99:1a:5c",
                "  bandwidth 100 Mbps",
                "  inet 192.0.2.1/24",
            ]
        );
        assert_eq!(
            lines[12..],
            [
                "  Interface Type VETH",
                "  Interface Slave Type None",
                "  protodown: off ",
                "  Parent ifindex: 3"
            ]
        );
    }

    #[test]
    fn bridges_and_what_is_in_them() {
        let network = lab();
        let lines = shown(&network, "net2");
        assert_eq!(
            lines[0],
            "Interface net2 is up, line protocol detection is disabled"
        );
        assert_eq!(
            lines[lines.len() - 4..],
            [
                "  Interface Slave Type Bridge",
                "  Master interface: br0",
                "  protodown: off ",
                "  Parent ifindex: 7"
            ]
        );
        let lines = shown(&network, "br0");
        assert_eq!(lines[0], "Interface br0 is down");
        assert!(lines.iter().any(|line| line == "  Bridge VLAN-aware: no"));
    }
}
