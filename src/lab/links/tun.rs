//! Interfaces whose other end is a program: tun for packets, tap for frames (Documentation/networking/tuntap.rst).

use serde::{Deserialize, Serialize};

use super::{Keys, MacRule, Making, Need, PLAIN, Sort, Type};

/// An interface that stays without its program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tun {
    /// Whether it carries frames.
    pub is_tap: bool,
    /// The user who may attach a program, beside root.
    pub user: Option<u32>,
    /// The group whose members may.
    pub group: Option<u32>,
    /// Whether several queues can be attached.
    pub multi_queue: bool,
    /// Whether a header of four octets comes before each packet.
    pub packet_info: bool,
}

const NAMES: [&str; 2] = ["tun", "tap"];

impl Type for Tun {
    fn sorts() -> &'static [Sort] {
        &[
            Sort {
                name: NAMES[0],
                about: "An interface whose packets a program has.",
                module: "tun",
                config: "TUN",
                mac: MacRule::None,
                ..PLAIN
            },
            Sort {
                name: NAMES[1],
                about: "An interface whose frames a program has.",
                module: "tun",
                config: "TUN",
                ..PLAIN
            },
        ]
    }

    fn read(sort: &'static Sort, keys: &mut Keys) -> Option<Tun> {
        let number = 0..=i64::from(u32::MAX) - 1;
        let user = keys.integer(
            "user",
            number.clone(),
            "The number of the user whose programs may attach, beside root's.",
        );
        let group = keys.integer("group", number, "The number of a group whose members' may.");
        let multi_queue = keys.flag("multi_queue", "Whether several queues can be attached (default false).");
        let packet_info = keys.flag(
            "packet_info",
            "Whether a header of four octets comes before each packet (default false).",
        );
        Some(Tun {
            is_tap: sort.name == NAMES[1],
            user,
            group,
            multi_queue: multi_queue.unwrap_or(false),
            packet_info: packet_info.unwrap_or(false),
        })
    }

    fn name(&self) -> &'static str {
        NAMES[usize::from(self.is_tap)]
    }

    fn label(&self) -> String {
        self.name().to_owned()
    }

    fn making(&self, _: Option<u32>) -> Making {
        Making::Tun(self.clone())
    }

    fn needs(&self) -> Vec<Need> {
        vec![Need::Tun]
    }
}
