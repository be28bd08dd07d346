//! Bonds: several links as one (IEEE 802.1AX and the kernel's other ways).

use serde::{Deserialize, Serialize};

use super::{Attribute, Keys, Making, PLAIN, Sort, Type};
use crate::file::values;

/// Several links as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bond {
    /// The kernel's number of the way that they share frames.
    pub mode: u8,
    /// How often the links are looked at, in milliseconds.
    pub miimon: u32,
    /// How long a link must be up before it is used, in milliseconds.
    pub updelay: Option<u32>,
    /// How long it must be down before it is not.
    pub downdelay: Option<u32>,
    /// What of a frame decides which link it takes.
    pub hash: Option<u8>,
    /// Whether the partner is asked for an LACPDU a second.
    pub fast: Option<bool>,
    /// So many links must be up for it to be up.
    pub min_links: Option<u32>,
    /// The link that is used whenever it is up, where one link at a time is.
    pub primary: Option<String>,
}

const MODES: &[(&str, u8)] = &[
    ("balance-rr", 0),
    ("active-backup", 1),
    ("balance-xor", 2),
    ("broadcast", 3),
    ("802.3ad", 4),
    ("balance-tlb", 5),
    ("balance-alb", 6),
];
const HASHES: &[(&str, u8)] = &[
    ("layer2", 0),
    ("layer3+4", 1),
    ("layer2+3", 2),
    ("encap2+3", 3),
    ("encap3+4", 4),
    ("vlan+srcmac", 5),
];
const LACP: u8 = 4;
/// Those that share frames by what is in them.
const HASHING: [u8; 4] = [2, 4, 5, 6];
/// Those that send over one link, or over one more than over others.
const WITH_PRIMARY: [u8; 3] = [1, 5, 6];
const IFLA_BOND_MODE: u16 = 1;
const IFLA_BOND_MIIMON: u16 = 3;
const IFLA_BOND_UPDELAY: u16 = 4;
const IFLA_BOND_DOWNDELAY: u16 = 5;
const IFLA_BOND_PRIMARY: u16 = 11;
const IFLA_BOND_XMIT_HASH_POLICY: u16 = 14;
const IFLA_BOND_MIN_LINKS: u16 = 18;
const IFLA_BOND_AD_LACP_RATE: u16 = 21;
/// Without it a bond takes no notice of links that go down.
const MIIMON: u32 = 100;
/// A minute, in milliseconds.
const LONGEST: i64 = 60_000;

impl Type for Bond {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "bond",
            about: "Several links as one.",
            module: "bonding",
            config: "BONDING",
            takes_ports: true,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Bond> {
        let mode = keys.word("mode", MODES, "How its links share frames (default balance-rr).");
        let mode = mode.unwrap_or(0);
        let miimon = keys.integer(
            "miimon",
            1..=LONGEST,
            "How often its links are looked at, in milliseconds (default 100).",
        );
        let updelay = keys.integer(
            "updelay",
            0..=LONGEST,
            "Milliseconds that a link must be up before it is used.",
        );
        let downdelay = keys.integer(
            "downdelay",
            0..=LONGEST,
            "Milliseconds that a link must be down before it is not used.",
        );
        let hash = keys.word(
            "xmit_hash_policy",
            HASHES,
            "What of a frame decides which link it takes.",
        );
        let rate = keys.word(
            "lacp_rate",
            &[("slow", false), ("fast", true)],
            "802.3ad: how often the partner is asked to speak (default slow).",
        );
        let min_links = keys.integer(
            "min_links",
            0..=256,
            "802.3ad: so many links must be up for the bond to be up.",
        );
        let primary = keys.text(
            "primary",
            "eth0",
            "active-backup, balance-tlb, balance-alb: the port that is used whenever it is up.",
            values::interface,
        );
        if primary.is_some() && !WITH_PRIMARY.contains(&mode) {
            let message = "`primary` is of bonds that prefer one of their links";
            let help = "remove it, or write `mode = \"active-backup\"`";
            keys.wrong("primary", message, help);
        }
        if mode != LACP {
            for (key, given) in [("lacp_rate", rate.is_some()), ("min_links", min_links.is_some())] {
                if given {
                    let message = format!("`{key}` is of bonds with `mode = \"802.3ad\"`");
                    keys.wrong(key, message, "remove it, or write `mode = \"802.3ad\"`");
                }
            }
        }
        if hash.is_some() && !HASHING.contains(&mode) {
            let message = "`xmit_hash_policy` is of bonds that share frames by what is in them";
            let help = "remove it, or write `mode = \"802.3ad\"` or `\"balance-xor\"`";
            keys.wrong("xmit_hash_policy", message, help);
        }
        Some(Bond {
            mode,
            miimon: miimon.unwrap_or(MIIMON),
            updelay,
            downdelay,
            hash,
            fast: rate,
            min_links,
            primary,
        })
    }

    fn name(&self) -> &'static str {
        "bond"
    }

    fn label(&self) -> String {
        let word = MODES.iter().find(|(_, number)| *number == self.mode);
        format!("bond {}", word.map_or("", |(word, _)| *word))
    }

    fn making(&self, link: Option<u32>) -> Making {
        let mut data = vec![
            Attribute::U8(IFLA_BOND_MODE, self.mode),
            Attribute::U32(IFLA_BOND_MIIMON, self.miimon),
        ];
        data.extend(self.updelay.map(|it| Attribute::U32(IFLA_BOND_UPDELAY, it)));
        data.extend(self.downdelay.map(|it| Attribute::U32(IFLA_BOND_DOWNDELAY, it)));
        data.extend(
            self.hash
                .map(|it| Attribute::U8(IFLA_BOND_XMIT_HASH_POLICY, it)),
        );
        data.extend(
            self.fast
                .map(|it| Attribute::U8(IFLA_BOND_AD_LACP_RATE, u8::from(it))),
        );
        data.extend(self.min_links.map(|it| Attribute::U32(IFLA_BOND_MIN_LINKS, it)));
        Making::Link(link, data)
    }
}

/// What makes a port that is in a bond already the one that is preferred.
pub fn prefers(port: u32) -> Vec<Attribute> {
    vec![Attribute::U32(IFLA_BOND_PRIMARY, port)]
}
