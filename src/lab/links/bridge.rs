//! Bridges (IEEE 802.1D), with or without VLANs.

use serde::{Deserialize, Serialize};

use super::vlan::{PROTOCOLS, Protocol};
use super::{Attribute, Keys, Making, Need, PLAIN, Sort, Type};

/// A bridge. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bridge {
    /// Whether it heeds VLANs.
    pub vlan_filtering: bool,
    /// The tags it heeds.
    pub vlan_protocol: Option<Protocol>,
    /// The VLAN of ports of which nothing is said; 0 for none.
    pub vlan_default_pvid: Option<u16>,
    /// Whether it speaks the spanning tree protocol.
    pub stp: Option<bool>,
    /// Its priority there.
    pub priority: Option<u16>,
    /// How long a port listens, and how long it learns.
    pub forward_delay: Option<u32>,
    /// How long it knows an address.
    pub ageing_time: Option<u32>,
    /// Whether multicast goes only where it is wanted.
    pub mcast_snooping: Option<bool>,
}

const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_AGEING_TIME: u16 = 4;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_PRIORITY: u16 = 6;
const IFLA_BR_VLAN_FILTERING: u16 = 7;
const IFLA_BR_VLAN_PROTOCOL: u16 = 8;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BR_VLAN_DEFAULT_PVID: u16 = 39;
/// The kernel counts in hundredths of a second here (USER_HZ).
const HERTZ: u32 = 100;

impl Type for Bridge {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "bridge",
            about: "A bridge; `br0` of a node of kind bridge is the switch itself.",
            module: "bridge",
            config: "BRIDGE",
            takes_ports: true,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Bridge> {
        let filtering = keys.flag("vlan_filtering", "Whether it heeds VLANs (default false).");
        let vlan_protocol = keys.word("vlan_protocol", PROTOCOLS, "The tags it heeds (default 802.1q).");
        let vlan_default_pvid = keys.integer(
            "vlan_default_pvid",
            0..=4094,
            "The VLAN of ports of which nothing is said; 0 for none (default 1).",
        );
        let stp = keys.flag("stp", "Whether it speaks the spanning tree protocol (default false).");
        let priority = keys.integer("priority", 0..=65535, "Its priority in the spanning tree.");
        let forward_delay = keys.integer(
            "forward_delay",
            2..=30,
            "Spanning tree: seconds that a port listens, and that it learns (default 15).",
        );
        let ageing_time = keys.integer(
            "ageing_time",
            0..=1_000_000,
            "Seconds that it knows an address without hearing of it (default 300).",
        );
        let mcast_snooping = keys.flag(
            "mcast_snooping",
            "Whether multicast goes only where it is wanted (default true).",
        );
        let vlan_filtering = filtering.unwrap_or(false);
        if !vlan_filtering {
            for (key, given) in [
                ("vlan_protocol", vlan_protocol.is_some()),
                ("vlan_default_pvid", vlan_default_pvid.is_some()),
            ] {
                if given {
                    let message = format!("`{key}` is of bridges that heed VLANs");
                    keys.wrong(key, message, "add `vlan_filtering = true`, or remove it");
                }
            }
        }
        Some(Bridge {
            vlan_filtering,
            vlan_protocol,
            vlan_default_pvid,
            stp,
            priority,
            forward_delay,
            ageing_time,
            mcast_snooping,
        })
    }

    fn name(&self) -> &'static str {
        "bridge"
    }

    fn label(&self) -> String {
        match self.vlan_filtering {
            true => "bridge with VLANs".to_owned(),
            false => "bridge".to_owned(),
        }
    }

    fn making(&self, link: Option<u32>) -> Making {
        let flag = |number: u16, it: bool| Attribute::U8(number, u8::from(it));
        let mut data = Vec::new();
        if self.vlan_filtering {
            data.push(flag(IFLA_BR_VLAN_FILTERING, true));
        }
        data.extend(
            self.vlan_protocol
                .map(|it| Attribute::Be16(IFLA_BR_VLAN_PROTOCOL, it.ether_type())),
        );
        data.extend(
            self.vlan_default_pvid
                .map(|it| Attribute::U16(IFLA_BR_VLAN_DEFAULT_PVID, it)),
        );
        data.extend(
            self.stp
                .map(|it| Attribute::U32(IFLA_BR_STP_STATE, u32::from(it))),
        );
        data.extend(self.priority.map(|it| Attribute::U16(IFLA_BR_PRIORITY, it)));
        data.extend(
            self.forward_delay
                .map(|it| Attribute::U32(IFLA_BR_FORWARD_DELAY, it * HERTZ)),
        );
        data.extend(
            self.ageing_time
                .map(|it| Attribute::U32(IFLA_BR_AGEING_TIME, it * HERTZ)),
        );
        data.extend(self.mcast_snooping.map(|it| flag(IFLA_BR_MCAST_SNOOPING, it)));
        Making::Link(link, data)
    }

    fn needs(&self) -> Vec<Need> {
        let filtering = self.vlan_filtering.then_some(Need::VlanFiltering);
        std::iter::once(Need::Kind("bridge")).chain(filtering).collect()
    }
}
