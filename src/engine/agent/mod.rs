//! Cilium's BGP agent in a Kubernetes node: virtual routers on nslab's own speaker.
//!
//! It opens sessions and listens only where it is told a port, and what it learns it keeps to itself: nothing of it goes
//! into the kernel. What it is to do comes over its socket, and is remembered in the node for the case that it is started
//! again.

mod process;
mod router;

use serde::{Deserialize, Serialize};

pub use process::main;

use crate::cilium::Instance;
use crate::cilium::state::{Answer, Query};
use crate::lab::model::{Probe, Process};

/// The hidden verb of an agent; the Kubernetes node's name follows.
pub const VERB: &str = "cilium-agent";
/// Where it listens in the node.
pub const SOCKET: &str = "/run/cilium/nslab.sock";
/// What it was told last.
const MEMORY: &str = "/run/cilium/nslab.json";

/// What an agent is asked, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Be these virtual routers, and no others.
    Configure(Vec<Instance>),
    /// Tell this.
    Query(Query),
}

/// What an agent answers, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It is so.
    Configured,
    /// It is known so, a router each.
    Answers(Vec<Answer>),
}

/// The process of an agent in the node of this name.
pub fn process(node: &str) -> Process {
    Process::service(
        VERB,
        vec![super::ITSELF.to_owned(), VERB.to_owned(), node.to_owned()],
    )
}

/// What is true once it answers.
pub fn ready() -> Probe {
    Probe::File(SOCKET.to_owned())
}
