//! Links and their ends.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::impair::Impairments;
use crate::links::Shape;

/// One end of a link, in a node's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The node as named in the file, by index (its namespace may be another's, see [`Node::network`]).
    pub node: usize,
    /// The interface's name, at most 15 bytes.
    pub interface: String,
    /// Its MAC address: from the file, or derived from the lab's, node's and interface's names. None where it has none, or that of
    /// the interface below.
    pub mac: Option<Mac>,
    /// Bytes, where it differs from its link's.
    pub mtu: Option<u32>,
    /// Whether it is a port of its node's own bridge.
    pub bridged: bool,
}

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// What kind of device, and what it joins.
    pub shape: LinkShape,
    /// Bytes; the kernel's default where none is given.
    pub mtu: Option<u32>,
    /// Whether checksums may be left to the (virtual) hardware; turned off for tools that check them.
    pub offload: bool,
    /// What it does to packets.
    pub impair: Impairments,
}

/// What a link joins, by names.
pub type LinkShape = Shape<Port, String>;

/// Whose network carries a tunnel's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Underlay {
    /// The host's: to reach something outside the lab.
    Host,
    /// The node's own: a tunnel inside the lab.
    Node,
}

impl Link {
    /// The ends that are in nodes: one or two.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.shape.ports()
    }
}
