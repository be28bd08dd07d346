//! Macvlans: several MAC addresses on one interface.

use serde::{Deserialize, Serialize};

use super::{Attribute, Below, Keys, Making, PLAIN, Sort, Type};

/// An interface with a MAC address of its own on top of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Macvlan {
    /// The kernel's number of the way that siblings see each other.
    pub mode: u32,
}

/// The words of `mode`, and the kernel's numbers.
pub const MODES: &[(&str, u32)] = &[("bridge", 4), ("private", 1), ("vepa", 2), ("passthru", 8)];
const IFLA_MACVLAN_MODE: u16 = 1;

impl Macvlan {
    /// The word for its mode.
    pub fn mode(&self) -> &'static str {
        let word = MODES.iter().find(|(_, number)| *number == self.mode);
        word.map_or("", |(word, _)| *word)
    }
}

impl Type for Macvlan {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "macvlan",
            about: "An interface with a MAC address of its own on top of another.",
            module: "macvlan",
            config: "MACVLAN",
            below: Below::Needed,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Macvlan> {
        let mode = keys.word("mode", MODES, "How siblings see each other (default bridge).");
        Some(Macvlan {
            mode: mode.unwrap_or(MODES[0].1),
        })
    }

    fn name(&self) -> &'static str {
        "macvlan"
    }

    fn label(&self) -> String {
        "macvlan".to_owned()
    }

    fn making(&self, link: Option<u32>) -> Making {
        Making::Link(link, vec![Attribute::U32(IFLA_MACVLAN_MODE, self.mode)])
    }
}
