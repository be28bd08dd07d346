//! The services of a cluster without a Kubernetes, as its DNS servers are to know them.

use std::collections::HashMap;
use std::net::IpAddr;

use super::endpoints::{Answerers, Pod};
use super::object::{Kind, Object};
use super::resources::{Port, Protocol, Service, Spec};
use super::store::Store;
use crate::dns::{self, Contents, Endpoint};

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// What the servers, which are at this address, are to know.
pub fn contents(store: &Store, pods: &[Pod], server: IpAddr) -> Contents {
    let answerers = Answerers::new(store, pods);
    let services = store.specs(Kind::Service, Spec::service);
    let services = services.map(|(object, service)| named(store, &answerers, object, service));
    Contents {
        namespaces: NAMESPACES.map(str::to_owned).into(),
        services: services.chain([own(server)]).collect(),
    }
}

/// The servers' own service, as kubeadm names it.
fn own(server: IpAddr) -> dns::Service {
    let port = |name: &str, protocol: &str| dns::Port {
        name: name.to_owned(),
        protocol: protocol.to_owned(),
        number: dns::PORT,
    };
    dns::Service {
        namespace: "kube-system".to_owned(),
        name: "kube-dns".to_owned(),
        addresses: vec![server],
        ports: vec![port("dns", "udp"), port("dns-tcp", "tcp")],
        ..dns::Service::default()
    }
}

fn named(store: &Store, answerers: &Answerers, object: &Object, service: &Service) -> dns::Service {
    let addresses = match service.wants_cluster {
        true => store.cluster_addresses_of(object, service).to_vec(),
        false => Vec::new(),
    };
    let mut found: Vec<Endpoint> = Vec::new();
    let mut places: HashMap<IpAddr, usize> = HashMap::new();
    for of_service in &service.ports {
        for end in answerers.ends(object, service, of_service) {
            let there = port(of_service, end.at.port());
            let place = *places.entry(end.at.ip()).or_insert(found.len());
            match found.get_mut(place) {
                Some(endpoint) => endpoint.ports.push(there),
                None => found.push(Endpoint {
                    address: end.at.ip(),
                    hostname: end.name,
                    ports: vec![there],
                }),
            }
        }
    }
    if service.ports.is_empty() {
        // Headless ones need none.
        let all = answerers.ends(object, service, &Port::none());
        found.extend(all.into_iter().map(|end| Endpoint {
            address: end.at.ip(),
            hostname: end.name,
            ports: Vec::new(),
        }));
    }
    dns::Service {
        namespace: object.reference.namespace.clone(),
        name: object.reference.name.clone(),
        addresses,
        external: service.stands_for.clone(),
        ports: service.ports.iter().map(|it| port(it, it.port)).collect(),
        endpoints: found,
    }
}

fn port(port: &Port, number: u16) -> dns::Port {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    dns::Port {
        name: port.name.clone(),
        protocol: protocol.to_owned(),
        number,
    }
}
