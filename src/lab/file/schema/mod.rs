//! The JSON Schema of the lab file, for editors. These types exist for their schema only; a test holds their keys
//! to those that the reader knows.

mod command;
mod image;
mod interface;
mod network;
mod node;
mod patterns;
mod plain;

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::check_schema::CheckTable;
use super::flow_schema::FlowTable;
use super::kubernetes_schema::{CiliumTable, KubernetesTable};
use super::scenario_schema::ScenarioTable;
use image::ImagesTable;
use network::LinkTable;
use node::NodeTable;
pub(super) use node::Scalar;
pub(super) use patterns::{AddressWithPrefix, DelayText, Duration, Interface, RateText, ShareText};

/// What the schema is known by. It is a name; nothing is fetched from it.
const ID: &str = "urn:nslab:lab-file";

/// The JSON Schema (draft 2020-12) of the lab file.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(LabFile).to_value();
    plain::without_null(&mut schema);
    schema["$id"] = ID.into();
    schema
}

/// A network lab for nslab.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct LabFile {
    /// The lab's name: lower-case letters, digits and hyphens.
    #[schemars(length(min = 1, max = 48), regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    name: String,
    /// Programs that must be on the host's PATH.
    requires: Option<Vec<String>>,
    /// Whether `nslab test --logs` keeps the packets of all interfaces should a check fail: capture.pcapng beside the logs (default
    /// false).
    capture: Option<bool>,
    /// The management network: eth0 on the nodes that say `mgmt = true`.
    mgmt: Option<MgmtTable>,
    /// What every node has unless it says otherwise.
    defaults: Option<NodeTable>,
    /// What every node of a kind has: host, router, bridge, k8s, or a kind that a file says.
    kinds: Option<BTreeMap<String, NodeTable>>,
    /// What every node has that says `group = "NAME"`.
    groups: Option<BTreeMap<String, NodeTable>>,
    /// The nodes by name.
    nodes: Option<BTreeMap<String, NodeTable>>,
    /// The links between nodes.
    links: Option<Vec<LinkTable>>,
    /// The Kubernetes cluster.
    kubernetes: Option<KubernetesTable>,
    /// The pods' network.
    cilium: Option<CiliumTable>,
    /// How registries of images are reached.
    images: Option<ImagesTable>,
    /// What must be true of the lab once it lives: `nslab test` and `nslab check` see to it.
    checks: Option<Vec<CheckTable>>,
    /// What happens to the living lab, and what must be true meanwhile: `nslab scenario` and `nslab test` play it.
    scenarios: Option<Vec<ScenarioTable>>,
    /// Numbered packets between nodes, of which it is known what becomes of them.
    flows: Option<Vec<FlowTable>>,
}

/// The management network.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct MgmtTable {
    /// Its name in listings.
    network: Option<String>,
    /// The name of its bridge.
    bridge: Option<Interface>,
    /// Its IPv4 subnet (default 172.20.20.0/24), or none.
    ipv4_subnet: Option<String>,
    /// Its IPv6 subnet (default 2001:172:20:20::/64), or none.
    ipv6_subnet: Option<String>,
    /// The gateway's IPv4 address (default: the first of the subnet).
    ipv4_gw: Option<String>,
    /// The gateway's IPv6 address (default: the first of the subnet).
    ipv6_gw: Option<String>,
    /// Bytes a packet.
    #[schemars(range(min = 68, max = 65535))]
    mtu: Option<u32>,
    /// Whether nodes reach the outside by IPv4 (default true).
    nat: Option<bool>,
    /// Whether nodes reach the outside by IPv6 (default false).
    nat6: Option<bool>,
}
