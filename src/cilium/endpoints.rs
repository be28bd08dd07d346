//! Who answers at the addresses of services: pods, as a proxy on each node leads to them (kube-proxy, Cilium's replacement of it).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::object::{Kind, Object, Reference};
use super::resources::{Port, Protocol, Service, Spec, Target};
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
    /// Its ports by their names.
    pub ports: BTreeMap<String, u16>,
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
    /// Whether all connections of one source go to one endpoint.
    pub sticks: bool,
    /// Whether what comes from elsewhere gets the node's address as its source, so that answers come back this way.
    pub hides_source: bool,
}

impl Service {
    fn is_for(&self, object: &Object, pod: &Pod) -> bool {
        let has = |(key, value): (&String, &String)| pod.labels.get(key) == Some(value);
        object.reference.namespace == NAMESPACE && !self.selector.is_empty() && self.selector.iter().all(has)
    }
}

/// One that answers at a port of a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    /// Where.
    pub at: SocketAddr,
    /// The node it is on, where that is known.
    node: Option<String>,
    /// The name it has within the service.
    pub name: Option<String>,
}

/// Who may answer, prepared for many questions: without it each would look at all slices and all pods.
pub(super) struct Answerers<'a> {
    store: &'a Store,
    pods: &'a [Pod],
    /// The slices of services, by namespace and name.
    slices: HashMap<(&'a str, &'a str), Vec<&'a Object>>,
    /// The nodes of pods by their addresses.
    nodes: HashMap<IpAddr, &'a str>,
}

impl<'a> Answerers<'a> {
    pub(super) fn new(store: &'a Store, pods: &'a [Pod]) -> Answerers<'a> {
        let mut slices: HashMap<_, Vec<&Object>> = HashMap::new();
        for slice in store.of_kind(Kind::EndpointSlice) {
            if let Some(service) = slice.labels.get(OF_SERVICE) {
                let key = (slice.reference.namespace.as_str(), service.as_str());
                slices.entry(key).or_default().push(slice);
            }
        }
        let mut nodes = HashMap::new();
        for pod in pods {
            for address in &pod.addresses {
                nodes.entry(*address).or_insert(pod.node.as_str());
            }
        }
        Answerers {
            store,
            pods,
            slices,
            nodes,
        }
    }

    /// Who answers at a port of a service: pods that it selects, or, where it selects none, whom others name.
    pub(super) fn ends(&self, object: &Object, service: &Service, port: &Port) -> Vec<End> {
        if service.selector.is_empty() {
            return self.named(object, port).0;
        }
        let mut ends = Vec::new();
        for pod in self.pods.iter().filter(|pod| service.is_for(object, pod)) {
            let number = match &port.target {
                Target::Number(number) => Some(*number),
                Target::Name(name) => pod.ports.get(name).copied(),
            };
            ends.extend(number.into_iter().flat_map(|number| {
                pod.addresses.iter().map(move |address| End {
                    at: SocketAddr::new(*address, number),
                    node: Some(pod.node.clone()),
                    name: None,
                })
            }));
        }
        ends
    }

    /// Who is named by Endpoints of the service's name and by slices that are its own, and whether more are than count.
    fn named(&self, object: &Object, port: &Port) -> (Vec<End>, bool) {
        let Reference { namespace, name, .. } = &object.reference;
        let endpoints = self.store.named(Kind::Endpoints, namespace, name);
        let slices = self.slices.get(&(namespace.as_str(), name.as_str()));
        let all = endpoints.into_iter().chain(slices.into_iter().flatten().copied());
        let mut known = HashSet::new();
        let mut ends: Vec<End> = Vec::new();
        for answering in all.filter_map(|object| object.spec.answering()) {
            let is_it = |(name, protocol, _): &&(String, Protocol, u16)| {
                *name == port.name && *protocol == port.protocol
            };
            for (_, _, number) in answering.ports.iter().filter(is_it) {
                for host in &answering.hosts {
                    let at = SocketAddr::new(host.address, *number);
                    if !known.insert(at) {
                        continue;
                    }
                    if ends.len() == MOST_NAMED {
                        return (ends, true);
                    }
                    let of_pod = || self.nodes.get(&host.address).map(|node| (*node).to_owned());
                    ends.push(End {
                        at,
                        node: host.node.clone().or_else(of_pod),
                        name: host.name.clone(),
                    });
                }
            }
        }
        (ends, false)
    }
}

/// The ports of services for which more are named than count, a sentence each.
pub fn overfull(store: &Store, pods: &[Pod]) -> Vec<String> {
    let answerers = Answerers::new(store, pods);
    let mut found = Vec::new();
    for (object, service) in store.specs(Kind::Service, Spec::service) {
        if !service.selector.is_empty() {
            continue;
        }
        let is_cut = |port: &&Port| answerers.named(object, port).1;
        found.extend(service.ports.iter().filter(is_cut).map(|port| {
            format!(
                "port {} of {} has more than {MOST_NAMED} endpoints: the others are not used",
                port.port, object.reference
            )
        }));
    }
    found
}

/// The label by which a slice tells its service.
const OF_SERVICE: &str = "kubernetes.io/service-name";
/// No more are named for a port.
const MOST_NAMED: usize = 1000;

/// The services, by namespace and name, that somebody on this node answers for.
pub fn local_services(store: &Store, pods: &[Pod], node: &str) -> BTreeSet<(String, String)> {
    let here = |end: &End| end.node.as_deref() == Some(node);
    let answerers = Answerers::new(store, pods);
    let all = store.specs(Kind::Service, Spec::service);
    all.filter(|(object, service)| {
        let mut ports = service.ports.iter();
        ports.any(|port| answerers.ends(object, service, port).iter().any(here))
    })
    .map(|(object, _)| (object.reference.namespace.clone(), object.reference.name.clone()))
    .collect()
}

/// The ways to all services on a node. One that selects nobody, and for which nobody is named, has none.
pub fn ways(store: &Store, pods: &[Pod], node: &str) -> Vec<Way> {
    let answerers = Answerers::new(store, pods);
    let mut ways = Vec::new();
    for (object, service) in store.specs(Kind::Service, Spec::service) {
        if !service.wants_cluster {
            continue;
        }
        for port in &service.ports {
            let ends = Ends {
                all: answerers.ends(object, service, port),
                protocol: port.protocol,
                sticks: service.sticks,
                node,
            };
            if service.selector.is_empty() && ends.all.is_empty() {
                continue;
            }
            for address in store.cluster_addresses_of(object, service) {
                ways.push(ends.everywhere(Destination::Address(*address), port.port));
            }
            let given = store.addresses.get(&object.reference).into_iter().flatten();
            for address in given.chain(&service.external) {
                ways.extend(ends.outside(Destination::Address(*address), port.port, service.local));
            }
            for v4 in [true, false] {
                let destination = Destination::Node { v4 };
                let port = store
                    .node_port_of(object, port)
                    .filter(|_| !ends.of(v4).is_empty());
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
    all: Vec<End>,
    protocol: Protocol,
    sticks: bool,
    node: &'a str,
}

impl Ends<'_> {
    fn of(&self, v4: bool) -> Vec<SocketAddr> {
        let all = self.all.iter().map(|end| end.at);
        all.filter(|at| at.is_ipv4() == v4).collect()
    }

    fn everywhere(&self, destination: Destination, port: u16) -> Way {
        let ends = self.of(destination.is_ipv4());
        Way {
            destination,
            protocol: self.protocol,
            port,
            from_inside: None,
            fate: match ends.is_empty() {
                true => Fate::Refused,
                false => Fate::Endpoints(ends),
            },
            sticks: self.sticks,
            hides_source: true,
        }
    }

    /// At an address outside of the cluster. Where only pods of the node answer, whoever is inside may go to all all the same.
    fn outside(&self, destination: Destination, port: u16, local: bool) -> Vec<Way> {
        let everywhere = self.everywhere(destination, port);
        if !local {
            return vec![everywhere];
        }
        let here = self
            .all
            .iter()
            .filter(|end| end.node.as_deref() == Some(self.node));
        let here: Vec<SocketAddr> = here
            .map(|end| end.at)
            .filter(|at| at.is_ipv4() == destination.is_ipv4())
            .collect();
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
        assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
        store.apply(read.objects);
        store
    }

    fn pod(node: &str, label: &str, addresses: &[&str]) -> Pod {
        Pod {
            node: node.to_owned(),
            labels: [("app".to_owned(), label.to_owned())].into(),
            addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
            ports: [("http".to_owned(), if node == "a" { 8080 } else { 9090 })].into(),
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
    fn a_port_by_its_name_is_each_pods_own() {
        let store =
            store("  ports: [{ port: 80, targetPort: http }, { name: no, port: 81, targetPort: none }]\n");
        let ways = ways(&store, &pods(), "a");
        assert_eq!(ways[0].fate, ends(&["10.1.0.1:8080", "10.1.1.1:9090"]));
        assert_eq!(ways[1].fate, Fate::Refused);
    }

    #[test]
    fn ports_of_nodes_are_given_and_kept() {
        let many = |kind: &str| {
            let one = |name: &str| {
                let head = SERVICE.replace("name: web", &format!("name: {name}"));
                format!(
                    "{head}  type: {kind}\n  ports: [{{ name: a, port: 80 }}, {{ name: b, port: 81 }}]\n---\n"
                )
            };
            ["x", "y", "z"].map(one).concat()
        };
        let given = |text: &str| {
            let mut store = Store::new(vec!["10.96.0.0/16".parse().unwrap()]);
            store.apply(manifest::read([("test.yaml".to_owned(), text.to_owned())]).objects);
            let ways = ways(&store, &pods(), "a");
            let at_nodes = ways
                .into_iter()
                .filter(|it| it.destination == Destination::Node { v4: true });
            at_nodes.map(|it| it.port).collect::<Vec<_>>()
        };
        let ports = given(&many("NodePort"));
        assert_eq!(ports.len(), 6);
        assert!(
            ports.iter().all(|port| (30000..=32767).contains(port)),
            "{ports:?}"
        );
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 6);
        // The same file gives the same, and services of other types none.
        assert_eq!(given(&many("NodePort")), ports);
        assert_eq!(given(&many("LoadBalancer")), ports);
        assert!(given(&many("ClusterIP")).is_empty());
        // What is said is nobody else's.
        let taken = format!(
            "{}{SERVICE}  type: NodePort\n  ports: [{{ port: 80, nodePort: {} }}]\n",
            many("NodePort"),
            ports[0]
        );
        let all = given(&taken);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 7, "{all:?}");
        assert!(all.contains(&ports[0]));
    }

    #[test]
    fn a_service_without_selector_leads_to_whom_others_name() {
        let objects = "apiVersion: v1\nkind: Service\nmetadata: { name: db }\nspec:\n  sessionAffinity: ClientIP\n  ports: [{ name: sql, port: 5432 }]\n---\n\
            apiVersion: v1\nkind: Endpoints\nmetadata: { name: db }\nsubsets:\n- addresses: [{ ip: 192.0.2.5 }, { ip: 10.1.0.1, hostname: db-0 }]\n  ports: [{ name: sql, port: 15432 }, { name: x, port: 1 }]\n---\n\
            apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: db-1, labels: { kubernetes.io/service-name: db } }\naddressType: IPv4\n\
            ports: [{ name: sql, port: 25432 }]\nendpoints:\n- addresses: [192.0.2.6]\n  nodeName: b\n- addresses: [192.0.2.7]\n  conditions: { ready: false }\n---\n\
            apiVersion: v1\nkind: Service\nmetadata: { name: nobody }\nspec: { ports: [{ port: 80 }] }\n";
        let read = manifest::read([("test.yaml".to_owned(), objects.to_owned())]);
        assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
        let mut store = Store::new(vec!["10.96.0.0/16".parse().unwrap()]);
        store.apply(read.objects);
        let ways = ways(&store, &pods(), "a");
        assert_eq!(ways.len(), 1);
        assert!(ways[0].sticks);
        assert_eq!(
            ways[0].fate,
            ends(&["192.0.2.5:15432", "10.1.0.1:15432", "192.0.2.6:25432"])
        );
        // Pods are known by their addresses.
        for (node, count) in [("a", 1), ("b", 1), ("c", 0)] {
            assert_eq!(local_services(&store, &pods(), node).len(), count, "{node}");
        }
    }

    #[test]
    fn more_endpoints_than_count_are_told_and_cost_little() {
        let addresses = |count: usize| {
            let one = |at: usize| format!("{{ ip: 10.{}.{}.{} }}", at >> 16, at >> 8 & 255, at & 255);
            (0..count).map(one).collect::<Vec<_>>().join(", ")
        };
        for (count, is_cut) in [(MOST_NAMED, false), (MOST_NAMED + 1, true), (40_000, true)] {
            let objects = format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{ name: db }}\nspec: {{ ports: [{{ port: 80 }}] }}\n---\n\
                apiVersion: v1\nkind: Endpoints\nmetadata: {{ name: db }}\nsubsets:\n- ports: [{{ port: 80 }}]\n  addresses: [{}]\n",
                addresses(count)
            );
            let read = manifest::read([("test.yaml".to_owned(), objects)]);
            assert!(read.diagnostics.is_empty(), "{:?}", read.diagnostics);
            let mut store = Store::new(vec!["10.96.0.0/16".parse().unwrap()]);
            store.apply(read.objects);
            let began = std::time::Instant::now();
            for _ in 0..20 {
                let Fate::Endpoints(all) = &ways(&store, &pods(), "a")[0].fate else {
                    panic!()
                };
                assert_eq!(all.len(), MOST_NAMED);
            }
            // Comparing each with each took seconds for one.
            assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
            let told = overfull(&store, &pods());
            assert_eq!(told.len(), usize::from(is_cut), "{told:?}");
            assert!(
                told.iter()
                    .all(|it| it.starts_with("port 80 of service/db has more than")),
                "{told:?}"
            );
        }
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
