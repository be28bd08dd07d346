//! VXLAN tunnels (RFC 7348).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::tunnel::judge_ends;
use super::{Attribute, Below, Keys, Making, PLAIN, Sort, Type};

/// A tunnel end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vxlan {
    /// VXLAN network identifier, 24 bits.
    pub vni: u32,
    /// The other tunnel end (or a multicast group); without one frames go where entries say (`bridge fdb`, EVPN).
    pub remote: Option<IpAddr>,
    /// The address packets are sent from.
    pub local: Option<IpAddr>,
    /// UDP destination port.
    pub udp_port: u16,
    /// Whether it learns where addresses are from what arrives.
    pub learning: bool,
}

/// The port that IANA gave it; the kernel's default is older.
pub const PORT: u16 = 4789;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_GROUP: u16 = 2;
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_GROUP6: u16 = 16;
const IFLA_VXLAN_LOCAL6: u16 = 17;

impl Type for Vxlan {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "vxlan",
            about: "A tunnel for frames in UDP.",
            module: "vxlan",
            config: "VXLAN",
            below: Below::Possible,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Vxlan> {
        let vni = keys
            .required()
            .integer("vni", 1..=0xff_ffff, "The network's identifier.");
        let remote = keys.ip(
            "remote",
            "192.0.2.1",
            "The other end's address, or a multicast group.",
        );
        let local = keys.ip("local", "192.0.2.2", "This end's address.");
        let udp_port = keys.integer("udp_port", 1..=65535, "The UDP port (default 4789).");
        let learning = keys.flag(
            "learning",
            "Whether it learns where addresses are from what arrives (default true).",
        );
        judge_ends(keys, remote, local, true);
        Some(Vxlan {
            vni: vni?,
            remote,
            local,
            udp_port: udp_port.unwrap_or(PORT),
            learning: learning.unwrap_or(true),
        })
    }

    fn name(&self) -> &'static str {
        "vxlan"
    }

    fn label(&self) -> String {
        match self.remote {
            Some(remote) => format!("vxlan {} to {remote}", self.vni),
            None => format!("vxlan {}", self.vni),
        }
    }

    fn making(&self, link: Option<u32>) -> Making {
        let ip = |address: IpAddr, v4: u16, v6: u16| {
            Attribute::ip(if address.is_ipv4() { v4 } else { v6 }, address)
        };
        let mut data = vec![
            Attribute::U32(IFLA_VXLAN_ID, self.vni),
            Attribute::Be16(IFLA_VXLAN_PORT, self.udp_port),
        ];
        data.extend(
            self.remote
                .map(|it| ip(it, IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6)),
        );
        data.extend(
            self.local
                .map(|it| ip(it, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6)),
        );
        if !self.learning {
            data.push(Attribute::U8(IFLA_VXLAN_LEARNING, 0));
        }
        data.extend(link.map(|it| Attribute::U32(IFLA_VXLAN_LINK, it)));
        Making::Link(None, data)
    }
}
