//! The kernel's side: VXLAN devices, their bridges, and what is put into them.

use std::net::IpAddr;

use crate::wire::Mac;

/// A VXLAN device in a bridge, and what the kernel has learned there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalVni {
    /// The VXLAN network identifier.
    pub vni: u32,
    /// The VXLAN device's index and name.
    pub device: (u32, String),
    /// The bridge's index, name and MAC address.
    pub bridge: (u32, String, Mac),
    /// This end of the tunnels.
    pub vtep: IpAddr,
    /// Hosts on other ports of the bridge, in order.
    pub macs: Vec<LocalMac>,
    /// IP addresses of hosts, as the bridge has resolved them, in order.
    pub neighbors: Vec<(IpAddr, Mac)>,
}

/// A host's MAC address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalMac {
    /// The address.
    pub mac: Mac,
    /// The name of the port it is behind.
    pub port: String,
}

impl Overlay {
    /// The network.
    pub fn vni(&self) -> u32 {
        match self {
            Overlay::Flood { vni, .. } | Overlay::Mac { vni, .. } | Overlay::Neighbor { vni, .. } => *vni,
        }
    }
}

/// An entry of a forwarding database, or of a neighbor table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Overlay {
    /// Broadcasts of a VNI go to this router as well.
    Flood {
        /// The network.
        vni: u32,
        /// The router.
        vtep: IpAddr,
    },
    /// A host is behind this router.
    Mac {
        /// The network.
        vni: u32,
        /// The host.
        mac: Mac,
        /// The router.
        vtep: IpAddr,
    },
    /// An IP address is that of a host elsewhere.
    Neighbor {
        /// The network.
        vni: u32,
        /// The address.
        ip: IpAddr,
        /// The host.
        mac: Mac,
    },
}
