//! Who answers at the addresses of services: pods, as a proxy on each node leads to them (kube-proxy, Cilium's replacement of it).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::object::{Kind, Object};
use super::resources::{Port, Protocol, Service, Spec};
use super::store::Store;

/// The namespace of a lab's own pods.
const NAMESPACE: &str = "default";

/// A pod, as services look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its node's name in the cluster.
    pub node: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Where packets of a way go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// An address of a service.
    Address(IpAddr),
    /// Any address of the node itself: of IPv4, or of IPv6.
    Node {
        /// Whether of IPv4.
        v4: bool,
    },
}

/// What becomes of packets to a port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// They go to one of these.
    Endpoints(Vec<SocketAddr>),
    /// They are refused: nobody answers.
    Refused,
    /// They are dropped: nobody on this node answers, and no other node is to be asked.
    Dropped,
}

/// A port of a service at one address, on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Where packets go to.
    pub destination: Destination,
    /// Of what the port is.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// Whether it is for what the node and its pods send; none where it is for everybody.
    pub from_inside: Option<bool>,
    /// What becomes of the packets.
    pub fate: Fate,
    /// Whether what comes from elsewhere gets the node's address as its source, so that answers come back this way.
    pub hides_source: bool,
}

impl Service {
    pub(super) fn is_for(&self, object: &Object, pod: &Pod) -> bool {
        let has = |(key, value): (&String, &String)| pod.labels.get(key) == Some(value);
        object.reference.namespace == NAMESPACE && !self.selector.is_empty() && self.selector.iter().all(has)
    }
}

/// The services, by namespace and name, that a pod of this node answers for.
pub fn local_services(store: &Store, pods: &[Pod], node: &str) -> BTreeSet<(String, String)> {
    let here = |pod: &&Pod| pod.node == node;
    let all = store.specs(Kind::Service, Spec::service);
    all.filter(|(object, service)| pods.iter().filter(here).any(|pod| service.is_for(object, pod)))
        .map(|(object, _)| (object.reference.namespace.clone(), object.reference.name.clone()))
        .collect()
}

/// The ways to all services on a node. Services without a selector have none: somebody else says who answers.
pub fn ways(store: &Store, pods: &[Pod], node: &str) -> Vec<Way> {
    let mut ways = Vec::new();
    for (object, service) in store.specs(Kind::Service, Spec::service) {
        if service.selector.is_empty() || !service.wants_cluster {
            continue;
        }
        let pods: Vec<&Pod> = pods.iter().filter(|pod| service.is_for(object, pod)).collect();
        for port in &service.ports {
            let ends = Ends {
                pods: &pods,
                port,
                node,
            };
            for address in store.cluster_addresses_of(object, service) {
                ways.push(ends.everywhere(Destination::Address(*address), port.port));
            }
            let given = store.addresses.get(&object.reference).into_iter().flatten();
            for address in given.chain(&service.external) {
                ways.extend(ends.outside(Destination::Address(*address), port.port, service.local));
            }
            for v4 in [true, false] {
                let destination = Destination::Node { v4 };
                let port = port.node.filter(|_| !ends.all(v4).is_empty());
                ways.extend(
                    port.into_iter()
                        .flat_map(|port| ends.outside(destination, port, service.local)),
                );
            }
        }
    }
    ways
}

/// Who answers at a port of a service.
struct Ends<'a> {
    pods: &'a [&'a Pod],
    port: &'a Port,
    node: &'a str,
}

impl Ends<'_> {
    fn of(&self, v4: bool, counts: impl Fn(&Pod) -> bool) -> Vec<SocketAddr> {
        let pods = self.pods.iter().filter(|pod| counts(pod));
        let addresses = pods
            .flat_map(|pod| &pod.addresses)
            .filter(|it| it.is_ipv4() == v4);
        addresses
            .map(|address| SocketAddr::new(*address, self.port.target))
            .collect()
    }

    fn all(&self, v4: bool) -> Vec<SocketAddr> {
        self.of(v4, |_| true)
    }

    fn everywhere(&self, destination: Destination, port: u16) -> Way {
        let ends = self.all(destination.is_ipv4());
        Way {
            destination,
            protocol: self.port.protocol,
            port,
            from_inside: None,
            fate: match ends.is_empty() {
                true => Fate::Refused,
                false => Fate::Endpoints(ends),
            },
            hides_source: true,
        }
    }

    /// At an address outside of the cluster. Where only pods of the node answer, whoever is inside may go to all all the same.
    fn outside(&self, destination: Destination, port: u16, local: bool) -> Vec<Way> {
        let everywhere = self.everywhere(destination, port);
        if !local {
            return vec![everywhere];
        }
        let here = self.of(destination.is_ipv4(), |pod| pod.node == self.node);
        let fate = match here.is_empty() {
            true => Fate::Dropped,
            false => Fate::Endpoints(here),
        };
        let outside = Way {
            fate,
            from_inside: Some(false),
            hides_source: false,
            ..everywhere.clone()
        };
        let inside = Way {
            from_inside: Some(true),
            hides_source: false,
            ..everywhere
        };
        vec![inside, outside]
    }
}

impl Destination {
    /// Whether it is of IPv4.
    pub fn is_ipv4(&self) -> bool {
        match self {
            Destination::Address(address) => address.is_ipv4(),
            Destination::Node { v4 } => *v4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cilium::manifest;

    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec:\n  selector: { app: web }\n";

    fn store(more: &str) -> Store {
        let mut store = Store::new(vec![
            "10.96.0.0/16".parse().unwrap(),
            "fd00:96::/112".parse().unwrap(),
        ]);
        let read = manifest::read([("test.yaml".to_owned(), format!("{SERVICE}{more}"))]);
        assert!(read.mistakes.is_empty(), "{:?}", read.mistakes);
        store.apply(read.objects);
        store
    }

    fn pod(node: &str, label: &str, addresses: &[&str]) -> Pod {
        Pod {
            node: node.to_owned(),
            labels: [("app".to_owned(), label.to_owned())].into(),
            addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        }
    }

    fn pods() -> Vec<Pod> {
        vec![
            pod("a", "web", &["10.1.0.1", "fd00:1::1"]),
            pod("b", "web", &["10.1.1.1"]),
            pod("b", "db", &["10.1.1.2"]),
        ]
    }

    fn ends(all: &[&str]) -> Fate {
        Fate::Endpoints(all.iter().map(|it| it.parse().unwrap()).collect())
    }

    #[test]
    fn every_node_leads_to_all_pods_of_the_selector() {
        let store = store("  ports: [{ port: 80, targetPort: 8080 }]\n");
        for node in ["a", "b", "c"] {
            let ways = ways(&store, &pods(), node);
            assert_eq!(ways.len(), 1);
            assert_eq!(
                ways[0].destination,
                Destination::Address("10.96.0.11".parse().unwrap())
            );
            assert_eq!(ways[0].fate, ends(&["10.1.0.1:8080", "10.1.1.1:8080"]));
            assert!(ways[0].hides_source);
        }
    }

    #[test]
    fn a_service_without_pods_refuses() {
        let store = store("  ports: [{ port: 53, protocol: UDP }]\n");
        let ways = ways(&store, &pods()[2..], "a");
        assert_eq!((&ways[0].fate, ways[0].protocol), (&Fate::Refused, Protocol::Udp));
    }

    #[test]
    fn a_local_service_has_local_pods_for_those_outside() {
        let store = store(
            "  type: NodePort\n  externalTrafficPolicy: Local\n  externalIPs: [192.0.2.1]\n  ports: [{ port: 80, nodePort: 30080 }]\n",
        );
        let outside = |node: &str| {
            let ways = ways(&store, &pods(), node);
            let of = |destination: Destination| {
                let mut both = ways.iter().filter(|it| it.destination == destination);
                let (inside, outside) = (both.next().unwrap(), both.next().unwrap());
                assert_eq!(
                    (inside.from_inside, outside.from_inside),
                    (Some(true), Some(false))
                );
                assert!(!inside.hides_source && !outside.hides_source);
                assert_eq!(inside.fate, ends(&["10.1.0.1:80", "10.1.1.1:80"]));
                outside.fate.clone()
            };
            let fate = of(Destination::Address("192.0.2.1".parse().unwrap()));
            assert_eq!(of(Destination::Node { v4: true }), fate);
            fate
        };
        assert_eq!(outside("a"), ends(&["10.1.0.1:80"]));
        assert_eq!(outside("b"), ends(&["10.1.1.1:80"]));
        assert_eq!(outside("c"), Fate::Dropped);
        let local = |node| local_services(&store, &pods(), node);
        assert_eq!(local("a").len(), 1);
        assert!(local("c").is_empty());
    }

    #[test]
    fn both_families_where_asked_for() {
        let store = store("  ipFamilyPolicy: PreferDualStack\n  ports: [{ port: 80 }]\n");
        let ways = ways(&store, &pods(), "a");
        assert_eq!(ways[1].fate, ends(&["[fd00:1::1]:80"]));
    }

    #[test]
    fn headless_and_foreign_services_have_no_way() {
        for more in [
            "  clusterIP: None\n  ports: [{ port: 80 }]\n",
            "  type: ExternalName\n  externalName: example.test\n",
        ] {
            assert!(ways(&store(more), &pods(), "a").is_empty(), "{more}");
        }
    }
}
