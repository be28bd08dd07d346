//! Ipvlans: several interfaces with one MAC address.

use serde::{Deserialize, Serialize};

use super::{Attribute, Below, Keys, MacRule, Making, PLAIN, Sort, Type};

/// An interface on top of another, with its MAC address and addresses of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ipvlan {
    /// The kernel's number of the mode.
    pub mode: u16,
    /// The kernel's number of the way that siblings see each other.
    pub flags: u16,
}

const MODES: &[(&str, u16)] = &[("l2", 0), ("l3", 1), ("l3s", 2)];
const FLAGS: &[(&str, u16)] = &[("bridge", 0), ("private", 1), ("vepa", 2)];
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;

impl Type for Ipvlan {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "ipvlan",
            about: "An interface on top of another, with its MAC address.",
            module: "ipvlan",
            config: "IPVLAN",
            below: Below::Needed,
            mac: MacRule::None,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Ipvlan> {
        let mode = keys.word(
            "mode",
            MODES,
            "Whether it switches or routes: all on one interface are alike (default l2).",
        );
        let flags = keys.word("siblings", FLAGS, "How siblings see each other (default bridge).");
        Some(Ipvlan {
            mode: mode.unwrap_or(0),
            flags: flags.unwrap_or(0),
        })
    }

    fn name(&self) -> &'static str {
        "ipvlan"
    }

    fn label(&self) -> String {
        let word = MODES.iter().find(|(_, number)| *number == self.mode);
        format!("ipvlan {}", word.map_or("", |(word, _)| *word))
    }

    fn making(&self, link: Option<u32>) -> Making {
        let data = vec![
            Attribute::U16(IFLA_IPVLAN_MODE, self.mode),
            Attribute::U16(IFLA_IPVLAN_FLAGS, self.flags),
        ];
        Making::Link(link, data)
    }
}
