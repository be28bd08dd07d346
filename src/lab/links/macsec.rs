//! MACsec on top of an interface (IEEE 802.1AE), with keys that do not change.

use serde::{Deserialize, Serialize};

use super::secret::hexadecimal;
use super::{Attribute, Below, End, Keys, MacRule, Making, PLAIN, Secret, Sort, Type};
use crate::file::reader::Wrong;

/// What leaves is signed, and encrypted if asked for; what arrives must be a peer's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Macsec {
    /// Whether it encrypts.
    pub encrypt: bool,
    /// The key it sends with; without one, it gets one when it is made.
    pub key: Option<Secret>,
    /// The window within which packets may overtake each other; none for any order.
    pub replay_window: Option<u32>,
    /// Whom it hears.
    pub peers: Vec<End>,
}

/// Octets of a key (AES-128).
pub const KEY: usize = 16;
const IFLA_MACSEC_ENCRYPT: u16 = 7;
const IFLA_MACSEC_WINDOW: u16 = 5;
const IFLA_MACSEC_REPLAY_PROTECT: u16 = 12;

impl Type for Macsec {
    fn sorts() -> &'static [Sort] {
        &[Sort {
            name: "macsec",
            about: "Frames on the interface below that are signed and encrypted.",
            module: "macsec",
            config: "MACSEC",
            below: Below::Needed,
            mac: MacRule::Inherited,
            ..PLAIN
        }]
    }

    fn read(_: &'static Sort, keys: &mut Keys) -> Option<Macsec> {
        let encrypt = keys.flag("encrypt", "Whether it encrypts, and does not only sign (default true).");
        let key = keys.text(
            "key",
            "0123456789abcdef0123456789abcdef",
            "The key it sends with, 32 hexadecimal digits (default: one made when the lab starts, and shown nowhere).",
            key,
        );
        let replay_window = keys.integer(
            "replay_window",
            0..=i64::from(u32::MAX),
            "Packets by which one may come late; without it any order is taken.",
        );
        let peers = keys.required().ends(
            "peers",
            "b:macsec0",
            "The macsec interfaces it hears, whose keys nslab knows.",
        );
        Some(Macsec {
            encrypt: encrypt.unwrap_or(true),
            key: key.map(Secret),
            replay_window,
            peers,
        })
    }

    fn name(&self) -> &'static str {
        "macsec"
    }

    fn label(&self) -> String {
        let names: Vec<String> = self
            .peers
            .iter()
            .map(|end| format!("{}:{}", end.node, end.interface))
            .collect();
        format!("macsec with {}", names.join(", "))
    }

    fn making(&self, link: Option<u32>) -> Making {
        let mut data = vec![Attribute::U8(IFLA_MACSEC_ENCRYPT, u8::from(self.encrypt))];
        if let Some(window) = self.replay_window {
            data.push(Attribute::U32(IFLA_MACSEC_WINDOW, window));
            data.push(Attribute::U8(IFLA_MACSEC_REPLAY_PROTECT, 1));
        }
        Making::Link(link, data)
    }

    fn ends(&mut self) -> Vec<&mut End> {
        self.peers.iter_mut().collect()
    }
}

fn key(text: &str) -> Result<Vec<u8>, Wrong> {
    hexadecimal(text, KEY).ok_or_else(|| {
        Wrong::new(
            "this is not a key of MACsec's",
            "a key is 16 octets: 32 hexadecimal digits, as `openssl rand -hex 16` prints them",
        )
    })
}

/// The secure channel of an interface: its MAC address, and the port that the kernel gives it.
pub fn channel(mac: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac;
    [a, b, c, d, e, f, 0, 1]
}

/// The message that gives an interface the key it sends with.
pub fn sends_with(index: u32, key: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::U32(MACSEC_ATTR_IFINDEX, index),
        Attribute::Nest(MACSEC_ATTR_SA_CONFIG, association(key)),
    ]
}

/// The message that makes an interface hear a channel.
pub fn hears(index: u32, channel: [u8; 8]) -> Vec<Attribute> {
    let config = vec![
        Attribute::U64(MACSEC_RXSC_ATTR_SCI, u64::from_ne_bytes(channel)),
        Attribute::U8(MACSEC_RXSC_ATTR_ACTIVE, 1),
    ];
    vec![
        Attribute::U32(MACSEC_ATTR_IFINDEX, index),
        Attribute::Nest(MACSEC_ATTR_RXSC_CONFIG, config),
    ]
}

/// The message that gives a channel that is heard its key.
pub fn hears_with(index: u32, channel: [u8; 8], key: &[u8]) -> Vec<Attribute> {
    let config = vec![Attribute::U64(MACSEC_RXSC_ATTR_SCI, u64::from_ne_bytes(channel))];
    vec![
        Attribute::U32(MACSEC_ATTR_IFINDEX, index),
        Attribute::Nest(MACSEC_ATTR_RXSC_CONFIG, config),
        Attribute::Nest(MACSEC_ATTR_SA_CONFIG, association(key)),
    ]
}

/// A key in use: the first of the four that there can be, from the first packet on.
fn association(key: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::U8(MACSEC_SA_ATTR_AN, 0),
        Attribute::U8(MACSEC_SA_ATTR_ACTIVE, 1),
        Attribute::U32(MACSEC_SA_ATTR_PN, 1),
        Attribute::Octets(MACSEC_SA_ATTR_KEY, key.to_vec()),
        Attribute::Octets(MACSEC_SA_ATTR_KEYID, vec![0; 16]),
    ]
}

/// The generic netlink family, and its requests (linux/if_macsec.h).
pub const FAMILY: &str = "macsec";
/// Adds a channel that is heard.
pub const ADD_RXSC: u8 = 1;
/// Adds a key to send with.
pub const ADD_TXSA: u8 = 4;
/// Adds a key of a channel that is heard.
pub const ADD_RXSA: u8 = 7;
const MACSEC_ATTR_IFINDEX: u16 = 1;
const MACSEC_ATTR_RXSC_CONFIG: u16 = 2;
const MACSEC_ATTR_SA_CONFIG: u16 = 3;
const MACSEC_RXSC_ATTR_SCI: u16 = 1;
const MACSEC_RXSC_ATTR_ACTIVE: u16 = 2;
const MACSEC_SA_ATTR_AN: u16 = 1;
const MACSEC_SA_ATTR_ACTIVE: u16 = 2;
const MACSEC_SA_ATTR_PN: u16 = 3;
const MACSEC_SA_ATTR_KEY: u16 = 4;
const MACSEC_SA_ATTR_KEYID: u16 = 5;
