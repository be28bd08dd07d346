//! What objects are told became of them: the conditions that Cilium's operator writes, and the addresses of services.

use serde_json::{Value, json};

use super::desired::{Facts, Node, has_password};
use super::object::{Kind, Object, Reference};
use super::resources::{ClusterConfig, Spec};
use super::services::in_common;
use super::store::Store;

/// A condition without its time.
fn condition(name: &str, status: &str, reason: &str, message: impl Into<String>) -> Value {
    let message: String = message.into();
    json!({ "type": format!("cilium.io/{name}"), "status": status, "reason": reason, "message": message })
}

/// One that is true for a reason, or false without one.
fn is_so(name: &str, reasons: &[String]) -> Value {
    match reasons.is_empty() {
        true => condition(name, "False", name, ""),
        false => condition(name, "True", name, reasons.join(", ")),
    }
}

/// What is to stand below `status` of every object that has something there.
pub fn statuses(store: &Store, facts: &[Facts]) -> Vec<(Reference, Value)> {
    let nodes: Vec<Node> = facts
        .iter()
        .enumerate()
        .map(|(number, it)| Node::new(store, it, number))
        .collect();
    let in_common = in_common(store);
    let all = Kind::ALL.into_iter().flat_map(|kind| store.of_kind(kind));
    let told = all.filter_map(|object| {
        let status = match &object.spec {
            Spec::ClusterConfig(config) => {
                json!({ "conditions": cluster_config(store, &nodes, object, config) })
            }
            Spec::PeerConfig(config) => {
                let secret = config
                    .secret
                    .iter()
                    .filter(|name| !has_password(store, name))
                    .cloned();
                json!({ "conditions": [is_so("MissingAuthSecret", &secret.collect::<Vec<_>>())] })
            }
            Spec::LoadBalancerPool(_) => json!({ "conditions": pool(store, &in_common, object) }),
            Spec::Service(service) if service.load_balancer => addresses(store, object),
            _ => return None,
        };
        Some((object.reference.clone(), status))
    });
    told.collect()
}

fn cluster_config(store: &Store, nodes: &[Node], object: &Object, config: &ClusterConfig) -> Vec<Value> {
    let selected: Vec<&Node> = nodes.iter().filter(|node| config.selects(node)).collect();
    let nobody: Vec<String> = match selected.is_empty() {
        true => vec!["no node matches its nodeSelector".to_owned()],
        false => Vec::new(),
    };
    let mut missing: Vec<String> = config
        .instances
        .iter()
        .flat_map(|it| it.peers.iter().filter_map(|peer| peer.config.clone()))
        .filter(|name| store.named(Kind::PeerConfig, "", name).is_none())
        .collect();
    missing.sort();
    missing.dedup();
    let others = store.specs(Kind::ClusterConfig, Spec::cluster);
    let conflicts: Vec<String> = others
        .filter(|(other, _)| other.reference != object.reference)
        .filter(|(_, other)| selected.iter().any(|node| other.selects(node)))
        .map(|(other, _)| other.reference.name.clone())
        .collect();
    vec![
        is_so("NoMatchingNode", &nobody),
        is_so("MissingPeerConfigs", &missing),
        is_so("ConflictingClusterConfigs", &conflicts),
    ]
}

fn pool(store: &Store, in_common: &[(&Reference, &Reference)], object: &Object) -> Vec<Value> {
    let (total, used) = store.counts(object);
    let number = |name: &str, number: u128| condition(name, "Unknown", "noreason", number.to_string());
    let others = in_common.iter().filter_map(|(one, other)| {
        let mine = [one, other].iter().position(|it| **it == &object.reference)?;
        Some([other, one][mine].name.clone())
    });
    vec![
        is_so("PoolConflict", &others.collect::<Vec<_>>()),
        number("IPsTotal", total),
        number("IPsUsed", used),
        number("IPsAvailable", total.saturating_sub(used)),
    ]
}

fn addresses(store: &Store, object: &Object) -> Value {
    match store.addresses.get(&object.reference) {
        Some(addresses) => {
            let ingress: Vec<Value> = addresses.iter().map(|ip| json!({ "ip": ip })).collect();
            json!({
                "loadBalancer": { "ingress": ingress },
                "conditions": [condition("IPAMRequestSatisfied", "True", "satisfied", "")],
            })
        }
        None => json!({
            "loadBalancer": { "ingress": null },
            "conditions": [condition("IPAMRequestSatisfied", "False", "no_pool", "no pool has an address for it")],
        }),
    }
}
