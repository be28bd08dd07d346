//! Ports of the nodes' for services that say none. They follow from the services' names, so that the same file gives the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::object::{Kind, Object, Reference};
use super::resources::{Port, Spec};
use super::store::Store;

/// Those that are given (`--service-node-port-range`).
const RANGE: RangeInclusive<u16> = 30000..=32767;

impl Store {
    /// Gives ports to those that lack them; none has two, and what one has it keeps. Where a Kubernetes gives them, none are
    /// given here.
    pub(super) fn assign_node_ports(&mut self) {
        if self.service_subnets().is_empty() {
            return;
        }
        let (mut taken, mut wanting) = (BTreeSet::new(), Vec::new());
        for (object, service) in self.specs(Kind::Service, Spec::service) {
            taken.extend(service.ports.iter().filter_map(|port| port.node));
            if service.wants_node_ports {
                let without = service.ports.iter().filter(|port| port.node.is_none());
                wanting.extend(without.map(|port| key(object, port)));
            }
        }
        let mut given: BTreeMap<(Reference, String), u16> = BTreeMap::new();
        for has_one in [true, false] {
            for key in &wanting {
                let before = self.node_ports.get(key).copied();
                if before.is_some() != has_one {
                    continue;
                }
                let port = before
                    .filter(|port| !taken.contains(port))
                    .or_else(|| free(key, &taken));
                if let Some(port) = port {
                    taken.insert(port);
                    given.insert(key.clone(), port);
                }
            }
        }
        self.node_ports = given;
    }

    /// The port of the nodes' that a port of a service was given.
    pub(super) fn given_node_port(&self, object: &Object, port: &Port) -> Option<u16> {
        let given = || self.node_ports.get(&key(object, port)).copied();
        port.node.is_none().then(given).flatten()
    }

    /// The port of the nodes' that a port of a service has.
    pub(super) fn node_port_of(&self, object: &Object, port: &Port) -> Option<u16> {
        port.node.or_else(|| self.given_node_port(object, port))
    }
}

fn key(object: &Object, port: &Port) -> (Reference, String) {
    (
        object.reference.clone(),
        format!("{} {:?} {}", port.name, port.protocol, port.port),
    )
}

/// The first that is free, from one on that the names lead to.
fn free(key: &(Reference, String), taken: &BTreeSet<u16>) -> Option<u16> {
    let (Reference { namespace, name, .. }, port) = key;
    let count = RANGE.end() - RANGE.start() + 1;
    let begin = (hash(&format!("{namespace}/{name} {port}")) % u64::from(count)) as u16;
    let mut all = (0..count).map(|step| RANGE.start() + (begin + step) % count);
    all.find(|port| !taken.contains(port))
}

/// FNV-1a, which is the same everywhere and always.
fn hash(text: &str) -> u64 {
    let mix = |sum: u64, octet: u8| (sum ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}
