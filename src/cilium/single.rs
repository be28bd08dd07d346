//! What follows from a `CiliumBGPPeeringPolicy`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::desired::{Desired, Node, host, is_of, password};
use super::instance::{Announced, Instance, Peer, PeerAddress};
use super::object::Kind;
use super::pools;
use super::resources::{Announces, Neighbor, PeeringPolicy, Spec, VirtualRouter};
use super::services;
use super::store::Store;

/// The annotation of a node that says what is different there: `router-id=10.0.0.1,local-port=179`, by AS.
const ANNOTATION: &str = "cilium.io/bgp-virtual-router.";

/// A route of a virtual router, and what rules about attributes may know it by.
struct Route {
    prefix: IpNet,
    of: Announces,
    /// The labels of the pool it is from.
    labels: BTreeMap<String, String>,
}

pub(super) fn desired(store: &Store, policy: &PeeringPolicy, node: &Node) -> Desired {
    let mut desired = Desired::default();
    for router in &policy.routers {
        let instance = instance(store, router, node, &mut desired.warnings);
        desired.instances.extend(instance);
    }
    desired
}

fn instance(
    store: &Store,
    router: &VirtualRouter,
    node: &Node,
    warnings: &mut Vec<String>,
) -> Option<Instance> {
    let annotated = Annotated::read(node, router.asn, warnings);
    let Some(router_id) = annotated.router_id.or_else(|| node.ipv4()) else {
        warnings.push(format!(
            "node {} has no IPv4 address, so its router of AS {} needs the annotation {ANNOTATION}{}: \
             router-id=10.0.0.1",
            node.facts.name, router.asn, router.asn
        ));
        return None;
    };
    let routes = routes(store, router, node);
    let peers = router
        .neighbors
        .iter()
        .map(|neighbor| peer(store, neighbor, &routes, warnings));
    Some(Instance {
        name: router.asn.to_string(),
        asn: router.asn,
        router_id,
        local_port: annotated.local_port,
        peers: peers.collect(),
    })
}

fn peer(store: &Store, neighbor: &Neighbor, routes: &[Route], warnings: &mut Vec<String>) -> Peer {
    let mut told: BTreeMap<IpNet, Announced> = BTreeMap::new();
    for route in routes {
        if !neighbor
            .families
            .iter()
            .any(|family| is_of(&route.prefix, *family))
        {
            continue;
        }
        let announced = told.entry(route.prefix).or_default();
        for rule in neighbor.attributes.iter().filter(|rule| rule.of == route.of) {
            let selects = rule.selector.as_ref();
            if selects.is_none_or(|selector| selector.matches(&route.labels)) {
                announced.add(&rule.attributes);
            }
        }
    }
    Peer {
        address: PeerAddress::Fixed(neighbor.address),
        port: neighbor.port,
        asn: neighbor.asn,
        multihop: neighbor.multihop,
        connect_retry: neighbor.timers.connect_retry,
        hold: neighbor.timers.hold,
        keepalive: neighbor.timers.keepalive,
        restart: neighbor.restart,
        password: password(store, neighbor.secret.as_deref(), warnings),
        source: None,
        families: neighbor.families.clone(),
        routes: told,
    }
}

fn routes(store: &Store, router: &VirtualRouter, node: &Node) -> Vec<Route> {
    let mut routes = Vec::new();
    if router.export_pod_cidr {
        routes.extend(node.facts.pod_cidrs.iter().map(|prefix| Route {
            prefix: *prefix,
            of: Announces::PodCidr,
            labels: BTreeMap::new(),
        }));
    }
    if let Some(selector) = &router.pod_pools {
        let allotments = pools::allotments(store, node.number);
        for allotment in allotments.iter().filter(|it| selector.matches(&it.labels)) {
            routes.extend(allotment.networks.iter().map(|prefix| Route {
                prefix: *prefix,
                of: Announces::PodPool,
                labels: allotment.labels.clone(),
            }));
        }
    }
    if let Some(selector) = &router.services {
        let all = store.specs(Kind::Service, Spec::service);
        for (object, service) in all.filter(|(object, _)| selector.matches(&services::labels(object))) {
            let addresses = store.addresses_of(object, service, &router.service_addresses, node.facts);
            routes.extend(addresses.into_iter().map(|address| {
                Route {
                    prefix: host(address),
                    of: Announces::LoadBalancerPool,
                    labels: store
                        .pool_of(address)
                        .map(|pool| pool.labels.clone())
                        .unwrap_or_default(),
                }
            }));
        }
    }
    routes
}

/// What a node's annotation says.
#[derive(Default)]
struct Annotated {
    router_id: Option<Ipv4Addr>,
    local_port: Option<u16>,
}

impl Annotated {
    fn read(node: &Node, asn: u32, warnings: &mut Vec<String>) -> Annotated {
        let mut annotated = Annotated::default();
        let text = node.annotations.get(&format!("{ANNOTATION}{asn}"));
        for word in text.into_iter().flat_map(|text| text.split(',')) {
            let known = match word.trim().split_once('=') {
                Some(("router-id", value)) => {
                    annotated.router_id = value.parse().ok();
                    annotated.router_id.is_some()
                }
                Some(("local-port", value)) => {
                    annotated.local_port = value.parse().ok().filter(|port| *port > 0);
                    annotated.local_port.is_some()
                }
                _ => false,
            };
            if !known {
                warnings.push(format!(
                    "annotation {ANNOTATION}{asn} of node {}: `{}` says nothing; `router-id=10.0.0.1` and \
                     `local-port=179` do",
                    node.facts.name,
                    word.escape_debug()
                ));
            }
        }
        annotated
    }
}
