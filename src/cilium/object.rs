//! Objects of the Kubernetes API: what kinds there are, and how one is named.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::resources::Spec;

/// The kinds that have a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Neighbors of the nodes it selects, in one object (v2alpha1).
    PeeringPolicy,
    /// Instances and peers of the nodes it selects.
    ClusterConfig,
    /// What sessions are like.
    PeerConfig,
    /// What is announced.
    Advertisement,
    /// What is different on one node.
    NodeConfigOverride,
    /// Addresses for services of type LoadBalancer.
    LoadBalancerPool,
    /// Addresses for pods.
    PodPool,
    /// A service.
    Service,
    /// Who answers for a service.
    Endpoints,
    /// A part of those who answer for a service.
    EndpointSlice,
    /// Passwords.
    Secret,
    /// A node.
    Node,
}

/// How a kind is called.
struct Names {
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    group: &'static str,
    versions: &'static [&'static str],
    namespaced: bool,
}

const CILIUM: &str = "cilium.io";
const BOTH: &[&str] = &["v2alpha1", "v2"];

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 12] = [
        Kind::PeeringPolicy,
        Kind::ClusterConfig,
        Kind::PeerConfig,
        Kind::Advertisement,
        Kind::NodeConfigOverride,
        Kind::LoadBalancerPool,
        Kind::PodPool,
        Kind::Service,
        Kind::Endpoints,
        Kind::EndpointSlice,
        Kind::Secret,
        Kind::Node,
    ];

    fn names(self) -> Names {
        let cilium = |kind, plural, short, versions| Names {
            kind,
            plural,
            short,
            group: CILIUM,
            versions,
            namespaced: false,
        };
        let core = |kind, plural, short, namespaced| Names {
            kind,
            plural,
            short,
            group: "",
            versions: &["v1"],
            namespaced,
        };
        match self {
            Kind::PeeringPolicy => cilium(
                "CiliumBGPPeeringPolicy",
                "ciliumbgppeeringpolicies",
                &["bgpp"],
                &BOTH[..1],
            ),
            Kind::ClusterConfig => cilium(
                "CiliumBGPClusterConfig",
                "ciliumbgpclusterconfigs",
                &["cbgpcluster"],
                BOTH,
            ),
            Kind::PeerConfig => cilium("CiliumBGPPeerConfig", "ciliumbgppeerconfigs", &["cbgppeer"], BOTH),
            Kind::Advertisement => cilium(
                "CiliumBGPAdvertisement",
                "ciliumbgpadvertisements",
                &["cbgpadvert"],
                BOTH,
            ),
            Kind::NodeConfigOverride => cilium(
                "CiliumBGPNodeConfigOverride",
                "ciliumbgpnodeconfigoverrides",
                &["cbgpnodeoverride"],
                BOTH,
            ),
            Kind::LoadBalancerPool => cilium(
                "CiliumLoadBalancerIPPool",
                "ciliumloadbalancerippools",
                &["ippools", "ippool", "lbippool", "lbippools"],
                BOTH,
            ),
            Kind::PodPool => cilium("CiliumPodIPPool", "ciliumpodippools", &["cpip"], &BOTH[..1]),
            Kind::Service => core("Service", "services", &["svc"], true),
            Kind::Endpoints => core("Endpoints", "endpoints", &["ep"], true),
            Kind::EndpointSlice => Names {
                group: "discovery.k8s.io",
                versions: &["v1beta1", "v1"],
                ..core("EndpointSlice", "endpointslices", &[], true)
            },
            Kind::Secret => core("Secret", "secrets", &[], true),
            Kind::Node => core("Node", "nodes", &["no"], false),
        }
    }

    /// As `kind:` has it.
    pub fn name(self) -> &'static str {
        self.names().kind
    }

    /// The name of many.
    pub fn plural(self) -> &'static str {
        self.names().plural
    }

    /// Its short names.
    pub fn short(self) -> &'static [&'static str] {
        self.names().short
    }

    /// What may stand before the `/` of `apiVersion:`; nothing for the core's kinds.
    pub fn group(self) -> &'static str {
        self.names().group
    }

    /// Versions there are, the oldest first.
    pub fn versions(self) -> &'static [&'static str] {
        self.names().versions
    }

    /// Whether objects of it are in a namespace.
    pub fn is_namespaced(self) -> bool {
        self.names().namespaced
    }

    /// Whether objects of it that an API server has mean something for BGP.
    pub fn is_watched(self) -> bool {
        !matches!(self, Kind::Endpoints | Kind::EndpointSlice)
    }

    /// Whether it is one of Cilium's own.
    pub fn is_of_cilium(self) -> bool {
        self.group() == CILIUM
    }

    /// The kind that `kind:` names.
    pub fn of(kind: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|it| it.name() == kind)
    }

    /// The kind somebody means on a command line: `CiliumBGPPeeringPolicy`, its plural, its short name, with its group
    /// or without.
    pub fn meant(word: &str) -> Option<Kind> {
        let word = word.to_ascii_lowercase();
        let word = word.split_once('.').map_or(word.as_str(), |(name, _)| name);
        Kind::ALL.into_iter().find(|kind| {
            let names = kind.names();
            names.kind.eq_ignore_ascii_case(word) || names.plural == word || names.short.contains(&word)
        })
    }

    /// All words for kinds, the plural ones.
    pub fn words() -> impl Iterator<Item = &'static str> + Clone {
        Kind::ALL.into_iter().map(Kind::plural)
    }
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty where the kind has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// As kubectl names an object: `service/web`, `ciliumbgppeeringpolicy.cilium.io/rack0`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource(), self.name)
    }
}

impl Reference {
    /// The kind as kubectl writes it before a name.
    pub fn resource(&self) -> String {
        let kind = self.kind.name().to_ascii_lowercase();
        match self.kind.group() {
            "" => kind,
            group => format!("{kind}.{group}"),
        }
    }
}

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Which it is.
    pub reference: Reference,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it says.
    pub(super) spec: Spec,
    /// The whole of it as it was written.
    pub written: Value,
}
