//! The way between a lab and the API server of its cluster: a process in the node with the control plane.
//!
//! It tells the API server of Cilium's kinds, watches the objects that have a meaning for BGP, and says over its socket what
//! there is; what the lab's own commands apply, and what became of objects, it writes to the API server. What follows from the
//! objects for each node's agent is not its affair.

mod mirror;
mod process;
mod writing;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use process::main;

use crate::cilium::Reference;
use crate::lab::model::Process;

/// The hidden verb of the operator; `bgp` follows where Cilium's kinds are wanted.
pub const VERB: &str = "cilium-operator";
/// Where it listens in its node.
pub const SOCKET: &str = "/run/cilium/operator.sock";

/// What it is asked to do, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApiRequest {
    /// Apply these, and answer under this number.
    Apply(u64, Vec<Value>),
    /// Delete these, of which kinds and names count.
    Delete(u64, Vec<Value>),
    /// Say this of objects where they do not say so already.
    Tell(Vec<Status>),
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Which.
    pub of: Reference,
    /// Below `status`; conditions in it get their times on the way.
    pub status: Value,
}

/// What it says, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum News {
    /// All objects that have a meaning, without their statuses.
    Objects(Vec<Value>),
    /// The nodes as the cluster sees them.
    Nodes(Vec<NodeView>),
    /// A request was fulfilled, and all that followed from it was said before: a line an object, and whether one to be deleted
    /// was not there.
    Done(u64, Vec<String>, bool),
    /// The API server refused.
    Refused(u64, String),
}

/// A node as its cluster sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Whether it is Ready.
    pub ready: bool,
    /// The version of its kubelet.
    pub version: String,
    /// How many pods are on it.
    pub pods: usize,
    /// How many of them run.
    pub running: usize,
    /// Services, by namespace and name, that answer only where their pods are, and have one here.
    #[serde(default)]
    pub local_services: BTreeSet<(String, String)>,
}

/// The process.
pub fn process(with_bgp: bool) -> Process {
    let own = [super::ITSELF, VERB];
    let words = own.into_iter().chain(with_bgp.then_some("bgp"));
    Process::service(VERB, words.map(str::to_owned).collect())
}
