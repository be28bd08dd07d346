//! The networks that nodes get of pools for pods: the first that is free, a node and a family, in the order of the nodes.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::object::{Kind, Object};
use super::resources::{PodPool, Spec};
use super::store::Store;
use crate::lab::pod_cidr;

/// A pool, by the labels that select it, and a node's networks of it.
pub(super) struct Allotment {
    pub labels: BTreeMap<String, String>,
    pub networks: Vec<IpNet>,
}

impl Spec {
    fn pod_pool(&self) -> Option<&PodPool> {
        match self {
            Spec::PodPool(pool) => Some(pool),
            _ => None,
        }
    }
}

/// What a node has of each pool; nodes count from 0.
pub(super) fn allotments(store: &Store, node: usize) -> Vec<Allotment> {
    let pools = store.specs(Kind::PodPool, Spec::pod_pool);
    pools
        .map(|(object, pool)| Allotment {
            labels: labels(object),
            networks: networks(pool, node),
        })
        .collect()
}

fn networks(pool: &PodPool, node: usize) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for v4 in [true, false] {
        let mut left = node;
        for (subnet, mask) in pool.subnets.iter().filter(|(net, _)| net.addr().is_ipv4() == v4) {
            let bits = u32::from(mask.saturating_sub(subnet.prefix_len()));
            let room = 1usize.checked_shl(bits.min(30)).unwrap_or(usize::MAX);
            if left < room {
                let cut = pod_cidr::cut(*subnet, *mask, left + 1).unwrap_or_default();
                networks.extend(cut.last());
                break;
            }
            left -= room;
        }
    }
    networks
}

/// The labels of a pool by which it is selected: its own, and its name.
fn labels(object: &Object) -> BTreeMap<String, String> {
    let mut labels = object.labels.clone();
    let name = object.reference.name.clone();
    labels.insert("io.cilium.podippool.name".into(), name);
    labels
}
