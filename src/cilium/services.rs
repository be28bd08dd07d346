//! Addresses of services, given to them as Cilium's LB IPAM gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::object::{Kind, Object, Reference};
use super::resources::{Block, LoadBalancerPool, Service, ServiceAddress, Spec};
use super::store::Store;

impl Spec {
    pub(super) fn service(&self) -> Option<&Service> {
        match self {
            Spec::Service(service) => Some(service),
            _ => None,
        }
    }

    fn load_balancer_pool(&self) -> Option<&LoadBalancerPool> {
        match self {
            Spec::LoadBalancerPool(pool) => Some(pool),
            _ => None,
        }
    }
}

/// The labels of a service by which it is selected: its own, its name and its namespace.
pub(super) fn labels(object: &Object) -> BTreeMap<String, String> {
    let mut labels = object.labels.clone();
    let Reference { namespace, name, .. } = &object.reference;
    labels.insert("io.kubernetes.service.name".into(), name.clone());
    labels.insert("io.kubernetes.service.namespace".into(), namespace.clone());
    labels
}

impl Store {
    /// Gives addresses to services that lack them, and takes back those that nobody may have any more.
    pub(super) fn assign_addresses(&mut self) {
        let mut given: BTreeMap<Reference, Vec<IpAddr>> = BTreeMap::new();
        let mut taken: BTreeSet<IpAddr> = BTreeSet::new();
        // First those who have some already: they keep it.
        for has_some in [true, false] {
            for (object, service) in self.specs(Kind::Service, Spec::service) {
                let before = self.addresses.get(&object.reference);
                if !service.load_balancer || before.is_some() != has_some {
                    continue;
                }
                let before = before.map_or(&[][..], Vec::as_slice);
                let addresses = self.addresses_for(object, service, before, &taken);
                if !addresses.is_empty() {
                    taken.extend(&addresses);
                    given.insert(object.reference.clone(), addresses);
                }
            }
        }
        self.addresses = given;
    }

    fn addresses_for(
        &self,
        object: &Object,
        service: &Service,
        before: &[IpAddr],
        taken: &BTreeSet<IpAddr>,
    ) -> Vec<IpAddr> {
        let labels = labels(object);
        let pools = self.specs(Kind::LoadBalancerPool, Spec::load_balancer_pool);
        let blocks: Vec<Block> = pools
            .filter(|(_, pool)| !pool.disabled)
            .filter(|(_, pool)| pool.services.as_ref().is_none_or(|it| it.matches(&labels)))
            .flat_map(|(_, pool)| pool.blocks.iter().copied())
            .collect();
        let free = |address: &IpAddr| {
            !taken.contains(address) && blocks.iter().any(|block| block.contains(*address))
        };
        if !service.wanted.is_empty() {
            return service.wanted.iter().copied().filter(free).collect();
        }
        let families = service.families;
        let mut addresses = Vec::new();
        for v4 in [true, false] {
            let wants = if v4 { families.v4 } else { families.v6 };
            if !wants && !families.both_if_possible {
                continue;
            }
            let of_family = |address: &IpAddr| address.is_ipv4() == v4;
            let kept = before.iter().copied().find(|it| of_family(it) && free(it));
            let first = || {
                let own = blocks.iter().filter(|block| of_family(&block.first));
                own.flat_map(|block| block.addresses()).find(free)
            };
            addresses.extend(kept.or_else(first));
        }
        addresses
    }

    /// The pool an address is from.
    pub(super) fn pool_of(&self, address: IpAddr) -> Option<&Object> {
        let mut pools = self.specs(Kind::LoadBalancerPool, Spec::load_balancer_pool);
        pools
            .find(|(_, pool)| pool.blocks.iter().any(|block| block.contains(address)))
            .map(|(object, _)| object)
    }

    /// How many addresses a pool has, and how many of them services have.
    pub(super) fn counts(&self, object: &Object) -> (u128, u128) {
        let Spec::LoadBalancerPool(pool) = &object.spec else {
            return (0, 0);
        };
        let total = pool
            .blocks
            .iter()
            .fold(0u128, |sum, block| sum.saturating_add(block.count()));
        let given = self.addresses.values().flatten();
        let used = given
            .filter(|it| pool.blocks.iter().any(|block| block.contains(**it)))
            .count();
        (total, used as u128)
    }

    /// The addresses of a service that are of these kinds.
    pub(super) fn addresses_of(
        &self,
        object: &Object,
        service: &Service,
        kinds: &BTreeSet<ServiceAddress>,
    ) -> BTreeSet<IpAddr> {
        let given = self.addresses.get(&object.reference);
        kinds
            .iter()
            .flat_map(|kind| match kind {
                ServiceAddress::LoadBalancer => given.map_or(&[][..], Vec::as_slice),
                ServiceAddress::Cluster => &service.cluster,
                ServiceAddress::External => &service.external,
            })
            .copied()
            .collect()
    }
}

impl Block {
    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    fn count(&self) -> u128 {
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// Its addresses, from the first on.
    fn addresses(&self) -> Box<dyn Iterator<Item = IpAddr>> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let all = first.to_bits()..=last.to_bits();
                Box::new(all.map(|bits| Ipv4Addr::from_bits(bits).into()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let all = first.to_bits()..=last.to_bits();
                Box::new(all.map(|bits| Ipv6Addr::from_bits(bits).into()))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Whether it has addresses in common with another.
    pub(super) fn overlaps(&self, other: &Block) -> bool {
        self.contains(other.first) || self.contains(other.last) || other.contains(self.first)
    }
}

/// Pools that have addresses in common, in words.
pub(super) fn conflicts(store: &Store) -> Vec<String> {
    let pairs = in_common(store).into_iter();
    pairs
        .map(|(one, other)| format!("{one} and {other} have addresses in common"))
        .collect()
}

/// Pools that have addresses in common, each pair once.
pub(super) fn in_common(store: &Store) -> Vec<(&Reference, &Reference)> {
    let pools: Vec<_> = store
        .specs(Kind::LoadBalancerPool, Spec::load_balancer_pool)
        .filter(|(_, pool)| !pool.disabled)
        .collect();
    let mut pairs = Vec::new();
    for (at, (one, pool)) in pools.iter().enumerate() {
        for (other, others) in &pools[at + 1..] {
            let overlaps = |block: &Block| others.blocks.iter().any(|it| it.overlaps(block));
            if pool.blocks.iter().any(overlaps) {
                pairs.push((&one.reference, &other.reference));
            }
        }
    }
    pairs
}
