//! Two leaves with a VRF, as those that FRR 8.4.4 was asked in (tests/data/frr-8.4.4/evpn-routed): a network that both are in,
//! one of the second alone, and one that packets are routed in.

use std::net::IpAddr;

use super::simulator::Network;
use super::{Event, LinkKind};
use crate::evpn::{LocalMac, LocalVni};
use crate::wire::Mac;

/// The kernel's table of the VRF.
pub(crate) const TABLE: u32 = 1001;
/// The bridge of the network that packets are routed in.
pub(crate) const SVI: u32 = 4;

pub(crate) fn configuration(leaf: u8) -> String {
    let other = 3 - leaf;
    format!(
        "frr defaults datacenter\nhostname leaf{leaf}\n!\nvrf red\n vni 4001\nexit-vrf\n!\nrouter bgp 6510{leaf}\n \
         bgp router-id 10.0.1.{leaf}\n neighbor 10.9.0.{other} remote-as external\n address-family ipv4 unicast\n  \
         redistribute connected\n exit-address-family\n address-family l2vpn evpn\n  neighbor 10.9.0.{other} activate\n  \
         advertise-all-vni\n exit-address-family\nexit\n!\nrouter bgp 6510{leaf} vrf red\n bgp router-id 192.168.10.25{leaf}\n \
         address-family ipv4 unicast\n  redistribute connected\n exit-address-family\n address-family l2vpn evpn\n  \
         advertise ipv4 unicast\n exit-address-family\nexit\n"
    )
}

/// A MAC address as the lab has them: of a bridge by its network, of a host by 10.
pub(crate) fn mac(middle: u8, leaf: u8, last: u8) -> Mac {
    Mac([2, 0, 0, middle, leaf, last])
}

/// A VXLAN device in its bridge.
pub(crate) fn vni(leaf: u8, vni: u32, bridge: u32, own: Mac) -> LocalVni {
    LocalVni {
        vni,
        device: (20 + bridge, format!("vx{vni}")),
        bridge: (bridge, format!("br{vni}"), own),
        vtep: IpAddr::from([10, 0, 1, leaf]),
        macs: Vec::new(),
        neighbors: Vec::new(),
    }
}

/// All of a leaf's networks, with its host where that is known.
pub(crate) fn vnis(leaf: u8, has_host: bool) -> Vec<LocalVni> {
    let mut all = vec![
        vni(leaf, 10, 3, mac(0, leaf, 0x10)),
        vni(leaf, 4001, SVI, mac(0, leaf, 0x99)),
    ];
    if leaf == 2 {
        all.insert(1, vni(leaf, 20, 5, mac(0, leaf, 0x20)));
    }
    if has_host {
        let host = mac(10, 0, leaf);
        all[0].macs = vec![LocalMac {
            mac: host,
            port: "p10".into(),
        }];
        all[0].neighbors = vec![(IpAddr::from([192, 168, 10, leaf]), host)];
    }
    all
}

/// The two leaves, not begun yet.
pub(crate) fn leaves() -> Network {
    let mut network = Network::new();
    for leaf in [1, 2] {
        let loopback = format!("10.0.1.{leaf}/32");
        let node = network.node(&format!("leaf{leaf}"), &configuration(leaf), &[&loopback]);
        network.interface(node, "red", &[]);
        let gateway = format!("192.168.10.25{leaf}/24");
        network.interface(node, "br10", &[&gateway]);
        network.interface(node, "br4001", &[]);
        if leaf == 2 {
            network.interface(node, "br20", &["192.168.20.254/24"]);
        }
        let interfaces = &mut network.nodes[node].interfaces;
        interfaces[1].link.kind = LinkKind::Vrf;
        interfaces[1].link.table = Some(TABLE);
        interfaces[1].addresses.clear();
        for (at, last) in [(2, 0x10), (3, 0x99), (4, 0x20)] {
            if let Some(bridge) = interfaces.get_mut(at) {
                bridge.link.kind = LinkKind::Bridge;
                bridge.link.master = Some(2);
                bridge.link.address = mac(0, leaf, last).0.to_vec();
            }
        }
    }
    network.link((0, "fab", &["10.9.0.1/24"]), (1, "fab", &["10.9.0.2/24"]));
    network
}

/// The same after all has been told.
pub(crate) fn routed() -> Network {
    let mut network = leaves();
    network.start();
    for leaf in [1, 2] {
        network.handle_event(usize::from(leaf) - 1, Event::Bridging(vnis(leaf, false)));
    }
    network.run(3);
    for leaf in [1, 2] {
        network.handle_event(usize::from(leaf) - 1, Event::Bridging(vnis(leaf, true)));
        network.run(1);
    }
    network
}
