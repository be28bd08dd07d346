//! Links and their ends.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One end of a link, in a node's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The node as named in the file, by index (its namespace may be another's, see [`Node::network`]).
    pub node: usize,
    /// The interface's name, at most 15 bytes.
    pub interface: String,
    /// Its MAC address: from the file, or derived from the lab's, node's and interface's names.
    pub mac: Mac,
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
}

/// What a link joins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkShape {
    /// Two nodes' ports. A port on a node of kind bridge becomes a port of that bridge.
    Veth(Port, Port),
    /// A node's port, and an interface of this name on the host.
    Host {
        /// The node's end.
        port: Port,
        /// The host's end.
        host_interface: String,
    },
    /// A node's port on top of an interface of the host.
    Macvlan {
        /// The node's end.
        port: Port,
        /// The interface of the host it sits on.
        host_interface: String,
        /// How siblings see each other.
        mode: MacvlanMode,
    },
    /// A tunnel end (RFC 7348).
    Vxlan {
        /// The node's end.
        port: Port,
        /// VXLAN network identifier, 24 bits.
        vni: u32,
        /// The other tunnel end (or a multicast group).
        remote: IpAddr,
        /// The address packets are sent from.
        local: Option<IpAddr>,
        /// UDP destination port, 4789 by default.
        udp_port: u16,
        /// Whose network carries the tunnel's packets.
        underlay: Underlay,
    },
    /// A node's port on the bridge of the management network, beside eth0.
    Mgmt(Port),
    /// A device that goes nowhere but carries addresses.
    Dummy(Port),
}

/// Modes of a macvlan device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MacvlanMode {
    /// Siblings talk to each other directly.
    Bridge,
    /// Siblings never hear each other.
    Private,
    /// Everything goes out to the switch first.
    Vepa,
    /// The only one on its parent.
    Passthru,
}

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
        let (first, second) = match &self.shape {
            LinkShape::Veth(a, b) => (a, Some(b)),
            LinkShape::Host { port, .. }
            | LinkShape::Macvlan { port, .. }
            | LinkShape::Vxlan { port, .. }
            | LinkShape::Mgmt(port)
            | LinkShape::Dummy(port) => (port, None),
        };
        std::iter::once(first).chain(second)
    }
}
