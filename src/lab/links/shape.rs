//! What a link joins, in one form for the lab and for the plan: an end is a [`Port`](crate::model::Port) by name there, a
//! [`PortStep`](crate::plan::PortStep) by index here, and another interface of the same node a name or an index.

use serde::{Deserialize, Serialize};

use super::Device;

/// What a link joins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape<E, R> {
    /// Two nodes' ports.
    Veth(E, E),
    /// A node's port, and an interface of this name on the host.
    Host {
        /// The node's end.
        port: E,
        /// The host's end.
        host_interface: String,
    },
    /// A node's port on the bridge of the management network, beside eth0. A plan has a veth in its place.
    Mgmt(E),
    /// A device that is a node's port by itself.
    Device {
        /// The node's end.
        port: E,
        /// What carries it.
        carrier: Carrier<R>,
        /// What it is.
        device: Device,
    },
}

/// What carries a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier<R> {
    /// The node's own network, and the interface it is on top of, if any.
    Node(Option<R>),
    /// The host's network, and the interface there that it is on top of, if any.
    Host(Option<String>),
}

impl<E, R> Shape<E, R> {
    /// The ends that are in nodes: one or two.
    pub fn ports(&self) -> impl Iterator<Item = &E> {
        let (first, second) = match self {
            Shape::Veth(a, b) => (a, Some(b)),
            Shape::Host { port, .. } | Shape::Mgmt(port) | Shape::Device { port, .. } => (port, None),
        };
        std::iter::once(first).chain(second)
    }

    /// Whether it begins or ends in the host's network.
    pub fn is_on_host(&self) -> bool {
        match self {
            Shape::Host { .. } => true,
            Shape::Device { carrier, .. } => matches!(carrier, Carrier::Host(_)),
            Shape::Veth(..) | Shape::Mgmt(_) => false,
        }
    }

    /// What is said of the other end, where it is in no node.
    pub fn outside(&self) -> Option<String> {
        match self {
            Shape::Veth(..) => None,
            Shape::Host { host_interface, .. } => Some(format!("host:{host_interface}")),
            Shape::Mgmt(_) => Some("management network".to_owned()),
            Shape::Device {
                carrier: Carrier::Host(Some(below)),
                device,
                ..
            } => Some(format!("host:{below} ({})", device.label())),
            Shape::Device { device, .. } => Some(format!("({})", device.label())),
        }
    }
}

/// What is set on an interface once all are there, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting<R> {
    /// The interface.
    pub interface: R,
    /// The bridge, bond or VRF it is put into.
    pub master: Option<R>,
    /// Whether the bond that it is put into prefers it to others.
    pub primary: bool,
    /// The VLANs it is in on its bridge.
    pub vlans: Option<Vlans>,
}

/// The VLANs of a bridge's port (IEEE 802.1Q), or of the bridge as a port of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlans {
    /// The one that frames without a tag belong to, which leaves without a tag.
    pub pvid: Option<u16>,
    /// Those that leave with their tag: first and last of ranges.
    pub tagged: Vec<(u16, u16)>,
    /// Those that leave without a tag.
    pub untagged: Vec<(u16, u16)>,
    /// Whether it is the bridge itself.
    pub own: bool,
}
