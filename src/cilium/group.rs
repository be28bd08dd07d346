//! What follows from a `CiliumBGPClusterConfig` and the objects it refers to.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::desired::{Desired, Node, host, is_of, password};
use super::instance::{AddressFamily, Announced, Instance, Peer, PeerAddress, Source};
use super::object::Kind;
use super::pools;
use super::resources::{
    Advert, Advertisement, BgpInstance, BgpPeer, ClusterConfig, OverriddenInstance, PeerConfig, Spec, What,
};
use super::selector::Selector;
use super::services;
use super::store::Store;

pub(super) fn desired(store: &Store, config: &ClusterConfig, node: &Node) -> Desired {
    let mut desired = Desired::default();
    for it in &config.instances {
        let instance = instance(store, it, node, &mut desired.warnings);
        desired.instances.extend(instance);
    }
    desired
}

fn instance(store: &Store, it: &BgpInstance, node: &Node, warnings: &mut Vec<String>) -> Option<Instance> {
    let overrides = store.named(Kind::NodeConfigOverride, "", &node.facts.name);
    let overridden = overrides.and_then(|object| match &object.spec {
        Spec::NodeConfigOverride(all) => all.instances.iter().find(|known| known.name == it.name),
        _ => None,
    });
    let router_id = overridden.and_then(|it| it.router_id).or_else(|| node.ipv4());
    let Some(router_id) = router_id else {
        warnings.push(format!(
            "node {} has no IPv4 address, so its instance {} needs a `routerID` in a CiliumBGPNodeConfigOverride",
            node.facts.name, it.name
        ));
        return None;
    };
    let peers = it
        .peers
        .iter()
        .filter_map(|it| peer(store, it, overridden, node, warnings));
    Some(Instance {
        name: it.name.clone(),
        asn: overridden.and_then(|it| it.asn).unwrap_or(it.asn),
        router_id,
        local_port: overridden.and_then(|it| it.local_port).or(it.local_port),
        peers: peers.collect(),
    })
}

fn peer(
    store: &Store,
    it: &BgpPeer,
    overridden: Option<&OverriddenInstance>,
    node: &Node,
    warnings: &mut Vec<String>,
) -> Option<Peer> {
    let default = PeerConfig::default();
    let config = match &it.config {
        None => &default,
        Some(name) => {
            let object = store.named(Kind::PeerConfig, "", name);
            let Some(Spec::PeerConfig(config)) = object.map(|object| &object.spec) else {
                warnings.push(format!(
                    "there is no CiliumBGPPeerConfig {name}: peer {} waits for it",
                    it.name
                ));
                return None;
            };
            config
        }
    };
    let own = overridden.and_then(|known| known.peers.iter().find(|(name, _)| *name == it.name));
    let address = own.and_then(|(_, source)| *source).map(Source::Address);
    let mut routes = BTreeMap::new();
    for (family, advertisements) in &config.families {
        if let Some(selector) = advertisements {
            advertise(store, node, *family, selector, &mut routes);
        }
    }
    Some(Peer {
        address: it.address,
        port: config.port,
        asn: it.asn,
        multihop: config.multihop,
        connect_retry: config.timers.connect_retry,
        hold: config.timers.hold,
        keepalive: config.timers.keepalive,
        restart: config.restart,
        password: password(store, config.secret.as_deref(), warnings),
        source: address.or_else(|| config.interface.clone().map(Source::Interface)),
        families: config.families.keys().copied().collect(),
        routes,
    })
}

fn advertise(
    store: &Store,
    node: &Node,
    family: AddressFamily,
    selector: &Selector,
    routes: &mut BTreeMap<IpNet, Announced>,
) {
    let all = store.specs(Kind::Advertisement, Spec::advertisement);
    for (_, advertisement) in all.filter(|(object, _)| selector.matches(&object.labels)) {
        for advert in &advertisement.adverts {
            let prefixes = prefixes(store, node, advert);
            for prefix in prefixes.into_iter().filter(|prefix| is_of(prefix, family)) {
                routes.entry(prefix).or_default().add(&advert.attributes);
            }
        }
    }
}

/// What an item of an advertisement is about on a node.
fn prefixes(store: &Store, node: &Node, advert: &Advert) -> Vec<IpNet> {
    let selects = |labels: &BTreeMap<String, String>| {
        let selector = advert.selector.as_ref();
        selector.is_some_and(|selector| selector.matches(labels))
    };
    match &advert.what {
        What::PodCidr => node.facts.pod_cidrs.clone(),
        What::PodPool => {
            let all = pools::allotments(store, node.number).into_iter();
            all.filter(|it| selects(&it.labels))
                .flat_map(|it| it.networks)
                .collect()
        }
        What::Service {
            addresses,
            length_v4,
            length_v6,
        } => {
            let all = store.specs(Kind::Service, Spec::service);
            let selected = all.filter(|(object, _)| selects(&services::labels(object)));
            let addresses =
                selected.flat_map(|(object, it)| store.addresses_of(object, it, addresses, node.facts));
            let prefix = |address: std::net::IpAddr| {
                let length = if address.is_ipv4() { *length_v4 } else { *length_v6 };
                IpNet::new(address, length).map_or_else(|_| host(address), |net| net.trunc())
            };
            addresses.map(prefix).collect()
        }
    }
}

impl Spec {
    fn advertisement(&self) -> Option<&Advertisement> {
        match self {
            Spec::Advertisement(advertisement) => Some(advertisement),
            _ => None,
        }
    }
}

impl PeerAddress {
    /// The address, where it is said.
    pub fn fixed(self) -> Option<std::net::IpAddr> {
        match self {
            PeerAddress::Fixed(address) => Some(address),
            PeerAddress::DefaultGateway(_) => None,
        }
    }
}
