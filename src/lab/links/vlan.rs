//! VLANs on top of an interface (IEEE 802.1Q and 802.1ad).

use serde::{Deserialize, Serialize};

use super::{Attribute, Below, Keys, MacRule, Making, PLAIN, Sort, Type};

/// The tags of a VLAN (their EtherTypes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// 802.1Q.
    Q,
    /// 802.1ad, the outer tag of two.
    Ad,
}

/// One VLAN of an interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vlan {
    /// 1 to 4094.
    pub id: u16,
    /// Its tags.
    pub protocol: Protocol,
}

pub(super) const PROTOCOLS: &[(&str, Protocol)] = &[("802.1q", Protocol::Q), ("802.1ad", Protocol::Ad)];
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VLAN_PROTOCOL: u16 = 5;

impl Protocol {
    /// Its EtherType.
    pub fn ether_type(self) -> u16 {
        match self {
            Protocol::Q => 0x8100,
            Protocol::Ad => 0x88a8,
        }
    }
}

impl Type for Vlan {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "vlan",
            about: "One VLAN of the interface below.",
            module: "8021q",
            config: "VLAN_8021Q",
            below: Below::Needed,
            mac: MacRule::Inherited,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Vlan> {
        let id = keys
            .required()
            .integer("id", 1..=4094, "The VLAN's identifier.");
        let protocol = keys.word("protocol", PROTOCOLS, "Its tags (default 802.1q).");
        Some(Vlan {
            id: id?,
            protocol: protocol.unwrap_or(Protocol::Q),
        })
    }

    fn name(&self) -> &'static str {
        "vlan"
    }

    fn label(&self) -> String {
        format!("vlan {}", self.id)
    }

    fn making(&self, link: Option<u32>) -> Making {
        let data = vec![
            Attribute::U16(IFLA_VLAN_ID, self.id),
            Attribute::Be16(IFLA_VLAN_PROTOCOL, self.protocol.ether_type()),
        ];
        Making::Link(link, data)
    }
}
