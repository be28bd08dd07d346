//! VRFs: routing tables of their own for some interfaces.

use serde::{Deserialize, Serialize};

use super::{Attribute, Keys, Making, PLAIN, Sort, Type};

/// A routing table of its own for some interfaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vrf {
    /// The table's number.
    pub table: u32,
}

/// The kernel's own tables: default, main, local.
const KERNELS: std::ops::RangeInclusive<u32> = 253..=255;
const IFLA_VRF_TABLE: u16 = 1;

impl Type for Vrf {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "vrf",
            about: "A routing table of its own for the interfaces in it.",
            module: "vrf",
            config: "NET_VRF",
            takes_ports: true,
            leaves_addresses: true,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Vrf> {
        let table = keys.required().integer(
            "table",
            1..=i64::from(u32::MAX),
            "The number of its routing table, also for `table` of routes.",
        )?;
        if KERNELS.contains(&table) {
            let message = format!("table {table} is the kernel's own");
            keys.wrong("table", message, "choose another, for example `table = 10`");
            return None;
        }
        Some(Vrf { table })
    }

    fn name(&self) -> &'static str {
        "vrf"
    }

    fn label(&self) -> String {
        format!("vrf, table {}", self.table)
    }

    fn making(&self, link: Option<u32>) -> Making {
        Making::Link(link, vec![Attribute::U32(IFLA_VRF_TABLE, self.table)])
    }
}
