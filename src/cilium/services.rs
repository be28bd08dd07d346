//! Addresses of services, given to them as Cilium's LB IPAM gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::desired::Facts;
use super::object::{Kind, Object, Reference};
use super::resources::{Answering, Block, LoadBalancerPool, Policy, Service, ServiceAddress, Spec};
use super::store::Store;

impl Spec {
    pub(super) fn service(&self) -> Option<&Service> {
        match self {
            Spec::Service(service) => Some(service),
            _ => None,
        }
    }

    pub(super) fn answering(&self) -> Option<&Answering> {
        match self {
            Spec::Answering(answering) => Some(answering),
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
        let mut taken = Taken::default();
        // First those who have some already: they keep it.
        for has_some in [true, false] {
            for (object, service) in self.specs(Kind::Service, Spec::service) {
                let before = self.addresses.get(&object.reference);
                if !service.load_balancer || before.is_some() != has_some {
                    continue;
                }
                let before = before.map_or(&[][..], Vec::as_slice);
                let addresses = self.addresses_for(object, service, before, &mut taken);
                if !addresses.is_empty() {
                    taken.addresses.extend(&addresses);
                    given.insert(object.reference.clone(), addresses);
                }
            }
        }
        self.addresses = given;
    }

    /// Gives addresses in the cluster to services that name none, and takes back those of services that are gone.
    pub(super) fn assign_cluster_addresses(&mut self) {
        let blocks: Vec<Block> = self.service_subnets().iter().filter_map(assignable).collect();
        let services = || self.specs(Kind::Service, Spec::service);
        let mut taken = Taken::default();
        taken.addresses.extend(services().flat_map(|(_, it)| &it.cluster));
        let wants = |service: &Service| service.wants_cluster && service.cluster.is_empty();
        let mut given: BTreeMap<Reference, Vec<IpAddr>> = BTreeMap::new();
        for has_some in [true, false] {
            for (object, service) in services().filter(|(_, service)| wants(service)) {
                let before = self.cluster_addresses.get(&object.reference);
                if before.is_some() != has_some {
                    continue;
                }
                let before = before.map_or(&[][..], Vec::as_slice);
                let addresses = pick(service.families, &blocks, before, &mut taken);
                taken.addresses.extend(&addresses);
                if !addresses.is_empty() {
                    given.insert(object.reference.clone(), addresses);
                }
            }
        }
        self.cluster_addresses = given;
    }

    fn addresses_for(
        &self,
        object: &Object,
        service: &Service,
        before: &[IpAddr],
        taken: &mut Taken,
    ) -> Vec<IpAddr> {
        let labels = labels(object);
        let pools = self.specs(Kind::LoadBalancerPool, Spec::load_balancer_pool);
        let blocks: Vec<Block> = pools
            .filter(|(_, pool)| !pool.disabled)
            .filter(|(_, pool)| pool.services.as_ref().is_none_or(|it| it.matches(&labels)))
            .flat_map(|(_, pool)| pool.blocks.iter().copied())
            .collect();
        if !service.wanted.is_empty() {
            let wanted = service.wanted.iter().copied();
            return wanted.filter(|it| taken.is_free(&blocks, *it)).collect();
        }
        pick(service.families, &blocks, before, taken)
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

    /// The addresses of a service that are of these kinds, as a node announces them. Those outside of the cluster of a service
    /// whose `externalTrafficPolicy` is `Local` are announced only where a pod answers.
    pub(super) fn addresses_of(
        &self,
        object: &Object,
        service: &Service,
        kinds: &BTreeSet<ServiceAddress>,
        node: &Facts,
    ) -> BTreeSet<IpAddr> {
        let given = self.addresses.get(&object.reference);
        let Reference { namespace, name, .. } = &object.reference;
        let answers = || node.local_services.contains(&(namespace.clone(), name.clone()));
        let announces =
            |kind: &&ServiceAddress| **kind == ServiceAddress::Cluster || !service.local || answers();
        kinds
            .iter()
            .filter(announces)
            .flat_map(|kind| match kind {
                ServiceAddress::LoadBalancer => given.map_or(&[][..], Vec::as_slice),
                ServiceAddress::Cluster => self.cluster_addresses_of(object, service),
                ServiceAddress::External => &service.external,
            })
            .copied()
            .collect()
    }

    /// The addresses of a service in the cluster.
    pub(super) fn cluster_addresses_of<'a>(&'a self, object: &Object, service: &'a Service) -> &'a [IpAddr] {
        let given = self.cluster_addresses.get(&object.reference);
        given.unwrap_or(&service.cluster)
    }
}

/// Addresses for a service: those it has had as long as it may, else the first that are free.
fn pick(families: Policy, blocks: &[Block], before: &[IpAddr], taken: &mut Taken) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for v4 in [true, false] {
        let wants = if v4 { families.v4 } else { families.v6 };
        if !wants && !families.both_if_possible {
            continue;
        }
        let of_family = |address: &IpAddr| address.is_ipv4() == v4;
        let mut before = before.iter().copied();
        let kept = before.find(|it| of_family(it) && taken.is_free(blocks, *it));
        let first = || {
            let mut own = blocks.iter().filter(|block| of_family(&block.first));
            own.find_map(|block| taken.first_free(block))
        };
        addresses.extend(kept.or_else(first));
    }
    addresses
}

/// The first addresses of a subnet for services are kept for those whose place is fixed: 1 is the API server's, 10 the name
/// server's.
const FIXED: u128 = 11;

/// What of a subnet services are given.
fn assignable(subnet: &IpNet) -> Option<Block> {
    let whole = Block {
        first: subnet.network(),
        last: subnet.broadcast(),
    };
    Some(Block {
        first: whole.address(FIXED)?,
        last: whole.address(whole.count() - 2)?,
    })
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

    /// The address so many behind its first.
    fn address(&self, offset: u128) -> Option<IpAddr> {
        match self.first {
            IpAddr::V4(first) => {
                let bits = first.to_bits().checked_add(u32::try_from(offset).ok()?)?;
                Some(Ipv4Addr::from_bits(bits).into())
            }
            IpAddr::V6(first) => Some(Ipv6Addr::from_bits(first.to_bits().checked_add(offset)?).into()),
        }
        .filter(|address| self.contains(*address))
    }
}

/// Addresses that services have. There become more of them and none goes, so that nobody looks twice at those at the beginning
/// of a block.
#[derive(Default)]
struct Taken {
    addresses: BTreeSet<IpAddr>,
    /// How many at the beginning of a block are taken.
    beginnings: BTreeMap<(IpAddr, IpAddr), u128>,
}

impl Taken {
    fn is_free(&self, blocks: &[Block], address: IpAddr) -> bool {
        !self.addresses.contains(&address) && blocks.iter().any(|block| block.contains(address))
    }

    fn first_free(&mut self, block: &Block) -> Option<IpAddr> {
        let beginning = self.beginnings.entry((block.first, block.last)).or_default();
        loop {
            let address = block.address(*beginning)?;
            if !self.addresses.contains(&address) {
                return Some(address);
            }
            *beginning += 1;
        }
    }
}

/// Pools that have addresses in common, in words.
pub(super) fn conflicts(store: &Store) -> Vec<String> {
    let pairs = in_common(store).into_iter();
    pairs
        .map(|(one, other)| format!("{one} and {other} have addresses in common"))
        .collect()
}

/// More pairs of pools with addresses in common are not told.
const MOST_PAIRS: usize = 1000;

/// Pools that have addresses in common, each pair once. From the lowest address on, so that it takes no longer than to sort.
pub(super) fn in_common(store: &Store) -> Vec<(&Reference, &Reference)> {
    let pools: Vec<_> = store
        .specs(Kind::LoadBalancerPool, Spec::load_balancer_pool)
        .filter(|(_, pool)| !pool.disabled)
        .collect();
    let blocks = pools.iter().enumerate();
    let blocks =
        blocks.flat_map(|(number, (_, pool))| pool.blocks.iter().map(move |it| (it.first, it.last, number)));
    let mut blocks: Vec<(IpAddr, IpAddr, usize)> = blocks.filter(|(first, last, _)| first <= last).collect();
    blocks.sort_unstable();
    let mut pairs = BTreeSet::new();
    // The pools that have the address that was come to, and up to which.
    let mut here: Vec<(IpAddr, usize)> = Vec::new();
    for (first, last, number) in blocks {
        here.retain(|(end, _)| end.is_ipv4() == first.is_ipv4() && *end >= first);
        let others = here.iter().map(|(_, it)| *it).filter(|it| *it != number);
        pairs.extend(others.map(|it| (it.min(number), it.max(number))));
        if pairs.len() >= MOST_PAIRS {
            break;
        }
        match here.iter_mut().find(|(_, it)| *it == number) {
            Some((end, _)) => *end = (*end).max(last),
            None => here.push((last, number)),
        }
    }
    let named = pairs.into_iter().take(MOST_PAIRS);
    named
        .map(|(one, other)| (&pools[one].0.reference, &pools[other].0.reference))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: &str, last: &str) -> Block {
        Block {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
        }
    }

    #[test]
    fn the_first_free_address_of_a_block_is_taken() {
        let mut taken = Taken::default();
        let small = block("10.0.0.254", "10.0.1.0");
        let of = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        taken.addresses.extend(of("10.0.0.255"));
        for wanted in [of("10.0.0.254"), of("10.0.1.0"), None, None] {
            let found = taken.first_free(&small);
            assert_eq!(found, wanted);
            taken.addresses.extend(found);
        }
        // The ends of both families.
        assert_eq!(
            taken.first_free(&block("255.255.255.255", "255.255.255.255")),
            of("255.255.255.255")
        );
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let end = block(last, last);
        assert_eq!(taken.first_free(&end), of(last));
        taken.addresses.extend(of(last));
        assert_eq!(taken.first_free(&end), None);
    }

    #[test]
    fn a_large_block_is_walked_once() {
        let mut taken = Taken::default();
        let large = block("fd00::", "fd00::ffff:ffff");
        for _ in 0..200_000 {
            let found = taken.first_free(&large).unwrap();
            taken.addresses.insert(found);
        }
        assert_eq!(taken.addresses.len(), 200_000);
    }
}
