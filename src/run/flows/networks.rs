//! The lab's network namespaces, with a netlink socket in each that was asked for something.

use std::collections::HashMap;
use std::sync::Arc;

use super::topology::{End, Topology};
use crate::failure::Failure;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::Netlink;

/// Open sockets, at most.
const OPEN: usize = 512;

/// The networks of a lab.
pub struct Networks {
    /// What it is like.
    pub topology: Topology,
    namespaces: Vec<Arc<Namespace>>,
    sockets: HashMap<usize, Netlink>,
    /// The other ends of links.
    pub peers: Arc<HashMap<End, End>>,
}

impl Networks {
    /// Those of a lab whose namespaces are not known yet.
    pub fn new(topology: Topology) -> Networks {
        Networks {
            peers: Arc::new(topology.links.iter().copied().collect()),
            topology,
            namespaces: Vec::new(),
            sockets: HashMap::new(),
        }
    }

    /// The next namespaces, in their order.
    pub fn add(&mut self, namespaces: impl Iterator<Item = Namespace>) {
        self.namespaces.extend(namespaces.map(Arc::new));
    }

    /// A namespace.
    ///
    /// # Errors
    /// There is none.
    pub fn namespace(&self, at: usize) -> Result<Arc<Namespace>, Failure> {
        let found = self.namespaces.get(at).cloned();
        found.ok_or_else(|| Failure::host(format!("the lab's network namespace {at} is not there")))
    }

    /// A netlink socket in a namespace.
    ///
    /// # Errors
    /// There is no such namespace, or no descriptor is left.
    pub fn netlink(&mut self, at: usize) -> Result<&mut Netlink, Failure> {
        let namespace = self.namespace(at)?;
        if self.sockets.len() >= OPEN && !self.sockets.contains_key(&at) {
            self.sockets.clear();
        }
        match self.sockets.entry(at) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => Ok(entry.insert(namespace.netlink()?)),
        }
    }
}
