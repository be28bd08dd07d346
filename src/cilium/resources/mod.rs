//! What objects say, by kind, with the rules of Cilium's resource definitions.

mod advertisement;
mod answering;
mod cluster_config;
mod core;
mod node_config_override;
mod parts;
mod peer_config;
mod peering_policy;
mod pools;

pub(super) use advertisement::{Advert, Advertisement, What};
pub(super) use cluster_config::{BgpInstance, BgpPeer, ClusterConfig};
pub use core::Protocol;
pub(super) use core::{Answering, Policy, Port, Secret, Service, Target};
pub(super) use node_config_override::{NodeConfigOverride, OverriddenInstance};
pub(super) use parts::ServiceAddress;
pub(super) use peer_config::PeerConfig;
pub(super) use peering_policy::{Announces, Neighbor, PeeringPolicy, VirtualRouter};
pub(super) use pools::{Block, LoadBalancerPool, PodPool};

use super::object::Kind;
use crate::yaml::Yaml;
use crate::yaml::reader::{Reader, Table};

/// What an object says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Spec {
    PeeringPolicy(PeeringPolicy),
    ClusterConfig(ClusterConfig),
    PeerConfig(PeerConfig),
    Advertisement(Advertisement),
    NodeConfigOverride(NodeConfigOverride),
    LoadBalancerPool(LoadBalancerPool),
    PodPool(PodPool),
    Service(Service),
    Answering(Answering),
    Secret(Secret),
    /// Its labels and annotations are all that counts.
    Node,
}

/// Reads what stands beside `metadata`.
pub(super) fn read(
    reader: &mut Reader,
    kind: Kind,
    annotations: &std::collections::BTreeMap<String, String>,
    table: &mut Table,
) -> Option<Spec> {
    if kind == Kind::Secret {
        return Some(Spec::Secret(core::secret(reader, table)));
    }
    if kind == Kind::Endpoints {
        return Some(Spec::Answering(answering::endpoints(reader, table)));
    }
    if kind == Kind::EndpointSlice {
        return Some(Spec::Answering(answering::slice(reader, table)));
    }
    if kind == Kind::Node {
        table.ignore(&["spec", "status"], reader);
        return Some(Spec::Node);
    }
    table.ignore(&["status"], reader);
    let Some(yaml) = table.get("spec") else {
        reader.wrong(
            super::reading::head(table),
            "`spec` is missing",
            "write `spec:` and what the object says",
        );
        return None;
    };
    spec(reader, kind, annotations, yaml)
}

/// Reads what stands below `spec`.
pub(super) fn spec(
    reader: &mut Reader,
    kind: Kind,
    annotations: &std::collections::BTreeMap<String, String>,
    yaml: &Yaml,
) -> Option<Spec> {
    let mut table = reader.table(yaml, "spec", format!("`spec` of {}", kind.name()))?;
    let read = match kind {
        Kind::PeeringPolicy => peering_policy::read(reader, &mut table).map(Spec::PeeringPolicy),
        Kind::ClusterConfig => cluster_config::read(reader, &mut table).map(Spec::ClusterConfig),
        Kind::PeerConfig => peer_config::read(reader, &mut table).map(Spec::PeerConfig),
        Kind::Advertisement => advertisement::read(reader, &mut table).map(Spec::Advertisement),
        Kind::NodeConfigOverride => {
            node_config_override::read(reader, &mut table).map(Spec::NodeConfigOverride)
        }
        Kind::LoadBalancerPool => pools::load_balancer(reader, &mut table).map(Spec::LoadBalancerPool),
        Kind::PodPool => pools::pod(reader, &mut table).map(Spec::PodPool),
        Kind::Service => core::service(reader, &mut table, annotations).map(Spec::Service),
        Kind::Secret | Kind::Node | Kind::Endpoints | Kind::EndpointSlice => None,
    };
    table.finish(reader);
    read
}
